"""The members that the body of a class defines, without what decorators and the interpreter add.

Methods that ``dataclass``, ``attrs``, ``NamedTuple`` and ``Enum`` generate follow from the
fields and options, which count in their place: the generated code differs between Python versions.
"""

from __future__ import annotations

import collections
import copyreg
import dataclasses
import enum
import functools
import types
from _abc import _get_dump  # type: ignore[import-not-found]
from collections.abc import Iterator
from types import FunctionType
from typing import Any

from pyplant.fingerprint.attributes import object_state, qualname_of
from pyplant.fingerprint.enum_members import enum_members
from pyplant.fingerprint.metadata import annotation_names
from pyplant.fingerprint.origin import is_user_file, is_user_object

__all__ = ["members", "names_in_annotations", "registrations", "users_registered", "watched_names"]


_IGNORED = frozenset(
    [
        "__module__",
        "__qualname__",
        "__doc__",
        "__dict__",
        "__weakref__",
        "__annotations__",
        "__annotate__",
        "__annotate_func__",
        "__annotations_cache__",
        "__conditional_annotations__",
        "__slotnames__",
        "__static_attributes__",
        "__firstlineno__",
        "__abstractmethods__",
        "__parameters__",
        "__orig_bases__",
        "__type_params__",
        "__classcell__",
        "_abc_impl",
    ]
)
_OF_TYPING = frozenset(  # what protocols and typed dictionaries store in the class; it differs by version
    [
        "_is_protocol",
        "_is_runtime_protocol",
        "__protocol_attrs__",
        "__callable_proto_members_only__",
        "__non_callable_proto_members__",
        "__readonly_keys__",
        "__mutable_keys__",
        "__extra_items__",
        "__closed__",
    ]
)
_OF_PYDANTIC = (
    frozenset(  # what defines a model; its other __pydantic_ attributes are derived and contain addresses
        [
            "__pydantic_config__",
            "__pydantic_decorators__",
            "__pydantic_extra_info__",
            "__pydantic_fields__",
            "__pydantic_generic_metadata__",
        ]
    )
)
_DESCRIPTORS = frozenset({staticmethod, classmethod, property, functools.cached_property})
_OF_CACHED_PROPERTIES = frozenset({"func", "attrname", "lock"})
_GENERATED = ("<string>", "<attrs generated")
_MARKS = ("__dataclass_fields__", "__attrs_attrs__", "_fields")
_OPTIONS = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")  # those of all Python versions


def watched_names(cls: type) -> tuple[str, ...]:
    """Return the names in a class that count."""
    return tuple(key for key in vars(cls) if key not in _IGNORED)


def members(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the members that the body of a user's class defines, with their names."""
    if issubclass(cls, enum.Enum):
        for key, value in enum_members(cls):
            if key not in _IGNORED:
                yield key, _unwrapped(value)
        return
    of_typing = type(cls).__module__ == "typing"  # protocols, typed dictionaries
    generated = of_typing or any(mark in vars(cls) for mark in _MARKS)
    ignored = _IGNORED | _OF_TYPING if of_typing else _IGNORED
    if "__pydantic_fields__" in vars(cls):
        ignored |= {
            "__signature__",
            *(key for key in vars(cls) if key.startswith("__pydantic_")),
        } - _OF_PYDANTIC
    for key, value in vars(cls).items():
        if key == "__dataclass_fields__":
            yield key, [_field(field) for field in value.values()]
        elif key == "__dataclass_params__":
            yield key, [getattr(value, option) for option in _OPTIONS]
        elif key not in ignored and not (generated and _is_generated(key, value)):
            yield key, _unwrapped(value)
        elif key == "__getattr__":
            yield from _cached_properties_of_attrs(value)
    # Dataclasses and their like make fields of the annotations, and check or convert values by their types.
    annotations = vars(cls).get("__annotations__")
    if type(annotations) is dict and annotations:
        yield "annotations", annotations


def registrations(cls: type) -> tuple[list[str], Any]:
    """Return what was registered for a class elsewhere: its virtual subclasses by name, and its reduction for :mod:`copyreg`.

    Reductions of libraries do not count: tblib, which distributed loads, registers one for all classes of exceptions.
    """
    registered = _get_dump(cls)[0] if "_abc_impl" in vars(cls) else ()
    found = (reference() for reference in registered)
    reduction = copyreg.dispatch_table.get(cls)
    counts = reduction is not None and is_user_object(reduction)
    return sorted(qualname_of(each) for each in found if each is not None), reduction if counts else None


def users_registered(cls: type) -> tuple[str, ...]:
    """Return the names of users' classes that were registered for an abstract class of a library, or for one below it."""
    found: set[str] = set()
    stack, seen = [cls] if "_abc_impl" in vars(cls) else [], {id(cls)}
    while stack:
        each = stack.pop()
        registered = _get_dump(each)[0] if "_abc_impl" in vars(each) else ()
        classes = (reference() for reference in registered)
        found.update(qualname_of(one) for one in classes if one is not None and is_user_object(one))
        below: type
        for below in type.__subclasses__(each):
            if id(below) not in seen:
                seen.add(id(below))
                stack.append(below)
    return tuple(sorted(found))


def names_in_annotations(cls: type) -> Iterator[tuple[str, ...]]:
    """Yield the names, each with its attributes, in those annotations of a class that are texts."""
    annotations = vars(cls).get("__annotations__")
    for annotation in annotations.values() if type(annotations) is dict else ():
        if type(annotation) is str:
            yield from annotation_names(annotation)


def _field(field: Any) -> list[Any]:
    default = [] if field.default is dataclasses.MISSING else [field.default]
    factory = [] if field.default_factory is dataclasses.MISSING else [field.default_factory]
    flags = [field.init, field.repr, field.compare, field.hash, bool(field.kw_only)]
    return [field.name, default, factory, flags, dict(field.metadata)]


def _is_generated(key: str, value: Any) -> bool:
    if isinstance(value, classmethod | staticmethod):
        value = value.__func__
    if type(value).__name__ == "_tuplegetter":
        return True
    if not isinstance(value, FunctionType):
        return False
    filename = value.__code__.co_filename
    if key.startswith("__") and key.endswith("__"):
        return filename.startswith(_GENERATED) or not is_user_file(filename)
    return filename == collections.namedtuple.__code__.co_filename  # noqa: PYI024 - its file is asked for


def _cached_properties_of_attrs(method: Any) -> Iterator[tuple[str, Any]]:
    """Yield the functions of cached properties, which attrs moves from a class with slots to a method that it generates."""
    for default in (isinstance(method, FunctionType) and method.__defaults__) or ():
        if type(default) is dict:
            yield "cached properties", default


def _unwrapped(value: Any) -> Any:
    """Return a descriptor as a list of its kind and functions, so that the functions count by their code."""
    if isinstance(value, staticmethod | classmethod):
        return [type(value).__name__, value.__func__, *_own_kind(value)]
    if isinstance(value, property):
        return ["property", value.fget, value.fset, value.fdel, *_own_kind(value)]
    if isinstance(value, functools.cached_property):
        return ["cached_property", value.func, *_own_kind(value)]
    if isinstance(
        value, types.MemberDescriptorType | types.GetSetDescriptorType | types.ClassMethodDescriptorType
    ):
        return value.__name__
    return value


def _own_kind(descriptor: Any) -> list[Any]:
    """Return the class and attributes of a descriptor whose class is derived from one of Python's."""
    if type(descriptor) in _DESCRIPTORS:
        return []
    attributes = {
        name: own
        for name, own in object_state(descriptor)[1].items()
        if not name.startswith("__") and name not in _OF_CACHED_PROPERTIES
    }
    return [type(descriptor), attributes]
