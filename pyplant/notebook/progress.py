"""One line below a cell that says what a run is doing: in every front end, with or without widgets.

Theory of operation. :class:`ProgressLine` listens to the events of one plant. Handling an event is an assignment,
without a lock. While a run lasts longer than ``_DELAY``, a thread formats the line four times a second and replaces
it if it differs, by the mechanism of updated displays. A cell has one line, whatever the number of its runs. The last
update says how the run ended, and stays in the notebook; a line that stands in the middle of what reactors printed is
emptied, and the end is told below.

The line bypasses the interceptors of the recorder (:mod:`pyplant.notebook.output.recorder`), so it is neither
recorded with the output of the reactor that runs nor replayed.
"""

from __future__ import annotations

import contextvars
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pyplant._formatting import clean, escape, format_seconds, format_whole_seconds
from pyplant.errors import logger
from pyplant.events import (
    Event,
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
from pyplant.plant import session_of
from pyplant.reports.theme import LIGHT

if TYPE_CHECKING:
    from pyplant.plant import Plant

__all__ = ["ProgressLine", "RunProgress"]

_DELAY = 0.5  # seconds; shorter runs show no line
_PERIOD = 0.25  # seconds between two updates
_IDLE = 2.0  # seconds without a run after which the thread waits for the next one
_MANY = 10  # items a second, of which no fractions are shown
_STYLE = (
    "font:12px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;"
    f"color:var(--jp-ui-font-color2,{LIGHT['muted']})"
)

# While a run lasts, the line stays in view above what reactors print. The area of the outputs must not be what scrolls,
# unless the user chose that for the cell.
_IN_VIEW = (
    "<style>"
    ".jp-OutputArea-child:has(>*>.pyplant-running,>*>*>.pyplant-running)"
    "{position:sticky;top:0;z-index:1;background:var(--jp-layout-color0)}"
    ".jp-Cell:not(.jp-mod-outputsScrolled) .jp-OutputArea:has(.pyplant-running){overflow:visible}"
    "</style>"
)


class _Loop:
    """A loop under ``pipe.progress``: its count, and when the first report came."""

    __slots__ = ("began", "done", "first", "total")

    def __init__(self, done: int, total: int | None, now: float) -> None:
        self.first = self.done = done
        self.total = total
        self.began = now

    def pace(self, now: float) -> Iterator[str]:
        """Yield the rate and the time that is left, as soon as they are known."""
        items, seconds = self.done - self.first, now - self.began
        if items <= 0 or seconds <= 0:
            return
        rate = items / seconds
        if rate >= 1:
            yield f"{rate:.{int(rate < _MANY)}f}/s"
        else:
            yield f"{format_seconds(1 / rate)} each"
        if self.total is not None and self.total > self.done:
            yield f"~{format_whole_seconds((self.total - self.done) / rate)} left"


class _Running:
    """A reactor that runs."""

    __slots__ = ("expected", "loops", "since", "waited_since")

    def __init__(self, expected: float, now: float) -> None:
        self.expected = expected
        self.since = now
        self.waited_since: float | None = None
        self.loops: dict[str, _Loop] = {}

    def advance(self, event: ProgressAdvanced, now: float) -> None:
        loop = self.loops.get(event.description)
        if loop is None or event.done < loop.done:  # the loop was entered again
            loop = self.loops[event.description] = _Loop(event.done, event.total, now)
        loop.done, loop.total = event.done, event.total

    def texts(self, now: float) -> Iterator[str]:
        """Yield what is known about its progress."""
        # The outermost loop that has not ended, since its time left is that of the reactor.
        loops = [(text, loop) for text, loop in list(self.loops.items()) if loop.done != loop.total]
        known = [pair for pair in loops if pair[1].total] or loops
        if known:
            description, loop = known[0]
            count = f"{loop.done}/{loop.total}" if loop.total else str(loop.done)
            yield f"{description} {count}".strip()
            yield from loop.pace(now)
            return
        past = now - self.since
        yield format_whole_seconds(past)
        if self.expected - past >= 1:
            yield f"~{format_whole_seconds(self.expected - past)} left"
        elif self.expected:
            form = format_whole_seconds if self.expected >= 1 else format_seconds
            yield f"usually {form(self.expected)}"


class RunProgress:
    """What is known about a run in progress.

    Parameters
    ----------
    targets
        The names of what was requested.
    expected
        Returns the seconds that the last execution of a reactor took; 0 if there was none.
    unfinished
        Returns the number of reactors that the run has requested and that have not begun, or wait.
    """

    def __init__(
        self, targets: tuple[str, ...], expected: Callable[[str], float], unfinished: Callable[[], int]
    ) -> None:
        self.began = time.monotonic()
        self._target = ", ".join(targets)
        self._expected = expected
        self._unfinished = unfinished
        self._running: dict[str, _Running] = {}
        self._blocked: dict[str, str] = {}
        self._failed: list[str] = []
        self._ran = self._cached = 0

    def handle(self, event: Event) -> None:
        """Handle an event of the run."""
        now = time.monotonic()
        match event:
            case ReactorStarted(reactor=name):
                self._blocked.pop(name, None)
                self._running[name] = _Running(self._expected(name), now)
            case ProgressAdvanced(reactor=name) if name in self._running:
                self._running[name].advance(event, now)
            case ReactorWaiting(reactor=name) if name in self._running:
                self._running[name].waited_since = now
            case ReactorResumed(reactor=name) if name in self._running:
                running = self._running[name]
                if running.waited_since is not None:  # its time is without that of waiting
                    running.since += now - running.waited_since
                    running.waited_since = None
            case ReactorBlocked(reactor=name, owner=owner, stopped=stopped):
                self._blocked[name] = f"{owner} (stopped)" if stopped else owner
            case ReactorCached(reactor=name):
                self._blocked.pop(name, None)
                self._cached += 1
            case ReactorFinished(reactor=name):
                self._running.pop(name, None)
                self._ran += 1
            case ReactorFailed(error=KeyboardInterrupt()):
                pass  # the user stopped it; the end tells of reactors that are running still
            case ReactorFailed(reactor=name):
                self._running.pop(name, None)
                self._failed.append(name)

    def text(self) -> str:
        """Return the line while the run lasts."""
        now = time.monotonic()
        running = [(name, one) for name, one in list(self._running.items()) if one.waited_since is None]
        if running:
            name, one = running[0]
            parts = [f"▶ {name}", *one.texts(now)]
            if len(running) > 1:
                parts.append(f"{len(running) - 1} more running")
        elif self._blocked:
            name, owner = next(iter(list(self._blocked.items())))
            parts = [f"… {name}", f"computed by {owner}", format_whole_seconds(now - self.began)]
        else:
            parts = [f"… {self._target}", "looking for results", format_whole_seconds(now - self.began)]
        waiting = self._unfinished()
        counts = ((self._ran + self._cached, "done"), (waiting, "waiting"), (len(self._failed), "failed"))
        numbers = ", ".join(f"{count} {word}" for count, word in counts if count)
        return " · ".join([*parts, numbers] if numbers else parts)

    def final_text(self) -> str:
        """Return the line after the run."""
        took = format_seconds(time.monotonic() - self.began)
        counts = ((self._ran, "ran"), (self._cached, "cached"))
        numbers = ", ".join(f"{count} {word}" for count, word in counts if count)
        done = f", {numbers}" if numbers else ""
        if self._failed:
            return f"✗ {', '.join(self._failed)}: failed after {took}{done}"
        if self._running or not numbers:
            return f"■ {self._target}: stopped after {took}{done}"
        return f"✓ {self._target}: {numbers} in {took}"


class ProgressLine:
    """Shows the progress of the runs of one plant, one line for each cell.

    Parameters
    ----------
    plant
        The plant; it is not kept alive.
    publish
        Publishes a display as ``DisplayPublisher.publish`` does, unrecorded.
    count_outputs
        Returns the number of outputs of reactors so far.

    Attributes
    ----------
    wakeup
        Set while runs come one after the other.
    """

    def __init__(
        self, plant: Plant, publish: Callable[..., Any], count_outputs: Callable[[], int] = lambda: 0
    ) -> None:
        self._plant = weakref.ref(plant)
        self._publish = publish
        self._count_outputs = count_outputs
        self._outputs_above = 0  # of the line
        self._run: RunProgress | None = None
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()  # held to publish; an update must not come after that of the end
        self.wakeup = threading.Event()
        self._has_thread = False
        self._identity = ""  # of the line of this cell
        self._shown = ""
        self._named_for: object = None  # the context that the next attribute belongs to
        self._full_names: dict[str, str] = {}
        # The thread waits while nothing runs, and ends with the plant. At interpreter exit it is a daemon.
        weakref.finalize(plant, self.wakeup.set).atexit = False

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        if isinstance(event, RunStarted):
            self._begin(event)
        elif isinstance(event, RunFinished):
            self._end()
        elif self._run is not None:
            self._run.handle(event)

    def begin_cell(self) -> None:
        """Show the next run in a line of its own."""
        with self._lock:
            self._identity = self._shown = ""

    def clear(self) -> None:
        """Remove the text of the line, since a report says the same."""
        with self._lock:
            if self._shown:
                self._show("")

    def _begin(self, event: RunStarted) -> None:
        # With this context the thread sends to the cell of the run: ipykernel stores the cell in a context variable.
        self._context = contextvars.copy_context()
        self._run = RunProgress(event.targets, self._seconds_of_last, self._count_unfinished)
        if not self.wakeup.is_set():
            self.wakeup.set()
        if not self._has_thread:
            self._has_thread = True
            with suppress(RuntimeError):  # Pyodide has no threads
                threading.Thread(
                    target=_update_while_alive,
                    args=(weakref.ref(self),),
                    name="pyplant-progress",
                    daemon=True,
                ).start()

    def _end(self) -> None:
        run, self._run = self._run, None
        with self._lock:
            if run is None or not self._shown:
                return
            if self._count_outputs() != self._outputs_above:
                self._show("")
                self._identity = ""
            self._show(run.final_text(), is_final=True)

    def update(self) -> bool:
        """Show the present state, if a run has lasted long enough; return whether there is a run."""
        run = self._run
        if run is None or time.monotonic() - run.began < _DELAY:
            return run is not None
        text = run.text()
        with self._lock:
            if run is self._run and text != self._shown:
                self._context.run(self._show, text)
        return True

    def _show(self, text: str, *, is_final: bool = False) -> None:
        is_new = not self._identity
        if is_new:
            self._identity = f"pyplant-{uuid.uuid4().hex[:16]}"
            self._outputs_above = self._count_outputs()
        self._shown = text
        html = f'<div style="{_STYLE}">{escape(text)}</div>' if text else ""
        if text and not is_final:
            html = f'<div class="pyplant-running">{_IN_VIEW}{html}</div>'
        try:
            self._publish(
                {"text/plain": clean(text), "text/html": html},
                transient={"display_id": self._identity},
                update=not is_new,
            )
        except Exception:  # noqa: BLE001 - a line that cannot be shown must not fail the run
            logger().debug("The progress cannot be shown.", exc_info=True)

    def _seconds_of_last(self, reactor: str) -> float:
        """Return the seconds that the last execution of a reactor took; in the thread of the run."""
        plant = self._plant()
        runs = session_of(plant).runs if plant is not None else ()
        if not runs:
            return 0.0
        context = runs[0].context
        if context is not self._named_for:
            self._named_for = context
            self._full_names = {one.name: one.full_name for one in context.definitions.values()}
        trace = context.last(self._full_names.get(reactor, reactor))
        return trace.seconds if trace is not None else 0.0

    def _count_unfinished(self) -> int:
        plant = self._plant()
        return len(session_of(plant).not_begun()) if plant is not None else 0


def _update_while_alive(reference: weakref.ref[ProgressLine]) -> None:
    """Update a line until it is gone."""
    idle_since = 0.0
    while (line := reference()) is not None:
        now = time.monotonic()
        if line.update():
            idle_since = now
        wakeup = line.wakeup
        del line  # it may go while this thread sleeps
        # More runs may come soon, and to be woken costs a run more than this thread.
        if now - idle_since < _IDLE:
            time.sleep(_PERIOD)
        else:
            wakeup.clear()
            wakeup.wait()
