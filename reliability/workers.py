"""Reactors on several workers: a worker dies, or the coordinator does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

from pyplant.workers.parallel_executor import _AHEAD
from reliability import pipeline
from reliability.bench import LOG, Lab, figure
from reliability.trial import aftermath, forked, read_done, run_pipeline, started
from tests.laws.executors import WORKERS

UNDER_WAY = _AHEAD * WORKERS  # each worker has a second reactor at hand when it ends the first
MARK = "PYPLANT_TRIAL_MARK"  # the variable of the environment that all processes of a trial share

# In a process of its own, since a client of a cluster has threads that do not survive a fork.
# A nanny gives up for good on a worker that dies while it starts; who runs a cluster then takes another.
_CLUSTER = """
import sys, threading, time
from distributed.core import Status
from tests.laws.executors import WORKERS, pool

def restore(cluster):
    while True:
        time.sleep(1)
        for name, nanny in list(cluster.workers.items()):
            if nanny.status is Status.failed:
                del cluster.workers[name]
        cluster.scale(WORKERS)

with pool("dask") as client:
    threading.Thread(target=restore, args=(client.cluster,), daemon=True).start()
    print(client.scheduler.address, flush=True)
    sys.stdin.read()
"""


class Cluster:
    """Start a Dask cluster on this machine within the block."""

    def __enter__(self) -> Cluster:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CLUSTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.address = self._process.stdout.readline().strip()  # type: ignore[union-attr]
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate(timeout=60)


@contextmanager
def executor_of(kind: str, address: str) -> Iterator[Any]:
    """Return what a trial passes as ``executor=``."""
    if kind == "threads":
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(WORKERS) as threads:
            yield threads
    elif kind == "processes":
        yield WORKERS
    else:
        from distributed import Client

        with Client(address) as client:
            yield client


def processes(predicate: Callable[[Path], bool]) -> list[int]:
    """Return the processes that satisfy a predicate of their folder in ``/proc``."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if predicate(folder):
                found.append(int(folder.name))
    return found


def workers_of(parent: int) -> list[int]:
    """Return the worker processes of a process."""

    def is_worker(folder: Path) -> bool:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        started_by = (folder / "cmdline").read_bytes()
        return (
            int(fields[1]) == parent
            and fields[0] != "Z"
            and b"resource_tracker" not in started_by
            and started_by != b""
        )

    return processes(is_worker)


def left_over(mark: str, patience: float = 20) -> str:
    """Return processes of a trial that still exist after some time."""
    wanted, limit = f"{MARK}={mark}".encode(), time.monotonic() + patience
    while True:
        found = processes(lambda folder: wanted in (folder / "environ").read_bytes().split(b"\0"))
        if not found or time.monotonic() > limit:
            return f"left over: processes {found}" if found else ""
        time.sleep(0.1)


@figure(
    "R30",
    "SIGKILL at a random moment of a run whose reactors are on threads, processes and a Dask cluster in turn",
    bar="afterwards 0 wrong, 0 exceptions, 0 reported results computed again, 0 processes left over",
    control="results reach the journal late",
    short=12,
    full=600,
)
def coordinator_dies(lab: Lab) -> Iterator[str]:
    """The coordinator dies; another process, without workers, runs the same reactors."""
    kinds = ("threads", "processes", "dask")
    with Cluster() as cluster:
        typical: dict[str, float] = {}
        for trial in range(-len(kinds), lab.trials):  # the first of each kind is not killed but timed
            kind, root, done = (
                kinds[trial % len(kinds)],
                lab.folder / f"{trial}",
                lab.folder / f"{trial}.done",
            )

            def work(kind: str = kind, root: Path = root, done: Path = done) -> Any:
                with executor_of(kind, cluster.address) as executor:
                    return run_pipeline(root, done=done, executor=executor)

            os.environ[MARK] = f"{os.getpid()}-{trial}"
            process = started(work)
            while not root.exists():
                time.sleep(0.001)
            began = time.monotonic()
            if kind in typical:
                time.sleep(lab.random.uniform(0, typical[kind]))
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            ended = process()
            del os.environ[MARK]
            if kind not in typical:
                typical[kind] = time.monotonic() - began
                if ended.error:
                    yield f"{kind}: {ended.error}"
                continue
            failure = aftermath(root, done=read_done(done)) or left_over(f"{os.getpid()}-{trial}")
            yield failure and f"trial {trial} on {kind}: {failure}"
            shutil.rmtree(root, ignore_errors=True)


@figure(
    "R31",
    "a worker, of two, is killed at a random moment of a run; processes, then a Dask cluster",
    bar="that run ends with the right values; a death costs at most as many executions as were under way",
    control="deaths of workers are failures",
    short=12,
    full=200,
)
def workers_die(lab: Lab) -> Iterator[str]:
    """One trial is one kill; a run that had ended before does not count."""
    log = lab.folder / "log"
    os.environ[LOG] = str(log)
    with Cluster() as cluster:
        for kind, kills in (("processes", lab.trials - lab.trials // 2), ("dask", lab.trials // 2)):
            seed, root = lab.random.random(), lab.folder / kind

            def session(kind: str = kind, kills: int = kills, seed: float = seed, root: Path = root) -> Any:
                with executor_of(kind, cluster.address) as executor:
                    parent = os.getpid() if kind == "processes" else cluster.pid
                    return list(_runs_with_kills(root, executor, parent, kills, Random(seed), log))

            ended = forked(session, patience=30 + 20 * kills)
            yield from ended.value or [f"{kind}: {ended.error}"]
    lab.notes.append(f"{WORKERS} workers")


def _runs_with_kills(
    root: Path, executor: Any, parent: int, kills: int, random: Random, log: Path
) -> Iterator[str]:
    typical = 0.2
    scale = killed = before = 0
    with pipeline.open_plant(root, executor=executor) as plant:
        plant.get(*pipeline.NAMES)  # the workers are there, and have seen the code
        while killed < kills:
            scale += 1
            log.unlink(missing_ok=True)
            victims: list[int] = []

            def kill(moment: float, victims: list[int] = victims) -> None:
                time.sleep(moment)
                workers = workers_of(parent)
                if workers and not ended.is_set():
                    os.kill(random.choice(workers), signal.SIGKILL)
                    victims.append(1)

            ended = threading.Event()
            killer = threading.Thread(target=kill, args=(random.uniform(0, typical),))
            began = time.monotonic()
            killer.start()
            plant.set_config({"scale": scale + 1})
            values = dict(zip(pipeline.NAMES, plant.get(*pipeline.NAMES), strict=True))
            ended.set()
            if not victims:
                typical = 0.9 * typical + 0.1 * (time.monotonic() - began)
            killer.join()
            wrong = pipeline.difference(values, scale + 1)
            failure = wrong and f"wrong values of {wrong}"
            # Workers of a pool that broke in the run before may still have been ending.
            failure = failure or _needless(log.read_text().split(), before + len(victims))
            before = len(victims)
            killed += len(victims)
            if victims or failure:
                yield failure and f"run {scale}: {failure}"
        audit = plant.fsck()
        if not audit.is_clean:
            yield str(audit)


def _needless(executions: list[str], deaths: int) -> str:
    """Return whether there were more executions than deaths explain: each repeats those that were under way."""
    if len(executions) > len(pipeline.REACTORS) + UNDER_WAY * deaths:
        return f"{dict(Counter(executions))} executions with {deaths} deaths"
    return ""
