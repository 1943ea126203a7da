"""The description of one node of the graph of code and values; see :mod:`pyplant.fingerprint.code_graph`."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from itertools import repeat
from operator import is_
from typing import Any, NamedTuple

from pyplant._missing import MISSING
from pyplant.engine.trace import Note
from pyplant.fingerprint.attributes import class_entry, qualname_of
from pyplant.fingerprint.hashing import digest_bytes
from pyplant.fingerprint.hints import Hint
from pyplant.fingerprint.origin import is_user_object

__all__ = ["CodeReference", "GraphNode", "Leaf", "NodeKind", "Watch", "shorten"]

_SHORT = 200


class NodeKind(enum.Enum):
    """What a description is of."""

    FUNCTION = "function"
    CLASS = "class"
    MODULE = "module"
    VALUE = "value"


class Leaf(NamedTuple):
    """Something that counts by a text alone: an installed function, a scalar.

    Attributes
    ----------
    text
        What counts.
    display
        What people see of it, where that differs.
    """

    text: str
    display: str = ""

    def shown(self) -> str:
        """The leaf as it stands in a record: a digest, and a text for people."""
        return f"={digest_bytes(self.text.encode())[:16]}:{self.display or self.text}"

    @staticmethod
    def is_value(shown: str) -> bool:
        """Whether a leaf is shown so that is a value: its text is that of a constant, not of a name."""
        sign, _, text = shown.partition(":")
        return sign.startswith("=") and not text.startswith(("builtin ", "undefined ", "import "))


class CodeReference(NamedTuple):
    """A reference to something else.

    Attributes
    ----------
    label
        Unique within its description; decides the order.
    owner, name
        The scope the reference was found in and its name there: what a state is called by.
    target
        A :class:`Leaf`, or the object itself.
    """

    label: str
    owner: str
    name: str
    target: Any


class Watch(NamedTuple):
    """Names in a namespace, and the objects they stood for: a cheap test for change.

    The objects are held, so that none is taken for another that got its address.
    """

    namespace: Mapping[str, Any]
    names: tuple[str, ...]
    objects: tuple[Any, ...]

    @classmethod
    def of(cls, namespace: Mapping[str, Any], names: tuple[str, ...]) -> Watch:
        """Watch ``names`` (also absent ones) as they are now."""
        return cls(namespace, names, tuple(map(namespace.get, names, repeat(MISSING))))

    def is_unchanged(self) -> bool:
        """Whether every name still stands for the same object."""
        return all(map(is_, map(self.namespace.get, self.names, repeat(MISSING)), self.objects))


class GraphNode(NamedTuple):
    """One node of the graph of code and values."""

    kind: NodeKind
    name: str
    local: bytes
    edges: tuple[CodeReference, ...] = ()
    watches: tuple[Watch, ...] = ()
    unchanged: Callable[[], bool] | None = None
    hints: frozenset[Hint] = frozenset()
    notes: frozenset[Note] = frozenset()
    text: str = ""
    attribute_digests: Mapping[str, str] | None = None


def shorten(value: Any) -> str:
    """A short text for people; never identifies anything."""
    cls = type(value)
    try:
        if issubclass(cls, str | bytes):
            value = value[: _SHORT + 1]
        if _is_array(cls):
            return f"<{qualname_of(cls)} {value.dtype} {value.shape}>"
        if issubclass(cls, list | dict | set | tuple | frozenset) and len(value) > _SHORT:
            return f"<{qualname_of(cls)} of {len(value)}>"
        text = repr(value)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a user's __repr__ may raise anything
        text = object.__repr__(value)
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


def _is_array(cls: type) -> bool:
    return not is_user_object(cls) and all(
        class_entry(cls, name) is not MISSING for name in ("shape", "dtype")
    )
