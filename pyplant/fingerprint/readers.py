"""Which functions lead to code that refers to a name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from pyplant.fingerprint.digest_node import DigestNode
from pyplant.fingerprint.graph_node import GraphNode

__all__ = ["names_in", "readers"]

_Name = tuple[str, str]  # of its owner, and its own


def names_in(content: GraphNode) -> set[_Name]:
    """Return the owners and names of what a node refers to."""
    return {(edge.owner, edge.name) for edge in content.edges}


def readers(
    names: Collection[_Name], functions: Mapping[str, Callable[..., Any]], nodes: Collection[DigestNode]
) -> dict[_Name, list[str]]:
    """Return the keys of the functions that lead to code which refers to each name.

    Parameters
    ----------
    names
        Pairs of owner and name.
    functions
        The functions by key.
    nodes
        All nodes below the functions.
    """
    # From the names upwards: each node is met once, however many functions share it.
    reached: dict[_Name, set[int]] = {name: set() for name in names}
    parents: dict[int, list[int]] = {}
    for node in nodes:
        ident = id(node.obj)
        for name in reached.keys() & names_in(node.content):
            reached[name].add(ident)
        for target in node.targets:
            parents.setdefault(id(target), []).append(ident)
    found: dict[_Name, list[str]] = {}
    for name, above in reached.items():
        stack = list(above)
        while stack:
            new = [ident for ident in parents.get(stack.pop(), ()) if ident not in above]
            above.update(new)
            stack += new
        found[name] = [key for key, function in functions.items() if id(function) in above]
    return found
