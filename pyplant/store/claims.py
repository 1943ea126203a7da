"""Files that say what living processes hold: the results they compute, the values they use.

A process has one file in a directory, which says who it is. What it *holds*, from
:meth:`OwnershipFiles.take` to :meth:`OwnershipFiles.release` or until it is gone, are names that lead
there. Which of two ways is used depends on the file system:

- Where the kernel's locks are seen by everybody, the process keeps one on its file, and the
  names are hard links to it. The lock ends with the process, whatever happened to it.
- Elsewhere (network homes, FUSE) the process counts in its file, and the names are files,
  created exclusively, that name it. Others take over when the process is known to be gone,
  or when its count has stood still for a minute of *their* time; clocks are never compared.

Holding saves work and protects nothing: what is published is immutable and verified, so an
owner that was asleep too long, or a lock that did not work, costs a second execution and
no more. Trouble with these files therefore never stops a run.

A forked child holds nothing: it shares its parent's locks, and would outlive them.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pyplant._fork import after_fork_in_child
from pyplant.store.files import Files, Writer, birth, host_name, is_alive, place, unique

__all__ = ["Owner", "OwnershipFiles"]

BEAT = 10.0
"""Seconds between two counts of an owner."""
STILL = 60.0
"""Seconds after which an owner that does not count is taken for dead."""

_BEING_WRITTEN = 1.0  # seconds after which what names no owner never will; a power cut leaves such files

_HEAD = 1024  # bytes for the owner; what else its file holds stands behind
_LEADS = re.compile(rb"\.[0-9a-f]{12}")  # what a name without a link contains: the owner's file
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EBADF, errno.EOPNOTSUPP, errno.EINVAL, 524})
_NO_LINKS = frozenset({errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})
_MOST_WAITS = 16
_BRIEFLY = 0.002  # seconds between two attempts at what is held for milliseconds
_TRIES = 3


class Owner(NamedTuple):
    """Who holds a name.

    Attributes
    ----------
    host, pid
        The machine and the number of the process.
    what
        ``"kernel"`` or ``"process"``.
    since
        Since when it has held anything, in seconds since the epoch by its own clock.
    place, born
        Where its number means what it means here, and when the process began.
    waits
        The names that it waits for.
    is_locked
        Whether it keeps a lock while it lives.
    """

    host: str
    pid: int
    what: str
    since: float
    place: str = ""
    born: str = ""
    waits: tuple[str, ...] = ()
    is_locked: bool = False

    def __str__(self) -> str:
        return f"{self.what} {self.pid} on host {self.host}"

    @property
    def is_gone(self) -> bool:
        """Whether its process is known to have ended."""
        return self.place == place() and bool(self.born) and not is_alive(self.pid, self.born)


class OwnershipFiles:
    """The names of one directory that are held, as one process sees them.

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
        self._heartbeat = beat
        self._still = still
        self._own: Writer | None = None
        self._held: set[str] = set()
        self._since = 0.0
        self._count = 0
        self._waits: tuple[str, ...] = ()
        self._seen: dict[str, tuple[bytes, float]] = {}
        self._locks: bool | None = None
        self._lock = threading.Lock()
        self._beating = False
        self._pid = os.getpid()
        _everywhere.add(self)

    # ------------------------------------------------------------------ holding

    def take(self, name: str) -> bool:
        """Hold a name, unless a living process does; ``True`` if it is ours, or nothing can be held.

        Parameters
        ----------
        name
            Letters and digits.
        """
        if name in self._held or self.trouble is not None or os.getpid() != self._pid:
            return True
        with self._lock:
            is_first = not self._held
            self._held.add(name)  # before it is, so that an interrupt leaves nothing unknown behind
        if is_first:
            self._since = time.time()
        try:
            taken = self._take(name)
        except OSError as error:
            self.trouble, taken = error, False
        if not taken:
            with self._lock:
                self._held.discard(name)
            return self.trouble is not None
        if is_first:
            with self._lock:
                self._sign()
        self._seen.pop(name, None)
        return True

    def is_taken(self, name: str) -> bool:
        """Whether a name seems to be held, here or elsewhere; its owner may be dead."""
        return self._files.identity(self._directory / name) is not None

    def take_patiently(self, name: str, patience: float) -> bool:
        """Hold a name, as :meth:`take`; wait so many seconds for it, for one that is held briefly."""
        deadline = time.monotonic() + patience
        while not self.take(name):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_BRIEFLY)
        return True

    def _take(self, name: str) -> bool:
        for _ in range(_TRIES):
            own = self._own = self._own or self._begin()
            if own is None:
                return False
            try:
                self._lead(self._directory / name, own)
            except FileExistsError:
                if self._leads_here(name):
                    return True  # we were interrupted
                if not self._take_over(name):
                    return False
            except FileNotFoundError:  # somebody deleted our file
                own.close()
                self._own = None
            else:
                return True
        return False

    def _begin(self) -> Writer | None:
        """Make the file of this process; ``None`` if somebody looks at it this very moment."""
        path = self._directory / f".{unique()}"
        self._files.make_directory(self._directory)
        writer: Writer | None = None
        if self._has_locks():
            try:
                writer = self._files.lock(path)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                self._locks = False
        if not self._locks:
            writer = self._files.create(path)
            self._start_heartbeat()
        if writer is not None:
            with suppress(OSError):
                writer.write(self._signature())
        return writer

    def _has_locks(self) -> bool:
        """Whether the kernel's locks are seen by all who may use this directory."""
        if self._locks is None:
            self._locks = self._files.has_shared_locks(self._directory)
        return self._locks

    def _lead(self, path: Path, own: Writer) -> None:
        """Make a name that leads to our file, unless it is taken."""
        if self._locks:
            try:
                self._files.link(own.path, path)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
            else:
                return
        writer = self._files.create(path)
        try:
            with suppress(OSError):
                writer.write(own.path.name.encode())
        finally:
            writer.close()

    def _take_over(self, name: str) -> bool:
        """Free a name that is held, if its owner is dead."""
        if self._files.identity(self._directory / name) is None:
            return self._put_aside(name, b"")  # a link or a pipe, which nobody here makes
        content, file = self._read(name), self._file(name)
        owner = self.owner(file)
        if not self._has_locks() or (owner is not None and not owner.is_locked):
            gone = owner is not None and owner.is_gone
            return (gone or self._stands_still(name, self._still)) and self._put_aside(name, content)
        # What somebody is making right now is locked, or will be found to be gone and made anew. Not so a
        # name: where there are no hard links it is written into after it was made.
        if owner is None and not name.startswith(".") and not self._is_older(name, _BEING_WRITTEN):
            return False
        dead = self._files.lock(self._directory / file)
        if dead is None:
            return False
        self._files.unlink(self._directory / name)
        dead.close()
        return True

    def _is_older(self, name: str, seconds: float) -> bool:
        """Whether a file was last changed so long ago; here, as kernel locks work, there is one clock."""
        changed = self._files.modified(self._directory / name)
        return changed is None or time.time() - changed > seconds or self._stands_still(name, seconds)

    def _stands_still(self, name: str, seconds: float) -> bool:
        """Whether an owner has not counted for so long, as far as we have watched."""
        head, now = self._head(name), time.monotonic()
        before, since = self._seen.setdefault(name, (head, now))
        if before != head:
            self._seen[name] = head, now
            return False
        return now - since > seconds

    def _put_aside(self, name: str, judged: bytes) -> bool:
        """Remove the name of a dead owner; only one of several who try succeeds."""
        path = self._directory / name
        aside = f"{name}.{unique(8)}"
        try:
            self._files.rename(path, self._directory / aside)
            if self._read(aside) != judged and self._files.identity(path) is None:
                self._files.rename(self._directory / aside, path)  # somebody was quicker: this is theirs
                return False
            self._files.unlink(self._directory / aside)
        except FileNotFoundError:
            pass  # gone, by the owner or by another who waits
        self._seen.pop(name, None)
        return True

    def release(self, name: str) -> None:
        """Hold a name no longer; one that is not held is fine."""
        if name not in self._held:
            return
        try:
            if self._leads_here(name):  # or it was taken over
                self._files.unlink(self._directory / name)
        except OSError:
            if self._own is not None:  # the name would seem to be held as long as the file is locked
                self._own.close()
                self._own = None
        with self._lock:
            self._held.discard(name)

    def _leads_here(self, name: str) -> bool:
        own, path = self._own, self._directory / name
        return own is not None and (own.is_named(path) or self._read(name) == own.path.name.encode())

    def release_all(self) -> None:
        """Hold nothing any longer."""
        for name in list(self._held):
            self.release(name)

    def close(self) -> None:
        """Hold nothing any longer, and leave nothing behind."""
        self.release_all()
        own, self._own = self._own, None
        if own is not None:
            with suppress(OSError):
                self._files.unlink(own.path)
            own.close()

    def append(self, name: str, data: bytes) -> None:
        """Write behind the owner, where each process holds one name."""
        if name in self._held and self._own is not None:
            with suppress(OSError):
                self._own.write(data)

    # ------------------------------------------------------------------ looking

    def living(self) -> list[str]:
        """The names that living processes hold, this one included; what the dead left is removed."""
        found: list[str] = []
        names = self._files.names(self._directory)
        for name in (name for name in names if not name.startswith(".")):
            if name in self._held or not self.take(name) or self.trouble is not None:
                found.append(name)
            else:
                self.release(name)
        for name in (name for name in names if name.startswith(".")):
            if (self._own is None or name != self._own.path.name) and self.trouble is None:
                with suppress(OSError):
                    self._take_over(name)
        return found

    def owner(self, name: str) -> Owner | None:
        """Who holds a name, or held it last; ``None`` if that is not known."""
        return _parse(self._head(name))

    def content(self, name: str, limit: int) -> bytes:
        """What was written behind the owner."""
        return self._read(self._file(name), _HEAD, limit)

    def _file(self, name: str) -> str:
        """The name of the file that a name leads to."""
        content = self._read(name)
        return content.decode() if _LEADS.fullmatch(content) else name

    def _head(self, name: str) -> bytes:
        return self._read(self._file(name))

    def _read(self, name: str, offset: int = 0, limit: int = _HEAD) -> bytes:
        try:
            return self._files.read(self._directory / name, offset, limit)
        except OSError:
            return b""

    # ------------------------------------------------------------------ waiting

    def wait_for(self, names: Iterable[str]) -> None:
        """Write down what this process waits for, so that circles are seen."""
        waits = tuple(names)[:_MOST_WAITS]
        with self._lock:
            if waits != self._waits:
                self._waits = waits
                self._sign()

    def is_circular(self, name: str) -> bool:
        """Whether the owner of a name waits, perhaps through others, for one that is held here."""
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

    def _signature(self) -> bytes:
        owner = {
            "host": host_name()[:64],
            "pid": self._pid,
            "what": "kernel" if _is_kernel() else "process",
            "since": round(self._since),
            "place": place(),
            "born": _own_birth(),
            "waits": self._waits,
            "is_locked": bool(self._locks),
            "count": self._count,
        }
        return json.dumps(owner).encode().ljust(_HEAD - 1) + b"\n"

    def _sign(self) -> None:
        if self._own is not None:
            with suppress(OSError):
                self._own.rewrite(self._signature())

    def _start_heartbeat(self) -> None:
        if not self._beating:
            self._beating = True
            name = f"pyplant: {self._directory}"
            threading.Thread(
                target=_heartbeat, args=(weakref.ref(self), self._heartbeat), name=name, daemon=True
            ).start()

    def count_once(self) -> None:
        """Show that this process is alive."""
        with self._lock:
            self._count += 1
            self._sign()

    def let_go(self) -> None:
        """Close what a parent process holds, without ending its holding."""
        self._lock = threading.Lock()  # another thread of the parent may have had it
        own, self._own = self._own, None
        self._held = set()
        if own is not None:
            own.close()


def _heartbeat(owner: weakref.ref[OwnershipFiles], pause: float) -> None:
    while True:
        time.sleep(pause)
        ownership = owner()
        if ownership is None:
            return
        ownership.count_once()
        del ownership


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
            found["is_locked"] is True,
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _is_kernel() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


@cache
def _own_birth() -> str:
    return birth(os.getpid())


_everywhere: weakref.WeakSet[OwnershipFiles] = weakref.WeakSet()


@after_fork_in_child
def _after_fork() -> None:
    _own_birth.cache_clear()
    for ownership in list(_everywhere):
        ownership.let_go()
