"""The state of each reactor during a run: updated by events, kept in memory, sent as snapshots.

Theory of operation. :class:`LiveState` listens to the events of one plant and keeps a
:class:`NodeState` for each reactor. It publishes *snapshots* of all of them to the widgets:

* Handling an event takes a few microseconds: a look-up and an assignment. It takes no lock of the
  plant, does not touch the disk and does not judge staleness.
* A snapshot is numbered and complete, never a difference: the Jupyter server drops messages when a cell
  prints too much, and the next snapshot makes up for a lost one.
* There are at most ten snapshots a second, and fewer if they would take more than a hundredth of the
  time. The first is sent at once, in the thread of the event, because the reactor that just started may
  hold the interpreter lock for minutes. Further events within a tenth of a second are sent together by
  a thread that otherwise sleeps. Half a second after a run, one more snapshot replaces what the server
  may have dropped.

Keys of a snapshot: ``seq`` (number of the snapshot), ``version`` (of the graph that the ids belong to),
``run`` (number of the run in progress), ``target``, ``now`` (clock of the kernel), ``checked`` (whether
staleness was judged), ``closed`` (whether the plant was closed), ``title``, and ``nodes`` by id. Keys of a node, left out when empty: ``o`` outcome,
``sure`` false if uncertain, ``s`` seconds, ``b`` bytes and ``f`` time of the last kept execution, ``t`` when
the present state began, ``e`` expected seconds, ``p`` progress of loops, ``w`` a text, ``x`` time of the last failure,
``q`` what the reactor has sent in this run (name, format, bytes). They are short because a graph may have thousands of
nodes and a snapshot contains all.
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

_PERIOD = 0.1  # seconds between snapshots, at least
_PAUSE_FACTOR = 100  # the pause after a snapshot, in multiples of the time that it took
_FINAL_DELAY = 0.5  # seconds from the end of a run to its last snapshot
_MAX_LOOPS = 4  # of one reactor
_MAX_TEXT = 200  # characters of a text about a reactor
_BUSY = frozenset({Outcome.RUNNING, Outcome.WAITING})
_IDLE = frozenset({Outcome.NEW, Outcome.STALE, Outcome.FAILED, Outcome.UNCACHED})

Publish = Callable[[dict[str, Any]], None]


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
    loops
        The last reports of ``pipe.progress``, by description.
    text
        Which process computes it, what it waits for, or how it failed.
    """

    __slots__ = (
        "_cached_data",
        "_change",
        "_elapsed",
        "_sent",
        "entry",
        "failed_at",
        "finished",
        "loops",
        "outcome",
        "seconds",
        "since",
        "size",
        "text",
    )

    def __init__(self, entry: ReactorEntry, failed_at: float = 0.0, missing: tuple[str, ...] = ()) -> None:
        self.entry = entry
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
        lacks = f"no reactor sends {', '.join(missing)}" if missing else ""
        self.set_idle(entry.outcome, entry.error or lacks)

    def set_idle(self, outcome: Outcome, text: str = "") -> None:
        """Set an outcome in which the reactor is neither running nor waiting."""
        self.outcome = outcome
        self.text = text
        self.since = 0.0
        self.loops: dict[str, tuple[int, int | None]] = {}
        self._change = object()

    def start(self) -> None:
        """Handle the start of an execution."""
        self.set_idle(Outcome.RUNNING)
        self._elapsed = 0.0
        self._sent = {}
        self.since = time.time()
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
            [clean(str(text))[:_MAX_TEXT], done, None if total is None else int(total)]
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
            yield "w", clean(self.text)[:_MAX_TEXT]
        if self.outcome is Outcome.FAILED and self.failed_at:
            yield "x", round(self.failed_at)
        if self.outcome is Outcome.RAN and self._sent:
            yield "q", [[clean(name), form, size] for name, (form, size) in self._sent.items()]


class LiveState:
    """Listens to one plant from the first widget to the last.

    Parameters
    ----------
    publish
        Called with the traits to send, by name, by one thread at a time: that of an event, or the
        sending thread.
    run_started
        Called when a run begins, in its thread.
    run_finished
        Called with the report when a run has ended, in its thread.
    queued
        Returns the names of the reactors that the run has requested and not begun, in any thread.

    Attributes
    ----------
    run
        The number of the run in progress.
    checked
        Whether staleness was judged since something may have changed.
    is_closed_plant
        Whether the plant was closed: nothing will change any more.
    is_send_due
        Whether events came since the last snapshot, and the sending thread is to send the next one.
    """

    def __init__(
        self,
        publish: Publish,
        run_started: Callable[[], None],
        run_finished: Callable[[RunReport], None],
        queued: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self.run: int | None = None
        self.checked = True
        self.is_closed_plant = False
        self._version = 0
        self._nodes: dict[str, NodeState] = {}
        self._by_name: dict[str, NodeState] = {}
        self._publish = publish
        self._run_started = run_started
        self._run_finished = run_finished
        self._queued = queued
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
        self._wakeup = threading.Condition()
        self.is_send_due = False
        self._is_closed = False
        self._next_send_at = 0.0
        self._final_send_at: float | None = None
        # A copy of the context: without it, a thread of ipykernel 7.0 cannot send messages.
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._send_loop,), name="pyplant-graph", daemon=True
        )
        try:
            thread.start()
            self._has_thread = True
        except RuntimeError:  # Pyodide has no threads: a due snapshot is sent with the next event
            self._has_thread = False

    # ------------------------------------------------------------------ nodes

    def set_nodes(self, version: int, nodes: dict[str, NodeState]) -> bool:
        """Replace the reactors, after staleness was judged.

        Parameters
        ----------
        version
            Version of the graph that the ids belong to.
        nodes
            The reactors by id.

        Returns
        -------
        is_changed
            Whether the next snapshot differs from the last one.
        """
        before, self._nodes = self._nodes, nodes
        is_changed = (
            version != self._version
            or not self.checked
            or self.is_send_due
            or any(before[identity].data() != node.data() for identity, node in nodes.items())
        )
        # Events name reactors only; of several with one name, the last is taken.
        self._by_name = {node.entry.name: node for node in nodes.values()}
        self._version, self.checked = version, True
        return is_changed

    def renumber(self, version: int) -> None:
        """Set a new version of the graph with the same reactors."""
        self._version = version

    @property
    def nodes(self) -> dict[str, NodeState]:
        """The reactors by id."""
        return self._nodes

    def snapshot(self) -> dict[str, Any]:
        """Return a snapshot with the next number."""
        self._seq += 1
        nodes = self._nodes
        self._mark_queued()
        return {
            "seq": self._seq,
            "version": self._version,
            "run": self.run,
            "target": self._target,
            "now": round(time.time(), 3),
            "checked": self.checked,
            "closed": self.is_closed_plant,
            "title": summary([node.outcome for node in nodes.values()]),
            "nodes": {identity: node.data() for identity, node in nodes.items()},
        }

    def _mark_queued(self) -> None:
        """Show reactors that the run has requested as waiting, since no event reports them before they begin."""
        for name in self._queued() if self.run is not None else ():
            node = self._by_name.get(name)
            if node is not None and node.outcome in _IDLE and node.outcome is node.entry.outcome:
                node.wait("will run", time.time())

    # ------------------------------------------------------------------ events

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        handle = self._handlers.get(type(event))
        if handle is not None and handle(event):
            self.request_send()

    def _on_run(self, event: RunStarted) -> bool:
        self._runs += 1
        self.run = self._runs
        self._target = clean(", ".join(event.targets))[:_MAX_TEXT]
        self._run_started()
        return True

    def _on_end(self, event: RunFinished) -> bool:
        self.run = None  # first, so that a late click on "stop" interrupts nothing
        for entry in event.report.entries:  # no event reports that a reactor is skipped
            node = self._by_name.get(entry.name)
            if node is not None and entry.outcome is Outcome.SKIPPED:
                node.set_idle(Outcome.SKIPPED)
        for node in self._nodes.values():
            if node.outcome in _BUSY:  # the run was interrupted
                node.set_idle(node.entry.outcome, node.entry.error)
        self._final_send_at = time.monotonic() + _FINAL_DELAY
        self._wake()
        self._run_finished(event.report)
        return True

    def _on_start(self, event: ReactorStarted) -> bool:
        node = self._by_name.get(event.reactor)
        if node is not None:
            node.start()
        return node is not None

    def _on_block(self, event: ReactorBlocked) -> bool:
        node, text = self._by_name.get(event.reactor), f"computed by {event.owner}"
        if node is None or (node.outcome is Outcome.WAITING and node.text == text):
            return False  # the event is repeated while the process waits
        node.wait(text, event.since)
        return True

    def _on_wait(self, event: ReactorWaiting) -> bool:
        node = self._by_name.get(event.reactor)
        if node is not None:
            node.wait(f"waits for {', '.join(event.names)}", time.time())
        return node is not None

    def _on_resume(self, event: ReactorResumed) -> bool:
        node = self._by_name.get(event.reactor)
        if node is not None:
            node.resume()
        return node is not None

    def _on_cached(self, event: ReactorCached) -> bool:
        node = self._by_name.get(event.reactor)
        if node is None or node.outcome is Outcome.CACHED:
            return False
        node.set_idle(Outcome.CACHED)
        return True

    def _on_finish(self, event: ReactorFinished) -> bool:
        node = self._by_name.get(event.reactor)
        if node is not None:
            node.finish(event.seconds, kept=event.kept)
        return node is not None

    def _on_failure(self, event: ReactorFailed) -> bool:
        node = self._by_name.get(event.reactor)
        if node is not None:
            node.fail(_error_text(event.error))
        return node is not None

    def _on_sent(self, event: IngredientSent) -> bool:
        node = self._by_name.get(event.reactor)
        if node is not None:
            node.sent(event.name, event.format, event.size)
        return False

    def _on_progress(self, event: ProgressAdvanced) -> bool:
        node = self._by_name.get(event.reactor)
        if node is not None:
            node.advance(event.description, event.done, event.total)
        return node is not None

    # ------------------------------------------------------------------ sending

    def request_send(self) -> None:
        """Send a snapshot now if the last one is old enough, else let the sending thread do it."""
        if self.is_send_due and self._has_thread:  # the thread knows already
            return
        # If another thread is sending, the run must not wait for it.
        if time.monotonic() >= self._next_send_at and not self._sending.locked():
            self.send()
        else:
            self.is_send_due = True
            self._wake()

    def send(self, **more: Any) -> None:
        """Send a snapshot now.

        Parameters
        ----------
        more
            Other traits to send in the same message.
        """
        with self._sending:
            self.is_send_due = False  # before the snapshot: later events need another one
            # Processor time, since most of the elapsed time may be spent waiting for the interpreter lock.
            began = time.thread_time()
            try:
                self._publish({**more, "state": self.snapshot()})
            finally:
                pause = max(_PERIOD, _PAUSE_FACTOR * (time.thread_time() - began))
                self._next_send_at = time.monotonic() + pause

    def close(self) -> None:
        """End the sending thread; due snapshots are not sent."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        with self._wakeup:
            self._wakeup.notify()

    def _send_loop(self) -> None:
        # Sends outside of the condition: an event must be able to wake this thread while it sends.
        while True:
            with self._wakeup:
                if self._is_closed:
                    return
                pause = self._seconds_to_next()
                if pause is None or pause > 0:
                    self._wakeup.wait(pause)
                    continue
            # Before sending: a run that ends meanwhile needs another final snapshot.
            if self._final_send_at is not None and self._final_send_at <= time.monotonic():
                self._final_send_at = None
            try:
                self.send()
            except Exception:  # noqa: BLE001 - a kernel that shuts down fails in many ways, which must not be shown
                logger().debug("A snapshot could not be sent.", exc_info=True)

    def _seconds_to_next(self) -> float | None:
        """Return the seconds until the next snapshot; ``None`` if none is due."""
        moments = [self._next_send_at] if self.is_send_due else []
        if self._final_send_at is not None:
            moments.append(self._final_send_at)
        return min(moments) - time.monotonic() if moments else None


def _error_text(error: BaseException) -> str:
    """Return an error as one line. Its `__str__` may be code of the user and fail."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - code of the user
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
