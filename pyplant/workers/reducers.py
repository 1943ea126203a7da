"""Reducers of objects that pickle refuses and a worker can create again.

A lock and a pool of threads serve the threads of one process, and a cache holds what can be computed again. So a worker
gets a new one. A library in C is loaded there again.
"""

from __future__ import annotations

import struct
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar
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
    struct.Struct: lambda layout: (struct.Struct, (layout.format,)),
    memoryview: lambda view: (memoryview, (bytes(view),)),
    ThreadPoolExecutor: lambda pool: (ThreadPoolExecutor, (pool._max_workers,)),  # noqa: SLF001
    ContextVar: lambda variable: (
        _context_variable,
        (variable.name, _found(lambda: Context().run(variable.get)), _found(variable.get)),
    ),
}
"""The reducers of objects of these types; subclasses may have state of their own and are left to pickle."""


def remake(obj: Any) -> tuple[Any, ...] | None:
    """Reduce a function of the user that has a cache or dispatches, or a library in C; ``None`` for other objects."""
    if "ctypes" in sys.modules:
        library = _library_of(obj)
        if library is obj:
            return _load_library, (type(obj), *_library_arguments(obj))
        if library is not None:
            return getattr, (library, obj.__name__)
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


# ---------------------------------------------------------------------- context variables


def _found(get: Callable[[], Any]) -> tuple[Any, ...]:
    """Return the default or the content of a variable, if it has one."""
    try:
        return (get(),)
    except LookupError:
        return ()


def _context_variable(name: str, default: tuple[Any, ...], content: tuple[Any, ...]) -> ContextVar[Any]:
    variable: ContextVar[Any] = ContextVar(name, default=default[0]) if default else ContextVar(name)
    if content:
        variable.set(content[0])
    return variable


# ---------------------------------------------------------------------- libraries in C
# :mod:`ctypes` has no public way to ask for what was passed to it.


def _library_of(obj: Any) -> Any:
    """Return the library that an object is, or a function of; ``None`` for other objects."""
    ctypes: Any = sys.modules["ctypes"]
    if not isinstance(obj, ctypes._CFuncPtr):  # noqa: SLF001
        return obj if isinstance(obj, ctypes.CDLL) else None
    kept = obj._objects or {}  # noqa: SLF001
    return next((found for found in kept.values() if isinstance(found, ctypes.CDLL)), None)


def _library_arguments(library: Any) -> tuple[str | None, int, dict[str, tuple[Any, Any]]]:
    """Return the file of a library, the flags of its functions, and the types of those that were used."""
    functions = {
        name: (value.restype, value.argtypes)
        for name, value in vars(library).items()
        if _library_of(value) is library
    }
    return library._name, library._FuncPtr._flags_, functions  # noqa: SLF001


def _load_library(kind: type, name: str | None, flags: int, functions: dict[str, tuple[Any, Any]]) -> Any:
    library = kind(name, use_errno=bool(flags & _USES_ERRNO))
    for function, (result, arguments) in functions.items():
        getattr(library, function).restype = result
        getattr(library, function).argtypes = arguments
    return library


_USES_ERRNO = 8  # FUNCFLAG_USE_ERRNO
