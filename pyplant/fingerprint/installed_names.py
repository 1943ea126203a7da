"""Objects that an installed module holds under a name, and that count by it.

A module that an object or its class names proves nothing: only that the module holds that
very object does.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

from pyplant.fingerprint.attributes import module_of, namespace, safe_getattr, static_attribute
from pyplant.fingerprint.origin import LOADED, is_user_module, package_name

__all__ = ["holds_itself", "installed_name"]

_BOUND = (types.MethodType, types.BuiltinMethodType, type([].__len__))


def installed_name(obj: Any) -> str:
    """The package and the name of an object that an installed module holds, else ``""``.

    Found are functions, methods of objects (``random.random``), NumPy's ufuncs and other objects that
    the module of their class defines as names (``os.environ``, ``polars.col``).
    """
    for module in _homes(obj):
        name = "" if is_user_module(module) else _name_in(module, obj)
        if name:
            return f"{package_name(module.__name__)}:{name}"
    return ""


def _homes(obj: Any) -> Iterator[types.ModuleType]:
    """The modules that may hold an object: those that it, its class or what it is bound to come from."""
    cls = type(obj)
    names = [static_attribute(obj, "__module__"), module_of(cls)]
    if issubclass(cls, _BOUND):
        bound = static_attribute(obj, "__self__")
        names += [module_of(type(bound)), *([module_of(bound)] if issubclass(type(bound), type) else [])]
    for name in dict.fromkeys(name for name in names if type(name) is str):
        module = LOADED.get(name)
        if module is not None and issubclass(type(module), types.ModuleType) and name != "builtins":
            yield module


def _name_in(module: types.ModuleType, obj: Any) -> str:
    members = namespace(module) or {}
    for attribute in ("__qualname__", "__name__"):
        name = static_attribute(obj, attribute)
        if type(name) is str and members.get(name) is obj:
            return name
    return next((name for name, member in tuple(members.items()) if member is obj), "")


def holds_itself(obj: Any, name: str) -> bool:
    """Whether some module has an object under the name that it gives itself."""
    own = module_of(type(obj))
    for home in (static_attribute(obj, "__module__"), own, package_name(own)):
        found: Any = LOADED.get(home) if type(home) is str else None
        for step in name.split("."):
            found = safe_getattr(found, step, None)
        if found is obj:
            return True
    return False
