"""Prediction: who sends and receives what, before anything ran.

Literal names, names computed from constants, and the known parts of others come from the
hints of the code (``pyplant.fingerprint.hints``). They give the graph, the order in which
senders of a name are tried, and conflicts. They are hints: a trace says what really was.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

__all__ = ["Predicted", "Senders", "remaining_seconds"]


class Predicted(NamedTuple):
    """What one reactor is expected to do.

    Attributes
    ----------
    sends, receives, reads
        Ingredients sent and received, parameters read.
    patterns
        Regular expressions of names it may send.
    open_ended
        Whether it may send names that cannot be foreseen.
    surely_receives
        Those of the ingredients received that it comes by whatever happens.
    class_attributes
        Attributes that are asked for of the class of some object, ``""`` for all of them.
    """

    sends: frozenset[str] = frozenset()
    receives: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()
    open_ended: bool = False
    unconditional_receives: frozenset[str] = frozenset()
    class_attributes: frozenset[str] = frozenset()


class Senders:
    """Which reactors may send a name.

    Parameters
    ----------
    predicted
        The prediction of each reactor by its key, in order of definition.
    """

    def __init__(self, predicted: Mapping[str, Predicted]) -> None:
        self._literal: dict[str, list[str]] = {}
        self._patterns: list[tuple[re.Pattern[str], str]] = []
        self._open_ended: list[str] = []
        for key, expected in predicted.items():
            for name in expected.sends:
                self._literal.setdefault(name, []).append(key)
            self._patterns += [(re.compile(pattern, re.DOTALL), key) for pattern in expected.patterns]
            if expected.open_ended:
                self._open_ended.append(key)

    def literal(self, name: str) -> list[str]:
        """The reactors whose code names it; more than one is a conflict."""
        return self._literal.get(name, [])

    def candidates(
        self,
        name: str,
        recorded_senders: Callable[[], Iterable[str]],
        rank: Callable[[str], tuple[int, int]] = lambda _: (0, 0),
    ) -> Iterator[str]:
        """The reactors that may send ``name``, the likeliest first; those that cannot are not among them.

        Parameters
        ----------
        name
            The ingredient.
        recorded_senders
            Gives the reactors that sent it in kept executions, newest first.
        rank
            Orders reactors whose code does not tell, by what they sent before and what they hold.
        """
        literal = self.literal(name)
        yield from literal
        seen = set(literal)
        matching = [key for pattern, key in self._patterns if pattern.fullmatch(name)]
        possible = {*matching, *self._open_ended}
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
        """All names that are foreseen."""
        return sorted(self._literal)


def remaining_seconds(
    predicted: Mapping[str, Predicted], seconds: Callable[[str], float]
) -> dict[str, float]:
    """The time from the begin of each reactor to the end of what depends on it.

    In parallel, the reactor with the longest way to the end begins first, the usual heuristic for lists of
    tasks on several machines ("critical path first": Graham, "Bounds on multiprocessing timing
    anomalies", 1969). A way is as long as its reactors took when they last ran.

    Parameters
    ----------
    predicted
        What each reactor is expected to send and receive.
    seconds
        How long a reactor takes, by key; 0 if nobody knows.
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
        while stack:  # without recursion: chains are longer than Python allows
            key = stack[-1]
            if key not in entered and key not in found:
                entered.add(key)
                stack += [user for user in users[key] if user not in found and user not in entered]
                continue
            stack.pop()
            if key not in found:
                # A user that is not found yet lies on a circle.
                found[key] = seconds(key) + max((found.get(user, 0.0) for user in users[key]), default=0.0)
    return found
