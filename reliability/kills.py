"""Processes that die: at every point, at random, by an interrupt, without memory."""

from __future__ import annotations

import linecache
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

import pyplant
from pyplant import Plant, ReactorFunc, specs
from reliability import pipeline
from reliability.bench import LOG, Lab, figure
from reliability.disks import CountingFiles, KillingFiles
from reliability.trial import aftermath, forked, read_done, run_pipeline, started, use_disk

PACKAGE = str(Path(pyplant.__file__).parent)
CGROUP = Path("/sys/fs/cgroup/memory")


def points_of_a_run(lab: Lab, root: Path, scale: float = 1) -> list[int]:
    """Return the points at which a run can die: all of them, or a sample."""

    def count() -> int:
        disk = CountingFiles()
        use_disk(disk)
        run_pipeline(root, scale=scale)
        return len(disk.points)

    ended = forked(count)
    assert not ended.error, ended.error
    total = ended.value
    lab.notes.append(f"{total} points")
    if lab.full or total <= lab.trials:
        return list(range(1, total + 1))
    return sorted(lab.random.sample(range(1, total + 1), lab.trials))


@figure(
    "R1",
    "SIGKILL before each change of the disk and half way through each write of a run",
    bar="afterwards 0 wrong, 0 exceptions, 0 reported results computed again",
    control="results reach the journal late",
    short=40,
    full=10_000,
)
def every_point(lab: Lab) -> Iterator[str]:
    """A run dies at a point; another process runs the same."""
    for point in points_of_a_run(lab, lab.folder / "counted"):
        root, done = lab.folder / f"{point}", lab.folder / f"{point}.done"

        def die(point: int = point, root: Path = root, done: Path = done) -> Any:
            use_disk(KillingFiles(point))
            return run_pipeline(root, done=done)

        forked(die)
        failure = aftermath(root, done=read_done(done))
        yield failure and f"point {point}: {failure}"
        shutil.rmtree(root, ignore_errors=True)


@figure(
    "R2",
    "result A is kept; a run with another parameter dies at each point; A is asked for again",
    bar="0 wrong, 0 exceptions, 0 executions",
    control="values are written in place",
    short=40,
    full=10_000,
)
def edit_kill_revert(lab: Lab) -> Iterator[str]:
    """Earlier results survive a kill while later ones are computed."""
    first = lab.folder / "first"
    forked(lambda: run_pipeline(first, scale=1))
    shutil.copytree(first, lab.folder / "counted")
    for point in points_of_a_run(lab, lab.folder / "counted", scale=2):
        root = lab.folder / f"{point}"
        shutil.copytree(first, root)

        def die(point: int = point, root: Path = root) -> Any:
            use_disk(KillingFiles(point))
            return run_pipeline(root, scale=2)

        forked(die)
        failure = aftermath(root, scale=1, done=frozenset(r.__name__ for r in pipeline.REACTORS))
        yield failure and f"point {point}: {failure}"
        shutil.rmtree(root, ignore_errors=True)


@figure(
    "R3",
    "four processes run the same; three are killed at random moments",
    bar="the survivor is right; at most one execution more for each kill",
    control="nothing is claimed",
    short=60,
    full=1_000,
)
def random_kills(lab: Lab) -> Iterator[str]:
    """One trial is one kill; a process that had ended before is not counted."""
    root, log = lab.folder / "plant", lab.folder / "log"
    os.environ[LOG] = str(log)
    typical = 0.1
    killed = round_ = 0
    while killed < lab.trials:
        round_ += 1
        log.unlink(missing_ok=True)

        def work(scale: int = round_) -> Any:
            return run_pipeline(root, scale=scale)

        # One execution too many is noticed in rounds without kills, and after late kills, when most reactors have ended.
        longest = {1: None, 2: 2 * typical}.get(round_ % 5, typical)
        began = time.monotonic()
        victims = [started(work) for _ in range(3)]
        survivor = started(work)
        moments = [] if longest is None else [lab.random.uniform(0, longest) for _ in victims]
        for moment, victim in sorted(zip(moments, victims, strict=False), key=lambda one: one[0]):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            with suppress(ProcessLookupError):
                os.kill(victim.pid, signal.SIGKILL)
        kills = sum(victim().killed != 0 for victim in victims)
        ended = survivor()
        if longest == typical:
            typical = 0.9 * typical + 0.1 * (time.monotonic() - began)
        executions = log.read_text().split() if log.exists() else []
        failure = ended.error or ended.value["wrong"] or ended.value["audit"]
        if not failure and len(executions) > len(pipeline.REACTORS) + kills:
            failure = f"{len(executions)} executions with {kills} kills"
        killed += kills
        if failure:
            yield f"round {round_}: {failure}"
        yield from [""] * kills


# ---------------------------------------------------------------------- interrupts


def interrupt_at(line: int, counted: list[int]) -> Callable[..., Any]:
    """Return a trace function that raises at the ``line``-th line of the store and of the run."""
    places = (f"{PACKAGE}/store/", f"{PACKAGE}/execution/run.py", f"{PACKAGE}/execution/claims_guard.py")

    def trace(frame: Any, event: str, argument: Any) -> Any:
        del argument
        if event == "call":
            return trace if frame.f_code.co_filename.startswith(places) else None
        if event == "line" and not _leaves_block(frame):
            counted[0] += 1
            if counted[0] == line:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    return trace


def _leaves_block(frame: Any) -> bool:
    """Return whether the line is a ``with``: its end has the same line, and no interrupt comes before ``__exit__``."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with ")


@figure(
    "R12",
    "Ctrl-C at a line of the store or of the run; or no memory for one allocation",
    bar="the same session and the next are right; nothing is left over",
    control="leftovers are never removed",
    short=40,
    full=5_000,
)
def interrupts(lab: Lab) -> Iterator[str]:
    """The interrupted session goes on, and then another session uses the plant."""

    def count() -> int:
        counted = [0]
        sys.settrace(interrupt_at(-1, counted))
        run_pipeline(lab.folder / "counted")
        sys.settrace(None)
        return counted[0]

    lines = forked(count).value
    lab.notes.append(f"{lines} lines")
    chosen = lab.random.sample(range(1, lines + 1), min(lines, lab.trials * 4 // 5))
    for line in chosen:
        yield interrupted(
            lab.folder / f"line-{line}", lambda line=line: sys.settrace(interrupt_at(line, [0]))
        )
    try:
        from _testcapi import set_nomemory
    except ImportError:
        lab.notes.append("this Python cannot run out of memory on request")
        return
    for allocation in lab.random.sample(range(1, 60_000), lab.trials // 5):
        yield interrupted(
            lab.folder / f"allocation-{allocation}",
            lambda allocation=allocation: set_nomemory(allocation, allocation + 1),
            raises=False,
        )


def interrupted(root: Path, arm: Callable[[], None], *, raises: bool = True) -> str:
    """Return what is wrong after an interruption.

    Without memory the session itself may end in any way, Python's own modules half imported
    and all; with ``raises`` it must be right.
    """

    def session() -> dict[str, Any]:
        plant = pipeline.open_plant(root)
        try:
            arm()
            plant.get(*pipeline.NAMES)
        except (KeyboardInterrupt, MemoryError):
            pass
        finally:
            sys.settrace(None)
        with pipeline.open_plant(root) if not plant._finalizer.alive else plant as again:
            values = dict(zip(pipeline.NAMES, again.get(*pipeline.NAMES), strict=True))
            return {"wrong": pipeline.difference(values)}

    ended = forked(session, patience=20)
    if ended.error and raises:
        return f"{root.name}: the same session: {ended.error}"
    if ended.value and ended.value["wrong"]:
        return f"{root.name}: the same session: wrong values of {ended.value['wrong']}"
    failure = aftermath(root)
    if not failure:
        failure = forked(lambda: leftovers(root)).value or ""
    shutil.rmtree(root, ignore_errors=True)
    return failure and f"{root.name}: {failure}"


def leftovers(root: Path) -> str:
    """Return files of dead processes after a collection."""
    with pipeline.open_plant(root) as plant:
        plant.gc()
    parts = ("tmp", "claims", "leases")
    left = [str(path.relative_to(root)) for part in parts for path in (root / part).glob("*")]
    return f"left over: {', '.join(left)}" if left else ""


# ---------------------------------------------------------------------- memory


@ReactorFunc
def huge(pipe):
    """Fill an array on disk slab by slab."""
    size = pipe.read_config("megabytes")
    data = pipe.allocate("huge", "array", shape=(size, 1 << 17), dtype="f8")
    for row in range(size):
        data[row] = row
        if row % 16 == 15:
            data.flush()
    pipe.send("huge", data)


@ReactorFunc
def greedy(pipe):
    """Allocate memory without end."""
    held = []
    while os.environ.get("PYPLANT_TRIAL_GREEDY"):
        held.append(np.ones(1 << 20))
    pipe.send("greedy", len(held))


class PeakMemory(threading.Thread):
    """Measures the peak of the private memory of this process, in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.before = self.peak = self.now()
        self.ended = threading.Event()

    @staticmethod
    def now() -> int:
        """Private memory, without files that are mapped."""
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) << 10
        return 0

    def run(self) -> None:
        while not self.ended.wait(0.002):
            self.peak = max(self.peak, self.now())

    def extra(self) -> int:
        """How much more it was than at the beginning."""
        self.ended.set()
        return self.peak - self.before


def no_memory_status() -> str:
    """Return why memory cannot be measured here."""
    return "" if Path("/proc/self/status").exists() else "needs /proc"


@figure(
    "R27",
    "storing and verifying an array of 512 MB (4 GB at night), and killed for want of memory",
    bar="less than 64 MB more of memory; right afterwards",
    control="files are read whole to be verified",
    short=2,
    full=2,
    missing=no_memory_status,
)
def memory(lab: Lab) -> Iterator[str]:
    """Storing, then verifying, then a process that is killed."""
    root, size = lab.folder / "plant", 4096 if lab.full else 512

    def store() -> int:
        with Plant(root, progress=False) as plant:
            plant.add_reactor([huge])
            plant.set_config({"megabytes": size})
            watch = PeakMemory()
            watch.start()
            plant.run_reactor(huge)
            return watch.extra()

    def verify() -> int:
        for path in (root / "objects").glob("*/*"):
            os.utime(path)  # changes its identity
        with Plant(root, progress=False) as plant:
            plant.add_reactor([huge])
            plant.set_config({"megabytes": size})
            watch = PeakMemory()
            watch.start()
            value = plant.fetch_ingredient("huge")
            extra = watch.extra()
            assert value.shape == (size, 1 << 17)
            assert value[size - 1, 0] == size - 1
            return extra

    for name, work in (("storing", store), ("verifying", verify)):
        ended = forked(work, patience=600)
        extra = ended.value or 0
        lab.notes.append(f"{name} {extra >> 20} MB more")
        yield ended.error or ("" if extra < 64 << 20 else f"{name} took {extra >> 20} MB")
    shutil.rmtree(root)
    yield from killed_for_memory(lab)


def killed_for_memory(lab: Lab) -> Iterator[str]:
    """A process in a memory cgroup of 300 MB, which the system kills."""
    group = CGROUP / f"pyplant-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(300 << 20))
    except OSError:
        lab.notes.append("no memory cgroup here, so nothing was killed")
        return
    root = lab.folder / "oom"

    def die() -> None:
        (group / "tasks").write_text(str(os.getpid()))
        os.environ["PYPLANT_TRIAL_GREEDY"] = "1"
        with pipeline.open_plant(root) as plant:
            plant.add_reactor([greedy])
            plant.get(*pipeline.NAMES)
            plant.run_reactor(greedy)

    ended = forked(die, patience=120)
    yield "" if ended.killed == signal.SIGKILL else f"it was not killed: {ended}"
    yield aftermath(root, done=frozenset(reactor.__name__ for reactor in pipeline.REACTORS))
    with suppress(OSError):
        group.rmdir()


# ---------------------------------------------------------------------- values of many pieces


@ReactorFunc
def pieces(pipe):
    """An HDF5 dataset and a sparse matrix, written slowly."""
    from scipy import sparse

    data = pipe.allocate("pieces", specs.HdfArraySpec, shape=(50, 1000), dtype="i8", chunks=(1, 1000))
    for row in range(50):
        data[row] = row
        data.file.flush()
        time.sleep(0.001)
    pipe.send("pieces", data)
    pipe.send("matrix", sparse.csr_array(np.eye(300)))


def run_pieces(root: Path) -> str:
    """What is wrong with the values."""
    with Plant(root, progress=False) as plant:
        plant.add_reactor([pieces])
        data, matrix = plant.get("pieces", "matrix")
        right = np.repeat(np.arange(50), 1000).reshape(50, 1000)
        wrong = [] if np.array_equal(data[...], right) else ["pieces"]
        wrong += [] if np.array_equal(matrix.toarray(), np.eye(300)) else ["matrix"]
        audit = plant.fsck()
        return ", ".join(wrong) or ("" if audit.is_clean else str(audit))


@figure(
    "R29",
    "HDF5 and sparse values: killed at a random moment of writing; a byte flipped afterwards",
    bar="an unfinished value is never visible, a damaged one never served",
    control="objects are not verified",
    short=24,
    full=1_000,
)
def many_pieces(lab: Lab) -> Iterator[str]:
    """Kill, look, flip, look."""
    for trial in range(lab.trials):
        root = lab.folder / f"{trial}"
        victim = started(lambda root=root: run_pieces(root))
        time.sleep(lab.random.uniform(0, 0.15))
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)
        victim()
        for what in ("killed", "flipped"):
            ended = forked(lambda root=root: run_pieces(root))
            if ended.error or ended.value:
                yield f"{what}: {ended.error or ended.value}"
                break
            flip_any(lab, root / "objects")
        else:
            yield ""
        shutil.rmtree(root, ignore_errors=True)


def flip_any(lab: Lab, folder: Path) -> None:
    """Flip one bit of one file."""
    path = lab.random.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    content = bytearray(path.read_bytes())
    content[lab.random.randrange(len(content))] ^= 1 << lab.random.randrange(8)
    path.chmod(0o600)
    path.write_bytes(content)
