"""Entry points of the graph: show it, update it after each cell, and stop.

Nothing here raises into the code of the user.
"""

from __future__ import annotations

import sys
import weakref
from pathlib import Path
from typing import Any

from pyplant.errors import logger
from pyplant.notebook.graph.controller import GraphController
from pyplant.plant import Plant

__all__ = ["after_cell", "close", "show_graph"]

_controllers: weakref.WeakKeyDictionary[Plant, GraphController] = weakref.WeakKeyDictionary()
_showing: list[GraphController] = []  # also those whose plants have ended


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
        _controller_of(plant, shell).show()
    except Exception as error:  # noqa: BLE001 - the caller shows text instead, which reports errors of the plant
        logger().info("The graph cannot be drawn: %s", error)
        logger().debug("Why it cannot be drawn:", exc_info=True)
        return False
    return True


def after_cell() -> None:
    """Update all shown graphs after a cell, if that is quick.

    The graph of a plant that was closed or is gone, as after a cell with ``plant = Plant("my-project")`` was run again,
    shows the plant that a variable of the notebook now has in the same directory.
    """
    for controller in _showing:
        try:
            shell = _notebook_shell()
            plant = _open_plant(shell, controller.directory) if controller.has_ended else None
            if plant is not None:
                _controller_of(plant, shell).take_over(controller)
            if not controller.after_cell():
                _forget(controller)
        except Exception:  # noqa: BLE001 - a failing graph must not fail the cell
            logger().exception("The graph could not be brought up to date.")


def close() -> None:
    """Stop updating graphs; what is shown stays as it is."""
    for controller in _showing:
        controller.close()
    _showing.clear()
    _controllers.clear()


def _controller_of(plant: Plant, shell: Any) -> GraphController:
    controller = _controllers.get(plant)
    if controller is None:
        controller = _controllers[plant] = GraphController(plant, shell)
        _showing.append(controller)
    return controller


def _forget(controller: GraphController) -> None:
    _showing.remove(controller)
    for plant, known in list(_controllers.items()):
        if known is controller:
            del _controllers[plant]


def _open_plant(shell: Any, directory: Path) -> Plant | None:
    """Return the plant in a directory that a variable of the notebook has; ``None`` if there is none."""
    values = list(shell.user_ns.values()) if shell is not None else []
    found = (value for value in values if isinstance(value, Plant) and not value.is_closed)
    return next((plant for plant in found if plant.directory == directory), None)


def _notebook_shell() -> Any:
    """Return the IPython shell if it runs in a kernel, else ``None``."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if getattr(shell, "kernel", None) is not None else None
