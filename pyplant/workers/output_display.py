"""Show the output of a reactor that workers execute: only what is new, and whole lines.

An attempt that repeats an earlier one prints the same again. What was shown is not kept, since it may be
large: of each 4096 characters only a hash is kept. Text of a repeated attempt is compared in such pieces, and
the last incomplete piece character by character. If it differs, it is shown from there on.

Several reactors print at once. So each line begins with the name of its reactor, and is held back until it is
complete or the reactor ends. In a notebook, output is recorded for each reactor, and shown as it comes.
"""

from __future__ import annotations

import logging
import re
import sys
from array import array
from contextlib import nullcontext
from typing import Any

from pyplant import _streams
from pyplant.execution.frontend import Recording
from pyplant.workers.messages import OutputItem

__all__ = ["OutputDisplay"]

_PIECE = 1 << 12  # characters
_LONGEST_LINE = 1 << 24  # characters of a line that are held back at most
_LINE_END = re.compile(r"(?:\r\n|\n|\r(?!\n))(?!\Z)")  # of each line but the last


class OutputDisplay:
    """Shows the output of one reactor.

    Parameters
    ----------
    name
        The name of the reactor.
    recording
        Records the output, in a notebook.
    """

    def __init__(self, name: str, recording: Recording | None) -> None:
        self._name = name
        self._recording = recording
        self._texts = {kind: _RepeatedText() for kind in ("stdout", "stderr")}
        self._lines = {kind: _Lines(f"{name} | ") for kind in ("stdout", "stderr")}
        self._records = _RepeatedRecords()

    def restart(self) -> None:
        """Expect the output of a new attempt, which repeats that of the last one."""
        for text in self._texts.values():
            text.restart()
        self._records.restart()

    def show(self, item: OutputItem) -> None:
        """Show text or a log record, without what an earlier attempt has shown."""
        kind, *parts = item
        if kind in self._texts:
            repeated = self._texts[kind]
            differed = repeated.differs
            new = repeated.new(*parts)
            if repeated.differs and not differed:
                self._write(kind, self._lines[kind].take_rest())  # of the earlier attempt
            self._show_text(kind, new)
        elif self._records.is_new(parts[:3]):
            with self._recording.step() if self._recording is not None else nullcontext():
                _log(self._name, *parts)

    def _show_text(self, kind: str, text: str) -> None:
        self._write(kind, text if self._recording is not None else self._lines[kind].complete(text))

    def _write(self, kind: str, text: str) -> None:
        if text:
            with self._recording.step() if self._recording is not None else nullcontext():
                _streams.write(getattr(sys, kind), text)

    def close(self) -> None:
        """Show what was held back, when no further attempt is made."""
        for kind, text in self._texts.items():
            self._show_text(kind, text.take_held())
            self._write(kind, self._lines[kind].take_rest())


def _log(reactor: str, name: str, level: int, text: str, attributes: dict[str, Any]) -> None:
    logger = logging.getLogger(name)
    if logger.isEnabledFor(level):
        record = logging.LogRecord(name, level, "", 0, text, None, None)
        vars(record).update(attributes, msg=text, reactor=reactor)
        logger.handle(record)


class _RepeatedText:
    """Compares what an attempt prints with what was shown of earlier attempts."""

    def __init__(self) -> None:
        self._hashes = array("q")  # of the complete pieces that were shown
        self._tail = ""  # what was shown after them
        self.restart()

    def restart(self) -> None:
        """Begin to compare."""
        self._repeated = 0  # pieces that the attempt has repeated
        self._held = ""  # text of the attempt that is not compared yet
        self._is_ahead = not (self._hashes or self._tail)  # whether it has repeated everything
        self.differs = False

    def new(self, text: str) -> str:
        """Return what is to be shown of a text."""
        if self.differs:
            return text
        if self._is_ahead:
            self._append(text)
            return text
        text, start, self._held = self._held + text, 0, ""
        while self._repeated < len(self._hashes):
            piece = text[start : start + _PIECE]
            if len(piece) < _PIECE:
                self._held = piece
                return ""
            if hash(piece) != self._hashes[self._repeated]:
                self.differs = True
                return text[start:]
            start += _PIECE
            self._repeated += 1
        return self._after_pieces(text[start:])

    def _after_pieces(self, text: str) -> str:
        """Return what is to be shown of the text after the complete pieces."""
        if len(text) < len(self._tail) and self._tail.startswith(text):
            self._held = text
            return ""
        if text.startswith(self._tail):
            self._is_ahead = True
            new = text[len(self._tail) :]
            self._append(new)
            return new
        self.differs = True
        equal = next(n for n, (one, other) in enumerate(zip(text, self._tail, strict=False)) if one != other)
        return text[text.rfind("\n", 0, equal) + 1 :]  # the whole line that differs

    def _append(self, text: str) -> None:
        text = self._tail + text
        whole = len(text) - len(text) % _PIECE
        self._hashes.extend(hash(text[start : start + _PIECE]) for start in range(0, whole, _PIECE))
        self._tail = text[whole:]

    def take_held(self) -> str:
        """Return the text that could not be compared, since the last attempt printed less than an earlier one."""
        held, self._held = self._held, ""
        return "" if self._repeated == len(self._hashes) else held


class _RepeatedRecords:
    """Compares the log records of an attempt with those of earlier attempts."""

    def __init__(self) -> None:
        self._hashes = array("q")
        self.restart()

    def restart(self) -> None:
        """Begin to compare."""
        self._position = 0
        self.differs = False

    def is_new(self, parts: Any) -> bool:
        """Return whether a record was not shown yet."""
        if self.differs:
            return True
        code = hash(tuple(parts))
        if self._position == len(self._hashes):
            self._hashes.append(code)
            self._position += 1
            return True
        self.differs = code != self._hashes[self._position]
        self._position += 1
        return self.differs


class _Lines:
    """Joins the text of a stream to lines, each with a prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._parts: list[str] = []  # of the line that is not complete
        self._continues = False  # whether the beginning of this line was returned

    def complete(self, text: str) -> str:
        """Add text; return the lines that are complete by now."""
        if self._parts and self._parts[-1].endswith("\r"):  # it was not known whether \n would follow
            text = self._parts.pop() + text
        end = max(text.rfind("\n"), text.rfind("\r", 0, -1)) + 1
        whole, rest = text[:end], text[end:]
        if whole:
            whole = "".join([*self._parts, whole])
            self._parts.clear()
        if rest:
            self._parts.append(rest)
        if sum(map(len, self._parts)) > _LONGEST_LINE:
            rest = "".join(self._parts)
            self._parts.clear()
            shown = self._prefixed(whole) + self._prefixed(rest)
            self._continues = True
            return shown
        return self._prefixed(whole)

    def _prefixed(self, text: str) -> str:
        if not text:
            return ""
        first, self._continues = "" if self._continues else self._prefix, False
        if "\r" not in text:  # much faster
            return first + text[:-1].replace("\n", "\n" + self._prefix) + text[-1]
        return first + _LINE_END.sub(lambda end: end[0] + self._prefix, text)

    def take_rest(self) -> str:
        """Return the last line, which has no end, with one."""
        rest = "".join(self._parts)
        self._parts.clear()
        return self._prefixed(f"{rest}\n") if rest or self._continues else ""
