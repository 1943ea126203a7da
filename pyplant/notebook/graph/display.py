"""Entry points of the graph: show it, update it after each cell, and stop.

Nothing here raises into the code of the user.
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
        ``False`` in a terminal, or if the graph cannot be drawn; the caller then shows text.
    """
    shell = _notebook_shell()
    if shell is None:
        return False
    try:
        controller = _controllers.get(plant)
        if controller is None:
            controller = _controllers[plant] = GraphController(plant, shell)
        controller.show()
    except Exception as error:  # noqa: BLE001 - the caller shows text instead, which reports errors of the plant
        logger().info("The graph cannot be drawn: %s", error)
        logger().debug("Why it cannot be drawn:", exc_info=True)
        return False
    return True


def after_cell() -> None:
    """Update all shown graphs after a cell, if that is quick."""
    for plant, controller in list(_controllers.items()):
        try:
            if not controller.after_cell():
                _controllers.pop(plant, None)
        except Exception:  # noqa: BLE001 - a failing graph must not fail the cell
            logger().exception("The graph could not be brought up to date.")


def close() -> None:
    """Stop updating graphs; what is shown stays as it is."""
    for controller in list(_controllers.values()):
        controller.close()
    _controllers.clear()


def _notebook_shell() -> Any:
    """Return the IPython shell if it runs in a kernel, else ``None``."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if getattr(shell, "kernel", None) is not None else None
