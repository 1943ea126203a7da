"""A node of the graph of code with its digest; see :mod:`pyplant.fingerprint.fingerprint`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pyplant.engine.trace import Note
from pyplant.fingerprint.graph_node import GraphNode, Leaf
from pyplant.fingerprint.hints import Hint

__all__ = ["NOTHING", "DigestNode", "Fingerprint"]


class Fingerprint(NamedTuple):
    """The identity of a function's code.

    Attributes
    ----------
    digest
        The digest of the code and all that it reaches.
    hints
        The names of ingredients and parameters in the code and all that it calls.
    notes
        What the digest does not cover.
    """

    digest: str
    hints: frozenset[Hint]
    notes: frozenset[Note]


NOTHING: frozenset[Any] = frozenset()  # shared, since most nodes have no hints and notes


class DigestNode:
    """A node of the graph with its digest, and the object that it describes."""

    __slots__ = (
        "children",
        "content",
        "digest",
        "epoch",
        "fingerprint",
        "found",
        "generation",
        "hints",
        "notes",
        "obj",
        "reads",
        "targets",
    )

    def __init__(self, obj: Any, content: GraphNode, epoch: int) -> None:
        self.obj = obj  # the reference keeps the id from being reused
        self.content = content
        self.epoch = epoch
        self.children: list[tuple[str, Any]] = [(edge.counted, edge.target) for edge in content.edges]
        self.targets = [target for _, target in self.children if type(target) is not Leaf]
        self.digest = ""
        self.generation = -1
        self.hints: frozenset[Hint] = NOTHING
        self.notes: frozenset[Note] = NOTHING
        self.reads: frozenset[str] = NOTHING
        self.fingerprint: Fingerprint | None = None
        self.found: Mapping[int, Any] | None = None  # in this node and below; None if nobody has searched

    def is_unchanged(self) -> bool:
        """Return whether the content still describes the object. This is the hot path of an unchanged run."""
        content = self.content
        if content.unchanged is not None and not content.unchanged():
            return False
        for watch in content.watches:  # noqa: SIM110 - all() would cost half as much again
            if not watch.is_unchanged():
                return False
        return True
