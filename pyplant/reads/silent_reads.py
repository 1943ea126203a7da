"""The functions below a reactor whose code may read what no event tells of: paths in C, the clock, random numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import CodeType, MappingProxyType
from typing import Any, NamedTuple

from pyplant.fingerprint.covered_function import CoveredFunction
from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.graph_node import GraphNode
from pyplant.fingerprint.origin import is_users_function
from pyplant.reads.function_caches import is_cached_function
from pyplant.reads.kept_reads import reads_kept_for
from pyplant.reads.late_imports import may_import
from pyplant.reads.mentions import may_mention, may_open_in_c
from pyplant.reads.unrepeatable import may_be_unrepeatable

__all__ = ["SilentReads", "silent_reads"]


class SilentReads(NamedTuple):
    """The functions below a reactor that may read without an event.

    Attributes
    ----------
    functions
        These functions.
    below
        All functions of the user below the reactor, if one of them may open files in C.
    cached
        The fingerprints of the functions below the reactor whose results are cached.
    kept
        Returns the reads of earlier executions whose results code below the reactor has kept until then.
    """

    functions: Sequence[CoveredFunction] = ()
    below: Sequence[CoveredFunction] = ()
    cached: Mapping[Any, str] = MappingProxyType({})
    kept: Callable[[], Mapping[Any, Any]] = dict


def silent_reads(fingerprinter: Fingerprinter, reactor: Callable[..., Any]) -> SilentReads:
    """Return the functions that the fingerprint of a reactor covers and that may read without an event."""
    # By their place: recorded reads have an order.
    gathered = fingerprinter.gather(reactor, _found_in).values()
    found = sorted((item for item in gathered if not is_cached_function(item)), key=_position)
    functions = sorted((item for item in gathered if is_cached_function(item)), key=_place_of_cached)
    cached = {function: fingerprinter.fingerprint(function.__wrapped__).digest for function in functions}
    kept = partial(_kept, fingerprinter, reactor)
    if not any(may_open_in_c(covered.function) for covered in found):
        return SilentReads(found, (), cached, kept)
    below = (CoveredFunction(obj, node) for obj, node in fingerprinter.nodes_below(reactor))
    users = sorted((covered for covered in below if is_users_function(covered.function)), key=_position)
    return SilentReads(found, users, cached, kept)


def _kept(fingerprinter: Fingerprinter, reactor: Callable[..., Any]) -> Mapping[Any, Any]:
    return reads_kept_for(obj for obj, _ in fingerprinter.nodes_below(reactor))


def _found_in(obj: Any, node: GraphNode) -> Mapping[int, Any]:
    if is_cached_function(obj):
        return {id(obj): obj}
    if not is_users_function(obj):
        return {}
    covered = CoveredFunction(obj, node)
    is_silent = may_mention(obj) or may_be_unrepeatable(covered) or may_import(covered)
    return {id(obj): covered} if is_silent else {}


def _position(covered: CoveredFunction) -> tuple[str, int, str]:
    return _place(covered.function.__code__)


def _place_of_cached(function: Any) -> tuple[str, int, str]:
    return _place(function.__wrapped__.__code__)


def _place(code: CodeType) -> tuple[str, int, str]:
    return code.co_filename, code.co_firstlineno, code.co_qualname
