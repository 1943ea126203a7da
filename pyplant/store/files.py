"""Access to the disk: the only module that touches a plant directory.

How it works
------------
- Each method of :class:`Files` is one small step. Tests replace the class to stop a process after any step and to
  check what a crash leaves behind, so a method that combines steps would hide states from them.
- A file is created exclusively, written, synced and renamed to its final name. A reader therefore sees a whole file or
  none. Only the journal is appended to, and its lines carry checksums.
- A plant may have been prepared by another user. Links are not followed (``O_NOFOLLOW``), and only regular files are
  opened: opening a pipe would block, and a link could lead to any file that this user may write.
- Directories have the mode 0700 and files 0600, whatever the umask says.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from pyplant._fork import after_fork_in_child
from pyplant.fingerprint.hashing import hash_in_one_thread
from pyplant.store.processes import boot_id

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "Files",
    "Identity",
    "OpenFile",
    "file_system",
    "is_full",
    "unique_name",
]

Identity = tuple[int, int, int, int, int, str]
"""Device, inode, size, times of the last change of content and of status, boot.

It changes whenever the file is written, replaced or restored. The boot is part of it because a power cut may lose
content that the directory entry promises.
"""

_OPEN_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
"""Child processes do not inherit the file, and a link is not followed."""
_READ_FLAGS = os.O_RDONLY | _OPEN_FLAGS | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

_MAX_WRITE = 1 << 30  # bytes in one call; Linux writes at most 2 GB at once, macOS fails beyond that
_READ_BUFFER = 1 << 22  # bytes
_MAX_COPIED = 1 << 18  # bytes up to which a file is read; mapping it and touching its pages takes as long

_MAP_FIXED = 0x10  # the same on Linux, macOS and BSD; the module mmap does not have it

# Linux has the flag since 2.4, but Python names it since 3.13 only.
_NORESERVE = getattr(
    mmap, "MAP_NORESERVE", 0x4000 if os.name == "posix" and os.uname().sysname == "Linux" else 0
)

_LOCAL_FILE_SYSTEMS = frozenset([
    "ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs",
    "ramfs", "overlay", "jfs", "reiserfs", "bcachefs", "apfs", "hfs", "ufs",
])  # fmt: skip
"""File systems that one machine uses alone. On others, another machine may not see a lock of this one."""


def file_system(path: Path) -> str:
    """Return the type of the file system that holds ``path``, or ``""`` if the system does not tell."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return "apfs" if os.name == "posix" and os.uname().sysname == "Darwin" else ""
    found, real = ("", ""), f"{path.resolve()}/"
    for line in mounts.splitlines():
        # "36 35 98:0 /root /mount/point options - type source ...", see proc_pid_mountinfo(5); the longest mount
        # point that contains the path is the one it is on, and of equal ones the last hides the others.
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].replace("\\040", " ").rstrip("/") + "/"
        if real.startswith(point) and len(point) >= len(found[0]):
            found = point, after.split(" ")[0]
    return found[1]


def is_full(error: OSError) -> bool:
    """Return whether a disk or a quota is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def unique_name(length: int = 12) -> str:
    """Return random hexadecimal digits, for a name that no other process chooses."""
    return os.urandom(length // 2).hex()


class OpenFile:
    """An unbuffered file that is open for writing."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def write(self, data: bytes | memoryview) -> None:
        """Append all of ``data``."""
        view = memoryview(data)
        view = view.cast("B") if view.nbytes else memoryview(b"")
        while view:
            written = os.write(self._descriptor, view[:_MAX_WRITE])
            view = view[written:]

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def sync(self) -> None:
        """Wait until the written data are on the disk."""
        os.fsync(self._descriptor)

    def rewrite(self, data: bytes) -> None:
        """Overwrite the beginning of the file with ``data``."""
        os.pwrite(self._descriptor, data, 0)

    def is_named(self, path: Path | None = None) -> bool:
        """Return whether ``path``, by default the path it was opened under, still leads to this file."""
        try:
            named, opened = os.lstat(path or self.path), os.fstat(self._descriptor)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class Files:
    """The disk."""

    def make_directory(self, path: Path) -> None:
        """Create a directory and its parents, unless it exists.

        Raises
        ------
        NotADirectoryError
            If a file or a link has this name, even a link to a directory.
        """
        try:
            path.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            if not stat.S_ISDIR(path.lstat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "not a directory of the plant", str(path)) from None

    def create(self, path: Path) -> OpenFile:
        """Create a new file for writing.

        Raises
        ------
        FileExistsError
            If the name is taken.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN_FLAGS
        return OpenFile(path, os.open(path, flags, 0o600))

    def create_synced(self, path: Path, content: bytes) -> None:
        """Create a new file with this content and wait until it is on the disk."""
        writer = self.create(path)
        try:
            writer.write(content)
            writer.sync()
        finally:
            writer.close()

    def open_append(self, path: Path) -> OpenFile:
        """Open a file for appending, and create it if it does not exist; each write goes to its current end."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _OPEN_FLAGS
        return OpenFile(path, os.open(path, flags, 0o600))

    def lock(self, path: Path) -> OpenFile | None:
        """Open a file and lock it; return ``None`` if another process has the lock.

        The file is created if it does not exist. The kernel releases the lock when the process ends for any reason.

        Raises
        ------
        OSError
            If the file system has no locks.
        """
        if fcntl is None:
            raise OSError(errno.ENOSYS, "this system has no flock", str(path))
        flags = os.O_RDWR | os.O_CREAT | _OPEN_FLAGS
        while True:
            writer = OpenFile(path, os.open(path, flags, 0o600))
            try:
                fcntl.flock(writer.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                writer.close()
                return None
            except BaseException:
                writer.close()
                raise
            if writer.is_named():
                return writer
            writer.close()  # its owner deleted it between our open and our lock: create it again

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name.

        Raises
        ------
        FileExistsError
            If the name is taken.
        """
        os.link(source, target)

    def has_shared_locks(self, path: Path) -> bool:
        """Return whether every process that can see a file here also sees the kernel's lock on it."""
        return fcntl is not None and file_system(path) in _LOCAL_FILE_SYSTEMS

    def read(self, path: Path, offset: int = 0, limit: int = -1) -> bytes:
        """Return at most ``limit`` bytes of a file, starting at ``offset``."""
        with _opened(path, -1) as stream:
            stream.seek(offset)
            content: bytes = stream.read(limit)
            return content

    def chunks(self, path: Path | str) -> Iterator[memoryview]:
        """Yield the content of a file in chunks; each chunk overwrites the one before.

        A memory map would be simpler, but if the file shrinks or the disk fails, reading through a map kills the
        process with ``SIGBUS``, whereas reading the file raises ``OSError``.
        """
        descriptor, size = _descriptor(path)
        if size <= _MAX_COPIED:  # a file object and a buffer take longer than to read a small file
            try:
                while content := os.read(descriptor, size + 1):
                    yield memoryview(content)
            finally:
                os.close(descriptor)
            return
        with open(descriptor, "rb", buffering=0) as stream:
            view = memoryview(bytearray(_READ_BUFFER))
            while count := stream.readinto(view):
                yield view[:count]

    def map_private(self, path: Path) -> mmap.mmap | bytearray:
        """Return the content of a file in memory that belongs to the caller: writing to it does not change the file.

        A small file is read. A larger one is mapped copy-on-write, and the map keeps no descriptor open, so their
        number is not limited by that of open files (usually 1,024), only by that of maps (65,530 on Linux). No memory is
        reserved, unlike in NumPy's own copy-on-write mode, which refuses files larger than memory.
        """
        with _opened(path, 0) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > _MAX_COPIED:
                return _mapped(stream.fileno(), size)
            return bytearray(stream.read(size))

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file; a file that has the new name is replaced in the same step."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Delete a file, if it exists."""
        path.unlink(missing_ok=True)

    def remove_tree(self, path: Path) -> None:
        """Delete a directory with its content; errors are ignored."""
        import shutil  # slow to load

        shutil.rmtree(path, ignore_errors=True)

    def remove(self, path: Path) -> None:
        """Delete a file, or a directory with its content."""
        if self.is_directory(path):
            self.remove_tree(path)
        else:
            self.unlink(path)

    def tree_size(self, path: Path) -> int:
        """Return the bytes of the regular files at or below a path."""
        if not self.is_directory(path):
            return (self.identity(path) or (0, 0, 0))[2]
        return sum(self.tree_size(path / name) for name in self.names(path))

    def sync_file(self, path: Path) -> None:
        """Wait until the content of a finished file is on the disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Wait until the names in a directory are on the disk; does nothing where the system has no such call."""
        if os.name == "posix":
            self.sync_file(path)

    def free_bytes(self, path: Path) -> int:
        """Return the free bytes of the file system that holds a directory."""
        import shutil

        return shutil.disk_usage(path).free

    def free_inodes(self, path: Path) -> int | None:
        """Return how many files can be created in a directory; ``None`` if its file system has no such limit, or tells none."""
        if not hasattr(os, "statvfs"):
            return None
        info = os.statvfs(path)
        return info.f_favail if info.f_files else None

    def sizes(self, path: Path, suffix: str = "") -> dict[str, int]:
        """Return names and sizes of the regular files with a suffix in a directory; empty if it does not exist."""
        return {name: info.st_size for name, info in self._regular_files(path, suffix)}

    def identities(self, path: Path) -> dict[str, Identity]:
        """Return names and identities of the regular files in a directory; empty if it does not exist."""
        return {name: _identity(info) for name, info in self._regular_files(path, "")}

    @staticmethod
    def _regular_files(path: Path, suffix: str) -> Iterator[tuple[str, os.stat_result]]:
        try:
            entries = os.scandir(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        with entries as listed:
            for entry in listed:
                if not entry.name.endswith(suffix):
                    continue
                try:
                    info = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # deleted since it was listed
                if stat.S_ISREG(info.st_mode):
                    yield entry.name, info

    def names(self, path: Path) -> list[str]:
        """Return the sorted names in a directory; empty if it does not exist."""
        try:
            return sorted(entry.name for entry in path.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def identity(self, path: Path) -> Identity | None:
        """Return the identity of a regular file, or ``None`` if there is none of this name."""
        try:
            info = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(info.st_mode):
            return None
        return _identity(info)

    def modified(self, path: Path) -> float | None:
        """Return when a file, directory or link was last written or renamed, or ``None`` if it does not exist.

        In seconds since the epoch, by the clock of the file system.
        """
        try:
            info = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return max(info.st_mtime, info.st_ctime)

    def is_directory(self, path: Path) -> bool:
        """Return whether a path is a directory; a link to one is not."""
        return path.is_dir() and not path.is_symlink()

    def protect(self, path: Path, *, read_only: bool = True) -> None:
        """Let only this user read a file, and write it unless it is ``read_only``."""
        path.chmod(0o400 if read_only else 0o600)

    def is_private(self, path: Path, *, readable: bool = False) -> bool:
        """Return whether no other user can write to a file or directory, nor read it unless ``readable`` is true."""
        if os.name != "posix":
            return True
        info = path.lstat()
        return info.st_uid in (os.geteuid(), 0) and not info.st_mode & (0o022 if readable else 0o077)

    def is_replaceable(self, path: Path) -> bool:
        """Return whether another user can rename a directory above ``path``, and put another one in its place."""
        if os.name != "posix":
            return False
        for parent in path.parents:
            info = parent.lstat()
            is_sticky = bool(info.st_mode & stat.S_ISVTX)  # as /tmp: only owners rename their entries
            if info.st_uid not in (os.geteuid(), 0) or (info.st_mode & 0o022 and not is_sticky):
                return True
        return False

    @contextmanager
    def private_copy(self, content: bytes, suffix: str) -> Iterator[Path]:
        """Provide a temporary file outside the plant with this content, which no other user can write to."""
        import tempfile  # slow to load

        with tempfile.TemporaryDirectory(prefix="pyplant-") as directory:
            path = Path(directory) / f"copy{suffix}"
            self.create_synced(path, content)
            yield path

    def temporary_directory(self) -> Path:
        """Create a directory outside the plant that no other user can read or write."""
        import tempfile  # slow to load

        return Path(tempfile.mkdtemp(prefix="pyplant-"))

    def owner_and_mode(self, path: Path) -> tuple[int, int]:
        """Return the owner's number and the permission bits of a path."""
        info = path.stat()
        return (info.st_uid if os.name == "posix" else 0), stat.S_IMODE(info.st_mode)

    def own_user(self) -> int:
        """Return the number of the user that runs this process."""
        return os.geteuid() if os.name == "posix" else 0


def _opened(path: Path | str, buffering: int) -> Any:
    """Open a regular file for reading."""
    return open(_descriptor(path)[0], "rb", buffering=buffering)


def _descriptor(path: Path | str) -> tuple[int, int]:
    """Open a regular file for reading, and return its size; without ``O_NONBLOCK`` the process would wait at a pipe."""
    descriptor = os.open(path, _READ_FLAGS)
    info = os.fstat(descriptor)
    if stat.S_ISREG(info.st_mode):
        return descriptor, info.st_size
    os.close(descriptor)
    raise OSError(errno.EINVAL, "not a regular file", str(path))


def _identity(info: os.stat_result) -> Identity:
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, boot_id())


def _mapped(descriptor: int, size: int) -> mmap.mmap:
    """Map a file copy-on-write."""
    if os.name == "nt":
        return mmap.mmap(descriptor, size, access=mmap.ACCESS_COPY)
    flags, access = mmap.MAP_PRIVATE | _NORESERVE, mmap.PROT_READ | mmap.PROT_WRITE
    if sys.version_info >= (3, 13):
        return mmap.mmap(descriptor, size, flags, access, trackfd=False)
    # Before Python 3.13 every map of a file keeps a duplicate of the descriptor. So the file is mapped over anonymous
    # memory: the object owns the addresses, whatever is mapped there, and unmaps them.
    import ctypes  # slow to load

    mapped = mmap.mmap(-1, size, flags | mmap.MAP_ANONYMOUS, access)
    address = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
    if _system_mmap()(address, size, access, flags | _MAP_FIXED, descriptor, 0) != address:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return mapped


@cache
def _system_mmap() -> Any:
    """Return the function ``mmap`` of the system."""
    import ctypes

    function = ctypes.CDLL(None, use_errno=True).mmap
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    return function


after_fork_in_child(hash_in_one_thread)
