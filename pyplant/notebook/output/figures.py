"""Open pyplot figures belong to the reactor that drew them, also while it waits.

pyplot holds one table of open figures, and the inline backend a list of those that it will
show when the cell ends. While a reactor runs, its own stand there; while it waits, those of
the cell around it. When it has returned its figures are shown and closed, as if it were a
cell. Other backends show figures in windows or on demand, so theirs are left alone.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

__all__ = ["Figures"]

_Table = tuple["OrderedDict[Any, Any]", bool, list[Any]]
"""Open figures by number, whether any was drawn, and which in order."""


class Figures:
    """The figures of one execution."""

    __slots__ = ("_outside", "_own")

    def __init__(self) -> None:
        self._own: _Table | None = None
        self._outside: _Table | None = None

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self._own is not None

    def enter(self) -> None:
        """The reactor begins or goes on."""
        self._outside = _current()
        if self._outside is not None or self._own is not None:
            _place(self._own)

    def leave(self) -> None:
        """The reactor waits or has returned."""
        outside, self._outside = self._outside, None
        own = _current()
        if own is not None:
            self._own = own if own[0] or own[2] else None
            _place(outside)
        elif outside is not None:  # it has chosen another backend
            _adopt(outside[0].values())

    def flush(self) -> None:
        """Show them, as at the end of a cell; called while they are in place."""
        inline = _inline()
        if inline is not None:
            inline.flush_figures()

    def hand_over(self) -> None:
        """What is still open now belongs to the cell, as everything does that pyplot keeps."""
        own, self._own = self._own, None
        if own is not None:
            _adopt(own[0].values())


def _inline() -> Any:
    return sys.modules.get("matplotlib_inline.backend_inline")


def _current() -> _Table | None:
    """What pyplot holds now; nothing if it is not loaded, or its figures are not shown by cells."""
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is None:
        return None
    # Asking matplotlib for its backend can make it choose one.
    backend = dict.get(sys.modules["matplotlib"].rcParams, "backend")
    if not isinstance(backend, str) or not backend.endswith("inline"):
        return None
    inline = _inline()
    drawn, order = (False, []) if inline is None else (inline.show._draw_called, inline.show._to_draw)
    return helpers.Gcf.figs, drawn, order


def _place(table: _Table | None) -> None:
    figures, drawn, order = table or (OrderedDict(), False, [])
    sys.modules["matplotlib._pylab_helpers"].Gcf.figs = figures
    inline = _inline()
    if inline is not None:
        inline.show._draw_called, inline.show._to_draw = drawn, order


def _adopt(managers: Iterable[Any]) -> None:
    """Add figures to those that are open, under numbers that are free; the active one stays active."""
    table: Any = sys.modules["matplotlib._pylab_helpers"].Gcf
    active = table.get_active()
    for manager in list(managers):
        if manager.num in table.figs:
            manager.num = max(number for number in [0, *table.figs] if isinstance(number, int)) + 1
        table._set_new_active_manager(manager)
    if active is not None:
        table.set_active(active)
