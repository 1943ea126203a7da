"""Writes to standard streams that may be missing, closed, replaced, or unable to encode the text.

``sys.stderr`` is ``None`` in a program without a console. Some programs replace it by an object whose only method is
``write``. Many encodings have no ✓. None of this may make a run fail.
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

_REPLACEMENTS = {
    "✓": "+", "✗": "x", "●": "*", "○": "o", "◐": "~", "◌": "o", "▶": ">", "…": "...", "→": "->", "←": "<-",
    "–": "-", "—": "-", "─": "-", "│": "|", "├": "|", "└": "`", "╌": "-", "·": ".", "×": "x", "≤": "<=",
    "µ": "u", "’": "'", "‘": "'", "“": '"', "”": '"',
}  # fmt: skip
"""Replacements of characters that PyPlant prints and a stream cannot encode; others become ``?``."""


def is_terminal(stream: Any) -> bool:
    """Return whether a stream is a terminal; ``False`` if it is missing, closed or cannot tell."""
    try:
        return bool(stream.isatty())
    except Exception:  # noqa: BLE001 - the stream may be any object
        return False


def printable(text: str, stream: Any) -> str:
    """Replace the characters of a text that a stream cannot encode."""
    encoding = _text_attribute(stream, "encoding", "")
    if not encoding:
        return text
    try:
        text.encode(encoding, _text_attribute(stream, "errors", "strict"))
    except UnicodeError:
        return "".join(_printable(character, encoding) for character in text)
    except LookupError:
        return text  # an encoding that Python does not know
    return text


def _text_attribute(stream: Any, name: str, otherwise: str) -> str:
    """Return an attribute of a stream if it is a text."""
    with suppress(Exception):
        value = getattr(stream, name)
        return value if isinstance(value, str) else otherwise
    return otherwise


def _printable(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeError:
        return _REPLACEMENTS.get(character, "?")
    return character


def write(stream: Any, text: str) -> None:
    """Write a text and flush; errors are ignored."""
    with suppress(Exception):  # there is no other stream to report the error to
        stream.write(printable(text, stream))
        stream.flush()


def print_text(text: str) -> None:
    """Print a text on standard output; errors are ignored."""
    write(sys.stdout, f"{text}\n")


@contextmanager
def missing_replaced() -> Iterator[None]:
    """Replace missing standard streams, for libraries that write to them without a check."""
    missing = [name for name in ("stdout", "stderr") if getattr(sys, name) is None]
    for name in missing:
        setattr(sys, name, TolerantStream(None))
    try:
        yield
    finally:
        for name in missing:
            setattr(sys, name, None)


def occupy_descriptors() -> None:
    """Open the null device under the descriptors of missing streams.

    Otherwise the next opened file gets the number 0, 1 or 2, and a child process or C library that prints would write
    into a file of the plant.
    """
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    for descriptor in range(3):
        with suppress(OSError):
            if not _is_open(descriptor):
                os.open(os.devnull, os.O_RDWR)  # open() uses the lowest free number
                os.set_inheritable(descriptor, True)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


class TolerantStream:
    """A stream whose methods never fail, for libraries that draw in the terminal.

    Parameters
    ----------
    stream
        Any object, or ``None``.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.encoding = _text_attribute(stream, "encoding", "utf-8")

    def write(self, text: str) -> int:
        """Write a text; errors are ignored."""
        with suppress(Exception):
            self._stream.write(printable(text, self._stream))
        return len(text)

    def flush(self) -> None:
        """Flush the stream; errors are ignored."""
        with suppress(Exception):
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return is_terminal(self._stream)

    def fileno(self) -> int:
        """Return the descriptor.

        Raises
        ------
        OSError
            If the stream has none.
        """
        try:
            return int(self._stream.fileno())
        except Exception as error:
            message = "this stream has no descriptor"
            raise OSError(message) from error
