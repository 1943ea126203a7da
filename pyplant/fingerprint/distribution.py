"""The distribution that an installed file belongs to, and the other files of it.

Installers write a folder of metadata beside the packages. Its ``RECORD`` lists all files of the
distribution. This list decides, since several distributions may share a namespace package, and a
distribution may have several packages. Without a list (system packages, eggs), the top-level packages
that the metadata name belong to the distribution, or else the package that contains the file.

Installers can also fill any other folder (``pip install --target``), which may hold files of the user as well. There only
files count as installed that a list names.

The metadata are read directly: :mod:`importlib.metadata` is slow to import and slower to search.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "Distribution",
    "distribution_named",
    "distribution_of",
    "file_with_reactors",
    "installation_folders",
    "may_hold_installed_files",
]

_SITES = re.compile(r"[/\\](?:site|dist)-packages(?=[/\\])")
_LISTS = ("RECORD", "installed-files.txt")
_MAX_FILES = 100
"""Packages with more files are not searched for reactors, since that takes too long."""
_IMPORT = re.compile(rb"^\s*(?:from|import)\s+pyplant\b", re.MULTILINE)
_DEFINITION = re.compile(rb"^\s*@(?:\w+\.)?(?:Reactor|Subreactor)Func\b", re.MULTILINE)


class Distribution(NamedTuple):
    """An installed distribution.

    Attributes
    ----------
    name
        Normalised, as in ``"my_package"``.
    files
        Absolute paths of its Python files.
    folders
        Folders that belong to it as a whole, where no list of files exists.
    record, modified_ns
        The path of the list of its files, and the modification time of it, in nanoseconds.
    """

    name: str
    files: frozenset[str] = frozenset()
    folders: tuple[str, ...] = ()
    record: str = ""
    modified_ns: int = 0

    def contains(self, path: str) -> bool:
        """Return whether a Python file is one of its files."""
        return path in self.files or path.startswith(self.folders)  # the folders end with a separator

    def is_current(self) -> bool:
        """Return whether the distribution was not installed again since it was read."""
        return _modified_ns(self.record) == self.modified_ns


def installation_folders(path: str) -> list[str]:
    """Return the folders with installed files that a path lies in, innermost first."""
    return [path[: found.end()] for found in _SITES.finditer(path)][::-1] or _target_folders(path)


@lru_cache(maxsize=10_000)
def may_hold_installed_files(folder: str) -> bool:
    """Return whether :func:`installation_folders` may find anything for files in a folder; judged once for each folder."""
    inside = folder + os.sep
    return _SITES.search(inside) is not None or any(
        inside.startswith(found + os.sep) and bool(_top_level_names(found, _modified_ns(found)))
        for found in sys.path
        if found
    )


def _target_folders(path: str) -> list[str]:
    """Return the folder of the search path that an installed file lies in, or which a path with a separator is."""
    for folder in sys.path:
        if not folder or not path.startswith(folder + os.sep):
            continue
        relative = path[len(folder) + 1 :].replace(os.sep, "/")
        top = relative.partition("/")[0]
        installed = _top_level_names(folder, _modified_ns(folder))
        if top in installed or (not relative and installed):
            found = (_is_listed(metadata, relative) for metadata in _metadata(folder, first=top))
            if not relative or any(found):
                return [folder]
    return []


@lru_cache(maxsize=1000)
def _top_level_names(folder: str, modified_ns: int) -> frozenset[str]:
    """Return the names in a folder that lists of installed files name."""
    del modified_ns  # the folder may have changed since the last call
    lists = (_text(os.path.join(metadata, _LISTS[0])) for metadata in _metadata(folder, first=""))
    return frozenset(
        line.strip('"').partition("/")[0]
        for text in lists
        for line in re.findall(r"^[^,]+", text, re.MULTILINE)
    )


def distribution_of(path: str) -> Distribution | None:
    """Return the distribution that an installed file belongs to; ``None`` if the file is not installed."""
    # All folders, innermost first: an environment may lie within the installation folder of another one.
    folders = installation_folders(path)
    for folder in folders:
        relative = path[len(folder) + 1 :].replace(os.sep, "/")
        for metadata in _metadata(folder, first=relative.partition("/")[0]):
            if _is_listed(metadata, relative):
                return _read(folder, metadata)
    if not folders:
        return None
    # No list of files names it: an old installation has only the names of its packages, a copied one no metadata.
    top = path[len(folders[0]) + 1 :].replace(os.sep, "/").partition("/")[0]
    for metadata in _metadata(folders[0], first=top):
        if top.removesuffix(".py") in _text(os.path.join(metadata, "top_level.txt")).split():
            return _read(folders[0], metadata)
    return _top_level(folders[0], _normalised(top.removesuffix(".py").partition("-")[0]), [top])


def distribution_named(name: str) -> Distribution | None:
    """Return the installed distribution of this name, or else the one that contains the package of this name."""
    for folder in dict.fromkeys(filter(installation_folders, (f"{path}{os.sep}" for path in sys.path))):
        for metadata in _metadata(folder.rstrip(os.sep), first=name):
            if _name(metadata) == _normalised(name):
                return _read(folder.rstrip(os.sep), metadata)
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return None
    return distribution_of(spec.origin) if spec is not None and spec.has_location and spec.origin else None


def file_with_reactors(folder: str, package: str) -> str:
    """Return a file that defines a reactor, of an installed package or the distribution of that name; else ``""``."""
    for path in _files(folder, package):
        try:
            content = Path(path).read_bytes()
        except OSError:
            continue
        # A substring is found much faster than a pattern, and most files do not have this one.
        if b"pyplant" in content and _IMPORT.search(content) and _DEFINITION.search(content):
            return path
    return ""


def _files(folder: str, package: str) -> list[str]:
    """Return the Python files of a package; an empty list if there are too many."""
    metadata = next(_metadata(folder, first=package), "")
    if metadata and _name(metadata) == _normalised(package):
        listed = _text(os.path.join(metadata, _LISTS[0]))
        # Counted in the text: a list of thousands of files need not be taken apart to be refused.
        if listed.count(".py,") > _MAX_FILES:
            return []
        if listed:
            paths = [line.partition(",")[0].strip('"') for line in listed.splitlines()]
            return [os.path.join(folder, path) for path in paths if path.endswith(".py")]
    found = [os.path.join(folder, f"{package}.py")]
    for path, _, names in os.walk(os.path.join(folder, package)):
        found += [os.path.join(path, name) for name in names if name.endswith(".py")]
        if len(found) > _MAX_FILES:
            return []
    return found


# As installers name the folders of metadata: the rule for names of packages (PEP 503), with "_" in place of "-".
def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _name(metadata: str) -> str:
    return _normalised(os.path.basename(metadata).rpartition(".")[0].partition("-")[0])


def _metadata(folder: str, *, first: str) -> Iterator[str]:
    """Yield the folders with metadata, beginning with that of the distribution ``first``."""
    try:
        names = [name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))]
    except OSError:
        return
    wanted = _normalised(first.removesuffix(".py"))
    for name in sorted(names, key=lambda name: (_name(name) != wanted, name)):
        yield os.path.join(folder, name)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def _modified_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def _is_listed(metadata: str, relative: str) -> bool:
    """Return whether a distribution lists a file. The list is searched as text, since to parse it takes longer."""
    text = _text(os.path.join(metadata, _LISTS[0]))
    if text:
        return f"\n{relative}," in f"\n{text}" or f'\n"{relative}"' in f"\n{text}"
    return f"../{relative}\n" in _text(os.path.join(metadata, _LISTS[1]))


def _read(folder: str, metadata: str) -> Distribution:
    """Read the files of a distribution from its metadata."""
    import csv  # rarely needed: few installed distributions define reactors

    name = _name(metadata)
    for record in (os.path.join(metadata, listed) for listed in _LISTS):
        modified_ns, text = _modified_ns(record), _text(record)
        # Paths in RECORD are relative to the folder of the packages, those of the older list to its own folder.
        base = folder if record.endswith(_LISTS[0]) else metadata
        rows = csv.reader(text.splitlines()) if base == folder else ([line] for line in text.splitlines())
        files = {
            os.path.normpath(os.path.join(base, row[0])) for row in rows if row and row[0].endswith(".py")
        }
        if files:
            # With the targets of links, since modules may report either path as their file.
            real = {os.path.realpath(file) for file in files}
            return Distribution(name, frozenset(files | real), (), record, modified_ns)
    listed = os.path.join(metadata, "top_level.txt")
    return _top_level(folder, name, _text(listed).split() or [name], listed)


def _top_level(folder: str, name: str, packages: Iterable[str], record: str = "") -> Distribution:
    folders: list[str] = []
    files: list[str] = []
    for package in packages:
        path = os.path.join(folder, package)
        if package.endswith(".py") or os.path.isfile(f"{path}.py"):
            files.append(path if package.endswith(".py") else f"{path}.py")
        else:
            folders.append(path)
    real = [os.path.realpath(path) for path in (*folders, *files)]
    in_folders = tuple(dict.fromkeys(path + os.sep for path in (*folders, *real[: len(folders)])))
    return Distribution(
        name, frozenset((*files, *real[len(folders) :])), in_folders, record, _modified_ns(record)
    )
