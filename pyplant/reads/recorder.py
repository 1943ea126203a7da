"""The reads of one execution: what its code opened, listed and looked for outside the plant.

Theory of operation
-------------------
The audit hook (:mod:`pyplant.reads.hook`) reports each event while the code runs. An event comes before the operation
and does not tell whether it succeeds, so only the identity of the file is noted then (device, inode, size, times); a
missing file has none. When the reactor has returned, :meth:`ReadRecorder.finish` digests what is still there, as
dependencies in the order of the first events.

What the execution itself wrote is not an input. A path that it read and later wrote (``if not exists: compute and
save``) is state: it is left out, with a note, since its content after the execution is not what was read. A file that
changed and that the execution did not write was changed by another process, and the result cannot be stored. Libraries in C
and started processes write without an event: of an execution that uses them, what it read and what changed is state.

A change that comes right after another one can leave the times of a file as they were, so files that are younger than
two seconds are digested at the event as well.
"""

from __future__ import annotations

import fnmatch
import os
import stat
import threading
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

from pyplant._formatting import format_size
from pyplant._paths import recorded
from pyplant.engine.trace import Dependency, DependencyKind, Note
from pyplant.reads import environment, working_directory
from pyplant.reads.exclusions import is_excluded, is_in_dot_folder, is_in_plant, is_source_of_module
from pyplant.reads.function_caches import FunctionCaches
from pyplant.reads.kept_reads import KeptReads, reads_kept_in
from pyplant.reads.places import place_of, responsible
from pyplant.store.inputs import MIN_AGE, stat_identity

__all__ = ["FoundRead", "ReadRecorder", "Tracking"]

Tracking = bool | Literal["note"]
"""Whether reads are compared, only named, or ignored."""

_LARGE = 1_000_000_000  # bytes from which a file that nobody declared counts by its size and time
_HASHED_ANYWAY = 64_000_000  # bytes that are digested however short the reactor ran
_HASHED_PER_SECOND = 1_000_000_000  # bytes

Identity = tuple[int, ...] | None
Digest = Callable[[DependencyKind, str], str]


@dataclass(slots=True)
class _Read:
    """One thing that was read, at its first event."""

    kind: DependencyKind
    path: str  # absolute, or the name of a variable
    position: int
    place: str
    identity: Identity
    mode: int = 0  # of the file
    digest: str = ""  # if it was digested at the event
    may_be_written: bool = False  # found in the text of the code, or opened for both
    changed: bool = False
    is_remembered: bool = False  # an earlier execution read it, and code has kept what came of it


@dataclass(frozen=True, slots=True)
class FoundRead:
    """A read as a dependency: after how many declared dependencies it came, and where the code made it."""

    position: int
    dependency: Dependency
    place: str


class PathLearner(Protocol):
    """Learns paths that code may open in C."""

    def add(self, value: Any) -> None:
        """Learn the paths in a value."""

    def add_read(self, kind: DependencyKind, full: str) -> None:
        """Learn the paths in a file that is opened, a folder that is listed, or a pattern."""


class ReadRecorder:
    """Records the reads of one execution.

    Parameters
    ----------
    root
        The plant directory.
    digest
        Returns the present digest of something, by its kind and recorded name.
    position
        Returns the number of dependencies that were recorded so far.
    tracking
        Whether reads are compared or only named.
    plant_folders
        Which folders are in a plant, as far as it is known.

    Attributes
    ----------
    notes
        What was read and cannot be compared.
    changed
        What changed before the execution ended: its recorded name, and the place where an earlier one read what this one
        used, if that is so.
    writes_unseen
        Whether the execution may write files of which no event tells.
    known_paths
        Learns the paths in what is read, if the execution may open them in C.
    covered_modules
        The names of modules that count as code when they are imported by their names.
    """

    def __init__(
        self,
        root: Path,
        digest: Digest,
        position: Callable[[], int],
        tracking: Tracking,
        plant_folders: dict[str, bool],
    ) -> None:
        self._root = str(root) + os.sep
        self._base = root.parent
        self._start = str(root.parent).rstrip(os.sep) + os.sep
        self._digest = digest
        self._position = position
        self._tracking = tracking
        self._reads: dict[tuple[DependencyKind, str], _Read] = {}
        self._written: set[str] = set()
        self._started_in = working_directory.present()
        self._variables: dict[str, bytes | None] = {}  # those that it changed, with their values before
        self._kept = KeptReads()
        self._caches = FunctionCaches({})
        self._trees: tuple[str, ...] = ()  # folders that it made or removed, with a separator at the end
        self._paused: dict[int, int] = {}  # by thread
        self._plant_folders = plant_folders
        self._dot_folders: dict[str, bool] = {}  # by folder, whether files in it are in one
        self.notes: set[Note] = set()
        self.changed: list[tuple[str, str]] = []
        self.writes_unseen = False
        self.known_paths: PathLearner | None = None
        self.covered_modules: set[str] = set()

    # ------------------------------------------------------------------ events

    @property
    def is_paused(self) -> bool:
        """Whether this thread runs code whose reads do not count."""
        return bool(self._paused) and threading.get_ident() in self._paused

    @property
    def count(self) -> int:
        """How many reads were noted."""
        return len(self._reads)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Ignore what this thread reads."""
        thread = threading.get_ident()
        self._paused[thread] = self._paused.get(thread, 0) + 1
        try:
            yield
        finally:
            self._paused[thread] -= 1
            if not self._paused[thread]:
                del self._paused[thread]

    def opened(
        self, path: object, frame: FrameType, *, may_be_written: bool = False, may_be_touched: bool = False
    ) -> None:
        """Note that a file is opened for reading, or for both; its times may change though its content does not."""
        self._note_read(
            DependencyKind.FILE, path, frame, may_be_written=may_be_written, is_digested=may_be_touched
        )

    def listed(self, path: object, frame: FrameType, *, may_be_written: bool = False) -> None:
        """Note that the names in a folder are read."""
        self._note_read(DependencyKind.LISTING, path, frame, may_be_written=may_be_written)

    def matched(self, pattern: str, frame: FrameType) -> None:
        """Note that the paths that match a pattern are read."""
        self._note_read(DependencyKind.PATTERN, pattern, frame)

    def mentioned(self, kind: DependencyKind, path: str, place: str) -> None:
        """Note a path that the code names, before it is read; it counts if it stays as it is."""
        full = _absolute(path)
        if (
            full
            and full not in self._written
            and (kind, full) not in self._reads
            and not self._is_ignored(full)
            and not (kind is not DependencyKind.FILE and self._is_in_dot_folder(full))
        ):
            info = _info(full)
            mode = 0 if info is None else info.st_mode
            if not os.path.isabs(path):
                self.asked_for_directory(place)
            read = _Read(kind, full, self._position(), place, _identity(info), mode, may_be_written=True)
            if kind is DependencyKind.TARGET:  # which may change while the file that it leads to does not
                read.digest = self._digest(kind, self._name(full))
            self._reads[kind, full] = read

    def imported(self, name: str, path: str) -> None:
        """Note the source file of a module that is not covered as code."""
        full = _absolute(path)
        if full and not self.is_paused and not self._is_ignored(full):
            info = _info(full)
            mode = 0 if info is None else info.st_mode
            place = f"import of {name}"
            self._reads[DependencyKind.SOURCE, full] = _Read(
                DependencyKind.SOURCE, full, self._position(), place, _identity(info), mode
            )

    def asked_for_variable(self, name: str, frame: FrameType) -> None:
        """Note that an environment variable is read."""
        key = DependencyKind.ENVIRONMENT, name
        if name not in self._written and environment.counts(name):
            if key not in self._reads:
                environment.forget_before(name)
                digest = self._digest(*key)
                self._reads[key] = _Read(*key, self._position(), place_of(frame), None, digest=digest)
                if self.known_paths is not None:
                    self.known_paths.add(os.environ.get(name))
            self._kept.note((key,), frame)

    def asked_for_directory(self, place: str, frame: FrameType | None = None) -> None:
        """Note that a relative path is used, or the working directory itself."""
        self._kept.note(self._directory_reads(place), frame)

    def _directory_reads(self, place: str) -> tuple[tuple[DependencyKind, str], ...]:
        """Return the read of the working directory; nothing if the execution has changed it."""
        key = DependencyKind.WORKING_DIRECTORY, working_directory.NAME
        if self._started_in != working_directory.present():
            return ()
        if key not in self._reads:
            self._reads[key] = _Read(*key, self._position(), place, None, digest=self._digest(*key))
        return (key,)

    def wrote(self, path: object, *, tree: bool = False) -> None:
        """Note that a path is written, made, renamed or removed; with ``tree`` all below it."""
        full = _absolute(path)
        if full is None or full.startswith(self._root):  # PyPlant stores there what the reactor sends
            return
        self._written.add(full)
        if tree:
            self._trees = (*self._trees, full.rstrip(os.sep) + os.sep)

    def set_variable(self, name: str) -> None:
        """Note that the execution sets or removes an environment variable."""
        self._written.add(name)
        self._variables.setdefault(name, environment.present_value(name))

    def note(self, text: str, frame: FrameType, *, is_direct: bool = False) -> None:
        """Note something that cannot be compared between runs, if user code is responsible, or does it itself."""
        place, is_users = responsible(frame)
        if place and (is_users or not is_direct):
            self.notes.add(Note("outside", f"{text}, {place}"))

    def _note_read(
        self,
        kind: DependencyKind,
        path: object,
        frame: FrameType,
        *,
        may_be_written: bool = False,
        is_digested: bool = False,
    ) -> None:
        full = _absolute(path)
        if (
            full is None
            or full in self._written
            or full.startswith(self._trees or "\0")
            or self._is_ignored(full)
        ):
            return
        key = kind, full
        known = self._reads.get(key)
        info = None if kind is DependencyKind.PATTERN else _info(full)
        identity = _identity(info)
        is_relative = path is None or not os.path.isabs(path)  # type: ignore[arg-type] # it is one, and not a descriptor
        if known is not None:
            known.changed |= known.identity != identity
            also = self._directory_reads(known.place) if is_relative else ()
            self._kept.note((key, *also), frame)
            if self.known_paths is not None:  # which may have noted it, but not what is in it
                self.known_paths.add_read(kind, full)
            return
        place, is_direct = responsible(frame)
        if not place or (not is_direct and is_in_dot_folder(full)):
            return
        also = self._directory_reads(place) if is_relative else ()
        mode = 0 if info is None else info.st_mode
        read = _Read(kind, full, self._position(), place, identity, mode, may_be_written=may_be_written)
        self._reads[key] = read
        self._kept.note((key, *also), frame)
        # Of a pattern there is no identity, and that of a fresh file does not show another change.
        is_digested = identity is not None and (
            _is_fresh(identity) or (is_digested and identity[2] <= _HASHED_ANYWAY)
        )
        if kind is DependencyKind.PATTERN or is_digested:
            read.digest = self._digest(kind, self._name(full))
        if self.known_paths is not None:
            self.known_paths.add_read(kind, full)

    def watch_cached(self, digests: Mapping[Any, str]) -> None:
        """Empty outdated caches of functions, whose fingerprints are given, and note what the functions keep from now on."""
        self._caches = FunctionCaches(digests)
        for function in digests:
            if any(map(self._is_outdated, reads_kept_in(function))):
                function.cache_clear()
        self._kept.watch(digests)

    def add_kept(self, reads: Mapping[Any, Any]) -> None:
        """Note what earlier executions have read, and what code has kept since then."""
        for key, read in reads.items():
            self._reads.setdefault(key, replace(read, position=self._position(), is_remembered=True))

    def _is_in_dot_folder(self, full: str) -> bool:
        folder, _, name = full.rpartition(os.sep)
        key = full if name.startswith(".") else folder
        if key not in self._dot_folders:
            self._dot_folders[key] = is_in_dot_folder(full)
        return self._dot_folders[key]

    def _is_ignored(self, full: str) -> bool:
        return full.startswith(self._root) or full + os.sep == self._root or is_excluded(full)

    # ------------------------------------------------------------------ the end

    def finish(
        self, declared: set[tuple[DependencyKind, tuple[str, ...]]], seconds: float
    ) -> list[FoundRead]:
        """Return the reads that are inputs, in their order.

        Parameters
        ----------
        declared
            The dependencies that the execution recorded otherwise.
        seconds
            How long the reactor ran.
        """
        found: list[FoundRead] = []
        for name, before in self._variables.items():
            environment.keep_before(name, before)
        working_directory.keep_before(self._started_in)
        counted: dict[Hashable, _Read] = {}
        for key, read in list(self._reads.items()):
            if read.kind is DependencyKind.EXISTENCE and (DependencyKind.FILE, read.path) in self._reads:
                continue  # the digest of the content tells whether it exists
            dependency = self._dependency(read, seconds)
            if dependency is not None:
                counted[key] = read
                if not _is_declared(dependency, declared):
                    found.append(FoundRead(read.position, dependency, read.place))
        self._kept.finish(counted)
        self._caches.finish()
        if self._tracking == "note":
            self.notes |= {
                Note("outside", f"reads {read.dependency.names[0]}, {read.place}")
                for read in found
                if read.dependency.kind is not DependencyKind.WORKING_DIRECTORY
            }
            return []
        return sorted(found, key=lambda read: read.position)

    def written_files(self) -> tuple[str, ...]:
        """Return the files that the execution wrote and that are there now, as recorded paths."""
        if not self._written:
            return ()
        paths = [path for path in self._written if os.path.isabs(path) and not self._is_ignored(path)]
        there = (path for path in paths if os.path.isfile(path))
        return tuple(
            self._name(path)
            for path in sorted(there)
            if not is_in_plant(path, self._plant_folders, is_folder=False)
        )

    def _dependency(self, read: _Read, seconds: float) -> Dependency | None:
        if read.kind is DependencyKind.ENVIRONMENT:
            digest = self._digest(read.kind, read.path)
            if read.is_remembered and digest != read.digest:
                self._leave_out(read, f"environment variable {read.path}")
                return None
            return Dependency(read.kind, (read.path,), (digest,))
        if read.kind is DependencyKind.WORKING_DIRECTORY:
            return Dependency(read.kind, (read.path,), (read.digest,))
        is_folder = read.kind is not DependencyKind.FILE and stat.S_ISDIR(read.mode)
        is_code = read.kind is not DependencyKind.SOURCE and is_source_of_module(read.path)
        if is_code or is_in_plant(read.path, self._plant_folders, is_folder=is_folder):
            return None
        if self._was_written(read):
            self._note_state(read)
            return None
        kind, name = read.kind, self._name(read.path)
        if kind is DependencyKind.FILE and read.identity is not None:
            if not (stat.S_ISREG(read.mode) or stat.S_ISDIR(read.mode)):
                self.notes.add(Note("outside", f"reads {name}, which has no fixed content, {read.place}"))
                # A file may take its place.
                exists = DependencyKind.EXISTENCE
                return Dependency(exists, (name,), (self._digest(exists, name),))
            if _is_too_large(read.identity[2], seconds):
                kind = DependencyKind.STATUS
                self.notes.add(
                    Note(
                        "outside",
                        f"{name} ({format_size(read.identity[2])}) counts by its size and time; "
                        f"declare it with pipe.input_file to compare its content, {read.place}",
                    )
                )
        digest = self._digest(kind, name)
        # The identity is compared after that: what is digested is then what was there at the event.
        is_known = read.digest and kind is read.kind
        if read.changed or (read.digest != digest if is_known else self._has_changed(read)):
            self._leave_out(read, name)
            return None
        if kind is read.kind:
            read.digest = digest
        return Dependency(kind, (name,), (digest,))

    def _has_changed(self, read: _Read) -> bool:
        if read.kind in (DependencyKind.PATTERN, DependencyKind.TARGET):
            return False  # of which there is no identity
        identity = _identity(_info(read.path))
        if read.kind is DependencyKind.EXISTENCE:
            return (read.identity is None) is not (identity is None)
        return read.identity != identity

    def _leave_out(self, read: _Read, name: str) -> None:
        """Leave out what changed during the execution, by its own doing or that of another process."""
        if read.may_be_written or self.writes_unseen:
            self._note_state(read)
        else:
            self.changed.append((name, read.place if read.is_remembered else ""))

    def _was_written(self, read: _Read) -> bool:
        path = read.path
        if path in self._written or path.startswith(self._trees or "\0"):
            return True
        if read.kind is DependencyKind.LISTING:
            return any(os.path.dirname(written) == path for written in self._written)
        if read.kind is DependencyKind.PATTERN:
            wide = path.replace("**/", "*")  # each sign for any number of folders
            return any(fnmatch.fnmatchcase(written, wide) for written in self._written)
        return False

    def _note_state(self, read: _Read) -> None:
        name = self._name(read.path)
        self.notes.add(Note("outside", f"{name} is read and written, so it counts as state, {read.place}"))

    def _is_outdated(self, read: _Read) -> bool:
        """Return whether what an earlier execution read has changed since then."""
        if not read.digest:
            return self._has_changed(read)
        is_path = os.path.isabs(read.path)  # others are names
        return self._digest(read.kind, self._name(read.path) if is_path else read.path) != read.digest

    def _name(self, full: str) -> str:
        # The common case of recorded(), without its resolution of links: this is asked for each file.
        if full.startswith(self._start) and os.sep == "/" and "/../" not in full:
            return full[len(self._start) :]
        return recorded(full, self._base)


def _is_declared(dependency: Dependency, declared: set[tuple[DependencyKind, tuple[str, ...]]]) -> bool:
    content = DependencyKind.FILE, dependency.names
    return dependency.question in declared or (
        dependency.kind is DependencyKind.EXISTENCE and content in declared
    )


def _is_fresh(identity: tuple[int, ...]) -> bool:
    """Return whether the times of a file may stay as they are when it changes; large ones are not digested for that."""
    return time.time_ns() - max(identity[3], identity[4]) < MIN_AGE and identity[2] <= _HASHED_ANYWAY


def _is_too_large(size: int, seconds: float) -> bool:
    return size > _LARGE or (size > _HASHED_ANYWAY and size / _HASHED_PER_SECOND > seconds)


def _absolute(path: object) -> str | None:
    """Return a path as absolute text; ``None`` if it is a descriptor or no path."""
    if path is None:
        return os.getcwd()
    try:
        text = os.fsdecode(path)  # type: ignore[arg-type] # anything else raises
    except TypeError:
        return None
    if not text or "\0" in text:
        return None
    if not text.startswith("/"):  # much faster than isabs(), which comes second on other systems
        text = f"{os.getcwd().rstrip('/')}/{text}" if os.sep == "/" else os.path.join(os.getcwd(), text)
    # Normal already in most cases, and this is asked for each event.
    if not ("/." in text or "//" in text or text.endswith("/")):
        return text
    short = os.path.normpath(text)
    # ``..`` after a symbolic link leads elsewhere.
    return text if "/.." in text and os.path.realpath(short) != os.path.realpath(text) else short


def _info(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except (OSError, ValueError):
        return None


def _identity(info: os.stat_result | None) -> Identity:
    return None if info is None else stat_identity(info)
