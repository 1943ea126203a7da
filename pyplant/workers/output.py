"""Forward the output of workers to the run: prints, log records, and events such as progress.

No channel from a worker to the coordinator exists in every kind of pool, except the plant, which both
can open. So each attempt has an :class:`OutputForwarder`. It collects output in memory, and a thread
of the worker process appends output older than a tenth of a second to a file in the folder of the run,
one JSON line for each item. The coordinator polls these files with an :class:`OutputReader`. Output that
is not in the file when the attempt ends is sent with its reply, so short attempts write no file.

Several attempts may run in one process, in threads. ``sys.stdout`` and ``sys.stderr`` are replaced by
proxies while at least one attempt runs; a proxy finds the forwarder of its thread by a context variable
and passes the output of all other threads on to the original stream.

The thread that writes the files also looks whether the folder of the run still exists. If it does not,
it interrupts the attempt, since nothing waits for its result.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pyplant._fork import after_fork_in_child
from pyplant.events import Event
from pyplant.store.files import Files, OpenFile
from pyplant.workers.messages import OutputItem

__all__ = ["LIVE", "OutputForwarder", "OutputReader", "event_of", "redirected"]

LIVE = ".live"
"""The suffix of output files."""

_FLUSH_INTERVAL = 0.1  # seconds; people notice no delay, and a worker writes at most ten times a second
_VISIBILITY_TIMEOUT = 5.0  # seconds to wait until a network file system shows the file of another machine


class OutputForwarder:
    """Collects the output of one attempt.

    Parameters
    ----------
    folder
        The folder of the run.
    name
        The name of the attempt.
    files
        The disk.
    shares_process
        Whether the coordinator of the run is this process.
    """

    def __init__(self, folder: Path, name: str, files: Files, *, shares_process: bool) -> None:
        self.folder = folder
        self.shares_process = shares_process
        self.written = 0
        self._thread = threading.get_ident()  # the one to interrupt
        self._is_closed = False
        self.interrupted = False
        self._path = folder / f"{name}{LIVE}"
        self._files = files
        self._stream: OpenFile | None = None
        self._lock = threading.Lock()
        self._items: list[OutputItem] = []
        self._oldest = 0.0  # when the oldest item was added

    def add(self, *parts: Any) -> None:
        """Add an item: its kind, then its parts. Text and progress are merged with the last item."""
        with self._lock:
            if not self._items:
                self._oldest = time.monotonic()
            last = self._items[-1] if self._items else ("",)
            # print() writes a text and its newline separately; merging makes one item of many, up to 64 Ki characters.
            if parts[0] in ("stdout", "stderr") and last[0] == parts[0] and len(last[1]) < 1 << 16:
                self._items[-1] = (parts[0], last[1] + parts[1])
            elif parts[0] == last[0] == "ProgressAdvanced" and parts[:3] == last[:3]:
                self._items[-1] = parts
            else:
                self._items.append(parts)

    def emit(self, event: Event) -> None:
        """Add an event (see :mod:`pyplant.events`)."""
        self.add(type(event).__name__, *(getattr(event, name) for name in event.__slots__))

    def flush(self) -> None:
        """Append the items to the output file if the oldest has waited long enough."""
        with self._lock:
            if not self._items or time.monotonic() - self._oldest < _FLUSH_INTERVAL:
                return
            lines = "".join(json.dumps(item) + "\n" for item in self._items).encode()
            try:
                self._stream = self._stream or self._files.open_append(self._path)
                self._stream.write(lines)
            except OSError:
                return  # the items stay here and are sent with the reply
            self._items.clear()
            self.written += len(lines)

    def take_items(self) -> tuple[OutputItem, ...]:
        """Return and remove the items that are not in the file."""
        with self._lock:
            items, self._items = tuple(self._items), []
            return items

    def close(self) -> None:
        """Close the file. After this :meth:`interrupt` does nothing, since the thread may run another attempt."""
        with self._lock:
            self._is_closed = True
            if self._stream is not None:
                self._stream.close()
                self._stream = None

    def is_run_active(self) -> bool:
        """Return whether the run that waits for this attempt is still under way."""
        return self._files.is_directory(self.folder)

    def interrupt(self) -> None:
        """Interrupt the attempt, as Ctrl-C would."""
        # A signal also ends system calls such as sleep, but only the main thread receives it, and in the process
        # of the user it would interrupt the user. Otherwise an exception is raised at the next bytecode.
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = self.interrupted = True
            if not self.shares_process and self._thread == threading.main_thread().ident:
                os.kill(os.getpid(), signal.SIGINT)
            else:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(KeyboardInterrupt)
                )


def event_of(item: OutputItem) -> Event | None:
    """Return the event that an item describes; ``None`` if it is text or a log record."""
    from pyplant import events

    kind = getattr(events, item[0], None) if item[0] in events.__all__ else None
    return None if kind is None else kind(*item[1:])


_forwarder: ContextVar[OutputForwarder | None] = ContextVar("pyplant_output", default=None)
_redirected: set[OutputForwarder] = set()
_redirect_lock = threading.Lock()


@contextlib.contextmanager
def redirected(forwarder: OutputForwarder) -> Iterator[None]:
    """Send everything that this thread prints and logs in the block to ``forwarder``."""
    token = _forwarder.set(forwarder)
    with _redirect_lock:
        _redirected.add(forwarder)
        if len(_redirected) == 1:
            _install_proxies()
    try:
        yield
    finally:
        with _redirect_lock:
            forwarder.close()
            _redirected.discard(forwarder)
            if not _redirected:
                _remove_proxies()
        _forwarder.reset(token)


class _StreamProxy:
    """Replaces standard output or error: sends the output of attempts to their forwarders, and the rest to the stream."""

    def __init__(self, kind: str, stream: Any) -> None:
        self.kind = kind
        self.stream = stream

    def write(self, text: str) -> int:
        forwarder = _forwarder.get()
        if forwarder is None:
            return len(text) if self.stream is None else int(self.stream.write(text))
        if text:
            forwarder.add(self.kind, str(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if _forwarder.get() is None and self.stream is not None:
            self.stream.flush()

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _LogProxy(logging.Handler):
    """Forwards log records from other processes. In the process of the run its own handlers receive them."""

    def emit(self, record: logging.LogRecord) -> None:
        forwarder = _forwarder.get()
        if forwarder is None or forwarder.shares_process:
            return
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not match the format; logging reports it without raising
            self.handleError(record)
            return
        if record.exc_info:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        forwarder.add("log", record.name, record.levelno, text)


_proxies: list[_StreamProxy] = []
_log_proxy = _LogProxy()
_has_forwarders = threading.Event()
_flusher: list[threading.Thread] = []


def _install_proxies() -> None:
    _proxies[:] = [_StreamProxy("stdout", sys.stdout), _StreamProxy("stderr", sys.stderr)]
    for proxy in _proxies:
        setattr(sys, proxy.kind, proxy)
    logging.getLogger().addHandler(_log_proxy)
    _has_forwarders.set()
    if not _flusher or not _flusher[0].is_alive():
        _flusher[:] = [threading.Thread(target=_flush_periodically, name="pyplant-output", daemon=True)]
        _flusher[0].start()


def _remove_proxies() -> None:
    _has_forwarders.clear()
    for proxy in _proxies:
        if getattr(sys, proxy.kind) is proxy:
            setattr(sys, proxy.kind, proxy.stream)
    _proxies.clear()
    logging.getLogger().removeHandler(_log_proxy)


def _flush_periodically() -> None:
    """Write the output of running attempts to files, and interrupt attempts whose run is over."""
    while True:
        _has_forwarders.wait()
        time.sleep(_FLUSH_INTERVAL)
        with _redirect_lock:
            forwarders = list(_redirected)
        # Outside the lock, since a slow disk must not delay attempts that begin or end.
        for forwarder in forwarders:
            forwarder.flush()
            if not forwarder.is_run_active():
                forwarder.interrupt()


@after_fork_in_child
def _after_fork() -> None:
    """Restore the streams in a forked child: it has no thread that would write its output to a file."""
    global _has_forwarders, _redirect_lock  # another thread of the parent may have held the locks
    _has_forwarders, _redirect_lock = threading.Event(), threading.Lock()
    _redirected.clear()
    _flusher.clear()
    _forwarder.set(None)
    _remove_proxies()


# ---------------------------------------------------------------------- in the coordinator


class OutputReader:
    """Reads the output files of a run.

    Parameters
    ----------
    folder
        The folder of the run.
    files
        The disk.
    """

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._files = files
        self._offsets: dict[str, int] = {}  # bytes read so far, by attempt

    def read_new(self, names: Iterable[str]) -> Iterator[tuple[str, OutputItem]]:
        """Yield what these attempts have written since it was last read, with their names."""
        present = set(self._files.names(self._folder))
        for name in names:
            if name + LIVE in present:
                for item in self.read(name):
                    yield name, item

    def read(self, name: str, until: int | None = None) -> list[OutputItem]:
        """Return what an attempt has written since it was last read; ``until`` is the final length of its file, if known."""
        start = self._offsets.get(name, 0)
        deadline = time.monotonic() + _VISIBILITY_TIMEOUT
        while True:
            data = b""
            with contextlib.suppress(OSError):
                data = self._files.read(self._folder / f"{name}{LIVE}", start)
            # A network file system may show the last lines late.
            if until is None or start + len(data) >= until or time.monotonic() > deadline:
                break
            time.sleep(_FLUSH_INTERVAL)
        # The worker may be in the middle of a line; the rest is read next time.
        whole = data[: data.rfind(b"\n") + 1]
        self._offsets[name] = start + len(whole)
        return [tuple(json.loads(line)) for line in whole.splitlines()]

    def forget(self, name: str) -> None:
        """Delete the output file of an attempt that is over."""
        if self._offsets.pop(name, 0):
            with contextlib.suppress(OSError):
                self._files.unlink(self._folder / f"{name}{LIVE}")
