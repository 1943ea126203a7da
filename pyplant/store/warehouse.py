"""The warehouse: stores values and loads them again.

It connects the specs, the objects and the ledger. A saved value is visible to other processes when a trace that names it
is committed. A trace is one line of the journal, so all outputs of an execution become visible together or not at all.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pyplant import _streams
from pyplant.engine.trace import Trace
from pyplant.errors import (
    DamageWarning,
    NotAllocatedError,
    PlantDirError,
    PlantWarning,
    UnsavableError,
    logger,
    warn,
)
from pyplant.fingerprint.digest import digest_bytes
from pyplant.ingredient import Ingredient
from pyplant.specs.base import IngredientSpec, StreamSpec
from pyplant.store.claims import OwnershipFiles
from pyplant.store.files import Files, unique_name
from pyplant.store.format_registry import FormatRegistry
from pyplant.store.inputs import InputFiles
from pyplant.store.journal import Journal
from pyplant.store.keys import keyring
from pyplant.store.layout import check_plant, is_unwritable, open_plant, plant_id
from pyplant.store.leases import Leases
from pyplant.store.ledger import Ledger
from pyplant.store.leftovers import Leftovers
from pyplant.store.object_names import safe_suffix
from pyplant.store.objects import HashingSink, ObjectStore
from pyplant.store.read_only_files import ReadOnlyFiles
from pyplant.store.seals import Seals

__all__ = [
    "COLLECTING",
    "Allocation",
    "SpecRegistration",
    "TypeLike",
    "Warehouse",
    "diverted",
    "open_warehouse",
]

COLLECTING = "collecting"
"""The claim of a process that decides which executions are history and evicts them."""

TypeLike = "Ingredient.Type | type[IngredientSpec] | IngredientSpec | str | None"

_MAX_WAIT = 10.0  # seconds to wait for another process that collects garbage
_MAX_UNSYNCED_SECONDS = 1.0  # computing time that a power cut may cost


@dataclass(slots=True, eq=False)
class Allocation:
    """A value in private scratch that a reactor is filling."""

    name: str
    spec: IngredientSpec
    path: Path
    handle: Any
    temporary: bool


class Warehouse:
    """The store of one plant.

    Parameters
    ----------
    root
        The plant directory; created if it does not exist.
    files
        The disk.
    trust
        Whether to load pickled values that another user made.
    read_only
        Whether to write nothing into the plant, which must exist then, and may belong to another user. Values are stored
        in a temporary directory.
    overlay
        That directory, for a worker; the run that it works for has made it.
    writes_journal
        Whether to write the journal; else the plant must exist. A worker returns its lines to the run that it works for.
    keeps_code
        Whether lines about code are kept in memory; to show what is stored needs none.

    Attributes
    ----------
    plant_id
        The identity of the plant, as in ``FORMAT``.
    journal, ledger, objects, formats, claims, leases, input_files
        The parts of the store; see their classes.
    is_read_only
        Whether the plant is opened for reading only.
    is_closed
        Whether :meth:`close` was called.

    Raises
    ------
    pyplant.errors.PlantDirError, pyplant.errors.FormatError
        If the directory cannot serve as a plant.
    """

    def __init__(
        self,
        root: Path,
        *,
        files: Files | None = None,
        trust: bool = False,
        read_only: bool = False,
        writes_journal: bool = True,
        overlay: Path | None = None,
        keeps_code: bool = True,
    ) -> None:
        _streams.occupy_descriptors()
        self.root = root = root.absolute()  # reactors may change the working directory
        self.is_read_only = read_only = read_only or overlay is not None
        self.files = files or (ReadOnlyFiles(root) if read_only else Files())
        # A worker must not create a plant: a directory without one there is another directory than the run uses.
        if read_only or not writes_journal:
            check_plant(self.files, root, of_anybody=read_only)
        else:
            open_plant(self.files, root)
        self.leases = Leases(self.files, root / "leases")
        is_writing = writes_journal and not read_only
        keys = keyring(root, may_create=is_writing)
        # Warned of when the first pickled value is stored: other values need no key.
        self._key_trouble = keys.trouble if is_writing else ""
        self.plant_id = plant_id(self.files, root)
        self.seals = seals = Seals(keys, self.plant_id)
        self.journal = Journal(
            self.files, root / "journal", self.leases, read_only=not is_writing, seals=seals
        )
        self.ledger = Ledger(self.journal, keeps_code=keeps_code)
        self.objects = ObjectStore(self.files, root, self.ledger.latest, read_only=read_only, overlay=overlay)
        self.formats = FormatRegistry(trust=trust)
        self.input_files = InputFiles(self.ledger.latest, root.parent)
        self.claims = OwnershipFiles(self.files, root / "claims")
        if read_only:
            self.claims.trouble = self.leases.trouble = OSError(errno.EROFS, "the plant is read-only")
        self.leftovers = Leftovers(self.files, root)
        self._object_bytes = 0  # of committed results
        self.is_closed = False
        # Where values that run code are written if others can write in the plant.
        self._private: Path | None = None
        self._unsynced_seconds = 0.0
        try:
            self.ledger.refresh()
        except PermissionError as error:
            message = f"The plant directory {root} cannot be read: {error.strerror}."
            raise PlantDirError(message) from error
        if writes_journal and self.journal.damaged_lines > self.ledger.known_damage:
            warn(
                DamageWarning,
                f"Damaged lines in the journal of {root}: {self.journal.damaged_lines}. What they recorded "
                f"is computed again when it is needed; plant.fsck(repair=True) ends this warning.",
            )

    # ------------------------------------------------------------------ specs

    def register_ingredient_specs(self, specs: Iterable[IngredientSpec]) -> None:
        """Add specs or replace those of the same name; they are tried before the built-in ones.

        Parameters
        ----------
        specs
            Spec objects, such as ``[specs.HdfArraySpec()]``.

        Raises
        ------
        pyplant.errors.UnknownTypeError
            If one of them is not an ingredient spec.
        """
        self.formats.register(specs)

    # ------------------------------------------------------------------ saving

    def save(self, name: str, value: Any, kind: Any = None) -> Ingredient:
        """Store a value; it is not visible to other processes yet.

        Raises
        ------
        pyplant.errors.UnsavableError, pyplant.errors.NotAllocatedError
            If the given type cannot hold it or, if none is given, no type can.
        OSError
            If the disk is full or failing.
        """
        refusals: list[str] = []
        for spec in self.formats.matching(value) if kind is None else [self.formats.spec(kind)]:
            try:
                return self._save_as(spec, name, value)
            except UnsavableError as error:
                refusals.append(str(error))
        message = f"Ingredient {name!r} of type {type(value).__name__} cannot be stored: {' '.join(refusals)}"
        raise UnsavableError(message)

    def _save_as(self, spec: IngredientSpec, name: str, value: Any) -> Ingredient:
        if spec.must_allocate:
            message = (
                f"Ingredient {name!r} of type {spec.name!r} must be allocated: "
                f"x = pipe.allocate({name!r}, {type(spec).__name__}, ...), then pipe.send({name!r}, x)."
            )
            raise NotAllocatedError(message)
        # Written to scratch and renamed when complete, so no process finds a partial value under its name.
        if isinstance(spec, StreamSpec):
            return self._save_stream(spec, name, value)
        path = self._new_path(spec, spec.suffix)
        try:
            return self._store_file(spec, name, path, spec.save(value, path))
        except BaseException:
            with suppress(OSError):  # delete a partial file, since it may be what fills the disk
                self.files.unlink(path)
            raise

    def _new_path(self, spec: IngredientSpec, suffix: str) -> Path:
        """Return where to write a value.

        If loading it runs code, nobody else may change it before it is hashed. The bytes of a stream are hashed before they
        are written; those that a library writes are kept outside of a plant in which others can write.
        """
        if not spec.runs_code or isinstance(spec, StreamSpec) or self.objects.is_scratch_private():
            return self.objects.scratch_path(suffix)
        if self._private is None:
            self._private = self.files.temporary_directory()
        return self._private / f"{unique_name(32)}{suffix}"

    def digest(self, name: str, value: Any, kind: Any = None) -> str | None:
        """Return the digest that a value would get if it were saved; ``None`` if that needs a file."""
        specs = [self.formats.spec(kind)] if kind is not None else self.formats.matching(value)
        for spec in specs:
            with suppress(UnsavableError):
                if not isinstance(spec, StreamSpec) or spec.must_allocate:
                    return None
                sink = HashingSink()
                metadata = _as_json(spec, spec.dump(value, sink))
                digest, _ = sink.finish()
                return spec.digest_value(value) or _value_digest(spec, digest, metadata)
        return None

    def _save_stream(self, spec: StreamSpec, name: str, value: Any) -> Ingredient:
        # Most values need no file, and then no folder for it either.
        sink = HashingSink(self.files, partial(self._new_path, spec, spec.suffix))
        try:
            metadata = _as_json(spec, spec.dump(value, sink))
            # Before finish(), since the thread of the sink may still hash the bytes meanwhile.
            value_digest = spec.digest_value(value)
            digest, content = sink.finish()
            stored = "" if sink.path is None else self.objects.publish(sink.path, digest, spec.suffix)
        except BaseException:
            sink.abandon()
            raise
        value_digest = value_digest or _value_digest(spec, digest, metadata)
        return self._as_signed(
            Ingredient(name, spec.name, value_digest, stored, sink.size, metadata, content), spec
        )

    def _store_file(
        self, spec: IngredientSpec, name: str, path: Path, metadata: dict[str, Any]
    ) -> Ingredient:
        metadata = _as_json(spec, metadata)
        # The name of an object is the digest of its bytes; that of the value may leave out what no consumer sees.
        own_digest = spec.digest(path, metadata)
        if self._private is not None and path.parent == self._private:
            digest, size, path = self.objects.copy_to_scratch(path)
        else:
            digest, size = self.objects.hash(path)
        value_digest = own_digest or _value_digest(spec, digest, metadata)
        suffix = str(metadata.get("suffix", spec.suffix))
        # Receivers of a file get the path of the object itself; of other formats they get copies of its content.
        stored = self.objects.publish(path, digest, suffix, read_only=spec.name == "file")
        return self._as_signed(Ingredient(name, spec.name, value_digest, stored, size, metadata), spec)

    def _as_signed(self, ingredient: Ingredient, spec: IngredientSpec) -> Ingredient:
        """Mark an ingredient as stored by this user; warn if another process cannot verify that."""
        if spec.runs_code and self._key_trouble:
            trouble, self._key_trouble = self._key_trouble, ""
            warn(PlantWarning, trouble)
        return replace(ingredient, signed=True)

    # ------------------------------------------------------------------ allocating

    def allocate(
        self, name: str, kind: Any, options: dict[str, Any], *, temporary: bool = False
    ) -> Allocation:
        """Create a value in private scratch that the reactor fills.

        Raises
        ------
        pyplant.errors.NotAllocatedError
            If values of this type are not allocated.
        """
        spec = self.formats.spec(kind)
        if not spec.allocatable:
            message = (
                f"Ingredient {name!r}: type {spec.name!r} cannot be allocated; create the value and send it."
            )
            raise NotAllocatedError(message)
        # It becomes part of the name of the object, which may hold nothing that means something in a path.
        suffix = str(options.get("suffix", spec.suffix)).lower()
        if safe_suffix(suffix) != suffix:
            message = f"Ingredient {name!r}: a suffix is a dot with letters and digits, such as '.png', not {suffix!r}."
            raise NotAllocatedError(message)
        path = self._new_path(spec, suffix)
        try:
            return Allocation(name, spec, path, spec.allocate(path, **options), temporary)
        except BaseException:
            self.files.remove(path)  # its space may be reserved already
            raise

    def finish(self, allocation: Allocation) -> Ingredient:
        """Complete an allocated value and store it; it is not visible to other processes yet."""
        try:
            metadata = allocation.spec.finish(allocation.handle)
        except UnsavableError as error:
            message = f"Ingredient {allocation.name!r} cannot be stored: {error}"
            raise UnsavableError(message) from error
        return self._store_file(allocation.spec, allocation.name, allocation.path, metadata)

    def discard(self, allocation: Allocation) -> None:
        """Delete an allocated value."""
        allocation.spec.discard(allocation.handle)
        self.files.remove(allocation.path)

    # ------------------------------------------------------------------ loading

    def load(self, ingredient: Ingredient) -> Any:
        """Load an ingredient and return its value, which the caller may change.

        Raises
        ------
        pyplant.errors.DamagedError
            If it is not stored any more, is damaged, or cannot or may not be loaded.
        """
        if ingredient.inline is not None:
            return self.formats.parse(ingredient, ingredient.inline)
        spec = self.formats.spec_of(ingredient)
        if spec.runs_code and not self.objects.is_private(ingredient.object):
            return self._load_copy(ingredient, is_stream=isinstance(spec, StreamSpec))
        if isinstance(spec, StreamSpec):
            return self.formats.parse(ingredient, self.objects.map(ingredient.object, ingredient.size))
        return self.formats.load(ingredient, self.objects.verified(ingredient.object, ingredient.size))

    def _load_copy(self, ingredient: Ingredient, *, is_stream: bool) -> Any:
        """Load a value from a copy, since other users could change the original after it was verified."""
        # Refused before the content is read: a value of another user is not worth a copy in memory.
        self.formats.trusted_spec(ingredient)
        content = self.objects.verified_content(ingredient.object, ingredient.size)
        if is_stream:
            return self.formats.parse(ingredient, content)
        with self.files.private_copy(content, safe_suffix(f".{ingredient.object.partition('.')[2]}")) as path:
            return self.formats.load(ingredient, path)

    def is_present(self, ingredient: Ingredient) -> bool:
        """Return whether an ingredient is inline or its object exists; the content is not read."""
        return ingredient.inline is not None or self.objects.has(ingredient.object, ingredient.size)

    def can_load(self, ingredient: Ingredient | None) -> bool:
        """Return whether an ingredient exists and may be loaded."""
        return ingredient is not None and self.is_present(ingredient) and self.formats.trusts(ingredient)

    # ------------------------------------------------------------------ committing

    def commit(self, trace: Trace, configuration: str = "") -> Trace:
        """Publish an execution: all of its outputs become visible together.

        To sync after each execution would take longer than many reactors run. So a sync happens when
        unsynced executions took a second together; a power cut costs about a second of computing.

        Parameters
        ----------
        trace
            The execution.
        configuration
            See :meth:`lease`.

        Raises
        ------
        OSError
            If it could not be written. Nothing is visible then.
        """
        if not self.is_read_only and not self.journal.is_writable:
            message = "a forked process cannot write the plant of its parent; open it again there"
            raise OSError(errno.EROFS, message)
        # Counted even if the write fails below: the objects are on the disk already.
        self._object_bytes += sum(output.size for output in trace.stored if output.object)
        self._unsynced_seconds += trace.seconds
        sync = self._unsynced_seconds >= _MAX_UNSYNCED_SECONDS
        if sync:
            self.objects.sync()  # before the line that names them, which must not survive without them
        numbered = self.ledger.add_trace(
            trace, sync=sync, announce=lambda made: self._write_lease([made], configuration)
        )
        for output in trace.stored:
            self.objects.unnamed.pop(output.object, None)
        if sync:
            self._unsynced_seconds = 0.0
        return numbered

    @property
    def bytes_added(self) -> int:
        """Bytes of values and of lines of the journal that this process has written."""
        return self._object_bytes + self.journal.written_bytes

    def lease(self, traces: Collection[Trace], configuration: str = "") -> list[Trace]:
        """Prevent other processes from evicting these executions until this plant is closed.

        For each reactor under one configuration the last execution counts.

        Parameters
        ----------
        traces
            Executions that were found up to date.
        configuration
            Distinguishes the configurations of this process; no spaces.

        Returns
        -------
        lost
            Executions that another process evicted before they were in the lease.
        """
        # Nothing new: these executions are in the lease since an earlier run, or no lease can be taken.
        if not self._write_lease(traces, configuration):
            return []
        if self.claims.is_taken(COLLECTING):  # that process may have read the leases too early
            # Taken only to wait for its end. A collection that begins later reads the lease as it is now.
            self.claims.take_within(COLLECTING, _MAX_WAIT)
            self.claims.release(COLLECTING)
        self.ledger.refresh()
        return [trace for trace in traces if not self.ledger.is_stored(trace)]

    def _write_lease(self, traces: Iterable[Trace], configuration: str) -> bool:
        used = {f"{self.ledger.topic(trace.reactor)}.{configuration}": trace.rank for trace in traces}
        return self.leases.add(self.journal.writer, used)

    def flush(self) -> None:
        """Write the pending lines of the journal. They only save time, so a failure is logged and not raised."""
        try:
            self.journal.flush()
        except OSError as error:
            logger().warning("Lines for the journal in %s could not be written: %s", self.root, error)

    def close(self) -> None:
        """Write the pending lines and delete the scratch, claims and leases of this process."""
        self.is_closed = True
        # The journal before the lease: without a lease its file counts as finished, and another process may merge it.
        self.flush()
        with suppress(OSError):
            self.journal.close()
        self.claims.close()
        self.leases.close()
        self.objects.delete_unnamed(tuple(self.objects.unnamed))  # of results that could not be stored
        self.objects.clear_scratch()
        self.objects.clear_overlay()
        if self._private is not None:
            self.files.remove_tree(self._private)


_diversions: list[Callable[[Path, bool | None], tuple[Path, bool | None]]] = []


@contextmanager
def diverted(divert: Callable[[Path, bool | None], tuple[Path, bool | None]]) -> Iterator[None]:
    """Open plants elsewhere, or for reading only, as ``divert`` says, until the context ends."""
    _diversions.append(divert)
    try:
        yield
    finally:
        _diversions.pop()


def open_warehouse(root: Path, *, trust: bool, read_only: bool | None) -> Warehouse:
    """Open the store of a plant; with ``read_only=None`` for reading only if it cannot be written."""
    for divert in _diversions:
        root, read_only = divert(root, read_only)
    read_only = is_unwritable(root) if read_only is None else read_only
    warehouse = Warehouse(root, trust=trust, read_only=read_only)
    if not read_only:
        warehouse.leftovers.clean_in_background()
    return warehouse


class SpecRegistration:
    """What ``plant.warehouse`` offers to users."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def register_ingredient_specs(self, specs: Iterable[IngredientSpec]) -> None:
        """Add ingredient specs, given as objects in a list; see :meth:`pyplant.Plant.register_specs`."""
        self._warehouse.register_ingredient_specs(specs)


def _as_json(spec: IngredientSpec, metadata: dict[str, Any]) -> dict[str, Any]:
    """Convert metadata to JSON and back, so that it is the same now as when it is read from the journal."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(metadata))
    except (TypeError, ValueError) as error:
        message = f"Spec {spec.name!r} returned metadata that JSON cannot hold: {error}."
        raise UnsavableError(message) from error
    return plain


def _value_digest(spec: IngredientSpec, digest: str, metadata: dict[str, Any]) -> str:
    """Return the digest of a value whose spec computes none.

    Format and metadata are part of it: the same bytes are another value in another format or shape.
    """
    meaning = json.dumps([spec.name, digest, metadata], sort_keys=True)
    return digest_bytes(meaning.encode())
