"""Collecting the edges of one graph node, without the names that are state.

State is what reactors change while they run: a global that is filled lazily, a counter, a cache in an
attribute. It must not count, or a reactor would invalidate its own trace. A pair of owner (a module, function
or class) and name identifies it. If only attributes of the value behind a name are state, the name of the
attribute is part of the pair (:func:`~pyplant.fingerprint.code_records.part_name`).
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from operator import attrgetter
from types import FunctionType, ModuleType
from typing import Any

from pyplant._missing import MISSING
from pyplant.engine.trace import Note
from pyplant.fingerprint.code_records import part_name, whole_and_part
from pyplant.fingerprint.digest import encode
from pyplant.fingerprint.followed_names import name_that_counts
from pyplant.fingerprint.graph_node import CodeReference, Leaf, Watch, shorten
from pyplant.fingerprint.past_values import PAST_VALUES

__all__ = ["SCALAR_TYPES", "NodeScope", "PartialValue", "StateNames", "is_immutable"]

SCALAR_TYPES = (type(None), bool, int, float, complex, str, bytes, type(...))
"""Types whose values become leaves. They refer to nothing, so they need no node."""


class PartialValue:
    """A value and the attributes of it that are left out."""

    __slots__ = ("parts", "value")

    def __init__(self, value: Any, parts: frozenset[str]) -> None:
        self.value = value
        self.parts = parts


class StateNames:
    """Looks up what is state, given the pairs of owner and name.

    Parameters
    ----------
    state
        The pairs. Others may be added to the set later; none is ever removed.
    """

    def __init__(self, state: set[tuple[str, str]]) -> None:
        self.pairs = state
        self._parts: dict[tuple[str, str], set[str]] = {}
        self._seen = 0
        self._partial_values: dict[tuple[str, str], PartialValue] = {}

    def excluded_parts(self, owner: str, name: str) -> set[str] | None:
        """Return the parts of a value under this name that are left out: attributes, or ``""`` for all of it."""
        if self._seen != len(self.pairs):  # the set only grows, so its length tells whether it changed
            self._parts.clear()
            for scope, known in self.pairs:
                whole, part = whole_and_part(known)
                self._parts.setdefault((scope, whole), set()).add(part)
            self._seen = len(self.pairs)
        return self._parts.get((owner, name))

    def partial_value(self, owner: str, name: str, value: Any, parts: set[str]) -> Any:
        """Wrap a value of which some attributes are left out under this name."""
        if issubclass(type(value), FunctionType | type | ModuleType):
            return value  # their own namespaces leave state out when they are read
        # One wrapper per name: nodes are found by identity, so a new wrapper would be a new node each time.
        known = self._partial_values.get((owner, name))
        if known is None or known.value is not value or known.parts != parts:
            known = self._partial_values[owner, name] = PartialValue(value, frozenset(parts))
        return known


class NodeScope:
    """Collects the edges, watches and notes of one node.

    Parameters
    ----------
    state
        What to leave out.
    owner
        The module, function or class of the node, which owns the names in it.

    Attributes
    ----------
    numbered
        The names that are numbers in the text of the node, by label: the number, how it is used, and its steps.
    packages
        The packages of installed code that it refers to.
    """

    def __init__(self, state: StateNames, owner: str) -> None:
        self.owner = owner
        self.notes: set[Note] = set()
        self.numbered: dict[str, tuple[int, str, list[str]]] = {}
        self.watching: list[Watch] = []
        self.packages: set[str] = set()
        self._state = state
        self._edges: dict[str, CodeReference] = {}
        self._watched: dict[int, tuple[Mapping[str, Any], set[str]]] = {}

    def watch(self, namespace: Mapping[str, Any], name: str) -> Any:
        """Read a name from a namespace, and watch it from now on."""
        # Grouped by namespace: one Watch for all globals of a function is compared in C.
        self._watched.setdefault(id(namespace), (namespace, set()))[1].add(name)
        return namespace.get(name, MISSING)

    def add(
        self, label: str, target: Any, name: str = "", owner: str = "", rest: list[str] | None = None
    ) -> None:
        """Add an edge, unless its target is state; scalars become leaves.

        Parameters
        ----------
        label, target, name, owner
            See :class:`~pyplant.fingerprint.graph_node.CodeReference`; by default the node owns the label.
        rest
            The attributes at the end of a chain of names that are not followed.
        """
        owner, name = owner or self.owner, name or label
        excluded_parts = self._state.excluded_parts(owner, name)
        for part in excluded_parts or ():
            known = part_name(name, part) if part else name
            self.note("state", f"{owner}: {known!r} changes while reactors run")
        if excluded_parts and "" in excluded_parts:
            return
        if type(target) in SCALAR_TYPES:
            target = Leaf("value " + encode(target).data.hex(), shorten(target))
        elif excluded_parts and type(target) is not Leaf:
            target = self._state.partial_value(owner, name, target, excluded_parts)
        target = PAST_VALUES.before(owner, name, target)
        if target is MISSING:  # a reactor added the name
            return
        key = ""
        if label in self.numbered:
            number, use, chain = self.numbered[label]
            key = f"name {number:04} {name_that_counts(use, chain, target, rest or [])}"
        self._edges[label] = CodeReference(label, owner, name, target, key)

    def add_names_left_out(self) -> None:
        """Let names count that are numbers in the text and have no edge, since they are state."""
        for label in self.numbered.keys() - self._edges.keys():
            number, _, chain = self.numbered[label]
            key = f"name {number:04} {' '.join(chain)}"
            self._edges[label] = CodeReference(label, "", "", Leaf("left out"), key)

    def note(self, kind: str, text: str) -> None:
        """Add a note on something that the node does not cover."""
        self.notes.add(Note(kind, text))

    def edges(self) -> Collection[CodeReference]:
        """Return the edges in the order of discovery."""
        return self._edges.values()

    def sorted_edges(self) -> tuple[CodeReference, ...]:
        """Return the edges in an order that does not depend on the order of discovery."""
        return tuple(sorted(self._edges.values(), key=attrgetter("counted")))

    def watches(self) -> tuple[Watch, ...]:
        """Return the tests for changes of the names that were read."""
        groups = (Watch.of(namespace, tuple(sorted(names))) for namespace, names in self._watched.values())
        return (*self.watching, *groups)


def is_immutable(value: Any) -> bool:
    """Return whether a value cannot change, so that it never needs to be encoded again."""
    stack, seen = [value], set()
    while stack:
        item = stack.pop()
        if type(item) in (tuple, frozenset):
            if id(item) not in seen:  # a shared part is visited once
                seen.add(id(item))
                stack.extend(item)
        elif type(item) not in SCALAR_TYPES and not issubclass(type(item), enum.Enum):
            return False
    return True
