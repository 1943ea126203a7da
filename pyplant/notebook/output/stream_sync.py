"""Waits until the output that child processes and C code have written so far has arrived.

Theory of operation. A Jupyter kernel replaces the file descriptors 1 and 2 by a pipe. A thread of
the kernel, the *watcher*, reads the pipe and passes what it reads to ``sys.stdout.write`` or
``sys.stderr.write``. Such output therefore arrives later than it was written, possibly when another
reactor is already running. To wait for it, :meth:`StreamSync.wait` writes a *marker* to the
descriptor: a pipe keeps its order, so when the watcher delivers the marker, everything written
before it has been delivered too.

A marker costs about ten microseconds and also reaches the terminal of the server. That is too much
for each step of each reactor, so a marker is written only if output may be pending: the pipe holds
data, or the watcher has used processor time since the last moment at which everything had arrived.
The pipe alone is not enough, since the watcher may have read the data and wait for the interpreter
lock. Where the processor time of a thread cannot be read, a marker is written if the last check is
more than a millisecond old, because a child process takes longer than that.

The marker consists of characters that terminals do not show, in a random pattern of 32. Kernels
that do not watch their descriptors (on Windows, under pytest, in a terminal) have no
:class:`StreamSync`; output of child processes does not pass through the kernel there.
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

_CHECK_PERIOD = 1.0  # seconds between two checks of whether the watcher still makes progress
_TIMEOUT = 10.0  # seconds; a thread gets its turn within this time even on a busy machine
_SHORTEST_PROCESS = 0.001  # seconds; a child process does not start, write and end in less
_RETURN_TIME = 50e-6  # seconds that the watcher needs from delivering a marker to its next read
_RETURN_CHECKS = 20
# NUL and DEL instead of 0 and 1: no terminal shows them. Random, so that user output cannot contain it by accident.
_MARKER = format(int.from_bytes(os.urandom(4), "little"), "032b").translate({48: "\0", 49: "\x7f"})


class StreamSync:
    """Synchronizes with the watcher thread of one output stream.

    Parameters
    ----------
    descriptor
        The file descriptor that child processes and C code write to.
    pipe
        The end of the pipe that the watcher reads.
    watcher
        The thread that reads the pipe.

    Attributes
    ----------
    is_broken
        Whether a marker got lost or timed out. Nothing is waited for after that.
    process
        Id of the process that created this object; a forked child has no watcher.
    watcher_id
        Identifier of the watcher thread, to recognize what it writes.
    """

    def __init__(self, descriptor: int, pipe: int, watcher: threading.Thread) -> None:
        self.pipe = pipe
        self.watcher_id = watcher.ident
        self.process = os.getpid()
        self.is_broken = False
        self._descriptor = descriptor
        self._marker_arrived = threading.Event()
        self._partial_marker = ""  # the end of the last text, if a marker may begin with it
        # `select.poll`, since `select.select` refuses descriptors above 1023.
        self._writable = select.poll()
        self._writable.register(descriptor, select.POLLOUT)
        self._readable = select.poll()
        self._readable.register(pipe, select.POLLIN)
        self._idle_time = -1  # processor time of the watcher when everything had arrived
        try:
            self._clock: int | None = time.pthread_getcpuclockid(watcher.ident or 0)
        except (OSError, AttributeError):  # macOS and Windows have no such clock
            self._clock = None

    @staticmethod
    def of(stream: Any) -> StreamSync | None:
        """Return the object for a stream, or ``None`` if the stream does not watch a descriptor."""
        watcher = getattr(stream, "watch_fd_thread", None)
        pipe = getattr(stream, "_fid", None)
        descriptor = getattr(stream, "_original_stdstream_fd", None)
        if not isinstance(watcher, threading.Thread) or not watcher.is_alive():
            return None
        if not isinstance(pipe, int) or not isinstance(descriptor, int):
            return None
        return _sync(descriptor, pipe, watcher)

    def may_have_pending(self, seconds: float) -> bool:
        """Return whether output may have been written that has not arrived.

        Parameters
        ----------
        seconds
            Time since the last call.
        """
        if self.is_broken:
            return False
        if self._readable.poll(0):
            return True
        return seconds > _SHORTEST_PROCESS if self._clock is None else self._watcher_time() != self._idle_time

    def _watcher_time(self) -> int:
        return 0 if self._clock is None else time.clock_gettime_ns(self._clock)

    def wait(self) -> None:
        """Wait until everything written so far has arrived."""
        self._marker_arrived.clear()
        # Writing to a full pipe would block for ever: the watcher is stuck, and nothing will arrive.
        writable = self._writable.poll(_TIMEOUT * 1000)
        if writable:
            os.write(self._descriptor, _MARKER.encode("ascii"))
        if not writable or not self._wait_for_marker():
            self.is_broken = True
            logger().info("Output of child processes is late; it is no longer waited for.")
        self._record_idle_time()

    def _record_idle_time(self) -> None:
        """Record the processor time of the watcher once it reads the pipe again.

        It uses some time between delivering the marker and its next read. Recorded too early, the
        value would differ at the next check, and a needless marker would be written.
        """
        for _ in range(_RETURN_CHECKS):
            self._idle_time = self._watcher_time()
            time.sleep(_RETURN_TIME)  # releases the interpreter lock, which the watcher needs
            if self._watcher_time() == self._idle_time:
                return

    def _wait_for_marker(self) -> bool:
        """Wait for the marker; return whether it arrived.

        A watcher that neither uses processor time nor has data in its pipe never received the
        marker: other code has redirected the descriptor. Waiting for the timeout would not help.
        """
        deadline = time.monotonic() + _TIMEOUT
        used = self._watcher_time()
        while not self._marker_arrived.wait(_CHECK_PERIOD):
            before, used = used, self._watcher_time()
            if time.monotonic() > deadline or (used == before and not self._readable.poll(0)):
                return self._marker_arrived.is_set()
        return True

    def strip_marker(self, text: str) -> tuple[str, bool]:
        """Remove the marker from text that the watcher delivers.

        Returns
        -------
        text
            The text to pass on. Characters that may begin a marker are held back until the next call.
        has_marker
            Whether the marker was in it.
        """
        text = self._partial_marker + text
        before, marker, after = text.partition(_MARKER)
        if marker:
            self._partial_marker = ""
            return before + after, True
        # The watcher reads blocks of a fixed size, so a marker may be split over two calls.
        length = next((n for n in range(len(_MARKER) - 1, 0, -1) if text.endswith(_MARKER[:n])), 0)
        self._partial_marker = text[len(text) - length :]
        return text[: len(text) - length], False

    def marker_arrived(self) -> None:
        """Wake up :meth:`wait`; to be called when everything before the marker was passed on."""
        self._marker_arrived.set()

    def write_in_child(self, text: str) -> None:
        """Write from a forked process: through the pipe, so that the parent receives it like other child output."""
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self._descriptor, data) :]


@cache
def _sync(descriptor: int, pipe: int, watcher: threading.Thread) -> StreamSync:
    """Create one object per stream: a kernel keeps its two streams for life, and each object holds a file open."""
    return StreamSync(descriptor, pipe, watcher)
