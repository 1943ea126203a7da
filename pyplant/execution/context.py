"""The context of a run: answers what the scheduler, the rebuilder and running reactors ask.

One object implements two protocols: :class:`~pyplant.engine.context.EngineContext` for the engine, and
:class:`~pyplant._tracer.ReactorContext` for running reactors. It combines four sources: the
definitions of reactors, the configuration, the ledger of the plant, and the fingerprinter of code.

Answers are cached during one run, so that all its decisions are based on the same state. The next run
has a new context, since anything may have changed. Runs of a sweep share everything that does not depend on
the configuration (:meth:`RunContext.variant`).
"""

from __future__ import annotations

import copy
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property, partial
from types import FunctionType, MethodType
from typing import Any

from pyplant._definitions import Definition
from pyplant._formatting import format_date
from pyplant._missing import MISSING
from pyplant.config.classes import quoted
from pyplant.config.parameters import Parameters
from pyplant.config.recorded_names import in_order_of_steps, parameters_read
from pyplant.config.views import CLASS_SUFFIX
from pyplant.engine.prediction import Predicted, Senders, remaining_seconds
from pyplant.engine.rebuilder import check
from pyplant.engine.trace import Dependency, DependencyKind, Trace
from pyplant.engine.verdict import UNKNOWN, Lookup, Reason, ReasonKind, Unknown, Verdict
from pyplant.errors import UndigestibleError, ingredient_as_parameter_error, near_misses
from pyplant.execution import frontend
from pyplant.execution.found_code import code_named, named_code, names_in
from pyplant.execution.registry import predictions
from pyplant.fingerprint.attributes import static_attribute
from pyplant.fingerprint.code_records import CodeRecord
from pyplant.fingerprint.constant_words import constant_words, words
from pyplant.fingerprint.digest import digest_bytes
from pyplant.fingerprint.fingerprint import Fingerprint, Fingerprinter
from pyplant.fingerprint.hints import CONFIG_NAMES, predict
from pyplant.fingerprint.origin import find
from pyplant.reads.answers import Outside
from pyplant.reads.recorder import Tracking
from pyplant.reads.silent_reads import SilentReads, silent_reads
from pyplant.store.inputs import TOUCHED, HashLimit
from pyplant.store.warehouse import Warehouse

__all__ = ["RunContext"]

_CLAIM_DIGITS = 32
_MOST_CHANGES = 10  # of a manifest, as reasons
_HASHED_SOON = 64_000_000  # bytes


class RunContext:
    """Everything that is asked during one run.

    Parameters
    ----------
    definitions
        The reactors by key, in order of definition.
    warehouse
        The store.
    fingerprinter
        Computes fingerprints of code.
    parameters
        The configuration.
    function_hash
        Replaces the fingerprint of a reactor's code.
    is_parallel
        Whether reactors run in parallel.
    track_reads
        What happens with reads that reactors do not declare.
    claim_timeout
        Seconds to wait for another process that executes a reactor; ``None``: until it ends.
    """

    def __init__(
        self,
        definitions: Mapping[str, Definition],
        warehouse: Warehouse,
        fingerprinter: Fingerprinter,
        parameters: Parameters,
        function_hash: Callable[[Callable[..., Any]], str] | None = None,
        *,
        is_parallel: bool = False,
        track_reads: Tracking = True,
        claim_timeout: float | None = None,
    ) -> None:
        self.track_reads = track_reads
        self.claim_timeout = claim_timeout
        self.definitions = definitions
        self.parameters = parameters
        self.fingerprinter = fingerprinter
        self._function_hash = function_hash
        self._is_parallel = is_parallel
        self._ledger = warehouse.ledger
        self._warehouse = warehouse
        self._answers = Outside(warehouse)
        self._digests: dict[str, str | None] = {}  # of parameters; None if there is no such parameter
        self._digests_hash = 0
        self._outside: dict[tuple[DependencyKind, str], str] = {}  # digests of what is outside the plant
        self.plant_folders: dict[str, bool] = {}
        self._trace_counts: dict[str, int] = {}  # traces known at the look-up, by reactor
        self._guesses: dict[str, tuple[int, frozenset[str]]] = {}

    # ------------------------------------------------------------------ for the scheduler

    def fingerprint(self, key: str) -> Fingerprint:
        """Return the present fingerprint of a reactor's code."""
        function = self.definitions[key].function
        fingerprint = self.fingerprinter.fingerprint(function)
        # Only the digest is replaced: hints and notes still come from the code.
        if self._function_hash is None:
            return fingerprint
        text = str(self._function_hash(function))
        return fingerprint._replace(digest=digest_bytes(b"function_hash", text.encode()))

    def check(self, key: str) -> Lookup | Verdict:
        """Start to look for a trace that verifies.

        Raises
        ------
        pyplant.errors.DefinitionError
            If the reactor takes an ingredient as its configuration.
        """
        self.refuse_ingredient_as_parameter(key)
        return self.start_lookup(key)

    def refuse_ingredient_as_parameter(self, key: str) -> None:
        """Refuse a reactor whose second parameter is probably meant to be an ingredient.

        It is if a reactor names or sent an ingredient of that name, or if no configuration is set.
        """
        definition = self.definitions[key]
        name = definition.config_name
        if not name or name in CONFIG_NAMES:
            return
        defined = [self.definitions[sender].name for sender in self.literal_senders(name) if sender != key]
        stored = [trace.reactor for trace in self._ledger.senders_of(name)]
        senders = defined + [reactor for reactor in stored if reactor != definition.full_name]
        if senders or not self.parameters.is_set:
            raise ingredient_as_parameter_error(definition.name, name, senders)

    def start_lookup(self, key: str) -> Lookup | Verdict:
        """Start to look for a trace that verifies, without a check of the reactor's parameters."""
        definition = self.definitions[key]
        if not definition.cache:
            return Verdict(None, (Reason(ReasonKind.UNCACHED, definition.name),))
        fingerprint = self.fingerprint(key).digest
        self._trace_counts[key] = self._ledger.trace_count(fingerprint)
        tree = self._ledger.tree(fingerprint)
        if tree is None:
            return Verdict(None, (self._why_unknown(definition, fingerprint),))
        return check(tree, self, partial(self.last, definition.full_name))

    def has_new_traces(self, key: str) -> bool:
        """Return whether another process recorded traces of a reactor since it was checked."""
        # Counted, since to look for one that verifies would repeat the look-up, which may turn out to be in vain.
        self._ledger.refresh()
        return self._ledger.trace_count(self.fingerprint(key).digest) != self._trace_counts.get(key, 0)

    def claim_key(self, key: str) -> str:
        """Return the key of a claim on the execution of a reactor, equal in all processes.

        The inputs are not known yet. So the key covers the code, and the parameters that it probably reads. Runs whose
        configurations differ in these do not wait for each other, and others compute the reactor once.
        """
        read = "\0".join(self.digests(self._probably_read_parameters(key)))
        code = self.fingerprint(key).digest.encode()
        return digest_bytes(code, read.encode("utf-8", "surrogatepass"))[:_CLAIM_DIGITS]

    def _probably_read_parameters(self, key: str) -> list[str]:
        """Return the recorded names of the parameters that a reactor probably reads; of all if that is not known."""
        definition = self.definitions[key]
        reads = self.probably_reads(key)
        if not reads and not definition.config_name and not self.predicted[key].reads_any:
            return []
        is_known = reads and not self.predicted[key].reads_any
        if not is_known and self.last(definition.full_name) is None:
            return self._parameter_names
        return parameters_read(self._parameter_names, reads)

    @cached_property
    def _parameter_names(self) -> list[str]:
        return in_order_of_steps(map(self.parameters.recorded, self.parameters.names()))

    def digests(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the names of those parameters that count, with their digests."""
        for name in names:
            if not self.is_auxiliary(name):
                with suppress(UndigestibleError):  # an error only for reactors that read it
                    yield f"{name}={self.parameter(name)}"

    @property
    def configuration_tag(self) -> str:
        """Distinguishes the parameters that were read so far from those of other runs in this process alone."""
        return f"{self._digests_hash & 0xFFFFFFFF:x}"

    def _why_unknown(self, definition: Definition, fingerprint: str) -> Reason:
        nearest = self.last(definition.full_name)
        if nearest is None:
            forgotten = self._ledger.was_forgotten(definition.full_name)
            return Reason(ReasonKind.FORGOTTEN if forgotten else ReasonKind.NEW, definition.name)
        return Reason(ReasonKind.CODE, definition.name, nearest.fingerprint, fingerprint, nearest)

    @cached_property
    def predicted(self) -> dict[str, Predicted]:
        """The predictions of all reactors, by key."""
        return predictions(self.definitions, self.fingerprinter)

    @cached_property
    def _senders(self) -> Senders:
        return Senders(self.predicted)

    def prefetchable(self, key: str) -> Iterable[str]:
        """Return the names that a reactor receives on every path, if reactors run in parallel.

        The reactor needs them if its trace verifies and if it runs, so their senders may run in parallel.
        """
        return sorted(self.predicted[key].unconditional_receives) if self._is_parallel else ()

    def variant(self, parameters: Parameters) -> RunContext:
        """Return a copy of the context with another configuration; all that does not depend on it is shared."""
        # Cached properties and digests of files are shared: all runs of a sweep must see the same content.
        other = copy.copy(self)
        vars(other).update(parameters=parameters, _digests={}, _digests_hash=0, _trace_counts={})
        vars(other).pop("_parameter_names", None)
        return other

    def probably_reads(self, key: str) -> set[str]:
        """Return the parameters that a reactor reads according to its code, and those that its last execution read."""
        last = self.last(self.definitions[key].full_name)
        read = {
            name
            for dependency in (last.dependencies if last else ())
            if dependency.kind in (DependencyKind.PARAMETER, DependencyKind.ABSENCE)
            for name in dependency.names
        }
        return {*self.predicted[key].reads, *read}

    def remaining_seconds(self, key: str) -> float:
        """Return the expected time from the start of a reactor to the end of all that depends on it."""
        return self._remaining.get(key, 0.0)

    @cached_property
    def _remaining(self) -> dict[str, float]:
        def seconds(key: str) -> float:
            return 0.0 if (last := self.last(self.definitions[key].full_name)) is None else last.seconds

        return remaining_seconds(self.predicted, seconds)

    def candidates(self, name: str) -> Iterator[str]:
        """Yield the reactors that may send a name, the likeliest first."""

        def rank(key: str) -> tuple[int, int]:
            rank, own = self._sender_rank(key)
            return rank, -len(own & words(name))

        return self._senders.candidates(name, lambda: self._recorded_senders(name), rank)

    @cached_property
    def _by_full_name(self) -> dict[str, str]:
        return {definition.full_name: key for key, definition in self.definitions.items()}

    def _recorded_senders(self, name: str) -> Iterator[str]:
        senders = (self._by_full_name.get(trace.reactor) for trace in self._ledger.senders_of(name))
        yield from filter(None, senders)

    def _sender_rank(self, key: str) -> tuple[int, frozenset[str]]:
        """Rank a reactor as a possible sender of a name that it never sent, and collect its words.

        Code that ran before most likely sends the same names again, so it ranks behind code that never ran.
        Reactors that a loop creates have different constants, which usually occur in the names that they send.
        """
        if key not in self._guesses:
            definition = self.definitions[key]
            last = self.last(definition.full_name)
            rank = 0 if last is None else 1 + (last.fingerprint == self.fingerprint(key).digest)
            self._guesses[key] = rank, words(definition.name) | constant_words(definition.function)
        return self._guesses[key]

    def literal_senders(self, name: str) -> list[str]:
        """Return the reactors whose code names an ingredient that they send."""
        return self._senders.literal(name)

    def known_senders(self, name: str) -> list[str]:
        """Return the reactors whose code names an ingredient, or else the reactor that sent it last."""
        return self.literal_senders(name) or list(itertools.islice(self._recorded_senders(name), 1))

    def replaced(self, orphans: Iterable[Definition]) -> list[Definition]:
        """Return the orphans that send an ingredient which another reactor sends as well."""
        by_key = {orphan.key: orphan for orphan in orphans}
        names = {
            name for key in by_key.keys() & self.definitions.keys() for name in self.predicted[key].sends
        }
        found: set[str] = set()
        for name in names:
            senders = self.literal_senders(name)
            # If all senders are orphans, the one that was defined last is the one that the user means.
            lasting = [key for key in senders if key not in by_key] or senders[-1:]
            found.update(key for key in senders if key not in lasting)
        return [by_key[key] for key in found]

    @cached_property
    def _name_counts(self) -> Counter[str]:
        return Counter(definition.name for definition in self.definitions.values())

    def label(self, key: str) -> str:
        """Return the name of a reactor in messages, with its place if it is in a notebook or has the name of another."""
        definition = self.definitions[key]
        if definition.cell is not None:
            return f"{definition.name!r} ({definition.place})"
        if self._name_counts[definition.name] == 1:
            return f"{definition.name!r}"
        line = definition.function.__code__.co_firstlineno
        return f"{definition.name!r} ({definition.place}, line {line})"

    def suggestions(self, name: str) -> str:
        """Return a sentence with similar names, or with the reactor that last sent an ingredient."""
        # What a stored execution says is certain; similar names are a guess.
        last = self._ledger.senders_of(name)
        if last:
            reactor = last[0].reactor
            when = ", ".join(filter(None, (format_date(last[0].finished), last[0].program)))
            if reactor in self._by_full_name:
                name_now = self.definitions[self._by_full_name[reactor]].name
                return f" It was last sent by {name_now!r} ({when}), which did not send it this time."
            return (
                f" It was last sent by {reactor.removeprefix('__main__.')!r} ({when}), which is not defined here: "
                f"{'run its cell' if reactor.startswith('__main__.') else 'define it'}, or take the stored value with "
                f"plant.fetch_ingredient({name!r})."
            )
        if any(definition.name == name for definition in self.definitions.values()):
            return f" It is a reactor: run it with plant.run_reactor({name!r})."
        if close := near_misses(name, self._senders.names()):
            senders = ", ".join(f"{n!r}, sent by {self.label(self._senders.literal(n)[0])}" for n in close)
            return f" Did you mean {senders}?"
        if not self.definitions:
            return " No reactors are defined: decorate functions with @ReactorFunc."
        return f" Send it in one of the reactors: pipe.send({name!r}, value)."

    def where_from(self, name: str) -> str:
        """Return a sentence that says how to make an ingredient without a stored value."""
        senders = self.literal_senders(name)
        if not senders:
            return self.suggestions(name)
        return f" It is sent by {self.label(senders[0])}: plant.get({name!r}) computes it."

    def runs_for_effect(self, trace: Trace) -> bool:
        """Return whether an execution sent nothing, so that only its effect can have been wanted.

        A notebook can replay recorded output, which then counts as a result.
        """
        if trace.outputs:
            return False
        return frontend.current() is None or not self._warehouse.can_load(trace.recorded)

    # ------------------------------------------------------------------ for explanations

    def record(self, digest: str) -> CodeRecord | None:
        """Return the record of what a digest was made of, if it is known."""
        return self.fingerprinter.records.get(digest) or self._ledger.latest.record(digest)

    def last(self, full_name: str) -> Trace | None:
        """Return the trace of a reactor that was last brought up to date, with any fingerprint."""
        key = self._by_full_name.get(full_name)
        found = map(self._ledger.last_used, [full_name] if key is None else self.definitions[key].full_names)
        return max(filter(None, found), key=self._ledger.recency, default=None)

    def notes(self, key: str, trace: Trace | None) -> tuple[str, ...]:
        """Return what the fingerprint of a reactor does not cover, and what an execution of it read and cannot be compared."""
        notes = self.fingerprint(key).notes | (frozenset() if trace is None else trace.notes)
        place_of, function = self.fingerprinter.place_of, self.definitions[key].function
        places = {note: place_of(function, note) if note.kind == "opaque" else "" for note in notes}
        return tuple(
            sorted(f"{place}, a {note.text}" if place else note.text for note, place in places.items())
        )

    # ------------------------------------------------------------------ for the rebuilder

    def parameter(self, name: str) -> str | None:
        """Digest of a parameter; ``None`` if there is no such parameter.

        Raises
        ------
        pyplant.errors.UndigestibleError
            If its value has no content that can be compared between runs.
        """
        if name not in self._digests:
            value = self.parameters.lookup(name)
            digest = self._digests[name] = None if value is MISSING else self._parameter_digest(name, value)
            self._digests_hash ^= hash((name, digest))  # in any order; of all at once it would be quadratic
        return self._digests[name]

    def _parameter_digest(self, name: str, value: Any) -> str:
        if name.endswith("()"):
            value = self._with_classes_below(name, value)
        digest, notes = self.fingerprinter.digest(value)
        if name.endswith(")"):
            return digest  # code, which may refer to opaque objects
        # Data of which only the class counts would seem unchanged for ever.
        opaque = sorted(note.text for note in notes if note.kind == "opaque")
        if opaque:
            message = (
                f"Parameter {name!r} holds a {opaque[0]}, whose content cannot be compared between runs. Use plain "
                f"values, or mark it: plant.mark_params_as_auxiliary([{name!r}])."
            )
            raise UndigestibleError(message)
        return digest

    def _with_classes_below(self, name: str, value: Any) -> Any:
        """Return a method of a configuration, with the classes of the objects whose class it may read."""
        function = value.__func__ if type(value) is MethodType else value
        if (
            type(function) is FunctionType
            and predict(self.fingerprinter.fingerprint(function).hints).class_attributes
        ):
            return [value, *self.parameters.classes_below(name)]
        return value

    def is_auxiliary(self, name: str) -> bool:
        """Return whether a parameter is marked as auxiliary."""
        return self.parameters.is_auxiliary(name)

    def subreactor(self, name: str) -> str | None:
        """Fingerprint of the subreactor, or the code that a parameter names, with this full name, if it still exists."""
        module, _, qualname = name.rpartition(".")
        # The name does not say where the module ends and a class or function around it begins.
        while module and module not in sys.modules:
            module, _, step = module.rpartition(".")
            qualname = f"{step}.{qualname}"
        found = find(sys.modules.get(module), qualname)
        function = static_attribute(found, "__pyplant_subreactor__")
        # A module is imported only for a name in the user's configuration, never because a stored trace names it.
        code = (
            function
            if type(function) is FunctionType
            else named_code(name, load=self._is_named_by_parameter(name))
        )
        return None if code is None else self.fingerprinter.fingerprint(code).digest

    def _is_named_by_parameter(self, name: str) -> bool:
        values = map(self.parameters.value, self.parameters.names())
        return any(name in names_in(value) for value in values)

    def outside(self, kind: DependencyKind, name: str) -> str | Unknown:
        """Digest of something outside the plant, unless it would take too long to compute."""
        digest = self.outside_in_run(kind, name)
        return UNKNOWN if digest == TOUCHED else digest

    def outside_in_run(self, kind: DependencyKind, name: str) -> str:
        """Digest of something outside the plant, computed once until the next reactor has run."""
        if (kind, name) not in self._outside:
            self._outside[kind, name] = self.outside_now(kind, name)
        return self._outside[kind, name]

    def manifest_changes(self, trace: Trace, name: str) -> list[tuple[DependencyKind, str, str, str]]:
        """Return some of what changed since a manifest of a trace was made, with the old and new digest."""
        found = next((manifest for manifest in trace.manifests if manifest.name == name), None)
        return [] if found is None else list(itertools.islice(self._answers.changes(found), _MOST_CHANGES))

    def without_long_hashing(self) -> RunContext:
        """Hash few files, for an answer that must come soon; of larger ones that were touched the digest is unknown."""
        self._answers = Outside(self._warehouse, HashLimit(_HASHED_SOON))
        return self

    def forget_outside(self) -> None:
        """Look again at what is outside the plant, since a reactor may have changed it."""
        self._outside.clear()

    # ------------------------------------------------------------------ for running reactors

    def with_classes(self, key: str, dependencies: Iterable[Dependency]) -> Iterable[Dependency]:
        """Add the class attributes that a reactor's code reads, for each configuration object that it got."""
        asked = sorted(self.predicted[key].class_attributes)
        return self._with_classes(asked, dependencies) if asked else dependencies

    def with_named_code(self, key: str, dependencies: Iterable[Dependency]) -> tuple[Dependency, ...]:
        """Add the code that the parameters in dependencies name."""
        known = tuple(dependencies)
        reactor = self.definitions[key].function
        return (*known, *code_named(known, self.parameters.lookup, self.fingerprinter, reactor))

    def _with_classes(self, asked: Iterable[str], dependencies: Iterable[Dependency]) -> Iterator[Dependency]:
        for dependency in dependencies:
            yield dependency
            is_parameter = dependency.kind is DependencyKind.PARAMETER
            prefix = self.parameters.object_prefix(dependency.names[0]) if is_parameter else None
            for attribute in () if prefix is None else asked:
                name = (
                    f"{prefix}{quoted(attribute)} {CLASS_SUFFIX}" if attribute else f"{prefix}{CLASS_SUFFIX}"
                )
                # An attribute that is missing counts too: code may ask with getattr() and a default.
                if not self.is_auxiliary(name):
                    digest = self.parameter(name)
                    kind = DependencyKind.ABSENCE if digest is None else DependencyKind.PARAMETER
                    yield Dependency(kind, (name,), (digest or "",))

    def outside_now(self, kind: DependencyKind, name: str) -> str:
        """Return the present digest of something outside the plant."""
        return self._answers.digest(kind, name)

    def silent_reads(self, reactor: Callable[..., Any]) -> SilentReads:
        """Return the functions that the fingerprint of a reactor covers and that may read without an event."""
        return silent_reads(self.fingerprinter, reactor)

    def subreactor_entered(self, reactor: Callable[..., Any], function: Callable[..., Any]) -> str:
        """Fingerprint of a subreactor that the reactor's own code does not name, else ``""``."""
        # The reactor's own fingerprint covers it then. As a dependency too, an edit of it would have two causes.
        if self.fingerprinter.reaches(reactor, function):
            return ""
        return self.fingerprinter.fingerprint(function).digest
