"""What the plant may and must do, from the laws alone.

The model remembers which executions the plant has finished, by the normal form of their
code and by all that they read. One that it remembers need not happen again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from tests.laws.forms import forms_of
from tests.laws.oracle import Config, Event, Oracle, Outcome

Key = tuple[int, tuple[Event, ...]]


class LawBroken(AssertionError):  # it is what a test reports
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

    def forget(self, reactor: str, form: int) -> None:
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

    def forget_lost(self) -> None:
        """A repair forgot the executions that had lost a value."""
        self._kept = {
            key: left
            for key, entries in self._kept.items()
            if (left := [kept for kept in entries if all(map(self._is_sound, kept.objects))])
        }

    def keep_only(self, keys: Collection[Key]) -> None:
        """Of the rest nobody knows: it may have been reclaimed."""
        self._kept = {key: kept for key, kept in self._kept.items() if key in keys}
        self.incomplete = True

    def is_kept(self, key: Key) -> bool:
        """Whether this very execution is kept."""
        return key in self._kept

    def is_lost(self, key: Key) -> bool:
        """Whether it is kept, but some of its values are no longer stored."""
        return key in self._kept and any(not self._is_sound(name) for name in self._kept[key][-1].objects)

    def has_run(self, reactor: str) -> bool:
        """Whether any execution is kept under this name."""
        return any(kept.reactor == reactor for entries in self._kept.values() for kept in entries)

    def readings(self, form: int) -> list[tuple[Event, ...]]:
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
