"""Files that say what living processes hold: the results they compute, the executions they use.

How it works
------------
Each process has one *owner file* in a directory; its first 1024 bytes say which process it is. A process holds a *name*
from :meth:`OwnershipFiles.take` to :meth:`OwnershipFiles.release`, or until it ends. A held name is a directory entry
that leads to the owner file. The file system decides which of two methods is used:

- *Locks.* Where every process sees the kernel's locks, a process locks its owner file once, and each name is a hard link
  to that file. The kernel releases the lock when the process ends for any reason. Creating and deleting a file for each
  name took 1 ms of a busy disk.
- *Heartbeats.* Elsewhere (network homes, FUSE) a process increments a counter in its owner file every 10 seconds, and
  each name is a file, created exclusively, that contains the name of the owner file. Another process takes a name over
  if the owner is known to have ended, or if its counter did not change for 60 seconds. Each observer measures these
  seconds with its own clock, since clocks of two machines may differ.

Holding a name avoids work that another process does already. Correctness does not depend on it: stored results are
immutable and verified when they are read. If an owner was suspended for too long or a lock did not work, a reactor is
executed twice and no more happens. An error while these files are accessed therefore never stops a run; it is stored in
:attr:`OwnershipFiles.trouble`, and from then on every name counts as held.

A forked child holds nothing: it shares the locks of its parent, and would keep them after the parent has ended.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pyplant._fork import after_fork_in_child
from pyplant.store.files import Files, OpenFile, is_full, unique_name
from pyplant.store.owner import HEAD_BYTES, MAX_WAITS, Owner, head_of_this_process, parse_owner

__all__ = ["OwnershipFiles"]

HEARTBEAT = 10.0
"""Seconds between two increments of an owner's counter."""
HEARTBEAT_TIMEOUT = 60.0
"""Seconds without an increment after which an owner counts as dead."""

# A name file without content was created by a process that either writes into it right now or has crashed in between.
# After these seconds the latter is assumed. A power cut leaves such files, too.
_MAX_WRITE_SECONDS = 1.0

_OWNER_FILE_NAME = re.compile(rb"\.[0-9a-f]{12}")
# 524 is Linux's internal ENOTSUPP, which some NFS servers pass on.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EBADF, errno.EOPNOTSUPP, errno.EINVAL, 524})
_NO_LINKS = frozenset({errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})
_RETRY_SECONDS = 0.002
_HEAD_SECONDS = 1.0  # by which the time in the head may be wrong
_MAX_TRIES = 3


class OwnershipFiles:
    """The held names in one directory.

    Parameters
    ----------
    files
        The disk.
    directory
        Where the files are; created when the first name is taken.
    heartbeat, timeout
        See :data:`HEARTBEAT` and :data:`HEARTBEAT_TIMEOUT`.
    """

    def __init__(
        self,
        files: Files,
        directory: Path,
        *,
        heartbeat: float = HEARTBEAT,
        timeout: float = HEARTBEAT_TIMEOUT,
    ) -> None:
        self.trouble: OSError | None = None
        """Why names cannot be held in this directory; ``None`` if they can."""
        self.given_up: set[tuple[int, str, float]] = set()
        """Processes that are not waited for any more, with the time since when they have held names."""
        self._files = files
        self._directory = directory
        self._heartbeat = heartbeat
        self._timeout = timeout
        self._own: OpenFile | None = None
        self._held: dict[str, Path] = {}
        self._since = 0.0
        self._count = 0
        self._waits: tuple[str, ...] = ()
        # The heads of other owners, and when they last changed.
        self._observed: dict[str, tuple[bytes, float]] = {}
        self._locks: bool | None = None
        # The heartbeat thread writes the head, too. Without the lock it could write one from before a change that this
        # thread makes, and listing the held names could meet one that is being added.
        self._lock = threading.Lock()
        self._has_heartbeat = False
        self._pid = os.getpid()
        _instances.add(self)

    # ------------------------------------------------------------------ holding

    def take(self, name: str) -> bool:
        """Hold a name unless another living process holds it.

        Parameters
        ----------
        name
            Letters and digits.

        Returns
        -------
        taken
            Whether the caller may go on: this process holds the name, or names cannot be held here.
        """
        if name in self._held or self.trouble is not None or os.getpid() != self._pid:
            return True
        now = time.time()
        with self._lock:
            # The head says since when names are held. It is only shown, and claims are often taken for milliseconds.
            is_new = not self._held and not 0 <= now - self._since < _HEAD_SECONDS
            # Before the file exists: an interrupt in between must not leave it behind.
            self._held[name] = self._directory / name
        if is_new:
            self._since = now
        try:
            taken = self._take(name)
        except OSError as error:
            self.trouble, taken = error, False
        if not taken:
            with self._lock:
                self._held.pop(name, None)
            return self.trouble is not None
        if is_new:
            with self._lock:
                self._write_head()
        self._observed.pop(name, None)
        return True

    def is_taken(self, name: str) -> bool:
        """Return whether a name exists; its owner may be this process, another one or dead."""
        return self._files.identity(self._directory / name) is not None

    def take_within(self, name: str, seconds: float) -> bool:
        """Like :meth:`take`, but try again for so many seconds; for names that are held briefly."""
        deadline = time.monotonic() + seconds
        while not self.take(name):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_RETRY_SECONDS)
        return True

    def _take(self, name: str) -> bool:
        # Other processes may take the name, or delete the owner file, between two steps of this one. After a few tries
        # the name counts as taken, and the caller asks again later.
        for _ in range(_MAX_TRIES):
            own = self._own = self._own or self._create_owner_file()
            if own is None:
                return False
            try:
                self._create_name(self._held[name], own)
            except FileExistsError:
                if self._is_own(name):
                    return True  # an interrupt came after the name was created
                if not self._take_over(name):
                    return False
            except FileNotFoundError:  # another process deleted the owner file
                own.close()
                self._own = None
            else:
                return True
        return False

    def _create_owner_file(self) -> OpenFile | None:
        """Create the file of this process; ``None`` if another process inspects it at this moment."""
        path = self._directory / f".{unique_name()}"
        self._files.make_directory(self._directory)
        file: OpenFile | None = None
        if self._has_locks():
            try:
                file = self._files.lock(path)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                self._locks = False
        if not self._locks:
            file = self._files.create(path)
            self._start_heartbeat()
        if file is not None:
            # On a full disk the head is missing. The lock holds without it, and only who holds the name is unknown.
            with suppress(OSError):
                file.write(self._own_head())
        return file

    def _has_locks(self) -> bool:
        """Return whether all processes that use this directory see the kernel's locks."""
        if self._locks is None:
            self._locks = self._files.has_shared_locks(self._directory)
        return self._locks

    def _create_name(self, path: Path, own: OpenFile) -> None:
        """Create a name that leads to the owner file of this process.

        Raises
        ------
        FileExistsError
            If the name is taken.
        """
        if self._locks:
            try:
                self._files.link(own.path, path)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
            else:
                return
        file = self._files.create(path)
        try:
            with suppress(OSError):
                file.write(own.path.name.encode())
        finally:
            file.close()

    def _take_over(self, name: str) -> bool:
        """Remove a name if its owner is dead; return whether it may be created now."""
        if self._files.identity(self._directory / name) is None:
            # Gone already, or a link or pipe, which PyPlant never creates.
            return self._remove_name(name, b"")
        content, file = self._read(name), self._file(name)
        owner = self.owner(file)
        # An owner may have found no locks where this process does: a container may mount the directory in another way.
        if not self._has_locks() or (owner is not None and not owner.is_locked):
            gone = owner is not None and owner.is_gone
            is_dead = gone or self._is_unchanged(name, self._timeout)
            return is_dead and self._remove_name(name, content)
        # An owner file that another process creates at this moment is locked, or the process finds it missing and
        # creates another one. A name file has no such protection: where hard links are missing, it is written into
        # after it was created, so one without an owner may be new.
        if owner is None and not name.startswith(".") and not self._is_older(name, _MAX_WRITE_SECONDS):
            return False
        locked = self._files.lock(self._directory / file)
        if locked is None:
            return False  # the owner is alive
        # Only a process that has this lock removes names of the dead owner. The name is unlinked before the lock is
        # released, so a process that gets the lock next finds that the name leads to another file by now.
        if self._file(name) == file:
            self._files.unlink(self._directory / name)
        locked.close()
        return True

    def _is_older(self, name: str, seconds: float) -> bool:
        """Return whether a file was last changed longer ago; with shared locks there is one machine and one clock."""
        changed = self._files.modified(self._directory / name)
        return changed is None or time.time() - changed > seconds or self._is_unchanged(name, seconds)

    def _is_unchanged(self, name: str, seconds: float) -> bool:
        """Return whether this process has observed the same head, with the same count, for longer."""
        # By owner file: an owner that stood still is known to be dead when the next of its names is met.
        file, now = self._file(name), time.monotonic()
        head = self._read(file)
        before, since = self._observed.setdefault(file, (head, now))
        if before != head:
            self._observed[file] = head, now
            return False
        return now - since > seconds

    def _remove_name(self, name: str, judged: bytes) -> bool:
        """Remove the name of a dead owner; of several processes that try this only one succeeds.

        Renaming is atomic, so one process gets the file. It then compares the content with what was judged: between
        the judgement and the renaming another process may have removed the name and taken it.
        """
        path = self._directory / name
        removed = f"{name}.{unique_name(8)}"
        try:
            self._files.rename(path, self._directory / removed)
            if self._read(removed) != judged and self._files.identity(path) is None:
                # It belongs to the process that was faster.
                self._files.rename(self._directory / removed, path)
                return False
            self._files.unlink(self._directory / removed)
        except FileNotFoundError:
            pass  # removed by its owner or by another process that waits for it
        self._observed.pop(name, None)
        return True

    def release(self, name: str) -> None:
        """Stop holding a name; does nothing if this process does not hold it."""
        path = self._held.get(name)
        if path is None:
            return
        try:
            if self._is_own(name):  # else another process has taken it over
                self._files.unlink(path)
        except OSError:
            # The name remains, and would count as held as long as the file is locked. Closing the file gives up all
            # names: their work may be done twice, but no process waits for a name that nobody works on.
            if self._own is not None:
                self._own.close()
                self._own = None
        with self._lock:
            self._held.pop(name, None)

    def _is_own(self, name: str) -> bool:
        """Return whether a name leads to the owner file of this process."""
        own, path = self._own, self._held[name]
        return own is not None and (own.is_named(path) or self._read(name) == own.path.name.encode())

    def holds_any(self) -> bool:
        """Return whether this process holds a name."""
        return bool(self._held)

    def release_all(self) -> None:
        """Stop holding all names."""
        for name in list(self._held):
            self.release(name)

    def close(self) -> None:
        """Stop holding all names and delete the file of this process."""
        self.release_all()
        own, self._own = self._own, None
        if own is not None:
            with suppress(OSError):
                self._files.unlink(own.path)
            own.close()

    def append(self, name: str, data: bytes) -> None:
        """Write data behind the owner; for directories in which each process holds one name."""
        if name in self._held and self._own is not None:
            with suppress(OSError):
                self._own.write(data)

    def forget_full_disk(self) -> None:
        """Hold names again if that failed only since the disk was full."""
        if self.trouble is not None and is_full(self.trouble):
            self.trouble = None

    # ------------------------------------------------------------------ looking

    def living(self) -> list[str]:
        """Return the names that living processes hold, this one included, and delete the files of dead ones."""
        found: list[str] = []
        names = self._files.names(self._directory)
        for name in (name for name in names if not name.startswith(".")):
            # Taking a name is the test whether its owner is dead; it also removes the name of a dead owner.
            if name in self._held or not self.take(name) or self.trouble is not None:
                found.append(name)
            else:
                self.release(name)
        for name in (name for name in names if name.startswith(".")):
            if (self._own is None or name != self._own.path.name) and self.trouble is None:
                with suppress(OSError):
                    self._take_over(name)
        return found

    def held_by_others(self) -> dict[str, Owner]:
        """Return the names that other processes hold, with their owners; of a process that has just ended perhaps, too."""
        found: dict[str, Owner] = {}
        for name in self._files.names(self._directory):
            if not name.startswith(".") and name not in self._held:
                owner = self.owner(name)
                if owner is not None and not owner.is_gone:
                    found[name] = owner
        return found

    def owner(self, name: str) -> Owner | None:
        """Return the process that holds a name or held it last; ``None`` if that is not known."""
        return parse_owner(self._head(name))

    def content(self, name: str, limit: int) -> bytes:
        """Return at most ``limit`` bytes of what :meth:`append` wrote."""
        return self._read(self._file(name), HEAD_BYTES, limit)

    def _file(self, name: str) -> str:
        """Return the name of the file to read: for a name file the owner file, for a hard link the name itself."""
        content = self._read(name)
        return content.decode() if _OWNER_FILE_NAME.fullmatch(content) else name

    def _head(self, name: str) -> bytes:
        return self._read(self._file(name))

    def _read(self, name: str, offset: int = 0, limit: int = HEAD_BYTES) -> bytes:
        try:
            return self._files.read(self._directory / name, offset, limit)
        except OSError:
            return b""

    # ------------------------------------------------------------------ waiting

    def wait_for(self, names: Iterable[str]) -> None:
        """Publish the names that this process waits for, so that other processes can detect a deadlock."""
        waits = tuple(names)[:MAX_WAITS]
        with self._lock:
            if waits != self._waits:
                self._waits = waits
                self._write_head()

    def is_circular(self, name: str) -> bool:
        """Return whether the owner of a name waits, directly or through others, for a name that is held here."""
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

    # ------------------------------------------------------------------ heartbeat

    def _own_head(self) -> bytes:
        return head_of_this_process(self._since, self._waits, self._count, is_locked=bool(self._locks))

    def _write_head(self) -> None:
        if self._own is not None:
            with suppress(OSError):
                self._own.rewrite(self._own_head())

    def _start_heartbeat(self) -> None:
        if not self._has_heartbeat:
            self._has_heartbeat = True
            name = f"pyplant: {self._directory}"
            threading.Thread(
                target=_run_heartbeat, args=(weakref.ref(self), self._heartbeat), name=name, daemon=True
            ).start()

    def increment_count(self) -> None:
        """Show other processes that this one is alive."""
        with self._lock:
            self._count += 1
            self._write_head()

    def reset_in_child(self) -> None:
        """Close the files that a forked child inherited; the parent goes on holding its names."""
        self._lock = threading.Lock()  # another thread of the parent may have held it during the fork
        own, self._own = self._own, None
        self._held = {}
        if own is not None:
            own.close()  # else the child would keep the lock of the parent after the parent has ended


def _run_heartbeat(reference: weakref.ref[OwnershipFiles], seconds: float) -> None:
    """Increment the counter until the object is collected; a strong reference would keep it alive."""
    while True:
        time.sleep(seconds)
        ownership = reference()
        if ownership is None:
            return
        ownership.increment_count()
        del ownership


_instances: weakref.WeakSet[OwnershipFiles] = weakref.WeakSet()


@after_fork_in_child
def _after_fork() -> None:
    for ownership in list(_instances):
        ownership.reset_in_child()
