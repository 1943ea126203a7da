"""A function that a fingerprint covers, with the names that its code refers to."""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

from pyplant.fingerprint.graph_node import GraphNode

__all__ = ["CoveredFunction"]


class CoveredFunction(NamedTuple):
    """A function that a fingerprint covers, and its node in the graph of code."""

    function: FunctionType
    node: GraphNode

    def references(self) -> Iterator[tuple[Any, tuple[str, ...]]]:
        """Yield what its code refers to: an object, and the names that are read of it, as ``(numpy, ("load",))``.

        A module that is imported inside the function is given by its name.
        """
        function, node = self
        for edge in node.edges:
            kind, _, name = edge.label.partition(" ")
            head, *names = name.split(" ")
            if kind == "g":
                yield function.__globals__.get(head), tuple(names)
            elif kind == "m":
                yield head, tuple(names)
            elif kind == "closure":
                # Which attributes of a closure variable are read is not known, so each name in the code may be one.
                if type(edge.target) is ModuleType:
                    read = (name for name in function.__code__.co_names if name in vars(edge.target))
                    yield from ((edge.target, (name,)) for name in read)
                else:
                    yield edge.target, ()
