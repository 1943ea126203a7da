"""Prediction: who sends and receives what, before anything ran.

Literal names, names computed from constants, and the known parts of others are read from
the hints of the code (:mod:`pyplant.fingerprint.hints`). They give the graph, the order in which
senders of a name are tried, and conflicts. They are hints: a trace says what really was.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from itertools import islice
from typing import Any, NamedTuple

from pyplant.fingerprint.attributes import namespace
from pyplant.fingerprint.hints import Hint, NameKind

__all__ = ["Predicted", "Senders", "held_words", "predict", "words"]

_WORD = re.compile(r"\d+|[^\W\d_]+")
_MOST_HELD = 50  # values that are looked at below one constant
_LONGEST = 200  # characters of a text that are looked at
_SENDING = frozenset({"send", "allocate"})
_READING = frozenset({"read_config", "read_config_unregistered", "config"})


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
    of_classes
        Attributes that are asked for of the class of some object, ``""`` for all of them.
    """

    sends: frozenset[str] = frozenset()
    receives: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()
    open_ended: bool = False
    surely_receives: frozenset[str] = frozenset()
    of_classes: frozenset[str] = frozenset()


@cache  # a plant asks anew in every run
def predict(hints: frozenset[Hint]) -> Predicted:
    """Turn the hints of a reactor into names."""
    sends: list[str] = []
    receives: list[str] = []
    reads: list[str] = []
    surely: list[str] = []
    of_classes: list[str] = []
    patterns: list[str] = []
    open_ended = False
    for hint in hints:
        sending = hint.method in _SENDING
        if hint.method == "class":
            of_classes.append(hint.text[0] if hint.text else "")
        elif hint.kind is NameKind.LITERAL:
            name = hint.text[0]
            if sending:
                sends.append(name)
            elif hint.method in _READING:
                reads += [".".join(hint.text[:steps]) for steps in range(1, len(hint.text) + 1)]
            else:
                receives.append(name)
                if hint.always:
                    surely.append(name)
        elif sending and hint.kind is NameKind.PATTERN and any(hint.text):
            patterns.append("".join(re.escape(part) if part else ".*" for part in hint.text))
        elif sending:
            open_ended = True
    return Predicted(
        frozenset(sends),
        frozenset(receives),
        frozenset(reads),
        tuple(sorted(set(patterns))),
        open_ended,
        frozenset(surely),
        frozenset(of_classes),
    )


@lru_cache(maxsize=1000)
def words(text: str) -> frozenset[str]:
    """The words and numbers in a text."""
    return frozenset(_WORD.findall(text))


def held_words(function: Callable[..., Any]) -> frozenset[str]:
    """The words in the texts and numbers that a function holds, also as attributes of objects and in containers."""
    texts: list[str] = []
    for constant in _constants_of(function):
        pending = deque([constant])
        for _ in range(_MOST_HELD):
            if not pending:
                break
            value = pending.popleft()
            if type(value) in (str, int, float):
                texts.append(str(value)[:_LONGEST])
            else:
                pending.extend(islice(_parts_of(value), _MOST_HELD))
    return words(" ".join(texts))


def _parts_of(value: Any) -> Iterable[Any]:
    """What a value holds, without running code of its class."""
    cls = type(value)
    if issubclass(cls, tuple | list):
        return (tuple if issubclass(cls, tuple) else list).__iter__(value)
    if issubclass(cls, dict):
        return dict.values(value)
    return (namespace(value) or {}).values()


def _constants_of(function: Callable[..., Any]) -> Iterator[Any]:
    """The default values and closure variables of a function."""
    yield from getattr(function, "__defaults__", None) or ()
    yield from (getattr(function, "__kwdefaults__", None) or {}).values()
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # not bound yet
            yield cell.cell_contents


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
        remembered: Callable[[], Iterable[str]],
        unlikeliness: Callable[[str], tuple[int, int]] = lambda _: (0, 0),
    ) -> Iterator[str]:
        """The reactors that may send ``name``, the likeliest first; those that cannot are not among them.

        Parameters
        ----------
        name
            The ingredient.
        remembered
            Gives the reactors that sent it in kept executions, newest first.
        unlikeliness
            Orders reactors whose code does not tell, by what they sent before and what they hold.
        """
        literal = self.literal(name)
        yield from literal
        seen = set(literal)
        matching = [key for pattern, key in self._patterns if pattern.fullmatch(name)]
        possible = {*matching, *self._open_ended}
        groups = (
            remembered,
            lambda: sorted(matching, key=unlikeliness),
            lambda: sorted(self._open_ended, key=unlikeliness),
        )
        for group in groups:
            for key in group():
                if key in possible and key not in seen:
                    seen.add(key)
                    yield key

    def names(self) -> list[str]:
        """All names that are foreseen."""
        return sorted(self._literal)
