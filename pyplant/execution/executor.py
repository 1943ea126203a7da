"""What a run asks of an executor: where reactors run, and how their steps come back.

The inline executor steps a reactor here and keeps it where it waits. The others make
*attempts* elsewhere: an attempt runs from the beginning with all that is known to be
needed, and ends when the reactor has returned or asks for more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from pyplant._definitions import Definition
from pyplant._tracer import ReactorContext
from pyplant.engine.task import Task
from pyplant.errors import DamagedError
from pyplant.events import Event
from pyplant.execution.frontend import Recording
from pyplant.execution.reactor_execution import Finished, Load, Needs
from pyplant.ingredient import Ingredient
from pyplant.store.warehouse import Warehouse

__all__ = ["ExecutionHandle", "ExecutionRequest", "ExecutionResult", "Executor", "Failed", "Job", "Lost"]


class Failed(NamedTuple):
    """The reactor raised."""

    error: BaseException


class Lost(NamedTuple):
    """A value that was given is no longer stored; ``held`` is all that was given."""

    ingredient: Ingredient
    error: DamagedError
    held: tuple[str, ...]


ExecutionResult = Needs | Finished | Failed | Lost


class ExecutionHandle(Protocol):
    """One execution of a reactor, as the run sees it."""

    definition: Definition
    given: dict[str, Ingredient]

    def deliver(self, ingredient: Ingredient, load: Load) -> Any:
        """What the reactor is to go on with for an ingredient it waited for.

        Raises
        ------
        pyplant.errors.DamagedError
            If it is no longer stored.
        """

    def received(self, ingredients: tuple[Ingredient, ...]) -> None:
        """The reactor is handed these."""

    def close(self) -> None:
        """End it where it stands."""


class ExecutionRequest(NamedTuple):
    """A reactor's part in a run: all that an executor needs to have it performed."""

    definition: Definition
    context: ReactorContext
    warehouse: Warehouse
    emit: Callable[[Event], None]
    recording: Recording | None
    load: Load


HandleT = TypeVar("HandleT", bound=ExecutionHandle)
"""The type of the handles of an executor; each executor has its own."""


@dataclass(slots=True, eq=False)
class Job(Generic[HandleT]):
    """Go on with a reactor, with these values, until it waits or ends; the most urgent go first."""

    task: Task
    execution: HandleT
    values: Sequence[Any] = ()
    priority: float = 0.0
    received: tuple[str, ...] = ()


class Executor(Protocol[HandleT]):
    """Takes jobs and gives their outcomes, in any order."""

    restarts_on_receive: bool
    """Whether a reactor that waited restarts from the beginning, instead of resuming."""

    @property
    def capacity(self) -> int:
        """The number of jobs that may be in progress at the same time."""

    @property
    def runs_inline(self) -> bool:
        """Whether reactors run in this process, and may change what other code sees."""

    def prepare(self, request: ExecutionRequest) -> HandleT:
        """A reactor is about to begin."""

    def submit(self, job: Job[HandleT]) -> None:
        """Begin a job."""

    def collect(self) -> tuple[Job[HandleT], ExecutionResult]:
        """Wait for the outcome of a job."""

    def reset(self) -> None:
        """The run is over: stop what is under way, and forget it."""

    def close(self) -> None:
        """The plant is closed."""
