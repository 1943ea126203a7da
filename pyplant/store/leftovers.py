"""What dead processes left in a plant, and whether other processes still use it."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

from pyplant.store.claims import OwnershipFiles
from pyplant.store.files import Files
from pyplant.store.scratch import abandoned_scratch

__all__ = ["Leftovers"]


class Leftovers:
    """The leftovers in one plant.

    Parameters
    ----------
    files, root
        The disk, and the plant directory.

    Attributes
    ----------
    are_found
        Whether a process died that used the plant, so that objects of it may be named by no execution.
    """

    def __init__(self, files: Files, root: Path) -> None:
        self.are_found = False
        self._files = files
        self._root = root
        self._thread: threading.Thread | None = None

    def clean_in_background(self) -> None:
        """Delete scratch, claims and leases of dead processes in a thread."""
        dead = list(abandoned_scratch(self._files, self._root / "tmp"))
        held = [part for part in ("claims", "leases") if self._files.names(self._root / part)]
        self.are_found = bool(dead)
        if dead or held:
            self._thread = threading.Thread(
                target=self._clean, args=(dead, held), name="pyplant-leftovers", daemon=True
            )
            self._thread.start()

    def _clean(self, scratch: list[Path], held: list[str]) -> None:
        for path in scratch:
            with suppress(OSError):  # another process may delete them, too
                self._files.remove(path)
        for part in held:
            # Not the objects of the warehouse, which other threads use.
            names = OwnershipFiles(self._files, self._root / part)
            with suppress(OSError):
                names.living()
            names.close()

    def wait(self) -> None:
        """Wait until the thread has ended."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def are_possible(self, own: Path | None) -> bool:
        """Return whether another process may have stored objects that no execution names yet.

        ``own`` is the scratch of this process.
        """
        tmp = self._root / "tmp"
        others = {name for name in self._files.names(tmp) if self._files.is_directory(tmp / name)}
        dead = {path.name for path in abandoned_scratch(self._files, tmp)}
        return bool(others - dead - ({own.name} if own is not None else set()))
