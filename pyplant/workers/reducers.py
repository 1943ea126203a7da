"""Reducers of objects that pickle refuses and a worker can create again: locks, caches, and functions that dispatch.

A lock guards the threads of one process, and a cache holds what can be computed again. So a worker gets a new one.
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
"""The class of functions that :func:`functools.lru_cache` or :func:`functools.cache` decorates."""

REMADE: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    type(threading.Lock()): lambda _: (threading.Lock, ()),
    type(threading.RLock()): lambda _: (threading.RLock, ()),
    threading.local: lambda _: (threading.local, ()),
    WeakKeyDictionary: lambda mapping: (WeakKeyDictionary, (dict(mapping),)),
    WeakValueDictionary: lambda mapping: (WeakValueDictionary, (dict(mapping),)),
    WeakSet: lambda members: (WeakSet, (list(members),)),
    MappingProxyType: lambda mapping: (MappingProxyType, (dict(mapping),)),
}
"""The reducers of objects of these types; subclasses may have state of their own and are left to pickle."""


def remake(obj: Any) -> tuple[Any, ...] | None:
    """Reduce a function of the user that has a cache or dispatches; return ``None`` for other objects."""
    if isinstance(obj, Cached) and is_user_object(obj):
        return _cached, (obj.__wrapped__, obj.cache_parameters()), vars(obj)
    if isinstance(obj, FunctionType) and "dispatch" in vars(obj) and is_user_object(obj):
        # singledispatch() keeps its registry in a closure and shows it in this attribute.
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
