"""The journal: the truth about a plant, in append-only files, one a writer.

A line is ``checksum~seal kind number@writer key payload``. Checksum and seal
(:mod:`pyplant.store.seals`) cover the rest, so a torn tail or a flipped bit costs that line
and no other: an empty line stands before each, so that a damaged line end does not join two
of them. A line without a seal is one that this user did not write. The number is a counter above every
counter seen when the line was written: it orders lines of different writers without
trusting clocks. The payload is JSON on one line; it is parsed only when somebody asks.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from blake3 import blake3

from pyplant.engine.validate import count
from pyplant.store.claims import OwnershipFiles
from pyplant.store.files import Files, OpenFile, unique_name
from pyplant.store.seals import Seals

__all__ = ["Journal", "JournalEntry"]

_SUFFIX = ".log"
_CHECK_BYTES = 8
_FRAME = 192  # bytes of a line beside key and content, at most
_READ_BYTES = 1 << 24  # bytes read at once
_LONGEST = 1 << 26  # bytes; what is longer was not written by us


class JournalEntry(NamedTuple):
    """One line of the journal.

    Attributes
    ----------
    kind
        What sort of line it is; unknown kinds are left alone.
    key
        What it is about; no spaces.
    number, writer
        Its place among all lines.
    data
        The content, as JSON.
    seal
        The seal as it stands in the file; of no meaning unless ``signed``.
    signed
        Whether this user wrote it.
    """

    kind: str
    key: str
    number: int
    writer: str
    data: bytes
    seal: bytes = b""
    signed: bool = False

    def payload(self) -> Any:
        """The content, parsed."""
        data = self.data.decode()
        payload, end = _DECODER.raw_decode(data)
        if end != len(data):
            raise ValueError(data)
        return payload


# json.loads takes longer than to decode, to find out what it is given and to look for white space.
_DECODER = json.JSONDecoder()

PendingLine = tuple[str, str, bytes]
"""Kind, key and content of a line that another process is to write."""


class Journal:
    """All journal files of a plant, and the one that this process writes.

    Parameters
    ----------
    files
        The disk.
    directory
        Where the journal files are.
    leases
        Where this process shows that it is writing.
    read_only
        Whether it writes nothing.
    seals
        Seals what is written; without them no line counts as written by this user.
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
        self._read: dict[str, int] = {}
        self._number = 0
        self._pending: list[JournalEntry] = []
        self._stream: OpenFile | None = None
        self._pid = os.getpid()
        self._read_only = read_only
        self.damaged_lines = 0

    # ------------------------------------------------------------------ reading

    def read_new(self) -> Iterator[JournalEntry]:
        """Lines that were written since the last call, by this or other processes.

        While files are merged, a line may come twice, and none is missing: files are listed
        again as long as they come and go.
        """
        listed: dict[str, int] = {}
        while (files := self.files()) != listed:
            longer = [name for name, size in files.items() if size > self._read.get(name, 0)]
            for name in longer:
                with suppress(FileNotFoundError):
                    yield from self._tail(name)
            if not longer:
                return
            listed = files

    def files(self) -> dict[str, int]:
        """The files of the journal, and their sizes in bytes."""
        sizes = sorted(self._files.sizes(self._directory).items())
        return {name: size for name, size in sizes if name.endswith(_SUFFIX)}

    def _tail(self, name: str) -> Iterator[JournalEntry]:
        writer = name.removesuffix(_SUFFIX)
        for line in self._lines(name):
            entry = self._parse(line, writer)
            if entry is None:
                self.damaged_lines += 1
            else:
                yield entry

    def _lines(self, name: str) -> Iterator[bytes]:
        """New complete lines; one without its end is still being written, or torn."""
        held = b""
        while data := self._files.read(self._directory / name, self._read.get(name, 0) + len(held), _READ_BYTES):
            held += data
            end = held.rfind(b"\n") + 1
            lines, held = held[:end], held[end:]
            if len(held) > _LONGEST:
                lines, held = lines + held, b""
            self._read[name] = self._read.get(name, 0) + len(lines)
            yield from filter(None, lines.split(b"\n"))

    def _parse(self, line: bytes, writer: str) -> JournalEntry | None:
        head, _, rest = line.partition(b" ")
        check, _, seal = head.partition(b"~")
        signed = bool(seal) and self._seals is not None and self._seals.is_valid(rest, seal)
        if not signed and blake3(rest).hexdigest(length=_CHECK_BYTES).encode() != check:
            return None
        try:
            kind, place, key, payload = rest.split(b" ", 3)
            number, _, merged = place.partition(b"@")
            place_in_order = count(int(number))
            signed = signed and bool(merged)  # a seal does not cover the name of the file
            writer = merged.decode() or writer
            entry = JournalEntry(kind.decode(), key.decode(), place_in_order, writer, payload, seal, signed)
        except ValueError:
            return None
        self._number = max(self._number, place_in_order)
        return entry

    # ------------------------------------------------------------------ writing

    @property
    def is_writable(self) -> bool:
        """Whether this process may write; a forked child may not."""
        return not self._read_only and os.getpid() == self._pid

    def append(self, kind: str, key: str, payload: Any, *, sealed: bool = True) -> JournalEntry:
        """Add a line; it reaches the file with the next :meth:`flush`.

        Without a seal it counts as a line of another user.

        Raises
        ------
        OSError
            If it is longer than any reader accepts.
        """
        self._number += 1
        data = json.dumps(payload, separators=(",", ":"), ensure_ascii=True).encode()
        entry = JournalEntry(kind, key, self._number, self.writer, data)
        if self._seals is not None and sealed:
            entry = entry._replace(seal=self._seals.seal(_content(entry)), signed=True)
        if len(data) + len(key) + _FRAME > _LONGEST:
            message = f"A record of {len(data)} bytes is too long for the journal."
            raise OSError(errno.EFBIG, message)
        self._pending.append(entry)
        return entry

    def take_pending(self) -> tuple[PendingLine, ...]:
        """The pending lines, for another process to write; they are pending no longer."""
        notes = tuple((entry.kind, entry.key, entry.data) for entry in self._pending)
        self._pending.clear()
        return notes

    def flush(self, *, sync: bool = False) -> None:
        """Write pending lines; they then survive this process, and with ``sync`` a power cut.

        Raises
        ------
        OSError
            If the disk is full or failing. The lines are then dropped.
        """
        if not self.is_writable:
            self._pending.clear()
            return
        pending, self._pending = self._pending, []
        if pending:
            if self._stream is not None and not self._stream.is_named():
                self._abandon()  # merged by one who took this process for dead, or deleted
            if self._stream is None:
                self._files.make_directory(self._directory)
                if self._leases is not None:
                    self._leases.take(self.writer)
                self._stream = self._files.open_append(self._directory / f"{self.writer}{_SUFFIX}")
            data = b"".join(map(_line, pending))
            try:
                self._stream.write(data)
            except OSError:
                self._abandon()
                raise
            name = f"{self.writer}{_SUFFIX}"
            self._read[name] = self._read.get(name, 0) + len(data)
        if sync and self._stream is not None:
            try:
                self._stream.sync()
                self._files.sync_directory(self._directory)
            except OSError:
                self._abandon()
                raise

    def _abandon(self) -> None:
        """After a failed write the end of the file is unknown: go on in a new one."""
        stream, self._stream = self._stream, None
        self.writer = unique_name()
        if stream is not None:
            with suppress(OSError):
                stream.close()

    def close(self) -> None:
        """Write what is pending and close the file."""
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
        """Put what is needed of these files into one new file, and delete them.

        A reader finds every needed line at any moment, and so does who comes after a crash.

        Parameters
        ----------
        names
            Files that nobody writes any more, and their sizes in bytes.
        is_needed
            Whether a line is to be kept.
        scratch
            A new path for the file while it is written.

        Raises
        ------
        OSError
            If the disk is full or failing; nothing is deleted then.
        """
        old = Journal(self._files, self._directory, seals=self._seals)
        lines: dict[tuple[int, str], JournalEntry] = {}
        for name in names:
            for entry in old._tail(name):
                lines.setdefault((entry.number, entry.writer), entry)
        needed = [entry for _, entry in sorted(lines.items()) if is_needed(entry)]
        merged = f"{unique_name()}{_SUFFIX}"
        if needed:
            writer = self._files.create(scratch)
            try:
                for entry in needed:
                    writer.write(_line(entry))
                writer.sync()
            except BaseException:
                writer.close()
                self._files.unlink(scratch)
                raise
            writer.close()
            self._files.rename(scratch, self._directory / merged)
            self._files.sync_directory(self._directory)
            self._read[merged] = self._files.sizes(self._directory).get(merged, 0)
        for name, size in self.files().items():
            if name in names and size == names[name]:  # or somebody writes it after all
                self._files.unlink(self._directory / name)


def _content(entry: JournalEntry) -> bytes:
    """What checksum and seal of an entry cover."""
    return f"{entry.kind} {entry.number}@{entry.writer} {entry.key} ".encode() + entry.data


def _line(entry: JournalEntry) -> bytes:
    """An entry as it stands in a file."""
    content = _content(entry)
    check = blake3(content).hexdigest(length=_CHECK_BYTES).encode()
    return b"\n%s~%s %s\n" % (check, entry.seal, content) if entry.seal else b"\n%s %s\n" % (check, content)
