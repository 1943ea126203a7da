"""The state of one reactor in the graph: from its judged entry, changed by events."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from pyplant._formatting import clean
from pyplant.reports.report import Outcome, ReactorEntry

__all__ = ["BUSY", "IDLE", "MAX_TEXT", "NodeState"]

MAX_TEXT = 200
"""Characters of a text about a reactor."""
BUSY = frozenset({Outcome.RUNNING, Outcome.WAITING})
"""Outcomes of reactors that a run executes."""
IDLE = frozenset({Outcome.NEW, Outcome.STALE, Outcome.FAILED, Outcome.UNCACHED})
"""Outcomes of reactors that a run has not executed."""
_MAX_LOOPS = 4  # of one reactor


class NodeState:
    """The state of one reactor.

    Attributes
    ----------
    entry
        Its entry when staleness was last judged.
    outcome
        Its present outcome.
    seconds, size, finished
        Figures of its last kept execution.
    since
        When its present state began. For a running reactor it is moved forward by the time that the
        reactor waited, so that the time since then is its own.
    failed_at
        When it failed last; 0 if it has not failed.
    missing
        Ingredients that it needs, and that no reactor sends.
    is_orphan, is_kept
        Whether its cell was deleted, and whether only the plant knows it.
    loops
        The last reports of ``pipe.progress``, by description.
    text
        Which process computes it, what it waits for, or how it failed.
    worker
        The worker process that executes it; ``""`` if this process does.
    """

    __slots__ = (
        "_cached_data",
        "_change",
        "_elapsed",
        "_sent",
        "entry",
        "failed_at",
        "finished",
        "is_kept",
        "is_orphan",
        "loops",
        "missing",
        "outcome",
        "seconds",
        "since",
        "size",
        "text",
        "worker",
    )

    def __init__(
        self,
        entry: ReactorEntry,
        failed_at: float = 0.0,
        missing: tuple[str, ...] = (),
        *,
        is_orphan: bool = False,
        is_kept: bool = False,
    ) -> None:
        self.entry = entry
        self.is_kept = is_kept
        self.is_orphan = is_orphan
        self.missing = missing
        self.failed_at = failed_at
        self.seconds = entry.seconds
        self.size = entry.size
        self.finished = entry.finished
        self._sent: dict[str, tuple[str, int]] = {}
        self._elapsed = 0.0
        # Events change a node while the sending thread reads it, and take no lock. So each change ends with a new
        # token, and the data that were made before are not used with it.
        self._change = object()
        self._cached_data: tuple[object, dict[str, Any]] = None, {}
        problem = f"no sender of {', '.join(missing)}" if missing else ""
        self.set_idle(entry.outcome, entry.error or problem)

    def set_idle(self, outcome: Outcome, text: str = "") -> None:
        """Set an outcome in which the reactor is neither running nor waiting."""
        self.outcome = outcome
        self.text = text
        self.worker = ""
        self.since = 0.0
        self.loops: dict[str, tuple[int, int | None]] = {}
        self._change = object()

    def runs_elsewhere(self, owner: str, since: float) -> None:
        """Show that another process executes the reactor."""
        self.outcome, self.text, self.since = Outcome.RUNNING, f"in {owner}", since
        self._change = object()

    def start(self) -> None:
        """Handle the start of an execution."""
        self.set_idle(Outcome.RUNNING)
        self._elapsed = 0.0
        self._sent = {}
        self.since = time.time()
        self._change = object()

    def assign(self, worker: str) -> None:
        """Note the worker that executes the reactor."""
        self.worker = worker
        self._change = object()

    def wait(self, text: str, since: float) -> None:
        """Handle a pause: the reactor waits for ingredients, or another process computes it."""
        if self.outcome is Outcome.RUNNING:  # else it waits already, for another reason
            self._elapsed = time.time() - self.since
        self.outcome, self.text, self.since = Outcome.WAITING, text, since
        self._change = object()

    def resume(self) -> None:
        """Handle the end of a pause."""
        self.outcome, self.text, self.since = Outcome.RUNNING, "", time.time() - self._elapsed
        self._change = object()

    def finish(self, seconds: float, *, kept: bool) -> None:
        """Handle the end of an execution."""
        # What the reactor sent counts only now: until it has finished, the figures are those of the kept execution.
        self.set_idle(Outcome.RAN, "" if kept else "not kept")
        self.seconds, self.finished = seconds, time.time()
        self.size = sum(size for _, size in self._sent.values())
        self._change = object()

    def fail(self, text: str) -> None:
        """Handle a failure."""
        self.failed_at = time.time()
        self.set_idle(Outcome.FAILED, text)

    def sent(self, name: str, form: str, size: int) -> None:
        """Add a sent ingredient; it counts when the reactor finishes."""
        self._sent[name] = form, size

    def advance(self, description: str, done: int, total: int | None) -> None:
        """Handle the progress of a loop; of too many loops one that has ended is dropped, else the newest."""
        if description not in self.loops and len(self.loops) == _MAX_LOOPS:
            ended = (text for text, loop in self.loops.items() if loop[0] == loop[1])
            del self.loops[next(ended, next(reversed(self.loops)))]
        self.loops[description] = done, total
        self._change = object()

    def _loops(self) -> list[list[Any]]:
        """Return the loops, the most informative first: unfinished, of known length, outermost."""
        loops = [
            [clean(str(text))[:MAX_TEXT], done, None if total is None else int(total)]
            for text, (done, total) in tuple(self.loops.items())  # a copy: events add loops meanwhile
        ]
        return sorted(loops, key=lambda loop: (loop[1] == loop[2], loop[2] is None))

    def data(self) -> dict[str, Any]:
        """Return the node of a snapshot. It is cached and shared between snapshots: do not change it."""
        # Most nodes do not change between two snapshots, and there may be thousands.
        change = self._change  # before the items are read, any of which may change meanwhile
        cached, data = self._cached_data
        if cached is not change:
            data = dict(self._items())
            self._cached_data = change, data
        return data

    def _items(self) -> Iterable[tuple[str, Any]]:
        is_busy = self.outcome in BUSY
        yield "o", self.outcome.value
        if not self.entry.certain and self.outcome is self.entry.outcome:
            yield "sure", False
        if self.seconds:
            yield "s", self.seconds  # the front end rounds it, once, as reports do
        if self.size:
            yield "b", self.size
        if self.finished:
            yield "f", round(self.finished)
        if is_busy:
            yield "t", round(self.since, 2)
        if is_busy and self.finished:
            yield "e", self.seconds
        if self.worker and self.outcome is Outcome.RUNNING:
            yield "h", clean(self.worker)[:MAX_TEXT]
        if self.loops:
            yield "p", self._loops()
        if self.is_kept:
            yield "kept", True
        if self.missing and self.outcome in IDLE:
            yield "lost", True
        if self.text:
            yield "w", clean(self.text)[:MAX_TEXT]
        if self.outcome is Outcome.FAILED and self.failed_at:
            yield "x", round(self.failed_at)
        if self.outcome is Outcome.RAN and self._sent:
            yield "q", [[clean(name), form, size] for name, (form, size) in self._sent.items()]
