"""Files that one reactor writes as a side effect and another one reads.

The order in which the two run is not known to PyPlant, since no ingredient connects them. The reader gets a note that names
both. If the writer runs after the reader was found up to date in the same run, the reader is looked up again, once.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from pyplant._tracer import WRITES, ExecutionRecord
from pyplant.engine.task import State, Task
from pyplant.engine.trace import DependencyKind, Note, Trace
from pyplant.execution.context import RunContext

__all__ = ["SideEffects"]

_FILES = frozenset({DependencyKind.FILE, DependencyKind.EXISTENCE, DependencyKind.STATUS})


class SideEffects:
    """What the reactors of one run write besides their ingredients.

    Parameters
    ----------
    context
        That of the run.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._written: dict[str, str] = {}  # keys of reactors by the files that they wrote in this run
        self._rechecked: set[str] = set()

    def finished(self, key: str, record: ExecutionRecord) -> set[Note]:
        """Remember what a reactor wrote; returns a note for each file that it read and another one wrote."""
        self._written.update(dict.fromkeys(record.written, key))
        names = [name for kind, (name, *_) in record.undeclared if kind in _FILES]
        writers = {name: self._written.get(name) or self._before.get(name, "") for name in names}
        return {
            Note(
                "outside",
                f"reads {name}, which reactor {self._context.definitions[writer].name!r} writes: nothing tells that it must "
                f"run before. Send the value there, or make the file with pipe.allocate(..., Ingredient.Type.file), and "
                f"receive it here",
            )
            for name, writer in writers.items()
            if writer and writer != key
        }

    @cached_property
    def _before(self) -> dict[str, str]:
        """The keys of reactors by the files that they wrote when they last ran."""
        return {
            note.text.removeprefix(WRITES): key
            for key, definition in self._context.definitions.items()
            for note in _notes(self._context.last(definition.full_name))
            if note.text.startswith(WRITES)
        }

    def outdated_readers(self, record: ExecutionRecord, tasks: Iterable[Task]) -> list[str]:
        """Return the keys of reactors that were found up to date with files which have been written now."""
        if not record.written:
            return []
        written = set(record.written)
        found = [
            task.key
            for task in tasks
            if task.state is State.CACHED and task.key not in self._rechecked
            if task.trace is not None and _reads(task.trace, written)
        ]
        self._rechecked.update(found)
        return found


def _notes(trace: Trace | None) -> frozenset[Note]:
    return frozenset() if trace is None else trace.notes


def _reads(trace: Trace, written: set[str]) -> bool:
    return any(
        dependency.kind in _FILES and dependency.names[0] in written for dependency in trace.dependencies
    )
