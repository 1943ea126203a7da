"""What a run knows of the notebook it runs in: two protocols, and the one front end there is.

Scripts have none. In a notebook :mod:`pyplant.notebook` installs itself here, so that the
core can have output recorded, replayed and drawn without knowing how.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pyplant._definitions import Definition

from pyplant.specs.recorded import Recorded

__all__ = ["FrontEnd", "Recording", "current", "install"]


class Recording(Protocol):
    """Takes down what one execution shows, while it shows it."""

    def step(self) -> AbstractContextManager[None]:
        """Around each step of the reactor: what is shown inside belongs to it."""

    def finish(self) -> Recorded:
        """The reactor has returned: what it showed."""

    def abandon(self) -> None:
        """The reactor failed or was closed: discard the recording."""


class FrontEnd(Protocol):
    """A notebook."""

    def record(self, definition: Definition, *, is_target: bool) -> Recording:
        """A reactor begins; ``is_target`` if it is what was asked for."""

    def run_ended(self) -> None:
        """A run that may have recorded something is over."""

    def replay(self, recorded: Recorded) -> None:
        """Show again what a reactor showed when it was executed."""

    def failed(self, error: BaseException) -> None:
        """An error is about to leave a run: let people see their own frames of it only."""

    def show_graph(self, plant: Any) -> bool:
        """Draw the graph of a plant; ``False`` if text must do."""


_installed: FrontEnd | None = None


def current() -> FrontEnd | None:
    """The notebook that this process runs, if it runs one."""
    return _installed


def install(front_end: FrontEnd | None) -> None:
    """Set the notebook of this process; ``None`` takes it away."""
    global _installed
    _installed = front_end
