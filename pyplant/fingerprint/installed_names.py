"""The names of objects that installed modules hold. Such an object counts by its name.

``__module__`` and ``__qualname__`` of an object prove nothing, since a user's object may carry those of a
library. So an object counts by name only if the module holds this very object.
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
    for name in dict.fromkeys(name for name in names if type(name) is str):
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


def holds_itself(obj: Any, name: str) -> bool:
    """Return whether a module holds an object under the name that pickle has for it."""
    own = module_of(type(obj))
    for module_name in (static_attribute(obj, "__module__"), own, package_name(own)):
        found: Any = LOADED.get(module_name) if type(module_name) is str else None
        for step in name.split("."):
            found = safe_getattr(found, step, None)
        if found is obj:
            return True
    return False
