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
the present state began, ``e`` expected seconds, ``p`` progress of loops, ``w`` a text, ``x`` time of the last failure, ``h`` the
worker that executes the reactor,
``q`` what the reactor has sent in this run (name, format, bytes), ``lost`` whether a sender is missing, ``kept`` whether
only the plant knows the reactor. They are short because a graph may have thousands of
nodes and a snapshot contains all.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

from pyplant._formatting import clean, counted
from pyplant.errors import logger
from pyplant.events import (
    Event,
    IngredientSent,
    ProgressAdvanced,
    ReactorAssigned,
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
from pyplant.notebook.graph.node_state import BUSY, IDLE, MAX_TEXT, NodeState
from pyplant.reports.report import Outcome, RunReport, summary

__all__ = ["LiveState"]

_PERIOD = 0.1  # seconds between snapshots, at least
_PAUSE_FACTOR = 100  # the pause after a snapshot, in multiples of the time that it took
_FINAL_DELAY = 0.5  # seconds from the end of a run to its last snapshot

Publish = Callable[[dict[str, Any]], None]


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
    snapshot_sent
        Called after the sending thread sent a snapshot, in that thread.

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
        snapshot_sent: Callable[[], None] = lambda: None,
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
        self._snapshot_sent = snapshot_sent
        self._runs = 0
        self._target = ""
        self._seq = 0
        self._handlers: dict[type, Callable[[Any], bool]] = {
            RunStarted: self._on_run,
            RunFinished: self._on_end,
            ReactorStarted: self._on_start,
            ReactorAssigned: self._on_assigned,
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

    def continue_numbers(self, other: LiveState) -> None:
        """Number snapshots and runs after those of another one, of which the widgets know."""
        self._seq, self._runs = max(self._seq, other._seq), max(self._runs, other._runs)

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
            "title": _title(nodes.values()),
            "nodes": {identity: node.data() for identity, node in nodes.items()},
        }

    def _mark_queued(self) -> None:
        """Show reactors that the run has requested as waiting, since no event reports them before they begin."""
        for name in self._queued() if self.run is not None else ():
            node = self._by_name.get(name)
            if node is not None and node.outcome in IDLE and node.outcome is node.entry.outcome:
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
        self._target = clean(", ".join(event.targets))[:MAX_TEXT]
        self._run_started()
        return True

    def _on_end(self, event: RunFinished) -> bool:
        self.run = None  # first, so that a late click on "stop" interrupts nothing
        for entry in event.report.entries:  # no event reports that a reactor is skipped
            node = self._by_name.get(entry.name)
            if node is not None and entry.outcome is Outcome.SKIPPED:
                node.set_idle(Outcome.SKIPPED)
        for node in self._nodes.values():
            if node.outcome in BUSY:  # the run was interrupted
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

    def _on_assigned(self, event: ReactorAssigned) -> bool:
        node = self._by_name.get(event.reactor)
        if node is not None:
            node.assign(event.worker)
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
        if node is None:
            return False
        if isinstance(event.error, KeyboardInterrupt):  # the user stopped it
            node.set_idle(node.entry.outcome, node.entry.error)
        else:
            node.fail(_error_text(event.error))
        return True

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
                self._snapshot_sent()
            except Exception:  # noqa: BLE001 - a kernel that shuts down fails in many ways, which must not be shown
                logger().debug("A snapshot could not be sent.", exc_info=True)

    def _seconds_to_next(self) -> float | None:
        """Return the seconds until the next snapshot; ``None`` if none is due."""
        moments = [self._next_send_at] if self.is_send_due else []
        if self._final_send_at is not None:
            moments.append(self._final_send_at)
        return min(moments) - time.monotonic() if moments else None


def _title(nodes: Collection[NodeState]) -> str:
    """Return the numbers of reactors in each state; those of deleted cells count apart."""
    if any(node.is_kept for node in nodes):
        return f"{counted(len(nodes), 'reactor')} kept in the plant; none is defined here yet"
    deleted = sum(node.is_orphan for node in nodes)
    title = summary([node.outcome for node in nodes if not node.is_orphan])
    return f"{title}; {deleted} of deleted cells" if deleted else title


def _error_text(error: BaseException) -> str:
    """Return an error as one line. Its `__str__` may be code of the user and fail."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - code of the user
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
