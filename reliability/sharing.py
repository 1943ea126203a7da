"""Several processes on one plant: claims, collection during use, pauses and clocks, locks."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from pyplant import Plant, ReactorFunc
from pyplant.store import claims
from pyplant.store.files import Files, OpenFile
from reliability.bench import LOG, Lab, figure
from reliability.pipeline import log
from reliability.trial import Ended, forked, noted_starts, started, use_disk


def keys(count: int) -> list[Any]:
    """Return reactors that each take a moment."""

    def make(number: int) -> Any:
        @ReactorFunc(name=f"key_{number}")
        def key(pipe):
            log(f"key_{number}")
            time.sleep(0.005)
            pipe.send(f"key_{number}", number * pipe.read_config("round"))

        return key

    return [make(number) for number in range(count)]


KEYS = keys(10)
NAMES = tuple(f"key_{number}" for number in range(10))


def ask(root: Path, round_: int, start: float = 0.0) -> tuple[str, float]:
    """Ask for all keys; return what is wrong, and how long it took."""
    with Plant(root, progress=False) as plant:
        plant.add_reactor(KEYS)
        plant.set_config({"round": round_})
        time.sleep(max(0.0, start - time.time()))
        began = time.monotonic()
        values = plant.get(*NAMES)
        wrong = values != tuple(number * round_ for number in range(10))
        return ("wrong values" if wrong else ""), time.monotonic() - began


@figure(
    "R7",
    "4 processes (8 at night) ask for the same ten results at the same time",
    bar="1.00 executions a result, no wait of more than a second beyond the work",
    control="nothing is claimed",
    short=8,
    full=100,
)
def single_flight(lab: Lab) -> Iterator[str]:
    """One trial is one round."""
    root, path = lab.folder / "plant", lab.folder / "log"
    os.environ[LOG] = str(path)
    executions, longest = 0, 0.0
    for round_ in range(1, lab.trials + 1):
        path.unlink(missing_ok=True)
        start = time.time() + 0.15
        running = [started(lambda r=round_, s=start: ask(root, r, s)) for _ in range(8 if lab.full else 4)]
        ended = [wait() for wait in running]
        counts = Counter(path.read_text().split())
        executions += sum(counts.values())
        failure = next((one.error or one.value[0] for one in ended if one.error or one.value[0]), "")
        slow = max((one.value[1] for one in ended if one.value), default=0.0)
        longest = max(longest, slow)
        if not failure and sum(counts.values()) != len(NAMES):
            failure = f"{sum(counts.values())} executions of {len(NAMES)} reactors"
        if not failure and lab.full and slow > 1.0 + 10 * 0.05:  # CI machines are too busy for it
            failure = f"waited {slow:.1f} s"
        yield failure and f"round {round_}: {failure}"
    lab.notes.append(
        f"{executions / lab.trials / len(NAMES):.2f} executions a result, {longest:.2f} s at most"
    )


# ---------------------------------------------------------------------- collection


@ReactorFunc
def large(pipe):
    log(f"large {pipe.read_config('who')} {pipe.read_config('version')}")
    number = pipe.read_config("version") + 100 * pipe.read_config("who")
    pipe.send("large", np.full(3000, number))


def use(root: Path, who: int, until: float, *, rewrite: bool) -> str:
    """Read a stored result again and again, or make new ones."""
    version = 0
    while time.time() < until:
        with Plant(root, progress=False, max_size=60_000) as plant:
            plant.add_reactor(large)
            plant.set_config({"who": who, "version": version})
            plant.get("large")
            ran = noted_starts(plant)
            for _ in range(5):
                if not np.array_equal(plant.get("large"), np.full(3000, version + 100 * who)):
                    return "a wrong value"
                time.sleep(0.005)
            if ran:
                return "what an open plant used was removed"
        version += rewrite
    return ""


def collect(root: Path, until: float) -> str:
    """Collect every 50 ms."""
    with Plant(root, progress=False, max_size=60_000) as plant:
        while time.time() < until:
            plant.gc()
            time.sleep(0.05)
    return ""


@figure(
    "R18",
    "gc every 50 ms beside two writers and two readers",
    bar="0 exceptions, nothing in use is lost, all garbage goes",
    control="collection removes what is in use",
    short=1,
    full=60,
)
def collection_under_fire(lab: Lab) -> Iterator[str]:
    """One trial takes four seconds (ten at night)."""
    for trial in range(lab.trials):
        root = lab.folder / f"{trial}"
        until = time.time() + (10 if lab.full else 4)
        running = [
            *(started(lambda w=who, u=until: use(root, w, u, rewrite=w < 2)) for who in range(4)),
            started(lambda u=until: collect(root, u)),
        ]
        ended = [wait() for wait in running]
        failure = next((one.error or one.value for one in ended if one.error or one.value), "")
        yield failure or left_after_collection(lab, root)
        shutil.rmtree(root, ignore_errors=True)


def left_after_collection(lab: Lab, root: Path) -> str:
    """Return what is wrong after another collection, when no process runs and everything is old."""
    from pyplant.store.retention import collect as collect_now
    from pyplant.store.retention import stored_bytes
    from pyplant.store.warehouse import Warehouse

    def look() -> tuple[int, int, str]:
        warehouse = Warehouse(root)
        collect_now(warehouse, 0, now=time.time() + 30 * 86400)
        current = warehouse.ledger.current()  # current results stay at any age
        needed = stored_bytes(trace for trace in warehouse.ledger.traces() if trace.rank in current)
        stored = sum(warehouse.objects.sizes().values()) - needed
        journals = len(warehouse.journal.files())
        warehouse.close()
        return stored, journals, ""

    ended = forked(look)
    if ended.error:
        return ended.error
    stored, journals, _ = ended.value
    lab.notes[:] = [f"{stored} bytes of garbage and {journals} journal files left at the end"]
    return (
        ""
        if stored == 0 and journals <= 2
        else f"{stored} bytes of garbage, {journals} journal files are left"
    )


# ---------------------------------------------------------------------- pauses and clocks


class NetworkFiles(Files):
    """A mount on which the kernel's locks are not seen by others."""

    def has_shared_locks(self, path: Path) -> bool:
        return False


@ReactorFunc
def patient(pipe):
    log("patient")
    threading.Event().wait(
        0.3
    )  # not time.sleep(): code that uses the module would depend on the clock that is set below
    pipe.send("patient", 42)


def ask_patient(root: Path, *, shift: float = 0.0, network: bool = True, pid_namespace: str = "") -> str:
    """Ask for one result, with another clock or in another container."""
    if network:
        use_disk(NetworkFiles())
    claims.HEARTBEAT_TIMEOUT, claims.HEARTBEAT = 0.5, 0.1
    claims.OwnershipFiles.__init__.__kwdefaults__.update(heartbeat=0.1, timeout=0.5)
    if shift:
        clock = time.time
        time.time = lambda: clock() + shift  # type: ignore[assignment]
    if pid_namespace:
        claims.pid_namespace = lambda: pid_namespace  # type: ignore[assignment]
    with Plant(root, progress=False) as plant:
        plant.add_reactor(patient)
        return "" if plant.get("patient") == 42 else "a wrong value"


@figure(
    "R26",
    "the owner of a claim is stopped until others take over, then goes on; clocks 3 days off; other containers",
    bar="right; at most one execution more",
    control="nothing is claimed",
    short=8,
    full=200,
)
def pauses(lab: Lab) -> Iterator[str]:
    """One owner and three waiting processes."""
    path = lab.folder / "log"
    os.environ[LOG] = str(path)
    for trial in range(lab.trials):
        root = lab.folder / f"{trial}"
        path.unlink(missing_ok=True)
        kind = ("stopped", "clocks", "containers", "stopped on a local disk")[trial % 4]
        owner = started(lambda k=kind, r=root: ask_patient(r, network="local" not in k))
        while not path.exists():
            time.sleep(0.005)
        if kind.startswith("stopped"):
            os.kill(owner.pid, signal.SIGSTOP)
        shifts = [0.0, 0.0, 0.0] if kind != "clocks" else [3 * 86400.0, -3 * 86400.0, 0.0]
        waiting = [
            started(
                lambda s=shift, n=number, k=kind, r=root: ask_patient(
                    r,
                    shift=s,
                    network="local" not in k,
                    pid_namespace=f"other {n}" if k == "containers" else "",
                )
            )
            for number, shift in enumerate(shifts)
        ]
        if kind.startswith("stopped"):
            time.sleep(0.9)
            os.kill(owner.pid, signal.SIGCONT)
        ended: list[Ended] = [wait() for wait in (owner, *waiting)]
        executions = len(path.read_text().split())
        allowed = 1 if "local" in kind else 2  # a busy machine may look like a pause
        failure = next((one.error or one.value for one in ended if one.error or one.value), "")
        if not failure and executions > allowed:
            failure = f"{executions} executions"
        yield failure and f"{kind}: {failure}"
        shutil.rmtree(root, ignore_errors=True)


# ---------------------------------------------------------------------- kinds of locks


def no_mounts() -> str:
    """Return why file systems cannot be mounted here."""
    if os.geteuid() != 0:
        return "needs root"
    if shutil.which("bindfs") is None:
        return "needs bindfs"
    return "" if Path("/dev/fuse").exists() else "needs /dev/fuse"


class Lockless(Files):
    """A file system on which locking fails."""

    def __init__(self, code: int) -> None:
        self.code = code

    def lock(self, path: Path) -> OpenFile | None:
        raise OSError(self.code, os.strerror(self.code), str(path))


@figure(
    "R11",
    "locks that work, fail (ENOLCK, ENOSYS, EBADF, 524) or are not shared (two bindfs mounts)",
    bar="right everywhere; one execution a result",
    control="nothing is claimed",
    short=0,
    full=60,
    missing=no_mounts,
    at_night=True,
)
def lock_matrix(lab: Lab) -> Iterator[str]:
    """Two processes ask for the same result on different file systems."""
    path, real = lab.folder / "log", lab.folder / "real"
    mounts = [lab.folder / "one", lab.folder / "other"]
    for folder in (real, *mounts):
        folder.mkdir()
    os.environ[LOG] = str(path)
    try:
        for mount in mounts:
            options = "entry_timeout=20,negative_timeout=20,attr_timeout=20"
            subprocess.run(["bindfs", "-o", options, str(real), str(mount)], check=True)
        kinds = ["", errno.ENOLCK, errno.ENOSYS, errno.EBADF, 524, "mounts"]
        for trial in range(lab.trials):
            kind = kinds[trial % len(kinds)]
            roots = [mount / f"{trial}" for mount in (mounts if kind == "mounts" else [real, real])]
            path.unlink(missing_ok=True)
            yield both(kind, roots, path)
    finally:
        for mount in mounts:
            with suppress(subprocess.CalledProcessError):
                subprocess.run(["umount", str(mount)], check=True)


def both(kind: Any, roots: list[Path], path: Path) -> str:
    """Two processes at once."""

    def work(root: Path) -> str:
        if isinstance(kind, int):
            use_disk(Lockless(kind))
        with Plant(root, progress=False) as plant:
            plant.add_reactor(patient)
            return "" if plant.get("patient") == 42 else "a wrong value"

    with Plant(roots[0], progress=False):
        pass  # the directory exists before both begin
    first = started(lambda: work(roots[0]))
    while not path.exists():
        time.sleep(0.005)
    second = started(lambda: work(roots[1]))
    ended = [first(), second()]
    failure = next((one.error or one.value for one in ended if one.error or one.value), "")
    executions = len(path.read_text().split())
    if not failure and executions > 1:
        failure = f"{executions} executions"
    return failure and f"locks {kind or 'as they are'}: {failure}"
