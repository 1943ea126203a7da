"""Fingerprints: one digest for a function and everything its code reaches.

Theory of operation
-------------------
Functions, classes, modules and the values they name form a graph
(:mod:`pyplant.fingerprint.code_graph`). Its digest is that of a Merkle graph: a node's digest
covers its own description and the digests of what it refers to. Code may be mutually
recursive, so the unit is the strongly connected component (Tarjan's algorithm, without
recursion): its members are told apart by refining their descriptions with one another's
until nothing new is learned, then each is combined with the digest of the whole.

Sub-graphs are shared: 1,000 reactors over one library digest the library once. What was
digested stays valid until user code has run (an *epoch* ends); then a node is looked at
again when somebody asks for it, which for a function compares identities only.

Every digest can be opened again: a :class:`~pyplant.fingerprint.code_records.CodeRecord` keeps what it was
made of. Records are stored beside the traces, so a plant can say which helper changed, and
how, long after the old text is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import CodeType, FunctionType
from typing import Any, NamedTuple, Protocol

import pyplant.fingerprint.builtin_types  # noqa: F401 - teaches the encoder of values
from pyplant.engine.trace import Note
from pyplant.errors import UndigestibleError
from pyplant.fingerprint import origin
from pyplant.fingerprint.bytecode import code_digest
from pyplant.fingerprint.code_graph import NodeBuilder
from pyplant.fingerprint.code_records import CodeRecord, changed_names
from pyplant.fingerprint.components import components
from pyplant.fingerprint.digest import digest_bytes, encode
from pyplant.fingerprint.graph_node import GraphNode, Leaf, NodeKind
from pyplant.fingerprint.hints import Hint
from pyplant.fingerprint.source import CodePart, Sources

__all__ = [
    "Fingerprint",
    "Fingerprinter",
    "PartMemo",
    "digest_of",
    "fingerprint_of",
    "use_fingerprinter",
]


class PartMemo(Protocol):
    """Remembers the parts of code objects between sessions, so that no source is read."""

    def get_part(self, digest: str) -> CodePart | None:
        """The part of the code object with this digest."""

    def put_part(self, digest: str, part: CodePart) -> None:
        """Remember a part."""


class Fingerprint(NamedTuple):
    """The identity of a function's code.

    Attributes
    ----------
    digest
        Equal for equal behaviour, as far as code shows it.
    hints
        What the code, with all that it calls, mentions by name.
    notes
        What could not be followed.
    """

    digest: str
    hints: frozenset[Hint]
    notes: frozenset[Note]


_NOTHING: frozenset[Any] = frozenset()  # every other empty one would be an object of its own


class _DigestNode:
    """A described object and what is known about its place in the graph."""

    __slots__ = (
        "children",
        "content",
        "digest",
        "epoch",
        "fingerprint",
        "generation",
        "hints",
        "notes",
        "obj",
        "targets",
    )

    def __init__(self, obj: Any, content: GraphNode, epoch: int) -> None:
        self.obj = obj  # also keeps its id from being used again
        self.content = content
        self.epoch = epoch
        self.children: list[tuple[str, Any]] = [(edge.label, edge.target) for edge in content.edges]
        self.targets = [target for _, target in self.children if type(target) is not Leaf]
        self.digest = ""
        self.generation = -1
        self.hints: frozenset[Hint] = _NOTHING
        self.notes: frozenset[Note] = _NOTHING
        self.fingerprint: Fingerprint | None = None

    def is_unchanged(self) -> bool:
        """Whether the object still is as it was described; asked very often."""
        content = self.content
        if content.unchanged is not None and not content.unchanged():
            return False
        for watch in content.watches:  # noqa: SIM110 - all() would cost half as much again
            if not watch.is_unchanged():
                return False
        return True


class Fingerprinter:
    """Takes fingerprints, and keeps what it learned for the next one.

    Parameters
    ----------
    memo
        Where parts of code are remembered between sessions.
    sources
        The texts of the session.
    version
        Gives what to count of an installed package besides its name.
    """

    def __init__(
        self,
        memo: PartMemo | None = None,
        sources: Sources | None = None,
        version: Callable[[str], str] = lambda _: "",
    ) -> None:
        self.state: set[tuple[str, str]] = set()
        self.records: dict[str, CodeRecord] = {}
        self._returned_records: set[str] = set()
        self._attribute_digests: dict[str, Mapping[str, str]] = {}
        self._memo = memo
        self._sources = sources or Sources()
        self._build_node = NodeBuilder(self._part, self.state, version)
        self._nodes: dict[int, _DigestNode] = {}
        self._parts: dict[str, CodePart] = {}
        self._recursive_digests: dict[str, str] = {}
        self._epoch = 0
        self._kept_from_epoch = 0
        self._generation = 0
        self._followed = origin.generation()

    def begin_generation(self) -> None:
        """User code ran, and what nobody asked for since the last call is let go.

        So a value that was replaced in a session does not live as long as the session.
        """
        kept = {ident: node for ident, node in self._nodes.items() if node.epoch >= self._kept_from_epoch}
        if len(kept) < len(self._nodes):
            self._nodes = kept
            self._generation += 1  # after an interrupted look, one that is kept may name one that is not
        self.invalidate_values()
        self._kept_from_epoch = self._epoch

    def invalidate_values(self) -> None:
        """Values of globals, and what names stand for, may have changed."""
        self._epoch += 1
        self._build_node.forget_values()
        if self._followed != origin.generation():
            self._followed = origin.generation()
            self._nodes.clear()

    def add_state(self, names: set[tuple[str, str]]) -> None:
        """Leave these ``(owner, name)`` pairs out from now on."""
        if not names <= self.state:
            self.state |= names
            self._nodes.clear()
            self._build_node.forget_values()

    def changed_names(self, old: str, new: str) -> set[tuple[str, str]] | None:
        """The names to leave out because what they stand for changed; ``None`` if code changed.

        Parameters
        ----------
        old, new
            Two fingerprints of one reactor, from before and after it ran.
        """
        return changed_names(old, new, self.records.get, self._attribute_digests.get)

    def fingerprint(self, function: Callable[..., Any]) -> Fingerprint:
        """The fingerprint of a function or class as it is now."""
        self._refresh(function)
        node = self._nodes[id(function)]
        if node.generation != self._generation:
            self._digest_from(node)
        if node.fingerprint is None:
            hints = node.hints | node.content.hints
            node.fingerprint = Fingerprint(node.digest, hints, node.notes)
        return node.fingerprint

    def digest(self, value: Any) -> tuple[str, frozenset[Note]]:
        """The digest of any value, functions and classes in it counting by their code."""
        encoding = encode(value, lambda code: self.fingerprint(code).digest)
        notes = {Note("opaque", text) for text in encoding.opaque}
        parts = [encoding.data]
        for target in encoding.edges:
            found = self.fingerprint(target)
            parts.append(found.digest.encode())
            notes |= found.notes
        return digest_bytes(*parts), frozenset(notes)

    def reaches(self, root: Callable[..., Any], obj: Any) -> bool:
        """Whether the code of ``root`` names ``obj``, directly or through what it calls."""
        self._refresh(root)
        seen, stack = {id(root)}, [root]
        while stack:
            current = stack.pop()
            if current is obj:
                return True
            for _, target in self._nodes[id(current)].children:
                if type(target) is not Leaf and id(target) not in seen:
                    seen.add(id(target))
                    stack.append(target)
        return False

    def new_records(self, digest: str) -> dict[str, CodeRecord]:
        """The records below a digest that were not asked for before."""
        found: dict[str, CodeRecord] = {}
        stack = [digest]
        while stack:
            current = stack.pop()
            record = self.records.get(current)
            if record is not None and current not in self._returned_records:
                self._returned_records.add(current)
                found[current] = record
                stack.extend(edge[2] for edge in record.edges.values())
        return found

    # ------------------------------------------------------------------ looking

    def _refresh(self, root: Any) -> None:
        """Describe what is new below ``root`` and look again at what is not of this epoch."""
        nodes, epoch, stack = self._nodes, self._epoch, [root]
        while stack:
            obj = stack.pop()
            node = nodes.get(id(obj))
            if node is None or (node.epoch != epoch and not node.is_unchanged()):
                if node is not None:
                    self._generation += 1
                node = nodes[id(obj)] = _DigestNode(obj, self._build_node(obj), epoch)
            elif node.epoch == epoch:
                continue
            node.epoch = epoch
            stack += node.targets

    def _part(self, code: CodeType, namespace: dict[str, Any]) -> CodePart:
        key = code_digest(code)
        part = self._parts.get(key)
        if part is None and self._memo is not None:
            part = self._memo.get_part(key)
        if part is None:
            part = self._sources.part(code, namespace)
            if self._memo is not None:
                self._memo.put_part(key, part)
        self._parts[key] = part
        return part

    # ------------------------------------------------------------------ digesting

    def _digest_from(self, root: _DigestNode) -> None:
        for component in components(root, self._undigested_children):
            self._digest_component(component)

    def _undigested_children(self, node: _DigestNode) -> Iterator[_DigestNode]:
        """Those children whose digests are not known yet."""
        for _, target in node.children:
            if type(target) is not Leaf:
                child = self._nodes[id(target)]
                if child.generation != self._generation:
                    yield child

    def _digest_component(self, component: list[_DigestNode]) -> None:
        inside = {id(node.obj): index for index, node in enumerate(component)}
        colours = [self._colour(node, inside, None) for node in component]
        recursive = any(id(target) in inside for node in component for target in node.targets)
        if recursive:
            classes = 0
            while len(set(colours)) > classes:
                classes = len(set(colours))
                colours = [self._colour(node, inside, colours) for node in component]
            whole = digest_bytes(*(colour.encode() for colour in sorted(colours)))
            colours = [digest_bytes(whole.encode(), colour.encode()) for colour in colours]
        else:
            colours = [self._recursive_digests.get(colour, colour) for colour in colours]
        hints: set[Hint] = set()
        notes: set[Note] = set()
        for node, digest in zip(component, colours, strict=True):
            node.digest, node.generation = digest, self._generation
        if recursive:  # an older twin of a reloaded function refers to the newer one
            self._recursive_digests.update((self._colour(node, {}, None), node.digest) for node in component)
        for node in component:
            if not _is_reactor(node.obj):
                hints.update(_as_conditional(hint) for hint in node.content.hints if hint.certain)
            notes |= node.content.notes
            for target in node.targets:
                if id(target) not in inside:
                    child = self._nodes[id(target)]
                    notes |= child.notes
                    if not _is_reactor(target) and node.content.kind is not NodeKind.MODULE:
                        hints.update(_as_conditional(hint) for hint in child.hints)
        shared_hints = frozenset(hints) if hints else _NOTHING
        shared_notes = frozenset(notes) if notes else _NOTHING
        for node in component:
            node.hints, node.notes, node.fingerprint = shared_hints, shared_notes, None
            self._record(node)

    def _colour(self, node: _DigestNode, inside: dict[int, int], colours: list[str] | None) -> str:
        """A node's digest, given those of its component so far (none: they look alike)."""
        parts = [node.content.local]
        for label, target in node.children:
            if type(target) is Leaf:
                parts.append(f"\0{label}={target.text}".encode())
            elif (index := inside.get(id(target))) is not None:
                parts.append(f"\0{label}~{colours[index] if colours else ''}".encode())
            else:
                parts.append(f"\0{label}:{self._nodes[id(target)].digest}".encode())
        return digest_bytes(*parts)

    def _record(self, node: _DigestNode) -> None:
        if node.content.attribute_digests:
            self._attribute_digests[node.digest] = node.content.attribute_digests
        if node.digest in self.records:
            return
        edges = {}
        for edge in node.content.edges:
            target = edge.target
            text = target.shown() if type(target) is Leaf else self._nodes[id(target)].digest
            edges[edge.label] = (edge.owner, edge.name, text)
        content = node.content
        self.records[node.digest] = CodeRecord(
            content.kind, content.name, digest_bytes(content.local), content.text, edges
        )


def _as_conditional(hint: Hint) -> Hint:
    """A hint as it counts for code that mentions this one: the call may depend on something."""
    return hint._replace(unconditional=False) if hint.unconditional else hint


def _is_reactor(obj: Any) -> bool:
    """Whether something is a reactor: code that mentions it does not send what it sends."""
    return type(obj) is FunctionType and "__pyplant_reactor__" in obj.__dict__


_current: ContextVar[Fingerprinter | None] = ContextVar("pyplant_fingerprinter", default=None)
"""What values are digested with; each thread has its own, since it notes where it stands."""


def use_fingerprinter(fingerprinter: Fingerprinter) -> None:
    """Digest values with this one in this thread, as in a worker: there it has a memo for code without text."""
    _current.set(fingerprinter)


def _fingerprinter() -> Fingerprinter:
    found = _current.get()
    if found is None:
        found = Fingerprinter()
        _current.set(found)
    return found


def fingerprint_of(obj: Callable[..., Any]) -> str:
    """The code fingerprint of a function or class, as it is now."""
    fingerprinter = _fingerprinter()
    fingerprinter.invalidate_values()  # not look_anew(): one pickle asks for many classes, one by one
    return fingerprinter.fingerprint(obj).digest


def digest_of(value: Any) -> str:
    """The digest of any value.

    Raises
    ------
    pyplant.errors.UndigestibleError
        If part of the value has no content that could be compared.
    """
    fingerprinter = _fingerprinter()
    fingerprinter.begin_generation()
    digest, notes = fingerprinter.digest(value)
    opaque = sorted(note.text for note in notes if note.kind == "opaque")
    if opaque:
        message = (
            f"A {type(value).__name__} cannot be digested: {', '.join(opaque)} has no comparable content."
        )
        raise UndigestibleError(message)
    return digest
