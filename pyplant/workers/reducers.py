"""What cannot be pickled though a worker can make its own: locks, caches, and functions that dispatch.

A lock guards the threads of one process and a cache holds what can be computed again, so in a worker a new
one takes their place.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import lru_cache, singledispatch
from types import FunctionType, MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary

from pyplant.fingerprint.origin import is_user_object

__all__ = ["REMADE", "Cached", "remake"]

Cached: Any = type(lru_cache(len))
"""What :func:`functools.lru_cache` and :func:`functools.cache` make of a function."""

REMADE: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    type(threading.Lock()): lambda _: (threading.Lock, ()),
    type(threading.RLock()): lambda _: (threading.RLock, ()),
    threading.local: lambda _: (threading.local, ()),
    WeakKeyDictionary: lambda mapping: (WeakKeyDictionary, (dict(mapping),)),
    WeakValueDictionary: lambda mapping: (WeakValueDictionary, (dict(mapping),)),
    WeakSet: lambda members: (WeakSet, (list(members),)),
    MappingProxyType: lambda mapping: (MappingProxyType, (dict(mapping),)),
}
"""How objects of just these types are pickled."""


def remake(obj: Any) -> tuple[Any, ...] | None:
    """How a function of the user's is pickled that is more than its code; None if it is not."""
    if isinstance(obj, Cached) and is_user_object(obj):
        return _cached, (obj.__wrapped__, obj.cache_parameters()), vars(obj)
    if isinstance(obj, FunctionType) and "dispatch" in vars(obj) and is_user_object(obj):
        registry = vars(obj).get("registry")
        if isinstance(registry, MappingProxyType) and object in registry:
            return _dispatching, (registry[object], dict(registry))
    return None


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return lru_cache(**parameters)(function)


def _dispatching(function: Callable[..., Any], implementations: dict[type, Callable[..., Any]]) -> Any:
    dispatching = singledispatch(function)
    for kind, implementation in implementations.items():
        dispatching.register(kind, implementation)
    return dispatching
