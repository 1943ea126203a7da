"""The events of a run, as immutable objects that are passed to listeners.

The engine never prints: the progress in the terminal and the graph in the notebook are listeners.
A listener is any callable that takes one event. Its exceptions are logged and do not reach the run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
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
    "ReactorAssigned",
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
    """A run has started; ``targets`` are the requested reactors or ingredients."""

    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run has ended; ``report`` is its :class:`~pyplant.reports.report.RunReport`.

    It is ``None`` if no listener needs it.
    """

    report: Any


@dataclass(frozen=True, slots=True)
class ReactorStarted:
    """A reactor has started to execute, for these typed reasons."""

    reactor: str
    reasons: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class ReactorAssigned:
    """A worker process executes a reactor; ``worker`` names it, as in ``"process 4711 on host a"``.

    The event may come late, with the first output of the reactor, and again if another worker executes the rest.
    """

    reactor: str
    worker: str


@dataclass(frozen=True, slots=True)
class ReactorBlocked:
    """A reactor is not started, because another process executes it.

    The event is repeated while the run waits. ``owner`` names the process, as in ``"kernel 4711 on host a"``;
    ``since`` is when that process started, in seconds since the epoch by the clock of its machine. ``stopped``: it is
    suspended, by Ctrl-Z or a debugger.
    """

    reactor: str
    owner: str
    since: float
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class ReactorWaiting:
    """A reactor is suspended until these ingredients are available."""

    reactor: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReactorResumed:
    """A reactor continues with the ingredients it waited for."""

    reactor: str


@dataclass(frozen=True, slots=True)
class ReactorCached:
    """A reactor is up to date; ``seconds`` is the duration of its stored execution."""

    reactor: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ReactorFinished:
    """A reactor has finished after ``seconds`` of its own time; ``kept``: its result is stored."""

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
    """A reactor has called a subreactor."""

    reactor: str
    subreactor: str


@dataclass(frozen=True, slots=True)
class SubreactorLeft:
    """A subreactor has returned to its reactor."""

    reactor: str
    subreactor: str


@dataclass(frozen=True, slots=True)
class IngredientSent:
    """A reactor has sent an ingredient of ``size`` bytes; others receive it when the reactor has finished."""

    reactor: str
    name: str
    format: str
    size: int


@dataclass(frozen=True, slots=True)
class IngredientReceived:
    """A reactor has received the value of an ingredient."""

    reactor: str
    name: str


@dataclass(frozen=True, slots=True)
class ProgressAdvanced:
    """A loop under ``pipe.progress`` has finished ``done`` of ``total`` items (``None``: unknown)."""

    reactor: str
    description: str
    done: int
    total: int | None


Event = (
    RunStarted
    | RunFinished
    | ReactorStarted
    | ReactorAssigned
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
"""Any event; the class says which."""

Listener = Callable[[Event], object]


_is_emitting = ContextVar("is_emitting", default=False)


class Dispatcher:
    """Passes each event to every listener, in the order in which they were added."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._without_report: list[Listener] = []

    @property
    def is_emitting(self) -> bool:
        """Whether this thread is calling listeners."""
        return _is_emitting.get()

    @property
    def needs_report(self) -> bool:
        """Whether a listener needs the reports of runs, which are slow to build."""
        return len(self._listeners) > len(self._without_report)

    def add(self, listener: Listener, *, needs_report: bool = True) -> None:
        """Add a listener; adding it again has no effect."""
        if listener not in self._listeners:
            self._listeners.append(listener)
            if not needs_report:
                self._without_report.append(listener)

    def remove(self, listener: Listener) -> None:
        """Remove a listener; an unknown one is ignored."""
        if listener in self._listeners:
            self._listeners.remove(listener)
        if listener in self._without_report:
            self._without_report.remove(listener)

    def emit(self, event: Event) -> None:
        """Pass ``event`` to every listener."""
        token = _is_emitting.set(True)
        try:
            for listener in tuple(self._listeners):
                try:
                    listener(event)
                except Exception:  # noqa: BLE001 - an error of a listener must not end the run
                    logger().exception("The listener %r failed on %s.", listener, type(event).__name__)
        finally:
            _is_emitting.reset(token)
