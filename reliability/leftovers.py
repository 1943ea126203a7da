"""What killed processes and full disks leave behind, after the next run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from pyplant.store.warehouse import Warehouse
from reliability import pipeline
from reliability.bench import Lab, figure
from reliability.disks import KillingFiles
from reliability.failing import no_tmpfs, small_disk
from reliability.kills import points_of_a_run
from reliability.trial import forked, run_pipeline, use_disk

_DISKS = 20


def unaccounted(root: Path) -> str:
    """Return what lies in a plant that no process uses, and that its journal does not account for."""
    with closing(Warehouse(root, read_only=True)) as warehouse:
        named = {output.object for trace in warehouse.ledger.traces() for output in trace.stored}
    expected = {"FORMAT", "CACHEDIR.TAG", "key"}
    extra = [
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and path.name not in expected | named and path.parent != root / "journal"
    ]
    return f"left over: {sorted(extra)[:3]}" if extra else ""


def next_run(root: Path) -> None:
    """Run the pipeline, and wait until the thread that cleans has ended."""
    with pipeline.open_plant(root) as plant:
        plant.get(*pipeline.NAMES)
        plant._warehouse.leftovers.wait()


def after(root: Path, first: Callable[[], object]) -> str:
    """Return what is left over by a process, and by another one that runs the same afterwards."""
    forked(first)
    ended = forked(lambda: next_run(root))
    return ended.error or unaccounted(root)


@figure(
    "R34",
    "SIGKILL at random points of a run, and disks that run full; then a run",
    bar="the plant holds what its journal accounts for, and nothing else",
    control="leftovers are never removed",
    short=30,
    full=100,
    missing=no_tmpfs,
)
def nothing_is_left(lab: Lab) -> Iterator[str]:
    """Kills first, then disks of different sizes."""
    points = points_of_a_run(lab, lab.folder / "counted")
    for point in lab.random.sample(points, min(len(points), lab.trials)):
        root = lab.folder / f"{point}"

        def die(point: int = point, root: Path = root) -> None:
            use_disk(KillingFiles(point))
            run_pipeline(root)

        failure = after(root, die)
        yield failure and f"killed at point {point}: {failure}"
        shutil.rmtree(root, ignore_errors=True)
    for number in range(_DISKS):
        size = 20 + 12 * number
        with small_disk(lab.folder / "disk", f"size={size}k") as disk:
            root = disk / "plant"
            forked(lambda root=root: run_pipeline(root))
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            failure = after(root, lambda: None)
        yield failure and f"a disk of {size} kB: {failure}"
