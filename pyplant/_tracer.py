"""The tracer: records what one execution of a reactor reads and sends, for its trace.

A reactor holds a :class:`~pyplant.Pipework`, whose methods call those of the tracer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from pyplant._definitions import Definition, SubreactorCall
from pyplant._missing import MISSING
from pyplant._paths import expanded, is_url, of_type, recorded
from pyplant.config.classes import private_copy
from pyplant.config.parameters import Parameters
from pyplant.config.views import KIND, described, plain
from pyplant.engine.commands import Receive, RunCoroutine, Unyielded, check_name
from pyplant.engine.trace import Dependency, DependencyKind, Note
from pyplant.errors import (
    ConfigError,
    IngredientError,
    NotAllocatedError,
    NotYieldedError,
    SentTwiceError,
)
from pyplant.events import Event, IngredientSent, SubreactorEntered, SubreactorLeft
from pyplant.fingerprint.graph_node import shorten
from pyplant.ingredient import Ingredient
from pyplant.reads import working_directory
from pyplant.reads.calls import observe_calls
from pyplant.reads.effects import unrepeated_effects
from pyplant.reads.known_paths import KnownPaths
from pyplant.reads.late_imports import find_late_imports
from pyplant.reads.manifests import MANY
from pyplant.reads.mentions import find_mentions
from pyplant.reads.recorder import FoundRead, ReadRecorder, Tracking
from pyplant.reads.silent_reads import SilentReads
from pyplant.reads.unrepeatable import unrepeatable
from pyplant.specs.recorded import Recorded
from pyplant.store.inputs import HashedFile, require_readable_file
from pyplant.store.warehouse import Allocation, Warehouse

__all__ = ["WRITES", "ExecutionRecord", "ReactorContext", "Tracer"]

WRITES = "writes "
"""How a note about a written file begins."""
_MOST_WRITES = 20  # files that are named in notes


class ReactorContext(Protocol):
    """Answers the questions of a running reactor."""

    @property
    def parameters(self) -> Parameters:
        """The configuration."""

    def parameter(self, name: str) -> str | None:
        """Return the digest of a parameter; ``None`` if there is no such parameter."""

    def outside_in_run(self, kind: DependencyKind, name: str) -> str | None:
        """Return the digest of something outside the plant, such as an input file, as it is for this run."""

    def outside_now(self, kind: DependencyKind, name: str) -> str | None:
        """Return the present digest of something outside the plant."""

    @property
    def track_reads(self) -> Tracking:
        """What happens with reads that the reactor does not declare."""

    @property
    def plant_folders(self) -> dict[str, bool]:
        """Which folders are in a plant, as far as it was asked in this run."""

    def silent_reads(self, reactor: Callable[..., Any]) -> SilentReads:
        """Return the functions that the fingerprint of a reactor covers and that may read without an event."""

    def subreactor_entered(self, reactor: Callable[..., Any], function: Callable[..., Any]) -> str:
        """Return the fingerprint of a called subreactor; ``""`` if that of the reactor covers it."""


class Unsaved(NamedTuple):
    """A value that was sent and could not be stored."""

    value: Any
    digest: str | None
    error: OSError


@dataclass(slots=True)
class ExecutionRecord:
    """The record of one execution, from which its trace is built.

    Attributes
    ----------
    dependencies
        What it read, in the order of the first reads.
    outputs
        What it sent, by name.
    shown
        Short texts of the parameters it read, by name, for explanations.
    unsaved
        Sent values that could not be stored.
    unsent
        Names that were allocated and not sent.
    returned
        The type of a returned value, which is dropped.
    asked
        The dependencies without their digests, to find repeated reads.
    showed
        The recorded output; ``None`` if it was not recorded.
    places
        Where code made the reads that it did not declare, by what was read.
    undeclared
        The dependencies that it did not declare, without their digests.
    files
        What is known of their files, if they are many.
    is_of_this_process
        Whether this process digested them; a worker may see other files.
    notes
        What it read and cannot be compared between runs.
    changed
        What it read and what has changed since then (:class:`~pyplant.reads.recorder.ReadRecorder`).
    written
        Files that it wrote and that are there, as recorded paths.
    """

    dependencies: list[Dependency] = field(default_factory=list)
    outputs: dict[str, Ingredient] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    unsaved: dict[str, Unsaved] = field(default_factory=dict)
    unsent: tuple[str, ...] = ()
    returned: str = ""
    asked: set[tuple[DependencyKind, tuple[str, ...]]] = field(default_factory=set)
    showed: Recorded | None = None
    places: dict[str, str] = field(default_factory=dict)
    undeclared: set[tuple[DependencyKind, tuple[str, ...]]] = field(default_factory=set)
    files: dict[str, HashedFile] = field(default_factory=dict)
    is_of_this_process: bool = True
    notes: set[Note] = field(default_factory=set)
    changed: list[tuple[str, str]] = field(default_factory=list)
    written: tuple[str, ...] = ()

    def depend(self, kind: DependencyKind, names: tuple[str, ...], digests: tuple[str, ...]) -> None:
        """Record a dependency, unless it was recorded before."""
        if (kind, names) not in self.asked:
            self.asked.add((kind, names))
            self.dependencies.append(Dependency(kind, names, digests))

    def insert(self, found: Sequence[FoundRead]) -> None:
        """Add the reads that were not declared, each where it was made, in the order of their positions."""
        merged: list[Dependency] = []
        done = 0
        for read in found:
            merged += self.dependencies[done : read.position]
            done = max(done, read.position)
            merged.append(read.dependency)
            self.places[read.dependency.names[0]] = read.place
            self.undeclared.add(read.dependency.question)
        self.dependencies = merged + self.dependencies[done:]


class Tracer:
    """Records one execution of a reactor. Its methods raise an error after the reactor has ended.

    Parameters
    ----------
    definition
        The reactor.
    warehouse
        Stores values.
    context
        Answers questions about the run.
    emit
        Called with each event.

    Attributes
    ----------
    record
        What the execution has read and sent so far.
    """

    def __init__(
        self,
        definition: Definition,
        warehouse: Warehouse,
        context: ReactorContext,
        emit: Callable[[Event], None],
    ) -> None:
        self.definition = definition
        self.warehouse = warehouse
        self.context = context
        self.emit = emit
        self.record = ExecutionRecord()
        self._allocations: dict[str, Allocation] = {}  # not completed yet, by name
        self._to_finish: list[Allocation] = []  # sent, but the reactor may still write to them
        self._unyielded: list[Unyielded] = []  # commands and calls that must still be yielded
        self._finished = self._closed = False
        self._process = os.getpid()  # forked children cannot use the tracer
        self._config: Any = MISSING
        self._kept: Callable[[], Mapping[Any, Any]] = dict
        self._started_in = working_directory.present()
        self.views: dict[str, Any] = {}
        """The views of nested configurations (:class:`~pyplant.config.classes.ConfigReader`)."""
        tracking = context.track_reads if definition.track_reads is None else definition.track_reads
        self.reads = (
            ReadRecorder(
                warehouse.root, self._digest_outside, self._position, tracking, context.plant_folders
            )
            if tracking
            else None
        )

    def begin(self) -> None:
        """Find, before the first step, the paths that the code names where no event will tell of a read, and watch for more."""
        if self.reads is not None:
            functions, below, cached, self._kept = self.context.silent_reads(self.definition.function)
            self.reads.watch_cached(cached)
            find_mentions(functions, self.reads)
            find_late_imports(functions, self.reads)
            if below:
                self.reads.known_paths = KnownPaths(self.reads, self.definition.function)
                self.reads.known_paths.add_functions(below)
            observe_calls(functions)
            self.record.notes |= unrepeatable(functions)
        self.record.notes |= unrepeated_effects(self.definition.function)

    def _position(self) -> int:
        return len(self.record.dependencies)

    def _digest_outside(self, kind: DependencyKind, name: str) -> str:
        return self.context.outside_now(kind, name) or ""

    # ------------------------------------------------------------------ ingredients

    def send(self, name: str, value: Any, kind: Any) -> None:
        """Store the present content of a value. An allocated one is completed when the reactor ends."""
        self.check_open()
        check_name(name, "send")
        if isinstance(value, Unyielded):
            raise NotYieldedError(value.hint())
        value = plain(value)  # a view of the configuration; this reads all of it
        if self.has_sent(name):
            message = f"Reactor {self.definition.name!r} sent {name!r} twice; an ingredient has one value. Send it once, or under two names."
            raise SentTwiceError(message)
        allocation = self._allocation_of(name, value)
        if allocation is not None:
            self._to_finish.append(allocation)
            return
        try:
            ingredient = self.warehouse.save(name, value, kind)
        except OSError as error:
            digest = self.warehouse.digest(name, value, kind)
            # A copy, as a stored value would be: the reactor may change its own after sending it.
            self.record.unsaved[name] = Unsaved(private_copy(value), digest, error)
            return
        self.record.outputs[name] = ingredient
        self.emit(IngredientSent(self.definition.name, name, ingredient.format, ingredient.size))

    def allocate(self, name: str, kind: Any, options: dict[str, Any], *, temporary: bool) -> Any:
        """Create a value on disk and return its handle."""
        self.check_open()
        check_name(name, "allocate")
        if name in self._allocations:
            message = f"Reactor {self.definition.name!r} allocated {name!r} twice."
            raise SentTwiceError(message)
        allocation = self.warehouse.allocate(name, kind, options, temporary=temporary)
        self._allocations[name] = allocation
        return allocation.handle

    def _allocation_of(self, name: str, value: Any) -> Allocation | None:
        for allocation in self._allocations.values():
            if value is allocation.handle or _same_path(value, allocation.handle):
                if allocation.temporary:
                    message = f"{name!r} was made by allocate_temp, which is scratch; use pipe.allocate({name!r}, ...) to send it."
                    raise NotAllocatedError(message)
                if allocation.name != name:
                    message = f"This value was allocated as {allocation.name!r} and cannot be sent as {name!r}; use one name for both."
                    raise NotAllocatedError(message)
                return allocation
            if allocation.spec.is_part_of(value, allocation.handle):
                message = (
                    f"{name!r} is a view of the allocated {allocation.name!r}. Send the whole value that "
                    f"pipe.allocate returned, or a copy of the part: pipe.send({name!r}, part.copy())."
                )
                raise NotAllocatedError(message)
        return None

    def has_sent(self, name: str) -> bool:
        """Return whether the reactor has sent an ingredient."""
        return (
            name in self.record.outputs
            or name in self.record.unsaved
            or any(allocation.name == name for allocation in self._to_finish)
        )

    def sent_value(self, name: str) -> Any:
        """Return a private copy of what the reactor itself has sent under a name."""
        unsaved = self.record.unsaved.get(name)
        if unsaved is not None:
            return private_copy(unsaved.value)
        if name not in self.record.outputs:
            message = (
                f"Reactor {self.definition.name!r} receives {name!r}, which it allocated itself and which is complete only "
                f"when the reactor has ended. Use what pipe.allocate({name!r}, ...) returned."
            )
            raise NotAllocatedError(message)
        return self.warehouse.load(self.record.outputs[name])

    def learn(self, values: Any) -> None:
        """Note the paths in values that the reactor gets, if its code may open files in C."""
        if self.reads is not None and self.reads.known_paths is not None:
            self.reads.known_paths.add(values)

    def received(self, ingredients: tuple[Ingredient, ...]) -> None:
        """Record that the reactor receives these together."""
        # One dependency for all: a look-up then asks for them together, so that their senders may run in parallel.
        names = tuple(ingredient.name for ingredient in ingredients)
        digests = tuple(ingredient.digest for ingredient in ingredients)
        self.record.depend(DependencyKind.INGREDIENT, names, digests)

    # ------------------------------------------------------------------ configuration

    @property
    def config(self) -> Any:
        """The configuration, read-only. Each parameter that is read becomes a dependency."""
        if self._config is MISSING:
            # Code may check the class of the configuration in ways that cannot be observed, such as isinstance().
            self.read(KIND, self.context.parameters.lookup(KIND))
            self._config = self.context.parameters.view(self)
        return self._config

    def read(self, name: str, value: Any) -> Any:
        """Record the read of a parameter (:class:`~pyplant.config.classes.ConfigReader`); returns a private copy."""
        if self.context.parameters.is_auxiliary(name):
            self._depend(DependencyKind.AUXILIARY, name, "")
        else:
            self._depend(DependencyKind.PARAMETER, name, self.context.parameter(name) or "")
            if name not in self.record.shown:  # looked up again: of a list of names, without auxiliary ones
                self.record.shown[name] = shorten(self.context.parameters.lookup(name))
        self.learn(value)
        return private_copy(value)

    def absent(self, name: str) -> None:
        """Record that the reactor asked for a parameter that does not exist."""
        self._depend(DependencyKind.ABSENCE, name, "")

    def _depend(self, kind: DependencyKind, name: str, digest: str) -> None:
        # A child may repeat what the reactor has read before: that is a dependency already.
        if os.getpid() != self._process and (kind, (name,)) not in self.record.asked:
            message = (
                f"Reactor {self.definition.name!r} read {described(name)} in a process that it forked, which the plant cannot "
                f"record. Read it in the reactor first, or give the process a copy: copy.deepcopy(config)."
            )
            raise ConfigError(message)
        self.record.depend(kind, (name,), (digest,))

    def input_file(self, path: Any) -> Any:
        """Depend on the content of a file; returns its path with ``~`` replaced."""
        self.check_open()
        if (
            not isinstance(path, str | bytes | os.PathLike)
            or not os.fspath(path)
            or "\0" in os.fsdecode(path)
        ):
            message = f"pipe.input_file takes the path of a file, not {path!r}."
            raise IngredientError(message)
        given = expanded(path)
        if is_url(given):
            message = (
                f"pipe.input_file takes the path of a file; {given} is an address, whose content cannot be checked. "
                f"Download it to a file first, or read it without pipe.input_file."
            )
            raise IngredientError(message)
        if not os.path.isabs(given):
            self._depend_on_directory()
        # The digest of this run, which is the same for all reactors; the trace writer checks it against the file at the
        # end of the execution.
        name = recorded(given, self.warehouse.root.parent)
        digest = self.context.outside_in_run(DependencyKind.FILE, name)
        require_readable_file(given, digest)
        self.record.depend(DependencyKind.FILE, (name,), (digest or "",))
        return path if given == os.fsdecode(path) else of_type(given, path)

    def _depend_on_directory(self) -> None:
        if working_directory.present() == self._started_in:  # else it has changed it itself
            question = DependencyKind.WORKING_DIRECTORY, working_directory.NAME
            self._depend(*question, self.context.outside_in_run(*question) or "")

    # ------------------------------------------------------------------ steps of the reactor

    def must_be_yielded(self, item: Unyielded) -> None:
        """Note a command or call that must be yielded (:class:`~pyplant._definitions.TaskObserver`)."""
        self._unyielded.append(item)

    def subreactor_entered(self, call: SubreactorCall[Any]) -> None:
        """Note that a subreactor begins; it is a dependency unless the fingerprint of the reactor covers it."""
        self._mark_yielded(call)
        fingerprint = self.context.subreactor_entered(self.definition.function, call.function)
        if fingerprint:
            full_name = f"{call.function.__module__}.{call.function.__qualname__}"
            self.record.depend(DependencyKind.SUBREACTOR, (full_name,), (fingerprint,))
        self.emit(SubreactorEntered(self.definition.name, call.name))

    def subreactor_left(self, name: str) -> None:
        """Note that a subreactor has returned."""
        self.emit(SubreactorLeft(self.definition.name, name))

    def returned(self, value: Any) -> None:
        """Note the value that the reactor returned; it is dropped, with a warning."""
        if isinstance(value, Unyielded):
            raise NotYieldedError(value.hint())
        if value is not None:
            self.record.returned = type(value).__qualname__

    def yielded(self, command: Receive | RunCoroutine) -> None:
        """Note that the reactor yielded a command."""
        self._mark_yielded(command)

    def _mark_yielded(self, item: Unyielded) -> None:
        self._unyielded = [other for other in self._unyielded if other is not item]

    def finish(self, seconds: float = 0.0) -> ExecutionRecord:
        """Complete what the reactor allocated, after it has returned; returns its record.

        Parameters
        ----------
        seconds
            How long the reactor ran.

        Raises
        ------
        pyplant.errors.NotYieldedError
            If something was never yielded.
        """
        # Only now: a command may be created early and yielded later.
        if self._unyielded:
            raise NotYieldedError(self._unyielded[0].hint())
        for allocation in self._to_finish:
            ingredient = self.warehouse.finish(allocation)
            self.record.outputs[ingredient.name] = ingredient
            del self._allocations[allocation.name]
            self.emit(
                IngredientSent(self.definition.name, ingredient.name, ingredient.format, ingredient.size)
            )
        self._to_finish.clear()
        self.record.unsent = tuple(
            name for name, allocation in self._allocations.items() if not allocation.temporary
        )
        if self.reads is not None:
            self._finish_reads(self.reads, seconds)
        self._finished = True
        return self.record

    def _finish_reads(self, reads: ReadRecorder, seconds: float) -> None:
        files = self.warehouse.input_files
        # A manifest holds what is known of many files; a line of the journal for each would take longer than hashing them.
        with reads.paused(), files.in_memory() if reads.count > MANY else nullcontext():
            reads.add_kept(self._kept())
            self.record.insert(reads.finish(self.record.asked, seconds))
        if reads.count > MANY:
            known = ((name, files.known(name)) for name in self.record.places)
            self.record.files = {name: file for name, file in known if file is not None}
        self.record.written = reads.written_files()
        self.record.notes |= reads.notes
        self.record.notes |= {
            Note("outside", f"{WRITES}{name}") for name in self.record.written[:_MOST_WRITES]
        }
        self.record.changed += reads.changed

    @property
    def is_closed(self) -> bool:
        """Whether the reactor has ended."""
        return self._closed

    def close(self) -> None:
        """Discard what was allocated and not sent. The pipe of the reactor cannot be used afterwards."""
        if os.getpid() != self._process:
            return  # allocations belong to the parent
        self._closed = True
        # This breaks reference cycles, so that all are freed without the garbage collector.
        self._config = MISSING
        self.views.clear()
        self.reads = None
        for allocation in self._allocations.values():
            self.warehouse.discard(allocation)
        self._allocations.clear()
        if not self._finished:
            self.warehouse.objects.delete_unnamed(output.object for output in self.record.outputs.values())

    def check_open(self) -> None:
        """Raise an error if the reactor has ended, or this is a process that it forked."""
        if self._closed:
            message = f"Reactor {self.definition.name!r} has ended; its pipe can no longer be used."
            raise IngredientError(message)
        if os.getpid() != self._process:
            message = (
                f"Reactor {self.definition.name!r} used its pipe in a process that it forked. The plant cannot "
                f"record that: return the result to the reactor, and use the pipe there."
            )
            raise IngredientError(message)


def _same_path(value: Any, handle: Any) -> bool:
    if not isinstance(handle, str) or not isinstance(value, str | os.PathLike):
        return False
    return os.fspath(value) == handle
