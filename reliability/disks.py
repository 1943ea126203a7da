"""Disks that kill, fail or interrupt their process at a chosen change, or log all changes."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyplant.store.files import Files, OpenFile

__all__ = [
    "CountingFiles",
    "FailingFiles",
    "KillingFiles",
    "LoggedFile",
    "LoggedFiles",
    "Operation",
    "WatchedFiles",
]

Do = Callable[[], Any]
Operation = tuple[Any, ...]
"""A change in a log: its kind, and what it concerns."""

CHANGES = (
    *("make_directory", "create", "open_append", "lock", "link", "rename", "unlink"),
    *("remove_tree", "sync_file", "sync_directory", "protect"),
)
READS = ("read", "map_private", "identity", "identities", "sizes", "names")


class WatchedFile(OpenFile):
    """A file that passes writes and syncs to its disk first."""

    __slots__ = ("_disk",)

    def __init__(self, disk: WatchedFiles, writer: OpenFile) -> None:
        super().__init__(writer.path, writer.fileno())
        self._disk = disk

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        whole, half = super().write, view.nbytes // 2
        bytes_ = view.cast("B") if view.nbytes else memoryview(b"")
        self._disk.change("write", self.path, lambda: whole(bytes_), lambda: whole(bytes_[:half]))

    def sync(self) -> None:
        self._disk.change("sync", self.path, super().sync, None)

    def rewrite(self, data: bytes) -> None:
        whole = super().rewrite
        self._disk.change("rewrite", self.path, lambda: whole(data), None)


class WatchedFiles(Files):
    """The disk; :meth:`change` is called before every change."""

    watched = CHANGES

    def change(self, name: str, path: Path, do: Do, tear: Do | None) -> Any:
        """Make the change with ``do``; ``tear`` makes half of it, if it is divisible."""
        del name, path, tear
        return do()


def _watched(name: str) -> Any:
    original = getattr(Files, name)

    def call(self: WatchedFiles, path: Path, *arguments: Any, **options: Any) -> Any:
        def do() -> Any:
            return original(self, path, *arguments, **options)

        result = self.change(name, path, do, None) if name in self.watched else do()
        return WatchedFile(self, result) if isinstance(result, OpenFile) else result

    return call


for _name in (*CHANGES, *READS):
    setattr(WatchedFiles, _name, _watched(_name))


class CountingFiles(WatchedFiles):
    """Counts the points at which something can happen: before each change, and half way through."""

    def __init__(self) -> None:
        self.points: list[str] = []

    def change(self, name: str, path: Path, do: Do, tear: Do | None) -> Any:
        self.points += [f"{name} {path.name}", *([f"half of {name} {path.name}"] if tear else [])]
        return do()


class KillingFiles(WatchedFiles):
    """Kills its process at the ``nth`` point, counted from 1."""

    def __init__(self, nth: int) -> None:
        self.left = nth

    def change(self, name: str, path: Path, do: Do, tear: Do | None) -> Any:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if tear is not None:
            self.left -= 1
            if self.left == 0:
                tear()
                os.kill(os.getpid(), signal.SIGKILL)
        return do()


class FailingFiles(WatchedFiles):
    """Fails at the ``nth`` point with an error; from then on always, or ``once``."""

    def __init__(self, nth: int, code: int = errno.EIO, *, once: bool = False, reads: bool = False) -> None:
        self.left = nth
        self.code = code
        self.once = once
        self.failed: list[str] = []
        self.watched = CHANGES + READS if reads else CHANGES

    def change(self, name: str, path: Path, do: Do, tear: Do | None) -> Any:
        self.left -= 1
        if self.left == 0 or (self.left < 0 and not self.once):
            if tear is not None:
                tear()
            self.failed.append(name)
            if name == "remove_tree":
                return None  # errors of remove_tree are ignored
            raise OSError(self.code, os.strerror(self.code), str(path))
        return do()


class LoggedFile(OpenFile):
    """A file that logs what is written to it."""

    __slots__ = ("_log", "inode")

    def __init__(self, writer: OpenFile, log: list[Operation]) -> None:
        super().__init__(writer.path, writer.fileno())
        self._log = log
        self.inode = os.fstat(writer.fileno()).st_ino

    def write(self, data: bytes | memoryview) -> None:
        super().write(data)
        self._log.append(("write", self.inode, bytes(data)))

    def sync(self) -> None:
        super().sync()
        self._log.append(("sync", self.inode))


class LoggedFiles(Files):
    """The disk, with a log of all changes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log: list[Operation] = []

    def name(self, path: Path) -> str:
        """Return the name of a path in the log."""
        return str(path.relative_to(self.root))

    def make_directory(self, path: Path) -> None:
        missing = [one for one in (path, *path.parents) if not one.exists()]
        super().make_directory(path)
        self.log += [("mkdir", self.name(one)) for one in reversed(missing)]

    def create(self, path: Path) -> OpenFile:
        writer = LoggedFile(super().create(path), self.log)
        self.log.append(("name", self.name(path), writer.inode))
        return writer

    def open_append(self, path: Path) -> OpenFile:
        is_new = not path.exists()
        writer = LoggedFile(super().open_append(path), self.log)
        if is_new:
            self.log.append(("name", self.name(path), writer.inode))
        return writer

    def rename(self, source: Path, target: Path) -> None:
        inode = source.stat().st_ino
        super().rename(source, target)
        self.log.append(("rename", self.name(source), self.name(target), inode))

    def link(self, source: Path, target: Path) -> None:
        super().link(source, target)
        self.log.append(("link", self.name(source), self.name(target), target.stat().st_ino))

    def unlink(self, path: Path) -> None:
        if path.exists():
            super().unlink(path)
            self.log.append(("unlink", self.name(path)))

    def sync_file(self, path: Path) -> None:
        super().sync_file(path)
        if path.is_file():
            self.log.append(("sync", path.stat().st_ino))

    def sync_directory(self, path: Path) -> None:
        super().sync_directory(path)
        self.log.append(("sync directory", self.name(path)))
