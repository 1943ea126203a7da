"""Paths of files in the arguments of events: the files of a database, and those that a command names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["database_files", "paths_in_command"]

_BETWEEN_WORDS = re.compile(r"[\s;|&<>()'\"`]+")  # in a command of a shell
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")  # a byte in a URI
_MAX_WORDS = 1_000


def database_files(name: str) -> list[str]:
    """Return the files of a database of SQLite that its name leads to; none if it is in memory.

    In the mode WAL, a second file holds recent changes. The database is not opened to find out its mode: closing it again
    would release the locks of this process.
    """
    path = _path_of_uri(name) if name.startswith("file:") else name
    return [path, f"{path}-wal"] if path and not path.startswith(":memory:") else []


def _path_of_uri(uri: str) -> str:
    address, _, options = uri.removeprefix("file:").partition("#")[0].partition("?")
    if "mode=memory" in options.split("&"):
        return ""
    if address.startswith("//"):  # an authority, which is empty or this machine
        address = "/" + address[2:].partition("/")[2]
    return os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), os.fsencode(address)))


def paths_in_command(command: Any, folder: Any = None) -> Iterator[str]:
    """Yield the existing files and folders that a command names.

    Parameters
    ----------
    command
        A text for a shell, or a sequence of arguments, of which some may be such texts.
    folder
        The working directory of the new process, if it is another one.
    """
    arguments = command if isinstance(command, list | tuple) else [command]
    words = dict.fromkeys(word for argument in arguments[:_MAX_WORDS] for word in _words(argument))
    for word in words:
        path = word if folder is None else os.path.join(os.fsdecode(folder), word)
        if word.strip("./") and os.path.exists(path):
            yield path


def _words(argument: Any) -> Iterator[str]:
    """Yield the parts of an argument that may be paths: ``--input=data.csv``, ``cat data.csv | wc``."""
    try:
        text = os.fsdecode(argument)
    except TypeError:
        return
    if "\0" in text:
        return
    yield text
    for word in _BETWEEN_WORDS.split(text)[:_MAX_WORDS]:
        yield word
        if "=" in word:
            yield word.rpartition("=")[2]
