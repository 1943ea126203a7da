"""Notices when other processes begin or end to execute reactors of a plant, while this kernel is idle.

A thread looks every two seconds at the names in the directory of claims, which costs less than a millisecond, and
refreshes the graph if they have changed. Only while no cell runs: then the end of the cell refreshes it.
"""

from __future__ import annotations

import contextvars
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

from pyplant import _definitions
from pyplant.errors import logger
from pyplant.plant import Plant, session_of

__all__ = ["OtherProcesses"]

_PERIOD = 2.0  # seconds


class OtherProcesses:
    """Watches the claims of other processes on a plant, until the plant or its graph is closed.

    Parameters
    ----------
    plant
        The plant; it is not kept alive.
    changed
        Called by the thread when other processes have begun or ended executions; it is not kept alive either.
    """

    def __init__(self, plant: Plant, changed: Callable[[], object]) -> None:
        self._plant = weakref.ref(plant)
        self._changed = weakref.WeakMethod(changed)
        self._closed = threading.Event()
        self._held: frozenset[str] = frozenset()
        # A copy of the context: without it, a thread of ipykernel 7.0 cannot send messages.
        context = contextvars.copy_context()
        with suppress(RuntimeError):  # Pyodide has no threads
            threading.Thread(
                target=context.run, args=(self._watch,), name="pyplant-others", daemon=True
            ).start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def look(self) -> bool:
        """Refresh if claims have changed; return ``False`` if there is nothing to watch any more."""
        plant, changed = self._plant(), self._changed()
        if plant is None or changed is None or plant.is_closed:
            return False
        if _definitions.running_cell is None and not session_of(plant).runs:
            held = frozenset(session_of(plant).warehouse.claims.held_by_others())
            if held != self._held:
                self._held = held
                changed()
        return True

    def _watch(self) -> None:
        while not self._closed.wait(_PERIOD):
            try:
                if not self.look():
                    return
            except Exception:  # noqa: BLE001 - a cell may define something meanwhile; the next look succeeds
                logger().debug("Other processes cannot be watched:", exc_info=True)
