"""Waits until what child processes and C code have written so far has arrived.

A Jupyter kernel puts a pipe in the place of file descriptors 1 and 2 and reads it in a
thread, which hands on what it finds to ``sys.stdout.write`` or ``sys.stderr.write``. So such
output arrives a little later than it was written, maybe when another reactor is at work
already. A fence is a marker that is written to the descriptor: when the thread brings it,
everything that was written before has come.

A marker costs some ten microseconds, too much for each step of each reactor, and reaches the
terminal of the server as well. So it is written only if something may be under way: the pipe
holds data, or the thread has used processor time since everything was known to have arrived.
(The pipe alone does not tell: the thread may have read it and wait for the interpreter.)
Where the processor time of a thread cannot be asked for, a marker is written whenever the
last look is longer ago than a millisecond, as it is after a process.

The marker is made of characters that terminals do not show, 32 of them by chance. Kernels
that do not watch their descriptors (on Windows, under pytest, in a terminal) have no fence.
"""

from __future__ import annotations

import os
import select
import threading
import time
from functools import cache
from typing import Any

from pyplant.errors import logger

__all__ = ["StreamSync"]

_PATIENCE = 1.0  # seconds, after which one looks why nothing has come
_STUCK = 10.0  # seconds in which a thread has its turn on the busiest machine
_SLOW = 0.001  # seconds
_BACK_TO_SLEEP, _LOOKS = 50e-6, 20  # seconds that a thread takes from handing on a marker to its next read
_MARKER = format(int.from_bytes(os.urandom(4), "little"), "032b").translate({48: "\0", 49: "\x7f"})


class StreamSync:
    """The fence of one output stream of a kernel.

    Parameters
    ----------
    descriptor
        Where child processes and C code write.
    pipe
        Where the thread reads what they wrote.
    watcher
        The thread.
    """

    def __init__(self, descriptor: int, pipe: int, watcher: threading.Thread) -> None:
        self.pipe = pipe
        self.thread = watcher.ident
        self.process = os.getpid()
        self.broken = False
        self._descriptor = descriptor
        self._arrived = threading.Event()
        self._begun = ""
        self._writable = select.poll()  # not `select.select`, which refuses descriptors above 1023
        self._writable.register(descriptor, select.POLLOUT)
        self._filled = select.poll()
        self._filled.register(pipe, select.POLLIN)
        self._idle_at = -1  # processor time of the thread when everything had arrived
        try:
            self._clock: int | None = time.pthread_getcpuclockid(watcher.ident or 0)
        except (OSError, AttributeError):  # macOS and Windows have no such clock
            self._clock = None

    @staticmethod
    def of(stream: Any) -> StreamSync | None:
        """The fence of a stream, if it watches a descriptor."""
        watcher = getattr(stream, "watch_fd_thread", None)
        pipe = getattr(stream, "_fid", None)
        descriptor = getattr(stream, "_original_stdstream_fd", None)
        if not isinstance(watcher, threading.Thread) or not watcher.is_alive():
            return None
        if not isinstance(pipe, int) or not isinstance(descriptor, int):
            return None
        return _sync(descriptor, pipe, watcher)

    def may_be_under_way(self, seconds: float) -> bool:
        """Whether something may have been written that has not arrived.

        Parameters
        ----------
        seconds
            How long ago the last look was.
        """
        if self.broken:
            return False
        if self._filled.poll(0):
            return True
        return seconds > _SLOW if self._clock is None else self._processor_time() != self._idle_at

    def _processor_time(self) -> int:
        return 0 if self._clock is None else time.clock_gettime_ns(self._clock)

    def wait(self) -> None:
        """Wait until all that was written up to now has arrived."""
        self._arrived.clear()
        # A full pipe must not block: then the thread is stuck, and nothing will arrive.
        writable = self._writable.poll(_STUCK * 1000)
        if writable:
            os.write(self._descriptor, _MARKER.encode("ascii"))
        if not writable or not self._comes():
            self.broken = True
            logger().info("Output of child processes is late; it is no longer waited for.")
        self._note_idle()

    def _note_idle(self) -> None:
        """Note the processor time of the thread once it is back in reading its pipe."""
        for _ in range(_LOOKS):
            self._idle_at = self._processor_time()
            time.sleep(_BACK_TO_SLEEP)  # lets the thread have the interpreter
            if self._processor_time() == self._idle_at:
                return

    def _comes(self) -> bool:
        """Wait for the marker; whether it has come. If the thread stays idle, the marker went elsewhere."""
        stuck_at = time.monotonic() + _STUCK
        used = self._processor_time()
        while not self._arrived.wait(_PATIENCE):
            before, used = used, self._processor_time()
            if time.monotonic() > stuck_at or (used == before and not self._filled.poll(0)):
                return self._arrived.is_set()
        return True

    def without_marker(self, text: str) -> tuple[str, bool]:
        """What the thread brings, without the marker; and whether that was in it."""
        text = self._begun + text
        before, marker, after = text.partition(_MARKER)
        if marker:
            self._begun = ""
            return before + after, True
        # The thread reads pieces of a fixed size, so the marker may come in two.
        begun = next((n for n in range(len(_MARKER) - 1, 0, -1) if text.endswith(_MARKER[:n])), 0)
        self._begun = text[len(text) - begun :]
        return text[: len(text) - begun], False

    def arrived(self) -> None:
        """Everything before the marker has been passed on."""
        self._arrived.set()

    def write_in_child(self, text: str) -> None:
        """Write in a forked process: through the pipe, so that it arrives here like all else of children."""
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self._descriptor, data) :]


@cache
def _sync(descriptor: int, pipe: int, watcher: threading.Thread) -> StreamSync:
    """One for each stream: a kernel has the same two as long as it lives, and each holds a file open."""
    return StreamSync(descriptor, pipe, watcher)
