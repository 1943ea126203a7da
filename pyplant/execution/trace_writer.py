"""Build the trace of a finished execution from its record, and commit it.

A trace states that this code, with these inputs, sent these outputs. It is not committed if that may be
false: if an input file or the code changed during the execution, or if an output could not be stored.
The results are still delivered to the receivers in this run, and a warning says why they are not stored.
"""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from itertools import groupby
from types import MappingProxyType

from pyplant._definitions import Definition
from pyplant._formatting import clean, counted
from pyplant._missing import NOTHING
from pyplant._paths import from_here
from pyplant._tracer import ExecutionRecord
from pyplant.engine.trace import Dependency, DependencyKind, Trace
from pyplant.engine.validate import nearest_timestamp
from pyplant.errors import NondeterministicWarning, PlantWarning, StateWarning, UnsavedWarning, logger
from pyplant.execution import frontend
from pyplant.execution.context import RunContext
from pyplant.fingerprint.filled_names import FilledNames, filled_by_earlier_code, filled_names, note_filled
from pyplant.fingerprint.fingerprint import Fingerprint
from pyplant.fingerprint.readers import readers
from pyplant.ingredient import IN_MEMORY, Ingredient
from pyplant.reads.answers import OUTSIDE
from pyplant.reads.known_paths import PERHAPS
from pyplant.reads.manifests import MANY, as_dependency, manifest
from pyplant.specs.recorded import NOTHING_SHOWN, RecordedSpec
from pyplant.store.owner import program_name
from pyplant.store.processes import host_name
from pyplant.store.warehouse import Warehouse

__all__ = ["TraceWriter"]

# What the user is told of, in this order; that code may have asked for a path is too uncertain.
_TOLD = MappingProxyType(
    {
        DependencyKind.FILE: "{}",
        DependencyKind.PATTERN: "the files that match {}",
        DependencyKind.LISTING: "the names in {}/",
        DependencyKind.ENVIRONMENT: "environment variable {}",
    }
)
_EXPLICIT = MappingProxyType(
    {
        DependencyKind.FILE: "Declare it with pipe.input_file({!r})",
        DependencyKind.ENVIRONMENT: "Make it a parameter of the configuration",
    }
)
_FEW_INODES = 100  # some file systems keep a few back
_MAX_NAMES = 5  # of unsaved results, or of reactors, in a warning


class TraceWriter:
    """Makes and commits the traces of one run.

    Parameters
    ----------
    context, warehouse
        Those of the run.
    warn
        Called with the class and text of each warning.
    """

    def __init__(
        self,
        context: RunContext,
        warehouse: Warehouse,
        warn: Callable[[type[PlantWarning], str], None],
    ) -> None:
        self._context = context
        self._warehouse = warehouse
        self._filled: dict[str, FilledNames] = {}
        self._told_changed: set[tuple[str, str]] = set()  # owners and names of variables
        self._warn = warn
        self._unsaved: dict[str, list[str]] = {}

    def trace(
        self, definition: Definition, fingerprint: Fingerprint, record: ExecutionRecord, seconds: float
    ) -> Trace:
        """Return the trace of an execution. Values that could not be stored are outputs of the format ``IN_MEMORY``."""
        outputs = dict(record.outputs)
        for name, (value, digest, _) in record.unsaved.items():
            known = digest or self._context.fingerprinter.digest(value)[0]
            outputs[name] = Ingredient(name, IN_MEMORY, known)
        return Trace(
            reactor=definition.full_name,
            fingerprint=fingerprint.digest,
            dependencies=self._context.with_named_code(
                definition.key, self._context.with_classes(definition.key, record.dependencies)
            ),
            outputs=tuple(outputs.values()),
            seconds=seconds,
            finished=nearest_timestamp(time.time()),
            host=host_name(),
            program=program_name(),
            versions=_versions(),
            notes=fingerprint.notes | record.notes,
            shown={**record.shown, **record.places},
        )

    def started(self, key: str) -> None:
        """Note what is filled when a reactor begins."""
        self._filled[key] = self._filled_names(key)

    def commit(self, key: str, before: Fingerprint, record: ExecutionRecord, trace: Trace) -> Trace | None:
        """Store the trace of a reactor; returns ``None`` if it is not stored, after a warning that says why.

        Parameters
        ----------
        key
            The key of the reactor.
        before
            The fingerprint of its code when it began.
        record
            The record of the execution.
        trace
            The trace that was built from the record.
        """
        name = self._context.definitions[key].name
        for output, unsaved in record.unsaved.items():
            self._warn_of_unsaved(f"Ingredient {output!r} was", output, unsaved.error)
        # A trace names its outputs by digest, so without all of them in the store it could not be used. Input files are
        # compared after the execution, since it is not known when the reactor read them.
        if record.unsaved or not self._inputs_unchanged(name, record, trace):
            return None
        filled = self._filled.pop(key, {})
        if self._may_be_of_earlier_code(key, filled):
            return None
        fingerprint = self._final_fingerprint(key, before)
        if fingerprint is None:
            return None
        note_filled(filled, self._filled_names(key))
        # Records of code are written before the trace that needs them for explanations.
        try:
            trace = trace._replace(
                fingerprint=fingerprint.digest,
                notes=fingerprint.notes | record.notes or NOTHING,
                recorded=self._recorded(record),
            )
            trace = self._with_manifests(record, trace)
            self._warehouse.ledger.latest.put_records(
                self._context.fingerprinter.new_records(fingerprint.digest)
            )
            self._tell_of_reads(name, record)
            committed = self._warehouse.commit(trace, self._context.configuration_tag)
        except OSError as error:
            self._warn_of_unsaved(f"The results of {name!r} were", name, error)
            return None
        if self._warehouse.is_read_only:
            root = self._warehouse.root
            message = f"The plant {root} is read-only: what is computed is delivered, and gone when the plant is closed."
            self._warn(UnsavedWarning, message)
        return committed

    def _warn_of_unsaved(self, subject: str, name: str, error: OSError) -> None:
        """Warn of the first result that could not be saved for a reason, and note the name of each further one."""
        names = self._unsaved.setdefault(error.strerror or str(error), [])
        names.append(name)
        if len(names) == 1:
            text, free = str(error), self._warehouse.files.free_inodes(self._warehouse.root)
            if error.errno == errno.ENOSPC and free is not None and free < _FEW_INODES:
                text = (
                    f"the file system of {self._warehouse.root} can hold no more files, although there may be space "
                    f"(free inodes: {free}). Delete files there, or results with plant.gc(unused_for=...)."
                )
            self._warn(UnsavedWarning, f"{subject} delivered but could not be saved: {text}")

    def close(self) -> None:
        """Say at the end of the run what else could not be saved."""
        for reason, (_, *others) in self._unsaved.items():
            if others:
                names = ", ".join(map(repr, others[:_MAX_NAMES])) + (", ..." if others[_MAX_NAMES:] else "")
                self._warn(
                    UnsavedWarning,
                    f"{counted(len(others), 'further result')} {'were' if others[1:] else 'was'} delivered but could not be "
                    f"saved ({reason}): {names}",
                )
        self._unsaved.clear()

    def _with_manifests(self, record: ExecutionRecord, trace: Trace) -> Trace:
        """Store many undeclared reads in a row as a manifest, which is one dependency."""
        if len(record.places) <= MANY:
            return trace
        dependencies: list[Dependency] = []
        manifests: list[Ingredient] = []
        shown = dict(trace.shown)
        known = self._warehouse.input_files.known
        for is_undeclared, group in groupby(
            trace.dependencies,
            lambda one: (
                one.question in record.undeclared and one.kind is not DependencyKind.WORKING_DIRECTORY
            ),
        ):
            reads = list(group)
            if not is_undeclared or len(reads) <= MANY:
                dependencies += reads
                continue
            items = manifest(reads, known)
            dependency = as_dependency(items)
            dependencies.append(dependency)
            name = dependency.names[0]
            manifests.append(self._warehouse.save(name, items, "list"))
            places = [shown.pop(read.names[0], "") for read in reads]
            shown[name] = f"{reads[0].names[0]} and {len(reads) - 1:,} more, in {places[0]}"
        return trace._replace(dependencies=tuple(dependencies), manifests=tuple(manifests), shown=shown)

    def _tell_of_reads(self, name: str, record: ExecutionRecord) -> None:
        """Say, the first time that a plant finds a read which was not declared, what follows from it."""
        if self._warehouse.ledger.told_of_reads:
            return
        told = [
            (kind, names[0])
            for kind, names in sorted(record.undeclared)
            if kind in _TOLD and not record.places.get(names[0], "").endswith(PERHAPS)
        ]
        if not told:
            return
        self._warehouse.ledger.put_told_of_reads()
        kind, read = min(told, key=lambda one: list(_TOLD).index(one[0]))
        what = _TOLD[kind].format(clean(read))
        explicit = _EXPLICIT.get(kind, "Declare the files with pipe.input_file(...)")
        path = from_here(read, self._warehouse.root.parent) if kind is DependencyKind.FILE else read
        text = (
            f"{name} reads {what} without declaring it, so it counts as an input and a change reruns {name}. "
            f"{explicit.format(path)}, or leave it out with `with pipe.untracked():`. (Said once for this plant; "
            f"plant.explain({name!r}) lists all.)"
        )
        front_end = frontend.current()
        if front_end is None:
            logger().warning("%s", text)
        else:
            front_end.notify(text)  # a warning is red in a notebook, and looks like a failure

    def _recorded(self, record: ExecutionRecord) -> Ingredient | None:
        """Store the output of the reactor; returns ``None`` if it was not recorded."""
        if not record.showed:
            return None if record.showed is None else NOTHING_SHOWN
        return self._warehouse.save("", record.showed, RecordedSpec)

    def _inputs_unchanged(self, name: str, record: ExecutionRecord, trace: Trace) -> bool:
        changed = record.changed or [
            (dependency.names[0], "")
            for dependency in trace.dependencies
            if dependency.kind in OUTSIDE
            and not (record.is_of_this_process and dependency.question in record.undeclared)
            and self._context.outside_now(dependency.kind, dependency.names[0]) != dependency.digests[0]
        ]
        if changed:
            read, place = changed[0]
            if place:
                text = (
                    f"{read} changed since {place} read it, and {name!r} used what the code has kept of it since then; the "
                    f"result is not stored. Clear what is kept, or restart."
                )
            else:
                text = (
                    f"{read} changed while {name!r} read it; the result is not stored. If that is no input, read it in: "
                    f"with pipe.untracked()."
                )
            self._warn(UnsavedWarning, text)
        return not changed

    def _filled_names(self, key: str) -> FilledNames:
        return filled_names(self._context.fingerprinter, self._context.definitions[key].function)

    def _may_be_of_earlier_code(self, key: str, filled: FilledNames) -> bool:
        now = cache(partial(self._filled_names, key))  # a walk over the code, which is rarely needed
        names = next(filled_by_earlier_code(filled, now), None)
        if names is None:
            return False
        name = self._context.definitions[key].name
        variable, function = (found.removeprefix("__main__.") for found in names)
        self._warn(
            UnsavedWarning,
            f"{function} or what it uses changed after {variable} was filled, and {name!r} may have used what is in it; "
            f"the result is not stored. Set {variable} back to what it is in a new process, or restart.",
        )
        return True

    def _final_fingerprint(self, key: str, before: Fingerprint) -> Fingerprint | None:
        """Return the fingerprint for the trace: of the code that ran, without variables that it changed.

        Variables and attributes that changed during the execution are state and no inputs: they are excluded
        from fingerprints from now on. If code changed, it is unknown which version ran: returns ``None``.
        """
        name, now = self._context.definitions[key].name, self._context.fingerprint(key)
        if before.digest == now.digest:
            return now
        fingerprinter = self._context.fingerprinter
        changed: set[tuple[str, str]] = set()
        while now.digest != before.digest:
            # None if anything but values changed, that is, code. A reloaded module, for example, may have been used before
            # and after the edit.
            more = fingerprinter.keep_past_values(before.digest, now.digest)
            if more is None:
                self._warn(
                    UnsavedWarning, f"Code of {name!r} changed while it ran; the result is not stored."
                )
                return None
            if more <= changed:
                break
            # What is reached only through a changed value shows as a change once that value counts as before.
            changed |= more
            now = self._context.fingerprint(key)
        self._warn_of_readers(key, changed)
        if now.digest == before.digest:
            return now
        # What was removed has no place at which a value from before could count.
        values = fingerprinter.changed_names(before.digest, now.digest) or set()
        for owner, variable in sorted(values):
            self._warn(
                StateWarning,
                f"{owner}.{variable} changed while reactor {name!r} ran, so it counts as state from now on: a "
                f"change of it reruns nothing. Send it as an ingredient if results depend on it.",
            )
        # Computed again without these variables: with the value from before, no later process would find the trace.
        fingerprinter.add_state(values)
        self._warehouse.ledger.add_state(values)
        return self._context.fingerprint(key)

    def _warn_of_readers(self, key: str, changed: set[tuple[str, str]]) -> None:
        """Warn if other reactors read what a reactor changed, since their results depend on the order of execution."""
        definitions, fingerprinter = self._context.definitions, self._context.fingerprinter
        changed = changed - self._told_changed
        if not changed:
            return
        self._told_changed |= changed
        others = {other: each.function for other, each in definitions.items() if other != key}
        found = readers(changed, others, list(fingerprinter.all_below(others.values())))
        for (owner, variable), keys in sorted(found.items()):
            names = sorted(repr(definitions[other].name) for other in keys)
            if len(names) > _MAX_NAMES:
                names[_MAX_NAMES:] = [f"{len(names) - _MAX_NAMES} others"]
            if names:
                self._warn(
                    StateWarning,
                    f"{owner}.{variable} changed while reactor {definitions[key].name!r} ran, and {', '.join(names)} may "
                    f"read it, for which it counts as it was before. Send it as an ingredient if results depend on it.",
                )

    def note_nondeterminism(self, key: str) -> None:
        """Store and warn that a reactor gave another value for the same inputs."""
        definition = self._context.definitions[key]
        self._warehouse.ledger.put_nondeterministic(definition.full_name)
        self._warn(
            NondeterministicWarning,
            f"Reactor {definition.name!r} sent another value for the same code and inputs; what depends on it "
            f"was verified again.",
        )


@cache
def _versions() -> dict[str, str]:
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        found["numpy"] = str(getattr(numpy, "__version__", ""))
    return found
