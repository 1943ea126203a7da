"""Hints: the names of ingredients and parameters in the text of a function.

The walk that digests the text finds them. They give the graph before the first run. Hints are
predictions only: a reactor may also use names that it computes while it runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from pyplant._missing import NOTHING
from pyplant.engine import validate
from pyplant.engine.prediction import Predicted
from pyplant.fingerprint.expressions import Template, evaluate

__all__ = ["CONFIG_NAMES", "NAMED_CALLS", "Hint", "NameKind", "as_conditional", "predict", "resolved"]

NAMED_CALLS = frozenset({"receive", "send", "allocate", "read_config", "read_config_unregistered"})
"""Methods of a pipework whose first argument is a name."""

CONFIG_NAMES = frozenset({"config", "cfg", "conf"})
"""Usual names of variables that hold the configuration."""


class NameKind(StrEnum):
    """How a name is written."""

    LITERAL = "l"
    """``pipe.send("x")``; the text is the name."""
    EXPRESSION = "x"
    """``pipe.send(NAME)`` or ``pipe.send(f"x_{i}")``; the text is the expression, not yet evaluated."""
    PATTERN = "p"
    """A name of which parts are known; the text has an empty part for each unknown one."""
    DYNAMIC = "d"
    """Anything else."""


_KINDS = {kind.value: kind for kind in NameKind if kind is not NameKind.PATTERN}
SENDING = frozenset({"send", "allocate"})
_READING = frozenset({"read_config", "read_config_unregistered", "config"})


class Hint(NamedTuple):
    """One mention of a name.

    Attributes
    ----------
    method
        The method that the name is passed to; ``"config"`` for a read of the configuration, and
        ``"class"`` for a read of the class of some object, which may be a configuration.
    certain
        Whether the object is known to be a pipework (named ``pipe`` or annotated so) or a
        configuration. Otherwise it is the function's first or second parameter, which holds one
        in a reactor only. A read of a class is certain unless it is the class of ``self``.
    kind, text
        The name; for the configuration its steps; for a class the attribute, or nothing for all of it.
    unconditional
        Whether every path through the function passes this name.
    """

    method: str
    certain: bool
    kind: NameKind
    text: tuple[str, ...]
    unconditional: bool = False

    def to_json(self) -> list[Any]:
        """Convert to JSON-able data."""
        return [self.method, self.certain, self.kind.value, list(self.text), self.unconditional]

    @classmethod
    def from_json(cls, data: list[Any]) -> Hint:
        """Convert from JSON-able data."""
        method, certain, kind, text, unconditional = data
        hint = cls(
            validate.source_text(method),
            bool(certain),
            _KINDS[kind],
            validate.source_texts(text),
            bool(unconditional),
        )
        if not hint.text and hint.kind is not NameKind.DYNAMIC:
            raise ValueError(data)
        return hint

    def resolved(self, lookup: Callable[[str], Any]) -> Iterator[Hint]:
        """Yield the hint with each name that its expression evaluates to, or with the known parts of it.

        Parameters
        ----------
        lookup
            Returns the value of a variable, or :data:`~pyplant.fingerprint.expressions.UNKNOWN`.
        """
        if self.kind is not NameKind.EXPRESSION:
            yield self
            return
        # A list of names may change in place, so none of them is constant.
        value, is_constant = evaluate(self.text[0], lookup)
        is_list = self.method == "receive" and type(value) in (list, tuple)
        for name in value if is_list else [value]:
            yield from self._named(name, is_constant=is_constant and type(value) is not list)

    def _named(self, name: Any, *, is_constant: bool) -> Iterator[Hint]:
        if type(name) is Template:
            yield self._replace(kind=NameKind.PATTERN, text=tuple(part or "" for part in name.parts))
        elif not issubclass(type(name), str):
            yield self._replace(kind=NameKind.DYNAMIC, text=())
        elif is_constant:
            yield self._replace(kind=NameKind.LITERAL, text=(str.__str__(name),))
        elif self.method in ("send", "allocate"):  # the value may change, so other names are possible
            yield self._replace(kind=NameKind.PATTERN, text=(str.__str__(name),))
            yield self._replace(kind=NameKind.DYNAMIC, text=())
        else:
            yield self._replace(kind=NameKind.LITERAL, text=(str.__str__(name),), unconditional=False)


def resolved(hints: frozenset[Hint], lookup: Callable[[str], Any]) -> frozenset[Hint]:
    """Return the hints with the names that their expressions evaluate to."""
    for hint in hints:
        if hint.kind is NameKind.EXPRESSION:
            return frozenset(name for each in hints for name in each.resolved(lookup))
    return hints  # the most common case: nothing to evaluate


@cache  # each run asks again for all reactors
def predict(hints: frozenset[Hint]) -> Predicted:
    """Summarise the hints of a reactor."""
    sends: list[str] = []
    receives: list[str] = []
    reads: list[str] = []
    unconditional: list[str] = []
    class_attributes: list[str] = []
    patterns: list[str] = []
    open_ended = reads_any = False
    for hint in hints:
        sending = hint.method in SENDING
        if hint.method == "class":
            class_attributes.append(hint.text[0] if hint.text else "")
        elif hint.kind is NameKind.LITERAL:
            name = hint.text[0]
            if sending:
                sends.append(name)
            elif hint.method in _READING:
                reads += [".".join(hint.text[:steps]) for steps in range(1, len(hint.text) + 1)]
            else:
                receives.append(name)
                if hint.unconditional:
                    unconditional.append(name)
        elif sending and hint.kind is NameKind.PATTERN and any(hint.text):
            patterns.append("".join(re.escape(part) if part else ".*" for part in hint.text))
        elif sending:
            open_ended = True
        elif hint.method in _READING:
            reads_any = True
    # A reactor may receive what it has sent itself.
    received, always = frozenset(receives).difference(sends), frozenset(unconditional).difference(sends)
    return Predicted(
        frozenset(sends) or NOTHING,
        received or NOTHING,
        frozenset(reads) or NOTHING,
        tuple(sorted(set(patterns))),
        open_ended,
        (received if always == received else always) or NOTHING,
        frozenset(class_attributes) or NOTHING,
        reads_any,
    )


def as_conditional(hint: Hint) -> Hint:
    """Return the hint as it counts for callers, which may call the code on some paths only."""
    return hint._replace(unconditional=False) if hint.unconditional else hint
