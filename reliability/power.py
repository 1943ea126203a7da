"""Power cuts: a file system on a loop device that forgets what was not synced."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pyplant.store import warehouse
from reliability.bench import Lab, figure
from reliability.pipeline import REACTORS
from reliability.trial import aftermath, run_pipeline, started

SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
WITHOUT_FLUSH = 2
SYSTEMS = {"ext4": 64, "xfs": 320}  # smallest sizes in MB


def no_loop() -> str:
    """Return why nothing can be mounted here."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [tool for tool in ("mkfs.ext4", "mkfs.xfs", "losetup") if shutil.which(tool) is None]
    if missing:
        return f"needs {missing[0]}"
    loop = subprocess.run(["losetup", "-f"], capture_output=True, check=False)
    return "" if loop.returncode == 0 else "needs loop devices"


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount the file system in an image."""
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, capture_output=True)


def cut(folder: Path) -> None:
    """Discard everything that is not on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
    finally:
        os.close(descriptor)


@figure(
    "R4",
    "the power is cut at a random moment, on ext4 and XFS",
    bar="0 wrong, 0 synced results lost, no repair by hand",
    control="nothing is synced",
    short=0,
    full=200,
    missing=no_loop,
    at_night=True,
)
def power_cuts(lab: Lab) -> Iterator[str]:
    """Half of the trials sync every result, half group them."""
    for system, megabytes in SYSTEMS.items():
        image, folder = lab.folder / f"{system}.img", lab.folder / system
        folder.mkdir()
        with image.open("wb") as stream:
            stream.truncate(megabytes << 20)
        quiet = ["-q", "-F"] if system == "ext4" else ["-q", "-f"]
        subprocess.run([f"mkfs.{system}", *quiet, str(image)], check=True, capture_output=True)
        for trial in range(lab.trials // len(SYSTEMS)):
            failure = one_cut(lab, image, folder, trial, synced=trial % 2 == 0)
            yield failure and f"{system}, trial {trial}: {failure}"


def one_cut(lab: Lab, image: Path, folder: Path, trial: int, *, synced: bool) -> str:
    """Run under one parameter after another, cut, look."""
    done = lab.folder / f"{folder.name}-{trial}"
    root = folder / f"{trial}"

    def work() -> None:
        if synced:
            warehouse._MAX_UNSYNCED_SECONDS = 0.0
        for scale in range(1, 1000):
            run_pipeline(root, scale=scale, done=Path(f"{done}-{scale}"))

    with mounted(image, folder):
        worker = started(work)
        time.sleep(lab.random.uniform(0.05, 0.6))
        cut(folder)
        with suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
        worker()
    reached = sorted(int(path.name.rpartition("-")[2]) for path in done.parent.glob(f"{done.name}-*"))
    with mounted(image, folder):
        for scale in reached[-2:] or [1]:
            path = Path(f"{done}-{scale}")
            kept = frozenset(path.read_text().split()) if synced and path.exists() else frozenset()
            failure = aftermath(root, scale=scale, done=kept & {r.__name__ for r in REACTORS})
            if failure:
                return failure
        shutil.rmtree(root, ignore_errors=True)
    return ""
