"""Hints: the ingredient and parameter names that a function's text mentions.

They are found by the same walk as the fingerprint and give the graph before the first
run. A hint is never a truth: names made while a reactor runs work all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

__all__ = ["NAMED_CALLS", "Hint", "NameKind"]

NAMED_CALLS = frozenset({"receive", "send", "allocate", "read_config", "read_config_unregistered"})
"""Methods of a pipework whose first argument is a name."""


class NameKind(Enum):
    """How a name is written."""

    LITERAL = "l"
    """``pipe.send("x")``; the text is the name."""
    REFERENCE = "r"
    """``pipe.send(NAME)`` or ``pipe.send(names.X)``; the text is the chain of names."""
    PATTERN = "p"
    """``pipe.send(f"x_{i}")``; the text is the literal parts, empty ones where values go."""
    DYNAMIC = "d"
    """Anything else."""


@dataclass(frozen=True, slots=True)
class Hint:
    """One mention of a name.

    Attributes
    ----------
    method
        The method it was given to; ``"config"`` for an attribute or item of ``config``.
    certain
        Whether the object called is surely a pipework (named ``pipe`` or annotated so).
        Otherwise it is the function's first parameter, which is one in a reactor only.
    kind, text
        The name.
    """

    method: str
    certain: bool
    kind: NameKind
    text: tuple[str, ...]

    def to_json(self) -> list[Any]:
        """A JSON-able form."""
        return [self.method, self.certain, self.kind.value, list(self.text)]

    @classmethod
    def from_json(cls, data: list[Any]) -> Hint:
        """The inverse of :meth:`to_json`."""
        method, certain, kind, text = data
        return cls(str(method), bool(certain), NameKind(kind), tuple(text))
