"""What users see of runs and plants: reports, as text of 80 columns and as HTML.

Both forms are rendered from one description (:mod:`pyplant.reports.blocks`), so they cannot disagree.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Self

from pyplant._formatting import counted, format_age, format_date, format_seconds, format_size
from pyplant._streams import printable
from pyplant.reports.blocks import Block, as_html, as_text
from pyplant.reports.explain import Cause, Narrator
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
]

_WIDTH = 80


class Outcome(Enum):
    """How a reactor stands, or fared in a run."""

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
        The reactor.
    outcome
        How it stands or fared.
    causes
        Why it ran or would run.
    seconds
        What its execution took, or what the kept one had taken.
    size
        Stored bytes of what it sends.
    finished
        When its kept execution finished, in seconds since the epoch; 0 if never.
    outputs
        What it sends.
    certain
        Whether it is stale whatever else comes out (in a dry look only).
    error
        How it failed.
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
        """The causes, a sentence each."""
        return tuple(cause.summary for cause in self.causes)


class Report:
    """Base of all reports: text, HTML, and equality of what both say."""

    __slots__ = ()

    def title(self) -> str:
        """The first line."""
        raise NotImplementedError

    def blocks(self) -> Iterator[Block | Table]:
        """The content."""
        raise NotImplementedError

    def told(self) -> Self:
        """The same report with each cause where it is told, and nowhere else."""
        return self

    def text(self, width: int = _WIDTH) -> str:
        """The report as plain text, no line wider than ``width``."""
        return as_text(self.title(), self.blocks(), width)

    def __str__(self) -> str:
        import shutil  # slow to load, as is html below

        columns = shutil.get_terminal_size((_WIDTH, 24)).columns
        return printable(self.text(max(40, min(columns, 120))), sys.stdout)

    def __repr__(self) -> str:
        return printable(self.text(), sys.stdout)

    def _repr_html_(self) -> str:
        return as_html(self.title(), self.blocks())


class _Entries(Report):
    """A report with an entry for each reactor; ``report["name"]`` finds one."""

    __slots__ = ()
    entries: tuple[ReactorEntry, ...]

    def told(self) -> Self:
        """The same report with each cause where it is told: with the reactor that it is a cause of."""
        narrator = Narrator(entry.causes for entry in self.entries)
        entries = [replace(entry, causes=narrator.tell(entry.causes)) for entry in self.entries]
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
        What was asked for.
    entries
        Every reactor that took part, in the order in which they were settled.
    seconds
        How long the run took.
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
        """Reactors whose kept results were used."""
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
        """The first line."""
        counts = ", ".join(
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
        return f"{self.target}: {counts or 'nothing to do'} in {format_seconds(self.seconds)}{saved}"

    def blocks(self) -> Iterator[Block]:
        """The content."""
        for entry in self.told().entries:
            if entry.outcome is Outcome.CACHED:
                continue
            yield _entry_block(entry, format_seconds(entry.seconds))
        cached = [entry for entry in self.entries if entry.outcome is Outcome.CACHED]
        if len(cached) > 8:  # noqa: PLR2004 - as many as one takes in at a glance
            names = ", ".join(entry.name for entry in cached[:8])
            text = f"{names} and {len(cached) - 8} more"
            yield Block(text, ICONS[Outcome.CACHED], format_seconds(self.saved), Outcome.CACHED.value)
            return
        for entry in cached:
            yield _entry_block(entry, format_seconds(entry.seconds))


@dataclass(frozen=True, repr=False)
class Status(_Entries):
    """How every reactor of a plant stands."""

    entries: tuple[ReactorEntry, ...]
    directory: str = ""

    def title(self) -> str:
        """The first line."""
        return summary([entry.outcome for entry in self.entries])

    def blocks(self) -> Iterator[Block]:
        """The content."""
        for entry in self.told().entries:
            parts = []
            if entry.finished:
                size = [format_size(entry.size)] if entry.size else []
                parts = [format_seconds(entry.seconds), *size, format_age(entry.finished)]
            yield _entry_block(entry, ", ".join(parts))


@dataclass(frozen=True, repr=False)
class Overview(Report):
    """A plant at a glance: where it is, what is kept, how its reactors stand."""

    directory: str
    executions: int
    size: int
    status: Status

    def title(self) -> str:
        """The first line."""
        return self.directory

    def blocks(self) -> Iterator[Block]:
        """The content."""
        kept = counted(self.executions, "kept execution")
        yield Block(f"{kept}, {format_size(self.size)}", style="cause")
        yield Block(self.status.title(), style="cause")
        yield from self.status.blocks()


@dataclass(frozen=True, repr=False)
class Plan(_Entries):
    """What a run would do, as far as can be known before it."""

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
        """Reactors that run unless what comes before them yields the same values again."""
        return self._named(Outcome.NEW, Outcome.STALE, Outcome.UNCACHED, certain=False)

    @property
    def cached(self) -> tuple[str, ...]:
        """Reactors that need not run."""
        return self._named(Outcome.CACHED, certain=True)

    def title(self) -> str:
        """The first line."""
        may = f", {len(self.may_run)} may run" if self.may_run else ""
        return f"{self.target}: {len(self.will_run)} would run{may}, {len(self.cached)} cached"

    def blocks(self) -> Iterator[Block]:
        """The content."""
        yield from _sender_block(self.ingredient, self.target)
        for entry in self.told().entries:
            took = f"took {format_seconds(entry.seconds)}" if entry.finished else ""
            yield _entry_block(entry, took)


@dataclass(frozen=True, repr=False)
class Explanation(Report):
    """Why one reactor would run, or why it need not."""

    entry: ReactorEntry
    not_followed: tuple[str, ...] = ()
    ingredient: str = ""

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The causes, in the order in which they were found."""
        return self.entry.causes

    def told(self) -> Self:
        """The same explanation with each cause where it is first told."""
        return replace(self, entry=replace(self.entry, causes=Narrator().tell(self.entry.causes)))

    def title(self) -> str:
        """The first line."""
        entry = self.entry
        if entry.outcome is Outcome.CACHED:
            return f"{entry.name} is up to date (computed {format_age(entry.finished)}, {format_seconds(entry.seconds)})"
        return f"{entry.name} {'would run' if entry.certain else 'may run'}"

    def blocks(self) -> Iterator[Block]:
        """The content."""
        yield from _sender_block(self.ingredient, self.entry.name)
        for cause in self.told().causes:
            yield _cause_block(cause)
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
    """The kept executions of a reactor, newest first."""

    reactor: str
    entries: tuple[HistoryEntry, ...]
    ingredient: str = ""

    def __iter__(self) -> Iterator[HistoryEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> HistoryEntry:
        return self.entries[index]

    def title(self) -> str:
        """The first line."""
        return f"{self.reactor}: {counted(len(self.entries), 'kept execution')}"

    def blocks(self) -> Iterator[Block]:
        """The content."""
        yield from _sender_block(self.ingredient, self.reactor)
        for entry in self.entries:
            values = ", ".join(f"{name}={text}" for name, text in entry.parameters.items())
            text = f"{format_date(entry.finished)}  code {entry.fingerprint[:8]}" + (
                f"  {values}" if values else ""
            )
            yield Block(text, "●", format_seconds(entry.seconds))


# ---------------------------------------------------------------------- rendering


def _sender_block(ingredient: str, reactor: str) -> Iterator[Block]:
    """Which reactor a report is about, where an ingredient was asked for."""
    if ingredient:
        yield Block(f"{ingredient} is sent by reactor {reactor}", style="note")


def _entry_block(entry: ReactorEntry, aside: str) -> Block:
    """The line of a reactor, with what is said of it at its end and below."""
    text = entry.name if entry.certain else f"{entry.name} (perhaps)"
    children = tuple(_cause_block(cause) for cause in entry.causes)
    if entry.error:
        children = (Block(entry.error, style="cause"), *children)
    return Block(text, ICONS[entry.outcome], aside, entry.outcome.value, children=children)


def _cause_block(cause: Cause) -> Block:
    children = tuple(map(_cause_block, cause.causes))
    return Block(cause.summary, style="cause", code=cause.diff, children=children)


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many reactors stand how, as in ``"8 reactors: 5 cached, 3 stale"``."""
    if not outcomes:
        return "No reactors are defined."
    return f"{counted(len(outcomes), 'reactor')}: {counts(outcomes)}"


def counts(outcomes: Iterable[Outcome]) -> str:
    """How many of each there are, as in ``"5 cached, 3 stale"``."""
    found = Counter(outcomes)
    return ", ".join(f"{found[outcome]} {outcome.value}" for outcome in Outcome if outcome in found)
