"""Runs reactors in the calling thread, one at a time, and keeps them where they wait."""

from __future__ import annotations

from collections import deque
from typing import Any

from pyplant._tracer import Tracer
from pyplant.execution.executor import ExecutionRequest, ExecutionResult, Failed, Job
from pyplant.execution.reactor_execution import ReactorExecution

__all__ = ["InlineExecutor", "advance_inline", "execute_inline"]


def execute_inline(request: ExecutionRequest) -> ReactorExecution:
    """The execution of a reactor in this process."""
    tracer = Tracer(request.definition, request.warehouse, request.context, request.emit)
    return ReactorExecution(request.definition, tracer, request.recording)


def advance_inline(job: Job[Any], execution: ReactorExecution) -> ExecutionResult:
    """Do a job in this process.

    Whatever the reactor raises is the result, except an interrupt, which ends the run.
    """
    values, job.values = job.values, ()  # from now on only the reactor holds them
    try:
        return execution.advance(values)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(f"Interrupted in reactor {execution.definition.name!r}.")
        raise
    except BaseException as error:  # noqa: BLE001 - a reactor may raise anything
        return Failed(error)


class InlineExecutor:
    """Runs each job when its outcome is asked for."""

    capacity = 1
    runs_inline = True
    restarts_on_receive = False

    def __init__(self) -> None:
        self._jobs: deque[Job[ReactorExecution]] = deque()

    def prepare(self, request: ExecutionRequest) -> ReactorExecution:
        """A reactor is about to begin."""
        return execute_inline(request)

    def submit(self, job: Job[ReactorExecution]) -> None:
        """Put a job aside."""
        self._jobs.append(job)

    def collect(self) -> tuple[Job[ReactorExecution], ExecutionResult]:
        """Do a job. Whatever a reactor raises is its outcome, except an interrupt, which ends the run."""
        job = self._jobs.popleft()
        return job, advance_inline(job, job.execution)

    def reset(self) -> None:
        """Forget the jobs of a run that was interrupted."""
        self._jobs.clear()

    def close(self) -> None:
        """There is nothing to end."""
