"""The functions that a fingerprint covers, with the names that their code refers to."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.origin import is_user_file

__all__ = ["CoveredFunction", "covered_functions"]


class CoveredFunction(NamedTuple):
    """A function that a fingerprint covers.

    Attributes
    ----------
    function
        The function.
    references
        The names that its code refers to: ``("g", ("np", "load"))`` for a global variable and what is read of it,
        ``("m", ("time", "sleep"))`` for a module that is imported inside it.
    text
        Its source.
    """

    function: FunctionType
    references: tuple[tuple[str, tuple[str, ...]], ...]
    text: str


def covered_functions(fingerprinter: Fingerprinter, root: Callable[..., Any]) -> list[CoveredFunction]:
    """Return the functions of users that the fingerprint of ``root`` covers."""
    found: list[CoveredFunction] = []
    for obj, node in fingerprinter.nodes_below(root):
        if type(obj) is FunctionType and is_user_file(obj.__code__.co_filename):
            labels = [edge.label.split(" ") for edge in node.edges]
            references = tuple((kind, tuple(names)) for kind, *names in labels if kind in ("g", "m"))
            found.append(CoveredFunction(obj, references, node.text))
    return found
