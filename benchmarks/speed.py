"""What is measured, each with the target that it has to meet.

The targets are ratios against a peer in the same run; "aim for half" of them is the rule
for further work.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks import growth, notebook, page, parallel, pipelines, reads, scripts, workers
from benchmarks.harness import OURS, Effort, Row, Side, environment, measure, medians, write_script

PEERS = ("joblib", "hamilton", "pipefunc", "numpy", "h5py")
SLOW = "pipefunc"  # its time grows with the square of the steps, so it is run once


FULL = Effort(
    runs=5, size=512, file_size=8192, long=10_000, grown=(1_000, 10_000), steps=1_000, cells=100, fan=200
)
QUICK = Effort(runs=3, size=64, file_size=512, long=3_000, grown=(300, 3_000), steps=300, cells=20, fan=40)
LONG = replace(FULL, grown=(1_000, 10_000, 100_000))


def _rounds(folder: Path, script: Path, expected: object, *, cold: bool) -> Side:
    """A run in a new process, without the results of earlier ones or with them."""

    def side() -> float:
        if cold:
            for kept in ("plant", "cache", "cache.h5"):
                path = folder / kept
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        figures = measure(script)
        if figures["value"] != expected:
            message = f"{script}: {figures['value']}, and not {expected}"
            raise RuntimeError(message)
        return figures["seconds"]

    return side


def _compare(sides: dict[str, Side], runs: int) -> dict[str, float]:
    slow = {name: side() for name, side in sides.items() if name == SLOW}
    return medians({name: side for name, side in sides.items() if name != SLOW}, runs) | slow


def chains(folder: Path, effort: Effort) -> Iterator[Row]:
    """1,000 chained steps, cold and unchanged."""
    length = 1_000
    for cold in (True, False):
        sides = {}
        for side in (OURS, *PEERS):
            script = pipelines.write(folder / side, side, pipelines.chain(side, length))
            sides[side] = _rounds(folder / side, script, length - 1, cold=cold)
        yield Row(
            f"1,000 chained steps, {'cold' if cold else 'nothing to do'}, new process",
            _compare(sides, effort.runs),
            against="joblib",
            target=0.6 if cold else 0.25,
            notes=("numpy and h5py only store and load: the limit, without any check", f"{SLOW}: one run"),
        )


def shared_library(folder: Path, effort: Effort) -> Iterator[Row]:
    """1,000 chained steps over one library of 300 functions, unchanged."""
    sides = {}
    step = "library.apply({n}, {x})"
    for side in (OURS, "joblib", "hamilton"):
        module = pipelines.chain(side, 1_000, imports="import library", step=step)
        script = pipelines.write(folder / side, side, module)
        (folder / side / "library.py").write_text(pipelines.library(300))
        sides[side] = _rounds(folder / side, script, 999, cold=False)
        sides[side]()  # the first is cold
    yield Row(
        "1,000 chained steps over a library of 300 functions, nothing to do, new process",
        medians(sides, effort.runs),
        against="joblib",
        target=0.5,
        notes=("only PyPlant looks at the library at all",),
    )


def long_chain(folder: Path, effort: Effort) -> Iterator[Row]:
    """Ten times the steps take at most fifteen times the time."""
    for cold in (True, False):
        sides = {}
        for length, name in ((effort.long, OURS), (effort.long // 10, "a tenth")):
            place = folder / str(length)
            script = pipelines.write(place, OURS, pipelines.chain(OURS, length))
            sides[name] = _rounds(place, script, length - 1, cold=cold)
        yield Row(
            f"a chain of {effort.long:,} steps and of a tenth, {'cold' if cold else 'nothing to do'}",
            medians(sides, effort.runs),
            against="a tenth",
            target=15,
        )


def configurations(folder: Path, effort: Effort) -> Iterator[Row]:
    """Looking up one of many kept configurations; seconds for each."""
    for count in (500, 2_000):
        sides: dict[str, Side] = {}
        for side in (OURS, "joblib"):
            place = folder / f"{side}{count}"
            script = write_script(place, scripts.CONFIGURATIONS[side])
            measure(script, count)  # the first is cold
            sides[side] = lambda script=script, count=count: measure(script, count)["seconds"] / count
        yield Row(
            f"a look-up among {count:,} kept configurations",
            medians(sides, effort.runs),
            against="joblib",
            target=0.25,
        )


def big_arrays(folder: Path, effort: Effort) -> Iterator[Row]:
    """Sending a big array, receiving it, and not looking at it."""
    script = write_script(folder, scripts.BIG_ARRAY)
    pairs = medians(
        {
            OURS: lambda: measure(script, "send", effort.size)["seconds"],
            "np.save": lambda: measure(script, "save", effort.size)["seconds"],
        },
        7,
    )
    yield Row(f"sending {effort.size} MB, without the sync", pairs, against="np.save", target=2)
    received = medians({OURS: lambda: measure(script, "receive", effort.size)["seconds"]}, effort.runs)
    yield Row(f"receiving {effort.size} MB", received, target=0.010)
    idle = medians(
        {
            OURS: lambda: measure(script, "idle", effort.size)["seconds"],
            "1 MB": lambda: measure(script, "idle", 1)["seconds"],
        },
        effort.runs,
    )
    yield Row(f"nothing to do, {effort.size} MB kept", idle, against="1 MB", target=1.25)


PROTECTIONS = {
    "no syncs": "nothing is synced",
    "no checks": "nothing is verified",
    "no claims": "nothing is claimed",
}


def safety(folder: Path, effort: Effort) -> Iterator[Row]:
    """What syncs, checksums of what is read, and claims and leases cost, against a build without."""
    script = write_script(folder, scripts.SAFETY)
    builds = {
        OURS: (),
        **{name: (one,) for name, one in PROTECTIONS.items()},
        "none": (*PROTECTIONS.values(),),
    }

    def sides(*work: object) -> dict[str, Side]:
        return {
            name: lambda removed=removed: measure(script, *work, *removed)["seconds"]
            for name, removed in builds.items()
        }

    yield Row(
        "safety: 1,000 cheap steps, cold",
        medians(sides("steps", 1_000, 0), effort.runs),
        against="none",
        target=1.5,
    )
    yield Row(
        f"safety: eight arrays, {effort.size} MB in all, cold",
        medians(sides("arrays", 8, effort.size // 8), effort.runs),
        against="none",
        target=1.5,
    )
    yield Row(
        f"safety: the first look at {effort.size} MB that were copied here",
        medians(sides("copied", 8, effort.size // 8), effort.runs),
        against="none",
        notes=("every byte is read and hashed once; afterwards, see 'nothing to do'",),
    )


def imports(folder: Path, effort: Effort) -> Iterator[Row]:
    """Loading the library, in processes that do nothing else."""
    del folder
    sides: dict[str, Side] = {}
    for name in (OURS, "numpy", "joblib", "hamilton", "pipefunc"):
        code = f"import time; began = time.perf_counter(); import {name}; print(time.perf_counter() - began)"
        sides[name] = lambda code=code: float(
            subprocess.run(
                [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
            ).stdout
        )
    yield Row("import", medians(sides, 5 * effort.runs), against="numpy", target=1.5)


def larger_than_memory(folder: Path, effort: Effort) -> Iterator[Row]:
    """The most memory that big files take; interpreter and libraries included.

    One is written, another made of it piece by piece, and that reduced, each in a process of its own.
    """
    peaks = {}
    for size in (effort.file_size // 8, effort.file_size):
        script = write_script(folder / f"{size}", scripts.OUT_OF_CORE)
        phases = ("write", "transform", "reduce")
        peaks[size] = max(measure(script, phase, size)["megabytes"] for phase in phases)
        shutil.rmtree(script.parent)
    small, peak = peaks.values()
    work = f"writing, transforming and reducing {effort.file_size:,} MB of HDF5"
    yield Row(work, {OURS: peak}, unit="MB", target=400)
    beside = {OURS: peak, "an eighth": small}
    yield Row("... beside an eighth of it", beside, unit="MB", against="an eighth", target=1.1)


ALL: dict[str, Callable[[Path, Effort], Iterator[Row]]] = {
    "chains": chains,
    "library": shared_library,
    "long": long_chain,
    "configurations": configurations,
    "arrays": big_arrays,
    "safety": safety,
    "reads": reads.reads,
    "import": imports,
    "memory": larger_than_memory,
    "live": notebook.live,
    "widget": notebook.widget,
    "recorder": notebook.recorder,
    "layout": notebook.layout,
    "page": page.page,
    "cached": notebook.cached,
    "replay": notebook.replay,
    "two": parallel.two,
    "overhead": parallel.overhead,
    "fan": parallel.fan,
    "transport": parallel.transport,
    "sweep": parallel.sweeps,
    "package": workers.package,
    "numeric": workers.numeric,
    "study": workers.study,
    "growth": growth.pipelines,
    "executions": growth.executions,
    "sweeps": growth.sweeps,
}
