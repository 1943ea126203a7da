"""The object store: immutable files, named by the digest of their content.

How it works
------------
- *Writing.* An object is hashed while it is written to private scratch below ``tmp``, and then renamed to
  ``objects/<first two digits>/<digest><suffix>``. It is never opened for writing again.
- *Reading.* The content is verified. To hash each object at each reading would cost as much as reading it, so the ledger
  stores the identity of its file (device, inode, size, times, boot) at the time when it was last hashed. An object with
  this identity is unchanged; any other is hashed again.
- *Damage.* An object whose content does not match its name is moved to quarantine and counts as missing, so its value is
  computed again. It is not deleted, since a user may want to look at it.
- *Durability.* Objects are synced in groups (:meth:`ObjectStore.sync`). A power cut before that may damage an object, but
  then the boot has changed and the object is hashed before it is used.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from pyplant.errors import DamagedError, EvictedError
from pyplant.fingerprint.hashing import DIGEST_BYTES, hasher
from pyplant.store.files import Files, Identity, OpenFile, unique_name
from pyplant.store.latest_lines import LatestLines
from pyplant.store.object_names import is_object_name, safe_suffix
from pyplant.store.scratch import scratch_name

if TYPE_CHECKING:
    import queue

__all__ = [
    "INLINE_LIMIT",
    "HashingSink",
    "ObjectStore",
    "hash_bytes",
    "hash_file",
]

INLINE_LIMIT = 2048
"""Values of at most so many bytes are stored in the journal itself, without a file."""

_MIN_FOR_THREAD = 1 << 21  # bytes; hashing fewer is faster than handing them to a thread
_MAX_QUEUED = 4  # chunks that wait to be hashed; the queue holds references to them


def hash_file(path: Path | str, files: Files | None = None) -> str:
    """Return the digest of a file's content; chunks are read one by one."""
    whole = hasher()
    for chunk in (files or Files()).chunks(path):
        whole.update(chunk)
    return whole.hexdigest(length=DIGEST_BYTES)


def hash_bytes(content: bytes) -> str:
    """Return the digest of the content of a file."""
    return blake3(content).hexdigest(length=DIGEST_BYTES)


class HashingSink:
    """Hashes the bytes of a value and writes them to a file.

    Up to :data:`INLINE_LIMIT` bytes stay in memory and no file is created. Large chunks are hashed in a second thread
    while this one writes them: both release the GIL, so the time is that of the slower one.

    Parameters
    ----------
    files
        The disk; without it the bytes are hashed only.
    new_path
        Returns the path of the file to create, if one is needed.

    Attributes
    ----------
    size
        The number of bytes so far.
    path
        The file, if there is one.
    """

    def __init__(self, files: Files | None = None, new_path: Callable[[], Path] = Path) -> None:
        self.size = 0
        self.path: Path | None = None
        self._files = files
        self._new_path = new_path
        self._first: list[bytes] = []
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
                self._first.append(bytes(view))
                return len(view)
            self.path = self._new_path()
            self._stream = self._files.create(self.path)
            for part in self._first:
                self._write(memoryview(part))
            self._first.clear()
        self._write(view)
        return len(view)

    def _write(self, view: memoryview) -> None:
        stream = self._stream
        if stream is None:
            return
        if len(view) < _MIN_FOR_THREAD:
            self._hash(view)
            stream.write(view)
            return
        self._hash(view, in_thread=True)  # before the write, so that both take place at the same time
        stream.write(view)

    def _hash(self, view: memoryview, *, in_thread: bool = False) -> None:
        if self._queue is None and in_thread:
            import queue  # slow to load

            self._queue = queue.Queue(_MAX_QUEUED)
            # A daemon, so that a value whose writing was interrupted does not keep the process from ending.
            self._thread = threading.Thread(target=self._hash_in_thread, args=(self._queue,), daemon=True)
            self._thread.start()
        # Small chunks follow a large one through the queue, since the digest depends on the order.
        if self._queue is not None:
            self._queue.put(view)
        else:
            self._hasher.update(view)

    def _hash_in_thread(self, chunks: queue.Queue[memoryview | None]) -> None:
        while (chunk := chunks.get()) is not None:
            self._hasher.update(chunk)

    def finish(self) -> tuple[str, bytes | None]:
        """Return the digest of all bytes, and the bytes themselves if they are not in a file."""
        self._join()
        if self._stream is not None:
            self._stream.close()
        if self._stream is not None or self._files is None:
            return self._hasher.hexdigest(length=DIGEST_BYTES), None
        content = b"".join(self._first)
        return hash_bytes(content), content

    def abandon(self) -> None:
        """Delete what was written."""
        self._join()
        if self.path is None or self._files is None:
            return
        if self._stream is not None:
            self._stream.close()
        with suppress(OSError):  # delete a partial file, since it may be what fills the disk
            self._files.unlink(self.path)

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
    latest
        Stores the identities of files.
    read_only
        Whether values are stored in a temporary directory instead of the plant.
    overlay
        That directory, if another process has made it.

    Attributes
    ----------
    unsynced
        The objects that were written since the last :meth:`sync`.
    unnamed
        Objects that this process created and no execution names yet, with the identities of their files.
    """

    def __init__(
        self,
        files: Files,
        root: Path,
        latest: LatestLines,
        *,
        read_only: bool = False,
        overlay: Path | None = None,
    ) -> None:
        self._files = files
        self._root = root
        self._overlay = overlay
        self._read_only = read_only
        self._made_overlay = 0  # the process that removes it
        self._latest = latest
        self._run_folder: Path | None = None
        self._scratch: Path | None = None
        self._scratch_pid = 0
        self.unsynced: set[Path] = set()
        self.unnamed: dict[str, Identity] = {}

    # ------------------------------------------------------------------ scratch

    def write_in(self, folder: Path) -> None:
        """Use the folder of a run as scratch, which is deleted when the run ends."""
        self._run_folder = folder

    def scratch_path(self, suffix: str = "") -> Path:
        """Return a new path in private scratch, on the same file system as the objects, so that renaming works."""
        if self._run_folder is not None:
            return self._run_folder / f"{unique_name(32)}{safe_suffix(suffix)}"
        # A forked child gets scratch of its own, since its parent deletes the other when it ends.
        if self._scratch is None or self._scratch_pid != os.getpid():
            self._scratch = self._writable_root() / "tmp" / scratch_name(os.getpid())
            self._scratch_pid = os.getpid()
        self._files.make_directory(self._scratch)
        return self._scratch / f"{unique_name(32)}{safe_suffix(suffix)}"

    @property
    def scratch(self) -> Path | None:
        """The directory of this process in which it writes; ``None`` if it has written nothing yet."""
        return self._scratch

    def clear_scratch(self) -> None:
        """Delete the scratch of this process, where programs also write files beside those that they were told to write."""
        if self._scratch is not None and self._scratch_pid == os.getpid():
            self._files.remove_tree(self._scratch)
        self._scratch = None

    def clear_overlay(self) -> None:
        """Delete what this process has stored while the plant was read-only."""
        if self._overlay is not None and self._made_overlay == os.getpid():
            self._files.remove_tree(self._overlay)

    @property
    def overlay(self) -> Path | None:
        """Where values are stored if the plant is read-only; ``None`` if it is not."""
        if self._read_only and self._overlay is None:
            self._overlay, self._made_overlay = self._files.temporary_directory(), os.getpid()
        return self._overlay

    def _writable_root(self) -> Path:
        return self.overlay or self._root

    # ------------------------------------------------------------------ writing

    def hash(self, path: Path) -> tuple[str, int]:
        """Return digest and size of a finished file."""
        identity = self._files.identity(path)
        if identity is None:
            raise FileNotFoundError(errno.ENOENT, "there is no regular file of this name", str(path))
        return hash_file(path, self._files), identity[2]

    def copy_to_scratch(self, path: Path) -> tuple[str, int, Path]:
        """Copy a finished file to scratch and delete it; returns digest and size of what was copied, and the copy."""
        copy, whole, size = self.scratch_path("".join(path.suffixes)), hasher(), 0
        stream = self._files.create(copy)
        try:
            for chunk in self._files.chunks(path):
                whole.update(chunk)
                stream.write(chunk)
                size += len(chunk)
        finally:
            stream.close()
        self._files.unlink(path)
        return whole.hexdigest(length=DIGEST_BYTES), size, copy

    def publish(self, path: Path, digest: str, suffix: str, *, read_only: bool = False) -> str:
        """Rename a finished file to its object name and return the name.

        An existing object of this name is replaced: the new file is known to be intact, and it is young, so that a
        garbage collection in another process does not take it for a leftover.

        Raises
        ------
        OSError
            If the disk is full or failing. The file is deleted then.
        """
        stored = digest + safe_suffix(suffix)
        target = self._path_below(self._writable_root(), stored)
        try:
            # Before the renaming, so that no process finds the object with the permissions that a spec gave it.
            self._files.protect(path, read_only=read_only)
            existed = self._files.identity(target) is not None
            if existed:
                # The object may be on the disk already: never replace it by one that is not.
                self._files.sync_file(path)
            self._make_directory(target.parent)
            self._rename(path, target)
        except BaseException:
            self._files.unlink(path)
            raise
        # Read after the renaming, which may change the time of the status. The bytes were hashed while they were
        # written, so not even the first reader hashes them again.
        identity = self._files.identity(target)
        self.unnamed.pop(stored, None)  # if it existed, an execution may name it, or be about to
        if identity is not None:
            self._latest.put_identity(stored, identity)
            if not existed:
                self.unnamed[stored] = identity
        self.unsynced.add(target)
        return stored

    def delete_unnamed(self, names: Iterable[str]) -> None:
        """Delete those of these objects that this process has created and no execution names."""
        for stored in names:
            known = self.unnamed.pop(stored, None)
            if known is not None:
                with suppress(OSError):  # a collection will find it
                    self.delete(stored, known)

    def _make_directory(self, directory: Path) -> None:
        try:
            self._files.make_directory(directory)
        except NotADirectoryError:  # a file or a link that PyPlant did not create; it is not followed
            self._move_to_quarantine(directory)
            self._files.make_directory(directory)

    def _rename(self, path: Path, target: Path) -> None:
        try:
            self._files.rename(path, target)
        except IsADirectoryError:  # PyPlant did not create it
            self._move_to_quarantine(target)
            self._files.rename(path, target)

    def sync(self) -> None:
        """Wait until the objects that were written since the last call are on the disk, and then their names.

        Raises
        ------
        OSError
            If that fails. What is on the disk is unknown then, so these objects are hashed
            again when they are read.
        """
        unsynced, self.unsynced = sorted(self.unsynced), set()
        try:
            for path in unsynced:
                if self._files.identity(path) is not None:  # else it was evicted or moved to quarantine since
                    self._files.sync_file(path)
            # The directory "objects" too: the one below it may be new.
            parents = {path.parent for path in unsynced}
            for directory in sorted(parents | {parent.parent for parent in parents}):
                self._files.sync_directory(directory)
        except OSError:
            for path in unsynced:
                self._latest.put_identity(path.name, None)
            raise

    # ------------------------------------------------------------------ reading

    def path(self, stored: str) -> Path:
        """Return the path that an object of this name has.

        Raises
        ------
        pyplant.errors.DamagedError
            If no object can have this name. A line of another user may contain any text, such as a path.
        """
        if not is_object_name(stored):
            message = f"{stored!r} is not the name of an object."
            raise DamagedError(message)
        if self._overlay is not None:
            path = self._path_below(self._overlay, stored)
            if self._files.identity(path) is not None:
                return path
        return self._path_below(self._root, stored)

    def _path_below(self, root: Path, stored: str) -> Path:
        return root / "objects" / stored[:2] / stored

    def has(self, stored: str, size: int) -> bool:
        """Return whether a file with the name and the size of an object exists; its content is not read."""
        if not is_object_name(stored):
            return False
        identity = self._files.identity(self.path(stored))
        return identity is not None and identity[2] == size

    def verified(self, stored: str, size: int) -> Path:
        """Verify an object and return its path.

        Raises
        ------
        pyplant.errors.DamagedError
            If it does not exist or is damaged. A damaged one is moved to quarantine.
        """
        path = self.path(stored)
        identity = self._files.identity(path)
        if identity is None:
            message = f"Object {stored} is no longer in the plant."
            raise EvictedError(message)
        if identity[2] == size and self._latest.identity(stored) == identity:
            return path
        # The identity from before the hashing: if the file changes meanwhile, it has another one at the next reading.
        if identity[2] != size or hash_file(path, self._files) != stored.partition(".")[0]:
            raise self._damaged(stored)
        self._latest.put_identity(stored, identity)
        return path

    def is_private(self, stored: str) -> bool:
        """Return whether no other user can write to an object or replace it, nor any folder that it is in."""
        path = self.path(stored)
        # The file also in a private plant: another user may own it, who put it there while the plant was shared.
        try:
            return self._is_place_private(path.parents[1]) and all(
                self._files.is_private(part, readable=True) for part in (path.parent, path)
            )
        except FileNotFoundError:
            return False  # the reader raises an error

    def is_scratch_private(self) -> bool:
        """Return whether no other user can replace what this process writes before it is published."""
        return self._is_place_private(self._writable_root() / "tmp")

    def _is_place_private(self, part: Path) -> bool:
        """Return whether no other user can replace a directory of the plant, or the plant."""
        root = part.parent
        return not self._files.is_replaceable(root) and (
            self._files.is_private(root)
            or all(self._files.is_private(path, readable=True) for path in (root, part))
        )

    def verified_content(self, stored: str, size: int) -> bytes:
        """Read an object into memory and return its content, whose hash is always computed.

        Used where other users can write to the file: they could change it between its verification and its use.

        Raises
        ------
        pyplant.errors.DamagedError
            If it does not exist or is damaged.
        """
        path = self.path(stored)
        if self._files.identity(path) is None:
            message = f"Object {stored} is no longer in the plant."
            raise EvictedError(message)
        content = self._files.read(path, limit=size + 1)  # one byte more, which shows that a file is too long
        if hash_bytes(content) != stored.partition(".")[0]:
            raise self._damaged(stored)
        return content

    def _damaged(self, stored: str) -> DamagedError:
        """Move an object to quarantine and return the error that says so."""
        path = self.path(stored)
        with suppress(OSError):  # the error matters more than where the file is
            path = self.quarantine(stored)
        return DamagedError(f"Object {stored} was damaged on disk; what was found there is in {path}.")

    def map(self, stored: str, size: int) -> Any:
        """Verify an object and return its content as writable memory of the caller (:meth:`Files.map_private`)."""
        return self._files.map_private(self.verified(stored, size))

    def quarantine(self, stored: str) -> Path:
        """Move an object to quarantine and return its new path."""
        return self._move_to_quarantine(self.path(stored))

    def _move_to_quarantine(self, path: Path) -> Path:
        if not self._files.is_directory(path.parent):
            return path  # a link to a directory whose files are not those of the plant
        root = self._root if path.is_relative_to(self._root) else self._writable_root()
        quarantined = root / "quarantine" / f"{path.name}.{unique_name(8)}"
        self._files.make_directory(quarantined.parent)
        self._files.rename(path, quarantined)
        return quarantined

    def delete(self, stored: str, known: Identity) -> bool:
        """Delete an object, unless another process has replaced the ``known`` file; return whether it is gone."""
        path = self.path(stored)
        if not (self._files.is_directory(path.parent) and _is_same_file(self._files.identity(path), known)):
            return False
        # Moved before it is deleted, since the file may be replaced until then, and a file cannot be deleted under the
        # condition that it is the known one.
        try:
            moved = self.scratch_path()
            self._files.rename(path, moved)
        except FileNotFoundError:
            return False
        except OSError:  # a full disk has no room for the new name
            self._files.unlink(path)
            return True
        if _is_same_file(self._files.identity(moved), known):
            self._files.unlink(moved)
            return True
        self._files.rename(moved, path)
        return False

    def sizes(self) -> dict[str, int]:
        """Return all objects and their sizes in bytes."""
        return {name: identity[2] for name, identity in self.identities().items()}

    def identities(self) -> dict[str, Identity]:
        """Return all objects and the identities of their files."""
        root = self._root / "objects"
        found: dict[str, Identity] = {}
        for name in self._files.names(root):
            if not self._files.is_directory(root / name):
                continue  # a link could lead out of the plant
            found.update(self._files.identities(root / name))
        return found


def _is_same_file(identity: Identity | None, known: Identity) -> bool:
    """Return whether a file is a known one; not by the time of its status, which a renaming changes."""
    return identity is not None and identity[:4] == known[:4]
