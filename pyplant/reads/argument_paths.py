"""What the arguments of events name: the files of a database, and files and environment variables in a command."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

__all__ = ["database_files", "paths_in_command", "variables_in_command"]

_BETWEEN_WORDS = re.compile(r"[\s;|&<>()'\"`]+")  # in a command of a shell
_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)")
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "zsh"})
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
    words = [word for argument in _arguments(command) for word in _words(argument)]
    modules = [module for option, module in pairwise(words) if option == "-m"]  # python -m package.module
    for word in dict.fromkeys([*words, *(file for module in modules for file in _files_of_module(module))]):
        path = word if folder is None else os.path.join(os.fsdecode(folder), word)
        if word.strip("./") and os.path.exists(path):
            yield path


def variables_in_command(command: Any) -> Iterator[str]:
    """Yield the environment variables that a command for a shell names; see :func:`paths_in_command`.

    A name in small letters is one of the command itself, as in a loop, unless the environment has it.
    """
    arguments = _arguments(command)
    program = os.path.basename(next(_words(arguments[0]), "")) if arguments else ""
    if len(arguments) == 1 or program in _SHELLS:
        for argument in arguments:
            names = _VARIABLE.findall(next(_words(argument), ""))
            yield from (name for name in names if name.isupper() or name in os.environ)


def _arguments(command: Any) -> list[Any]:
    return list(command[:_MAX_WORDS]) if isinstance(command, list | tuple) else [command]


def _files_of_module(name: str) -> Iterator[str]:
    """Yield the files that may be run for a module in the working directory, those of its packages included."""
    steps = name.split(".")
    yield from (os.path.join(*steps[:number], "__init__.py") for number in range(1, len(steps) + 1))
    yield os.path.join(*steps, "__main__.py")
    yield os.path.join(*steps) + ".py"


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
