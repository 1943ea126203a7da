"""Variables of modules: their values, and which ones an object is the value of."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from pyplant._missing import MISSING
from pyplant.fingerprint.node_scope import SCALAR_TYPES
from pyplant.fingerprint.origin import find, is_user_module
from pyplant.workers.messages import Variable
from pyplant.workers.user_modules import capture_user_modules

__all__ = ["Namespace", "SameValue", "holders", "home", "module_of_namespace", "value_of"]


class Namespace(NamedTuple):
    """Stands for the namespace of a module."""

    module: str


class SameValue(NamedTuple):
    """Stands for the value of another variable."""

    place: Variable


def value_of(variable: Variable) -> Any:
    """Return the value of a variable; ``MISSING`` if it was deleted."""
    return vars(sys.modules[variable.module]).get(variable.name, MISSING)


def holders(variable: Variable) -> list[Variable]:
    """Return a variable, and those of user modules that hold the same object, since code may compare and change it."""
    value = value_of(variable)
    if isinstance(value, type | FunctionType | ModuleType) or type(value) in SCALAR_TYPES:
        return [variable]
    names = [name for name in (*capture_user_modules(), "__main__") if name in sys.modules]
    spaces = [(name, tuple(vars(sys.modules[name]).items())) for name in names]
    return [
        variable,
        *(Variable(name, key) for name, space in spaces for key, held in space if held is value),
    ]


def home(obj: Any) -> Variable | None:
    """Return the variable that user code is found under by its name, if it is what its name says."""
    module = sys.modules.get(obj.__module__ or "")
    if module is None or not is_user_module(module) or find(module, obj.__qualname__) is not obj:
        return None
    return Variable(obj.__module__, obj.__qualname__.partition(".")[0])


def module_of_namespace(function: FunctionType) -> str | None:
    """Return the name of the user module whose namespace a function has."""
    name = function.__globals__.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is None or vars(module) is not function.__globals__ or not is_user_module(module):
        return None
    return name
