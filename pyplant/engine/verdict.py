"""Verdicts: what a look-up finds, a trace that verifies or the reasons why there is none."""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum
from typing import NamedTuple

from pyplant.engine.trace import Trace

__all__ = ["UNKNOWN", "Answer", "Lookup", "Reason", "ReasonKind", "Unknown", "Verdict"]


class ReasonKind(Enum):
    """Why a reactor runs."""

    NEW = "never ran"
    CODE = "code changed"
    PARAMETER = "parameter changed"
    ABSENCE = "parameter added"
    AUXILIARY = "parameter counts again"
    INPUT = "input changed"
    INPUT_UNKNOWN = "input may change"
    FILE = "file changed"
    SOURCE = "module changed"
    TOUCHED = "file may have changed"
    LISTING = "folder changed"
    PATTERN = "matching files changed"
    EXISTENCE = "path added or removed"
    STATUS = "file touched"
    TARGET = "link changed"
    ENVIRONMENT = "environment changed"
    WORKING_DIRECTORY = "working directory changed"
    MANIFEST = "files changed"
    SUBREACTOR = "subreactor changed"
    EVICTED = "result is no longer stored"
    FORCED = "forced"
    FORGOTTEN = "invalidated"
    UNCACHED = "not cached"
    NO_OUTPUT = "sends nothing"


class Reason(NamedTuple):
    """One reason to run.

    Attributes
    ----------
    kind
        What sort of change it is.
    name
        The parameter, ingredient, file, subreactor or reactor concerned.
    old, new
        The digests compared; empty if there is none.
    trace
        The stored trace that matched furthest.
    """

    kind: ReasonKind
    name: str = ""
    old: str = ""
    new: str = ""
    trace: Trace | None = None


class Unknown(Enum):
    """The type of :data:`UNKNOWN`."""

    UNKNOWN = "unknown"

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown.UNKNOWN
"""A digest that is not known: of an ingredient before a run, or of a large file; used by dry look-ups."""

Answer = tuple["str | Unknown | None", ...]
"""Digests that answer a question; ``None`` for a name that no reactor sends."""

Lookup = Generator[tuple[str, ...], Answer, "Verdict"]
"""A look-up in progress: it yields names of ingredients, is sent their digests and returns a verdict."""


class Verdict(NamedTuple):
    """The outcome of a look-up.

    Attributes
    ----------
    trace
        The newest stored trace that verifies, or ``None``.
    reasons
        Why no trace verifies.
    certain
        Whether the verdict is independent of what else runs; only dry look-ups are uncertain.
        An uncertain verdict with a trace means that a newer trace may verify after a run, which
        depends on the ingredients that the reasons name.
    """

    trace: Trace | None
    reasons: tuple[Reason, ...] = ()
    certain: bool = True
