"""What the plant may and must do, from the laws alone.

The model remembers which executions the plant has finished, by the normal form of their
code and by all that they read. One that it remembers need not happen again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from pyplant.engine.rebuilder import ReasonKind
from pyplant.report import Entry
from tests.laws.forms import forms_of
from tests.laws.oracle import Config, Event, Oracle, Outcome

Key = tuple[str, tuple[Event, ...]]

_OF_READING = {ReasonKind.PARAMETER: "parameter", ReasonKind.ABSENCE: "parameter", ReasonKind.FILE: "file"}


class LawBroken(AssertionError):  # noqa: N818 - it is what a test reports
    """A law does not hold."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One finished execution: whose it was, and the stored objects it needs."""

    reactor: str
    objects: frozenset[str]


@dataclass(frozen=True, slots=True)
class Expectation:
    """The present truth: what each reactor reads and yields, by its name."""

    outcome: Outcome
    keys: dict[str, Key]
    senders: dict[str, str]


class Model:
    """What is kept in one plant.

    Parameters
    ----------
    directory
        The plant directory, to see which stored objects are still there.
    """

    def __init__(self, directory: Path) -> None:
        self.damaged: set[str] = set()
        self.vague = False
        """Whether nobody knows what is kept, since the journal was just damaged."""
        self.incomplete = False
        """Whether more may be kept than is known here, since it was damaged once."""
        self._objects = directory / "objects"
        self._kept: dict[Key, list[Kept]] = {}

    # ------------------------------------------------------------------ what is kept

    def keep(self, reactor: str, key: Key, objects: frozenset[str]) -> None:
        """An execution finished and its results are kept."""
        self._kept.setdefault(key, []).append(Kept(reactor, objects))

    def forget(self, reactor: str, form: str) -> None:
        """A reactor was invalidated, under its name and under its present code."""
        for key, entries in list(self._kept.items()):
            left = [] if key[0] == form else [kept for kept in entries if kept.reactor != reactor]
            self._kept[key] = left
            if not left:
                del self._kept[key]

    def forget_all(self) -> None:
        """Nobody knows what is kept any more."""
        self._kept.clear()
        self.vague = self.incomplete = True

    def is_kept(self, key: Key) -> bool:
        """Whether this very execution is kept."""
        return key in self._kept

    def is_lost(self, key: Key) -> bool:
        """Whether it is kept, but some of its values are no longer stored."""
        return key in self._kept and any(not self._is_sound(name) for name in self._kept[key][-1].objects)

    def has_run(self, reactor: str) -> bool:
        """Whether any execution is kept under this name."""
        return any(kept.reactor == reactor for entries in self._kept.values() for kept in entries)

    def readings(self, form: str) -> list[tuple[Event, ...]]:
        """What the kept executions of this code read."""
        return [events for kept_form, events in self._kept if kept_form == form]

    # ------------------------------------------------------------------ stored objects

    def objects(self) -> list[Path]:
        """The files of all stored objects."""
        return sorted(path for path in self._objects.glob("*/*") if path.is_file())

    def note_repairs(self) -> None:
        """Forget damage that was found and mended."""
        self.damaged = {
            name for name in self.damaged if (self._path(name)).exists() and not self._is_whole(name)
        }

    def _is_sound(self, name: str) -> bool:
        return self._path(name).exists() and name not in self.damaged

    def _path(self, name: str) -> Path:
        return self._objects / name[:2] / name

    def _is_whole(self, name: str) -> bool:
        digest = name.partition(".")[0]
        return blake3(self._path(name).read_bytes()).hexdigest(length=len(digest) // 2) == digest


def expect(oracle: Oracle, config: Config, senders: dict[str, str]) -> Expectation:
    """Evaluate everything from scratch."""
    outcome = oracle.evaluate(config, senders)
    if not oracle.forms:
        oracle.forms.update(forms_of(oracle))
    keys = {name: (form, outcome.events[name]) for name, form in oracle.forms.items()}
    return Expectation(outcome, keys, senders)


def check_causes(model: Model, reactor: str, full_name: str, key: Key, entry: Entry | None) -> None:
    """The fourth law, for one reactor that ran: the causes given are the true ones."""
    if entry is None or not entry.causes:
        message = f"explained: {reactor} ran and no cause is given"
        raise LawBroken(message)
    kinds = {cause.kind for cause in entry.causes}
    if model.incomplete or ReasonKind.FORCED in kinds:
        return
    form, events = key
    if model.is_kept(key):
        allowed = {ReasonKind.EVICTED}
    elif readings := model.readings(form):
        for cause in entry.causes:
            _check_reading(reactor, events, readings, cause.kind, cause.name)
        return
    elif model.has_run(full_name):
        allowed = {ReasonKind.CODE}
    else:
        allowed = {ReasonKind.NEW, ReasonKind.FORGOTTEN}
    if not kinds <= allowed:
        message = f"explained: {reactor} says {entry.reasons}, where it must be one of {allowed}"
        raise LawBroken(message)


def _check_reading(
    reactor: str, events: tuple[Event, ...], readings: list[tuple[Event, ...]], kind: ReasonKind, name: str
) -> None:
    """A changed reading: some kept execution read something else under that name."""
    if kind is ReasonKind.INPUT:
        differs = any(_input(old, name) != _input(events, name) for old in readings)
    elif kind in _OF_READING:
        differs = any(_reading(old, name) != _reading(events, name) for old in readings)
    else:
        differs = False
    if not differs:
        message = f"explained: {reactor} says {kind.value}: {name}, which no kept execution read otherwise"
        raise LawBroken(message)


def _input(events: tuple[Event, ...], name: str) -> str | None:
    for event in events:
        if event[0] == "in" and name in event[1::2]:
            return event[2::2][event[1::2].index(name)]
    return None


def _reading(events: tuple[Event, ...], name: str) -> str | None:
    """What was read under a name; a file goes by its last part."""
    last = name.rpartition("/")[2]
    return next((event[-1] for event in events if event[0] != "in" and event[1] in (name, last)), None)
