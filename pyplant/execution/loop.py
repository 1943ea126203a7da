"""The loop that drives runs: it submits their jobs to the executor and returns the results to them.

Usually there is one run. A sweep has one run for each configuration, and all of them share the executor.
A run gets a free place of the executor only if the runs before it have no job ready.

Reactors that do not depend on the varied parameters are needed by several runs of a sweep. The
:class:`InFlightDeduplicator` lets one run execute such a reactor; the others defer it, and look up its
stored result when it has ended. It is used only with executors that restart reactors: inline, one job ends
before the next begins, so the look-up before each execution suffices.

If no job is ready and none is under way, a run has ended, or it waits for another process, or its reactors
wait for each other, which is an error.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from pyplant.engine.task import Task
from pyplant.engine.task_graph import skip_unfinished
from pyplant.execution.executor import ExecutionHandle, Executor, Job
from pyplant.execution.run import Run
from pyplant.fingerprint.gc_pause import gc_paused

__all__ = ["run_to_completion"]


class InFlightDeduplicator:
    """Prevents runs of a sweep from executing the same at the same time."""

    def __init__(self) -> None:
        self._under_way: dict[str, Job[ExecutionHandle]] = {}  # by identity
        self._deferred: dict[str, list[tuple[Run, Task]]] = {}  # by the identity they wait for
        self._identities: dict[Job[ExecutionHandle], str] = {}

    def may_start(self, run: Run, job: Job[ExecutionHandle]) -> bool:
        """Return whether no other run executes the same; otherwise defer the job."""
        identity = run.identity(job)
        other = self._under_way.setdefault(identity, job)
        # The same execution comes back with each of its later jobs and must not wait for itself.
        if other is not job and other.execution is not job.execution:
            run.defer(job)
            self._deferred.setdefault(identity, []).append((run, job.task))
            return False
        self._identities[job] = identity
        return True

    def ended(self, job: Job[ExecutionHandle]) -> list[Run]:
        """Let the runs that deferred this execution look up its result; returns them."""
        identity = self._identities.pop(job)
        if self._under_way.get(identity) is job:
            del self._under_way[identity]
        deferred = self._deferred.pop(identity, [])
        for run, task in deferred:
            run.check_again(task)
        return [run for run, _ in deferred]


class _Queue:
    """The runs that may have a job, in their order.

    A run that has none is asked again only when one of its own jobs has ended, or something that it waited for. Sweeps have
    thousands of runs, and to ask all of them before each job would take quadratic time.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._places = {run: place for place, run in enumerate(runs)}
        self._heap: list[int] = []
        self._queued: set[int] = set()
        self.add(runs)

    def add(self, runs: Iterable[Run]) -> None:
        """Ask these runs again."""
        for run in runs:
            place = self._places[run]
            if place not in self._queued:
                self._queued.add(place)
                heapq.heappush(self._heap, place)

    def next(
        self, in_flight: InFlightDeduplicator | None
    ) -> tuple[Job[ExecutionHandle], Run] | tuple[None, None]:
        """Return the next job of the first run that has one."""
        while self._heap:
            run = self._runs[self._heap[0]]
            while (job := run.next_job()) is not None:
                if in_flight is None or in_flight.may_start(run, job):
                    return job, run
            self._queued.remove(heapq.heappop(self._heap))
        return None, None


def run_to_completion(runs: Sequence[Run], executor: Executor[Any], *, collects: bool) -> None:
    """Drive runs until all of them have ended.

    Parameters
    ----------
    runs
        The runs; a job of an earlier run is submitted first.
    executor
        Executes reactors.
    collects
        Whether the garbage collector may run while reactors do.

    Raises
    ------
    Exception
        What a reactor raised, unless its run keeps going.
    pyplant.errors.RunError
        If reactors wait for each other.
    """
    in_flight = InFlightDeduplicator() if len(runs) > 1 and executor.restarts_on_receive else None
    under_way: dict[Job[ExecutionHandle], Run] = {}
    active, queue = list(runs), _Queue(runs)
    try:
        while active:
            # Only if no job can be submitted does the loop wait for a result, and only then for other processes.
            job, run = queue.next(in_flight) if len(under_way) < executor.capacity else (None, None)
            if job is not None and run is not None:
                under_way[job] = run
                job.on_start = partial(run.announce, job)
                executor.submit(job)
            elif under_way:
                with gc_paused(enabled=collects):
                    job, outcome = executor.collect()
                run = under_way.pop(job)
                try:
                    run.conclude(job, outcome)
                finally:
                    # Also after a failure: a run that deferred the execution then executes it itself.
                    queue.add([run, *(in_flight.ended(job) if in_flight is not None else ())])
            else:
                active = _handle_idle(active)
                queue.add(active)
    finally:
        # Each callback is called, also if another raises, and the last one first: runs are closed in their order, then
        # the executor is reset.
        with ExitStack() as ends:
            ends.callback(executor.reset)
            for run in reversed(runs):
                ends.callback(run.close)


def _handle_idle(active: list[Run]) -> list[Run]:
    """Return the runs that have not ended; if none has, wait for another process, or report a circle of reactors."""
    over = {run for run in active if run.is_over()}
    if over:
        for run in over:
            skip_unfinished(run.tasks.values())
        return [run for run in active if run not in over]
    # It is enough to wait for one run: none of the others has anything to do, and all are asked again afterwards.
    blocked = [run for run in active if run.is_blocked()]
    if blocked:
        blocked[0].wait()
    else:
        active[0].refuse_stalled()
    return active
