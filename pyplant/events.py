"""What happens during a run, as immutable objects handed to listeners.

The engine never prints: the log, the terminal's progress and the notebook's graph are
listeners. A listener is any callable that takes one event; what it raises is logged and
never reaches the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pyplant.errors import logger

__all__ = [
    "Dispatcher",
    "Event",
    "IngredientReceived",
    "IngredientSent",
    "Listener",
    "ProgressAdvanced",
    "ReactorBlocked",
    "ReactorCached",
    "ReactorFailed",
    "ReactorFinished",
    "ReactorResumed",
    "ReactorStarted",
    "ReactorWaiting",
    "RunFinished",
    "RunStarted",
    "SubreactorEntered",
    "SubreactorLeft",
]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins; ``targets`` are the reactors or ingredients asked for."""

    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run has ended; ``report`` is its :class:`~pyplant.reports.report.RunReport`."""

    report: Any


@dataclass(frozen=True, slots=True)
class ReactorStarted:
    """A reactor begins to execute, for these typed reasons."""

    reactor: str
    reasons: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class ReactorBlocked:
    """A reactor was to start, and another process is executing it.

    Told again while that lasts. ``owner`` says who does, as in ``"kernel 4711 on host a"``,
    and ``since`` since when, in seconds since the epoch by the clock of that machine.
    """

    reactor: str
    owner: str
    since: float


@dataclass(frozen=True, slots=True)
class ReactorWaiting:
    """A reactor sleeps until these ingredients exist."""

    reactor: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReactorResumed:
    """A reactor goes on with what it waited for."""

    reactor: str


@dataclass(frozen=True, slots=True)
class ReactorCached:
    """A reactor need not run; ``seconds`` is what its kept execution took."""

    reactor: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ReactorFinished:
    """A reactor has executed in ``seconds`` of its own time."""

    reactor: str
    seconds: float
    kept: bool = True


@dataclass(frozen=True, slots=True)
class ReactorFailed:
    """A reactor raised ``error``."""

    reactor: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class SubreactorEntered:
    """A reactor calls a subreactor."""

    reactor: str
    subreactor: str


@dataclass(frozen=True, slots=True)
class SubreactorLeft:
    """A subreactor returned to its reactor."""

    reactor: str
    subreactor: str


@dataclass(frozen=True, slots=True)
class IngredientSent:
    """A reactor sent an ingredient of ``size`` bytes; others see it when the reactor ends."""

    reactor: str
    name: str
    format: str
    size: int


@dataclass(frozen=True, slots=True)
class IngredientReceived:
    """A reactor was handed the value of an ingredient."""

    reactor: str
    name: str


@dataclass(frozen=True, slots=True)
class ProgressAdvanced:
    """A loop under ``pipe.progress`` has done ``done`` of ``total`` (``None``: unknown)."""

    reactor: str
    description: str
    done: int
    total: int | None


Event = (
    RunStarted
    | RunFinished
    | ReactorStarted
    | ReactorBlocked
    | ReactorWaiting
    | ReactorResumed
    | ReactorCached
    | ReactorFinished
    | ReactorFailed
    | SubreactorEntered
    | SubreactorLeft
    | IngredientSent
    | IngredientReceived
    | ProgressAdvanced
)
"""Any of them; tell them apart by class."""

Listener = Callable[[Event], object]


class Dispatcher:
    """Hands each event to every listener, in the order they were added."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add(self, listener: Listener) -> None:
        """Add a listener; one that is there already is not added again."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    def remove(self, listener: Listener) -> None:
        """Remove a listener; one that is not there is ignored."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def emit(self, event: Event) -> None:
        """Hand ``event`` to every listener."""
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - whatever a listener does, the run goes on
                logger().exception("The listener %r failed on %s.", listener, type(event).__name__)
