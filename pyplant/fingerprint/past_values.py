"""Values that reactors changed, which count as they were before.

A reactor may fill a cache, draw from a random generator, or count its calls. That is no edit. So after a
reactor ran, whatever differs from before counts as it was before, in this process: the same
object as long as its content stays as the reactor left it, a name as long as it stands for the same
object. A later change by the user counts, and an edit counts in the next process, which knows of no changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from pyplant._missing import MISSING
from pyplant.fingerprint.code_records import Difference
from pyplant.fingerprint.graph_node import CodeReference, GraphNode, Leaf
from pyplant.fingerprint.origin import LOADED

__all__ = ["PAST_VALUES", "PastValue", "PastValues"]


_MAX_ENTRIES = 63  # for one name: each holds an object


class PastValue:
    """A value that a reactor changed, with its content from before.

    Attributes
    ----------
    value
        The value.
    """

    __slots__ = ("_before", "_is_as_left", "value")

    def __init__(self, value: Any, before: GraphNode, is_as_left: Callable[[], bool] | None) -> None:
        self.value = value
        self._before = before
        self._is_as_left = is_as_left

    def content(self) -> GraphNode | None:
        """Return the content from before; ``None`` if the value is no longer as the reactor left it."""
        if self._is_as_left is not None and not self._is_as_left():
            return None
        return self._before._replace(unchanged=self._is_as_left)


class PastValues:
    """What names stood for before reactors changed them. It belongs to the process, as the values do.

    Attributes
    ----------
    names
        The owners and names that counted as before when they were last asked for.
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], list[_Entry]] = {}
        self.names: set[tuple[str, str]] = set()

    def keep(
        self,
        changes: Iterable[Difference],
        contents: Mapping[str, GraphNode],
        now: Iterable[tuple[GraphNode, list[str]]],
        content_of: Callable[[Any], GraphNode],
    ) -> None:
        """Let all changed values count as before.

        Parameters
        ----------
        changes
            The differences between the fingerprints before and after a reactor ran.
        contents
            The nodes of both fingerprints, by digest.
        now
            The present nodes, with the digests of their targets.
        content_of
            Returns the present node of an object.
        """
        wanted: dict[tuple[str, str], dict[str, str]] = {}
        for change in changes:
            before, after = change.digests
            wanted.setdefault((change.owner, change.name), {})[after] = before
        leaves = {
            edge.target.shown(): edge.target
            for content in contents.values()
            for edge in content.edges
            if type(edge.target) is Leaf and (edge.owner, edge.name) in wanted
        }
        for content, digests in now:
            for edge, digest in zip(content.edges, digests, strict=True):
                known = wanted.get((edge.owner, edge.name), {}).get(digest)
                if known is not None:
                    past = leaves.get(known) or contents.get(known) if known else MISSING
                    self._keep_one(edge, past, content_of)

    def _keep_one(self, edge: CodeReference, past: Any, content_of: Callable[[Any], GraphNode]) -> None:
        target = edge.target
        if type(past) is GraphNode:
            is_as_left = None if type(target) is Leaf else content_of(target).unchanged
            target = target.value if type(target) is PastValue else target
            past = PastValue(target, past, is_as_left)
        if past is not None:
            self.remember(edge.owner, edge.name, target, past)

    def remember(self, owner: str, name: str, now: Any, before: Any) -> None:
        """Let a name count by ``before`` while it stands for ``now``: an object or a :class:`Leaf`."""
        module = _module(owner)
        known = self._entries.get((owner, name), [])
        others = [entry for entry in known if not entry.applies(now, module)]
        self._entries[owner, name] = [*others[-_MAX_ENTRIES:], _Entry(now, before, module)]

    @contextmanager
    def ignored(self) -> Iterator[None]:
        """Let all values count as they are now, within the block."""
        entries, self._entries = self._entries, {}
        try:
            yield
        finally:
            self._entries = entries

    def before(self, owner: str, name: str, now: Any) -> Any:
        """Return what a name counts by that now stands for ``now``."""
        known = self._entries.get((owner, name))
        if known is None:
            return now
        module = _module(owner)
        before = next((entry.before for entry in known if entry.applies(now, module)), now)
        (self.names.discard if before is now else self.names.add)((owner, name))
        return before


class _Entry(NamedTuple):
    now: Any
    before: Any
    module: Any

    def applies(self, now: Any, module: Any) -> bool:
        if type(now) is Leaf and type(self.now) is Leaf:
            # Equal scalars are one object, so another module of the same name is told apart by itself.
            return now.text == self.now.text and module is self.module
        return now is self.now


def _module(owner: str) -> Any:
    """Return the loaded module that an owner is or belongs to."""
    name = owner.partition(" ")[0]
    while name and name not in LOADED:
        name = name.rpartition(".")[0]
    return LOADED.get(name)


PAST_VALUES = PastValues()
