"""Paths that an execution comes to know of, for code that opens files in C.

A path in the text of the code that calls such a library is a mention (:mod:`pyplant.reads.mentions`). But most helpers get
their path as an argument, and no interpreter tells of all arguments: Python 3.12 and later tell of the first one of a call, if
it is not in a list and has no name. So if code below a reactor refers to such a library, each existing file counts whose path the
execution comes to know: by the texts of all functions below the reactor and of the objects that they name, by the
parameters and environment variables that it reads, the ingredients that it receives, the small text files that it opens (lists
of files, configurations, statements of SQL), and the folders that it lists. A file that counts and was not read
costs a needless run at worst.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import PurePath
from types import FunctionType, ModuleType
from typing import Any

from pyplant.engine.trace import DependencyKind
from pyplant.fingerprint.attributes import namespace
from pyplant.fingerprint.covered_function import CoveredFunction
from pyplant.fingerprint.graph_node import values_held_by
from pyplant.fingerprint.origin import is_user_object
from pyplant.reads.mentions import may_be_path, texts_of
from pyplant.reads.places import code_place
from pyplant.reads.recorder import ReadRecorder

__all__ = ["PERHAPS", "KnownPaths", "texts_in"]

PERHAPS = ", perhaps"
"""Ends the place of a read that is only possible."""

_MAX_TEXTS = 2_000
_MAX_LOOKS = 5_000  # at the disk, in one execution
_MAX_ITEMS = 1_000  # of a container
_MAX_DEPTH = 3  # of containers in one another
_MAX_FILES = 100  # whose content is searched, in one execution
_MAX_FILE_SIZE = 100_000
_MAX_PLAIN_WORDS = 100  # of one file: names of folders, among much that is not
_QUOTED = re.compile(r"""(["'])([^"'\n]+)\1""")
_WORD = re.compile(r"""[^\s"'`,;|()\[\]{}<>=]+""")


class KnownPaths:
    """The paths that one execution knows of.

    Parameters
    ----------
    recorder
        Notes the files.
    reactor
        The reactor whose code may open them.
    """

    def __init__(self, recorder: ReadRecorder, reactor: Callable[..., Any]) -> None:
        self._recorder = recorder
        code = reactor.__code__
        self._place = code_place(code.co_qualname, code.co_filename, code.co_firstlineno) + PERHAPS
        self._seen: set[str] = set()
        self._folders: list[str] = []
        self._names: list[str] = []
        self._looks = 0
        self._files = 0
        self._read: set[tuple[DependencyKind, str]] = set()

    def add_functions(self, functions: Iterable[CoveredFunction]) -> None:
        """Learn the texts in functions, in their defaults and closures, and in the objects that they name."""
        for function, _ in functions:
            names, texts = texts_of(function.__code__)
            self.add(sorted(texts))
            self.add([function.__globals__.get(name) for name in sorted(names)])
            self.add([*values_held_by(function)])

    def add(self, value: Any) -> None:
        """Learn the paths in a value."""
        for text in texts_in(value):
            for part in _parts(text) if len(text) <= _MAX_FILE_SIZE else ():
                self._add_part(part)

    def _add_part(self, text: str) -> None:
        if len(self._seen) < _MAX_TEXTS and text not in self._seen and may_be_path(text):
            self._seen.add(text)
            self._add_text(text)

    def add_read(self, kind: DependencyKind, full: str) -> None:
        """Learn the paths in a file that is opened, the files in a folder that is listed, or those that match a pattern."""
        if (kind, full) in self._read:
            return
        self._read.add((kind, full))
        if kind is DependencyKind.FILE:
            self._add_file(full)
        elif kind is DependencyKind.PATTERN:
            self._mention_all(full)
        else:
            self._add_folder(full)
            self._mention_all(os.path.join(glob.escape(full), "*"))

    def _add_file(self, full: str) -> None:
        """Learn the paths in a small text file that is opened; they take at most half of what is bounded."""
        content = _text_of(full) if self._files < _MAX_FILES else ""
        self._files += 1
        plain = 0
        for part in (part for line in content.splitlines() for part in _parts(line.strip())):
            plain += not _is_like_path(part)
            if len(self._seen) > _MAX_TEXTS // 2 or self._looks > _MAX_LOOKS // 2:
                return
            if _is_like_path(part) or plain <= _MAX_PLAIN_WORDS:
                self._add_part(part)

    def _add_text(self, text: str) -> None:
        if glob.has_magic(text):
            if "/" in text or "." in text:
                self._mention_all(text)
        elif self._mention(text):
            return
        elif os.path.isdir(text):
            self._add_folder(text)
        else:
            text = text.lstrip("/")  # in f"{folder}/name"
            head, _, tail = text.rpartition("/")
            if head and os.path.isdir(head):
                self._add_folder(head)
            if not head or not tail:
                self._names.append(text)
                for folder in self._folders.copy():
                    self._join(folder, text)

    def _add_folder(self, folder: str) -> None:
        if folder.strip("./") and folder not in self._folders:
            self._folders.append(folder)
            for name in self._names.copy():
                self._join(folder, name)

    def _join(self, folder: str, name: str) -> None:
        """Learn what the name of a file, folder or suffix means in a folder."""
        if name.startswith(".") and name[1:].isalnum():
            self._mention_all(os.path.join(glob.escape(folder), f"*{name}"))
            return
        joined = os.path.join(folder, name)
        if not self._mention(joined) and self._may_look() and os.path.isdir(joined):
            self._add_folder(joined)

    def _mention_all(self, pattern: str) -> None:
        for path in islice(glob.iglob(pattern, recursive=True), _MAX_ITEMS):
            self._mention(path)

    def _mention(self, path: str) -> bool:
        """Count a path if it leads to a file; returns whether it does."""
        if not (self._may_look() and os.path.isfile(path)):
            return False
        self._recorder.mentioned(DependencyKind.FILE, path, self._place)
        return True

    def _may_look(self) -> bool:
        self._looks += 1
        return self._looks <= _MAX_LOOKS


def _parts(text: str) -> Iterator[str]:
    """Yield a text, and the quoted texts and words in it: paths in a line of a file or in a statement of SQL."""
    yield text
    found = [quoted[2] for quoted in _QUOTED.finditer(text)]
    yield from dict.fromkeys(part for part in (*found, *_WORD.findall(text)) if part != text)


def _is_like_path(text: str) -> bool:
    """Return whether a text has a separator or a suffix, and is no number."""
    return "/" in text or os.path.splitext(text)[1][1:2].isalpha()


def _text_of(path: str) -> str:
    """Return the content of a small text file, or an empty text."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > _MAX_FILE_SIZE:
            return ""
        with open(path, encoding="utf-8") as stream:
            content = stream.read()
    except (OSError, ValueError):
        return ""
    return "" if "\0" in content else content


def texts_in(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts and paths in a value, in containers and in attributes of the user's objects."""
    cls = type(value)
    if cls is str:
        yield value
    elif issubclass(cls, PurePath):
        yield str(value)
    elif depth < _MAX_DEPTH:
        items: Iterable[Any] = ()
        if issubclass(cls, dict):
            items = dict.values(value)
        elif issubclass(cls, list | tuple | set | frozenset):
            items = value
        elif not issubclass(cls, type | ModuleType | FunctionType) and is_user_object(cls):
            items = (namespace(value) or {}).values()
        for item in islice(list(items), _MAX_ITEMS):
            yield from texts_in(item, depth + 1)
