"""The one seam to the disk: every call that touches a plant directory goes through here.

Tests replace :class:`Files` to enumerate what a crash may leave behind, so the calls are
few and small. Directories are 0700 and files 0600 whatever the umask says.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from blake3 import blake3

from pyplant._fork import after_fork_in_child
from pyplant.fingerprint.hashing import hash_in_one_thread

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "Files",
    "Identity",
    "ReadOnlyFiles",
    "Writer",
    "birth",
    "boot_id",
    "file_system",
    "host_name",
    "is_alive",
    "place",
    "unique",
]

Identity = tuple[int, int, int, int, int, str]
"""Device, inode, size, times of content and status change, boot: an untouched file keeps it."""

_OWN = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
"""Nobody else's files: not for child processes, and not where a planted link leads."""

_CHUNK = 1 << 30
_PIECE = 1 << 22
_NORESERVE = getattr(
    mmap, "MAP_NORESERVE", 0x4000 if os.name == "posix" and os.uname().sysname == "Linux" else 0
)


_LOCAL = frozenset(
    [
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "f2fs",
        "tmpfs",
        "ramfs",
        "overlay",
        "jfs",
        "reiserfs",
        "bcachefs",
        "apfs",
        "hfs",
        "ufs",
    ]
)
"""File systems of one machine alone. Others may keep locks to themselves, or have none."""


def file_system(path: Path) -> str:
    """The type of the file system that holds ``path``; ``""`` where the system does not say."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return "apfs" if os.name == "posix" and os.uname().sysname == "Darwin" else ""
    found, real = ("", ""), f"{path.resolve()}/"
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].replace("\\040", " ").rstrip("/") + "/"
        if real.startswith(point) and len(point) >= len(found[0]):
            found = point, after.split(" ")[0]
    return found[1]


@cache
def boot_id() -> str:
    """Identifies this boot of the machine; what was not synced may be gone after another."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    return "unknown"


@cache
def place() -> str:
    """Identifies where process numbers mean what they mean here: this boot, this container."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return blake3(f"{boot_id()} {namespace}".encode()).hexdigest(length=4)


def host_name() -> str:
    """The name of this machine."""
    if os.name == "posix":
        return os.uname().nodename
    import socket  # slow to load

    return socket.gethostname()


def birth(pid: int) -> str:
    """Tells a process from a later one of the same number; ``""`` where the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (OSError, ValueError):
        return ""
    return "".join(
        fields.rpartition(")")[2].split()[19:20]
    )  # counted from the name on, which may hold spaces


def is_alive(pid: int, born: str = "") -> bool:
    """Whether a process of this machine is alive; where that cannot be known, it is."""
    if os.name == "nt":
        return True  # asking would end it
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass
    return not born or birth(pid) in (born, "")


def unique(length: int = 12) -> str:
    """A name that nobody else will take: hexadecimal digits."""
    return os.urandom(length // 2).hex()


class Writer:
    """A file being written; not buffered."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def write(self, data: bytes | memoryview) -> None:
        """Append all of ``data``."""
        view = memoryview(data)
        view = view.cast("B") if view.nbytes else memoryview(b"")
        while view:
            written = os.write(self._descriptor, view[:_CHUNK])
            view = view[written:]

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def sync(self) -> None:
        """Bring what was written to the disk."""
        os.fsync(self._descriptor)

    def rewrite(self, data: bytes) -> None:
        """Put ``data`` at the beginning, in place of what was there."""
        os.pwrite(self._descriptor, data, 0)

    def is_named(self, path: Path | None = None) -> bool:
        """Whether the file has this name, by default still its own: nobody deleted or replaced it."""
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
    """The real disk."""

    def make_directory(self, path: Path) -> None:
        """Make a directory, and those above it, unless it is there.

        Raises
        ------
        NotADirectoryError
            If something else has its name; a link to a directory counts as such.
        """
        try:
            path.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            if not stat.S_ISDIR(path.lstat().st_mode):
                raise NotADirectoryError(errno.ENOTDIR, "not a directory of the plant", str(path)) from None

    def create(self, path: Path) -> Writer:
        """Create a new file for writing; an existing one is an error."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OWN
        return Writer(path, os.open(path, flags, 0o600))

    def create_synced(self, path: Path, content: bytes) -> None:
        """Create a new file that holds ``content``, and bring it to the disk."""
        writer = self.create(path)
        try:
            writer.write(content)
            writer.sync()
        finally:
            writer.close()

    def open_append(self, path: Path) -> Writer:
        """Open a file, new or not, for appending; every write lands at its end."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _OWN
        return Writer(path, os.open(path, flags, 0o600))

    def lock(self, path: Path) -> Writer | None:
        """Open a file with the kernel's lock on it; ``None`` if another has the lock.

        The file is made if it is not there. The lock ends with the process, however that ends.

        Raises
        ------
        OSError
            If this file system has no locks.
        """
        if fcntl is None:
            raise OSError(errno.ENOSYS, "this system has no such locks", str(path))
        flags = os.O_RDWR | os.O_CREAT | _OWN
        while True:
            writer = Writer(path, os.open(path, flags, 0o600))
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
            writer.close()  # its owner deleted it while we opened it

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; one that is taken is an error."""
        os.link(source, target)

    def has_shared_locks(self, path: Path) -> bool:
        """Whether the kernel's lock on a file here is seen by all who can see the file."""
        return fcntl is not None and file_system(path) in _LOCAL

    def read(self, path: Path, offset: int = 0, limit: int = -1) -> bytes:
        """The content of a file from ``offset`` on, at most ``limit`` bytes of it."""
        with _opened(path, -1) as stream:
            stream.seek(offset)
            content: bytes = stream.read(limit)
            return content

    def chunks(self, path: Path) -> Iterator[memoryview]:
        """The content of a file, piece by piece; each piece is overwritten by the next.

        Not a map: a file that shrinks meanwhile, or a failing disk, would kill a process
        that reads through one, and raises here.
        """
        buffer = bytearray(_PIECE)
        view = memoryview(buffer)
        with _opened(path, 0) as stream:
            while count := stream.readinto(buffer):
                yield view[:count]

    def map_private(self, path: Path) -> mmap.mmap | bytes:
        """Map a file copy-on-write: writes stay with whoever made them.

        No memory is reserved: NumPy's own copy-on-write mode refuses files larger than
        memory. An empty file cannot be mapped and gives ``b""``.
        """
        with _opened(path, 0) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size == 0:
                return b""
            if os.name == "nt":
                return mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_COPY)
            flags = mmap.MAP_PRIVATE | _NORESERVE
            return mmap.mmap(stream.fileno(), size, flags, mmap.PROT_READ | mmap.PROT_WRITE)

    def rename(self, source: Path, target: Path) -> None:
        """Give a file its final name, replacing what bears it."""
        source.replace(target)

    def unlink(self, path: Path) -> None:
        """Delete a file; one that is gone already is fine."""
        path.unlink(missing_ok=True)

    def remove_tree(self, path: Path) -> None:
        """Delete a directory and all below it, as far as that works."""
        import shutil  # slow to load

        shutil.rmtree(path, ignore_errors=True)

    def sync_file(self, path: Path) -> None:
        """Bring a finished file to the disk."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Bring the names in a directory to the disk, where the system can."""
        if os.name == "posix":
            self.sync_file(path)

    def free(self, path: Path) -> int:
        """Bytes that are free where a directory is."""
        import shutil  # slow to load

        return shutil.disk_usage(path).free

    def sizes(self, path: Path) -> dict[str, int]:
        """Names and sizes of the files in a directory; empty if there is none."""
        found: dict[str, int] = {}
        try:
            entries = os.scandir(path)
        except (FileNotFoundError, NotADirectoryError):
            return found
        with entries as listed:
            for entry in listed:
                try:
                    info = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # deleted since it was listed
                if stat.S_ISREG(info.st_mode):
                    found[entry.name] = info.st_size
        return found

    def names(self, path: Path) -> list[str]:
        """Sorted names in a directory; empty if there is none."""
        try:
            return sorted(entry.name for entry in path.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def identity(self, path: Path) -> Identity | None:
        """What tells an untouched file from a changed one; ``None`` if there is no file."""
        try:
            info = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(info.st_mode):
            return None
        return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns, boot_id())

    def modified(self, path: Path) -> float | None:
        """When a file, directory or link was last written or renamed; ``None`` if there is none.

        In seconds since the epoch, by the clock of the file system.
        """
        try:
            info = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return max(info.st_mtime, info.st_ctime)

    def is_directory(self, path: Path) -> bool:
        """Whether there is a directory, not a link to one."""
        return path.is_dir() and not path.is_symlink()

    def protect(self, path: Path, *, read_only: bool = True) -> None:
        """Keep a file from everybody else, and from being written."""
        path.chmod(0o400 if read_only else 0o600)

    def is_private(self, path: Path, *, readable: bool = False) -> bool:
        """Whether no other user can write to a file or directory; nor read it, unless ``readable``."""
        if os.name != "posix":
            return True
        info = path.lstat()
        return info.st_uid in (os.geteuid(), 0) and not info.st_mode & (0o022 if readable else 0o077)

    @contextmanager
    def private_copy(self, content: bytes, suffix: str) -> Iterator[Path]:
        """A file with this content that no other user can write to, outside the plant, for a while."""
        import tempfile  # slow to load

        with tempfile.TemporaryDirectory(prefix="pyplant-") as directory:
            path = Path(directory) / f"copy{suffix}"
            self.create_synced(path, content)
            yield path

    def owner_and_mode(self, path: Path) -> tuple[int, int]:
        """Owner and permission bits."""
        info = path.stat()
        return (info.st_uid if os.name == "posix" else 0), stat.S_IMODE(info.st_mode)

    def own_user(self) -> int:
        """The user we are."""
        return os.geteuid() if os.name == "posix" else 0


class ReadOnlyFiles(Files):
    """The real disk, of which nothing can be changed."""

    def _refuse(self, path: Path, *_: object, **__: object) -> NoReturn:
        raise OSError(errno.EROFS, "this plant was opened for reading only", str(path))

    make_directory = create = open_append = lock = _refuse
    unlink = remove_tree = sync_file = sync_directory = protect = _refuse

    def rename(self, source: Path, target: Path) -> None:
        """Refused."""
        self._refuse(target, source)

    link = rename


def _opened(path: Path, buffering: int) -> Any:
    """A regular file, for reading; opening a planted pipe would wait for ever."""
    descriptor = os.open(path, os.O_RDONLY | _OWN | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
    except BaseException:
        os.close(descriptor)
        raise
    return open(descriptor, "rb", buffering=buffering)


after_fork_in_child(hash_in_one_thread)
