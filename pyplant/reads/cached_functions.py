"""Functions whose results are cached (:func:`functools.lru_cache`, :func:`functools.cache`): a later call reads nothing.

So an execution whose code refers to such a function depends on all that the function has read in this process, by whatever
call, while its cache is not empty. What a call that did not happen would have read costs a needless run at worst.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from pyplant.fingerprint.origin import is_users_function

__all__ = ["is_cached_function", "reads_of"]

_CACHED: Any = type(lru_cache(len))
_reads: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


def is_cached_function(obj: Any) -> bool:
    """Return whether an object is a function of the user with cached results."""
    return type(obj) is _CACHED and is_users_function(getattr(obj, "__wrapped__", None))


def reads_of(function: Any) -> dict[Any, Any]:
    """Return what a cached function has read so far; callers add to it."""
    if not function.cache_info().currsize:
        _reads.pop(function, None)  # the cache was cleared, so it reads again
    return _reads.setdefault(function, {})
