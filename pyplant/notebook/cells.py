"""Which cell defined which reactors, so that a notebook never keeps a ghost.

A cell that is run again replaces what it defined before, also under another name. The
front end tells who a cell is by an identifier of its own (JupyterLab sends ``cellId``, and
``deletedCells`` once a cell is gone). Without it a reactor is known by its name alone.

What a deleted cell had defined is an orphan: it serves, and gives way to any other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyplant import _definitions
from pyplant._definitions import CellExecution, Definition, declare, orphans, withdraw

__all__ = ["Cells"]


class Cells:
    """The cells of a notebook, as far as they define reactors.

    Parameters
    ----------
    shell
        The IPython shell.
    tell
        Shows one quiet line to the user.
    """

    def __init__(self, shell: Any, tell: Callable[[str], None]) -> None:
        self.raw_cell = ""
        self._shell = shell
        self._tell = tell
        self._owned: dict[str, list[Definition]] = {}
        self._before: dict[str, Definition] = {}
        self._withdrawn: list[Definition] = []

    @property
    def running(self) -> CellExecution | None:
        """The cell that is being executed."""
        return _definitions.running_cell

    def begin(self, raw_cell: str, number: int) -> None:
        """A cell is about to be executed, which the notebook will call ``In [number]``."""
        metadata = self._metadata()
        for ident in _texts(metadata.get("deletedCells")):
            orphans.update(d for d in self._owned.pop(ident, ()) if _definitions.newest(d) is d)
        run = CellExecution(str(metadata.get("cellId") or ""), number)
        self.raw_cell = raw_cell
        self._before = {
            d.key: d for d in _definitions.all_definitions() if d.cell is not None and d not in orphans
        }
        self._withdrawn = [d for d in self._owned.pop(run.ident, ()) if withdraw(d)]
        _definitions.running_cell = run

    def end(self, *, failed: bool) -> None:
        """The cell was executed; after a failure, what it did not get to defining stays."""
        run, _definitions.running_cell = _definitions.running_cell, None
        if run is None:
            return
        defined = [definition for definition in _definitions.all_definitions() if definition.cell is run]
        keys = {definition.key for definition in _definitions.all_definitions()}
        restored = [d for d in self._withdrawn if failed and d.key not in keys]
        for definition in restored:
            declare(definition)
        self._withdrawn = []
        if run.ident:
            self._owned[run.ident] = [*restored, *defined]
            for definition in defined:
                self._tell_replaced(definition, run)

    def _tell_replaced(self, definition: Definition, run: CellExecution) -> None:
        earlier = self._before.get(definition.key)
        if earlier is not None and earlier.cell is not None and earlier.cell.ident not in ("", run.ident):
            self._tell(
                f"Reactor {definition.name!r} was defined in {earlier.place}; from now on this cell defines it."
            )

    def _metadata(self) -> dict[str, Any]:
        """What the front end says of the request that is being served."""
        get_parent = getattr(self._shell, "get_parent", None)
        parent = get_parent() if callable(get_parent) else None
        metadata = parent.get("metadata") if isinstance(parent, dict) else None
        return metadata if isinstance(metadata, dict) else {}


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []
