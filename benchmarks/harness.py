"""Measuring: the same work by several libraries, each run in a process of its own.

Every script prints one JSON object. The runs of the sides are interleaved, so that whatever
else the machine does meets all of them alike, and the median counts.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OURS = "pyplant"

Side = Callable[[], float]
"""Does the work once; seconds, or whatever is compared."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much to measure.

    Attributes
    ----------
    runs
        Of each side.
    size
        Megabytes of the big arrays.
    file_size
        Megabytes of the file that is larger than memory.
    long
        Steps of the longest chain.
    grown
        Reactors of the pipelines of which the growth is measured; of executions there are ten times as many.
    steps
        Trivial reactors of a run in a notebook.
    cells
        Events and executions of cells that are timed, each once.
    fan
        Parallel reactors, and configurations of a sweep; some runs have several times as many.
    """

    runs: int
    size: int
    file_size: int
    long: int
    grown: tuple[int, ...]
    steps: int
    cells: int
    fan: int


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    Attributes
    ----------
    what
        What was done.
    figures
        Medians by side, ours under ``"pyplant"``.
    unit
        Of the figures.
    against
        The side that the target speaks of; empty if the target bounds our figure itself.
    target
        The largest ratio, or figure, that will do.
    """

    what: str
    figures: Mapping[str, float]
    unit: str = "s"
    against: str = ""
    target: float | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def measured(self) -> float:
        """What the target bounds: the ratio, or our figure."""
        ours = self.figures[OURS]
        return ours / self.figures[self.against] if self.against else ours

    @property
    def is_met(self) -> bool:
        """Whether the target, if there is one, is met."""
        return self.target is None or self.measured <= self.target


def medians(sides: Mapping[str, Side], runs: int) -> dict[str, float]:
    """The median figure of each side, their runs interleaved."""
    return {name: statistics.median(values) for name, values in _turns(sides, runs).items()}


def quickest(sides: Mapping[str, Side], runs: int) -> dict[str, float]:
    """The smallest figure of each side, their runs interleaved.

    For differences of a few hundredths of the same work: what else a machine does only adds.
    """
    return {name: min(values) for name, values in _turns(sides, runs).items()}


def _turns(sides: Mapping[str, Side], runs: int) -> dict[str, list[float]]:
    figures: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, side in sides.items():
            figures[name].append(side())
    return figures


def measure(script: Path, *arguments: object) -> dict[str, float]:
    """Run a script in a new process, in its own folder; what it printed last."""
    result = subprocess.run(
        [sys.executable, script.name, *map(str, arguments)],
        cwd=script.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        message = f"{script} failed:\n{result.stdout}\n{result.stderr}"
        raise RuntimeError(message)
    figures: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return figures


def write_script(folder: Path, text: str) -> Path:
    """A script in a folder of its own, which is where it runs."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "main.py"
    path.write_text(text)
    return path


def environment() -> dict[str, str]:
    """The environment of all sides: this checkout, compiled modules kept, no telemetry."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(ROOT), "HAMILTON_TELEMETRY_ENABLED": "false"}


def table(rows: Iterable[Row]) -> str:
    """All rows, for people."""
    lines = []
    for row in rows:
        figures = "  ".join(f"{name} {_figure(value)}" for name, value in row.figures.items())
        lines.append(f"{row.what} [{row.unit}]")
        lines.append(f"    {figures}")
        if row.target is not None:
            kind = (
                f"{row.measured:.2f} x {row.against}"
                if row.against
                else f"{_figure(row.measured)} {row.unit}"
            )
            said = "ok" if row.is_met else "MISSED"
            lines.append(f"    {kind}, target {row.target:g}: {said}")
        lines += [f"    {note}" for note in row.notes]
    return "\n".join(lines)


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
