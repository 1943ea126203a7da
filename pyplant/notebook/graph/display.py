"""The graph of a plant in a notebook: a picture that is saved with it, and a live widget.

Nothing here raises into what the user runs.
"""

from __future__ import annotations

import sys
import weakref
from typing import TYPE_CHECKING, Any

from pyplant.errors import logger
from pyplant.notebook.graph.controller import GraphController

if TYPE_CHECKING:
    from pyplant.plant import Plant

__all__ = ["after_cell", "close", "show_graph"]

_controllers: weakref.WeakKeyDictionary[Plant, GraphController] = weakref.WeakKeyDictionary()


def show_graph(plant: Plant) -> bool:
    """Show the graph of a plant in the cell that is running.

    Parameters
    ----------
    plant
        The plant.

    Returns
    -------
    is_shown
        ``False`` if there is nobody to show it to but a terminal, or nothing that can be
        drawn.
    """
    shell = _notebook()
    if shell is None:
        return False
    try:
        controller = _controllers.get(plant)
        if controller is None:
            controller = _controllers[plant] = GraphController(plant, shell)
        controller.show()
    except Exception as error:  # noqa: BLE001 - text is shown instead, and says what is wrong with a plant
        logger().info("The graph cannot be drawn: %s", error)
        logger().debug("Why it cannot be drawn:", exc_info=True)
        return False
    return True


def after_cell() -> None:
    """A cell was executed: bring what is shown up to date, if that is quick."""
    for plant, controller in list(_controllers.items()):
        try:
            if not controller.after_cell():
                _controllers.pop(plant, None)
        except Exception:  # noqa: BLE001 - the cell has succeeded, whatever becomes of a picture
            logger().exception("The graph could not be brought up to date.")


def close() -> None:
    """Follow no plant any longer; what is shown stays as it is."""
    for controller in list(_controllers.values()):
        controller.close()
    _controllers.clear()


def _notebook() -> Any:
    """The IPython shell, if it is that of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if getattr(shell, "kernel", None) is not None else None
