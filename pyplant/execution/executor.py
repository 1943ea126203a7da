"""The interface between a run and its executor: jobs, their results, and handles of executions.

There are two executors. The inline one runs reactors in the calling thread and keeps waiting generators, so
a job continues a reactor where it waits. The parallel one sends jobs to workers, and a waiting generator
cannot be sent, so a job is an *attempt*: it runs the reactor from its beginning with the ingredients that
are known to be needed, and ends when the reactor returns or asks for more.
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
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.ingredient import Ingredient
from pyplant.store.warehouse import Warehouse

__all__ = ["ExecutionHandle", "ExecutionRequest", "ExecutionResult", "Executor", "Failed", "Job", "Lost"]


class Failed(NamedTuple):
    """The reactor raised."""

    error: BaseException


class Lost(NamedTuple):
    """The value of a given ingredient could not be loaded; ``held`` are the names of all given ingredients."""

    ingredient: Ingredient
    error: DamagedError
    held: tuple[str, ...]


ExecutionResult = Needs | Finished | Failed | Lost


class ExecutionHandle(Protocol):
    """One execution of a reactor, from its start to its end."""

    definition: Definition
    given: dict[str, Ingredient]

    def deliver(self, ingredient: Ingredient, load: Load) -> Any:
        """Return the value with which the reactor continues, for an ingredient that it waits for.

        Raises
        ------
        pyplant.errors.DamagedError
            If the value cannot be loaded.
        """

    def received(self, ingredients: tuple[Ingredient, ...]) -> None:
        """Record that the reactor receives these."""

    def close(self) -> None:
        """End the execution, also if the reactor waits."""


class ExecutionRequest(NamedTuple):
    """A request to execute a reactor: all that an executor needs for it."""

    definition: Definition
    context: ReactorContext
    fingerprinter: Fingerprinter
    warehouse: Warehouse
    emit: Callable[[Event], None]
    recording: Recording | None
    load: Load


HandleT = TypeVar("HandleT", bound=ExecutionHandle)
"""The class of handles of an executor."""


@dataclass(slots=True, eq=False)
class Job(Generic[HandleT]):
    """One step of a reactor: start or continue it with these values until it waits or ends."""

    task: Task
    execution: HandleT
    values: Sequence[Any] = ()
    priority: float = 0.0  # the expected seconds to the end of the run; the highest first
    received: tuple[str, ...] = ()
    on_start: Callable[[], None] | None = None

    def announce_start(self) -> None:
        """Report that the job starts; only the first call does, since an attempt may be repeated."""
        on_start, self.on_start = self.on_start, None
        if on_start is not None:
            on_start()


class Executor(Protocol[HandleT]):
    """Executes jobs and returns their results, in any order."""

    restarts_on_receive: bool
    """Whether a job runs the reactor from its beginning, instead of continuing where it waits."""

    @property
    def capacity(self) -> int:
        """The number of jobs that may be submitted at once."""

    @property
    def runs_inline(self) -> bool:
        """Whether reactors run in this process, so that they may change global variables of user code."""

    def check(self, definition: Definition) -> None:
        """Check that it can execute a reactor.

        Raises
        ------
        pyplant.errors.ResourcesError
            If it can never do so, because the reactor needs more resources than there are.
        """

    def prepare(self, request: ExecutionRequest) -> HandleT:
        """Prepare the execution of a reactor."""

    def submit(self, job: Job[HandleT]) -> None:
        """Submit a job. It calls :meth:`Job.announce_start` when it starts."""

    def collect(self) -> tuple[Job[HandleT], ExecutionResult]:
        """Wait for a job to end; returns it with its result."""

    def reset(self) -> None:
        """Stop all jobs at the end of a run."""

    def close(self) -> None:
        """End the workers, when the plant is closed."""
