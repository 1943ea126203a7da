"""Disks that are full, read-only or broken."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pyplant.events import ReactorFinished
from pyplant.store import warehouse
from reliability import pipeline
from reliability.bench import Lab, figure
from reliability.disks import CountingFiles, FailingFiles
from reliability.trial import aftermath, forked, run_pipeline, use_disk

IN_MEMORY = ("numbers", "count", "bag")  # values that are delivered even if they cannot be stored
CLEAR = ("OSError:", "PlantDirError:", "StoreError:", "bytes are needed", "NotAllocatedError:")


def no_tmpfs() -> str:
    """Return why a small disk cannot be created here."""
    if os.geteuid() != 0:
        return "needs root"
    try:
        with small_disk(Path("/tmp/pyplant-probe"), "size=64k"):
            return ""
    except (OSError, subprocess.CalledProcessError):
        return "cannot mount here"


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a disk in memory of a given size."""
    folder.mkdir(exist_ok=True)
    try:
        mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        subprocess.run(mount, check=True, capture_output=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)
    finally:
        with suppress(OSError):
            folder.rmdir()


def tried(root: Path, before: Callable[[], object] = lambda: None) -> str:
    """Return what is wrong with a run on such a disk, which must give values or one clear error."""

    def work(names: tuple[str, ...]) -> Any:
        before()
        with pipeline.open_plant(root) as plant:
            values = plant.get(*names)
            return pipeline.difference(dict(zip(names, values, strict=True)))

    ended = forked(lambda: work(IN_MEMORY))
    if ended.error and "PlantDirError" not in ended.error:
        return f"not delivered: {ended.error}"
    if ended.value:
        return f"wrong values of {ended.value}"
    ended = forked(lambda: work(pipeline.NAMES))
    if ended.error and not any(word in ended.error for word in CLEAR):
        return f"not clear: {ended.error}"
    return f"wrong values of {ended.value}" if ended.value else ""


@figure(
    "R8",
    "a disk of every size from 8 kB on, then one with room",
    bar="the value comes, or one clear error; afterwards right",
    control="a full disk is an error",
    short=25,
    full=200,
    missing=no_tmpfs,
)
def full_disk(lab: Lab) -> Iterator[str]:
    """The last size is large enough for everything."""
    for trial in range(lab.trials):
        size = 8 + trial * 280 // lab.trials
        with small_disk(lab.folder / "disk", f"size={size}k") as disk:
            failure = tried(disk / "plant")
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            failure = failure or aftermath(disk / "plant")
        yield failure and f"{size} kB: {failure}"


def limit(kind: int, most: int) -> Callable[[], None]:
    """Limit a resource of this process."""

    def apply() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(kind, (most, resource.getrlimit(kind)[1]))

    return apply


def other_limits(lab: Lab) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield everything that a disk or the system may refuse."""
    for size in (0, 1, 100, 500, 1000, 2000, 2048, 4096, 5000, 8000, 8192, 9000, 20_000, 100_000):
        yield f"files of {size} bytes", limit(resource.RLIMIT_FSIZE, size)
    for most in range(8, 65, 4 if lab.full else 14):
        yield f"{most} open files", limit(resource.RLIMIT_NOFILE, most)
    steps = range(1, 90, 1 if lab.full else 9)
    for code in (errno.EDQUOT, errno.EROFS, errno.ENOSPC):
        for nth in steps:
            name = errno.errorcode[code]
            yield f"{name} from point {nth} on", lambda n=nth, c=code: use_disk(FailingFiles(n, c))


@figure(
    "R9",
    "files that may not grow, too few open files, quota, a disk that turns read-only",
    bar="the value comes, or one clear error; afterwards right",
    control="a full disk is an error",
    short=1,
    full=1,
)
def limits(lab: Lab) -> Iterator[str]:
    """One trial for each limit."""
    for name, before in other_limits(lab):
        root = lab.folder / "plant"
        failure = tried(root, before)
        if "open files" in name and "Too many open files" in failure:
            failure = ""  # a clear error: the file that exceeds the limit may be one that a reactor opens
        failure = failure or aftermath(root)
        yield failure and f"{name}: {failure}"
        shutil.rmtree(root, ignore_errors=True)


@figure(
    "R10",
    "EIO at every read, write, sync, rename, link and unlink, once or from then on",
    bar="never wrong; nothing is kept whose sync failed",
    control="failed syncs are ignored",
    short=40,
    full=2_000,
)
def io_errors(lab: Lab) -> Iterator[str]:
    """Every result is synced at once."""

    def count() -> int:
        warehouse._MAX_UNSYNCED_SECONDS = 0.0
        disk = CountingFiles()
        disk.watched = FailingFiles(0, reads=True).watched
        use_disk(disk)
        run_pipeline(lab.folder / "counted")
        return sum("half" not in point for point in disk.points)

    total = forked(count).value
    lab.notes.append(f"{total} calls")
    cases = [(nth, once) for nth in range(1, total + 1) for once in (True, False)]
    if len(cases) > lab.trials:
        cases = lab.random.sample(cases, lab.trials)
    for nth, once in cases:
        failure = broken(lab.folder / "plant", nth, once=once)
        yield failure and f"call {nth}, {'once' if once else 'from then on'}: {failure}"
        shutil.rmtree(lab.folder / "plant", ignore_errors=True)


def broken(root: Path, nth: int, *, once: bool) -> str:
    """Return what is wrong after an error of the disk."""

    def work() -> tuple[list[str], list[str], str]:
        warehouse._MAX_UNSYNCED_SECONDS = 0.0
        disk = FailingFiles(nth, once=once, reads=True)
        use_disk(disk)
        kept: list[str] = []

        def listen(event: Any) -> None:
            if isinstance(event, ReactorFinished) and event.kept:
                kept.append(event.reactor)

        try:
            with pipeline.open_plant(root) as plant:
                plant.add_event_listener(listen)
                values = dict(zip(pipeline.NAMES, plant.get(*pipeline.NAMES), strict=True))
                wrong = pipeline.difference(values)
        except OSError:  # a clear error
            wrong = ""
        return disk.failed, kept, wrong

    ended = forked(work)
    if ended.error:
        return ended.error
    failed, kept, wrong = ended.value
    if wrong:
        return f"wrong values of {wrong}"
    if any(call.startswith("sync") for call in failed) and len(set(kept)) == len(pipeline.REACTORS):
        return "kept although a sync failed"
    return aftermath(root, done=frozenset(kept))
