"""Executors: where reactors run. This one runs them here, one at a time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from pyplant.engine.task import Task
from pyplant.errors import RunError
from pyplant.execution.worker import Execution, Finished, Needs

__all__ = ["Executor", "Failed", "InlineExecutor", "Job", "Outcome", "executor_of"]


class Failed(NamedTuple):
    """The reactor raised."""

    error: BaseException


Outcome = Needs | Finished | Failed


@dataclass(slots=True, eq=False)
class Job:
    """One step of a reactor: go on with this value until it waits or ends."""

    task: Task
    execution: Execution
    value: Any = None


class Executor(Protocol):
    """Takes jobs and gives their outcomes, in any order."""

    capacity: int
    """Jobs that may be under way at once."""

    def reset(self) -> None:
        """Forget the jobs of a run that was interrupted."""

    def submit(self, job: Job) -> None:
        """Begin a job."""

    def collect(self) -> tuple[Job, Outcome]:
        """Wait for the outcome of a job."""


class InlineExecutor:
    """Runs each job in the calling thread when its outcome is asked for."""

    capacity = 1

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()

    def reset(self) -> None:
        """Forget the jobs of a run that was interrupted."""
        self._jobs.clear()

    def submit(self, job: Job) -> None:
        """Put a job aside."""
        self._jobs.append(job)

    def collect(self) -> tuple[Job, Outcome]:
        """Do a job. Only errors of reactors become outcomes; an interrupt goes through."""
        job = self._jobs.popleft()
        value, job.value = job.value, None  # let the reactor alone hold it
        try:
            return job, job.execution.advance(value)
        except Exception as error:  # noqa: BLE001 - a reactor may raise anything
            return job, Failed(error)


def executor_of(wanted: Any) -> Executor:
    """The executor that users mean.

    Raises
    ------
    pyplant.errors.RunError
        If there is none such.
    """
    if wanted is not None:
        message = f"executor={wanted!r} is not supported by this version; leave it out."
        raise RunError(message)
    return InlineExecutor()
