"""User code in installed modules and classes, and among the builtins: monkeypatches and registered accessors.

Installed code counts by its name. What the user has put into it is the user's. It is followed where code names it, and where
code uses the package, if the text of user code tells of it (:mod:`pyplant.fingerprint.assignments`).
"""

from __future__ import annotations

import sys
from abc import ABCMeta
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any

from pyplant._missing import MISSING
from pyplant.fingerprint.assignments import (
    Attribute,
    assigned_attributes,
    assigned_effects,
    entries,
    is_assigned,
    package_of,
)
from pyplant.fingerprint.attributes import qualname_of, static_attribute
from pyplant.fingerprint.bytecode import nested
from pyplant.fingerprint.class_members import users_registered
from pyplant.fingerprint.graph_node import cell_content
from pyplant.fingerprint.installed_names import installed_name, is_users_class
from pyplant.fingerprint.module_effects import effect_function, is_effect
from pyplant.fingerprint.node_scope import NodeScope
from pyplant.fingerprint.origin import LOADED, is_users_function

__all__ = ["accessors", "add_assigned", "add_assigned_to", "add_patches", "is_only_installed", "users_part"]

_WITH_ACCESSORS = (
    *(("pandas", name) for name in ("DataFrame", "Series", "Index")),
    *(("xarray", name) for name in ("DataArray", "Dataset")),
    *(("polars", name) for name in ("DataFrame", "LazyFrame", "Series", "Expr")),
)
"""Classes that users extend by accessors, whose names appear in code as attributes of any object."""
_BY_TEXT = frozenset({"attrgetter", "getattr", "hasattr", "methodcaller", "vars"})
"""Functions that take the name of an attribute as a text."""


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


def add_patches(scope: NodeScope, value: Any, chain: list[str]) -> None:
    """Add the user's objects on a chain of attributes that begins in installed code.

    The chain ends at the first object that is neither a module nor a class.
    """
    for name in chain:
        if not issubclass(type(value), ModuleType | type):
            return
        found = scope.watch(entries(value), name)
        if issubclass(type(value), type) and is_users_class(value):  # which counts as a whole
            value = found
            continue
        scope.packages.add(package_of(value))
        part = users_part(found)
        if part is not MISSING or (is_assigned(value, name) and not issubclass(type(found), ModuleType)):
            _add_attribute(scope, Attribute(value, name), found, part)
        elif _may_have_registered(found):
            scope.add(
                f"abstract {qualname_of(found)}", found
            )  # of which the user may have registered classes
        value = found


def _may_have_registered(found: Any) -> bool:
    """Return whether something is an abstract class of a library for which the user may have registered classes."""
    if not issubclass(type(found), ABCMeta) or is_users_class(found):
        return False
    # Other packages may import a class when it is first asked for, so that a fingerprint would change then.
    return package_of(found) in sys.stdlib_module_names or bool(users_registered(found))


def add_assigned(scope: NodeScope, function: FunctionType) -> None:
    """Add what user code changes of the packages that a function refers to, or of classes by names in it."""
    assigned, effects = assigned_attributes(), () if is_effect(function) else assigned_effects()
    if not (assigned or effects):
        return
    names, texts = _words_in(function.__code__)
    words = dict.fromkeys([*names, *texts])  # getattr() takes a name as a text
    targets = {id(edge.target) for edge in scope.edges()} if effects else set()
    used = [each for each in effects if each.is_used_by(scope.packages, words, texts, targets)]
    for number, effect in enumerate(used):
        scope.add(f"effect {number:04}", effect_function(effect), effect.key, effect.module)
    for each in assigned:
        if each.is_used_by(scope.packages, words):
            scope.watch(entries(each.holder), each.name)
            value = each.value()
            _add_attribute(scope, each, value, users_part(value))


def add_assigned_to(scope: NodeScope, module: ModuleType) -> None:
    """Add what user code assigns to attributes of an installed module, which may be passed on as a value."""
    for each in assigned_attributes():
        if each.holder is module and each.counts_for_package:
            scope.watch(entries(module), each.name)
            _add_attribute(scope, each, each.value(), users_part(each.value()))


def _add_attribute(scope: NodeScope, attribute: Attribute, value: Any, part: Any) -> None:
    """Add the value of an attribute, by the user's part of it if there is one; what the package itself defines does not count."""
    label = f"assigned {attribute.label}"
    if part is not MISSING:
        scope.add(label, part, attribute.name, attribute.owner)
    elif value is not MISSING and not attribute.is_original(value):
        scope.add(label, value, attribute.name, attribute.owner)


def _words_in(code: CodeType) -> tuple[list[str], list[str]]:
    """Return the names and the texts in code."""
    names: list[str] = []
    texts: list[str] = []
    for part in nested(code):
        names += part.co_names
        texts += [each for each in part.co_consts if type(each) is str]
    return names, texts


def accessors(code: CodeType) -> Iterator[tuple[Mapping[str, Any], str, Any]]:
    """Yield the accessors of tables whose names are in code: the namespace of the table, the name and the user's class."""
    spaces = [
        vars(entries)
        for module, class_name in _WITH_ACCESSORS
        if module in LOADED and issubclass(type(entries := vars(LOADED[module]).get(class_name)), type)
    ]
    names, texts = _words_in(code) if spaces else ([], [])
    if not _BY_TEXT.isdisjoint(names):
        names = [*names, *texts]
    for space in spaces:
        for name in dict.fromkeys(names):
            if name in space:
                found = users_part(space[name])
                if found is not MISSING:
                    yield space, name, found
