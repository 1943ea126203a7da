"""Fingerprints: one digest for a function and everything that its code reaches.

Theory of operation
-------------------
Functions, classes, modules and the values that they name are the nodes of a directed graph
(:mod:`pyplant.fingerprint.code_graph`). Its digest is that of a Merkle graph: the digest of a node
covers its own content and the digests of the nodes that it refers to.

Code may be mutually recursive, so digests are computed per strongly connected component
(:mod:`pyplant.fingerprint.components`). In a component with a cycle, the nodes first get equal
colours, and each round hashes a node's content with the colours of its targets, until the number
of different colours stops growing (colour refinement, as in the Weisfeiler-Leman test). Each node's
digest then combines its colour with the colours of the whole component.

Sub-graphs are shared: 1,000 reactors over one library digest the library once.

Digests are valid for one *epoch*. An epoch ends when user code has run, since that may have changed any
value. In a new epoch a node is checked when it is next reached. For a function the check only compares
the identities of the objects that it names (:class:`~pyplant.fingerprint.graph_node.Watch`), so an
unchanged graph costs little. If a node did change, all digests belong to an old *generation* and are
computed again on demand. Nodes that no fingerprint reached since the previous run are dropped.

Each digest can be explained: a :class:`~pyplant.fingerprint.code_records.CodeRecord` keeps what it was
made of. Records are stored beside the traces, so a plant can tell which helper changed, and how,
long after the old text is gone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import CodeType, FunctionType, MappingProxyType
from typing import Any, Protocol

import pyplant.fingerprint.builtin_types  # noqa: F401 - registers encoders
from pyplant.engine.trace import Note
from pyplant.errors import UndigestibleError
from pyplant.fingerprint import assignments, origin
from pyplant.fingerprint.bytecode import code_digest
from pyplant.fingerprint.called_hints import is_reactor, with_doubts
from pyplant.fingerprint.code_graph import NodeBuilder
from pyplant.fingerprint.code_records import METADATA, CodeRecord, changed_names, changed_values
from pyplant.fingerprint.components import components
from pyplant.fingerprint.digest import digest_bytes, encode
from pyplant.fingerprint.digest_node import NOTHING, DigestNode, Fingerprint
from pyplant.fingerprint.graph_node import GraphNode, Leaf, NodeKind
from pyplant.fingerprint.hints import Hint, as_conditional
from pyplant.fingerprint.metadata import metadata_with_code, with_wrapped
from pyplant.fingerprint.past_values import PAST_VALUES
from pyplant.fingerprint.readers import names_in
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
    """A persistent cache of the parts of code objects, which saves reading their source."""

    def get_part(self, digest: str) -> CodePart | None:
        """Return the cached part of the code object with this digest, if any."""

    def put_part(self, digest: str, part: CodePart) -> None:
        """Cache a part."""


class Fingerprinter:
    """Computes fingerprints, and keeps the graph for the next one.

    Parameters
    ----------
    memo
        Cache for parts of code objects between sessions.
    sources
        The source texts of the session.
    versions
        The versions of installed packages that count besides the name, by package.

    Attributes
    ----------
    state
        Pairs of owner and name that are left out, since they change while reactors run.
    records
        The records of all digests computed so far.
    versions
        See above.
    """

    def __init__(
        self,
        memo: PartMemo | None = None,
        sources: Sources | None = None,
        versions: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.state: set[tuple[str, str]] = set()
        self.records: dict[str, CodeRecord] = {}
        self.versions = versions
        self._returned_records: set[str] = set()
        self._attribute_digests: dict[str, Mapping[str, str]] = {}
        self._memo = memo
        self._sources = sources or Sources()
        self.counts_metadata = True
        self._build_node = NodeBuilder(self._part, self.state, lambda package: versions.get(package, ""))
        self._nodes: dict[int, DigestNode] = {}  # by id: objects need not be hashable
        self._parts: dict[str, CodePart] = {}
        self._recursive_digests: dict[str, str] = {}
        self._replaced: dict[str, GraphNode] = {}  # since the run began, by digest
        self._epoch = 0
        self._kept_from_epoch = 0
        self._generation = 0
        self._followed = origin.generation(), assignments.refresh()

    def begin_generation(self) -> None:
        """End the epoch, and drop the nodes that no fingerprint reached since the last call.

        Otherwise values that were replaced in a session would live as long as the session.
        """
        kept = {ident: node for ident, node in self._nodes.items() if node.epoch >= self._kept_from_epoch}
        if len(kept) < len(self._nodes):
            self._nodes = kept
            self._generation += 1  # after an interrupt, a node that stays may refer to one that was dropped
        self._replaced.clear()
        self.invalidate_values()
        self._kept_from_epoch = self._epoch

    def invalidate_values(self) -> None:
        """End the epoch: any value, and the object behind any name, may have changed."""
        self._epoch += 1
        self._build_node.forget_values()
        if self._followed != (followed := (origin.generation(), assignments.refresh())):
            self._followed = followed  # other code is the user's now
            self._nodes.clear()

    def add_state(self, names: set[tuple[str, str]]) -> None:
        """Leave these pairs of owner and name out from now on."""
        if not names <= self.state:
            self.state |= names  # in place, since the node builder has the same set
            self._nodes.clear()
            self._build_node.forget_values()

    def keep_past_values(self, old: str, new: str) -> set[tuple[str, str]] | None:
        """Let what a reactor changed count as it was before.

        Parameters
        ----------
        old, new
            The fingerprints of the reactor before and after it ran.

        Returns
        -------
        names
            The owners and names of what changed; ``None`` if code changed.
        """
        changes = changed_values(old, new, self.records.get)
        if changes is None:
            return None
        names = {(change.owner, change.name) for change in changes}
        contents = {node.digest: node.content for node in self._nodes.values()} | self._replaced
        naming = [node for node in self._nodes.values() if names & names_in(node.content)]
        now = [(node.content, self._target_digests(node)) for node in naming]
        PAST_VALUES.keep(changes, contents, now, lambda obj: self._nodes[id(obj)].content)
        for node in naming:
            del self._nodes[id(node.obj)]  # to be built again, with the values from before
        self._epoch, self._generation = self._epoch + 1, self._generation + 1
        self._build_node.forget_values()
        return names

    def _target_digests(self, node: DigestNode) -> list[str]:
        """Return the digests of the targets of a node as its record has them."""
        return [
            target.shown() if type(target) is Leaf else self._nodes[id(target)].digest
            for _, target in node.children
        ]

    def changed_names(self, old: str, new: str) -> set[tuple[str, str]] | None:
        """Return the owners and names whose values differ between two fingerprints; ``None`` if code differs."""
        return changed_names(old, new, self.records.get, self._attribute_digests.get)

    def fingerprint(self, function: Callable[..., Any]) -> Fingerprint:
        """Return the present fingerprint of a function or class."""
        self._refresh(function)
        node = self._nodes[id(function)]
        if node.generation != self._generation:
            self._digest_from(node)
        if node.fingerprint is None or "subclasses" in node.reads:  # no watch tells of a new subclass
            hints = with_doubts(node, self._nodes)
            digest = self._with_metadata(node) if node.reads and self.counts_metadata else node.digest
            node.fingerprint = Fingerprint(digest, hints, node.notes)
        return node.fingerprint

    def with_present_values(self, function: Callable[..., Any]) -> tuple[str, dict[str, CodeRecord]]:
        """Return the fingerprint in which values that reactors changed count as they are now, and the records for it."""
        other = self._copy()
        with PAST_VALUES.ignored():
            return other.fingerprint(function).digest, other.records

    def _copy(self) -> Fingerprinter:
        other = Fingerprinter(self._memo, self._sources, self.versions)
        other.add_state(self.state)
        return other

    def _digest_of_class(self, cls: type) -> str:
        other = self._copy()
        other.counts_metadata = False  # which may lead back to the class
        return other.digest(cls)[0]

    def _with_metadata(self, root: DigestNode) -> str:
        """Return the digest of a node together with the names and docstrings that code below it may read."""
        # Helpers do not meet the function itself, so its own name counts only where its code reads it.
        own = [root.obj] if "name" in root.content.reads else list(with_wrapped(root.obj))
        found: dict[str, tuple[str, set[str]]] = {}
        for node in self._below(root):
            if node.content.kind is not NodeKind.VALUE:
                kinds = root.reads - {"name"} if any(node.obj is one for one in own) else root.reads
                for kind, text in metadata_with_code(node.obj, kinds, self._digest_of_class):
                    # By digest: neither renames nor the order in which code is found count.
                    label, name = f"{METADATA}{kind} {node.digest}", f"{kind} of {node.content.name}"
                    found.setdefault(label, (name, set()))[1].add(text)
        edges = {
            label: ("", name, Leaf("\n".join(sorted(texts))).shown())
            for label, (name, texts) in sorted(found.items())
        }
        digest = digest_bytes(
            root.digest.encode(), *(f"{label}{edges[label][2]}".encode() for label in edges)
        )
        record = self.records[root.digest]
        self.records.setdefault(digest, record._replace(edges=record.edges | edges))
        return digest

    def _below(self, root: DigestNode, seen: set[int] | None = None) -> Iterator[DigestNode]:
        """Yield a node and those that it reaches, except those seen, in an order that depends on content only."""
        seen, stack = set() if seen is None else seen, [root]
        seen.add(id(root.obj))
        while stack:
            node = stack.pop()
            yield node
            for _, target in reversed(node.children):
                if type(target) is not Leaf and id(target) not in seen:
                    seen.add(id(target))
                    stack.append(self._nodes[id(target)])

    def digest(self, value: Any) -> tuple[str, frozenset[Note]]:
        """Return the digest of any value; functions and classes in it count by their code."""
        encoding = encode(value, lambda code: self.fingerprint(code).digest)
        notes = {Note("opaque", text) for text in encoding.opaque}
        parts = [encoding.data]
        for target in encoding.edges:
            found = self.fingerprint(target)
            parts.append(found.digest.encode())
            notes |= found.notes
        return digest_bytes(*parts), frozenset(notes)

    def reaches(self, root: Callable[..., Any], obj: Any) -> bool:
        """Return whether the code of ``root``, or code that it reaches, names ``obj``."""
        self._refresh(root)
        return any(node.obj is obj for node in self._below(self._nodes[id(root)]))

    def edited_files(self, roots: Iterable[Callable[..., Any]]) -> set[str]:
        """Return the files of functions below ``roots`` that were edited after they were loaded."""
        codes = {node.obj.__code__ for node in self.all_below(roots) if type(node.obj) is FunctionType}
        return self._sources.edited_files(codes)

    def place_of(self, root: Callable[..., Any], note: Note) -> str:
        """Return the variable below ``root`` whose value, or a part of it, has a note, with its owner; ``""`` if it has no name."""
        self._refresh(root)
        places = {id(root): ""}
        for node in self._below(self._nodes[id(root)]):
            for edge in node.content.edges:
                place = f"{edge.owner}.{edge.name}" if edge.name else places.get(id(node.obj), "")
                if place and type(edge.target) is not Leaf:
                    places.setdefault(id(edge.target), place)
                    if note in self._nodes[id(edge.target)].content.notes:
                        return place
        return ""

    def all_below(self, roots: Iterable[Callable[..., Any]]) -> Iterator[DigestNode]:
        """Yield the nodes that the fingerprints of these functions cover, each once."""
        seen: set[int] = set()
        for root in roots:
            self._refresh(root)
            if id(root) not in seen:
                yield from self._below(self._nodes[id(root)], seen)

    def nodes_below(self, root: Any) -> Iterator[tuple[Any, GraphNode]]:
        """Yield the objects that the fingerprint of ``root`` covers, with their nodes."""
        for node in self.all_below([root]):
            yield node.obj, node.content

    def gather(
        self, root: Callable[..., Any], find: Callable[[Any, GraphNode], Mapping[int, Any]]
    ) -> Mapping[int, Any]:
        """Return what ``find`` finds in the nodes that the fingerprint of ``root`` covers.

        It is asked once for each node with one content, and what it finds is shared as digests are, so all calls must pass
        the same function.

        Parameters
        ----------
        root
            A function or class.
        find
            Takes the object of a node and the node; returns what it finds by identity.
        """
        self.fingerprint(root)
        top = self._nodes[id(root)]
        for component in components(top, self._unsearched_children) if top.found is None else ():
            found: dict[int, Any] = {}
            for node in component:
                found |= find(node.obj, node.content)
                for target in node.targets:
                    found |= self._nodes[id(target)].found or {}
            for node in component:
                node.found = found
        return top.found or {}

    def _unsearched_children(self, node: DigestNode) -> Iterator[DigestNode]:
        children = (self._nodes[id(target)] for target in node.targets)
        return (child for child in children if child.found is None)

    def store_parts(self) -> bool:
        """Store the parts of code that the persistent cache has lost; return whether there were any."""
        if self._memo is None:
            return False
        lost = [key for key, part in self._parts.items() if self._memo.get_part(key) != part]
        for key in lost:
            self._memo.put_part(key, self._parts[key])
        return bool(lost)

    def records_below(self, digest: str, known: Collection[str] = ()) -> dict[str, CodeRecord]:
        """Return the records that tell what a digest was made of, without those below ``known`` digests."""
        found: dict[str, CodeRecord] = {}
        stack = [digest]
        while stack:
            current = stack.pop()
            record = self.records.get(current)
            if record is not None and current not in found and current not in known:
                found[current] = record
                stack.extend(edge[2] for edge in record.edges.values())
        return found

    def new_records(self, digest: str) -> dict[str, CodeRecord]:
        """Return the records below a digest that no earlier call returned."""
        found = self.records_below(digest, self._returned_records)
        self._returned_records.update(found)
        return found

    # ------------------------------------------------------------------ the graph

    def _refresh(self, root: Any) -> None:
        """Add new nodes below ``root``, and check the nodes that were last checked in an earlier epoch."""
        nodes, epoch, stack = self._nodes, self._epoch, [root]
        while stack:
            obj = stack.pop()
            node = nodes.get(id(obj))
            if node is None or (node.epoch != epoch and not node.is_unchanged()):
                if node is not None:
                    self._generation += 1
                    self._replaced.setdefault(node.digest, node.content)
                node = nodes[id(obj)] = DigestNode(obj, self._build_node(obj), epoch)
            elif node.epoch == epoch:
                continue
            node.epoch = epoch
            stack += node.targets

    def _part(self, code: CodeType, namespace: dict[str, Any]) -> CodePart:
        # By the digest of the code, so that equal code in another file or session shares its part.
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

    def _digest_from(self, root: DigestNode) -> None:
        for component in components(root, self._undigested_children):
            self._digest_component(component)

    def _undigested_children(self, node: DigestNode) -> Iterator[DigestNode]:
        """Yield the nodes that a node refers to and that have no valid digest."""
        for _, target in node.children:
            if type(target) is not Leaf:
                child = self._nodes[id(target)]
                if child.generation != self._generation:
                    yield child

    def _digest_component(self, component: list[DigestNode]) -> None:
        inside = {id(node.obj): index for index, node in enumerate(component)}
        colours = [self._colour(node, inside, None) for node in component]
        # A component of one node is a cycle only if the node refers to itself.
        recursive = any(id(target) in inside for node in component for target in node.targets)
        if recursive:
            classes = 0  # of nodes that look alike; each round can only split classes
            while len(set(colours)) > classes:
                classes = len(set(colours))
                colours = [self._colour(node, inside, colours) for node in component]
            # Sorted, since the order of the component depends on where the walk began.
            whole = digest_bytes(*(colour.encode() for colour in sorted(colours)))
            colours = [digest_bytes(whole.encode(), colour.encode()) for colour in colours]
        else:
            colours = [self._recursive_digests.get(colour, colour) for colour in colours]
        # All nodes of a cycle reach the same code, so they share one set of hints and one of notes.
        hints: set[Hint] = set()
        notes: set[Note] = set()
        reads: set[str] = set()
        for node, digest in zip(component, colours, strict=True):
            node.digest, node.generation = digest, self._generation
        if recursive:
            # After a reload, an old copy of a recursive function may still be in use. It calls the new copy by
            # name, so it is not part of a cycle. It has this colour and must have the digest of the new copy.
            self._recursive_digests.update((self._colour(node, {}, None), node.digest) for node in component)
        # Certain hints pass from code to its callers, but not out of a reactor, or of a module used as a value:
        # code that mentions a reactor does not send what the reactor sends.
        for node in component:
            if not is_reactor(node.obj):
                hints.update(as_conditional(hint) for hint in node.content.hints if hint.certain)
            notes |= node.content.notes
            reads |= node.content.reads
            for target in node.targets:
                if id(target) not in inside:
                    child = self._nodes[id(target)]
                    notes |= child.notes
                    reads |= child.reads
                    if not is_reactor(target) and node.content.kind is not NodeKind.MODULE:
                        hints.update(as_conditional(hint) for hint in child.hints)
        shared_hints = frozenset(hints) if hints else NOTHING
        shared_notes = frozenset(notes) if notes else NOTHING
        shared_reads = frozenset(reads) if reads else NOTHING
        for node in component:
            node.hints, node.notes, node.reads = shared_hints, shared_notes, shared_reads
            node.fingerprint = node.found = None
            self._record(node)

    def _colour(self, node: DigestNode, inside: dict[int, int], colours: list[str] | None) -> str:
        """Hash a node's content with the colours of its component and the digests of its other targets."""
        parts = [node.content.local]
        for label, target in node.children:
            if type(target) is Leaf:
                parts.append(f"\0{label}={target.text}".encode())
            elif (index := inside.get(id(target))) is not None:
                parts.append(f"\0{label}~{colours[index] if colours else ''}".encode())
            else:
                parts.append(f"\0{label}:{self._nodes[id(target)].digest}".encode())
        return digest_bytes(*parts)

    def _record(self, node: DigestNode) -> None:
        """Keep what a digest was made of."""
        if node.content.attribute_digests:
            self._attribute_digests[node.digest] = node.content.attribute_digests
        if node.digest in self.records:
            return  # equal content was recorded before
        edges = {}
        for edge in node.content.edges:
            target = edge.target
            text = target.shown() if type(target) is Leaf else self._nodes[id(target)].digest
            edges[edge.label] = (edge.owner, edge.name, text)
        content = node.content
        # With the names in the text, which may make the digest differ where the numbers for them do not.
        names = (edge.label.encode() for edge in content.edges if edge.key)
        self.records[node.digest] = CodeRecord(
            content.kind, content.name, digest_bytes(content.local, *names), content.text, edges
        )


_current = threading.local()
"""The fingerprinter of each thread; no context variable, since threads may copy the context of another one."""


def use_fingerprinter(fingerprinter: Fingerprinter) -> None:
    """Digest values of this thread with this fingerprinter.

    A worker has code without source, and its fingerprinter has a memo for that.
    """
    _current.fingerprinter = fingerprinter


def _fingerprinter() -> Fingerprinter:
    found: Fingerprinter | None = getattr(_current, "fingerprinter", None)
    if found is None:
        found = _current.fingerprinter = Fingerprinter()
    return found


def fingerprint_of(obj: Callable[..., Any]) -> str:
    """Return the present digest of the code of a function or class."""
    fingerprinter = _fingerprinter()
    # Not begin_generation(): one pickle asks for many classes, one by one, which share most of the graph.
    fingerprinter.invalidate_values()
    return fingerprinter.fingerprint(obj).digest


def digest_of(value: Any) -> str:
    """Return the digest of any value.

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
