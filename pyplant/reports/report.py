"""Reports on runs and plants, as plain text and as HTML.

Each report yields one sequence of blocks (:mod:`pyplant.reports.blocks`), from which both forms are rendered,
so they always say the same.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Self

from pyplant._formatting import counted, format_age, format_date, format_seconds, format_size
from pyplant._streams import printable
from pyplant.reports.blocks import Block, as_html, as_text
from pyplant.reports.explain import FIRST_RUN, Cause, CauseDeduplicator
from pyplant.reports.table import Table

__all__ = [
    "ICONS",
    "Explanation",
    "History",
    "HistoryEntry",
    "Outcome",
    "Overview",
    "Plan",
    "ReactorEntry",
    "Report",
    "RunReport",
    "Status",
    "counts",
    "summary",
    "terminal_width",
]

_MAX_READS = 10  # lines of an explanation

_WIDTH = 80


class Outcome(Enum):
    """The state of a reactor in a plant, or its result in a run."""

    NEW = "new"
    CACHED = "cached"
    STALE = "stale"
    UNCACHED = "uncached"
    RUNNING = "running"
    WAITING = "waiting"
    RAN = "ran"
    FAILED = "failed"
    SKIPPED = "skipped"


ICONS = {
    Outcome.NEW: "○",
    Outcome.CACHED: "✓",
    Outcome.STALE: "◐",
    Outcome.UNCACHED: "↻",
    Outcome.RUNNING: "▶",
    Outcome.WAITING: "…",
    Outcome.RAN: "●",
    Outcome.FAILED: "✗",
    Outcome.SKIPPED: "–",
}


@dataclass(frozen=True, slots=True)
class ReactorEntry:
    """One reactor in a report.

    Attributes
    ----------
    name
        The name of the reactor.
    outcome
        Its state, or its result in the run.
    causes
        Why it ran or would run.
    seconds
        Duration of the execution; of the stored execution if the reactor did not run.
    size
        Stored bytes of the ingredients that it sends.
    finished
        When the stored execution finished, in seconds since the epoch; 0 if there is none.
    outputs
        Names of the ingredients that it sends.
    certain
        Whether the outcome is independent of reactors that have not run yet (in plans only).
    error
        The message of the error with which it failed.
    """

    name: str
    outcome: Outcome
    causes: tuple[Cause, ...] = ()
    seconds: float = 0.0
    size: int = 0
    finished: float = 0.0
    outputs: tuple[str, ...] = ()
    certain: bool = True
    error: str = ""

    @property
    def reasons(self) -> tuple[str, ...]:
        """The causes as sentences."""
        return tuple(cause.summary for cause in self.causes)


def terminal_width() -> int:
    """Return the width of reports in the terminal."""
    import shutil  # slow to load, as is html below

    # Bounded on both sides: lines of a wide terminal are hard to read, and narrow ones have no room for figures.
    return max(40, min(shutil.get_terminal_size((_WIDTH, 24)).columns, 120))


class Report:
    """Base class of all reports: renders text and HTML."""

    __slots__ = ()

    def title(self) -> str:
        """Return the first line."""
        raise NotImplementedError

    def blocks(self) -> Iterator[Block | Table]:
        """Return the content."""
        raise NotImplementedError

    def deduplicated(self) -> Self:
        """Return the same report with each cause listed once."""
        return self

    def text(self, width: int = _WIDTH) -> str:
        """Return the report as plain text, no line wider than ``width``."""
        return as_text(self.title(), self.blocks(), width)

    def __str__(self) -> str:
        return printable(self.text(terminal_width()), sys.stdout)

    def __repr__(self) -> str:
        return printable(self.text(), sys.stdout)

    def _repr_html_(self) -> str:
        return as_html(self.title(), self.blocks())


class _Entries(Report):
    """A report with an entry for each reactor; ``report["name"]`` finds one."""

    __slots__ = ()
    entries: tuple[ReactorEntry, ...]

    def deduplicated(self) -> Self:
        """Return the same report with each cause listed once, in the entry of the reactor that it makes stale."""
        causes = CauseDeduplicator(entry.causes for entry in self.entries)
        entries = [replace(entry, causes=causes.deduplicate(entry.causes)) for entry in self.entries]
        return replace(self, entries=tuple(entries))  # type: ignore[type-var] # all are dataclasses

    def __getitem__(self, name: str) -> ReactorEntry:
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise KeyError(name)

    def __iter__(self) -> Iterator[ReactorEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


@dataclass(frozen=True, repr=False)
class RunReport(_Entries):
    """What a run did.

    Attributes
    ----------
    target
        The reactor or ingredients that the run was asked for.
    entries
        Every reactor of the run, in the order in which their outcomes became known.
    seconds
        Duration of the run.
    errors
        The exceptions that reactors raised.
    """

    target: str
    entries: tuple[ReactorEntry, ...]
    seconds: float
    errors: tuple[BaseException, ...] = ()

    def _named(self, outcome: Outcome) -> tuple[str, ...]:
        return tuple(entry.name for entry in self.entries if entry.outcome is outcome)

    @property
    def ran(self) -> tuple[str, ...]:
        """Reactors that executed, in order."""
        return self._named(Outcome.RAN)

    @property
    def cached(self) -> tuple[str, ...]:
        """Reactors whose stored results were used."""
        return self._named(Outcome.CACHED)

    @property
    def failed(self) -> tuple[str, ...]:
        """Reactors that raised."""
        return self._named(Outcome.FAILED)

    @property
    def skipped(self) -> tuple[str, ...]:
        """Reactors that could not run because another failed."""
        return self._named(Outcome.SKIPPED)

    @property
    def saved(self) -> float:
        """Seconds that the cached executions had taken."""
        return sum(entry.seconds for entry in self.entries if entry.outcome is Outcome.CACHED)

    def title(self) -> str:
        """Return the first line."""
        parts = ", ".join(
            f"{len(names)} {word}"
            for word, names in (
                ("ran", self.ran),
                ("cached", self.cached),
                ("failed", self.failed),
                ("skipped", self.skipped),
            )
            if names
        )
        saved = f", saved {format_seconds(self.saved)}" if self.saved >= 0.001 else ""  # noqa: PLR2004
        return f"{self.target}: {parts or 'nothing to do'} in {format_seconds(self.seconds)}{saved}"

    def blocks(self) -> Iterator[Block]:
        """Yield the content."""
        # Cached reactors come last: what ran, and why, is what readers look for.
        for entry in self.deduplicated().entries:
            if entry.outcome is Outcome.CACHED:
                continue
            # Of a reactor that failed or was skipped, no time is known.
            took = format_seconds(entry.seconds) if entry.seconds else ""
            # Beside the time: a line for each of them would double the report.
            if entry.reasons == (FIRST_RUN,):
                aside = ", ".join(filter(None, (FIRST_RUN, took)))
                yield _entry_block(replace(entry, causes=()), aside)
            else:
                yield _entry_block(entry, took)
        cached = [entry for entry in self.entries if entry.outcome is Outcome.CACHED]
        if len(cached) > 8:  # noqa: PLR2004 - more would hide the reactors that ran
            names = ", ".join(entry.name for entry in cached[:8])
            text = f"{names} and {len(cached) - 8} more"
            yield Block(text, ICONS[Outcome.CACHED], format_seconds(self.saved), Outcome.CACHED.value)
            return
        for entry in cached:
            yield _entry_block(entry, format_seconds(entry.seconds))


@dataclass(frozen=True, repr=False)
class Status(_Entries):
    """The state of every reactor of a plant."""

    entries: tuple[ReactorEntry, ...]
    directory: str = ""
    edited: tuple[str, ...] = ()

    def title(self) -> str:
        """Return the first line."""
        return summary([entry.outcome for entry in self.entries])

    def blocks(self) -> Iterator[Block]:
        """Yield the content."""
        for path in self.edited:
            yield Block(edited_message(path), "!", style="note")
        for entry in self.deduplicated().entries:
            parts = []
            if entry.finished:
                size = [format_size(entry.size)] if entry.size else []
                parts = [format_seconds(entry.seconds), *size, format_age(entry.finished)]
            yield _entry_block(entry, ", ".join(parts))


@dataclass(frozen=True, repr=False)
class Overview(Report):
    """A summary of a plant: its directory, its size on disk, and the state of its reactors."""

    directory: str
    executions: int
    size: int
    status: Status

    def title(self) -> str:
        """Return the first line."""
        return self.directory

    def blocks(self) -> Iterator[Block]:
        """Yield the content."""
        stored = counted(self.executions, "stored execution")
        yield Block(f"{stored}, {format_size(self.size)}", style="cause")
        yield Block(self.status.title(), style="cause")
        yield from self.status.blocks()


@dataclass(frozen=True, repr=False)
class Plan(_Entries):
    """What a run would do, as far as this is known before the run."""

    target: str
    entries: tuple[ReactorEntry, ...]
    ingredient: str = ""

    def _named(self, *outcomes: Outcome, certain: bool) -> tuple[str, ...]:
        return tuple(e.name for e in self.entries if e.outcome in outcomes and e.certain is certain)

    @property
    def will_run(self) -> tuple[str, ...]:
        """Reactors that run for certain."""
        return self._named(Outcome.NEW, Outcome.STALE, Outcome.UNCACHED, certain=True)

    @property
    def may_run(self) -> tuple[str, ...]:
        """Reactors that run unless the reactors before them send the same values again."""
        return self._named(Outcome.NEW, Outcome.STALE, Outcome.UNCACHED, certain=False)

    @property
    def cached(self) -> tuple[str, ...]:
        """Reactors that need not run."""
        return self._named(Outcome.CACHED, certain=True)

    def title(self) -> str:
        """Return the first line."""
        may = f", {len(self.may_run)} may run" if self.may_run else ""
        return f"{self.target}: {len(self.will_run)} would run{may}, {len(self.cached)} cached"

    def blocks(self) -> Iterator[Block]:
        """Yield the content."""
        yield from _sender_block(self.ingredient, self.target)
        for entry in self.deduplicated().entries:
            took = f"took {format_seconds(entry.seconds)}" if entry.finished else ""
            yield _entry_block(entry, took)


@dataclass(frozen=True, repr=False)
class Explanation(Report):
    """Why one reactor would run, or that it is up to date."""

    entry: ReactorEntry
    not_followed: tuple[str, ...] = ()
    ingredient: str = ""
    reads: tuple[str, ...] = ()
    last_run: str = ""
    edited: tuple[str, ...] = ()

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The causes, in the order in which they were found."""
        return self.entry.causes

    def deduplicated(self) -> Self:
        """Return the same explanation with each cause listed once, at its first mention."""
        causes = CauseDeduplicator().deduplicate(self.entry.causes)
        return replace(self, entry=replace(self.entry, causes=causes))

    def title(self) -> str:
        """Return the first line."""
        entry = self.entry
        if entry.outcome is Outcome.CACHED:
            return f"{entry.name} is up to date (computed {format_age(entry.finished)}, {format_seconds(entry.seconds)})"
        return f"{entry.name} {'would run' if entry.certain else 'may run'}"

    def blocks(self) -> Iterator[Block]:
        """Yield the content."""
        yield from _sender_block(self.ingredient, self.entry.name)
        for cause in self.deduplicated().causes:
            yield _cause_block(cause)
        for path in self.edited:
            yield Block(edited_message(path), "!", style="note")
        if self.last_run:
            yield Block(self.last_run, style="cause")
        if self.entry.outcome is Outcome.CACHED:
            for read in self.reads[:_MAX_READS]:
                yield Block(f"reads {read}", "·")
            if len(self.reads) > _MAX_READS:
                yield Block(f"and {len(self.reads) - _MAX_READS} more", "·")
        for note in self.not_followed:
            yield Block(f"not followed: {note}", "!", style="note")


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One past execution of a reactor."""

    finished: float
    seconds: float
    host: str
    fingerprint: str
    parameters: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class History(Report):
    """The stored executions of a reactor, newest first."""

    reactor: str
    entries: Sequence[HistoryEntry]
    ingredient: str = ""

    def __iter__(self) -> Iterator[HistoryEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> HistoryEntry:
        return self.entries[index]

    def title(self) -> str:
        """Return the first line."""
        return f"{self.reactor}: {counted(len(self.entries), 'stored execution')}"

    def blocks(self) -> Iterator[Block]:
        """Yield the content."""
        yield from _sender_block(self.ingredient, self.reactor)
        for entry in self.entries:
            values = ", ".join(f"{name}={text}" for name, text in entry.parameters.items())
            text = f"{format_date(entry.finished)}  code {entry.fingerprint[:8]}" + (
                f"  {values}" if values else ""
            )
            yield Block(text, "●", format_seconds(entry.seconds))


# ---------------------------------------------------------------------- rendering


def edited_message(path: str) -> str:
    """Return what to do about a module that was edited after it was imported."""
    name = os.path.basename(path)
    return (
        f"{name} was edited after it was imported, so its old code counts: reload it, as importlib.reload and in "
        f"notebooks %autoreload do, or start again."
    )


def _sender_block(ingredient: str, reactor: str) -> Iterator[Block]:
    """Yield a line naming the reactor if the report was requested for one of its ingredients."""
    if ingredient:
        yield Block(f"{ingredient} is sent by reactor {reactor}", style="note")


def _entry_block(entry: ReactorEntry, aside: str) -> Block:
    """Return the line of a reactor: its name, a text at the right end, and its causes below."""
    text = entry.name if entry.certain else f"{entry.name} (perhaps)"
    children = tuple(_cause_block(cause) for cause in entry.causes)
    if entry.error:
        children = (Block(entry.error, style="cause"), *children)
    return Block(text, ICONS[entry.outcome], aside, entry.outcome.value, children=children)


def _cause_block(cause: Cause) -> Block:
    children = tuple(map(_cause_block, cause.causes))
    return Block(cause.summary, style="cause", code=cause.diff, children=children)


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the number of reactors in each state, as in ``"8 reactors: 5 cached, 3 stale"``."""
    if not outcomes:
        return "No reactors are defined."
    return f"{counted(len(outcomes), 'reactor')}: {counts(outcomes)}"


def counts(outcomes: Iterable[Outcome]) -> str:
    """Return the number of each outcome, as in ``"5 cached, 3 stale"``."""
    found = Counter(outcomes)
    return ", ".join(f"{found[outcome]} {outcome.value}" for outcome in Outcome if outcome in found)
