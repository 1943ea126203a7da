"""The functions that a fingerprint covers, with the names that their code refers to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, NamedTuple

from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.graph_node import GraphNode
from pyplant.fingerprint.origin import is_user_file

__all__ = ["CoveredFunction", "covered_functions"]


class CoveredFunction(NamedTuple):
    """A function that a fingerprint covers, and its node in the graph of code."""

    function: FunctionType
    node: GraphNode

    def references(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield the names that its code refers to.

        ``("g", ("np", "load"))`` is a global variable and what is read of it, ``("m", ("time", "sleep"))`` a module
        that is imported inside the function.
        """
        for edge in self.node.edges:
            kind, *names = edge.label.split(" ")
            if kind in ("g", "m"):
                yield kind, tuple(names)


def covered_functions(fingerprinter: Fingerprinter, root: Callable[..., Any]) -> list[CoveredFunction]:
    """Return the functions of users that the fingerprint of ``root`` covers."""
    return [
        CoveredFunction(obj, node)
        for obj, node in fingerprinter.nodes_below(root)
        if type(obj) is FunctionType and is_user_file(obj.__code__.co_filename)
    ]
