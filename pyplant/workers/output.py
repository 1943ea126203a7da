"""What an attempt has to say while it lasts: prints, log records, progress, subreactors.

There is no line from a worker to the notebook that every pool has. But there is the plant,
which both see: who has something to say for longer than a moment writes it down in the
folder of the run, a JSON line each; the run looks there now and then. What a short attempt
says comes with its reply, so that it touches no file.
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
from pyplant.workers.messages import Said

__all__ = ["LIVE", "OutputForwarder", "Reader", "event_of", "redirected"]

LIVE = ".live"
"""How the names of these files end."""

_MOMENT = 0.1  # seconds after which what was said is written down
_PATIENCE = 5.0  # seconds in which a file becomes visible on another machine


class OutputForwarder:
    """What one attempt says.

    Parameters
    ----------
    folder
        Of the run.
    name
        Of the attempt.
    files
        The disk.
    is_home
        Whether the run is one of this process.
    """

    def __init__(self, folder: Path, name: str, files: Files, *, is_home: bool) -> None:
        self.folder = folder
        self.is_home = is_home
        self.written = 0
        self._thread = threading.get_ident()
        self._is_over = False
        self._path = folder / f"{name}{LIVE}"
        self._files = files
        self._stream: OpenFile | None = None
        self._lock = threading.Lock()
        self._said: list[Said] = []
        self._since = 0.0

    def say(self, *parts: Any) -> None:
        """Say something: what kind of thing, then its parts."""
        with self._lock:
            if not self._said:
                self._since = time.monotonic()
            last = self._said[-1] if self._said else ("",)
            if parts[0] in ("stdout", "stderr") and last[0] == parts[0] and len(last[1]) < 1 << 16:
                self._said[-1] = (parts[0], last[1] + parts[1])
            elif parts[0] == last[0] == "ProgressAdvanced" and parts[:3] == last[:3]:
                self._said[-1] = parts
            else:
                self._said.append(parts)

    def emit(self, event: Event) -> None:
        """Tell an event (see :mod:`pyplant.events`)."""
        self.say(type(event).__name__, *(getattr(event, name) for name in event.__slots__))

    def write_down(self) -> None:
        """Write down what was said, if that is a while ago."""
        with self._lock:
            if not self._said or time.monotonic() - self._since < _MOMENT:
                return
            lines = "".join(json.dumps(said) + "\n" for said in self._said).encode()
            try:
                self._stream = self._stream or self._files.open_append(self._path)
                self._stream.write(lines)
            except OSError:
                return  # it comes with the reply
            self._said.clear()
            self.written += len(lines)

    def rest(self) -> tuple[Said, ...]:
        """What was said and is not written down."""
        with self._lock:
            said, self._said = tuple(self._said), []
            return said

    def end(self) -> None:
        """The attempt is over: whatever happens now must not stop it."""
        with self._lock:
            self._is_over = True
            if self._stream is not None:
                self._stream.close()
                self._stream = None

    def is_awaited(self) -> bool:
        """Whether the run that waits for it still is."""
        return self._files.is_directory(self.folder)

    def stop(self) -> None:
        """Interrupt the attempt, as Ctrl-C would."""
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            if not self.is_home and self._thread == threading.main_thread().ident:
                os.kill(os.getpid(), signal.SIGINT)  # this wakes those who sleep as well
            else:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread), ctypes.py_object(KeyboardInterrupt)
                )


def event_of(said: Said) -> Event | None:
    """The event that was told, if it was one."""
    from pyplant import events

    kind = getattr(events, said[0], None) if said[0] in events.__all__ else None
    return None if kind is None else kind(*said[1:])


_forwarder: ContextVar[OutputForwarder | None] = ContextVar("pyplant_voice", default=None)
_redirected: set[OutputForwarder] = set()
_guard = threading.Lock()


@contextlib.contextmanager
def redirected(forwarder: OutputForwarder) -> Iterator[None]:
    """Have all that this thread prints and logs said by ``forwarder`` meanwhile."""
    token = _forwarder.set(forwarder)
    with _guard:
        _redirected.add(forwarder)
        if len(_redirected) == 1:
            _install_proxies()
    try:
        yield
    finally:
        with _guard:
            forwarder.end()
            _redirected.discard(forwarder)
            if not _redirected:
                _remove_proxies()
        _forwarder.reset(token)


class _StreamProxy:
    """Standard output or error: what an attempt prints goes to its voice, all else where it went before."""

    def __init__(self, kind: str, stream: Any) -> None:
        self.kind = kind
        self.stream = stream

    def write(self, text: str) -> int:
        forwarder = _forwarder.get()
        if forwarder is None:
            return len(text) if self.stream is None else int(self.stream.write(text))
        if text:
            forwarder.say(self.kind, str(text))
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
    """Where the loggers are not those of the run, what is logged has a way to go."""

    def emit(self, record: logging.LogRecord) -> None:
        forwarder = _forwarder.get()
        if forwarder is None or forwarder.is_home:
            return
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - arguments that do not fit; logging tells it without raising
            self.handleError(record)
            return
        if record.exc_info:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        forwarder.say("log", record.name, record.levelno, text)


_proxies: list[_StreamProxy] = []
_log_proxy = _LogProxy()
_anybody = threading.Event()
_attendant: list[threading.Thread] = []


def _install_proxies() -> None:
    _proxies[:] = [_StreamProxy("stdout", sys.stdout), _StreamProxy("stderr", sys.stderr)]
    for proxy in _proxies:
        setattr(sys, proxy.kind, proxy)
    logging.getLogger().addHandler(_log_proxy)
    _anybody.set()
    if not _attendant or not _attendant[0].is_alive():
        _attendant[:] = [threading.Thread(target=_attend, name="pyplant-voice", daemon=True)]
        _attendant[0].start()


def _remove_proxies() -> None:
    _anybody.clear()
    for proxy in _proxies:
        if getattr(sys, proxy.kind) is proxy:
            setattr(sys, proxy.kind, proxy.stream)
    _proxies.clear()
    logging.getLogger().removeHandler(_log_proxy)


def _attend() -> None:
    """Write down what is said for longer than a moment, and stop those whose run is over."""
    while True:
        _anybody.wait()
        time.sleep(_MOMENT)
        with _guard:
            forwarders = list(_redirected)
        for forwarder in forwarders:
            forwarder.write_down()
            if not forwarder.is_awaited():
                forwarder.stop()


@after_fork_in_child
def _after_fork() -> None:
    """Nobody takes down what a forked child says: let it speak for itself."""
    global _anybody, _guard  # other threads of the parent may have had their locks
    _anybody, _guard = threading.Event(), threading.Lock()
    _redirected.clear()
    _attendant.clear()
    _forwarder.set(None)
    _remove_proxies()


# ---------------------------------------------------------------------- at the other end


class Reader:
    """Reads what attempts of a run write down.

    Parameters
    ----------
    folder
        Of the run.
    files
        The disk.
    """

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._files = files
        self._read: dict[str, int] = {}

    def news(self, names: Iterable[str]) -> Iterator[tuple[str, Said]]:
        """What these attempts wrote down since the last look, with their names."""
        present = set(self._files.names(self._folder))
        for name in names:
            if name + LIVE in present:
                for said in self.rest(name):
                    yield name, said

    def rest(self, name: str, until: int | None = None) -> list[Said]:
        """What an attempt wrote down since the last look; it is known to be ``until`` bytes long in the end."""
        start = self._read.get(name, 0)
        patience = time.monotonic() + _PATIENCE
        while True:
            data = b""
            with contextlib.suppress(OSError):
                data = self._files.read(self._folder / f"{name}{LIVE}", start)
            # A file system of several machines may show it late.
            if until is None or start + len(data) >= until or time.monotonic() > patience:
                break
            time.sleep(_MOMENT)
        whole = data[: data.rfind(b"\n") + 1]
        self._read[name] = start + len(whole)
        return [tuple(json.loads(line)) for line in whole.splitlines()]

    def forget(self, name: str) -> None:
        """An attempt is over."""
        if self._read.pop(name, 0):
            with contextlib.suppress(OSError):
                self._files.unlink(self._folder / f"{name}{LIVE}")
