"""The warehouse: values in, values out.

It knows the specs, the objects and the ledger. What it saves becomes visible to others
only when a trace that names it is committed: one line of the journal publishes all
outputs of one execution, or none.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyplant import _streams
from pyplant.engine.trace import Trace
from pyplant.errors import (
    DamageWarning,
    NotAllocatedError,
    PlantWarning,
    UnsavableError,
    logger,
    warn,
)
from pyplant.fingerprint.digest import digest_bytes
from pyplant.ingredient import Ingredient
from pyplant.specs.base import IngredientSpec, StreamSpec
from pyplant.store.claims import OwnershipFiles
from pyplant.store.files import Files, ReadOnlyFiles
from pyplant.store.format_registry import FormatRegistry
from pyplant.store.journal import Journal
from pyplant.store.keys import keyring
from pyplant.store.layout import check_plant, open_plant, plant_id
from pyplant.store.leases import Leases
from pyplant.store.ledger import Ledger
from pyplant.store.objects import HashingSink, ObjectStore, safe_suffix
from pyplant.store.seals import Seals

__all__ = ["COLLECTING", "Allocation", "SpecRegistration", "TypeLike", "Warehouse"]

COLLECTING = "collecting"
"""What a process claims while it decides which executions are history, and forgets them."""

TypeLike = "Ingredient.Type | type[IngredientSpec] | IngredientSpec | str | None"

_PATIENCE = 10.0  # seconds to wait while another process collects
_SYNC_AFTER = 1.0  # seconds of work that a power cut may cost


@dataclass(slots=True, eq=False)
class Allocation:
    """A value that a reactor is still filling, in private scratch."""

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
        The plant directory; made if it does not exist.
    files
        The disk.
    trust
        Whether to load pickled values that another user made.
    read_only
        Whether to write nothing, and to need no permission to. There must be a plant then.
    writes_journal
        Whether to write the journal. A worker does not: it stores values, and hands its notes to
        whoever it works for. There must be a plant then as well.

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
    ) -> None:
        _streams.occupy_descriptors()
        self.root = root = root.absolute()  # the working directory may change
        self.files = files or (ReadOnlyFiles() if read_only else Files())
        if read_only or not writes_journal:
            check_plant(self.files, root)
        else:
            open_plant(self.files, root)
        self.leases = Leases(self.files, root / "leases")
        is_writing = writes_journal and not read_only
        keys = keyring(root, may_create=is_writing)
        self._key_trouble = keys.trouble if is_writing else ""
        seals = Seals(keys, plant_id(self.files, root))
        self.journal = Journal(
            self.files, root / "journal", self.leases, read_only=not is_writing, seals=seals
        )
        self.ledger = Ledger(self.journal)
        self.objects = ObjectStore(self.files, root, self.ledger)
        self.formats = FormatRegistry(trust=trust)
        self.claims = OwnershipFiles(self.files, root / "claims")
        self.bytes_added = 0
        self.is_closed = False
        self._unsynced_seconds = 0.0
        self.ledger.refresh()
        if writes_journal and self.journal.damaged_lines > self.ledger.known_damage:
            warn(
                DamageWarning,
                f"Damaged lines in the journal of {root}: {self.journal.damaged_lines}. What they recorded "
                f"is computed again when it is needed; plant.fsck(repair=True) ends this warning.",
            )

    # ------------------------------------------------------------------ specs

    def register_ingredient_specs(self, specs: Iterable[IngredientSpec]) -> None:
        """Add specs, or replace those of the same name; they win over the built-in ones.

        Parameters
        ----------
        specs
            Objects, such as ``[specs.HdfArraySpec()]``.

        Raises
        ------
        pyplant.errors.UnknownTypeError
            If one of them is not an ingredient spec.
        """
        self.formats.register(specs)

    # ------------------------------------------------------------------ saving

    def save(self, name: str, value: Any, kind: Any = None) -> Ingredient:
        """Store a value, not visible to anybody yet.

        Raises
        ------
        pyplant.errors.UnsavableError, pyplant.errors.NotAllocatedError
            If the given type, or any, cannot hold it.
        OSError
            If the disk is full or failing.
        """
        if kind is not None:
            spec = self.formats.spec(kind)
            return self._save_as(spec, name, value)
        refusals: list[str] = []
        for spec in self.formats.matching(value):
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
        path = self.objects.scratch_path(spec.suffix)
        try:
            if isinstance(spec, StreamSpec):
                return self._save_stream(spec, name, value, path)
            return self._keep_file(spec, name, path, spec.save(value, path))
        except BaseException:
            with suppress(OSError):  # what is half-written may be what fills the disk
                self.files.unlink(path)
            raise

    def digest(self, name: str, value: Any, kind: Any = None) -> str | None:
        """The digest that a value would have, could it be saved; ``None`` if only a file tells."""
        specs = [self.formats.spec(kind)] if kind is not None else self.formats.matching(value)
        for spec in specs:
            with suppress(UnsavableError):
                if not isinstance(spec, StreamSpec) or spec.must_allocate:
                    return None
                sink = HashingSink(None, Path(name))
                metadata = _plain(spec, spec.dump(value, sink))
                digest, _ = sink.finish()
                return spec.digest_value(value) or _value_digest(spec, digest, metadata)
        return None

    def _save_stream(self, spec: StreamSpec, name: str, value: Any, path: Path) -> Ingredient:
        sink = HashingSink(self.files, path)
        try:
            metadata = _plain(spec, spec.dump(value, sink))
            value_digest = spec.digest_value(value)
            digest, content = sink.finish()
        except BaseException:
            sink.abandon()
            raise
        value_digest = value_digest or _value_digest(spec, digest, metadata)
        stored = "" if content is not None else self.objects.publish(path, digest, spec.suffix)
        return self._signed(
            Ingredient(name, spec.name, value_digest, stored, sink.size, metadata, content), spec
        )

    def _keep_file(self, spec: IngredientSpec, name: str, path: Path, metadata: dict[str, Any]) -> Ingredient:
        metadata = _plain(spec, metadata)
        own_digest = spec.digest(path, metadata)
        digest, size = self.objects.hash(path)
        value_digest = own_digest or _value_digest(spec, digest, metadata)
        suffix = str(metadata.get("suffix", spec.suffix))
        stored = self.objects.publish(path, digest, suffix, read_only=spec.name == "file")
        return self._signed(Ingredient(name, spec.name, value_digest, stored, size, metadata), spec)

    def _signed(self, ingredient: Ingredient, spec: IngredientSpec) -> Ingredient:
        """An ingredient that was stored just now; tells if no other process will know that."""
        if spec.runs_code and self._key_trouble:
            trouble, self._key_trouble = self._key_trouble, ""
            warn(PlantWarning, trouble)
        return replace(ingredient, signed=True)

    # ------------------------------------------------------------------ allocating

    def allocate(
        self, name: str, kind: Any, options: dict[str, Any], *, temporary: bool = False
    ) -> Allocation:
        """Create a value in scratch, for a reactor to fill.

        Raises
        ------
        pyplant.errors.NotAllocatedError
            If values of this type are not allocated.
        """
        spec = self.formats.spec(kind)
        if not spec.allocatable:
            message = f"Ingredient {name!r}: type {spec.name!r} is not allocated; make the value and send it."
            raise NotAllocatedError(message)
        suffix = str(options.get("suffix", spec.suffix)).lower()
        if safe_suffix(suffix) != suffix:
            message = f"Ingredient {name!r}: a suffix is short letters and digits after a dot, as '.png', not {suffix!r}."
            raise NotAllocatedError(message)
        path = self.objects.scratch_path(suffix)
        return Allocation(name, spec, path, spec.allocate(path, **options), temporary)

    def finish(self, allocation: Allocation) -> Ingredient:
        """Complete an allocated value and store it, not visible to anybody yet."""
        metadata = allocation.spec.finish(allocation.handle)
        return self._keep_file(allocation.spec, allocation.name, allocation.path, metadata)

    def discard(self, allocation: Allocation) -> None:
        """Throw an allocated value away."""
        allocation.spec.discard(allocation.handle)
        self.files.unlink(allocation.path)

    # ------------------------------------------------------------------ loading

    def load(self, ingredient: Ingredient) -> Any:
        """The value of an ingredient, private to whoever asked.

        Raises
        ------
        pyplant.errors.DamagedError
            If it is no longer stored, was damaged, cannot be loaded, or may not be.
        """
        if ingredient.inline is not None:
            return self.formats.parse(ingredient, ingredient.inline)
        spec = self.formats.spec(ingredient.format)
        if spec.runs_code and not self.objects.is_private(ingredient.object):
            return self._load_copy(ingredient, is_stream=isinstance(spec, StreamSpec))
        if isinstance(spec, StreamSpec):
            return self.formats.parse(ingredient, self.objects.map(ingredient.object, ingredient.size))
        return self.formats.load(ingredient, self.objects.verified(ingredient.object, ingredient.size))

    def _load_copy(self, ingredient: Ingredient, *, is_stream: bool) -> Any:
        """Load a value from a copy: other users may write to the original between its verification and its use."""
        self.formats.trusted_spec(ingredient)
        content = self.objects.verified_content(ingredient.object, ingredient.size)
        if is_stream:
            return self.formats.parse(ingredient, content)
        with self.files.private_copy(content, safe_suffix(f".{ingredient.object.partition('.')[2]}")) as path:
            return self.formats.load(ingredient, path)

    def is_present(self, ingredient: Ingredient) -> bool:
        """Whether the bytes of an ingredient seem to be there."""
        return ingredient.inline is not None or self.objects.has(ingredient.object, ingredient.size)

    def can_load(self, ingredient: Ingredient | None) -> bool:
        """Whether an ingredient seems to be there and may be loaded."""
        return ingredient is not None and self.is_present(ingredient) and self.formats.trusts(ingredient)

    # ------------------------------------------------------------------ committing

    def commit(self, trace: Trace, configuration: str = "") -> Trace:
        """Publish an execution: all of its outputs become visible at once.

        Work of more than a second is on the disk when this returns; cheaper results are
        grouped, so that a power cut costs about a second of computing and no more.

        Parameters
        ----------
        trace
            The execution.
        configuration
            See :meth:`lease`.

        Raises
        ------
        OSError
            If it could not be written; nothing is visible then.
        """
        self.bytes_added += sum(output.size for output in trace.stored)
        self._unsynced_seconds += trace.seconds
        sync = self._unsynced_seconds >= _SYNC_AFTER
        if sync:
            self.objects.sync()
        numbered = self.ledger.add_trace(
            trace, sync=sync, announce=lambda made: self._write_lease([made], configuration)
        )
        if sync:
            self._unsynced_seconds = 0.0
        return numbered

    def lease(self, traces: Collection[Trace], configuration: str = "") -> list[Trace]:
        """Let no other process remove what these executions made, until this plant is closed.

        Of a reactor under one configuration the last execution counts.

        Parameters
        ----------
        traces
            Executions that were found up to date.
        configuration
            Tells the configuration under which they were found from others of this process;
            no spaces.

        Returns
        -------
        lost
            Those that another process evicted before it could know that they are used.
        """
        if not self._write_lease(traces, configuration):
            return []
        if self.claims.is_taken(COLLECTING):  # it may have read the leases before we were in them
            self.claims.take_within(COLLECTING, _PATIENCE)
            self.claims.release(COLLECTING)
        self.ledger.refresh()
        return [trace for trace in traces if not self.ledger.is_stored(trace)]

    def _write_lease(self, traces: Iterable[Trace], configuration: str) -> bool:
        used = {f"{self.ledger.topic(trace.reactor)}.{configuration}": trace.rank for trace in traces}
        return self.leases.add(self.journal.writer, used)

    def flush(self) -> None:
        """Hand the notes that are pending to the system. They save time, so losing them is no error."""
        try:
            self.journal.flush()
        except OSError as error:
            logger().warning("Notes for the journal in %s could not be written: %s", self.root, error)

    def close(self) -> None:
        """Write what is pending, and clean up."""
        self.is_closed = True
        self.flush()
        with suppress(OSError):
            self.journal.close()
        self.claims.close()
        self.leases.close()
        self.objects.clear_scratch()


class SpecRegistration:
    """The warehouse of a plant, as users see it."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def register_ingredient_specs(self, specs: Iterable[IngredientSpec]) -> None:
        """Add ingredient specs, given as objects in a list; see :meth:`pyplant.Plant.register_specs`."""
        self._warehouse.register_ingredient_specs(specs)


def _plain(spec: IngredientSpec, metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata as it comes back from the journal, so that a value loads the same either way."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(metadata))
    except (TypeError, ValueError) as error:
        message = f"Spec {spec.name!r} returned metadata that JSON cannot hold: {error}."
        raise UnsavableError(message) from error
    return plain


def _value_digest(spec: IngredientSpec, digest: str, metadata: dict[str, Any]) -> str:
    """The digest of a value whose spec has none of its own.

    Equal bytes in two formats, or under two shapes, are two values.
    """
    meaning = json.dumps([spec.name, digest, metadata], sort_keys=True)
    return digest_bytes(meaning.encode())
