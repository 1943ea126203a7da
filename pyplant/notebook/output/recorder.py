"""Takes down what reactors show in a notebook, in order, while it is shown.

Output reaches people through four doors: ``write`` of the two output streams, and ``publish``
and ``clear_output`` of the shell's display publisher. While a reactor's step runs each of
them has a tap: what passes goes into the record of that reactor, and on to where it went
anyway. Taps are set into the objects that are there, since others hold them: logging
handlers, threads, and the one that brings what child processes write (see
:mod:`pyplant.notebook.output.stream_sync`).

The rules:

* Output that comes late, from child processes and C code, is waited for when a reactor has
  returned, and before the step of another. Until then it belongs to the one whose step it was.
* Taps are set by the first step of a run and go when it ends; they take down only in steps.
  IPython itself replaces ``write`` for the time of a cell, so what was found is put back.
* Nothing here raises into a reactor. Where taking down fails, output passes on.
* Most reactors of a large run show nothing, and their steps must cost next to nothing: a
  glance decides whether there is anything to wait for, to show or to compare.

What cannot be told: the output of a thread that outlives its reactor counts as output of
whichever reactor is at work when it comes. A forked process can add text, but no displays.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext, suppress
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

_OVER = nullcontext()
_TOGETHER = 0.0002  # seconds in which a reactor hardly starts a process and waits for it


class Recorder:
    """Makes the recordings of one shell.

    Parameters
    ----------
    shell
        An ``InteractiveShell``.
    """

    def __init__(self, shell: Any) -> None:
        self.active: OutputRecording | None = None
        self.late: OutputRecording | None = (
            None  # whose step has ended, but not all that it wrote may have come
        )
        self.random_state: random_state.RandomState | None = None  # after the last step of this run
        self.warned: set[str] = set()
        self._shell = shell
        self._channels: tuple[Any, Any, Any] = (None, None, None)
        self._interceptors: list[_Interceptor] = []
        self._syncs: list[StreamSync] = []
        self._steps: list[OutputRecording] = []
        self._shown_last: OutputRecording | None = None
        self._passing: set[int] = set()
        self._settled = 0.0

    def record(self, reactor: str, *, heading: str = "") -> OutputRecording:
        """A reactor begins.

        Parameters
        ----------
        reactor
            Its name.
        heading
            A line above what it shows, also where it goes on after another reactor; not recorded.
            Without one, its name stands above what it shows after another.
        """
        return OutputRecording(self, reactor, heading)

    # ------------------------------------------------------------------ steps

    def enter(self, recording: OutputRecording) -> None:
        """A step begins. A step within a step is one of another plant."""
        is_intercepted = bool(self._steps) or self._is_intercepted()
        if self.late is None and not self._steps:
            self._settled = time.perf_counter()
        elif self.late is not recording or not is_intercepted:
            self.settle()
        self._steps.append(recording)
        self.active = recording
        if not is_intercepted:
            self._install_interceptors()

    def leave(self, recording: OutputRecording) -> None:
        """A step has ended, or was interrupted before it began."""
        steps = self._steps
        if recording not in steps:
            return
        steps.remove(recording)
        self.active = steps[-1] if steps else None
        self.late = recording

    def rest(self) -> None:
        """A run has ended: the taps go, unless that was a run within a step."""
        if not self._steps:
            self.late = self.random_state = None
            self._remove_interceptors()

    def _is_intercepted(self) -> bool:
        out, err, publisher = self._channels
        if sys.stdout is not out or sys.stderr is not err or self._shell.display_pub is not publisher:
            return False
        return all(
            interceptor.attributes.get(interceptor.name) is interceptor for interceptor in self._interceptors
        )

    def _install_interceptors(self) -> None:
        self._remove_interceptors()
        out, err, publisher = self._channels = sys.stdout, sys.stderr, self._shell.display_pub
        for kind, channel in ((_Stdout, out), (_Stderr, err), (_Publish, publisher), (_Clear, publisher)):
            # What takes no tap (no stream at all, say) is not recorded; one stream for both gets one tap.
            if not (kind is _Stderr and err is out):
                with suppress(TypeError, AttributeError):
                    self._interceptors.append(kind(self, channel))
        self._syncs = [interceptor.sync for interceptor in self._interceptors if interceptor.sync is not None]

    def _remove_interceptors(self) -> None:
        for interceptor in self._interceptors:
            interceptor.remove()
        self._interceptors = []
        self._channels = (None, None, None)

    def settle(self) -> None:
        """Wait for what child processes and C code have written up to now."""
        now = time.perf_counter()
        seconds, self._settled = now - self._settled, now
        try:
            for sync in self._syncs:
                if sync.may_be_under_way(seconds):
                    sync.wait()
        finally:
            self.late = None

    def keep_order(self) -> None:
        """Something is about to be shown: what others wrote before comes first."""
        if time.perf_counter() - self._settled > _TOGETHER:
            self.settle()

    # ------------------------------------------------------------------ what is shown

    def announce(self, recording: OutputRecording) -> None:
        """A recording is about to show something: its heading comes first, unless it showed something last."""
        last, self._shown_last = self._shown_last, recording
        if recording is last:
            return
        heading = recording.heading or (recording.reactor if last is not None else "")
        publish = next(
            (interceptor for interceptor in self._interceptors if isinstance(interceptor, _Publish)), None
        )
        if heading and publish is not None:
            html = f'<div style="{_HEADING}">{escape(heading)}</div>'
            with suppress(Exception):  # a line less is better than an error in somebody's print()
                self.pass_on(publish, {"text/plain": clean(heading), "text/html": html}, {})

    def cleared(self) -> None:
        """The output of the cell is gone with all headings, or that of another cell begins."""
        self._shown_last = None

    def pass_on(self, interceptor: _Interceptor, /, *args: Any, **options: Any) -> Any:
        """Let something pass; what that writes in turn (in a terminal, displays are text) is no output of its own."""
        thread = get_ident()
        self._passing.add(thread)
        try:
            return interceptor.original(*args, **options)
        finally:
            self._passing.discard(thread)

    def is_passing(self) -> bool:
        """Whether this thread is in the midst of letting something pass."""
        return bool(self._passing) and get_ident() in self._passing


class OutputRecording:
    """What one execution of a reactor shows. It is the context of each of its steps itself.

    Attributes
    ----------
    reactor, heading
        See :meth:`Recorder.record`.
    notes
        What it did that a cached result will not do again, for people.
    """

    __slots__ = (
        *("_broken", "_figures", "_is_over", "_record", "_recorder"),
        *("heading", "notes", "reactor"),
    )

    def __init__(self, recorder: Recorder, reactor: str, heading: str) -> None:
        self.heading = heading
        self.notes: tuple[str, ...] = ()
        self._recorder = recorder
        self.reactor = reactor
        self._record = OutputRecord()
        self._figures = Figures()
        self._broken = self._is_over = False

    def step(self) -> AbstractContextManager[None]:
        """Around each step of the reactor: what is shown inside belongs to it."""
        return _OVER if self._is_over else self

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
        before, after = self._recorder.random_state, random_state.read()
        self._recorder.random_state = after
        try:
            self._recorder.leave(self)
            self._figures.leave()
        except Exception:  # noqa: BLE001
            self._fail()
        names = random_state.changed(before, after) if before is not None else ()
        if names:
            self.notes = tuple(
                sorted({*self.notes, *(f"the global random state of {name}" for name in names)})
            )

    def show(self, value: Any) -> None:
        """Display the value of a cell's last expression, inside a step."""
        if value is not None:
            from IPython.display import display

            display(value)

    def finish(self) -> list[Output]:
        """The reactor has returned.

        Returns
        -------
        outputs
            What it showed, in order, in the form of the notebook format; JSON-able.
        """
        self._end()
        self._is_over = True  # closing the generator that has returned is a step in which nothing happens
        outputs: list[Output] = []
        try:
            outputs = self._record.outputs()
        except Exception:  # noqa: BLE001
            self._fail()
        if self.notes and self.reactor not in self._recorder.warned:
            self._recorder.warned.add(self.reactor)
            warn(PlantWarning, _random_state(self.reactor, self.notes))
        return outputs

    def abandon(self) -> None:
        """The reactor failed, or was closed where it stood: nothing is kept, but its figures are shown."""
        if self._is_over:  # it has returned, and is only closed
            return
        self._recorder.leave(self)  # in case a step was interrupted while it began or ended
        self._end()

    # ------------------------------------------------------------------ from the taps

    def wrote(self, stream: str, text: str) -> None:
        """Text has passed."""
        if not self._broken:
            try:
                self._record.write(stream, text)
            except Exception:  # noqa: BLE001
                self._fail()

    def displayed(self, data: Any, metadata: Any, display_id: str | None, *, update: bool) -> None:
        """A display has passed, or the update of one."""
        if not self._broken:
            try:
                put = self._record.update if update else self._record.display
                put(data, metadata or {}, display_id)
            except Exception:  # noqa: BLE001
                self._fail()

    def cleared(self, *, wait: bool) -> None:
        """Output was cleared."""
        self._record.clear(wait=wait)

    def _end(self) -> None:
        """After the last step: show the figures, and wait for what is under way."""
        try:
            if self._figures:
                with self:
                    self._figures.flush()
                self._figures.hand_over()
            self._recorder.settle()
        except Exception:  # noqa: BLE001
            self._fail()

    def _fail(self) -> None:
        self._broken = True  # first: what the log writes may pass a tap
        logger().warning("What %r shows cannot be taken down.", self.reactor, exc_info=True)


def _random_state(reactor: str, notes: tuple[str, ...]) -> str:
    return (
        f"Reactor {reactor!r} changed {' and '.join(notes)}. That is not repeated when its result is taken from "
        f"the plant, so other code then draws other numbers. A generator of its own keeps apart: "
        f"rng = numpy.random.default_rng(seed)."
    )


class _Interceptor:
    """An attribute of an object that is replaced by this for a while.

    Whoever replaces it in turn and does not put it back has buried the tap: another one is set,
    and once removed it lets everything pass for ever.
    """

    __slots__ = ("_found", "attributes", "is_open", "original", "recorder", "sync", "target")
    name: ClassVar[str]

    def __init__(self, recorder: Recorder, target: Any) -> None:
        self.recorder = recorder
        self.target = target
        self.original = getattr(target, self.name)
        self.sync: StreamSync | None = None
        self.is_open = True
        self.attributes = vars(target)
        self._found = self.attributes.get(self.name)
        self.attributes[self.name] = self

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Take the place of the attribute."""
        raise NotImplementedError

    def remove(self) -> None:
        """Put back what was there."""
        self.is_open = False
        if self.attributes.get(self.name) is not self:
            return
        if self._found is None:
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
        is_brought = sync is not None and get_ident() == sync.thread
        if is_brought:
            recording = self.recorder.late or recording
        if not self.is_open or recording is None or self.recorder.is_passing():
            return self.original(text)
        if sync is None:
            return self._pass(text, recording)
        if os.getpid() != sync.process:
            return sync.write_in_child(text)
        if not is_brought:
            self.recorder.keep_order()
            return self._pass(text, recording)
        text, is_marked = sync.without_marker(text)
        try:
            return self._pass(text, recording)
        finally:
            if is_marked:
                sync.arrived()

    def _pass(self, text: Any, recording: OutputRecording) -> Any:
        if text:
            self.recorder.announce(recording)
        result = self.original(text)
        recording.wrote(self.stream, text)
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
        if not self.is_open or recording is None:
            return self.original(data, metadata, *args, **options)
        self.recorder.keep_order()
        update = bool(options.get("update"))
        if not update:
            self.recorder.announce(recording)
        result = self.recorder.pass_on(self, data, metadata, *args, **options)
        display_id = (options.get("transient") or {}).get("display_id")
        recording.displayed(data, metadata, display_id, update=update)
        return result


class _Clear(_Interceptor):
    __slots__ = ()
    name = "clear_output"

    def __call__(self, wait: bool = False) -> Any:  # noqa: FBT001, FBT002 - its signature
        recording = self.recorder.active
        if not self.is_open or recording is None:
            return self.original(wait)
        result = self.recorder.pass_on(self, wait)
        recording.cleared(wait=wait)
        self.recorder.cleared()
        return result
