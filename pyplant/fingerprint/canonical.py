"""The canonical bytes of a value that is given as a graph of nodes.

Theory of operation
-------------------
:class:`~pyplant.fingerprint.digest.Encoder` turns a value into nodes, one for each container and
object. The digest of a node covers its own bytes and the digests of the nodes that it refers to.
Four things make that more than a tree walk:

**Cycles.** Nodes of a strongly connected component have no digests that could be computed one after the
other. They are numbered in the order in which a walk from the first of them reaches them, refer to each
other by number, and are hashed together.

**Sets.** The order of a set is an accident of the process, so its items are sorted by their digests.
Items of a set within a cycle have no digests yet. They are distinguished by colour refinement: each
round hashes a node with the colours of its neighbours.

**Sharing.** ``[a, a]`` and ``[a, b]`` with equal ``a`` and ``b`` behave differently if ``a`` can be
changed, or compares by identity. So references to such a node carry its number, if several refer to
it. Whether two references to an immutable object lead to one object is an accident and does not count.

**Code.** Functions and classes are not hashed here, since code may refer back to the value. They are
numbered in the order in which they are met, appear in the bytes by these numbers, and are
handed out to the caller. If there are sets, the order in which code is met depends on digests, and the
digests on the numbers. Then all is done twice: first with the names of the code in place of numbers.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

from pyplant.fingerprint.attributes import class_entry, module_of, mro, qualname_of
from pyplant.fingerprint.components import components

__all__ = ["Code", "ValueNode", "canonical"]

_ROUNDS = 16  # of colour refinement at most; nodes that still look alike then count as alike


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
        Whether the order of all parts but the first does not count, as in a set.
    above, depth
        The outermost object on the way to it that is no container (its id, 0 if there is none),
        and the number of such objects on the way. They limit how much of an object is encoded.
    shared
        Whether several parts refer to it.
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
    """Return the canonical bytes of a value, and the functions and classes in it, in the order of their numbers.

    Parameters
    ----------
    nodes
        All nodes; the first one is the value.
    digest
        Returns the digest of bytes.
    name
        Returns a text that distinguishes functions and classes as far as is possible without their
        digests.
    """
    first = nodes[0]
    if len(nodes) == 1 and not first.unordered and all(type(part) is bytes for part in first.parts):
        return b"".join(first.parts), ()  # type: ignore[arg-type] # a scalar, as most parameters are
    if not any(node.shared or node.unordered for node in nodes) and not any(
        type(part) is Code for node in nodes for part in node.parts
    ):
        return _data_of_tree(nodes, digest), ()
    # In order: code by name, so that sets have an order; shared nodes by number, which need that order;
    # code by number, in the final order; then the bytes.
    found = _Canonical(nodes, digest)
    is_unordered = any(node.unordered for node in nodes)
    if is_unordered:
        found.name_code(name)
        found.data()
    if found.number_shared(_shared(nodes)) and is_unordered:
        found.data()
    found.number_code(found.preorder(0))
    return found.data(), found.edges


def _data_of_tree(nodes: list[ValueNode], digest: Callable[[bytes], str]) -> bytes:
    """Return the bytes of a value whose nodes refer to later ones only, such as a list of lists of numbers."""
    known = [b""] * len(nodes)
    for index in reversed(range(len(nodes))):
        parts: Any = nodes[index].parts
        data = b"".join([part if type(part) is bytes else _reference_to(known[part]) for part in parts])
        known[index] = _hashed(data, digest) if index else data
    return known[0]


def _hashed(data: bytes, digest: Callable[[bytes], str]) -> bytes:
    return digest(data).encode() if len(data) > 64 else data  # noqa: PLR2004 - short data needs no hash


def _reference_to(known: bytes) -> bytes:
    # The length separates the digest from what follows, since short data is not hashed.
    return b"#%d:%s" % (len(known), known)


def _shared(nodes: list[ValueNode]) -> set[int]:
    """Return the nodes with an identity to which two paths lead, also by way of a shared immutable part."""
    stack = [index for index, node in enumerate(nodes) if node.shared]
    found: set[int] = set()
    seen = set(stack)
    while stack:
        index = stack.pop()
        # A shared tuple has no identity, but a list in it has, and two paths lead to that list.
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
    """Return whether code can tell if two objects of a class are one object: they can change, or compare by identity.

    Objects that hash by content are assumed to be immutable, as Python asks of hashable objects.
    """
    if module_of(cls).partition(".")[0] in _OF_TABLES:
        return qualname_of(cls) in _TABLES
    hashed = class_entry(cls, "__hash__")
    if hashed is None or hashed is class_entry(object, "__hash__"):
        return True
    return any(qualname_of(base) == "Tensor" and module_of(base) in _TORCH for base in mro(cls))


_OF_TABLES = frozenset(["pandas", "polars", "pyarrow", "xarray"])
_TABLES = frozenset(["DataFrame", "Series", "Dataset", "DataArray"])  # their parts are immutable, or storage
_TORCH = frozenset(["torch", "torch._tensor"])  # its __hash__ uses the identity


class _Canonical:
    """The digests, numbers and orders of the nodes of one value."""

    def __init__(self, nodes: list[ValueNode], digest: Callable[[bytes], str]) -> None:
        self._nodes = nodes
        self._digest = digest
        self._digests: dict[int, bytes] = {}
        self._code: dict[int, bytes] = {}
        self._shared_numbers: dict[int, bytes] = {}
        self.edges: tuple[Any, ...] = ()

    # ------------------------------------------------------------------ code

    def name_code(self, name: Callable[[Any], str]) -> None:
        """Let functions and classes appear by name, until they have numbers."""
        for node in self._nodes:
            for part in node.parts:
                if isinstance(part, Code) and id(part.obj) not in self._code:
                    self._code[id(part.obj)] = name(part.obj).encode()

    def number_code(self, order: list[int]) -> None:
        """Number functions and classes in the order in which ``order`` meets them."""
        numbers: dict[int, tuple[int, Any]] = {}
        for index in order:
            for part in self._ordered(index):
                if isinstance(part, Code):
                    numbers.setdefault(id(part.obj), (len(numbers), part.obj))
        self._code = {key: b"%d" % number for key, (number, _) in numbers.items()}
        self.edges = tuple(obj for _, obj in numbers.values())

    # ------------------------------------------------------------------ identity

    def number_shared(self, shared: set[int]) -> bool:
        """Number the shared nodes, and return whether there are any.

        Equal items of a set have no order, so they cannot be numbered; then no sharing counts.
        """
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
        """Return the parts of a node, those of a set sorted by the digests known so far."""
        node = self._nodes[index]
        if not node.unordered:
            return node.parts
        return [node.parts[0], *sorted(node.parts[1:], key=lambda part: self._reference(part, {}))]

    def preorder(self, start: int, among: set[int] | None = None) -> list[int]:
        """Return the nodes that ``start`` reaches, in the order of a depth-first walk."""
        order: dict[int, None] = {}  # a set that keeps its order
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
        """Compute the digests of all nodes, and return the bytes of the first."""
        self._digests.clear()
        # Components come after those they refer to, so digests of other components are always known.
        for component in components(0, self._children):
            if len(component) > 1 or component[0] in self._children(component[0]):
                self._digest_cycle(set(component))
            elif component[0] != 0:
                self._digests[component[0]] = _hashed(self._render(component[0], {}), self._digest)
        return self._render(0, {})

    def _children(self, index: int) -> Iterator[int]:
        return (part for part in self._nodes[index].parts if type(part) is int)

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
        return _reference_to(known) + self._shared_numbers.get(part, b"")

    def _digest_cycle(self, component: set[int]) -> None:
        """Compute the digests of the nodes of one cycle."""
        if any(self._nodes[index].unordered for index in component):
            self._digests.update(self._colours(component))  # gives the sets within an order
        # From the node that was met first, since the walk must not begin at an arbitrary node of the cycle.
        order = self.preorder(min(component), component)
        numbers = {index: b"^%d" % number for number, index in enumerate(order)}
        whole = b"".join(b"%d:%s" % (len(text), text) for text in (self._render(i, numbers) for i in order))
        for index in order:
            self._digests[index] = self._digest(whole + numbers[index]).encode()

    def _colours(self, component: set[int]) -> dict[int, bytes]:
        """Distinguish the nodes of a cycle by colour refinement, in a limited number of rounds."""
        colours = dict.fromkeys(component, b"~")
        classes = 0
        for _ in range(_ROUNDS):
            colours = {index: self._digest(self._render(index, colours)).encode() for index in component}
            if len(set(colours.values())) == classes:
                break
            classes = len(set(colours.values()))
        return colours
