"""The loop that brings runs to their end: it asks them for jobs and hands back what came of each.

Mostly there is one run. A sweep has one for each configuration, side by side on one executor.
What does not depend on what is varied is then wanted by several of them: while one performs
it, its *twins* are put off, and look for its result when it has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from pyplant.engine.task import Task
from pyplant.execution.executor import ExecutionHandle, Executor, Job
from pyplant.execution.run import Run
from pyplant.fingerprint.gc_pause import gc_paused

__all__ = ["run_to_completion"]


class InFlightDeduplicator:
    """Which of several runs performs what, and who waits for it."""

    def __init__(self) -> None:
        self._under_way: dict[str, Job[ExecutionHandle]] = {}
        self._deferred: dict[str, list[tuple[Run, Task]]] = {}
        self._identities: dict[Job[ExecutionHandle], str] = {}

    def may_start(self, run: Run, job: Job[ExecutionHandle]) -> bool:
        """Return whether no other run executes this reactor with the same inputs; otherwise defer the job."""
        identity = run.identity(job)
        other = self._under_way.setdefault(identity, job)
        if other is not job and other.execution is not job.execution:
            run.defer(job)
            self._deferred.setdefault(identity, []).append((run, job.task))
            return False
        self._identities[job] = identity
        return True

    def ended(self, job: Job[ExecutionHandle]) -> None:
        """Let those who waited for it look for its result."""
        identity = self._identities.pop(job)
        if self._under_way.get(identity) is job:
            del self._under_way[identity]
        for run, task in self._deferred.pop(identity, ()):
            run.check_again(task)


def run_to_completion(runs: Sequence[Run], executor: Executor[Any], *, collects: bool) -> None:
    """Bring everything that was demanded of these runs up to date.

    Parameters
    ----------
    runs
        What is to be done; those that come first go first.
    executor
        Where reactors run.
    collects
        Whether Python collects garbage while they do.

    Raises
    ------
    Exception
        What a reactor raised, unless its run keeps going.
    pyplant.errors.RunError
        If reactors wait for what cannot come.
    """
    in_flight = InFlightDeduplicator() if len(runs) > 1 and executor.restarts_on_receive else None
    under_way: dict[Job[ExecutionHandle], Run] = {}
    going = list(runs)
    try:
        while going:
            job, run = _next(going, in_flight) if len(under_way) < executor.capacity else (None, None)
            if job is not None and run is not None:
                under_way[job] = run
                run.announce(job)
                executor.submit(job)
            elif under_way:
                with gc_paused(enabled=collects):
                    job, outcome = executor.collect()
                run = under_way.pop(job)
                try:
                    run.conclude(job, outcome)
                finally:
                    if in_flight is not None:
                        in_flight.ended(job)
            else:
                _end_some(going)
    finally:
        with ExitStack() as ends:  # each callback is called, even if an earlier one raised
            ends.callback(executor.reset)
            for run in reversed(runs):
                ends.callback(run.close)


def _next(
    going: list[Run], in_flight: InFlightDeduplicator | None
) -> tuple[Job[ExecutionHandle], Run] | tuple[None, None]:
    """The next job of the first run that has one."""
    for run in going:
        while (job := run.next_job()) is not None:
            if in_flight is None or in_flight.may_start(run, job):
                return job, run
    return None, None


def _end_some(going: list[Run]) -> None:
    """Nothing is ready and nothing under way: see who is at the end, who waits, who stands still."""
    over = [run for run in going if run.is_over()]
    if over:
        for run in over:
            going.remove(run)
            run.skip_unfinished()
        return
    blocked = [run for run in going if run.is_blocked()]
    if blocked:
        blocked[0].wait()
    else:
        going[0].refuse_stalled()
