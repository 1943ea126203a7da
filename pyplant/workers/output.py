"""Forward the output of workers to the run: prints, log records, and events such as progress.

No channel from a worker to the coordinator exists in every kind of pool, except the plant, which both
can open. So each attempt has an :class:`OutputForwarder`. It collects output in memory, and appends it to
a file in the folder of the run, one JSON line for each item: when the reactor flushes the stream, when
there is much of it, and after a tenth of a second, by a thread of the worker process. The coordinator polls
these files with an :class:`OutputReader`. Output that is not in the file when the attempt ends is sent with
its reply, so short attempts write no file. Neither side holds more than a few megabytes of output.

Several attempts may run in one process, in threads. ``sys.stdout`` and ``sys.stderr`` are replaced by
proxies while at least one attempt runs. A proxy finds the forwarder of its thread by a context variable, or
by the reactor for which the thread works (:mod:`pyplant.execution.nesting`), and passes the output of all
other threads on to the original stream.

The thread that writes the files also looks whether the folder of the run still exists. If it does not,
it interrupts the attempt, since nothing waits for its result.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from pyplant._fork import after_fork_in_child
from pyplant.events import Event
from pyplant.execution.nesting import tracer_of_thread
from pyplant.store.files import Files, OpenFile
from pyplant.workers.messages import OutputItem

__all__ = [
    "LIVE",
    "OutputForwarder",
    "OutputReader",
    "event_of",
    "forward_threads",
    "interrupt_if_told",
    "redirected",
]

LIVE = ".live"
"""The suffix of output files."""

_FLUSH_INTERVAL = 0.1  # seconds; people notice no delay, and a worker writes at most ten times a second
_PIECE = 1 << 16  # characters of text in one item, so that each line of the file is short
_BUFFER = 1 << 20  # characters in memory above which the printing thread writes them to the file
_CHUNK = 1 << 20  # bytes of the file that are read at once
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
        # Reentrant, since the garbage collector may run code that prints at any time.
        self._lock = threading.RLock()
        self._items: list[OutputItem] = []
        self._texts: list[str] = []  # what follows the items, in the stream _kind
        self._kind = ""
        self._text_size = 0  # characters in _texts
        self._size = 0  # characters of the items since the last write
        self._oldest = 0.0  # when the oldest item was added
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}

    def add_text(self, kind: str, text: str) -> None:
        """Add text of a stream. What is printed in one piece after another becomes one item."""
        with self._lock:
            size = self._text_size + len(text)
            if self._texts and kind == self._kind and size <= _PIECE:  # the usual case is fast
                self._texts.append(text)
                self._text_size = size
                return
            for start in range(0, len(text), _PIECE):
                self._join_texts()
                self._begin()
                self._kind = kind
                self._texts.append(text[start : start + _PIECE])
                self._text_size = len(self._texts[0])
                self._write_if_large()

    def add_bytes(self, kind: str, content: bytes) -> None:
        """Add text in UTF-8, which may end in the middle of a character."""
        with self._lock:
            decoder = self._decoders.setdefault(kind, codecs.getincrementaldecoder("utf-8")("replace"))
            self.add_text(kind, decoder.decode(content))

    def add(self, *parts: Any) -> None:
        """Add an item that is no text: its kind, then its parts."""
        with self._lock:
            self._join_texts()
            last = self._items[-1] if self._items else ("",)
            if parts[0] == last[0] == "ProgressAdvanced" and parts[:3] == last[:3]:
                self._items[-1] = parts
                return
            self._begin()
            self._items.append(parts)
            self._size += sum(len(part) for part in parts if isinstance(part, str))
            self._write_if_large()

    def _begin(self) -> None:
        """Note the time of the first item after a write."""
        if not self._size:
            self._oldest = time.monotonic()

    def _write_if_large(self) -> None:
        if self._size >= _BUFFER:
            self._write()

    def _join_texts(self) -> None:
        """End the item of the texts."""
        if self._texts:
            self._items.append((self._kind, "".join(self._texts)))
            self._texts.clear()
        self._size += self._text_size
        self._text_size = 0

    def emit(self, event: Event) -> None:
        """Add an event (see :mod:`pyplant.events`)."""
        self.add(type(event).__name__, *(getattr(event, name) for name in event.__slots__))

    def flush(self, *, older_than: float = 0.0) -> None:
        """Append the items to the output file if the oldest has waited for so many seconds."""
        with self._lock:
            if (self._size or self._texts) and time.monotonic() - self._oldest >= older_than:
                self._write()

    def _write(self) -> None:
        self._join_texts()
        self._size = 0
        if self._is_closed:
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
            self._join_texts()
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
_forwarders: WeakKeyDictionary[Any, OutputForwarder] = WeakKeyDictionary()  # by the tracer of their reactor
_redirected: set[OutputForwarder] = set()
_redirect_lock = threading.Lock()


def forward_threads(tracer: Any, forwarder: OutputForwarder) -> None:
    """Send what threads print and log that work for the reactor of a tracer to a forwarder, too."""
    _forwarders[tracer] = forwarder


def interrupt_if_told(*_: object) -> None:
    """Handle SIGINT in a worker process: raise ``KeyboardInterrupt`` if :meth:`OutputForwarder.interrupt` sent it.

    A terminal and Jupyter send the signal to all processes of a group. The coordinator is one of them, ends the run, and
    so tells its workers, a second time for them: the second interrupt would end ``finally`` blocks that the first began.
    """
    if any(forwarder.interrupted for forwarder in _redirected):
        raise KeyboardInterrupt


def _current_forwarder() -> OutputForwarder | None:
    forwarder = _forwarder.get()
    if forwarder is None and _forwarders and (tracer := tracer_of_thread()) is not None:
        return _forwarders.get(tracer)
    return forwarder


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
                _flush_streams()
                _remove_proxies()
        _forwarder.reset(token)


class _StreamProxy:
    """Replaces standard output or error: sends the output of attempts to their forwarders, and the rest to the stream."""

    def __init__(self, kind: str, stream: Any) -> None:
        self.kind = kind
        self.stream = stream

    def write(self, text: str) -> int:
        forwarder = _forwarder.get() or _current_forwarder()  # the first is faster
        if forwarder is None:
            return len(text) if self.stream is None else int(self.stream.write(text))
        if not isinstance(text, str):
            message = f"write() argument must be str, not {type(text).__name__}"
            raise TypeError(message)
        forwarder.add_text(self.kind, text)
        return len(text)

    @property
    def buffer(self) -> _BinaryProxy:
        return _BinaryProxy(self)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        forwarder = _current_forwarder()
        if forwarder is not None:
            forwarder.flush()
        elif self.stream is not None:
            self.stream.flush()

    def isatty(self) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class _BinaryProxy:
    """Replaces the binary stream below a text stream."""

    def __init__(self, proxy: _StreamProxy) -> None:
        self._proxy = proxy

    def write(self, data: Any) -> int:
        forwarder = _current_forwarder()
        if forwarder is None:
            return int(self._proxy.stream.buffer.write(data))
        content = bytes(memoryview(data))
        forwarder.add_bytes(self._proxy.kind, content)
        return len(content)

    def flush(self) -> None:
        self._proxy.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._proxy.stream.buffer, name)


class _LogProxy(logging.Handler):
    """Forwards log records from other processes. In the process of the run its own handlers receive them."""

    def emit(self, record: logging.LogRecord) -> None:
        forwarder = _current_forwarder()
        if forwarder is None or forwarder.shares_process:
            return
        try:
            text = record.getMessage()
            trace = self._formatter.formatException(record.exc_info) if record.exc_info else record.exc_text
        except Exception:  # noqa: BLE001 - arguments that do not match the format; logging reports it without raising
            self.handleError(record)
            return
        attributes = {name: value for name, value in vars(record).items() if type(value) in _PLAIN}
        attributes.pop("message", None)  # other handlers may have formatted the record
        forwarder.add("log", record.name, record.levelno, str(text), {**attributes, "exc_text": trace})

    _formatter = logging.Formatter()


_PLAIN = frozenset((str, int, float, bool, type(None)))
"""Types of the attributes of log records that are forwarded."""

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


def _flush_streams() -> None:
    """Flush the original streams: a worker that is killed later would lose what is buffered."""
    for proxy in _proxies:
        with contextlib.suppress(Exception):  # it may be any object
            proxy.stream.flush()


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
            forwarder.flush(older_than=_FLUSH_INTERVAL)
            if not forwarder.is_run_active():
                forwarder.interrupt()


@after_fork_in_child
def _after_fork() -> None:
    """Restore the streams in a forked child: it has no thread that would write its output to a file."""
    global _has_forwarders, _redirect_lock  # another thread of the parent may have held the locks
    _has_forwarders, _redirect_lock = threading.Event(), threading.Lock()
    _redirected.clear()
    _forwarders.clear()
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

    Attributes
    ----------
    has_more
        Whether there was probably more to read in the last call of :meth:`read_new`.
    """

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._files = files
        self._offsets: dict[str, int] = {}  # bytes read so far, by attempt
        self.has_more = False

    def read_new(self, names: Iterable[str]) -> Iterator[tuple[str, OutputItem]]:
        """Yield the next chunk of what each of these attempts has written, with their names."""
        present = set(self._files.names(self._folder))
        more = False
        for name in names:
            if name + LIVE in present:
                start = self._offsets.get(name, 0)
                for item in self._next_items(name):
                    yield name, item
                more |= self._offsets[name] - start > _CHUNK // 2
        self.has_more = more

    def read(self, name: str, until: int = 0) -> Iterator[OutputItem]:
        """Yield all that an attempt has written since it was last read; ``until`` is the length of its file if it ended."""
        deadline = time.monotonic() + _VISIBILITY_TIMEOUT
        while True:
            start = self._offsets.get(name, 0)
            yield from self._next_items(name)
            if self._offsets.get(name, 0) > start:
                continue
            # A network file system may show the last lines late.
            if start >= until or time.monotonic() > deadline:
                return
            time.sleep(_FLUSH_INTERVAL)

    def _next_items(self, name: str) -> Iterator[OutputItem]:
        """Yield a chunk of the items that were not read yet."""
        start = self._offsets.get(name, 0)
        size, data, whole = _CHUNK, b"", b""
        while not whole:
            with contextlib.suppress(OSError):
                data = self._files.read(self._folder / f"{name}{LIVE}", start, size)
            # The worker may be in the middle of a line; the rest is read next time.
            whole = data[: data.rfind(b"\n") + 1]
            if len(data) < size:
                break
            size *= 2  # a line that is longer than the chunk
        self._offsets[name] = start + len(whole)
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):  # a write that failed half way
                yield tuple(json.loads(line))

    def forget(self, name: str) -> None:
        """Delete the output file of an attempt that is over."""
        if self._offsets.pop(name, 0):
            with contextlib.suppress(OSError):
                self._files.unlink(self._folder / f"{name}{LIVE}")
