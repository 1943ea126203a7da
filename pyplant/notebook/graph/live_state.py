"""How reactors stand while they run: told by events, kept in memory, handed out in snapshots.

Rules:

- Taking an event costs a few microseconds: a look-up and an assignment. No plant lock, no
  disk, no judging.
- A snapshot is numbered and full, never a difference: the Jupyter server drops messages
  when a cell prints too much, and the next snapshot then makes up for it.
- There are at most ten snapshots a second, and fewer where they would take more than a
  hundredth of the time. The first leaves at once, in the thread of the event, since the
  reactor that has just begun may hold the interpreter for minutes. What comes within a
  tenth of a second is sent at its end by a thread that sleeps when nothing happens. Half a
  second after a run there is one more, for what a flood may have swallowed.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from pyplant._formatting import clean
from pyplant.errors import logger
from pyplant.events import (
    Event,
    IngredientSent,
    ProgressAdvanced,
    ReactorBlocked,
    ReactorCached,
    ReactorFailed,
    ReactorFinished,
    ReactorResumed,
    ReactorStarted,
    ReactorWaiting,
    RunFinished,
    RunStarted,
)
from pyplant.reports.report import Outcome, ReactorEntry, RunReport, summary

__all__ = ["LiveState", "NodeState"]

_PERIOD = 0.1  # seconds between snapshots
_SHARE = 100  # times as long as a snapshot takes there is none
_AFTERWARDS = 0.5  # seconds from the end of a run to the last one
_MOST_LOOPS = 4
_LONGEST = 200  # characters of a text about a reactor
_BUSY = frozenset({Outcome.RUNNING, Outcome.WAITING})

Publish = Callable[[dict[str, Any]], None]


class NodeState:
    """How one reactor stands.

    Attributes
    ----------
    entry
        How it stood when that was last judged.
    outcome
        How it stands now.
    seconds, size, finished
        Of its last kept execution.
    since
        When its present state began; of a running one so that the time since then is its
        own, without the time that it waited.
    loops
        What ``pipe.progress`` said last, by description.
    text
        Who computes it, what it waits for, how it failed.
    """

    __slots__ = (
        "_data",
        "_own",
        "_sent",
        "entry",
        "finished",
        "loops",
        "outcome",
        "seconds",
        "since",
        "size",
        "text",
    )

    def __init__(self, entry: ReactorEntry) -> None:
        self.entry = entry
        self.seconds = entry.seconds
        self.size = entry.size
        self.finished = entry.finished
        self._sent: dict[str, int] = {}
        self._own = 0.0
        self.rest(entry.outcome, entry.error)

    def rest(self, outcome: Outcome, text: str = "") -> None:
        """It does nothing now."""
        self.outcome = outcome
        self.text = text
        self.since = 0.0
        self.loops: dict[str, tuple[int, int | None]] = {}
        self._data: dict[str, Any] | None = None

    def start(self) -> None:
        """It begins to execute."""
        self.rest(Outcome.RUNNING)
        self._own = 0.0
        self._sent = {}
        self.since = time.time()

    def wait(self, text: str, since: float) -> None:
        """It sleeps, or another process computes it."""
        if self.outcome is Outcome.RUNNING:
            self._own = time.time() - self.since
        self.outcome, self.text, self.since, self._data = Outcome.WAITING, text, since, None

    def resume(self) -> None:
        """It goes on."""
        self.outcome, self.text, self.since, self._data = Outcome.RUNNING, "", time.time() - self._own, None

    def finish(self, seconds: float, *, kept: bool) -> None:
        """It has executed."""
        self.rest(Outcome.RAN, "" if kept else "not kept")
        self.seconds, self.finished = seconds, time.time()
        self.size = sum(self._sent.values())

    def sent(self, name: str, size: int) -> None:
        """It has sent an ingredient; that shows when it finishes."""
        self._sent[name] = size

    def advance(self, description: str, done: int, total: int | None) -> None:
        """A loop goes on."""
        if description not in self.loops and len(self.loops) == _MOST_LOOPS:
            ended = (text for text, loop in self.loops.items() if loop[0] == loop[1])
            del self.loops[next(ended, next(reversed(self.loops)))]
        self.loops[description] = done, total
        self._data = None

    def _loops(self) -> list[list[Any]]:
        """Those first that tell most: not ended yet, of known length, the outermost."""
        loops = [
            [clean(str(text))[:_LONGEST], done, None if total is None else int(total)]
            for text, (done, total) in self.loops.items()
        ]
        return sorted(loops, key=lambda loop: (loop[1] == loop[2], loop[2] is None))

    def data(self) -> dict[str, Any]:
        """It, as it is sent; what says nothing is left out. The result is shared: leave it as it is."""
        data = self._data
        if data is None:
            data = self._data = dict(self._items())
        return data

    def _items(self) -> Iterable[tuple[str, Any]]:
        is_busy = self.outcome in _BUSY
        yield "o", self.outcome.value
        if not self.entry.certain and self.outcome is self.entry.outcome:
            yield "sure", False
        if self.seconds:
            yield "s", float(f"{self.seconds:.4g}")
        if self.size:
            yield "b", self.size
        if self.finished:
            yield "f", round(self.finished)
        if is_busy:
            yield "t", round(self.since, 2)
        if is_busy and self.finished:
            yield "e", float(f"{self.seconds:.4g}")
        if self.loops:
            yield "p", self._loops()
        if self.text:
            yield "w", clean(self.text)[:_LONGEST]


class LiveState:
    """A listener of one plant, from the first widget to the last.

    Parameters
    ----------
    publish
        Takes what is to be sent, by the name of the trait. It is called by one thread at a
        time: the one of an event, or our own.
    began
        Called when a run begins, in its thread.
    ended
        Called with the report when a run has ended, in its thread.

    Attributes
    ----------
    run
        The number of the run that is under way.
    checked
        Whether staleness was judged since something may have changed.
    is_asked
        Whether a snapshot is due.
    """

    def __init__(
        self, publish: Publish, began: Callable[[], None], ended: Callable[[RunReport], None]
    ) -> None:
        self.run: int | None = None
        self.checked = True
        self._version = 0
        self._nodes: dict[str, NodeState] = {}
        self._named: dict[str, NodeState] = {}
        self._publish = publish
        self._began = began
        self._ended = ended
        self._runs = 0
        self._target = ""
        self._seq = 0
        self._handlers: dict[type, Callable[[Any], bool]] = {
            RunStarted: self._on_run,
            RunFinished: self._on_end,
            ReactorStarted: self._on_start,
            ReactorBlocked: self._on_block,
            ReactorWaiting: self._on_wait,
            ReactorResumed: self._on_resume,
            ReactorCached: self._on_cached,
            ReactorFinished: self._on_finish,
            ReactorFailed: self._on_failure,
            IngredientSent: self._on_sent,
            ProgressAdvanced: self._on_progress,
        }
        self._sending = threading.Lock()
        self._bell = threading.Condition()
        self.is_asked = False
        self._is_closed = False
        self._not_before = 0.0
        self._afterwards: float | None = None
        # With a context of its own a thread of ipykernel 7.0 may not send at all.
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(self._work,), name="pyplant-graph", daemon=True)
        try:
            thread.start()
            self._has_thread = True
        except RuntimeError:  # in a browser there are no threads: what is pending goes with the next event
            self._has_thread = False

    # ------------------------------------------------------------------ what is known

    def show(self, version: int, nodes: dict[str, NodeState]) -> bool:
        """Tell of these reactors from now on, as they were judged just now.

        Parameters
        ----------
        version
            Of the graph that the identifiers belong to.
        nodes
            By identifier.

        Returns
        -------
        is_news
            Whether a snapshot would say something new.
        """
        before, self._nodes = self._nodes, nodes
        is_news = (
            version != self._version
            or not self.checked
            or self.is_asked
            or any(before[identity].data() != node.data() for identity, node in nodes.items())
        )
        # Where several reactors have one name, events do not tell which of them they mean.
        self._named = {node.entry.name: node for node in nodes.values()}
        self._version, self.checked = version, True
        return is_news

    def renumber(self, version: int) -> None:
        """The graph has a new version, with the same reactors in it."""
        self._version = version

    @property
    def nodes(self) -> dict[str, NodeState]:
        """The reactors, by identifier."""
        return self._nodes

    def snapshot(self) -> dict[str, Any]:
        """All that is known, with the next number."""
        self._seq += 1
        nodes = self._nodes
        return {
            "seq": self._seq,
            "version": self._version,
            "run": self.run,
            "target": self._target,
            "now": round(time.time(), 3),
            "checked": self.checked,
            "title": summary([node.outcome for node in nodes.values()]),
            "nodes": {identity: node.data() for identity, node in nodes.items()},
        }

    # ------------------------------------------------------------------ events

    def __call__(self, event: Event) -> None:
        """Take an event."""
        handle = self._handlers.get(type(event))
        if handle is not None and handle(event):
            self.ask()

    def _on_run(self, event: RunStarted) -> bool:
        self._runs += 1
        self.run = self._runs
        self._target = clean(", ".join(event.targets))[:_LONGEST]
        self._began()
        return True

    def _on_end(self, event: RunFinished) -> bool:
        self.run = None
        for entry in event.report.entries:
            node = self._named.get(entry.name)
            if node is not None and entry.outcome is Outcome.SKIPPED:
                node.rest(Outcome.SKIPPED)
        for node in self._nodes.values():
            if node.outcome in _BUSY:  # the run was interrupted
                node.rest(node.entry.outcome, node.entry.error)
        self._afterwards = time.monotonic() + _AFTERWARDS
        self._ring()
        self._ended(event.report)
        return True

    def _on_start(self, event: ReactorStarted) -> bool:
        node = self._named.get(event.reactor)
        if node is not None:
            node.start()
        return node is not None

    def _on_block(self, event: ReactorBlocked) -> bool:
        node, text = self._named.get(event.reactor), f"computed by {event.owner}"
        if node is None or (node.outcome is Outcome.WAITING and node.text == text):
            return False  # it is told again and again
        node.wait(text, event.since)
        return True

    def _on_wait(self, event: ReactorWaiting) -> bool:
        node = self._named.get(event.reactor)
        if node is not None:
            node.wait(f"waits for {', '.join(event.names)}", time.time())
        return node is not None

    def _on_resume(self, event: ReactorResumed) -> bool:
        node = self._named.get(event.reactor)
        if node is not None:
            node.resume()
        return node is not None

    def _on_cached(self, event: ReactorCached) -> bool:
        node = self._named.get(event.reactor)
        if node is None or node.outcome is Outcome.CACHED:
            return False
        node.rest(Outcome.CACHED)
        return True

    def _on_finish(self, event: ReactorFinished) -> bool:
        node = self._named.get(event.reactor)
        if node is not None:
            node.finish(event.seconds, kept=event.kept)
        return node is not None

    def _on_failure(self, event: ReactorFailed) -> bool:
        node = self._named.get(event.reactor)
        if node is not None:
            node.rest(Outcome.FAILED, _said(event.error))
        return node is not None

    def _on_sent(self, event: IngredientSent) -> bool:
        node = self._named.get(event.reactor)
        if node is not None:
            node.sent(event.name, event.size)
        return False

    def _on_progress(self, event: ProgressAdvanced) -> bool:
        node = self._named.get(event.reactor)
        if node is not None:
            node.advance(event.description, event.done, event.total)
        return node is not None

    # ------------------------------------------------------------------ sending

    def ask(self) -> None:
        """Have a snapshot sent, now if there was none for a while, else soon."""
        if self.is_asked and self._has_thread:
            return
        # While another thread sends one, the run must not wait for that and then send the next.
        if time.monotonic() >= self._not_before and not self._sending.locked():
            self.send()
        else:
            self.is_asked = True
            self._ring()

    def send(self, **more: Any) -> None:
        """Send a snapshot now.

        Parameters
        ----------
        more
            What to send with it, by the name of the trait.
        """
        with self._sending:
            self.is_asked = False  # what happens from here on is not in this snapshot
            began = time.thread_time()
            try:
                self._publish({**more, "state": self.snapshot()})
            finally:
                pause = max(_PERIOD, _SHARE * (time.thread_time() - began))
                self._not_before = time.monotonic() + pause

    def close(self) -> None:
        """End the thread. What is asked from now on is not sent."""
        self._is_closed = True
        self._ring()

    def _ring(self) -> None:
        with self._bell:
            self._bell.notify()

    def _work(self) -> None:
        while True:
            with self._bell:
                if self._is_closed:
                    return
                pause = self._pause()
                if pause is None or pause > 0:
                    self._bell.wait(pause)
                    continue
            if self._afterwards is not None and self._afterwards <= time.monotonic():
                self._afterwards = None
            try:
                self.send()
            except Exception:  # noqa: BLE001 - whatever a kernel does when it ends, nobody is to see it here
                logger().debug("A snapshot could not be sent.", exc_info=True)

    def _pause(self) -> float | None:
        """How long until there is something to do; ``None`` if there is nothing."""
        moments = [self._not_before] if self.is_asked else []
        if self._afterwards is not None:
            moments.append(self._afterwards)
        return min(moments) - time.monotonic() if moments else None


def _said(error: BaseException) -> str:
    """An error in one line; its own words are code of users, which may fail as well."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - as above
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
