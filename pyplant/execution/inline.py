"""The inline executor: runs reactors in the calling thread, one at a time, and keeps waiting generators."""

from __future__ import annotations

from collections import deque
from typing import Any

from pyplant._definitions import Definition
from pyplant._tracer import Tracer
from pyplant.execution.budget import Budget
from pyplant.execution.executor import ExecutionRequest, ExecutionResult, Failed, Job
from pyplant.execution.reactor_execution import ReactorExecution

__all__ = ["InlineExecutor", "advance_inline", "execute_inline"]


def execute_inline(request: ExecutionRequest) -> ReactorExecution:
    """Return the execution of a reactor in this process."""
    tracer = Tracer(request.definition, request.warehouse, request.context, request.emit)
    return ReactorExecution(request.definition, tracer, request.recording)


def advance_inline(job: Job[Any], execution: ReactorExecution) -> ExecutionResult:
    """Execute a job in this process. An exception of the reactor is the result, an interrupt too."""
    # Only the reactor refers to them from here on, so that large ones can be freed.
    values, job.values = job.values, ()
    try:
        return execution.advance(values)
    except BaseException as error:  # noqa: BLE001 - a reactor may raise anything
        return Failed(error)


class InlineExecutor:
    """Executes each job when its result is collected.

    Parameters
    ----------
    budget
        The resources of the plant; ``None`` if they are not limited.
    """

    capacity = 1
    runs_inline = True
    restarts_on_receive = False

    def __init__(self, budget: Budget | None = None) -> None:
        self._jobs: deque[Job[ReactorExecution]] = deque()
        self._budget = budget

    def check(self, definition: Definition) -> None:
        """Check that a reactor needs no more than the plant has; one reactor runs at a time, so nothing else matters."""
        if self._budget is not None:
            self._budget.check(definition.name, definition.resources)

    def prepare(self, request: ExecutionRequest) -> ReactorExecution:
        """Prepare the execution of a reactor."""
        return execute_inline(request)

    def submit(self, job: Job[ReactorExecution]) -> None:
        """Queue a job."""
        job.announce_start()
        self._jobs.append(job)

    def collect(self) -> tuple[Job[ReactorExecution], ExecutionResult]:
        """Execute the next job; returns it with its result."""
        job = self._jobs.popleft()
        return job, advance_inline(job, job.execution)

    def reset(self) -> None:
        """Drop the jobs of a run that was interrupted."""
        self._jobs.clear()

    def close(self) -> None:
        """Do nothing: there are no workers."""
