"""Prediction: which reactors send and receive which ingredients, before any of them ran.

Predictions come from the text of the code (``pyplant.fingerprint.hints``): literal names, names
computed from constants, and patterns of names that are known in part. They give the graph before
the first run, the order in which possible senders are tried, and conflicts. They only guide the
search. Whether a reactor is up to date is decided by its traces alone.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

__all__ = ["Predicted", "Senders", "remaining_seconds"]


class Predicted(NamedTuple):
    """What one reactor will probably do.

    Attributes
    ----------
    sends, receives, reads
        Ingredients sent and received, parameters read.
    patterns
        Regular expressions of names it may send.
    open_ended
        Whether it may send names that cannot be predicted.
    unconditional_receives
        The ingredients that it receives on every path through its code.
    class_attributes
        Attributes that it reads from the class of some object, ``""`` for the whole class.
    reads_any
        Whether it may read parameters whose names cannot be predicted.
    """

    sends: frozenset[str] = frozenset()
    receives: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()
    open_ended: bool = False
    unconditional_receives: frozenset[str] = frozenset()
    class_attributes: frozenset[str] = frozenset()
    reads_any: bool = False


class Senders:
    """The reactors that may send a name.

    Parameters
    ----------
    predicted
        The prediction of each reactor by its key, in order of definition.
    """

    def __init__(self, predicted: Mapping[str, Predicted]) -> None:
        self._literal: dict[str, list[str]] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        self._open_ended: list[str] = []
        self._matching: dict[str, list[str]] = {}  # by name
        for key, expected in predicted.items():
            for name in expected.sends:
                self._literal.setdefault(name, []).append(key)
            self._patterns += [(re.compile(pattern, re.DOTALL), key) for pattern in expected.patterns]
            if expected.open_ended:
                self._open_ended.append(key)

    def literal(self, name: str) -> list[str]:
        """Return the reactors that name the ingredient literally; more than one is a conflict."""
        return self._literal.get(name, [])

    def candidates(
        self,
        name: str,
        recorded_senders: Callable[[], Iterable[str]],
        rank: Callable[[str], tuple[int, int]] = lambda _: (0, 0),
    ) -> Iterator[str]:
        """Return the reactors that may send ``name``, the likeliest first.

        The order is: reactors that name it literally, reactors that sent it in a recorded execution,
        reactors with a matching pattern, reactors that may send anything.

        Parameters
        ----------
        name
            The ingredient.
        recorded_senders
            Returns the reactors that sent it in recorded executions, newest first.
        rank
            Orders the reactors of one group; the lowest comes first.
        """
        literal = self.literal(name)
        if not self._patterns and not self._open_ended:
            return iter(literal)  # a generator for each name of a big plant would be kept during the run
        return itertools.chain(literal, self._possible(name, literal, recorded_senders, rank))

    def _possible(
        self,
        name: str,
        literal: list[str],
        recorded_senders: Callable[[], Iterable[str]],
        rank: Callable[[str], tuple[int, int]],
    ) -> Iterator[str]:
        """Yield the reactors that may send a name and do not name it literally."""
        seen = set(literal)
        # Kept, since each name is asked for many times, and each reactor may have a pattern.
        if name not in self._matching:
            self._matching[name] = [key for pattern, key in self._patterns if pattern.fullmatch(name)]
        matching = self._matching[name]
        # A recorded sender whose present code cannot send the name any more is no candidate.
        possible = {*matching, *self._open_ended}
        # Functions, since each group is expensive and the first ones are usually enough.
        groups = (
            recorded_senders,
            lambda: sorted(matching, key=rank),
            lambda: sorted(self._open_ended, key=rank),
        )
        for group in groups:
            for key in group():
                if key in possible and key not in seen:
                    seen.add(key)
                    yield key

    def names(self) -> list[str]:
        """Return all names that some reactor sends literally."""
        return sorted(self._literal)


def remaining_seconds(
    predicted: Mapping[str, Predicted], seconds: Callable[[str], float]
) -> dict[str, float]:
    """Return the length in seconds of the longest path from each reactor to the end of the run.

    A path is as long as its reactors took when they last ran. Parallel runs start the reactor with
    the longest path first, which is the usual heuristic for list scheduling ("critical path first":
    Graham, "Bounds on multiprocessing timing anomalies", 1969).

    Parameters
    ----------
    predicted
        What each reactor is expected to send and receive.
    seconds
        Returns how long a reactor takes, by key; 0 if that is unknown.
    """
    receivers: dict[str, list[str]] = defaultdict(list)
    for key, expected in predicted.items():
        for name in expected.receives:
            receivers[name].append(key)
    users = {
        key: [user for name in p.sends for user in receivers.get(name, ())] for key, p in predicted.items()
    }
    found: dict[str, float] = {}
    for start in predicted:
        stack = [start]
        entered: set[str] = set()
        while stack:  # depth first without recursion: chains may be longer than Python's stack
            key = stack[-1]
            if key not in entered and key not in found:
                entered.add(key)
                stack += [user for user in users[key] if user not in found and user not in entered]
                continue
            stack.pop()
            if key not in found:
                # A receiver without a result is part of a cycle; it adds nothing.
                found[key] = seconds(key) + max((found.get(user, 0.0) for user in users[key]), default=0.0)
    return found
