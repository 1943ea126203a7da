"""The names of objects that installed modules hold. Such an object counts by its name.

``__module__`` and ``__qualname__`` of an object prove nothing, since a user's object may carry those of a
library. So an object counts by name only if the module holds this very object.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

from pyplant.fingerprint.attributes import module_of, namespace, qualname_of, safe_getattr, static_attribute
from pyplant.fingerprint.origin import (
    LOADED,
    find,
    is_user_module,
    is_user_object,
    is_users_function,
    package_name,
)

__all__ = ["holds_itself", "installed_name", "is_users_class"]

_FACTORIES = frozenset(["abc", "collections", "dataclasses", "types", "typing"])
_IN_C = (types.GetSetDescriptorType, types.MethodDescriptorType, types.WrapperDescriptorType)
_OF_OBJECT = frozenset(["__dict__", "__weakref__"])
_OTHER_HOLDERS = {("numpy", "ufunc"): ("scipy.special",)}
"""Modules that hold objects which name neither them nor their package, by module and name of their class."""
_BOUND = (types.MethodType, types.BuiltinMethodType, type([].__len__))


def installed_name(obj: Any) -> str:
    """Return the package and the name of an object if an installed module holds it, else ``""``.

    This covers functions, bound methods (``random.random``), NumPy's ufuncs, and objects in the module of
    their class (``os.environ``, ``polars.col``).
    """
    for module in _candidate_modules(obj):
        name = "" if is_user_module(module) else _name_in(module, obj)
        if name:
            return f"{package_name(module.__name__)}:{name}"
    return ""


def _candidate_modules(obj: Any) -> Iterator[types.ModuleType]:
    """Yield the modules that may hold an object: those named by it, its class, or the object it is bound to."""
    cls = type(obj)
    names = [static_attribute(obj, "__module__"), module_of(cls)]
    if issubclass(cls, _BOUND):
        bound = static_attribute(obj, "__self__")
        names += [module_of(type(bound)), *([module_of(bound)] if issubclass(type(bound), type) else [])]
    names += _OTHER_HOLDERS.get((module_of(cls), qualname_of(cls)), ())
    known = [name for name in names if type(name) is str]
    # A package may hold what a module in C defines, such as torch.default_generator.
    for name in dict.fromkeys([*known, *map(package_name, known)]):
        module = LOADED.get(name)
        if module is not None and issubclass(type(module), types.ModuleType) and name != "builtins":
            yield module


def _name_in(module: types.ModuleType, obj: Any) -> str:
    # By its own name first, which is stable if the module has the object under several names.
    members = namespace(module) or {}
    for attribute in ("__qualname__", "__name__"):
        name = static_attribute(obj, attribute)
        if type(name) is str and members.get(name) is obj:
            return name
    # A copy of the items, since another thread may import modules and change the namespace.
    return next((name for name, member in tuple(members.items()) if member is obj), "")


def is_users_class(cls: type) -> bool:
    """Return whether a class is defined in user code, whatever module it names.

    A class that a factory of the standard library makes (``types.new_class``, ``ABCMeta``) names the module of
    the factory, and any class can set its ``__module__``.
    """
    if is_user_object(cls):
        return True
    module = LOADED.get(module_of(cls))
    if module is None or find(module, qualname_of(cls)) is cls:
        return False
    entries = tuple(vars(cls).items())
    if any(type(value) in _IN_C and name not in _OF_OBJECT for name, value in entries):
        return False
    return module_of(cls) in _FACTORIES or any(_is_users_member(value) for _, value in entries)


def _is_users_member(value: Any) -> bool:
    if type(value) in (classmethod, staticmethod):
        value = value.__func__
    if type(value) is property:
        value = value.fget
    return is_users_function(value)


def holds_itself(obj: Any, name: str) -> bool:
    """Return whether a module holds an object under the name that pickle has for it."""
    own = module_of(type(obj))
    # typing.NoDefault, of type parameters from Python 3.13 on, has a class that claims to be a builtin.
    own = "typing" if own == "builtins" else own
    for module_name in (static_attribute(obj, "__module__"), own, package_name(own)):
        found: Any = LOADED.get(module_name) if type(module_name) is str else None
        for step in name.split("."):
            found = safe_getattr(found, step, None)
        if found is obj:
            return True
    return False
