"""Lines of the journal of which only the newest of a key counts: about code, and about files.

Without such a line no result is lost: a file is hashed or code is read again, or an explanation lacks a detail.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pyplant.engine.validate import UNREADABLE, count, string
from pyplant.fingerprint.code_records import CodeRecord
from pyplant.fingerprint.source import CodePart
from pyplant.store.files import Identity
from pyplant.store.journal import Journal, JournalEntry, PendingLine

__all__ = ["LatestLines"]

_PART, _RECORD, _IDENTITY, _INPUT = "c", "n", "i", "f"


class LatestLines:
    """The newest line of each key, of the kinds ``c``, ``n``, ``i`` and ``f``.

    Parameters
    ----------
    journal
        Is appended to; the ledger reads it and applies its lines.
    keeps_code
        Whether lines about code are kept.
    """

    def __init__(self, journal: Journal, *, keeps_code: bool = True) -> None:
        self._journal = journal
        self._left_out = frozenset() if keeps_code else frozenset({_PART, _RECORD})
        self._parts: dict[str, JournalEntry] = {}
        self._records: dict[str, JournalEntry] = {}
        self._identities: dict[str, JournalEntry] = {}
        self._inputs: dict[str, JournalEntry] = {}
        self._by_kind = {
            _PART: self._parts,
            _RECORD: self._records,
            _IDENTITY: self._identities,
            _INPUT: self._inputs,
        }

    def apply(self, entry: JournalEntry) -> None:
        """Use a line of the journal, unless a newer one of its key is known."""
        if entry.kind in self._left_out:
            return
        latest = self._by_kind[entry.kind]
        known = latest.get(entry.key)
        # A line of another user is not trusted, so it does not replace one of this user.
        if known is None or (entry.signed, entry.rank) >= (known.signed, known.rank):
            latest[entry.key] = entry

    def is_latest(self, entry: JournalEntry) -> bool:
        """Return whether a line is the one that counts for its key."""
        known = self._by_kind[entry.kind].get(entry.key)
        # Not the place: a line is read from another one after a merge.
        return known is not None and known._replace(place=entry.place) == entry

    def _append(self, kind: str, key: str, payload: Any) -> None:
        self.apply(self._journal.append(kind, key, payload))

    def append_pending(self, lines: Iterable[PendingLine]) -> None:
        """Write the lines of a worker (:meth:`~pyplant.store.journal.Journal.take_pending`)."""
        for kind, key, data in lines:
            # Several workers compute the same parts and records. Those have one content for each key, so one line is
            # enough; an identity or an input file may have changed.
            known = self._by_kind.get(kind, {}).get(key)
            if kind in self._by_kind and not (
                kind in (_PART, _RECORD) and known is not None and known.signed
            ):
                self._append(kind, key, json.loads(data))

    # ------------------------------------------------------------------ code

    def get_part(self, digest: str) -> CodePart | None:
        """Return the part of a code object (:class:`~pyplant.fingerprint.fingerprint.PartMemo`).

        A part names modules that are then imported, so a part that another user wrote is not used.
        """
        entry = self._parts.get(digest)
        try:
            return None if entry is None or not entry.signed else CodePart.from_json(entry.payload())
        except UNREADABLE:
            return None

    def put_part(self, digest: str, part: CodePart) -> None:
        """Store the part of a code object."""
        self._append(_PART, digest, part.to_json())

    def record(self, digest: str) -> CodeRecord | None:
        """Return what a fingerprint was computed from."""
        entry = self._records.get(digest)
        try:
            return None if entry is None else CodeRecord.from_json(entry.payload())
        except UNREADABLE:
            return None

    def put_records(self, records: dict[str, CodeRecord]) -> None:
        """Store what fingerprints were computed from, unless that is stored already."""
        for digest, record in records.items():
            if digest not in self._records:
                self._append(_RECORD, digest, record.to_json())

    def forget_code(self, *, except_below: Iterable[str]) -> None:
        """Forget the parts of code objects, and what other fingerprints than these were computed from."""
        self._parts.clear()
        kept: dict[str, JournalEntry] = {}
        pending = list(except_below)
        while pending:
            digest = pending.pop()
            if digest in self._records and digest not in kept:
                kept[digest] = self._records[digest]
                record = self.record(digest)
                pending += [] if record is None else [below for _, _, below in record.edges.values()]
        self._records.clear()
        self._records.update(kept)

    # ------------------------------------------------------------------ files

    def identity(self, stored: str) -> Identity | None:
        """Return the identity that an object's file had when this user last hashed it."""
        entry = self._identities.get(stored)
        try:
            return None if entry is None or not entry.signed else tuple(entry.payload())
        except UNREADABLE:
            return None

    def put_identity(self, stored: str, identity: Identity | None) -> None:
        """Store the identity of an object's file that was just hashed; ``None`` removes it."""
        self._append(_IDENTITY, stored, identity or ())

    def input_file(self, key: str) -> list[Any] | None:
        """Return what :meth:`put_input_file` of this user stored."""
        entry = self._inputs.get(key)
        try:
            if entry is None or not entry.signed:
                return None
            identity, digest, hashed = entry.payload()
            return [list(map(count, identity)), string(digest), count(hashed)]
        except UNREADABLE:
            return None

    def put_input_file(self, key: str, values: list[Any]) -> None:
        """Store identity and digest of an input file, and when it was hashed."""
        self._append(_INPUT, key, values)
