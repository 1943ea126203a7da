"""What to write in place of names that only the first version of PyPlant had."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec

__all__ = ["MODULE_NAMES", "OriginalNames", "refuse_logger", "replaced"]

_P = ParamSpec("_P")

MODULE_NAMES = {
    "test": "Write pyplant.testing, and the fixture plant of pytest",
    "utils": (
        "Write pyplant.load_ingredients(directory) for load_ingredients_from_dir, and plant.export(names, directory) for "
        "store_reactor_inputs_to_dir"
    ),
}
_PLANT_NAMES = {
    "add_all_visible_reactors": "Leave it out: a plant uses every @ReactorFunc of the process unless some were added",
    "get_config_object": "Write plant.config",
    "get_reactors": "Write plant.status(), which lists them with their states",
    "is_ingredient_known": "Write plant.fetch_ingredient(name), which runs nothing and raises MissingIngredientError",
    "print_execution_history": 'Write print(plant.history("reactor")), or print what plant.run_reactor returns',
    "shutdown": "Write plant.close(), or open the plant in a with statement",
}


def replaced(owner: str, name: str, names: Mapping[str, str]) -> AttributeError:
    """Return the error for an attribute that does not exist, with what to write if the first version had it."""
    if name in names:
        return AttributeError(f"{owner} no longer has {name!r}. {names[name]}.", name=name)
    return AttributeError(f"{owner} has no attribute {name!r}", name=name)


class OriginalNames:
    """The base class of a plant: its errors for methods that only the first version had."""

    if not TYPE_CHECKING:  # type checkers must report unknown names

        def __getattr__(self, name: str) -> Any:
            raise replaced("A Plant", name, _PLANT_NAMES)


def refuse_logger(init: Callable[_P, None]) -> Callable[_P, None]:
    """Let a constructor refuse a logger as its second argument, as the first version took it."""

    @functools.wraps(init)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> None:
        if any(isinstance(argument, logging.Logger) for argument in (*args[2:3], kwargs.get("logger"))):
            message = (
                'Plant(directory) takes no logger any more: set up logging.getLogger("pyplant") instead.'
            )
            raise TypeError(message)
        init(*args, **kwargs)

    return checked
