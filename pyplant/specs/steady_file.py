"""A file that never fails its reader and writer, for libraries that do not survive a failing disk.

HDF5 may end the whole process with a segmentation fault if a write fails, at once or when the file is closed. So it writes
to a :class:`SteadyFile`: the first error is stored and the library notices nothing. What cannot be written to the disk is
kept in memory, where the library may read it again. The caller asks for the error after each write, so that
few bytes ever get there.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from pyplant._formatting import format_size

__all__ = ["SteadyFile"]

_PAGE = 1 << 12  # bytes


class SteadyFile:
    """A new file for reading and writing, with the methods that h5py's driver for Python files calls.

    Parameters
    ----------
    path
        Its path.
    needed
        The bytes that the value needs, for the message of an error; 0 if that is not known.

    Attributes
    ----------
    error
        The first error of a write.
    """

    def __init__(self, path: Path, needed: int = 0) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(path, flags, 0o600)
        self._path = path
        self._needed = needed
        self._position = self._size = 0
        self._pages: dict[int, bytearray] = {}  # by their place in the file, what could not be written
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        return str(self._path)  # h5py shows it as the name of the file

    def check(self) -> None:
        """Raise the first error.

        Raises
        ------
        OSError
            If a write failed; the message says how much space is needed.
        """
        match self.error:
            case None:
                return
            case OSError(errno=code, strerror=reason):
                needed = f"{format_size(self._needed)} are needed, " if self._needed else ""
                message = f"{needed}but only {format_size(os.fstat(self._descriptor).st_size)} could be written: {reason}"
                raise OSError(code, message.removeprefix("but "), str(self._path)) from self.error
        raise self.error

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    # ------------------------------------------------------------------ for the library

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the file."""
        self._position = offset + (self._size if whence == os.SEEK_END else 0)
        return self._position

    def tell(self) -> int:
        """Return the place in the file."""
        return self._position

    def read(self, size: int) -> bytes:
        """Return bytes from the place in the file."""
        buffer = bytearray(size)
        self.readinto(memoryview(buffer))
        return bytes(buffer)

    def readinto(self, buffer: memoryview) -> int:
        """Read into a buffer; there are zeros where nothing was written."""
        start, done = self._position, 0
        while done < len(buffer):
            count = os.preadv(self._descriptor, [buffer[done:]], start + done)
            if count == 0:
                break
            done += count
        buffer[done:] = bytes(len(buffer) - done)
        for page, content in self._pages_of(start, len(buffer)):
            first, last = max(start, page * _PAGE), min(start + len(buffer), (page + 1) * _PAGE)
            buffer[first - start : last - start] = content[first - page * _PAGE : last - page * _PAGE]
        self._position += len(buffer)
        return len(buffer)

    def write(self, data: memoryview) -> int:
        """Write bytes to the disk, or into memory after an error."""
        start = self._position
        try:
            if self.error is None:
                done = 0
                while done < len(data):
                    done += os.pwrite(self._descriptor, data[done:], start + done)
        except BaseException as error:  # noqa: BLE001 - an interrupt, too, would be a failed write for the library
            self.error = error
        if self.error is not None:
            self._keep(start, data)
        self._position = start + len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def _keep(self, start: int, data: memoryview) -> None:
        position, end = start, start + len(data)
        while position < end:
            page, offset = divmod(position, _PAGE)
            if page not in self._pages:
                self._pages[page] = bytearray(_PAGE)
                with suppress(OSError):
                    os.preadv(self._descriptor, [self._pages[page]], page * _PAGE)
            count = min(_PAGE - offset, end - position)
            self._pages[page][offset : offset + count] = data[position - start : position - start + count]
            position += count

    def _pages_of(self, start: int, size: int) -> list[tuple[int, bytearray]]:
        first, last = start // _PAGE, (start + size) // _PAGE
        return [(page, content) for page, content in self._pages.items() if first <= page <= last]

    def truncate(self, size: int) -> None:
        """Cut or extend the file."""
        try:
            if self.error is None:
                os.ftruncate(self._descriptor, size)
        except BaseException as error:  # noqa: BLE001 - as in write()
            self.error = error
        self._size = size

    def flush(self) -> None:
        """Do nothing: the store syncs the finished file."""
