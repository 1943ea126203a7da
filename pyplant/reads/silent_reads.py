"""The functions below a reactor whose code may read what no event tells of: paths in C, the clock, random numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyplant.fingerprint.covered_function import CoveredFunction
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.graph_node import GraphNode
from pyplant.fingerprint.origin import is_users_function
from pyplant.reads.late_imports import may_import
from pyplant.reads.mentions import may_mention
from pyplant.reads.unrepeatable import may_be_unrepeatable

__all__ = ["functions_with_silent_reads"]


def functions_with_silent_reads(
    fingerprinter: Fingerprinter, reactor: Callable[..., Any]
) -> list[CoveredFunction]:
    """Return the functions that the fingerprint of a reactor covers and that may read without an event."""
    found = fingerprinter.gather(reactor, _found_in)
    return sorted(found.values(), key=_position)  # by their place: recorded reads have an order


def _found_in(obj: Any, node: GraphNode) -> Mapping[int, CoveredFunction]:
    if not is_users_function(obj):
        return {}
    covered = CoveredFunction(obj, node)
    is_silent = may_mention(obj) or may_be_unrepeatable(covered) or may_import(obj)
    return {id(obj): covered} if is_silent else {}


def _position(covered: CoveredFunction) -> tuple[str, int, str]:
    code = covered.function.__code__
    return code.co_filename, code.co_firstlineno, code.co_qualname
