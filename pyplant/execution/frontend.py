"""The interface between a run and the notebook that it runs in: two protocols, and the installed front end.

In a notebook :mod:`pyplant.notebook` installs a front end here; scripts have none. The rooms below the
notebook use it to record and replay output and to draw graphs, without importing the notebook.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from pyplant._definitions import Definition
    from pyplant.events import Dispatcher

from pyplant.specs.recorded import Recorded

__all__ = ["FrontEnd", "Recording", "add_progress", "current", "install"]


class Recording(Protocol):
    """Records the output of one execution."""

    def step(self) -> AbstractContextManager[None]:
        """Return a context manager for a step of the reactor, which records the output in it."""

    def finish(self) -> Recorded:
        """Return the recorded output, when the reactor has returned."""

    def abandon(self) -> None:
        """Drop the recorded output, when the reactor has failed or was closed."""


class FrontEnd(Protocol):
    """A notebook."""

    def record(self, definition: Definition, *, is_target: bool) -> Recording:
        """Return the recording of a reactor that begins; ``is_target`` if the user requested this reactor."""

    def run_ended(self) -> None:
        """Clean up after a run that may have recorded output."""

    def replay(self, recorded: Recorded, heading: str = "") -> None:
        """Show the recorded output of a reactor again, below a heading if it follows output of others."""

    def failed(self, error: BaseException) -> None:
        """Prepare an error that leaves a run: its traceback shows only frames of the user."""

    def notify(self, text: str) -> None:
        """Show a line that is no warning."""

    def last_prints(self, reactor: str) -> str:
        """Return the last lines that a reactor printed when it ran last; ``""`` if that is not known."""

    def show_progress(self, plant: Any, listeners: Dispatcher) -> bool:
        """Show the progress of the runs of a plant from now on; returns ``False`` if the terminal shows it."""

    def show_graph(self, plant: Any) -> bool:
        """Draw the graph of a plant; returns ``False`` if only text can be shown."""


_installed: FrontEnd | None = None


def current() -> FrontEnd | None:
    """Return the notebook of this process; ``None`` if there is none."""
    return _installed


def install(front_end: FrontEnd | None) -> None:
    """Set the notebook of this process; ``None`` removes it."""
    global _installed
    _installed = front_end


def add_progress(plant: Any, listeners: Dispatcher, progress: bool | Literal["auto"]) -> None:  # noqa: FBT001 - public values
    """Show the progress of the runs of a plant: below the cells of a notebook, or in a terminal.

    Raises
    ------
    pyplant.errors.ConfigError
        If ``progress`` is neither ``True`` nor ``"auto"``.
    """
    if _installed is None or progress not in (True, "auto") or not _installed.show_progress(plant, listeners):
        from pyplant.reports import terminal  # imports what draws there

        terminal.add_progress(listeners, progress)
