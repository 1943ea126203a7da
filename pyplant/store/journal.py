"""The journal: what a plant knows, in append-only files.

How it works
------------
- Every process writes a file of its own, ``<writer>.log``, so no two processes ever write to the same file, and no
  locks are needed. A reader remembers how far it has read each file and reads on from there.
- A line is ``checksum~seal kind number@writer key payload``. Checksum and seal (:mod:`pyplant.store.seals`) cover the
  rest of the line. A torn end or a flipped bit therefore damages one line: it is counted and skipped. An empty line is
  written before each line, so that a damaged line end does not join two lines.
- A line without a valid seal was not written by this user.
- The number is a Lamport clock: a counter above every number that the writer had seen. Number and writer together order
  all lines, without clocks, and identify a line: readers may meet it twice while files are merged.
- The payload is JSON without line breaks. It is parsed when its content is needed, which for most lines is never:
  parsing all of them would take longer than reading the files.
- Lines are never changed. Processes that find many finished files write the lines that are still needed into a new
  file and then delete the old ones (:meth:`Journal.merge`).
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

from blake3 import blake3

from pyplant.engine.validate import count
from pyplant.store.claims import OwnershipFiles
from pyplant.store.files import Files, OpenFile, unique_name
from pyplant.store.seals import Seals

__all__ = ["Journal", "JournalEntry"]

_SUFFIX = ".log"
_FILE = re.compile(
    r"[\w-]{1,100}\.log", re.ASCII
)  # PyPlant writes no other names, and they become parts of lines
_MAX_UNSIGNED = 1 << 60  # above are numbers that lines of this user can have and others cannot use up
_CHECK_BYTES = 8
_MAX_FRAME = 192  # bytes of a line besides key and payload
_READ_BYTES = 1 << 20  # bytes read at once
_MAX_LINE = 1 << 26  # bytes; bounds the memory for a file without line ends, which PyPlant did not write
_BLOCK_BYTES = 1 << 16  # read at once where single lines are read again
_KEPT_BLOCKS = 16
_MAX_OFFSET = 1 << 44  # bytes of a file


Rank = tuple[int, str]
"""The position of a line in the order of all lines of the journal: number and writer."""


class JournalEntry(NamedTuple):
    """One line of the journal.

    Attributes
    ----------
    kind
        One letter; :meth:`~pyplant.store.ledger.Ledger.refresh` lists them. Unknown kinds are ignored.
    key
        What the line is about; no spaces.
    number, writer
        Its position in the order of all lines.
    data
        The payload, as JSON.
    seal
        The seal as it is in the file; it may be invalid unless ``signed``.
    signed
        Whether this user wrote the line.
    place
        Where :meth:`Journal.read_again` finds it; -1 if this process wrote it.
    """

    kind: str
    key: str
    number: int
    writer: str
    data: bytes
    seal: bytes = b""
    signed: bool = False
    place: int = -1

    @property
    def rank(self) -> Rank:
        """Its position in the order of all lines."""
        return self.number, self.writer

    def payload(self) -> Any:
        """Parse the payload."""
        data = self.data.decode()
        payload, end = _DECODER.raw_decode(data)
        if end != len(data):
            raise ValueError(data)
        return payload


# json.loads detects the encoding and skips white space, which takes longer than parsing a short line.
_DECODER = json.JSONDecoder()
_ENCODER = json.JSONEncoder(separators=(",", ":"))

PendingLine = tuple[str, str, bytes]
"""Kind, key and payload of a line that another process writes."""


Position = tuple[dict[str, int], int]
"""How many bytes of each file were read, and how many of the lines were damaged."""


class Journal:
    """The journal files of a plant, and the file that this process writes.

    Parameters
    ----------
    files
        The disk.
    directory
        Where the journal files are.
    leases
        Where this process publishes that its file is not finished.
    read_only
        Whether to write nothing.
    seals
        Seal lines and check seals; without them no line counts as written by this user.

    Attributes
    ----------
    writer
        The name of the file that this process writes, without its suffix; another one after a failed write.
    damaged_lines
        The number of lines that were skipped while reading.
    written_bytes
        The length of all lines that this process has written.
    """

    def __init__(
        self,
        files: Files,
        directory: Path,
        leases: OwnershipFiles | None = None,
        *,
        read_only: bool = False,
        seals: Seals | None = None,
    ) -> None:
        self.writer = unique_name()
        self._seals = seals
        self._files = files
        self._directory = directory
        self._leases = leases
        self._offsets: dict[str, int] = {}
        self._numbers: dict[str, int] = {}  # of files that were read, in places
        self._blocks: dict[tuple[str, int], bytes] = {}  # that were read again, by file and number
        self._number = 0
        self._pending: list[JournalEntry] = []
        self._stream: OpenFile | None = None
        self._pid = os.getpid()
        self._read_only = read_only
        self.damaged_lines = 0
        self.written_bytes = 0

    # ------------------------------------------------------------------ reading

    def read_new(self) -> Iterator[JournalEntry]:
        """Yield the lines that were written since the last call, by this or other processes.

        While another process merges files, a line may come twice, but none is missed: a merged file appears before the
        old ones disappear, so the directory is listed again until two listings agree.
        """
        listed: dict[str, int] = {}
        while (files := self.files()) != listed:
            longer = [name for name, size in files.items() if size > self._offsets.get(name, 0)]
            for name in sorted(longer):
                with suppress(FileNotFoundError):
                    yield from self._tail(name)
            if not longer:
                return
            listed = files

    def position(self) -> Position:
        """Return how far the files were read, for :meth:`rewind`."""
        return self._offsets.copy(), self.damaged_lines

    def rewind(self, position: Position) -> None:
        """Yield the lines behind this position again."""
        offsets, self.damaged_lines = position
        self._offsets = offsets.copy()

    def files(self) -> dict[str, int]:
        """Return the files of the journal and their sizes in bytes."""
        found = self._files.sizes(self._directory, _SUFFIX)
        return {name: size for name, size in found.items() if _FILE.fullmatch(name)}

    def read_again(self, places: Iterable[int]) -> Iterator[JournalEntry]:
        """Yield lines that were read before, in the order of their places.

        Lines of files that were merged since are left out.
        """
        names = list(self._numbers)
        gone = -1
        for place in sorted(places):
            number, offset = divmod(place, _MAX_OFFSET)
            if number == gone:
                continue
            try:
                line = self._line_at(names[number], offset)
            except FileNotFoundError:
                gone = number
                continue
            entry = self._parse(line, names[number].removesuffix(_SUFFIX), place)
            if entry is not None:
                yield entry

    def _line_at(self, name: str, offset: int) -> bytes:
        block, start = divmod(offset, _BLOCK_BYTES)
        data = self._block(name, block)
        if data.find(b"\n", start) < 0 and len(data) < _BLOCK_BYTES:  # the file has grown since
            self._blocks.clear()
            data = self._block(name, block)
        end = data.find(b"\n", start)
        if end >= 0:
            return data[start:end]
        line = data[start:]
        while end < 0 and data and len(line) <= _MAX_LINE:
            block += 1
            data = self._block(name, block)
            end = data.find(b"\n")
            line += data if end < 0 else data[:end]
        return line

    def _block(self, name: str, number: int) -> bytes:
        """Return a block of a file; the last ones are kept, since lines are often read again in another order."""
        data = self._blocks.get((name, number))
        if data is None:
            data = self._files.read(self._directory / name, number * _BLOCK_BYTES, _BLOCK_BYTES)
            if len(self._blocks) >= _KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[name, number] = data
        return data

    def _tail(self, name: str) -> Iterator[JournalEntry]:
        writer = name.removesuffix(_SUFFIX)
        first = self._numbers.setdefault(name, len(self._numbers)) * _MAX_OFFSET
        for offset, line in self._lines(name):
            entry = self._parse(line, writer, first + offset)
            if entry is None:
                self.damaged_lines += 1
            else:
                yield entry

    def _lines_once(self, names: Iterable[str]) -> Iterator[JournalEntry]:
        """Yield all lines of these files, one by one, since together they may not fit into memory."""
        seen: set[Rank] = set()
        for name in names:
            for entry in self._tail(name):
                # A line is in two files if a merge was interrupted before it deleted the old ones.
                if entry.rank not in seen:
                    seen.add(entry.rank)
                    yield entry

    def _lines(self, name: str) -> Iterator[tuple[int, bytes]]:
        """Yield new complete lines and their offsets; a line without its end is still being written, or torn."""
        path, length = self._directory / name, 0
        incomplete: list[bytes] = []
        while data := self._files.read(path, self._offsets.get(name, 0) + length, _READ_BYTES):
            # Only what is new is searched: a file of another user may have no line end at all.
            end = data.rfind(b"\n") + 1 or (len(data) if length + len(data) > _MAX_LINE else 0)
            incomplete.append(data[:end])
            if not end:
                incomplete[-1], length = data, length + len(data)
                continue
            lines = b"".join(incomplete)
            incomplete, length = [data[end:]], len(data) - end
            offset = self._offsets.get(name, 0)
            # Noted before the lines are used: the caller takes all of them, or calls rewind().
            self._offsets[name] = offset + len(lines)
            for line in lines.split(b"\n"):
                if line:
                    yield offset, line
                offset += len(line) + 1

    def _parse(self, line: bytes, writer: str, place: int) -> JournalEntry | None:
        head, _, rest = line.partition(b" ")
        check, _, seal = head.partition(b"~")
        # A valid seal proves that the line is intact, so the checksum is computed for other lines only.
        signed = bool(seal) and self._seals is not None and self._seals.is_valid(rest, seal)
        if not signed and blake3(rest).hexdigest(length=_CHECK_BYTES).encode() != check:
            return None
        try:
            kind, position, key, payload = rest.split(b" ", 3)
            text, _, merged = position.partition(b"@")
            number = count(int(text))
            # The seal covers the writer only if the line names it; a file can be renamed.
            signed = signed and bool(merged)
            if not signed and number > _MAX_UNSIGNED:
                return None
            writer = intern(merged.decode()) or writer
            entry = JournalEntry(kind.decode(), key.decode(), number, writer, payload, seal, signed, place)
        except ValueError:
            return None
        # A Lamport clock: what this process writes comes after everything that it has read.
        self._number = max(self._number, number)
        return entry

    # ------------------------------------------------------------------ writing

    @property
    def is_writable(self) -> bool:
        """Whether this process may write; a forked child may not, since its parent writes the file."""
        return not self._read_only and os.getpid() == self._pid

    def append(self, kind: str, key: str, payload: Any, *, sealed: bool = True) -> JournalEntry:
        """Add a line; the next :meth:`flush` writes it.

        Without a seal it counts as a line of another user.

        Raises
        ------
        OSError
            If it is longer than readers accept.
        """
        # Counted when it is appended, not when it is written: the caller refers to the line by its number.
        self._number += 1
        data = _ENCODER.encode(payload).encode()
        entry = JournalEntry(kind, key, self._number, self.writer, data)
        if self._seals is not None and sealed:
            entry = entry._replace(seal=self._seals.seal(_content(entry)), signed=True)
        if len(data) + len(key) + _MAX_FRAME > _MAX_LINE:
            message = f"A record of {len(data)} bytes is too long for the journal."
            raise OSError(errno.EFBIG, message)
        self._pending.append(entry)
        return entry

    def take_pending(self) -> tuple[PendingLine, ...]:
        """Remove the pending lines and return them, for another process to write."""
        lines = tuple((entry.kind, entry.key, entry.data) for entry in self._pending)
        self._pending.clear()
        return lines

    def flush(self, *, sync: bool = False) -> None:
        """Write the pending lines: they survive this process, and with ``sync`` a power cut.

        Raises
        ------
        OSError
            If the disk is full or failing. The lines are lost then.
        """
        if not self.is_writable:
            self._pending.clear()
            return
        # Not kept for another try if this one fails: the caller then says that their results are not stored.
        pending, self._pending = self._pending, []
        if pending:
            if self._stream is not None and not self._stream.is_named():
                self._abandon()  # merged by a process that took this one for dead, or deleted by a user
            if self._stream is None:
                self._files.make_directory(self._directory)
                # Before the file exists: a merge lists the files first, then reads the leases.
                # Without a lease the file would count as finished, and the merge would delete it while it grows.
                if self._leases is not None:
                    self._leases.take(self.writer)
                self._stream = self._files.open_append(self._directory / f"{self.writer}{_SUFFIX}")
            data = b"".join(map(_line, pending))
            try:
                self._stream.write(data)
            except OSError:
                self._abandon()
                raise
            # The ledger has applied these lines when they were appended, so they are not read again.
            name = f"{self.writer}{_SUFFIX}"
            self._offsets[name] = self._offsets.get(name, 0) + len(data)
            self.written_bytes += len(data)
        if sync and self._stream is not None:
            try:
                self._stream.sync()
                # A power cut may lose the name of a new file, although its content is on the disk.
                self._files.sync_directory(self._directory)
            except OSError:
                self._abandon()
                raise

    def _abandon(self) -> None:
        """Start a new file, since after a failed write the end of the old one is unknown."""
        stream, self._stream = self._stream, None
        self.writer = unique_name()
        if stream is not None:
            with suppress(OSError):
                stream.close()

    def begin_file(self) -> None:
        """Write into a new file from now on, so that the old one can be merged."""
        if self._stream is None:
            return
        self.flush()
        old = self.writer
        self._abandon()
        if self._leases is not None:
            self._leases.take(self.writer)
            self._leases.release(old)

    def close(self) -> None:
        """Write the pending lines and close the file."""
        try:
            self.flush()
        finally:
            if self._stream is not None:
                self._stream.close()
                self._stream = None

    # ------------------------------------------------------------------ merging

    def merge(
        self, names: Mapping[str, int], is_needed: Callable[[JournalEntry], bool], scratch: Path
    ) -> None:
        """Copy the needed lines of these files to one new file, then delete the files.

        The new file is renamed into the journal when it is on the disk, and only then are the old ones deleted. So
        readers find every needed line at any time, also after a crash. Number and writer of a line stay the same, since
        other lines refer to them.

        Parameters
        ----------
        names
            Files that no process writes any more, and their sizes in bytes.
        is_needed
            Whether to copy a line.
        scratch
            A new path for the file while it is written.

        Raises
        ------
        OSError
            If the disk is full or failing. Nothing is deleted then.
        """
        # A second reader, since this one has read these files and would yield nothing.
        old = Journal(self._files, self._directory, seals=self._seals)
        merged, file = f"{unique_name()}{_SUFFIX}", None
        try:
            for entry in old._lines_once(sorted(names)):
                if is_needed(entry):
                    file = file or self._files.create(scratch)
                    file.write(_line(entry))
            if file is not None:
                file.sync()
        except BaseException:
            if file is not None:
                file.close()
                self._files.unlink(scratch)
            raise
        if file is not None:
            file.close()
            # Read by the next refresh, as by other processes: lines are read again at their new places.
            self._files.rename(scratch, self._directory / merged)
            self._files.sync_directory(self._directory)
        for name, size in self.files().items():
            if name in names and size == names[name]:  # else its writer is alive and has added lines
                self._files.unlink(self._directory / name)


def _content(entry: JournalEntry) -> bytes:
    """Return what checksum and seal of an entry cover."""
    return f"{entry.kind} {entry.number}@{entry.writer} {entry.key} ".encode() + entry.data


def _line(entry: JournalEntry) -> bytes:
    """Return an entry as it is written to a file."""
    content = _content(entry)
    check = blake3(content).hexdigest(length=_CHECK_BYTES).encode()
    return b"\n%s~%s %s\n" % (check, entry.seal, content) if entry.seal else b"\n%s %s\n" % (check, content)
