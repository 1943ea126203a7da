"""The members of an enumeration: what its body defines, and what its members hold.

``EnumType`` rewrites the class. It adds attributes of its own, copies methods from the last base, and replaces
the values in the body by members. What it adds follows from the names and values and does not count.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from pyplant._missing import MISSING
from pyplant.fingerprint.attributes import class_entry, namespace
from pyplant.fingerprint.graph_node import Watch
from pyplant.fingerprint.origin import is_users_function

__all__ = ["enum_members", "enum_watches"]

_OF_ENUM = frozenset(
    [
        "__new_member__",
        "__objclass__",
        "__reduce_ex__",
        "_all_bits_",
        "_flag_mask_",
        "_generate_next_value_",
        "_hashable_values_",
        "_inverted_",
        "_member_map_",
        "_member_names_",
        "_member_type_",
        "_name_",
        "_new_member_",
        "_singles_mask_",
        "_sort_order_",
        "_unhashable_values_",
        "_unhashable_values_map_",
        "_use_args_",
        "_value2member_map_",
        "_value_",
        "_value_repr_",
    ]
)
"""Attributes of classes and members that follow from the body, unless the user defines them as functions."""


def enum_members(cls: type[enum.Enum]) -> Iterator[tuple[str, Any]]:
    """Yield what the body of an enumeration defines, by name; descriptors as they are."""
    yield (
        "members",
        [
            [name, member.value, {key: (namespace(member) or {})[key] for key in _attributes(member)}]
            for name, member in cls.__members__.items()
        ],
    )
    for key, value in vars(cls).items():
        if key in cls.__members__:
            continue
        function = _function(value)
        if is_users_function(function) or not (key in _OF_ENUM or _is_copied(cls, key, function)):
            yield key, value


def enum_watches(cls: type[enum.Enum]) -> Iterator[Watch]:
    """Yield tests for changes of the attributes that members have besides their values."""
    for member in cls.__members__.values():
        names = _attributes(member)
        if names:
            yield Watch.of(namespace(member) or {}, names)


def _attributes(member: enum.Enum) -> tuple[str, ...]:
    """Return the names of the attributes of a member that do not follow from others."""
    names = (namespace(member) or {}).keys() - _OF_ENUM
    return tuple(
        sorted(key for key in names if not issubclass(type(class_entry(type(member), key)), cached_property))
    )


def _is_copied(cls: type, key: str, function: Any) -> bool:
    """Return whether an entry is the one of the last base, from which ``EnumType`` copies methods."""
    if key == "_boundary_":
        return not issubclass(cls, enum.Flag)
    found = class_entry(cls.__bases__[-1], key)
    return found is not MISSING and _function(found) is function


def _function(value: Any) -> Any:
    return value.__func__ if issubclass(type(value), classmethod | staticmethod) else value
