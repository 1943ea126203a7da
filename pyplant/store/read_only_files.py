"""The disk, of which one directory must not change."""

from __future__ import annotations

import errno
from pathlib import Path

from pyplant.store.files import Files, OpenFile

__all__ = ["ReadOnlyFiles"]


class ReadOnlyFiles(Files):
    """The disk, of which one directory is opened for reading only: every change in it is refused.

    Parameters
    ----------
    root
        The directory.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def _refuse(self, path: Path) -> None:
        if path.is_relative_to(self._root):
            raise OSError(errno.EROFS, "this plant was opened for reading only", str(path))

    def make_directory(self, path: Path) -> None:
        """Create a directory elsewhere."""
        self._refuse(path)
        super().make_directory(path)

    def create(self, path: Path) -> OpenFile:
        """Create a file elsewhere."""
        self._refuse(path)
        return super().create(path)

    def open_append(self, path: Path) -> OpenFile:
        """Open a file elsewhere."""
        self._refuse(path)
        return super().open_append(path)

    def lock(self, path: Path) -> OpenFile | None:
        """Lock a file elsewhere."""
        self._refuse(path)
        return super().lock(path)

    def unlink(self, path: Path) -> None:
        """Delete a file elsewhere."""
        self._refuse(path)
        super().unlink(path)

    def remove_tree(self, path: Path) -> None:
        """Delete a directory elsewhere."""
        self._refuse(path)
        super().remove_tree(path)

    def sync_file(self, path: Path) -> None:
        """Sync a file elsewhere."""
        self._refuse(path)
        super().sync_file(path)

    def protect(self, path: Path, *, read_only: bool = True) -> None:
        """Change the mode of a file elsewhere."""
        self._refuse(path)
        super().protect(path, read_only=read_only)

    def rename(self, source: Path, target: Path) -> None:
        """Rename a file elsewhere."""
        self._refuse(source)
        self._refuse(target)
        super().rename(source, target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file elsewhere a second name."""
        self._refuse(target)
        super().link(source, target)
