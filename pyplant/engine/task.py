"""A task: a reactor that a run was asked for, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from pyplant.engine.rebuilder import Demands, Reason
from pyplant.engine.trace import Trace

__all__ = ["BUSY", "FINISHED", "TRANSITIONS", "State", "Task"]


class State(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    CHECKING = "checking"
    RUNNING = "running"
    SLEEPING = "sleeping"
    BLOCKED = "blocked"
    CACHED = "cached"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


TRANSITIONS = MappingProxyType(
    {
        State.PENDING: frozenset({State.CHECKING, State.RUNNING, State.SKIPPED}),
        State.CHECKING: frozenset({State.CACHED, State.RUNNING, State.PENDING, State.FAILED, State.SKIPPED}),
        State.RUNNING: frozenset({State.SLEEPING, State.DONE, State.FAILED, State.BLOCKED, State.PENDING}),
        State.SLEEPING: frozenset({State.RUNNING, State.FAILED, State.SKIPPED}),
        State.BLOCKED: frozenset({State.PENDING, State.SKIPPED}),
        State.CACHED: frozenset({State.PENDING, State.RUNNING}),
        State.DONE: frozenset({State.RUNNING}),
        State.FAILED: frozenset(),
        State.SKIPPED: frozenset(),
    }
)
"""The legal moves. From RUNNING there is a way back to PENDING before the first step. From CACHED and DONE there is a way back only for lost or changed values."""

BUSY = frozenset({State.RUNNING, State.SLEEPING, State.BLOCKED})
FINISHED = frozenset({State.CACHED, State.DONE, State.FAILED, State.SKIPPED})


@dataclass(eq=False, slots=True)
class Task:
    """A demanded reactor.

    Attributes
    ----------
    key
        Identifies the reactor.
    state
        See :data:`TRANSITIONS`.
    reasons
        Why it runs.
    trace
        The execution that verified, or that this run finished.
    asked, missing
        The names it waits for: all of the last question, and those not there yet.
    must_run
        Why it runs whatever its traces say.
    is_target
        Whether it was asked for itself. It then runs although it verifies if it is run for
        an effect that no trace can give back.
    is_wanted
        Whether the run cannot do without it. Otherwise it was tried because it may send a
        name, or is needed by one that was.
    """

    key: str
    state: State = State.PENDING
    reasons: tuple[Reason, ...] = ()
    trace: Trace | None = None
    asked: tuple[str, ...] = ()
    missing: set[str] = field(default_factory=set)
    lookup: Demands | None = None
    queued: bool = False
    must_run: Reason | None = None
    is_target: bool = False
    is_wanted: bool = False

    def move(self, state: State) -> None:
        """Change the state; an illegal move is a bug."""
        if state not in TRANSITIONS[self.state]:
            message = f"illegal move of {self.key}: {self.state} to {state}"
            raise AssertionError(message)
        self.state = state
