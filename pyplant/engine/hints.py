"""Hints: the ingredient and parameter names that a function's text mentions.

They are found by the same walk as the fingerprint and give the graph before the first
run. A hint is never a truth: names made while a reactor runs work all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum
from types import ModuleType
from typing import Any, NamedTuple

from pyplant.engine import wire
from pyplant.engine.attributes import attribute_of

__all__ = ["CONFIG_NAMES", "NAMED_CALLS", "Hint", "NameKind", "resolved"]

NAMED_CALLS = frozenset({"receive", "send", "allocate", "read_config", "read_config_unregistered"})
"""Methods of a pipework whose first argument is a name."""

CONFIG_NAMES = frozenset({"config", "cfg", "conf"})
"""What people call the configuration, wherever they hand it to."""


class NameKind(StrEnum):
    """How a name is written."""

    LITERAL = "l"
    """``pipe.send("x")``; the text is the name."""
    REFERENCE = "r"
    """``pipe.send(NAME)`` or ``pipe.send(names.X)``; the text is the chain of names."""
    PATTERN = "p"
    """``pipe.send(f"x_{i}")``; the text is the literal parts, empty ones where values go."""
    DYNAMIC = "d"
    """Anything else."""


_KINDS = {kind.value: kind for kind in NameKind}


class Hint(NamedTuple):
    """One mention of a name.

    Attributes
    ----------
    method
        The method it was given to; ``"config"`` for what is read of the configuration.
    certain
        Whether the object called is surely a pipework (named ``pipe`` or annotated so) or a
        configuration. Otherwise it is the function's first or second parameter, which is one
        in a reactor only.
    kind, text
        The name; of the configuration each step of it.
    always
        Whether the function itself comes by it, whatever happens.
    """

    method: str
    certain: bool
    kind: NameKind
    text: tuple[str, ...]
    always: bool = False

    def to_json(self) -> list[Any]:
        """A JSON-able form."""
        return [self.method, self.certain, self.kind.value, list(self.text), self.always]

    @classmethod
    def from_json(cls, data: list[Any]) -> Hint:
        """The inverse of :meth:`to_json`."""
        method, certain, kind, text, always = data
        hint = cls(wire.code(method), bool(certain), _KINDS[kind], wire.codes(text), bool(always))
        if not hint.text and hint.kind in (NameKind.LITERAL, NameKind.REFERENCE):
            raise ValueError(data)
        return hint

    def resolved(self, namespace: Mapping[str, Any]) -> Hint:
        """The hint with a constant's value in place of its name, as far as that is a text."""
        if self.kind is not NameKind.REFERENCE:
            return self
        value = namespace.get(self.text[0])
        for attribute in self.text[1:]:
            cls: type = type(value)  # not isinstance(): an object may lie about its class
            asked = issubclass(cls, ModuleType | type) or (issubclass(cls, Enum) and attribute == "value")
            value = attribute_of(value, attribute, None) if asked else None
        if issubclass(type(value), str):
            return self._replace(kind=NameKind.LITERAL, text=(str(value),))
        return self._replace(kind=NameKind.DYNAMIC, text=())


def resolved(hints: frozenset[Hint], namespace: Mapping[str, Any]) -> frozenset[Hint]:
    """The hints with the values of constants in place of their names."""
    for hint in hints:
        if hint.kind is NameKind.REFERENCE:
            return frozenset(each.resolved(namespace) for each in hints)
    return hints  # most often: nothing to look up
