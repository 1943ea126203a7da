"""Records what reactors show in a notebook, in order, while it is shown.

Theory of operation. Output reaches the user through four channels: ``write`` of the two output
streams, and ``publish`` and ``clear_output`` of the display publisher of the shell. During a run each
channel has an *interceptor*, which adds what passes to the record of the running reactor and then
calls the original. Interceptors are installed as attributes of the existing objects, not by replacing
``sys.stdout``, because other code holds these objects: logging handlers, threads, and the watcher
that delivers the output of child processes (see :mod:`pyplant.notebook.output.stream_sync`).

A reactor runs in *steps*: from its start or a ``yield`` to the next ``yield`` or its end. Output in a
step belongs to the reactor of the step. Output of child processes and C code arrives late; it is
waited for when a reactor returns, and before the step of another reactor. Until then it belongs to
the *pending* recording, the one whose step ended last.

Rules:

* Interceptors are installed by the first step of a run, removed when the run ends, and active only
  in steps. IPython itself replaces ``write`` while a cell runs, so removal restores what was found.
* Nothing here raises into a reactor. If recording fails, output still reaches the user.
* Most reactors of a large run show nothing, so a step must cost almost nothing: it checks whether
  there is anything to wait for, to show or to compare, and does no more.

Limits: output of a thread that outlives its reactor counts as output of the reactor that runs when
it arrives. A forked process can add text, but no displays.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from threading import get_ident
from types import TracebackType
from typing import Any, ClassVar

from pyplant._formatting import clean, escape
from pyplant.errors import PlantWarning, logger, warn
from pyplant.notebook.output import random_state
from pyplant.notebook.output.figures import Figures
from pyplant.notebook.output.record import Output, OutputRecord
from pyplant.notebook.output.stream_sync import StreamSync
from pyplant.reports.theme import LIGHT

__all__ = ["OutputRecording", "Recorder"]

_HEADING = (
    "font:11px/1.4 system-ui,-apple-system,'Segoe UI',sans-serif;"
    f"color:var(--jp-ui-font-color2,{LIGHT['muted']})"
)

_NOT_RECORDED = nullcontext()
_LAST_LINES = 5
_SHORTEST_PROCESS = 0.0002  # seconds; a reactor does not start a process and wait for it in less


class Recorder:
    """Creates the recordings of one shell and knows which of them is active.

    Parameters
    ----------
    shell
        An ``InteractiveShell``.

    Attributes
    ----------
    active
        The recording of the innermost step.
    pending
        The recording whose step ended last, as long as output of it may still arrive.
    random_state
        The global random state after the last step of this run.
    warned
        Reactors that were warned about for changing the global random state.
    outputs
        The number of outputs of reactors so far.
    """

    def __init__(self, shell: Any) -> None:
        self.active: OutputRecording | None = None
        self.pending: OutputRecording | None = None
        self.random_state: random_state.RandomState | None = None
        self.warned: set[str] = set()
        self.outputs = 0
        self._shell = shell
        self._channels: tuple[Any, Any, Any] = (None, None, None)
        self._interceptors: list[_Interceptor] = []
        self._syncs: list[StreamSync] = []
        self._steps: list[OutputRecording] = []  # the innermost step last
        self._shown_last: OutputRecording | None = None
        self._forwarding_threads: set[int] = set()
        self._open_recordings: dict[str, OutputRecording] = {}  # by reactor
        self._prints: dict[str, str] = {}  # the last lines of reactors that have ended
        self._drained_at = 0.0

    def record(self, reactor: str, *, heading: str = "") -> OutputRecording:
        """Create the recording of one execution of a reactor.

        Parameters
        ----------
        reactor
            The name of the reactor.
        heading
            A line shown above its output, and again when it continues after output of another
            reactor. It is not recorded. Without a heading, the name of the reactor is shown where
            its output follows that of another reactor.
        """
        recording = self._open_recordings[reactor] = OutputRecording(self, reactor, heading)
        return recording

    def last_prints(self, reactor: str) -> str:
        """Return the last lines that a reactor has printed, also while it runs; ``""`` if there are none."""
        recording = self._open_recordings.get(reactor)
        return self._prints.get(reactor, "") if recording is None else recording.last_prints()

    def close_recording(self, recording: OutputRecording) -> None:
        """Keep the last lines of a recording that has ended, and not the recording."""
        if self._open_recordings.get(recording.reactor) is recording:
            del self._open_recordings[recording.reactor]
            self._prints.pop(recording.reactor, None)
            if text := recording.last_prints():
                self._prints[recording.reactor] = text

    # ------------------------------------------------------------------ steps

    def enter(self, recording: OutputRecording) -> None:
        """Begin a step. A step within a step belongs to a run of another plant."""
        is_intercepted = bool(self._steps) or self._is_intercepted()
        # Further steps of the same reactor need not wait: late output would be attributed to it anyway. If
        # a stream was replaced, late output must arrive before its interceptor is removed.
        if self.pending is None and not self._steps:
            self._drained_at = time.perf_counter()
        elif self.pending is not recording or not is_intercepted:
            self.drain()
        self._steps.append(recording)
        self.active = recording
        if not is_intercepted:
            self._install_interceptors()

    def leave(self, recording: OutputRecording) -> None:
        """End a step. Does nothing if the step was interrupted before it began."""
        steps = self._steps
        if recording not in steps:
            return
        steps.remove(recording)
        self.active = steps[-1] if steps else None
        self.pending = recording

    def end_run(self) -> None:
        """Remove the interceptors, unless the run was nested in a step of another run."""
        if not self._steps:
            self.pending = self.random_state = None
            self._remove_interceptors()

    def _is_intercepted(self) -> bool:
        """Return whether the streams and the publisher are those of the last step, interceptors included."""
        out, err, publisher = self._channels
        if sys.stdout is not out or sys.stderr is not err or self._shell.display_pub is not publisher:
            return False
        for interceptor in self._interceptors:  # a loop takes half of the time of `all` with a generator
            if interceptor.attributes.get(interceptor.name) is not interceptor:
                return False
        return True

    def _install_interceptors(self) -> None:
        self._remove_interceptors()  # those of streams that have been replaced since
        out, err, publisher = self._channels = sys.stdout, sys.stderr, self._shell.display_pub
        for kind, channel in ((_Stdout, out), (_Stderr, err), (_Publish, publisher), (_Clear, publisher)):
            # A channel that cannot be intercepted (`sys.stdout` may be `None`) is not recorded. If both
            # streams are one object, it gets one interceptor, or each text would be recorded twice.
            if not (kind is _Stderr and err is out):
                with suppress(TypeError, AttributeError):
                    self._interceptors.append(kind(self, channel))
        self._syncs = [interceptor.sync for interceptor in self._interceptors if interceptor.sync is not None]

    def _remove_interceptors(self) -> None:
        for interceptor in self._interceptors:
            interceptor.remove()
        self._interceptors = []
        self._channels = (None, None, None)

    def drain(self) -> None:
        """Wait for the output that child processes and C code have written so far."""
        now = time.perf_counter()
        seconds, self._drained_at = now - self._drained_at, now
        try:
            for sync in self._syncs:
                if sync.may_have_pending(seconds):
                    sync.wait()
        finally:
            self.pending = None

    def drain_before_output(self) -> None:
        """Keep the order of outputs: what child processes wrote before must arrive before the next output.

        Not done for outputs in quick succession, such as the prints of a loop: no process could have
        written between them.
        """
        if time.perf_counter() - self._drained_at > _SHORTEST_PROCESS:
            self.drain()

    # ------------------------------------------------------------------ output

    def show_heading(self, recording: OutputRecording) -> None:
        """Show the heading of a recording before its output, unless the last output was its own."""
        self.outputs += 1
        last, self._shown_last = self._shown_last, recording
        if recording is last:
            return
        # The target of a cell has no heading: its output is what the user expects there.
        heading = recording.heading or (recording.reactor if last is not None else "")
        if heading:
            self._publish_heading(heading)

    def show_heading_of_replay(self, reactor: str) -> None:
        """Show the name of a reactor whose output is replayed, if the cell shows output of others above it."""
        if self._shown_last is not None:
            self._publish_heading(reactor)

    def _publish_heading(self, heading: str) -> None:
        html = f'<div style="{_HEADING}">{escape(heading)}</div>'
        with suppress(Exception):  # a missing heading is better than an error in print() of a reactor
            self.publish_unrecorded({"text/plain": clean(heading), "text/html": html}, {})

    def reset_headings(self) -> None:
        """Show headings again: the output of the cell was cleared, or another cell begins."""
        self._shown_last = None

    def forward(self, interceptor: _Interceptor, /, *args: Any, **options: Any) -> Any:
        """Call the original of an interceptor, recording nothing that it writes.

        In a terminal, displaying something writes text, which must not be recorded a second time.
        """
        with self._forwarding():
            return interceptor.original(*args, **options)

    def publish_unrecorded(self, *args: Any, **options: Any) -> None:
        """Publish a display that belongs to no reactor, in any thread, also during a step."""
        with self._forwarding():
            self._shell.display_pub.publish(*args, **options)

    @contextmanager
    def _forwarding(self) -> Iterator[None]:
        """Record nothing that this thread writes in the block."""
        thread = get_ident()
        self._forwarding_threads.add(thread)
        try:
            yield
        finally:
            self._forwarding_threads.discard(thread)

    def is_forwarding(self) -> bool:
        """Return whether this thread is inside :meth:`forward`."""
        return bool(self._forwarding_threads) and get_ident() in self._forwarding_threads


class OutputRecording:
    """Records what one execution of a reactor shows.

    It is itself the context manager of each step, which saves an object per step.

    Attributes
    ----------
    reactor, heading
        See :meth:`Recorder.record`.
    notes
        Side effects that a cached result does not repeat, as text for the user.
    """

    __slots__ = (
        *("_figures", "_is_broken", "_is_finished", "_record", "_recorder"),
        *("heading", "notes", "reactor"),
    )

    def __init__(self, recorder: Recorder, reactor: str, heading: str) -> None:
        self.heading = heading
        self.notes: tuple[str, ...] = ()
        self._recorder = recorder
        self.reactor = reactor
        self._record = OutputRecord()
        self._figures = Figures()
        self._is_broken = self._is_finished = False

    def step(self) -> AbstractContextManager[None]:
        """Return the context manager for one step; output inside it belongs to the reactor.

        Closing the generator of a finished reactor is a step as well, in which nothing is recorded.
        """
        return _NOT_RECORDED if self._is_finished else self

    def __enter__(self) -> None:
        try:
            self._figures.enter()
            self._recorder.enter(self)
        except Exception:  # noqa: BLE001 - recording must not stop a run
            self._fail()
        if self._recorder.random_state is None:
            self._recorder.random_state = random_state.read()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Read first, so that nothing but the code of the reactor counts.
        before, after = self._recorder.random_state, random_state.read()
        self._recorder.random_state = after
        try:
            self._recorder.leave(self)
            self._figures.leave()
        except Exception:  # noqa: BLE001
            self._fail()
        if before is not None and before != after:
            names = random_state.changed(before, after)
            notes = (f"the global random state of {name}" for name in names)
            self.notes = tuple(sorted({*self.notes, *notes}))

    def finish(self) -> list[Output]:
        """Finish the recording of a reactor that returned.

        Returns
        -------
        outputs
            Its outputs in order, in the notebook format; they can be written as JSON.
        """
        self._finish_output()
        self._is_finished = True
        outputs: list[Output] = []
        try:
            outputs = self._record.outputs()
        except Exception:  # noqa: BLE001
            self._fail()
        # Once for each reactor, since a repeated warning says nothing new.
        if self.notes and self.reactor not in self._recorder.warned:
            self._recorder.warned.add(self.reactor)
            warn(PlantWarning, _random_state_warning(self.reactor, self.notes))
        return outputs

    def abandon(self) -> None:
        """End the recording of a reactor that failed or was closed: show its figures, keep nothing."""
        if self._is_finished:
            return
        self._recorder.leave(self)  # an interrupt may have hit the beginning or the end of a step
        self._finish_output()

    def last_prints(self) -> str:
        """Return the last lines of text."""
        return self._record.tail(_LAST_LINES)

    # ------------------------------------------------------------------ called by the interceptors

    def on_write(self, stream: str, text: str) -> None:
        """Record text."""
        if not self._is_broken:
            try:
                self._record.write(stream, text)
            except Exception:  # noqa: BLE001
                self._fail()

    def on_display(self, data: Any, metadata: Any, display_id: str | None, *, update: bool) -> None:
        """Record a display, or the update of a display."""
        if not self._is_broken:
            try:
                put = self._record.update if update else self._record.display
                put(data, metadata or {}, display_id)
            except Exception:  # noqa: BLE001
                self._fail()

    def on_clear(self, *, wait: bool) -> None:
        """Record that the output was cleared."""
        self._record.clear(wait=wait)

    def _finish_output(self) -> None:
        """Show the open figures and wait for late output, after the last step."""
        try:
            if self._figures:
                with self:
                    self._figures.flush()
                self._figures.release_to_cell()
            self._recorder.drain()
        except Exception:  # noqa: BLE001
            self._fail()
        self._recorder.close_recording(self)

    def _fail(self) -> None:
        # Set before logging: a log handler may write to an intercepted stream.
        self._is_broken = True
        logger().warning("The output of %r cannot be recorded.", self.reactor, exc_info=True)


def _random_state_warning(reactor: str, notes: tuple[str, ...]) -> str:
    return (
        f"Reactor {reactor!r} changed {' and '.join(notes)}. A cached result does not repeat that, so other code "
        f"then draws other numbers. Use a generator of its own: rng = numpy.random.default_rng(seed)."
    )


class _Interceptor:
    """Temporarily replaces an attribute of an object.

    Other code may replace the attribute in turn, keep the interceptor as its original and never
    restore it. It then stays in the chain of calls after :meth:`remove` and only forwards, and the
    next step installs another one on top.
    """

    __slots__ = ("_found", "attributes", "is_open", "original", "recorder", "sync", "target")
    name: ClassVar[str]

    def __init__(self, recorder: Recorder, target: Any) -> None:
        self.recorder = recorder
        self.target = target
        self.original = getattr(target, self.name)
        self.sync: StreamSync | None = None
        self.is_open = True
        # The dictionary itself: `setattr` would go through properties of the target.
        self.attributes = vars(target)
        self._found = self.attributes.get(self.name)
        self.attributes[self.name] = self

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Record the call and forward it to the original."""
        raise NotImplementedError

    def remove(self) -> None:
        """Restore what was found, unless other code has replaced the attribute since."""
        self.is_open = False
        if self.attributes.get(self.name) is not self:
            return
        if self._found is None:  # the original is a method of the class
            del self.attributes[self.name]
        else:
            self.attributes[self.name] = self._found


class _Write(_Interceptor):
    __slots__ = ()
    name = "write"
    stream: ClassVar[str]

    def __init__(self, recorder: Recorder, target: Any) -> None:
        sync = StreamSync.of(target)
        super().__init__(recorder, target)
        self.sync = sync

    def __call__(self, text: Any) -> Any:
        sync, recording = self.sync, self.recorder.active
        # The watcher delivers late output, which may belong to the step before this one.
        is_late = sync is not None and get_ident() == sync.watcher_id
        if is_late:
            recording = self.recorder.pending or recording
        if not self.is_open or recording is None or self.recorder.is_forwarding():
            return self.original(text)
        if sync is None:
            return self._forward_text(text, recording)
        if os.getpid() != sync.process:
            return sync.write_in_child(text)
        if not is_late:
            self.recorder.drain_before_output()
            return self._forward_text(text, recording)
        text, has_marker = sync.strip_marker(text)
        try:
            return self._forward_text(text, recording)
        finally:
            if has_marker:
                sync.marker_arrived()

    def _forward_text(self, text: Any, recording: OutputRecording) -> Any:
        if text:
            self.recorder.show_heading(recording)
        # Recorded afterwards: if the stream raises, nothing was shown.
        result = self.original(text)
        recording.on_write(self.stream, text)
        return result


class _Stdout(_Write):
    __slots__ = ()
    stream = "stdout"


class _Stderr(_Write):
    __slots__ = ()
    stream = "stderr"


class _Publish(_Interceptor):
    __slots__ = ()
    name = "publish"

    def __call__(self, data: Any, metadata: Any = None, *args: Any, **options: Any) -> Any:
        recording = self.recorder.active
        if not self.is_open or recording is None or self.recorder.is_forwarding():
            return self.original(data, metadata, *args, **options)
        self.recorder.drain_before_output()
        update = bool(options.get("update"))
        if not update:  # an update changes an earlier display in place
            self.recorder.show_heading(recording)
        result = self.recorder.forward(self, data, metadata, *args, **options)
        display_id = (options.get("transient") or {}).get("display_id")
        recording.on_display(data, metadata, display_id, update=update)
        return result


class _Clear(_Interceptor):
    __slots__ = ()
    name = "clear_output"

    def __call__(self, wait: bool = False) -> Any:  # noqa: FBT001, FBT002 - the signature of the original
        recording = self.recorder.active
        if not self.is_open or recording is None:
            return self.original(wait)
        result = self.recorder.forward(self, wait)
        recording.on_clear(wait=wait)
        self.recorder.reset_headings()
        return result
