"""Data pipelines that rerun only what an edit really touched.

Write plain functions that receive and send named values; PyPlant runs them in the right
order, keeps the results on disk, and reruns what a change of code, configuration or input
affects::

    from pyplant import *

    @ReactorFunc
    def load(pipe):
        pipe.send("numbers", [1, 2, 3])

    @ReactorFunc
    def total(pipe):
        numbers = yield pipe.receive("numbers")
        pipe.send("total", sum(numbers))

    with Plant("plant") as plant:
        print(plant.get("total"))
"""

import sys as _sys
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from pyplant import specs
from pyplant._original_names import MODULE_NAMES as _MODULE_NAMES
from pyplant._original_names import replaced as _replaced
from pyplant.config.classes import ConfigBase, ConfigValue
from pyplant.ingredient import Ingredient
from pyplant.pipework import Pipework
from pyplant.plant import Plant
from pyplant.reactor import ReactorFunc, SubreactorFunc

if _TYPE_CHECKING:
    from pyplant.portable import load_ingredients as load_ingredients  # public, but not starred

__version__ = "2.0.0"

# What a star import brings: nothing that shadows a builtin.
__all__ = [
    "ConfigBase",
    "ConfigValue",
    "Ingredient",
    "Pipework",
    "Plant",
    "ReactorFunc",
    "SubreactorFunc",
    "specs",
]


def load_ipython_extension(ipython: _Any) -> None:
    """Do what ``%load_ext pyplant`` asks for."""
    from pyplant.notebook import load_extension

    load_extension(ipython)


def unload_ipython_extension(ipython: _Any) -> None:
    """Do what ``%unload_ext pyplant`` asks for."""
    from pyplant.notebook import unload_extension

    unload_extension(ipython)


def _attach() -> None:
    """Follow the cells, if this is imported in IPython; elsewhere nothing of it is loaded."""
    shell = getattr(_sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None:
        from pyplant.notebook import attach

        attach(shell)


_attach()


def __dir__() -> list[str]:
    """Return the public names, for completion; submodules that others have imported are not among them."""
    return sorted([*__all__, "load_ingredients", *(name for name in globals() if name.startswith("__"))])


def __getattr__(name: str) -> _Any:
    """Load what few need when it is first asked for."""
    if name == "load_ingredients":
        from pyplant.portable import load_ingredients

        return load_ingredients
    raise _replaced("module 'pyplant'", name, _MODULE_NAMES)
