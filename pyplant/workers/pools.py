"""Pools of workers: processes that PyPlant starts, any ``concurrent.futures`` executor, a Dask cluster.

All that a pool must offer is to call a function with one argument in a worker and return a future.
Three things differ, and each class here says how:

- the number of workers: fixed, or changing while a cluster grows and shrinks;
- a broken pool: PyPlant restarts its own processes, replaces a broken executor of the user by processes
  of its own, and leaves the workers of a cluster to Dask;
- work that nobody waits for any more: futures are cancelled. Attempts that have begun notice soon
  that the folder of their run is gone, and stop. Only PyPlant's own processes are killed.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
import weakref
from collections.abc import Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from concurrent.futures import Executor as FuturesExecutor
from contextlib import contextmanager
from typing import Any, Protocol

from pyplant import _streams
from pyplant.errors import ResourcesError, RunError
from pyplant.execution.budget import Budget, Grant
from pyplant.execution.interrupts import held_interrupts
from pyplant.reads.environment import present_variables
from pyplant.workers.messages import PlantUnreachable, TaskRequest
from pyplant.workers.worker_environment import (
    EnvironmentChanges,
    assigned_variables,
    interpreter_variables,
    visible_devices,
)
from pyplant.workers.worker_main import (
    begin_own_worker,
    check_visibility,
    execute,
    execute_in_own_worker,
    execute_pickled,
)

__all__ = ["Pool", "pool_of"]

_PATIENCE = 2.0  # seconds for the threads of killed workers to end, which takes 30 ms
_IDLE = 300.0  # seconds after which idle worker processes end, to free their memory
_COUNT = 0.5  # seconds between two queries of the size of a cluster; each takes milliseconds
_GRACE = 2.0  # seconds within which interrupted attempts should end


class Pool(Protocol):
    """A pool of workers that attempt tasks."""

    shares_process: bool
    """Whether workers share this process, so that nothing is pickled."""

    starts_workers: bool
    """Whether PyPlant starts the workers, so that they have the environment of this process."""

    knows_resources: bool
    """Whether the pool itself starts a task only where its resources are free."""

    @property
    def size(self) -> int:
        """The number of workers."""

    def check(self, root: str) -> None:
        """Check that all workers can open the plant.

        Raises
        ------
        pyplant.errors.PlantDirError
            If one cannot.
        """

    def check_budget(self, budget: Budget | None) -> None:
        """Check that the pool can work with the resources of a plant.

        Raises
        ------
        pyplant.errors.ResourcesError
            If it cannot.
        """

    def submit(self, request: TaskRequest, packed: bytes, grant: Grant, priority: float) -> Any:
        """Submit a request, or its pickled form; returns a future of the reply in the same form."""

    def replace_workers(self, broken: Any) -> None:
        """Replace workers after one died and broke this future, so that requests can be submitted again."""

    def missing_resources(self, resources: Mapping[str, float]) -> str:
        """Say why no worker has these resources, as a phrase for the user; ``""`` if one has, or if it is unknown."""

    def stop(self, futures: list[Any]) -> None:
        """Cancel requests whose run is over."""

    def close(self) -> None:
        """End the workers that PyPlant started."""


class FuturesPool:
    """Any executor of ``concurrent.futures``: threads, processes, loky, MPI.

    Parameters
    ----------
    executor
        The executor; PyPlant never shuts it down.
    """

    starts_workers = False
    knows_resources = False

    def __init__(self, executor: FuturesExecutor) -> None:
        self._executor = executor
        self._replacement: LocalPool | None = None
        self.shares_process = isinstance(executor, ThreadPoolExecutor)

    @property
    def size(self) -> int:
        """The number of workers."""
        # concurrent.futures has no public attribute for it.
        return int(getattr(self._executor, "_max_workers", 0) or os.cpu_count() or 1)

    def check_budget(self, budget: Budget | None) -> None:
        """Do nothing: tasks can be held back, but these workers cannot be addressed, so none gets a GPU of its own."""

    def check(self, root: str) -> None:
        """Do nothing: these workers cannot be addressed. Each replies with an error if it cannot open the plant."""

    def submit(self, request: TaskRequest, packed: bytes, grant: Grant, priority: float) -> Future[Any]:
        """Submit a request."""
        if self._replacement is not None:
            future: Future[Any] = self._replacement.submit(
                request, packed, grant._replace(devices=()), priority
            )
            return future
        # Threads need no copy: they find the reactor itself among the runs of their process.
        if self.shares_process:
            return self._executor.submit(execute, request)
        return self._executor.submit(execute_pickled, packed)

    def replace_workers(self, broken: Any) -> None:
        """Use processes of our own from now on if the executor of the user is broken; we cannot restart it."""
        if self._replacement is not None:
            self._replacement.replace_workers(broken)
            return
        # A harmless task shows whether the executor is broken or replaced the worker itself.
        try:
            self._executor.submit(int).cancel()
        except BrokenExecutor:
            self._replacement = LocalPool(self.size)

    def missing_resources(self, resources: Mapping[str, float]) -> str:
        """Return ``""``: nothing is known of these workers."""
        del resources
        return ""

    def stop(self, futures: list[Future[Any]]) -> None:
        """Cancel requests whose run is over; attempts that have begun stop themselves."""
        _stop(futures)

    def close(self) -> None:
        """End the processes that replaced a broken executor."""
        if self._replacement is not None:
            self._replacement.close()


class LocalPool:
    """Worker processes on this machine, started at the first request and reused in later runs.

    loky starts them: forking is not safe in a process with threads, and spawning by
    :mod:`multiprocessing` imports ``__main__`` again, which a notebook does not have.

    Parameters
    ----------
    workers
        The number of processes.
    """

    shares_process = False
    starts_workers = True
    knows_resources = False

    def __init__(self, workers: int) -> None:
        self.size = workers
        self._process = os.getpid()
        self._started: list[_Workers] = []
        # Weak, since the executor drops a future when it has read its reply.
        self._futures: weakref.WeakKeyDictionary[Any, _Workers] = weakref.WeakKeyDictionary()

    def check_budget(self, budget: Budget | None) -> None:
        """Check that this process sees as many GPUs as the budget has."""
        if budget is not None and budget.devices:
            visible_devices(range(budget.devices), os.environ)

    def check(self, root: str) -> None:
        """Do nothing: the processes are on this machine and have the same files."""

    def submit(self, request: TaskRequest, packed: bytes, grant: Grant, priority: float) -> Any:
        """Submit a request."""
        del request, priority
        workers = self._workers(grant.devices)
        try:
            future = workers.submit(packed)
        except BrokenExecutor:  # a process was killed since the last request
            self._end(workers)
            workers = self._workers(grant.devices)
            future = workers.submit(packed)
        self._futures[future] = workers
        return future

    def _workers(self, devices: tuple[int, ...]) -> _Workers:
        """Return the workers for a task: those that share all tasks without GPUs, or an idle one with these GPUs.

        They are started in the first call, and again in a forked child.
        """
        # The processes belong to the parent, which goes on to use them.
        if self._process != os.getpid():
            self._process = os.getpid()
            self._started.clear()
        for workers in self._started:
            if workers.devices == devices and not (devices and workers.is_busy):
                return workers
        # An idle worker keeps the memory that it has used on its devices until it ends.
        for workers in [one for one in self._started if not one.is_busy]:
            if set(devices).intersection(workers.devices):
                self._end(workers)
        _refuse_daemon(self.size)
        workers = _Workers(1 if devices else self.size, self.size, devices)
        self._started.append(workers)
        return workers

    def _end(self, workers: _Workers) -> None:
        self._started.remove(workers)
        workers.kill()

    def replace_workers(self, broken: Any) -> None:
        """Close the broken executor, unless it was replaced since the future was created."""
        # One death breaks all futures of an executor, and each of them is reported here.
        for workers in list(self._started):
            if broken is None or self._futures.get(broken) is workers:
                self._end(workers)

    def missing_resources(self, resources: Mapping[str, float]) -> str:
        """Return ``""``: processes are started when they are needed."""
        del resources
        return ""

    def close(self) -> None:
        """Kill the processes; the next request starts others. Do nothing in a forked child."""
        if self._process != os.getpid():
            return
        self._futures.clear()
        with held_interrupts():
            while self._started:
                self._started.pop().kill()

    def stop(self, futures: list[Any]) -> None:
        """Cancel requests whose run is over, and kill the processes if attempts do not stop themselves."""
        ended = False
        try:
            ended = _stop(futures)
        finally:
            if not ended:
                self.close()


class _Workers:
    """Worker processes that start with the same environment.

    Parameters
    ----------
    count
        The number of processes.
    sharing
        The number of processes that share the cores.
    devices
        The numbers of the GPUs that they see; empty if they see what this process sees.
    """

    def __init__(self, count: int, sharing: int, devices: tuple[int, ...]) -> None:
        from loky import cpu_count  # does not count cores that affinity or a control group forbids
        from loky.process_executor import ProcessPoolExecutor

        if os.name == "posix":
            from multiprocessing import resource_tracker

            resource_tracker.ensure_running()  # Python 3.11 accepts SIGINT again when it starts this process
        self.devices = devices
        self._last: Any = None  # the future of the last request
        assigned = assigned_variables(sharing, cpu_count(), os.environ, devices)
        options = interpreter_variables()
        self._environment = EnvironmentChanges(present_variables(), assigned, options)
        self._executor = ProcessPoolExecutor(
            max_workers=count,
            timeout=_IDLE,
            initializer=begin_own_worker,
            initargs=(os.getpid(), self._environment.start),
            env={**options, **assigned},
        )

    @property
    def is_busy(self) -> bool:
        """Whether the last request is not answered; those with GPUs have one at a time."""
        return self._last is not None and not self._last.done()

    def submit(self, packed: bytes) -> Any:
        """Submit a pickled request; returns a future of the pickled reply."""
        # loky flushes the standard streams before it starts a worker.
        with _streams.missing_replaced(), _sigint_blocked():
            self._last = self._executor.submit(
                execute_in_own_worker, packed, self._environment.now(present_variables())
            )
        return self._last

    def kill(self) -> None:
        """Kill the processes."""
        # The thread that feeds them removes semaphores last. If the program ended meanwhile, loky would tell of a leak.
        feeder = getattr(self._executor._call_queue, "_thread", None)  # noqa: SLF001 - there is no public way to it
        with held_interrupts():
            self._executor.shutdown(wait=False, kill_workers=True)
            if feeder is not None:
                feeder.join(_PATIENCE)


@contextmanager
def _sigint_blocked() -> Iterator[None]:
    """Let processes that are started in the block begin without SIGINT; they accept it when they can handle it.

    A terminal sends it to them, too, and one that dies while it starts ends the others of its pool with it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class DaskPool:
    """The workers of a Dask cluster.

    Parameters
    ----------
    client
        A ``dask.distributed.Client``.
    """

    shares_process = False
    starts_workers = False
    knows_resources = True

    def __init__(self, client: Any) -> None:
        self._client = client
        self._checked: set[str] = set()
        self._dask_futures: weakref.WeakKeyDictionary[Future[bytes], Any] = weakref.WeakKeyDictionary()
        self._size = 1
        self._counted = -math.inf

    @property
    def size(self) -> int:
        """The number of threads of all workers; clusters grow and shrink."""
        now = time.monotonic()
        if now - self._counted > _COUNT:
            self._size = max(1, sum(map(int, self._client.nthreads().values())))
            self._counted = now
        return self._size

    def check_budget(self, budget: Budget | None) -> None:
        """Refuse a budget: the workers of a cluster have resources of their own."""
        if budget is not None:
            message = (
                "Plant(resources=...) is for workers on this machine. The workers of a Dask cluster offer their own: "
                'start them with resources, as in `dask worker --resources "GPU=2"`.'
            )
            raise ResourcesError(message)

    def check(self, root: str) -> None:
        """Ask each worker that was not asked before whether it can open the plant."""
        new = [worker for worker in self._client.nthreads() if worker not in self._checked]
        if not new:
            return
        for worker, answer in self._client.run(
            check_visibility, root, workers=new, on_error="return"
        ).items():
            if isinstance(answer, OSError):
                continue  # the worker is leaving; the one that replaces it is asked before the next run
            if isinstance(answer, Exception):
                raise answer
            if answer:
                raise PlantUnreachable(answer).error(root)
            self._checked.add(worker)

    def submit(self, request: TaskRequest, packed: bytes, grant: Grant, priority: float) -> Any:
        """Submit a request."""
        # Not pure, and with a key of its own: an attempt that repeats another one must run again.
        asked = self._client.submit(
            execute_pickled,
            packed,
            key=f"pyplant-{request.name}",
            pure=False,
            resources=dict(grant.amounts) or None,
            priority=priority,
        )
        reply: Future[bytes] = Future()

        async def fetch() -> None:
            try:
                reply.set_result(await self._client.gather(asked, asynchronous=True))
            except BaseException as error:  # noqa: BLE001 - passed on to who waits for the reply
                reply.set_exception(error)

        # The loop of the client fetches the reply as soon as it is there; fetching it here would cost a round trip.
        self._client.loop.add_callback(fetch)
        self._dask_futures[reply] = asked
        return reply

    def replace_workers(self, broken: Any) -> None:
        """Do nothing: Dask replaces workers."""

    def missing_resources(self, resources: Mapping[str, float]) -> str:
        """Say why no worker of the cluster has these resources: Dask waits for one and reports nothing."""
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        except OSError:
            return ""  # the scheduler is gone; the futures raise it
        if not workers:
            return "the Dask cluster has no worker"
        for worker in workers:
            if all(worker["resources"].get(name, 0) >= amount for name, amount in resources.items()):
                return ""
        return f"no worker of the Dask cluster offers {resources}"

    def stop(self, futures: list[Any]) -> None:
        """Cancel requests whose run is over; attempts that have begun stop themselves."""
        if futures:
            self._client.cancel([self._dask_futures[future] for future in futures])

    def close(self) -> None:
        """Do nothing: the cluster belongs to the user."""


def _refuse_daemon(workers: int) -> None:
    """Raise an error in a daemonic process, such as one of ``multiprocessing.Pool``: it may not start processes."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.current_process().daemon:
        message = (
            f"executor={workers} needs worker processes, and Python allows a daemonic process such as this one to start "
            f"none. It probably belongs to a multiprocessing.Pool. Use executor=None or a ThreadPoolExecutor here."
        )
        raise RunError(message)


def _stop(futures: list[Any]) -> bool:
    """Cancel futures that have not begun and wait briefly for the others; returns whether all have ended."""
    from concurrent.futures import wait

    for future in futures:
        future.cancel()
    running = [future for future in futures if not future.done()]
    return not running or not wait(running, timeout=_GRACE).not_done


def pool_of(wanted: Any) -> Pool:
    """Return the pool for an ``executor=`` argument.

    Raises
    ------
    pyplant.errors.RunError
        If the argument is not supported.
    """
    if isinstance(wanted, int) and not isinstance(wanted, bool):
        if wanted < 1:
            message = f"executor={wanted}: the number of worker processes is at least 1."
            raise RunError(message)
        return LocalPool(wanted)
    if isinstance(wanted, FuturesExecutor):
        return FuturesPool(wanted)
    if type(wanted).__module__.partition(".")[0] == "distributed" and hasattr(wanted, "submit"):
        return DaskPool(wanted)
    message = (
        f"executor={wanted!r} is not supported. It is None, a number of worker processes, an executor of "
        f"concurrent.futures, or a dask.distributed.Client."
    )
    raise RunError(message)
