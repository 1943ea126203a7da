"""All that the engine asks of the run that it works for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from pyplant.engine.trace import DependencyKind, Trace
from pyplant.engine.verdict import Lookup, Unknown, Verdict

__all__ = ["EngineContext"]


class EngineContext(Protocol):
    """What the scheduler asks about reactors, and the rebuilder about everything but ingredients."""

    def check(self, key: str) -> Lookup | Verdict:
        """Start to look for a trace of a reactor that verifies, or return why none can."""

    def candidates(self, name: str) -> Iterator[str]:
        """Reactors that may send a name, the likeliest first."""

    def literal_senders(self, name: str) -> list[str]:
        """Reactors whose code names the ingredient they send."""

    def prefetchable(self, key: str) -> Iterable[str]:
        """Names that a reactor receives on every path, if they may be made before it asks for them."""

    def label(self, key: str) -> str:
        """Return the name of a reactor in messages."""

    def suggestions(self, name: str) -> str:
        """Return a sentence with similar names and the reactor that last sent the ingredient."""

    def runs_for_effect(self, trace: Trace) -> bool:
        """Return whether an execution had an effect for its user that its trace cannot reproduce."""

    def parameter(self, name: str) -> str | None:
        """Digest of a parameter, ``None`` if the configuration does not have it."""

    def is_auxiliary(self, name: str) -> bool:
        """Return whether a parameter is marked as auxiliary."""

    def subreactor(self, name: str) -> str | None:
        """Fingerprint of a subreactor, ``None`` if it no longer exists."""

    def outside(self, kind: DependencyKind, name: str) -> str | Unknown | None:
        """Digest of something outside the plant, such as a file; ``UNKNOWN`` if to compute it would take too long."""

    def manifest_changes(self, trace: Trace, name: str) -> Iterable[tuple[DependencyKind, str, str, str]]:
        """Return what changed since a manifest of a trace was made, with the old and new digest; perhaps not all."""
