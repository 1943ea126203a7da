"""Which cell defined which reactors, so that a renamed reactor leaves no old definition behind.

When a cell is run again, the reactors that it defined before are withdrawn first, whatever their names.
The front end identifies cells: JupyterLab sends ``cellId`` with each request, and ``deletedCells`` after
cells were deleted. Without an identifier a reactor is known by its name alone.

Reactors of a deleted cell become *orphans*: they can still run, but any other definition of their name
or their ingredients takes precedence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyplant import _definitions
from pyplant._definitions import CellExecution, Definition, declare, orphans, withdraw

__all__ = ["Cells"]


class Cells:
    """The cells of a notebook as definitions of reactors.

    Parameters
    ----------
    shell
        The IPython shell.
    notify
        Shows a notice to the user.

    Attributes
    ----------
    raw_cell
        The text of the cell that is running, or that ran last.
    """

    def __init__(self, shell: Any, notify: Callable[[str], None]) -> None:
        self.raw_cell = ""
        self._shell = shell
        self._notify = notify
        self._owned: dict[str, list[Definition]] = {}  # by the identifier of the cell
        self._before: dict[str, Definition] = {}  # by key, when the running cell began
        self._withdrawn: list[Definition] = []

    @property
    def running(self) -> CellExecution | None:
        """The cell that is running."""
        return _definitions.running_cell

    def begin(self, raw_cell: str, number: int) -> None:
        """Begin a cell, to be called ``In [number]``: withdraw what it defined before."""
        metadata = self._metadata()
        for ident in _texts(metadata.get("deletedCells")):
            orphans.update(d for d in self._owned.pop(ident, ()) if _definitions.newest(d) is d)
        run = CellExecution(str(metadata.get("cellId") or ""), number)
        self.raw_cell = raw_cell
        # For notices of reactors that move to another cell. Those of deleted cells have no cell to mention.
        self._before = {
            d.key: d for d in _definitions.all_definitions() if d.cell is not None and d not in orphans
        }
        self._withdrawn = [d for d in self._owned.pop(run.ident, ()) if withdraw(d)]
        _definitions.running_cell = run

    def end(self, *, failed: bool) -> None:
        """End the running cell.

        If it failed, earlier definitions that it did not replace are restored: an error in the first
        line must not make the reactors of the cell disappear.
        """
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
                self._notify_replaced(definition, run)

    def _notify_replaced(self, definition: Definition, run: CellExecution) -> None:
        earlier = self._before.get(definition.key)
        if earlier is not None and earlier.cell is not None and earlier.cell.ident not in ("", run.ident):
            self._notify(
                f"Reactor {definition.name!r} was defined in {earlier.place}; from now on this cell defines it."
            )

    def _metadata(self) -> dict[str, Any]:
        """Return the metadata that the front end sent with the current request."""
        get_parent = getattr(self._shell, "get_parent", None)
        parent = get_parent() if callable(get_parent) else None
        metadata = parent.get("metadata") if isinstance(parent, dict) else None
        return metadata if isinstance(metadata, dict) else {}


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []
