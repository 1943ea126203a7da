"""How figures are declared, run and shown."""

from __future__ import annotations

import datetime
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from reliability.sabotage import sabotaged

__all__ = ["FIGURES", "HEADING", "LOG", "Figure", "Lab", "Result", "figure", "line", "measure"]

LOG = "PYPLANT_TRIAL_LOG"
"""The variable of the environment that says where reactors of trials note that they execute."""

Trials = Callable[["Lab"], Iterator[str]]
"""Yields one text a trial: what went wrong, or ``""``."""


@dataclass(frozen=True, slots=True)
class Lab:
    """What a figure passes to its trials.

    Attributes
    ----------
    folder
        Empty at the start.
    trials
        How many are wanted; a sweep over all points may ignore it.
    full
        Whether this is the long form.
    random
        Seeded.
    notes
        Figures beside the count, for people.
    """

    folder: Path
    trials: int
    full: bool
    random: random.Random
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Figure:
    """A promise and the program that tests it.

    Attributes
    ----------
    ident, title, bar
        Its number, what is done, and what must come of it.
    trials
        The program.
    control
        The protection that its negative control removes.
    short, full
        How many trials there are in CI and at night.
    missing
        Says why it cannot run here; ``""`` if it can.
    at_night
        Whether it runs in the long form only.
    """

    ident: str
    title: str
    bar: str
    trials: Trials
    control: str
    short: int
    full: int
    missing: Callable[[], str]
    at_night: bool = False


FIGURES: dict[str, Figure] = {}


def figure(
    ident: str,
    title: str,
    *,
    bar: str,
    control: str,
    short: int,
    full: int,
    missing: Callable[[], str] = lambda: "",
    at_night: bool = False,
) -> Callable[[Trials], Trials]:
    """Declare the decorated program as a figure."""

    def declare(trials: Trials) -> Trials:
        FIGURES[ident] = Figure(ident, title, bar, trials, control, short, full, missing, at_night)
        return trials

    return declare


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a figure.

    Attributes
    ----------
    ident, title, bar, control, seed
        Of the figure.
    trials, failures
        Their number, and what went wrong.
    control_trials
        The trial in which the negative control failed; 0 if it never did.
    seconds
        How long it took, control and all.
    skipped
        Why it did not run.
    """

    ident: str
    title: str
    bar: str
    control: str
    seed: int
    trials: int = 0
    failures: tuple[str, ...] = ()
    control_trials: int = 0
    control_failure: str = ""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def holds(self) -> bool:
        """Whether no trial failed and the negative control did."""
        return bool(self.skipped) or (self.trials > 0 and not self.failures and self.control_trials > 0)


def measure(subject: Figure, *, full: bool, seed: int) -> Result:
    """Run a figure, then its control until that fails."""
    named = (subject.ident, subject.title, subject.bar, subject.control, seed)
    missing = subject.missing()
    if missing:
        return Result(*named, skipped=missing)
    began = time.monotonic()
    notes: list[str] = []
    outcomes = list(_outcomes(subject, notes, full=full, seed=seed))
    control_trials, control_failure = 0, ""
    with sabotaged(subject.control):
        for number, outcome in enumerate(_outcomes(subject, [], full=full, seed=seed), 1):
            if outcome:
                control_trials, control_failure = number, outcome
                break
    return Result(
        *named,
        trials=len(outcomes),
        failures=tuple(filter(None, outcomes)),
        control_trials=control_trials,
        control_failure=control_failure,
        seconds=time.monotonic() - began,
        notes=tuple(notes),
    )


def _outcomes(subject: Figure, notes: list[str], *, full: bool, seed: int) -> Iterator[str]:
    with TemporaryDirectory(prefix=f"pyplant-{subject.ident}-") as folder:
        trials = subject.full if full else subject.short
        try:
            yield from subject.trials(Lab(Path(folder), trials, full, random.Random(seed), notes))
        finally:  # also after a control, which ends at its first failure
            os.environ.pop(LOG, None)


HEADING = """| | what is done | bar | trials | failures | without its protection | s | measured |
|---|---|---|---:|---:|---|---:|---|"""


def line(result: Result) -> str:
    """Return a result as a row of a Markdown table."""
    if result.skipped:
        counts = f"skipped: {result.skipped} | | | "
    else:
        failed = f"fails in trial {result.control_trials}" if result.control_trials else "**does not fail**"
        counts = (
            f"{result.trials:,} | {len(result.failures)} | {result.control}: {failed} | {result.seconds:.0f}"
        )
    title = "; ".join([result.title, *result.notes])
    when = datetime.date.today().isoformat()
    return f"| {result.ident} | {title} | {result.bar} | {counts} | {when}, seed {result.seed} |"
