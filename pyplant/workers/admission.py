"""The order in which waiting jobs start, if their reactors share a budget of resources.

Theory of operation
-------------------
Jobs start in the order in which they were submitted, as far as their resources are free. A job whose resources are
not free may be overtaken, so that workers do not idle. Jobs that need one of the same resources overtake it a limited
number of times only; after that, these resources are held for it until it starts. So many small jobs cannot keep out
a large one for ever.

A job keeps its resources until its attempt ends. An attempt that is submitted to a pool whose workers are all busy
would keep them and not use them, so with a budget no more attempts are submitted than there are workers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from pyplant.execution.budget import Budget, Grant
from pyplant.execution.executor import Job

__all__ = ["AdmissionQueue"]

JobT = TypeVar("JobT", bound=Job)  # type: ignore[type-arg] # of any executor


@dataclass(slots=True, eq=False)
class _WaitingJob(Generic[JobT]):
    """A job, and how often others with one of its resources started before it."""

    job: JobT
    wanted: Mapping[str, float]
    overtaken: int = 0


class AdmissionQueue(Generic[JobT]):
    """Jobs that wait to be submitted to the pool, and the resources of those that were.

    Parameters
    ----------
    budget
        What reactors may use together; ``None`` if the pool itself considers resources, or if nothing limits them.
    """

    def __init__(self, budget: Budget | None) -> None:
        self._budget = budget
        self._waiting: list[_WaitingJob[JobT]] = []
        self._grants: dict[JobT, Grant] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def first(self) -> JobT:
        """The job that has waited longest."""
        return self._waiting[0].job

    def put(self, job: JobT, *, first: bool = False) -> None:
        """Add a job, at the end or, if it was taken before, at the beginning."""
        wanted = job.execution.definition.resources
        waiting = _WaitingJob(job, {name: amount for name, amount in wanted.items() if amount})
        self._waiting.insert(0 if first else len(self._waiting), waiting)

    def take(self, max_overtaken: int) -> tuple[JobT, Grant] | None:
        """Remove a job that may start and give it its resources; ``None`` if none may.

        Parameters
        ----------
        max_overtaken
            How often a job may be overtaken by others that need one of the same resources.
        """
        held: set[str] = set()
        for index, waiting in enumerate(self._waiting):
            wanted = waiting.wanted
            grant = None if held & wanted.keys() else self._grant(wanted)
            if grant is not None:
                self._start(index, wanted)
                self._grants[waiting.job] = grant
                return waiting.job, grant
            if waiting.overtaken >= max_overtaken:
                held |= wanted.keys()
        return None

    def _grant(self, wanted: Mapping[str, float]) -> Grant | None:
        return Grant(wanted) if self._budget is None else self._budget.grant(wanted)

    def _start(self, index: int, wanted: Mapping[str, float]) -> None:
        """Remove a job, and count that it overtakes the ones before it."""
        for earlier in self._waiting[:index]:
            earlier.overtaken += bool(earlier.wanted.keys() & wanted.keys())
        del self._waiting[index]

    def release(self, job: JobT) -> None:
        """Return the resources of a job."""
        grant = self._grants.pop(job, None)
        if grant is not None and self._budget is not None:
            self._budget.give_back(grant)

    def clear(self) -> None:
        """Drop all jobs and return all resources."""
        self._waiting.clear()
        self._grants.clear()
        if self._budget is not None:
            self._budget.clear()
