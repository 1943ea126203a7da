"""Records of what digests of code were made of, and the differences between two fingerprints.

Records make two things possible. Explanations name the helper or value that changed, and show its
old and new text (:func:`differences`). And the plant learns which names are state
(:func:`changed_names`): a name whose value differs before and after its reactor ran. If only attributes
of a value differ, only those are state; they are found by the digests of single attributes
(:mod:`pyplant.fingerprint.attribute_digests`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pyplant.engine import validate
from pyplant.fingerprint.assignments import is_assigned_name
from pyplant.fingerprint.graph_node import Leaf, NodeKind

__all__ = [
    "METADATA",
    "CodeRecord",
    "Difference",
    "changed_names",
    "changed_values",
    "differences",
    "part_name",
    "whole_and_part",
]

METADATA = "metadata: "
"""How the label of an edge to a name, docstring or annotation of code begins; the digest of that code follows."""


class CodeRecord(NamedTuple):
    """What a digest was made of: one node and its edges by label.

    Attributes
    ----------
    kind, name
        What the node stands for, and its name in messages.
    local
        Digest of the node's own content.
    text
        Its source, or a short text of its value.
    edges
        ``label -> (owner, name, digest)``; for a leaf ``=digest:text``.
    """

    kind: NodeKind
    name: str
    local: str
    text: str
    edges: dict[str, tuple[str, str, str]]

    def to_json(self) -> list[Any]:
        """Convert to JSON-able data."""
        return [self.kind.value, self.name, self.local, self.text, self.edges]

    @classmethod
    def from_json(cls, data: list[Any]) -> CodeRecord:
        """Convert from JSON-able data."""
        kind, name, local, text, edges = data
        return cls(
            NodeKind(kind),
            validate.string(name),
            validate.source_text(local),
            validate.string(text),
            {label: _edge(target) for label, target in validate.mapping(edges).items()},
        )


def _edge(data: Any) -> tuple[str, str, str]:
    owner, name, digest = validate.str_list(data)
    return owner, name, digest


class Difference(NamedTuple):
    """One difference between two fingerprints.

    Attributes
    ----------
    path
        The names that lead from the reactor to the node that differs.
    owner, name
        The scope the node was found in and its name there, if it has one.
    kind
        What the node stands for now, or stood for.
    old, new
        Its source or a short text of its value; ``None`` where it does not exist.
    digests
        Its digests before and after; empty where it does not exist.
    """

    path: tuple[str, ...]
    owner: str
    name: str
    kind: NodeKind
    old: str | None
    new: str | None
    digests: tuple[str, str] = ("", "")


_GetRecord = Callable[[str], "CodeRecord | None"]


def differences(old: str, new: str, record: _GetRecord, *, everywhere: bool = False) -> list[Difference]:
    """Find what differs between two fingerprints, by walking both graphs of records in parallel.

    Parameters
    ----------
    old, new
        The fingerprints.
    record
        Returns the record of a digest, if it is known.
    everywhere
        Report a node that differs for each path to it, and not only for the shortest one.
    """
    found: list[Difference] = []
    seen: set[tuple[str, ...]] = set()
    first = record(new) or record(old)
    # Breadth first, so that paths are short.
    queue = deque([(old, new, (first.name,) if first else (), ("", ""))])
    while queue:
        before, after, path, place = queue.popleft()
        # Nodes are shared, so the number of paths may be exponential. For state, each name that leads to a node counts.
        mark = (before, after, *(place if everywhere else ()))
        if before == after or mark in seen:
            continue
        seen.add(mark)
        a, b = record(before), record(after)
        if a is None or b is None or a.kind is not b.kind:
            kind = (b or a).kind if (b or a) is not None else NodeKind.VALUE  # type: ignore[union-attr]
        elif a.local != b.local:
            kind = b.kind
        else:
            kind = None
        if kind is not None:
            texts = _text(a, before), _text(b, after)
            found.append(Difference(path, *place, kind, *texts, (before, after)))
        # Below a value that differs, or a node that is missing or of another kind, nothing corresponds.
        if a is None or b is None or a.kind is not b.kind or (kind is not None and a.kind is NodeKind.VALUE):
            continue
        for label in sorted(a.edges.keys() | b.edges.keys()):
            x, y = a.edges.get(label), b.edges.get(label)
            # An edge that exists on one side only follows from a change of the text, or of the code whose metadata it is.
            if (x and y) or (a.local == b.local and not label.startswith(METADATA)):
                owner, name, _ = y or x or ("", "", "")
                within = a.kind is NodeKind.VALUE  # the targets of a value have no names of their own
                here = (path, place) if within else ((*path, name or label), (owner, name))
                queue.append((x[2] if x else "", y[2] if y else "", *here))
    return found


def _text(record: CodeRecord | None, digest: str) -> str | None:
    if record is not None:
        return record.text
    return digest.partition(":")[2] or None


# ------------------------------------------------------------------ state


def part_name(name: str, part: str) -> str:
    """Return the name, as state, of an attribute of the value behind a name."""
    return f"{name} [{part}]"


def whole_and_part(name: str) -> tuple[str, str]:
    """Undo :func:`part_name`; the part is empty for the name as a whole."""
    whole, _, part = name.partition(" [")
    return whole, part.removesuffix("]")


def changed_values(old: str, new: str, record: _GetRecord) -> list[Difference] | None:
    """Return the values that differ between two fingerprints; ``None`` if code differs."""
    found = differences(old, new, record, everywhere=True)
    for change in found:
        before, _ = change.digests
        filled = _was_value(before, record) or (not before and change.kind is NodeKind.MODULE)
        # What a reactor assigns to attributes of installed code is an effect of its own code, whatever it is.
        filled = filled or is_assigned_name(change.owner, change.name)
        if not change.name or not (change.kind is NodeKind.VALUE or filled):
            return None
    return found


def changed_names(
    old: str, new: str, record: _GetRecord, attribute_digests: Callable[[str], Mapping[str, str] | None]
) -> set[tuple[str, str]] | None:
    """Return the owners and names of values that differ between two fingerprints; ``None`` if code differs."""
    changes = changed_values(old, new, record)
    if changes is None:
        return None
    found: set[tuple[str, str]] = set()
    for change in changes:
        before, after = change.digests
        parts = _changed_parts(attribute_digests(before), attribute_digests(after))
        found.update((change.owner, part_name(change.name, part)) for part in parts)
        if not parts:
            found.add((change.owner, change.name))
    return found


def _was_value(digest: str, record: _GetRecord) -> bool:
    """Return whether a digest is that of a value; a lazily filled name stands for ``None`` first and for code later."""
    known = record(digest)
    if known is not None:
        return known.kind is NodeKind.VALUE
    return Leaf.is_value(digest)


def _changed_parts(before: Mapping[str, str] | None, after: Mapping[str, str] | None) -> set[str]:
    """Return the attributes that differ, as class and name; empty if anything else differs as well."""
    if not before or not after or before.get("") != after.get(""):
        return set()
    classes = {part.rpartition(".")[0] for part in before}
    changed = {part for part in before.keys() | after.keys() if before.get(part) != after.get(part)}
    return {part for part in changed if part.rpartition(".")[0] in classes and not part.endswith(".")}
