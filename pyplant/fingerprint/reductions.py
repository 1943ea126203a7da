"""What objects consist of where ``__reduce_ex__`` does not tell: wrappers, endless items, pickles that leave things out."""

from __future__ import annotations

import functools
from collections import OrderedDict, deque
from collections.abc import Iterator
from itertools import islice
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from pyplant._missing import MISSING
from pyplant.fingerprint.attribute_digests import class_name
from pyplant.fingerprint.attributes import (
    class_entry,
    class_namespace,
    is_fully_readable,
    mro,
    namespace,
    object_state,
    pickling_methods,
    static_attribute,
)
from pyplant.fingerprint.origin import is_user_object

__all__ = [
    "MAX_ITEMS",
    "OF_WRAPPERS",
    "cached_properties",
    "hides_content",
    "limited_items",
    "without_caches",
    "wrapped",
]

MAX_ITEMS = 100_000
"""The number of items that count of an object whose class brings its own iterator."""

# Iterators of builtin containers, which end.
_FINITE = frozenset(map(type, map(iter, ([], (), {}.items(), OrderedDict().items(), deque()))))
OF_WRAPPERS = frozenset({*functools.WRAPPER_ASSIGNMENTS, "__wrapped__", "__dict__", "__type_params__"})
"""Attributes that a wrapper copies from the function that it wraps."""

_BOOKKEEPING = {
    # Threads, locks and the queue; the prefix has the number of the pool in its process.
    "concurrent.futures.thread.ThreadPoolExecutor": frozenset(
        ["_idle_semaphore", "_shutdown_lock", "_thread_name_prefix", "_threads", "_work_queue"]
    ),
    "joblib.memory.MemorizedFunc": frozenset(["timestamp"]),
    "pandas.io.formats.style.Styler": frozenset(["uuid"]),
    "sklearn.feature_extraction.text.CountVectorizer": frozenset(["_stop_words_id"]),
    "sklearn.feature_extraction.text.TfidfVectorizer": frozenset(["_stop_words_id"]),
}
"""Attributes that differ in each process for equal objects, by class."""
_OF_MODELS = frozenset(["__pydantic_fields_set__"])
"""Which fields of a pydantic model were given and not left at their defaults: equal models differ in it."""
_SCALARS = (bool, int, float, complex, str, bytes, type(None))

_REDUCING = frozenset(["__reduce_ex__", "__reduce__", "__getstate__"])


def hides_content(cls: type) -> bool:
    """Return whether a class of the user defines how its instances are pickled, and all they hold can be read."""
    methods = pickling_methods(cls) & _REDUCING
    definers = [base for base in mro(cls) if methods & vars(base).keys()]
    return bool(methods) and is_user_object(definers[0]) and is_fully_readable(cls)


def without_caches(state: dict[Any, Any], cls: type, *, as_held: bool) -> dict[Any, Any]:
    """Return the attributes of an object without those that its class has computed for itself.

    A library uses ``cached_property`` for what follows from the other attributes. A user may fill a container that was made
    so, or set the attribute, and a global's history is followed anyway; so of the user's classes only plain values in
    parameters and ingredients are left out.
    """
    hidden = _BOOKKEEPING.get(class_name(cls), _OF_MODELS)
    of_user = cached_properties(cls)
    if not of_user and hidden.isdisjoint(state):
        return state
    return {
        key: value
        for key, value in state.items()
        if key not in hidden
        and not (key in of_user and (not of_user[key] or (not as_held and type(value) in _SCALARS)))
    }


def cached_properties(cls: type) -> dict[str, bool]:
    """Return the names of the cached properties of a class, and whether the user defined them."""
    known = _cached_by_class.get(cls)
    if known is None:
        known = _cached_by_class[cls] = {}
        for base in reversed(mro(cls)):
            for name, entry in class_namespace(base).items():
                if isinstance(entry, functools.cached_property):
                    known[name] = is_user_object(base)
                else:
                    known.pop(name, None)  # overwritten by something else
    return known


_cached_by_class: WeakKeyDictionary[type, dict[str, bool]] = WeakKeyDictionary()


def limited_items(items: Iterator[Any], value: Any, base: type) -> list[Any]:
    """Return the items of a reduction; if iterators of the user may not end, the content that the base class holds."""
    if type(items) in _FINITE:
        return list(items)
    found = list(islice(items, MAX_ITEMS + 1))
    if len(found) <= MAX_ITEMS:
        return found
    if not issubclass(type(value), base):
        raise OverflowError  # the object counts by its class
    return list(list.__iter__(value) if base is list else dict.items(value))


def wrapped(value: Any, cls: type) -> tuple[FunctionType, dict[str, Any] | None] | None:
    """Return the function that a callable object wraps, and the object's own attributes as far as they count."""
    if issubclass(cls, functools.partial) or class_entry(cls, "__factory__") is not MISSING:
        return None
    for attribute in ("__wrapped__", "py_func"):  # functools and its like; numba
        function = static_attribute(value, attribute)
        if type(function) is not FunctionType:
            continue
        if is_user_object(cls) and is_fully_readable(cls):
            own = object_state(value)[1]
        elif attribute == "__wrapped__":
            own = namespace(value) or {}
            # wrapt keeps the decorator's code in this attribute.
            wrapper = static_attribute(value, "_self_wrapper")
            own = own if wrapper is MISSING else {"_self_wrapper": wrapper, **own}
        else:
            return function, None
        return function, {key: own[key] for key in own if key not in OF_WRAPPERS}
    return None
