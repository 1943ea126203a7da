"""How the time and the memory of each command grow with the size of the pipeline, or with the number of executions.

Each figure is taken in a process of its own: CPU time and peak memory of one call, without imports. What the same
call takes of a tiny pipeline is subtracted, so that the cost of a first call does not hide how the rest grows. Then
an exponent is fitted: 1 is linear, 2 quadratic.
"""

from __future__ import annotations

import math
import shutil
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks import scripts
from benchmarks.growth_scripts import HISTORY, PIPELINE, SHAPES
from benchmarks.harness import OURS, Effort, Row, measure, write_script

BAR = 1.1  # the largest exponent
TINY = 10
MIN_SECONDS = 0.02  # of CPU time; less is noise
MIN_BYTES = 1 << 20

CALLS = {
    "cold run": ("run", 0),
    "run": ("run", 0),
    "run with its report": ("report", 0),
    "plan": ("plan", 0),
    "explain": ("explain", 0),
    "status": ("status", 0),
    "plan of what changed": ("plan", 1),
    "explain of what changed": ("explain", 1),
    "status of what changed": ("status", 1),
    "graph": ("graph", 0),
    "show_graph": ("show_graph", 0),
    "ls": ("ls", 0),
    "history": ("history", 0),
    "fsck": ("fsck", 0),
    "gc": ("gc", 0),
}
"""What is called, and the value of a parameter that all sources read; the plant was made with 0."""

OF_HISTORY = ("cached", "new", "plan", "explain", "status", "history of one", "ls", "history", "fsck", "gc")

Figures = dict[int, Mapping[str, float]]
"""Seconds and bytes by size."""


def pipelines(folder: Path, effort: Effort) -> Iterator[Row]:
    """Each command on pipelines of each shape."""
    for shape, module in SHAPES.items():
        found: dict[str, Figures] = {call: {} for call in CALLS}
        for size in (TINY, *effort.grown):
            script = write_script(folder / f"{shape}{size}", PIPELINE)
            (script.parent / "pipeline.py").write_text(module(size))
            measure(script, "compile", 0)
            for call, arguments in CALLS.items():
                found[call][size] = measure(script, *arguments)
            shutil.rmtree(script.parent)
        for call, figures in found.items():
            yield from growth_rows(f"{call}, {shape}", figures)
        yield from _asked(shape, found, effort.grown[-1])
        yield from _kept(shape, found, effort.grown[-1])


def _asked(shape: str, found: Mapping[str, Figures], size: int) -> Iterator[Row]:
    for call in ("plan", "explain"):
        sides = {OURS: found[call][size]["seconds"], "cached run": found["run"][size]["seconds"]}
        yield Row(f"{call} of {size:,} reactors, {shape}", sides, against="cached run", target=3)


def _kept(shape: str, found: Mapping[str, Figures], size: int) -> Iterator[Row]:
    for call, target in (("cold run", 5), ("run", 3)):
        kilobytes = found[call][size]["bytes"] / size / 1000
        yield Row(
            f"memory for each of {size:,} reactors, {call}, {shape}", {OURS: kilobytes}, "kB", target=target
        )


def executions(folder: Path, effort: Effort) -> Iterator[Row]:
    """Each command on plants with many executions of a thousand reactors, none of which is asked for."""
    most = 10 * effort.grown[-1]
    script = write_script(folder, HISTORY)
    found: dict[str, Figures] = {call: {} for call in OF_HISTORY}
    for size in (TINY, *(10 * size for size in effort.grown)):
        shutil.rmtree(folder / "plant", ignore_errors=True)
        measure(script, "fill", size)
        for call in OF_HISTORY:
            found[call][size] = measure(script, call, size)
    for call, figures in found.items():
        yield from growth_rows(f"{call}, executions", figures)
    for unit, what in (("s", "seconds"), ("MB", "bytes")):
        scale = 1 if unit == "s" else 1e-6
        sides = {OURS: scale * found["new"][most][what], "cached": scale * found["cached"][most][what]}
        yield Row(f"a new reactor in a plant of {most:,} executions", sides, unit, against="cached", target=2)
    per_million = 1e6 / most
    yield Row(
        f"opening a million records, from {most:,}",
        {OURS: per_million * found["cached"][most]["seconds"]},
        target=3,
        notes=(f"memory {found['cached'][most]['bytes'] / 1e6:.0f} MB for {most:,}",),
    )
    listed = {OURS: found["ls"][most]["bytes"] / 1e6}
    yield Row(f"memory of ls, {most:,} executions", listed, "MB", target=200)


def sweeps(folder: Path, effort: Effort) -> Iterator[Row]:
    """Sweeps without earlier results, next to a loop of joblib."""
    found: Figures = {}
    for size in (TINY, effort.long, 3 * effort.long):
        found[size] = measure(write_script(folder / f"sweep{size}", HISTORY), "sweep", size)
    loop = measure(write_script(folder / "joblib", scripts.CONFIGURATIONS["joblib"]), effort.long)["cpu"]
    one, three = (found[size]["seconds"] for size in (effort.long, 3 * effort.long))
    yield Row(f"a cold sweep of {effort.long:,}", {OURS: one, "joblib": loop}, against="joblib", target=1.2)
    yield Row("... and of three times as many", {OURS: three, "a third": one}, against="a third", target=3.3)
    yield from growth_rows("sweep", found)


def growth_rows(what: str, figures: Figures) -> Iterator[Row]:
    """Yield the exponents of time and memory."""
    units = (("seconds", MIN_SECONDS, 1.0, "s"), ("bytes", MIN_BYTES, 1e-6, "MB"))
    for name, least, scale, unit in units:
        of_sizes = {size: figure[name] for size, figure in figures.items()}
        shown = ", ".join(f"{size:,}: {scale * figure:.3g} {unit}" for size, figure in of_sizes.items())
        kind = "time" if name == "seconds" else "memory"
        yield Row(
            f"{kind} of {what}", {OURS: exponent(of_sizes, least)}, "exponent", target=BAR, notes=(shown,)
        )


def exponent(figures: Mapping[int, float], least: float) -> float:
    """Fit ``figure = constant + factor * size ** exponent``, where the figure of the smallest size is the constant.

    0 if fewer than two of the others are ``least`` above it.
    """
    (_, constant), *rest = sorted(figures.items())
    grown = [(size, figure - constant) for size, figure in rest if figure - constant >= least]
    if len(grown) < 2:  # noqa: PLR2004 - of a line
        return 0.0
    sizes, values = ([math.log(point[place]) for point in grown] for place in (0, 1))
    return statistics.linear_regression(sizes, values).slope
