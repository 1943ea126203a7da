"""User code in installed modules and classes, and among the builtins: monkeypatches and registered accessors.

Installed code counts by its name. What the user has put into it is the user's, and is followed where code names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any

from pyplant._missing import MISSING
from pyplant.fingerprint.attributes import namespace, static_attribute
from pyplant.fingerprint.bytecode import nested
from pyplant.fingerprint.graph_node import cell_content
from pyplant.fingerprint.installed_names import installed_name, is_users_class
from pyplant.fingerprint.origin import LOADED, is_users_function

__all__ = ["accessors", "is_only_installed", "patched", "users_part"]

_WITH_ACCESSORS = (
    *(("pandas", name) for name in ("DataFrame", "Series", "Index")),
    *(("xarray", name) for name in ("DataArray", "Dataset")),
    *(("polars", name) for name in ("DataFrame", "LazyFrame", "Series", "Expr")),
)
"""Classes that users extend by accessors, whose names appear in code as attributes of any object."""


def users_part(value: Any) -> Any:
    """Return the user's function or class that a value is or wraps, else :data:`MISSING`."""
    if type(value) in (staticmethod, classmethod):
        value = value.__func__
    elif type(value) is property:
        value = value.fget
    if type(value) is FunctionType:
        return value if _holds_users_function(value) else MISSING
    if issubclass(type(value), type):
        return value if is_users_class(value) else MISSING
    accessor = static_attribute(value, "_accessor")
    if accessor is MISSING:
        accessor = static_attribute(value, "_ns")  # of polars
    return accessor if issubclass(type(accessor), type) and is_users_class(accessor) else MISSING


def is_only_installed(function: FunctionType) -> bool:
    """Return whether an installed module holds a function, and none of the user's is in it."""
    return bool(installed_name(function)) and not _holds_users_function(function)


def _holds_users_function(function: FunctionType) -> bool:
    """Return whether a function is the user's, or a library's around one of the user's.

    A decorator of a library may have wrapped a user's function, which was then put into an installed module, or
    collect users' functions in a dictionary, as :func:`functools.singledispatch` does.
    """
    seen: set[int] = set()
    stack: list[Any] = [function]
    while stack:
        item = stack.pop()
        if type(item) is not FunctionType or id(item) in seen:
            continue
        if is_users_function(item):
            return True
        seen.add(id(item))
        inner = [*map(cell_content, item.__closure__ or ()), item.__dict__.get("__wrapped__")]
        stack += inner
        for held in inner:
            if type(held) in (dict, MappingProxyType):
                stack += held.values()
    return False


def patched(module: Any, chain: list[str]) -> Iterator[tuple[Mapping[str, Any], str, Any]]:
    """Yield the namespaces, names and objects on a chain of attributes that begins in an installed module.

    It ends at the first object that is neither a module nor a class.
    """
    value = module
    for name in chain:
        if issubclass(type(value), ModuleType):
            entries: Mapping[str, Any] = namespace(value) or {}
        elif issubclass(type(value), type):
            entries = type.__dict__["__dict__"].__get__(value)
        else:
            return
        value = entries.get(name, MISSING)
        yield entries, name, value


def accessors(code: CodeType) -> Iterator[tuple[Mapping[str, Any], str, Any]]:
    """Yield the accessors of tables whose names are in code: the namespace of the table, the name and the user's class."""
    names = dict.fromkeys(name for part in nested(code) for name in part.co_names)
    for module, class_name in _WITH_ACCESSORS:
        entries = vars(LOADED[module]).get(class_name) if module in LOADED else None
        if issubclass(type(entries), type):
            space = vars(entries)
            for name in names:
                if name in space:
                    found = users_part(space[name])
                    if found is not MISSING:
                        yield space, name, found
