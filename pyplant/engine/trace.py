"""Traces: what one finished execution read and sent.

A trace is a constructive trace in the sense of "Build Systems à la Carte": it lists its
dependencies with their digests, *in the order in which they were read*, and its outputs with theirs.
The order matters, since a later dependency may exist only because of an earlier value.

The traces of one code fingerprint form a decision tree (:class:`TraceTree`). A look-up therefore
costs as much as there are dependencies, whatever the number of stored traces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from pyplant.engine.validate import count, finite, mapping, str_dict, str_list, string, timestamp
from pyplant.ingredient import IN_MEMORY, Ingredient

__all__ = ["Branch", "Dependency", "DependencyKind", "Note", "Question", "Trace", "TraceTree"]


# The records of this module are named tuples, since a run reads one trace for each reactor: when they were
# introduced, dataclasses took three times longer to create and seven times longer to load.
class Note(NamedTuple):
    """Something that the fingerprint does not cover; stored with the trace and shown to the user."""

    kind: str
    text: str


class DependencyKind(StrEnum):
    """The kind of thing that a reactor depended on."""

    PARAMETER = "p"
    """A parameter of the configuration."""
    # Recorded so that a look-up notices when the mark is gone: then no digest of the value is known.
    AUXILIARY = "x"
    """A parameter that was auxiliary when it was read: recorded but not compared."""
    ABSENCE = "a"
    """A parameter that the configuration did not have."""
    INGREDIENT = "i"
    """One ingredient, or several received at once."""
    SUBREACTOR = "s"
    """A subreactor that the reactor's own code does not name."""
    FILE = "f"
    """The content of a file outside the plant."""
    SOURCE = "y"
    """The code in a file of a module, without its comments and layout."""
    LISTING = "l"
    """The names in a folder outside the plant."""
    PATTERN = "g"
    """The paths that match a pattern."""
    EXISTENCE = "w"
    """Whether a path leads to nothing, a file or a folder."""
    STATUS = "t"
    """What a path leads to, with size and time of modification."""
    TARGET = "k"
    """The path that a path leads to when symbolic links are followed."""
    ENVIRONMENT = "e"
    """An environment variable."""
    WORKING_DIRECTORY = "d"
    """The working directory, where relative paths begin."""
    MANIFEST = "m"
    """Many things outside the plant, which a manifest lists."""


# A look-up in a dict is faster than a call of the enum, and journals have many dependencies.
_NO_NOTES: frozenset[Note] = frozenset()
_KINDS = MappingProxyType({kind.value: kind for kind in DependencyKind})

Question = tuple[DependencyKind, tuple[str, ...]]
"""What a reactor read at some point: the kind, and the names."""


class Dependency(NamedTuple):
    """One question of a reactor, and the digests of the answer."""

    kind: DependencyKind
    names: tuple[str, ...]
    digests: tuple[str, ...]

    @property
    def question(self) -> Question:
        """The question without the answer."""
        return self.kind, self.names


class Trace(NamedTuple):
    """One finished execution of a reactor.

    Attributes
    ----------
    reactor
        Full name of the reactor, as history: the fingerprint identifies the code.
    fingerprint
        Fingerprint of the code that ran.
    dependencies
        What it read, in the order of reading.
    outputs
        The ingredients it sent, in order.
    number, writer
        Its place in the journal: a counter that is higher than all counters seen by the writer.
        Two writers may use the same number; the writer's name then decides.
    seconds
        The reactor's own time, without waiting.
    finished
        Seconds since the epoch; shown but never compared.
    host, versions
        The machine it ran on, and the versions of Python and packages.
    notes
        What the fingerprint does not cover.
    shown
        Short texts of the parameters, for explanations.
    recorded
        The notebook output of the execution, for replay; ``None`` if it was not recorded.
    manifests
        The stored manifests of its reads, by the names of their dependencies.
    program
        The name of the notebook or script that requested it.
    """

    reactor: str
    fingerprint: str
    dependencies: tuple[Dependency, ...]
    outputs: tuple[Ingredient, ...]
    number: int = 0
    writer: str = ""
    seconds: float = 0.0
    finished: float = 0.0
    host: str = ""
    versions: Mapping[str, str] = MappingProxyType({})
    notes: frozenset[Note] = frozenset()
    shown: Mapping[str, str] = MappingProxyType({})
    recorded: Ingredient | None = None
    manifests: tuple[Ingredient, ...] = ()
    program: str = ""

    @property
    def rank(self) -> tuple[int, str]:
        """Sort key that orders traces by age, newest last."""
        # Not the time: the clocks of machines that share a plant differ, and a clock may be set back.
        return self.number, self.writer

    @property
    def inputs(self) -> list[str]:
        """Names of the received ingredients, in order."""
        received = (d.names for d in self.dependencies if d.kind is DependencyKind.INGREDIENT)
        return [name for names in received for name in names]

    @property
    def stored(self) -> tuple[Ingredient, ...]:
        """All stored objects of the trace: its outputs, its recorded notebook output, and manifests."""
        recorded = () if self.recorded is None else (self.recorded,)
        return (*self.outputs, *recorded, *self.manifests) if recorded or self.manifests else self.outputs

    def output(self, name: str) -> Ingredient | None:
        """Return the output with this name, if any."""
        return next((output for output in self.outputs if output.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON-able data, without number and writer, which the journal keeps."""
        # Short keys, since the journal has one such line for each execution.
        data = {
            "r": self.reactor,
            "f": self.fingerprint,
            "d": [[d.kind.value, d.names, d.digests] for d in self.dependencies],
            "o": [_output_to_json(output) for output in self.outputs],
            "s": round(self.seconds, 6),
            "t": round(self.finished, 3),
            "h": self.host,
            "v": dict(self.versions),
            "n": sorted([note.kind, note.text] for note in self.notes),
            "p": dict(self.shown),
        }
        if self.recorded is not None:
            data["w"] = _output_to_json(self.recorded)
        if self.program:
            data["b"] = self.program
        if self.manifests:
            data["m"] = [_output_to_json(manifest) for manifest in self.manifests]
        return data

    @classmethod
    def from_json(
        cls,
        data: dict[str, Any],
        number: int,
        writer: str,
        *,
        signed: bool = False,
        shared: Callable[[str], str] = str,
    ) -> Trace:
        """Convert from JSON-able data.

        Parameters
        ----------
        data, number, writer
            The content of a line of the journal, and its place.
        signed
            Whether this user wrote it.
        shared
            Returns one object for all equal strings: receivers of an ingredient, and its sender, have the same name
            and digest.

        Raises
        ------
        Exception
            One of :data:`~pyplant.engine.validate.UNREADABLE` if this version did not write the data.
        """
        reactor, fingerprint, host = map(shared, str_list([data["r"], data["f"], data["h"]]))
        return cls(
            reactor=reactor,
            fingerprint=fingerprint,
            dependencies=tuple(_dependency_from_json(dependency, shared) for dependency in data["d"]),
            outputs=tuple(_output_from_json(output, signed, shared) for output in data["o"]),
            number=number,
            writer=writer,
            seconds=finite(data["s"]),
            finished=timestamp(data["t"]),
            host=host,
            versions=str_dict(data["v"]),
            notes=frozenset(Note(*str_list(note)) for note in data["n"]) or _NO_NOTES,
            shown=str_dict(data["p"]),
            recorded=_output_from_json(data["w"], signed, shared) if "w" in data else None,
            manifests=tuple(_output_from_json(manifest, signed, shared) for manifest in data.get("m", ())),
            program=shared(string(data.get("b", ""))),
        )


def _dependency_from_json(data: list[Any], shared: Callable[[str], str]) -> Dependency:
    kind, names, digests = data
    # An unknown kind is a KeyError, so the whole trace counts as absent. Without the dependency it could
    # verify although what a newer version recorded has changed.
    found = Dependency(
        _KINDS[kind], tuple(map(shared, str_list(names))), tuple(map(shared, str_list(digests)))
    )
    # Look-ups compare names with digests one by one, and the scheduler takes an empty group for a look-up
    # that has asked nothing yet. A reactor that asks for an empty list has no dependency by it. Only ingredients are asked
    # for together.
    most = len(found.names) if found.kind is DependencyKind.INGREDIENT else 1
    if not 1 <= len(found.names) <= most or len(found.names) != len(found.digests):
        raise ValueError(data)
    return found


def _output_to_json(output: Ingredient) -> list[Any]:
    # Small values are stored in the journal itself, as hexadecimal text, since JSON has no bytes.
    inline = None if output.inline is None else output.inline.hex()
    return [output.name, output.format, output.digest, output.object, output.size, output.metadata, inline]


def _output_from_json(data: list[Any], signed: bool, shared: Callable[[str], str]) -> Ingredient:  # noqa: FBT001 - private
    name, spec, digest, stored = map(shared, str_list(data[:4]))
    if spec == IN_MEMORY:  # a value that could not be stored, of which no execution is recorded
        raise ValueError(data)
    size, metadata, inline = data[4:]
    content = None if inline is None else bytes.fromhex(inline)
    # `signed` comes from the seal of the journal line. A field of the data could be forged: a signed pickle
    # is loaded, which runs its code.
    return Ingredient(name, spec, digest, stored, count(size), mapping(metadata), content, signed)


class Branch:
    """A node of the tree: the next questions, and the branch that each answer leads to.

    A reactor that is a function of what it reads asks one question at each node. A reactor that
    is not may have asked several. Questions and answers are ordered by their last use, newest last.

    Attributes
    ----------
    questions
        ``question -> answer -> branch``.
    leaf
        The newest trace that ends here.
    newest
        The newest trace that passes through or ends here.
    """

    __slots__ = ("leaf", "newest", "questions")

    def __init__(self) -> None:
        # Dicts keep the order of insertion, so the last item is the one that was used last.
        self.questions: dict[Question, dict[tuple[str, ...], Branch]] = {}
        self.leaf: Trace | None = None
        self.newest: Trace | None = None


class TraceTree:
    """The stored traces of one fingerprint, arranged by their questions and answers.

    They are arranged when a look-up needs it: usually the newest trace verifies.

    Attributes
    ----------
    newest
        The trace that was added last.
    """

    def __init__(self) -> None:
        self.newest: Trace | None = None
        self._root = Branch()
        self._added: list[Trace] = []

    def add(self, trace: Trace) -> None:
        """Add a trace. Traces must be added oldest first; at a leaf the newest replaces older ones."""
        self.newest = trace
        self._added.append(trace)

    @property
    def root(self) -> Branch:
        """Where the walk through all traces begins."""
        for trace in self._added:
            self._arrange(trace)
        self._added.clear()
        return self._root

    def _arrange(self, trace: Trace) -> None:
        branch = self._root
        branch.newest = trace
        for dependency in trace.dependencies:
            answers = branch.questions.pop(dependency.question, {})
            branch.questions[dependency.question] = answers  # moves the question to the newest end
            # Popped and added again as well, so that both orders are those of the last use.
            branch = answers.pop(dependency.digests) if dependency.digests in answers else Branch()
            answers[dependency.digests] = branch
            branch.newest = trace
        branch.leaf = trace
