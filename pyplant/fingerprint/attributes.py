"""Reading the content of objects without running code of their classes.

Ordinary attribute access is not safe for arbitrary objects. They may have an answer for every
name (mocks, proxies, expressions), return a new object each time, raise any exception, or report
a wrong class. So these functions look names up in the namespaces of the type's bases and in the
object's own dictionary, and call only descriptors that are implemented in C, and properties.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

from pyplant._missing import MISSING

__all__ = [
    "attributes_of",
    "class_entry",
    "class_namespace",
    "has_dynamic_attributes",
    "is_fully_readable",
    "module_of",
    "mro",
    "namespace",
    "object_state",
    "pickling_methods",
    "qualname_of",
    "safe_getattr",
    "static_attribute",
]


mro = type.__dict__["__mro__"].__get__
class_namespace = type.__dict__["__dict__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_module = type.__dict__["__module__"].__get__
_C_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)
_BUILTIN = (tuple, list, dict, set, frozenset, str, bytes, int, float, complex)
_BUILTIN_BASES = (object, *_BUILTIN)
_POINTER = tuple.__itemsize__
_PICKLING = ("__reduce_ex__", "__reduce__", "__getnewargs_ex__", "__getnewargs__", "__getstate__")


def class_entry(cls: type, name: str) -> Any:
    """Return the entry for a name in a class or its bases, unbound, or :data:`MISSING`."""
    for base in mro(cls):
        entries = class_namespace(base)
        if name in entries:
            return entries[name]
    return MISSING


def module_of(cls: type) -> str:
    """Return the module name of a class; ``""`` if its ``__module__`` is no string."""
    own = class_namespace(cls).get("__module__", MISSING)
    if own is MISSING:
        own = _module(cls)  # a class made in C has it as part of its name
    return own if type(own) is str else ""


def qualname_of(cls: type) -> str:
    """Return the qualified name of a class, without asking its metaclass."""
    return str(_qualname(cls))


def namespace(obj: Any) -> dict[str, Any] | None:
    """Return the ``__dict__`` of an object that is no class, or ``None`` if it has none."""
    for base in mro(type(obj)):
        descriptor = class_namespace(base).get("__dict__")
        if type(descriptor) in _C_DESCRIPTORS:  # modules have a member descriptor, other objects a getset
            found = _descriptor_value(descriptor, obj)
            return found if type(found) is dict else None
    return None


def static_attribute(obj: Any, name: str) -> Any:
    """Return an attribute of an object that is no class, or :data:`MISSING`.

    The attribute may be in the object's dictionary, in its class, or computed by a descriptor in C
    or a property. ``__getattr__`` is not called.
    """
    # A data descriptor of the class takes precedence over the object's dictionary, as in getattr.
    entry = class_entry(type(obj), name)
    if type(entry) in _C_DESCRIPTORS or type(entry) is property:
        return _descriptor_value(entry, obj)
    own = namespace(obj)
    return entry if own is None or name not in own else own[name]


def _descriptor_value(descriptor: Any, obj: Any) -> Any:
    try:
        return descriptor.__get__(obj, type(obj))
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - some libraries raise what is no Exception (a panic in Rust)
        return MISSING


def safe_getattr(obj: Any, name: str, default: Any) -> Any:
    """Like ``getattr``, but also returns the default if anything else than ``AttributeError`` is raised."""
    try:
        return getattr(obj, name, default)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a module's __getattr__ may raise anything
        return default


def has_dynamic_attributes(cls: type) -> bool:
    """Return whether a class computes attributes on access, by ``__getattr__`` or ``__getattribute__``."""
    if class_entry(cls, "__getattr__") is not MISSING:
        return True
    found: object = class_entry(cls, "__getattribute__")
    return not any(found is class_namespace(base).get("__getattribute__") for base in _BUILTIN_BASES)


def pickling_methods(cls: type) -> set[str]:
    """Return the special methods for pickling that a class or its bases define, builtin bases left out."""
    found: set[str] = set()
    for base in mro(cls):
        if base in _BUILTIN_BASES:
            break
        found.update(class_namespace(base).keys() & set(_PICKLING))
    return found


def is_fully_readable(cls: type) -> bool:
    """Return whether the content of an instance is all in its dictionary, its slots and its builtin base."""
    # A type in C may keep content outside of these; then its instances are larger than the sum of the parts.
    base = next(base for base in mro(cls) if base in _BUILTIN_BASES)
    extra = sum(1 for _ in _slots(cls)) + (cls.__dictoffset__ > 0) + (cls.__weakrefoffset__ > 0)
    return bool(cls.__basicsize__ <= base.__basicsize__ + extra * _POINTER)


def object_state(obj: Any) -> tuple[Any, dict[str, Any]]:
    """Return the content of an object's builtin base, ``None`` without one, and its attributes by name."""
    cls = type(obj)
    base = next(base for base in mro(cls) if base in _BUILTIN_BASES)
    content = None if base is object else _CONTENT.get(base, _newargs)(base, obj)
    return content, attributes_of(obj)


def attributes_of(obj: Any) -> dict[str, Any]:
    """Return the attributes of an object that is no class, in its dictionary and its slots."""
    attributes = dict(namespace(obj) or {})
    for name, member in _slots(type(obj)):
        found = _descriptor_value(member, obj)
        if found is not MISSING:
            attributes.setdefault(name, found)
    return attributes


def _newargs(base: Any, obj: Any) -> Any:
    return base.__getnewargs__(obj)


_CONTENT: dict[type, Callable[[Any, Any], Any]] = {
    tuple: lambda base, obj: tuple(base.__iter__(obj)),
    list: lambda base, obj: list(base.__iter__(obj)),
    dict: lambda base, obj: dict(base.items(obj)),
    set: lambda base, obj: set(base.__iter__(obj)),
    frozenset: lambda base, obj: frozenset(base.__iter__(obj)),
}


def _slots(cls: type) -> Iterator[tuple[str, Any]]:
    for base in mro(cls):
        for name, entry in class_namespace(base).items():
            if type(entry) is types.MemberDescriptorType:
                yield name, entry
