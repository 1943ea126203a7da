"""The object store: immutable content, named by its digest.

An object is written to private scratch while it is hashed, then renamed to its name. It
is never opened for writing again. Reading verifies it: an object whose file identity is
the one noted when it was last hashed is taken as it is, any other is hashed once more. An
object that is not what was written goes to quarantine and counts as missing.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from pyplant.errors import DamagedError, EvictedError
from pyplant.fingerprint.hashing import DIGEST_BYTES, hasher
from pyplant.store.files import Files, OpenFile, host_name, pid_namespace, unique_name
from pyplant.store.ledger import Ledger

if TYPE_CHECKING:
    import queue

__all__ = [
    "INLINE_LIMIT",
    "HashingSink",
    "ObjectStore",
    "hash_file",
    "is_object_name",
    "safe_suffix",
    "scratch_name",
]

INLINE_LIMIT = 2048
"""Values of so few bytes are kept in the journal itself."""

_THREAD_FROM = 1 << 21
_AHEAD = 4  # pieces that may be written before they are hashed; they stay in memory until then
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,12}){0,3}")
_NAME = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES}}}{_SUFFIX.pattern}")


def hash_file(path: Path, files: Files | None = None) -> str:
    """The digest of a file's content, in bounded memory."""
    whole = hasher()
    for chunk in (files or Files()).chunks(path):
        whole.update(chunk)
    return whole.hexdigest(length=DIGEST_BYTES)


class HashingSink:
    """Takes the bytes of a value: hashes them, and writes them beside that.

    Few bytes stay in memory. For big ones a second thread hashes what this one writes.

    Parameters
    ----------
    files, path
        Where they are written; without ``files`` nowhere.
    """

    def __init__(self, files: Files | None, path: Path) -> None:
        self.size = 0
        self._files = files
        self._path = path
        self._small: list[bytes] = []
        self._stream: OpenFile | None = None
        self._hasher = hasher()
        self._queue: queue.Queue[memoryview | None] | None = None
        self._thread: threading.Thread | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Append bytes, which must not change until the sink is finished."""
        view = memoryview(data)
        view = view.cast("B") if view.nbytes else memoryview(b"")
        self.size += len(view)
        if self._files is None:
            self._hasher.update(view)
            return len(view)
        if self._stream is None:
            if self.size <= INLINE_LIMIT:
                self._small.append(bytes(view))
                return len(view)
            self._stream = self._files.create(self._path)
            for part in self._small:
                self._put(memoryview(part))
            self._small.clear()
        self._put(view)
        return len(view)

    def _put(self, view: memoryview) -> None:
        stream = self._stream
        if stream is None:
            return
        if len(view) < _THREAD_FROM:
            self._hash(view)
            stream.write(view)
            return
        self._hash(view, aside=True)
        stream.write(view)

    def _hash(self, view: memoryview, *, aside: bool = False) -> None:
        if self._queue is None and aside:
            import queue  # slow to load

            self._queue = queue.Queue(_AHEAD)
            self._thread = threading.Thread(target=self._hash_aside, args=(self._queue,), daemon=True)
            self._thread.start()
        if self._queue is not None:
            self._queue.put(view)
        else:
            self._hasher.update(view)

    def _hash_aside(self, chunks: queue.Queue[memoryview | None]) -> None:
        while (chunk := chunks.get()) is not None:
            self._hasher.update(chunk)

    def finish(self) -> tuple[str, bytes | None]:
        """The digest of all bytes, and the bytes themselves when they were few."""
        self._join()
        if self._stream is not None:
            self._stream.close()
        if self._stream is not None or self._files is None:
            return self._hasher.hexdigest(length=DIGEST_BYTES), None
        content = b"".join(self._small)
        return blake3(content).hexdigest(length=DIGEST_BYTES), content

    def abandon(self) -> None:
        """Throw away what was written."""
        self._join()
        if self._stream is not None and self._files is not None:
            self._stream.close()
            self._files.unlink(self._path)

    def _join(self) -> None:
        if self._queue is not None and self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._queue = self._thread = None


class ObjectStore:
    """The objects of one plant.

    Parameters
    ----------
    files
        The disk.
    root
        The plant directory.
    ledger
        Where file identities are noted.
    """

    def __init__(self, files: Files, root: Path, ledger: Ledger) -> None:
        self._files = files
        self._root = root
        self._ledger = ledger
        self._scratch: Path | None = None
        self._scratch_pid = 0
        self.unsynced: set[Path] = set()

    # ------------------------------------------------------------------ scratch

    def scratch_path(self, suffix: str = "") -> Path:
        """A new path in private scratch, on the same file system as the objects."""
        if self._scratch is None or self._scratch_pid != os.getpid():
            self._scratch = self._root / "tmp" / scratch_name(os.getpid())
            self._scratch_pid = os.getpid()
        self._files.make_directory(self._scratch)
        return self._scratch / f"{unique_name(32)}{safe_suffix(suffix)}"

    def clear_scratch(self) -> None:
        """Delete this process's scratch."""
        if self._scratch is not None and self._scratch_pid == os.getpid():
            self._files.remove_tree(self._scratch)
        self._scratch = None

    # ------------------------------------------------------------------ writing

    def hash(self, path: Path) -> tuple[str, int]:
        """Digest and size of a finished file."""
        identity = self._files.identity(path)
        if identity is None:
            raise FileNotFoundError(errno.ENOENT, "there is no regular file of this name", str(path))
        return hash_file(path, self._files), identity[2]

    def publish(self, path: Path, digest: str, suffix: str, *, read_only: bool = False) -> str:
        """Give a finished file its name; returns it.

        A file of that name is replaced: the new one is known to be good, and is young, so
        that nobody takes it for a leftover.

        Raises
        ------
        OSError
            If the disk is full or failing; the file is then gone.
        """
        stored = digest + safe_suffix(suffix)
        target = self.path(stored)
        try:
            self._files.protect(path, read_only=read_only)
            if self._files.identity(target) is not None:
                self._files.sync_file(path)  # what is there may have survived a power cut already
            self._make_place(target.parent)
            self._rename(path, stored)
        except BaseException:
            self._files.unlink(path)
            raise
        identity = self._files.identity(target)
        if identity is not None:
            self._ledger.put_identity(stored, identity)
        self.unsynced.add(target)
        return stored

    def _make_place(self, directory: Path) -> None:
        try:
            self._files.make_directory(directory)
        except NotADirectoryError:  # nothing of ours has the name; it is not looked into
            self._put_aside(directory)
            self._files.make_directory(directory)

    def _rename(self, path: Path, stored: str) -> None:
        try:
            self._files.rename(path, self.path(stored))
        except IsADirectoryError:  # nothing of ours
            self.quarantine(stored)
            self._files.rename(path, self.path(stored))

    def sync(self) -> None:
        """Bring all objects written so far to the disk, then their names.

        Raises
        ------
        OSError
            If that failed. Nobody knows then what is on the disk, so these objects are
            hashed again when they are read.
        """
        unsynced, self.unsynced = sorted(self.unsynced), set()
        try:
            for path in unsynced:
                if self._files.identity(path) is not None:
                    self._files.sync_file(path)
            parents = {path.parent for path in unsynced}
            for directory in sorted(parents | {parent.parent for parent in parents}):
                self._files.sync_directory(directory)
        except OSError:
            for path in unsynced:
                self._ledger.put_identity(path.name, None)
            raise

    # ------------------------------------------------------------------ reading

    def path(self, stored: str) -> Path:
        """Where an object is, or would be.

        Raises
        ------
        pyplant.errors.DamagedError
            If no object can have this name; a plant from elsewhere may name anything.
        """
        if not is_object_name(stored):
            message = f"{stored!r} is not the name of an object."
            raise DamagedError(message)
        return self._root / "objects" / stored[:2] / stored

    def has(self, stored: str, size: int) -> bool:
        """Whether an object seems to be there; its content is not looked at."""
        if not is_object_name(stored):
            return False
        identity = self._files.identity(self.path(stored))
        return identity is not None and identity[2] == size

    def verified(self, stored: str, size: int) -> Path:
        """The path of an object whose content is what was written.

        Raises
        ------
        pyplant.errors.DamagedError
            If it is gone, or was damaged; a damaged one is moved to quarantine.
        """
        path = self.path(stored)
        identity = self._files.identity(path)
        if identity is None:
            message = f"Object {stored} is no longer in the plant."
            raise EvictedError(message)
        noted = self._ledger.identity(stored)
        if identity[2] == size and noted == identity:
            return path
        if identity[2] != size or hash_file(path, self._files) != stored.partition(".")[0]:
            place = path
            with suppress(OSError):  # it is damaged wherever it lies
                place = self.quarantine(stored)
            message = f"Object {stored} was damaged on disk; what was found there is in {place}."
            raise DamagedError(message)
        self._ledger.put_identity(stored, identity)
        return path

    def is_private(self, stored: str) -> bool:
        """Whether no other user can write to an object, or put another in its place."""
        return self._files.is_private(self._root) or all(
            self._files.is_private(path, readable=True)
            for path in (self._root, self._root / "objects", self.path(stored).parent, self.path(stored))
        )

    def verified_content(self, stored: str, size: int) -> bytes:
        """The content of an object, hashed as it is here, whatever was noted about its file.

        Raises
        ------
        pyplant.errors.DamagedError
            If it is gone, or is not what was written.
        """
        path = self.path(stored)
        if self._files.identity(path) is None:
            message = f"Object {stored} is no longer in the plant."
            raise EvictedError(message)
        content = self._files.read(path, limit=size + 1)
        if blake3(content).hexdigest(length=DIGEST_BYTES) != stored.partition(".")[0]:
            aside = path
            with suppress(OSError):
                aside = self.quarantine(stored)
            message = f"Object {stored} was damaged on disk; what was found there is in {aside}."
            raise DamagedError(message)
        return content

    def map(self, stored: str, size: int) -> Any:
        """The content of an object as a private copy-on-write map."""
        return self._files.map_private(self.verified(stored, size))

    def quarantine(self, stored: str) -> Path:
        """Move an object out of the way, but keep it for whoever wants to look; returns where it is."""
        return self._put_aside(self.path(stored))

    def _put_aside(self, path: Path) -> Path:
        aside = self._root / "quarantine" / f"{path.name}.{unique_name(8)}"
        self._files.make_directory(aside.parent)
        self._files.rename(path, aside)
        return aside

    def delete(self, stored: str) -> None:
        """Delete an object."""
        self._files.unlink(self.path(stored))

    def sizes(self) -> dict[str, int]:
        """All objects and their sizes in bytes."""
        root = self._root / "objects"
        found: dict[str, int] = {}
        for name in self._files.names(root):
            if not self._files.is_directory(root / name):
                continue  # nothing of ours, and nothing behind it
            found.update(self._files.sizes(root / name))
        return found


def is_object_name(name: str) -> bool:
    """Whether an object can have this name."""
    return _NAME.fullmatch(name) is not None


def safe_suffix(suffix: str) -> str:
    """A file name's ending, if it is harmless; else none."""
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def scratch_name(pid: int, nonce: str | None = None) -> str:
    """Name of the private scratch of a process here: ``host-place-pid-nonce``."""
    host = re.sub(r"[^a-z0-9]", "-", host_name().lower())[:32]
    return f"{host}-{pid_namespace()}-{pid}-{nonce or unique_name(8)}"
