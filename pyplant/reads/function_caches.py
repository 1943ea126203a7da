"""Caches of :mod:`functools` in the user's code, which hold results of earlier code.

``@lru_cache`` never asks whether the function, a helper below it or a file has changed: a reactor that runs again after an
edit in a notebook would get the old result, and PyPlant would store it as one of the new code. So a cache is emptied
before an execution that may use it unless it holds only what executions of the same code have put there. What was put there
from elsewhere comes from code, files and variables that nobody has noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary, WeakSet

from pyplant.fingerprint.origin import is_users_function

__all__ = ["CACHED_FUNCTION", "FunctionCaches", "is_cached_function"]

CACHED_FUNCTION: Any = type(lru_cache(len))


def is_cached_function(obj: Any) -> bool:
    """Return whether an object is a function of the user with cached results."""
    return type(obj) is CACHED_FUNCTION and is_users_function(getattr(obj, "__wrapped__", None))


class _Content(NamedTuple):
    """What a cache held when an execution ended: the digest of the code, and how often it was called then."""

    digest: str
    calls: int


_contents: WeakKeyDictionary[Any, _Content] = WeakKeyDictionary()
_in_use: WeakSet[FunctionCaches] = WeakSet()


class FunctionCaches:
    """The caches that one execution may use.

    Parameters
    ----------
    digests
        The fingerprints of the functions.
    """

    def __init__(self, digests: Mapping[Any, str]) -> None:
        for function, digest in digests.items():
            if _is_outdated(function, digest):
                function.cache_clear()
        self.digests = digests
        if digests:
            _in_use.add(self)

    def finish(self) -> None:
        """Note what the caches hold when the execution has ended."""
        for function, digest in self.digests.items():
            _contents[function] = _Content(digest, function.cache_info().misses)
        _in_use.discard(self)


def _is_outdated(function: Any, digest: str) -> bool:
    info = function.cache_info()
    if not info.currsize:
        return False
    # Another execution of the same code, in another thread or one that waits, has not noted yet what it put there.
    if any(caches.digests.get(function) == digest for caches in _in_use):
        return False
    return _contents.get(function) != _Content(digest, info.misses)
