"""Speed of parallel reactors, compared with sequential execution and with a bare pool."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import scripts
from benchmarks.harness import OURS, Effort, Row, Side, measure, medians, write_script

WORKERS = 2


def _timed(script: Path, *arguments: object) -> Side:
    return lambda: measure(script, *arguments)["seconds"]


def two(folder: Path, effort: Effort) -> Iterator[Row]:
    """Two reactors that keep a core busy and do not need each other."""
    script = write_script(folder, scripts.SIDE_BY_SIDE)
    sides = {OURS: _timed(script, "two", "processes"), "serial": _timed(script, "two", "none")}
    yield Row(
        "two busy reactors, in parallel",
        medians(sides, effort.runs),
        against="serial",
        target=0.6,
        notes=("worker processes that were started before",),
    )


def overhead(folder: Path, effort: Effort) -> Iterator[Row]:
    """What a reactor costs that does nothing, beyond the first, which start the workers."""
    script = write_script(folder, scripts.SIDE_BY_SIDE)
    for kind, target in (("processes", 3), ("dask", 10), ("threads", None), ("none", None)):
        cost = medians(
            {
                OURS: lambda kind=kind: 1000 * measure(script, "trivial", kind, effort.fan)["each"],
                "bare pool": lambda kind=kind: 1000 * measure(script, "bare", kind, effort.fan, 0)["each"],
            },
            effort.runs,
        )
        yield Row(f"a trivial reactor, executor: {kind}", cost, unit="ms", target=target)


def fan(folder: Path, effort: Effort) -> Iterator[Row]:
    """Many reactors of 20 ms, and a pool that does the same without keeping anything."""
    script = write_script(folder, scripts.SIDE_BY_SIDE)
    count = 5 * effort.fan
    for kind in ("processes", "dask", "threads"):
        sides = {
            OURS: _timed(script, "fan", kind, count, 0.02),
            "bare pool": _timed(script, "bare", kind, count, 0.02),
        }
        yield Row(
            f"{count:,} reactors of 20 ms, executor: {kind}",
            medians(sides, max(1, effort.runs // 2)),
            against="bare pool",
            target=1.3,
        )


def transport(folder: Path, effort: Effort) -> Iterator[Row]:
    """A big array from one worker to another; the memory that the user's process takes for it."""
    script = write_script(folder, scripts.SIDE_BY_SIDE)
    megabytes = 2 * effort.size
    for kind in ("processes", "dask"):
        grown = measure(script, "transport", kind, megabytes)["megabytes"]
        yield Row(
            f"{megabytes:,} MB between workers, growth of the user's process, executor: {kind}",
            {OURS: grown},
            unit="MB",
            target=50,
        )


def sweeps(folder: Path, effort: Effort) -> Iterator[Row]:
    """A sweep over configurations that are all there."""
    figures = {}
    for count in (effort.fan, 10 * effort.fan):
        sides: dict[str, Side] = {}
        for side, text in scripts.SWEEP.items():
            script = write_script(folder / f"{side}{count}", text)
            measure(script, count)  # the first is cold
            sides[side] = _timed(script, count)
        figures[count] = medians(sides, effort.runs)
        yield Row(
            f"a sweep of {count:,} configurations on two workers, nothing to do",
            figures[count],
            against="joblib",
            target=0.25,
            notes=(
                "joblib: Parallel; the loop is for those who know beforehand that there is nothing to do",
            ),
        )
    few, many = (figures[count][OURS] for count in figures)
    yield Row(
        "a warm sweep, and one of ten times the configurations",
        {OURS: many, "a tenth": few},
        against="a tenth",
        target=12,
    )
