"""Keeps the open pyplot figures of each reactor apart, also while the reactor waits.

pyplot has one table of open figures, and the inline backend a list of figures to show when the cell
ends. While a reactor runs, both hold its own figures; while it waits, those of the surrounding cell.
When it returns, its figures are shown and closed, as at the end of a cell. Other backends show figures
in windows or on demand; their figures are left alone.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

__all__ = ["Figures"]

_FigureTable = tuple["OrderedDict[Any, Any]", bool, list[Any]]
"""The open figures by number, whether any was drawn, and the drawn ones in order."""


class Figures:
    """The figures of one execution."""

    __slots__ = ("_outside", "_own")

    def __init__(self) -> None:
        self._own: _FigureTable | None = None
        self._outside: _FigureTable | None = None

    def __bool__(self) -> bool:
        """Return whether any figure is open."""
        return self._own is not None

    def enter(self) -> None:
        """Install the figures of the reactor; it starts or resumes."""
        self._outside = _current()
        if self._outside is not None or self._own is not None:
            _install(self._own)

    def leave(self) -> None:
        """Install the figures of the cell; the reactor waits or has returned."""
        outside, self._outside = self._outside, None
        own = _current()
        if own is not None:
            self._own = own if own[0] or own[2] else None
            _install(outside)
        elif outside is not None:  # the reactor switched to another backend
            _add_to_open(outside[0].values())

    def flush(self) -> None:
        """Show the figures as at the end of a cell; called between `enter` and `leave`."""
        inline = _inline()
        if inline is not None:
            inline.flush_figures()

    def release_to_cell(self) -> None:
        """Add the figures that are still open to those of the cell: pyplot keeps them open after a cell too."""
        own, self._own = self._own, None
        if own is not None:
            _add_to_open(own[0].values())


def _inline() -> Any:
    return sys.modules.get("matplotlib_inline.backend_inline")


def _current() -> _FigureTable | None:
    """Return the state of pyplot; ``None`` if it is not loaded or has no inline backend."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is None:
        return None
    # `dict.get`, because reading `rcParams["backend"]` can make matplotlib choose a backend.
    backend = dict.get(sys.modules["matplotlib"].rcParams, "backend")
    if not isinstance(backend, str) or not backend.endswith("inline"):
        return None
    inline = _inline()
    drawn, order = (False, []) if inline is None else (inline.show._draw_called, inline.show._to_draw)
    return helpers.Gcf.figs, drawn, order


def _install(table: _FigureTable | None) -> None:
    figures, drawn, order = table or (OrderedDict(), False, [])
    sys.modules["matplotlib._pylab_helpers"].Gcf.figs = figures
    inline = _inline()
    if inline is not None:
        inline.show._draw_called, inline.show._to_draw = drawn, order


def _add_to_open(managers: Iterable[Any]) -> None:
    """Add figures to the open ones under free numbers; the active figure stays active."""
    table: Any = sys.modules["matplotlib._pylab_helpers"].Gcf
    active = table.get_active()
    for manager in list(managers):
        if manager.num in table.figs:
            manager.num = max(number for number in [0, *table.figs] if isinstance(number, int)) + 1
        table._set_new_active_manager(manager)
    if active is not None:
        table.set_active(active)
