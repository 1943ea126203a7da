"""Where attempts are made: worker processes of our own, any ``concurrent.futures`` pool, Dask.

A pool takes a function with one argument and gives a future; that is all that is asked of
it. What differs is how many work at once, how a broken one is mended, and how work that is
under way is stopped.
"""

from __future__ import annotations

import math
import os
import sys
import time
import weakref
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from concurrent.futures import Executor as FuturesExecutor
from typing import Any, Protocol

from pyplant import _streams
from pyplant.errors import RunError
from pyplant.execution.interrupts import held_interrupts
from pyplant.workers.messages import Hidden, TaskRequest
from pyplant.workers.worker_main import end_with, execute, execute_pickled, sees

__all__ = ["Pool", "pool_of"]

_IDLE = 300.0  # seconds after which worker processes that have nothing to do end
_COUNT = 0.5  # seconds between two questions how large a cluster is; each takes milliseconds
_GRACE = 2.0  # seconds in which an attempt that was interrupted ends


class Pool(Protocol):
    """Makes attempts."""

    is_here: bool
    """Whether workers share this process, and nothing need be packed."""

    @property
    def size(self) -> int:
        """How many attempts are made at once."""

    def check(self, root: str) -> None:
        """See to it that the workers see the plant.

        Raises
        ------
        pyplant.errors.PlantDirError
            If one does not.
        """

    def submit(self, order: TaskRequest, packed: bytes, resources: dict[str, Any], priority: float) -> Any:
        """Have an attempt made; returns a future of its reply, packed or not as the order."""

    def mend(self, broken: Any) -> None:
        """A worker died, and with it this future: see to it that others can be asked."""

    def lacks(self, resources: dict[str, Any]) -> str:
        """What is missing for an attempt that needs these to be made at all, for people; empty if nothing is."""

    def stop(self, futures: list[Any]) -> None:
        """Nobody waits for these any more."""

    def close(self) -> None:
        """The plant is closed: end workers that are its own."""


class FuturesPool:
    """Any executor of ``concurrent.futures``: threads, processes, loky, MPI.

    Parameters
    ----------
    executor
        The executor; it stays its owner's.
    """

    def __init__(self, executor: FuturesExecutor) -> None:
        self._executor = executor
        self._own: LocalPool | None = None
        self.is_here = isinstance(executor, ThreadPoolExecutor)

    @property
    def size(self) -> int:
        """How many attempts are made at once."""
        return int(getattr(self._executor, "_max_workers", 0) or os.cpu_count() or 1)

    def check(self, root: str) -> None:
        """Nobody knows these workers; each says so itself if it does not see the plant."""

    def submit(
        self, order: TaskRequest, packed: bytes, resources: dict[str, Any], priority: float
    ) -> Future[Any]:
        """Have an attempt made."""
        if self._own is not None:
            future: Future[Any] = self._own.submit(order, packed, resources, priority)
            return future
        if self.is_here:
            return self._executor.submit(execute, order)
        return self._executor.submit(execute_pickled, packed)

    def mend(self, broken: Any) -> None:
        """A broken executor refuses all work; as it is not ours to repair, workers of our own take over."""
        if self._own is not None:
            self._own.mend(broken)
            return
        try:
            self._executor.submit(int).cancel()
        except BrokenExecutor:
            self._own = LocalPool(self.size)

    def lacks(self, resources: dict[str, Any]) -> str:
        """Nothing is known of these workers."""
        del resources
        return ""

    def stop(self, futures: list[Future[Any]]) -> None:
        """Nobody waits for these any more; those that run notice it themselves."""
        _stop(futures)

    def close(self) -> None:
        """The executor is its owner's."""
        if self._own is not None:
            self._own.close()


class LocalPool:
    """Worker processes on this machine, started when they are needed and used again.

    They are started by loky: neither forked, which is not safe beside threads, nor by
    importing ``__main__`` anew, which a notebook has not.

    Parameters
    ----------
    workers
        How many.
    """

    is_here = False

    def __init__(self, workers: int) -> None:
        self.size = workers
        self._executor: Any = None
        self._process = os.getpid()
        self._given: weakref.WeakSet[Any] = weakref.WeakSet()

    def begin(self) -> Any:
        """The executor."""
        if self._executor is None or self._process != os.getpid():
            _refuse_daemon(self.size)
            from loky.process_executor import ProcessPoolExecutor

            self._process = os.getpid()
            # Without standard error a worker could not enable its fault handler, and would end.
            environment = {"PYTHONFAULTHANDLER": ""} if sys.stderr is None else None
            self._executor = ProcessPoolExecutor(
                max_workers=self.size,
                timeout=_IDLE,
                initializer=end_with,
                initargs=(self._process,),
                env=environment,
            )
        return self._executor

    def check(self, root: str) -> None:
        """They are on this machine."""

    def submit(self, order: TaskRequest, packed: bytes, resources: dict[str, Any], priority: float) -> Any:
        """Have an attempt made."""
        del order, resources, priority
        executor = self.begin()
        with _streams.missing_replaced():  # loky flushes them before it starts a worker
            future = executor.submit(execute_pickled, packed)
        self._given.add(future)
        return future

    def mend(self, broken: Any) -> None:
        """Start others, unless that was done already."""
        if broken is None or broken in self._given:
            self.close()

    def lacks(self, resources: dict[str, Any]) -> str:
        """Workers are started when they are needed."""
        del resources
        return ""

    def close(self) -> None:
        """End the workers; others are started when there is work. In a forked process they are the parent's."""
        if self._process != os.getpid():
            return
        executor, self._executor = self._executor, None
        self._given.clear()
        if executor is not None:
            with held_interrupts():
                executor.shutdown(wait=False, kill_workers=True)

    def stop(self, futures: list[Any]) -> None:
        """Nobody waits for these any more; who does not stop of itself is killed."""
        ended = False
        try:
            ended = _stop(futures)
        finally:
            if not ended:
                self.close()


class DaskPool:
    """The workers of a Dask cluster.

    Parameters
    ----------
    client
        A ``dask.distributed.Client``.
    """

    is_here = False

    def __init__(self, client: Any) -> None:
        self._client = client
        self._checked: set[str] = set()
        self._asked: weakref.WeakKeyDictionary[Future[bytes], Any] = weakref.WeakKeyDictionary()
        self._size = 1
        self._counted = -math.inf

    @property
    def size(self) -> int:
        """How many attempts are made at once; clusters grow and shrink."""
        now = time.monotonic()
        if now - self._counted > _COUNT:
            self._size = max(1, sum(map(int, self._client.nthreads().values())))
            self._counted = now
        return self._size

    def check(self, root: str) -> None:
        """Ask each worker that was not asked yet."""
        new = [worker for worker in self._client.nthreads() if worker not in self._checked]
        if not new:
            return
        for worker, answer in self._client.run(sees, root, workers=new, on_error="return").items():
            if isinstance(answer, OSError):
                continue  # it is going; who comes in its place is asked then
            if isinstance(answer, Exception):
                raise answer
            if answer:
                raise Hidden(answer).error(root)
            self._checked.add(worker)

    def submit(self, order: TaskRequest, packed: bytes, resources: dict[str, Any], priority: float) -> Any:
        """Have an attempt made."""
        asked = self._client.submit(
            execute_pickled,
            packed,
            key=f"pyplant-{order.name}",
            pure=False,
            resources=resources or None,
            priority=priority,
        )
        reply: Future[bytes] = Future()

        async def fetch() -> None:
            try:
                reply.set_result(await self._client.gather(asked, asynchronous=True))
            except BaseException as error:  # noqa: BLE001 - whatever came of it
                reply.set_exception(error)

        # Asked for at once where the client listens: each question costs milliseconds of waiting.
        self._client.loop.add_callback(fetch)
        self._asked[reply] = asked
        return reply

    def mend(self, broken: Any) -> None:
        """Dask replaces workers itself."""

    def lacks(self, resources: dict[str, Any]) -> str:
        """A cluster may have lost all its workers, or never had one for this; Dask waits without a word."""
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        except OSError:
            return ""  # who waits for an answer hears of it
        if not workers:
            return "the Dask cluster has no worker"
        for worker in workers:
            if all(worker["resources"].get(name, 0) >= amount for name, amount in resources.items()):
                return ""
        return f"no worker of the Dask cluster offers {resources}"

    def stop(self, futures: list[Any]) -> None:
        """Nobody waits for these any more; those that run notice it themselves."""
        if futures:
            self._client.cancel([self._asked[future] for future in futures])

    def close(self) -> None:
        """The cluster is its owner's."""


def _refuse_daemon(workers: int) -> None:
    """Python lets no daemonic process, as of ``multiprocessing.Pool``, start others."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    if multiprocessing is not None and multiprocessing.current_process().daemon:
        message = (
            f"executor={workers} needs worker processes, and this process is daemonic, so Python lets it start none: "
            f"it belongs to a multiprocessing.Pool or the like. Use executor=None or a ThreadPoolExecutor here."
        )
        raise RunError(message)


def _stop(futures: list[Any]) -> bool:
    """Cancel what has not begun, and give the rest, which notices, a moment to end; whether all have."""
    from concurrent.futures import wait

    for future in futures:
        future.cancel()
    running = [future for future in futures if not future.done()]
    return not running or not wait(running, timeout=_GRACE).not_done


def pool_of(wanted: Any) -> Pool:
    """The pool that users mean by ``executor=``.

    Raises
    ------
    pyplant.errors.RunError
        If there is none such.
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
