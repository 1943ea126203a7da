"""A task: a reactor that a run needs to bring up to date, and the state of that."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from pyplant.engine.trace import Trace
from pyplant.engine.verdict import Lookup, Reason

__all__ = ["BUSY", "FINISHED", "NOT_BEGUN", "TRANSITIONS", "State", "Task"]


class State(StrEnum):
    """The state of a task."""

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
"""The legal moves.

RUNNING may return to PENDING before the reactor's first step only. CACHED and DONE are left only
when a value was lost or changed.
"""

BUSY = frozenset({State.RUNNING, State.SLEEPING, State.BLOCKED})
NOT_BEGUN = frozenset({State.PENDING, State.CHECKING, State.SLEEPING})
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
    awaited, missing
        The names it waits for: all of the last question, and those of them not available yet.
    lookup
        The look-up in progress, while the state is CHECKING.
    is_queued
        Whether it is on the scheduler's stack of ready tasks.
    forced_reason
        Why it runs even if a trace verifies.
    is_target
        Whether the user asked for this reactor. A target that has an effect, such as a plot,
        runs although it verifies, since no trace reproduces the effect.
    is_required
        Whether the run fails without it. Other tasks are guesses: they may send an awaited
        name, or another guess waits for them.
    """

    key: str
    state: State = State.PENDING
    reasons: tuple[Reason, ...] = ()
    trace: Trace | None = None
    awaited: tuple[str, ...] = ()
    missing: set[str] = field(default_factory=set)
    lookup: Lookup | None = None
    is_queued: bool = False
    forced_reason: Reason | None = None
    is_target: bool = False
    is_required: bool = False

    def move(self, state: State) -> None:
        """Change the state; an illegal move is a bug of the scheduler."""
        if state not in TRANSITIONS[self.state]:
            message = f"illegal move of {self.key}: {self.state} to {state}"
            raise AssertionError(message)
        self.state = state
