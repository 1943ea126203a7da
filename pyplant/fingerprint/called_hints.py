"""Which hints of a reactor come from methods that its code may call.

A reactor reaches whole classes, with methods that it never calls. What such a method sends, the reactor does not. A
method counts as called if code that counts mentions its name; special methods always do, and if code uses
``getattr``, all do. Libraries may call others (callbacks), so their hints are no dead end: what they send is tried if no other
reactor sends it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import FunctionType

from pyplant.fingerprint.bytecode import nested
from pyplant.fingerprint.digest_node import DigestNode
from pyplant.fingerprint.graph_node import Leaf, NodeKind
from pyplant.fingerprint.hints import SENDING, Hint, NameKind

__all__ = ["is_reactor", "with_doubts"]

_MEMBER = "member "


def with_doubts(root: DigestNode, nodes: Mapping[int, DigestNode]) -> frozenset[Hint]:
    """Return the hints of a reactor; names that only uncalled methods send are possible, and not certain.

    Parameters
    ----------
    root
        The node of the reactor.
    nodes
        The nodes by the identity of their objects.
    """
    own, below = root.content.hints, root.hints
    if below <= own:
        return own  # not an equal set, since a big plant keeps one for each reactor
    hints, foreign = own | below, below - own
    if not any(hint.method in SENDING or hint.method == "receive" for hint in foreign):
        return hints
    called = own | frozenset(_called(root, nodes))
    return frozenset(doubted for hint in hints for doubted in ([hint] if hint in called else _doubted(hint)))


def _doubted(hint: Hint) -> Iterator[Hint]:
    if hint.method not in SENDING:
        yield from () if hint.method == "receive" else (hint,)
    elif hint.kind is NameKind.LITERAL:
        yield hint._replace(kind=NameKind.PATTERN)
    else:
        yield hint


def _called(root: DigestNode, nodes: Mapping[int, DigestNode]) -> Iterator[Hint]:
    """Yield the hints of the code that a reactor reaches without methods that nothing mentions."""
    mentioned: set[str] = set()
    waiting: dict[str, list[DigestNode]] = {}  # methods, by name, that nothing has mentioned yet
    seen: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if id(node.obj) in seen or (node is not root and is_reactor(node.obj)):
            continue
        seen.add(id(node.obj))
        yield from (hint._replace(unconditional=False) for hint in node.content.hints if hint.certain)
        if type(node.obj) is FunctionType:
            mentioned.update(name for code in nested(node.obj.__code__) for name in code.co_names)
            ready = list(waiting) if "getattr" in mentioned else mentioned & waiting.keys()
            stack += [method for name in ready for method in waiting.pop(name)]
        if node.content.kind is NodeKind.MODULE:
            continue
        for edge in node.content.edges:
            if type(edge.target) is Leaf:
                continue
            target = nodes[id(edge.target)]
            name = edge.label.removeprefix(_MEMBER)
            is_method = node.content.kind is NodeKind.CLASS and name != edge.label
            if is_method and not (name in mentioned or "getattr" in mentioned or name.startswith("__")):
                waiting.setdefault(name, []).append(target)
            else:
                stack.append(target)


def is_reactor(obj: object) -> bool:
    """Return whether an object is a reactor."""
    return type(obj) is FunctionType and "__pyplant_reactor__" in obj.__dict__
