"""What workers cost in projects as people have them, beside other ways to have two processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import projects
from benchmarks.harness import OURS, Effort, Row, measure, medians, quickest, write_script

_LIMIT = 64_000  # bytes


def _package(folder: Path, modules: int) -> dict[str, Path]:
    """Write the large package for each side, and compile it; returns the scripts."""
    written = {}
    for side, text in projects.PACKAGE.items():
        place = folder / side
        projects.large_package(place, modules)
        (place / "meeting.py").write_text(projects.MEETING)
        written[side] = write_script(place, text)
        measure(written[side], "start")
    return written


def package(folder: Path, effort: Effort) -> Iterator[Row]:
    """Reactors that use a package of many modules: the start of the pool, then work, and what is sent."""
    modules = effort.fan
    written = _package(folder, modules)
    yield Row(
        f"two processes start with a package of {modules:,} modules",
        medians(
            {side: lambda side=side: measure(written[side], "start")["seconds"] for side in (OURS, "loky")},
            effort.runs,
        ),
        against="loky",
        target=1.2,
        notes=("until both have imported it and called a function",),
    )
    work = {side: _checked(written[side], "work") for side in (OURS, "joblib")}
    yield Row(
        f"{modules:,} reactors of 20 ms that use a package of {modules:,} modules, two processes",
        medians(work, effort.runs),
        against="joblib",
        target=1.15,
        notes=("worker processes that were started before", "only PyPlant looks at the code"),
    )
    sent = measure(written[OURS], "bytes")
    yield Row(
        f"sent for a reactor of a project of {50 * modules:,} lines, the most after the first",
        {OURS: sent["bytes"], "first": sent["first"]},
        unit="bytes",
        target=_LIMIT,
    )


def numeric(folder: Path, effort: Effort) -> Iterator[Row]:
    """Reactors that compute with arrays: the threads of NumPy and two processes share the same cores."""
    script = write_script(folder, projects.NUMERIC)
    for what in ("product", "waves"):
        sides = {
            OURS: lambda what=what: measure(script, what, 2, 2 * effort.size)["seconds"],
            "serial": lambda what=what: measure(script, what, 0, 2 * effort.size)["seconds"],
        }
        yield Row(
            f"eight reactors with arrays ({what}), two processes and their start",
            quickest(sides, effort.runs),
            against="serial",
            target=1,
        )


def study(folder: Path, effort: Effort) -> Iterator[Row]:
    """A project of 40 reactors with helpers, nested classes and a library in C, on two processes."""
    projects.study(folder, 2 * effort.size)  # the project that it stands for takes four times as long
    script = folder / "main.py"
    measure(script, 0)  # compiles it
    yield Row(
        "a study of 40 reactors, two processes and their start",
        medians({OURS: _checked(script, 2), "serial": _checked(script, 0)}, effort.runs),
        against="serial",
        target=0.65,
    )


def _checked(script: Path, *arguments: object) -> Callable[[], float]:
    """A side that must give the same value each time."""
    values: list[float] = []

    def side() -> float:
        figures = measure(script, *arguments)
        values.append(figures["value"])
        if values[-1] != values[0]:
            message = f"{script}: {values[-1]}, and not {values[0]}"
            raise RuntimeError(message)
        return figures["seconds"]

    return side
