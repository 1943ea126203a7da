"""Writing to standard streams that may be missing, closed, foreign, or unable to encode what is said.

``sys.stderr`` is ``None`` in a program without a console; in others an object stands in its place that knows
``write`` and nothing else; and many encodings have no ✓. None of this may cost a user a result.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

__all__ = [
    "TolerantStream",
    "is_terminal",
    "missing_replaced",
    "occupy_descriptors",
    "print_text",
    "printable",
    "write",
]

_STAND_INS = {
    "✓": "+", "✗": "x", "●": "*", "○": "o", "◐": "~", "◌": "o", "▶": ">", "…": "...", "→": "->", "←": "<-",
    "–": "-", "—": "-", "─": "-", "│": "|", "├": "|", "└": "`", "╌": "-", "·": ".", "×": "x", "≤": "<=",
    "µ": "u", "’": "'", "‘": "'", "“": '"', "”": '"',
}  # fmt: skip
"""What stands for signs of ours where they cannot be encoded; ``?`` for any other character."""


def is_terminal(stream: Any) -> bool:
    """Whether a stream is a terminal; one that is missing, closed, or does not say so is none."""
    try:
        return bool(stream.isatty())
    except Exception:  # noqa: BLE001 - anything may stand in the place of a stream
        return False


def printable(text: str, stream: Any) -> str:
    """A text of which a stream can encode every character; others are replaced."""
    encoding = _said(stream, "encoding", "")
    if not encoding:
        return text
    try:
        text.encode(encoding, _said(stream, "errors", "strict"))
    except UnicodeError:
        return "".join(_printable(character, encoding) for character in text)
    except LookupError:
        return text  # an encoding that Python does not know
    return text


def _said(stream: Any, name: str, otherwise: str) -> str:
    """What a stream says about itself, if it does."""
    with suppress(Exception):
        said = getattr(stream, name)
        return said if isinstance(said, str) else otherwise
    return otherwise


def _printable(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeError:
        return _STAND_INS.get(character, "?")
    return character


def write(stream: Any, text: str) -> None:
    """Write and flush, as far as that works."""
    with suppress(Exception):  # it is lost, and nobody can be told
        stream.write(printable(text, stream))
        stream.flush()


def print_text(text: str) -> None:
    """Print a text on standard output, as far as that works."""
    write(sys.stdout, f"{text}\n")


@contextmanager
def missing_replaced() -> Iterator[None]:
    """Have standard streams, if only such as lose everything, for libraries that write without asking."""
    missing = [name for name in ("stdout", "stderr") if getattr(sys, name) is None]
    for name in missing:
        setattr(sys, name, TolerantStream(None))
    try:
        yield
    finally:
        for name in missing:
            setattr(sys, name, None)


def occupy_descriptors() -> None:
    """Let the descriptors of missing streams lead nowhere.

    Otherwise the next file to be opened gets the number, and what a child process or a library in C prints is
    written into it.
    """
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    for descriptor in range(3):
        with suppress(OSError):
            if not _is_open(descriptor):
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
                os.set_inheritable(descriptor, True)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


class TolerantStream:
    """A stream for libraries that draw: writing to it never fails.

    Parameters
    ----------
    stream
        Any object, or ``None``.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.encoding = _said(stream, "encoding", "utf-8")

    def write(self, text: str) -> int:
        """Write what can be encoded, if the stream takes it."""
        with suppress(Exception):
            self._stream.write(printable(text, self._stream))
        return len(text)

    def flush(self) -> None:
        """Flush, if the stream can."""
        with suppress(Exception):
            self._stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return is_terminal(self._stream)

    def fileno(self) -> int:
        """The descriptor.

        Raises
        ------
        OSError
            If there is none.
        """
        try:
            return int(self._stream.fileno())
        except Exception as error:
            message = "this stream has no descriptor"
            raise OSError(message) from error
