"""Files that say what living processes hold: the results they compute, the values they use.

A file is *held* from :meth:`Holdings.take` to :meth:`Holdings.release`, or until its owner
is gone. Which of two ways is used depends on the file system:

- Where the kernel's locks are seen by everybody, the owner keeps one on a file of its own,
  and what it holds are further names of that file. The lock ends with the process, whatever
  happened. (To make, write and delete a file for each result takes ten times as long.)
- Elsewhere (network homes, FUSE) the owner creates the file exclusively and counts in it.
  Others take over when the owner's process is known to be gone, or when its count has
  stood still for a minute of *their* time; clocks are never compared.

Holding saves work and protects nothing: what is published is immutable and verified, so an
owner that was asleep too long, or a lock that did not work, costs a second execution and
no more. Trouble with these files therefore never stops a run.

A forked child holds nothing: it shares its parent's locks, and would outlive them.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pyplant.store.files import Files, Writer, birth, host_name, is_alive, place, unique

__all__ = ["Holdings", "Owner"]

BEAT = 10.0
"""Seconds between two counts of an owner."""
STILL = 60.0
"""Seconds after which an owner that does not count is taken for dead."""

_HEAD = 1024  # bytes for the owner; what else the file holds stands behind
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EBADF, errno.EOPNOTSUPP, errno.EINVAL, 524})
_NO_LINKS = frozenset({errno.EPERM, errno.EMLINK, errno.EXDEV})
_MOST_WAITS = 16


class Owner(NamedTuple):
    """Who holds a file.

    Attributes
    ----------
    host, pid
        The machine and the number of the process.
    what
        ``"kernel"`` or ``"process"``.
    since
        When it took the file, in seconds since the epoch by its own clock.
    place, born
        Where its number means what it means here, and when the process began.
    waits
        Names of the files that it waits for.
    """

    host: str
    pid: int
    what: str
    since: float
    place: str = ""
    born: str = ""
    waits: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.what} {self.pid} on host {self.host}"

    @property
    def is_gone(self) -> bool:
        """Whether its process is known to have ended."""
        return self.place == place() and bool(self.born) and not is_alive(self.pid, self.born)


class _Held:
    """A file of this process, and the name that it has while it is held."""

    __slots__ = ("count", "is_appended", "path", "since", "writer")

    def __init__(self, writer: Writer, path: Path) -> None:
        self.writer = writer
        self.path = path
        self.since = time.time()
        self.count = 0
        self.is_appended = False


class Holdings:
    """The held files of one directory, as one process sees them.

    Parameters
    ----------
    files
        The disk.
    directory
        Where they are; made when it is needed.
    beat, still
        Seconds between two counts, and without one until an owner is taken for dead.
    """

    def __init__(self, files: Files, directory: Path, *, beat: float = BEAT, still: float = STILL) -> None:
        self.trouble: OSError | None = None
        """Why nothing can be held here, if that is so."""
        self._files = files
        self._directory = directory
        self._beat = beat
        self._still = still
        self._held: dict[str, _Held] = {}
        self._free: list[Writer] = []  # locked, and held for nothing now
        self._waits: tuple[str, ...] = ()
        self._seen: dict[str, tuple[bytes, float]] = {}
        self._locks: bool | None = None
        self._lock = threading.Lock()
        self._beating = False
        self._pid = os.getpid()
        _everywhere.add(self)

    # ------------------------------------------------------------------ holding

    def take(self, name: str) -> bool:
        """Hold a file, unless a living process does; ``True`` if it is ours, or nothing can be held.

        Parameters
        ----------
        name
            Letters and digits.
        """
        if name in self._held or self.trouble is not None or os.getpid() != self._pid:
            return True
        path = self._directory / name
        try:
            writer = self._open(name, path)
        except OSError as error:
            self.trouble = error
            return True
        if writer is None:
            return False
        held = _Held(writer, path)
        with self._lock:
            self._held[name] = held
            with suppress(OSError):
                writer.rewrite(self._signature(held))
        self._seen.pop(name, None)
        return True

    def _open(self, name: str, path: Path) -> Writer | None:
        if self._locks is None:
            self._files.make_directory(self._directory)
            self._locks = self._files.has_shared_locks(self._directory)
        if self._locks:
            try:
                return self._link(path)
            except FileNotFoundError:
                self._files.make_directory(self._directory)
                return self._link(path)
            except OSError as error:
                if error.errno not in _NO_LOCKS | _NO_LINKS:
                    raise
                self._locks = False
        return self._create(name, path)

    def _link(self, path: Path) -> Writer | None:
        """Give a locked file of ours the name, unless a living process has the lock of who has it."""
        own = self._free.pop() if self._free else None
        try:
            while True:
                own = own or self._prepared(self._files.lock(self._directory / f".{unique()}"))
                if own is None:
                    return None  # somebody looks at it this very moment
                try:
                    self._files.link(own.path, path)
                except FileExistsError:
                    dead = self._files.lock(path)
                    if dead is None:
                        return None
                    self._files.unlink(path)
                    dead.close()
                except FileNotFoundError:  # somebody deleted it
                    own.close()
                    own = None
                else:
                    taken, own = own, None
                    return taken
        finally:
            if own is not None:
                self._free.append(own)

    def _create(self, name: str, path: Path) -> Writer | None:
        """Create the file, after putting one aside whose owner is dead."""
        for _ in range(2):
            try:
                writer = self._files.create(path)
            except FileExistsError:
                if not self._is_abandoned(name) or not self._put_aside(name):
                    return None
            except FileNotFoundError:
                self._files.make_directory(self._directory)
            else:
                self._start_beating()
                return self._prepared(writer)
        return None

    @staticmethod
    def _prepared(writer: Writer | None) -> Writer | None:
        """Leave room for the owner; what else is written comes behind it."""
        if writer is not None:
            with suppress(OSError):
                writer.write(bytes(_HEAD))
        return writer

    def _is_abandoned(self, name: str) -> bool:
        head = self._head(name)
        owner = _parse(head)
        if owner is not None and owner.is_gone:
            return True
        now = time.monotonic()
        before, since = self._seen.setdefault(name, (head, now))
        if before != head:
            self._seen[name] = head, now
            return False
        return now - since > self._still

    def _put_aside(self, name: str) -> bool:
        """Remove the file of a dead owner; only one of several who try succeeds."""
        path, judged = self._directory / name, self._head(name)
        aside = self._directory / f"{name}.{unique(8)}"
        try:
            self._files.rename(path, aside)
            if self._read(aside) != judged and self._files.identity(path) is None:
                self._files.rename(aside, path)  # somebody was quicker, and this is theirs
                return False
            self._files.unlink(aside)
        except FileNotFoundError:
            pass  # gone, by the owner or by another who waits
        self._seen.pop(name, None)
        return True

    def release(self, name: str) -> None:
        """Hold a file no longer; one that is not held is fine."""
        with self._lock:
            held = self._held.pop(name, None)
        if held is None:
            return
        try:
            if held.writer.is_named(held.path):  # or it was taken over
                self._files.unlink(held.path)
        except OSError:
            held.writer.close()  # it would seem to be held as long as the file is locked
            return
        if held.writer.path == held.path:
            held.writer.close()
        elif held.is_appended:
            self._discard(held.writer)
        else:
            self._free.append(held.writer)

    def _discard(self, writer: Writer) -> None:
        with suppress(OSError):
            self._files.unlink(writer.path)
        writer.close()

    def release_all(self) -> None:
        """Hold nothing any longer."""
        for name in list(self._held):
            self.release(name)
        while self._free:
            self._discard(self._free.pop())

    def append(self, name: str, data: bytes) -> None:
        """Write behind the owner, in a file that is held."""
        held = self._held.get(name)
        if held is not None:
            held.is_appended = True
            with suppress(OSError):
                held.writer.write(data)

    # ------------------------------------------------------------------ looking

    def living(self) -> list[str]:
        """The files that living processes hold, this one included; what the dead left is removed."""
        found: list[str] = []
        for name in self._files.names(self._directory):
            if name in self._held or not self.take(name) or self.trouble is not None:
                found.append(name)
            else:
                self.release(name)
        return [name for name in found if not name.startswith(".")]

    def owner(self, name: str) -> Owner | None:
        """Who holds a file, or held it last; ``None`` if that is not known."""
        return _parse(self._head(name))

    def content(self, name: str, limit: int) -> bytes:
        """What was written behind the owner."""
        try:
            return self._files.read(self._directory / name, _HEAD, limit)
        except OSError:
            return b""

    def _head(self, name: str) -> bytes:
        return self._read(self._directory / name)

    def _read(self, path: Path) -> bytes:
        try:
            return self._files.read(path, limit=_HEAD)
        except OSError:
            return b""

    # ------------------------------------------------------------------ waiting

    def wait_for(self, names: Iterable[str]) -> None:
        """Write into every held file what this process waits for, so that circles are seen."""
        waits = tuple(names)[:_MOST_WAITS]
        with self._lock:
            if waits != self._waits:
                self._waits = waits
                self._sign_all()

    def is_circular(self, name: str) -> bool:
        """Whether the owner of a file waits, perhaps through others, for one that is held here."""
        pending, seen = [name], set()
        while pending:
            owner = self.owner(current := pending.pop())
            if current in seen or owner is None:
                continue
            seen.add(current)
            if any(awaited in self._held for awaited in owner.waits):
                return True
            pending.extend(owner.waits)
        return False

    # ------------------------------------------------------------------ signs of life

    def _signature(self, held: _Held) -> bytes:
        owner = {
            "host": host_name()[:64],
            "pid": self._pid,
            "what": "kernel" if _is_kernel() else "process",
            "since": round(held.since),
            "place": place(),
            "born": _own_birth(),
            "waits": self._waits,
            "count": held.count,
        }
        return json.dumps(owner).encode().ljust(_HEAD - 1) + b"\n"

    def _sign_all(self) -> None:
        for held in self._held.values():
            with suppress(OSError):
                held.writer.rewrite(self._signature(held))

    def _start_beating(self) -> None:
        if not self._beating:
            self._beating = True
            name = f"pyplant: {self._directory}"
            threading.Thread(
                target=_beat, args=(weakref.ref(self), self._beat), name=name, daemon=True
            ).start()

    def count_once(self) -> None:
        """Show that this process is alive."""
        with self._lock:
            for held in self._held.values():
                held.count += 1
            self._sign_all()

    def let_go(self) -> None:
        """Close what a parent process holds, without ending its holding."""
        self._lock = threading.Lock()  # another thread of the parent may have had it
        writers = [*self._free, *(held.writer for held in self._held.values())]
        self._free, self._held = [], {}
        for writer in writers:
            writer.close()


def _beat(owner: weakref.ref[Holdings], pause: float) -> None:
    while True:
        time.sleep(pause)
        holdings = owner()
        if holdings is None:
            return
        holdings.count_once()
        del holdings


def _parse(head: bytes) -> Owner | None:
    """Read an owner; a file that is being written, or was damaged, names none."""
    try:
        found = json.loads(head)
        return Owner(
            str(found["host"]),
            int(found["pid"]),
            str(found["what"]),
            float(found["since"]),
            str(found["place"]),
            str(found["born"]),
            tuple(str(name) for name in found["waits"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _is_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


@cache
def _own_birth() -> str:
    return birth(os.getpid())


_everywhere: weakref.WeakSet[Holdings] = weakref.WeakSet()


def _after_fork() -> None:
    _own_birth.cache_clear()
    for holdings in list(_everywhere):
        holdings.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
