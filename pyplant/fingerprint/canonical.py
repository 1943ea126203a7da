"""The canonical form of a value that was taken apart into a graph of nodes.

Theory of operation
-------------------
A node's digest covers its own bytes and the digests of the nodes it refers to. A part that
can change, or that is compared by identity, and that several refer to is not the same as equal
parts: a change of one is a change of all. References to it carry its number, in the order in
which such parts are met. Whether an immutable part is shared is an accident, and does not count.
Items of a set are sorted by their digests. Nodes that refer to one another in a circle are numbered in the order in
which they are met from the first of them, and referred to by number.

Functions and classes are handed out to be digested by others. They are numbered in the
order in which they are first met, and stand in the bytes as these numbers. Where there
are sets, that order is known only when the digests are: then all is done twice, at first
with functions and classes told apart as far as ``name`` does.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

from pyplant.fingerprint.attributes import class_entry, module_of, mro, qualname_of
from pyplant.fingerprint.components import components

__all__ = ["Code", "ValueNode", "canonical"]

_ROUNDS = 16  # in which items of sets within a circle are told apart


class Code:
    """A function, class or module that a value refers to."""

    __slots__ = ("obj",)

    def __init__(self, obj: Any) -> None:
        self.obj = obj


class ValueNode:
    """A container or an object.

    Attributes
    ----------
    obj
        The value itself.
    parts
        Bytes, numbers of other nodes, and code, in order.
    unordered
        Whether the order of all parts but the first is an accident.
    above, depth
        The object that is no container through which it was met first (its id, 0 if there is
        none), and how many such objects lie between.
    shared
        Whether it was met more than once.
    """

    __slots__ = ("above", "depth", "obj", "parts", "shared", "unordered")

    def __init__(self, obj: Any) -> None:
        self.obj = obj
        self.above = self.depth = 0
        self.parts: list[bytes | int | Code] = []
        self.shared = self.unordered = False


def canonical(
    nodes: list[ValueNode], digest: Callable[[bytes], str], name: Callable[[Any], str]
) -> tuple[bytes, tuple[Any, ...]]:
    """The bytes of the first of some nodes, and the code they refer to by number.

    Parameters
    ----------
    nodes
        All nodes; the first one is the value.
    digest
        Hashes bytes.
    name
        Tells functions and classes apart as far as that is possible without their digests.
    """
    first = nodes[0]
    if len(nodes) == 1 and not first.unordered and all(type(part) is bytes for part in first.parts):
        return b"".join(first.parts), ()  # type: ignore[arg-type] # a scalar, as most parameters are
    found = _Canonical(nodes, digest)
    is_unordered = any(node.unordered for node in nodes)
    if is_unordered:
        found.name_code(name)
        found.data()
    if found.number_shared(_shared(nodes)) and is_unordered:
        found.data()
    found.number_code(found.preorder(0))
    return found.data(), found.edges


def _shared(nodes: list[ValueNode]) -> set[int]:
    """The nodes with an identity that can be reached in two ways; within an immutable part, by way of that."""
    stack = [index for index, node in enumerate(nodes) if node.shared]
    found: set[int] = set()
    seen = set(stack)
    while stack:
        index = stack.pop()
        cls = type(nodes[index].obj)
        if _has_identity(cls):
            found.add(index)
        elif issubclass(cls, _TRANSPARENT):
            inside = [part for part in nodes[index].parts if type(part) is int and part not in seen]
            seen.update(inside)
            stack += inside
    return found


_TRANSPARENT = (tuple, frozenset, types.MappingProxyType, types.MethodType)


def _has_identity(cls: type) -> bool:
    """Whether it can be told if two objects of a class are one: they can change, or compare by identity.

    Objects that are hashed and compared by their content are taken to be immutable.
    """
    if module_of(cls).partition(".")[0] in _OF_TABLES:
        return qualname_of(cls) in _TABLES
    hashed = class_entry(cls, "__hash__")
    if hashed is None or hashed is class_entry(object, "__hash__"):
        return True
    return any(qualname_of(base) == "Tensor" and module_of(base) in _TORCH for base in mro(cls))


_OF_TABLES = frozenset(["pandas", "polars", "pyarrow", "xarray"])
_TABLES = frozenset(["DataFrame", "Series", "Dataset", "DataArray"])  # their parts are immutable, or storage
_TORCH = frozenset(["torch", "torch._tensor"])  # it hashes by identity in a way of its own


class _Canonical:
    def __init__(self, nodes: list[ValueNode], digest: Callable[[bytes], str]) -> None:
        self._nodes = nodes
        self._digest = digest
        self._digests: dict[int, bytes] = {}
        self._code: dict[int, bytes] = {}
        self._shared_numbers: dict[int, bytes] = {}
        self.edges: tuple[Any, ...] = ()

    # ------------------------------------------------------------------ code

    def name_code(self, name: Callable[[Any], str]) -> None:
        """Tell functions and classes apart as far as their names do."""
        for node in self._nodes:
            for part in node.parts:
                if isinstance(part, Code) and id(part.obj) not in self._code:
                    self._code[id(part.obj)] = name(part.obj).encode()

    def number_code(self, order: list[int]) -> None:
        """Give functions and classes the numbers by which they are handed out."""
        numbers: dict[int, tuple[int, Any]] = {}
        for index in order:
            for part in self._ordered(index):
                if isinstance(part, Code):
                    numbers.setdefault(id(part.obj), (len(numbers), part.obj))
        self._code = {key: b"%d" % number for key, (number, _) in numbers.items()}
        self.edges = tuple(obj for _, obj in numbers.values())

    # ------------------------------------------------------------------ identity

    def number_shared(self, shared: set[int]) -> bool:
        """Number nodes that are shared, unless equal items of a set leave their order open."""
        if not shared:
            return False
        for node in self._nodes:
            if node.unordered:
                items = [self._reference(part, {}) for part in node.parts[1:] if type(part) is int]
                if len(set(items)) < len(items):
                    return False
        met = (index for index in self.preorder(0) if index in shared)
        self._shared_numbers = {index: b"&%d;" % number for number, index in enumerate(met)}
        return True

    # ------------------------------------------------------------------ order

    def _ordered(self, index: int) -> list[bytes | int | Code]:
        """The parts of a node; those of a set in the order of what is known of them."""
        node = self._nodes[index]
        if not node.unordered:
            return node.parts
        return [node.parts[0], *sorted(node.parts[1:], key=lambda part: self._reference(part, {}))]

    def preorder(self, start: int, among: set[int] | None = None) -> list[int]:
        """The nodes below ``start`` in the order in which they are met."""
        order: dict[int, None] = {}
        stack = [start]
        while stack:
            index = stack.pop()
            if index in order:
                continue
            order[index] = None
            below = [part for part in self._ordered(index) if type(part) is int]
            stack.extend(part for part in reversed(below) if among is None or part in among)
        return list(order)

    # ------------------------------------------------------------------ digests

    def data(self) -> bytes:
        """The bytes of the first node; digests of the others are known afterwards."""
        self._digests.clear()
        for component in components(0, self._children):
            if len(component) > 1 or component[0] in self._children(component[0]):
                self._digest_cycle(set(component))
            elif component[0] != 0:
                self._digests[component[0]] = self._hash(self._render(component[0], {}))
        return self._render(0, {})

    def _children(self, index: int) -> Iterator[int]:
        return (part for part in self._nodes[index].parts if type(part) is int)

    def _hash(self, data: bytes) -> bytes:
        return self._digest(data).encode() if len(data) > 64 else data  # noqa: PLR2004 - short is short enough

    def _render(self, index: int, inside: dict[int, bytes]) -> bytes:
        parts = self._nodes[index].parts
        if self._nodes[index].unordered:
            return b"".join(
                [
                    self._reference(parts[0], inside),
                    *sorted(self._reference(part, inside) for part in parts[1:]),
                ]
            )
        return b"".join([part if type(part) is bytes else self._reference(part, inside) for part in parts])

    def _reference(self, part: bytes | int | Code, inside: dict[int, bytes]) -> bytes:
        if isinstance(part, bytes):
            return part
        if isinstance(part, Code):
            return b"@%s;" % self._code.get(id(part.obj), b"")
        known = inside.get(part)
        if known is None:
            known = self._digests.get(part, b"")
        return b"#%d:%s%s" % (len(known), known, self._shared_numbers.get(part, b""))

    def _digest_cycle(self, component: set[int]) -> None:
        """The digests of nodes that refer to one another."""
        if any(self._nodes[index].unordered for index in component):
            self._digests.update(self._colours(component))  # so that sets within have an order
        order = self.preorder(min(component), component)
        numbers = {index: b"^%d" % number for number, index in enumerate(order)}
        whole = b"".join(b"%d:%s" % (len(text), text) for text in (self._render(i, numbers) for i in order))
        for index in order:
            self._digests[index] = self._digest(whole + numbers[index]).encode()

    def _colours(self, component: set[int]) -> dict[int, bytes]:
        """What tells the nodes apart as far as a few steps from each show."""
        colours = dict.fromkeys(component, b"~")
        classes = 0
        for _ in range(_ROUNDS):
            colours = {index: self._digest(self._render(index, colours)).encode() for index in component}
            if len(set(colours.values())) == classes:
                break
            classes = len(set(colours.values()))
        return colours
