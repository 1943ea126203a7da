"""Which reactors of a large graph are shown, and which are folded into one node.

Up to some sixty nodes a graph can be read; beyond, what matters is what is not cached,
with its neighbours one step around. All the rest is folded.

A fold must not tear the order from left to right: where a shown node lies on a path
between two folded ones, these two belong into different folds, else an edge would lead
back into the fold it came from. So each node gets a *level*, the number of times that a
path to it changes between shown and folded. What is folded at one level lies side by side
and may stand together; it is told apart by group (the module, say) as long as no circle
comes of that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from pyplant.fingerprint.components import components
from pyplant.notebook.graph.layered_layout import Edge, without_circles
from pyplant.reports.report import Outcome

__all__ = ["MOST", "Fold", "Folding", "folded", "grouped", "unfolded"]

MOST = 60
"""As many nodes can be read at once."""
_MOST_FOLDS = 30
_MANY = 4  # reactors that names beginning alike must have on average to be groups
_ENDS = 12  # of a graph of which all is cached: what it is there for
_FRESH = frozenset({Outcome.CACHED, Outcome.RAN})
_URGENCY = {Outcome.FAILED: 0, Outcome.RUNNING: 1, Outcome.WAITING: 2, Outcome.STALE: 3}


class Fold(NamedTuple):
    """Several reactors drawn as one node; ``label`` is the group of all of them, or ``""``."""

    members: tuple[int, ...]
    label: str


class Folding(NamedTuple):
    """A graph of which some is folded: every node is either shown or in one of the folds."""

    shown: tuple[int, ...]
    folds: tuple[Fold, ...]


def unfolded(count: int) -> Folding:
    """A graph of which all is shown."""
    return Folding(tuple(range(count)), ())


def grouped(names: Sequence[str], modules: Sequence[str] = ()) -> list[str]:
    """What each reactor belongs to: its module, else what its name begins with, else ``""``.

    Parameters
    ----------
    names
        Of the reactors.
    modules
        In which they are defined, as far as that is known.
    """
    if len(set(modules)) > 1:
        return list(modules)
    beginnings = [re.split(r"[\W\d_]", name, maxsplit=1)[0] for name in names]
    return beginnings if len(set(beginnings)) * _MANY <= len(names) else [""] * len(names)


def folded(
    outcomes: Sequence[Outcome],
    edges: Sequence[Edge],
    groups: Sequence[str],
    opened: AbstractSet[int] = frozenset(),
    seen: AbstractSet[int] = frozenset(),
) -> Folding:
    """What to show of a graph.

    Parameters
    ----------
    outcomes
        How each reactor stands.
    edges
        Pairs of indices, sender and receiver.
    groups
        What each reactor belongs to.
    opened
        Reactors to show in any case.
    seen
        Reactors that were shown so far. As long as all that matters is among them they are
        what is shown, so that nothing vanishes because it was computed.
    """
    urgent = _urgent(outcomes)
    if not (seen and seen >= set(urgent)):
        seen = _with_neighbours(urgent or _ends(len(outcomes), edges), edges)
    shown = set(seen | opened)
    forward = without_circles(len(outcomes), edges)
    levels = _levels(len(outcomes), forward, shown)
    classes = [(levels[node], groups[node]) for node in range(len(outcomes)) if node not in shown]
    if len(set(classes)) > _MOST_FOLDS:
        groups = [""] * len(outcomes)
    folds = []
    for members in _classes(forward, levels, groups, shown):
        if len(members) == 1:
            shown.update(members)
        else:
            labels = {groups[node] for node in members}
            folds.append(Fold(tuple(members), labels.pop() if len(labels) == 1 else ""))
    return Folding(tuple(sorted(shown)), tuple(folds))


def _urgent(outcomes: Sequence[Outcome]) -> list[int]:
    """What is not cached, the most urgent first, as many as can be read."""
    urgent = [node for node, outcome in enumerate(outcomes) if outcome not in _FRESH]
    return sorted(urgent, key=lambda node: _URGENCY.get(outcomes[node], len(_URGENCY)))[:MOST]


def _ends(count: int, edges: Sequence[Edge]) -> list[int]:
    """The newest reactors that nobody receives from."""
    used = {source for source, _ in edges}
    return [node for node in range(count) if node not in used][-_ENDS:]


def _with_neighbours(urgent: Sequence[int], edges: Sequence[Edge]) -> set[int]:
    """These and as many of the nodes one step around them as can be read."""
    near: dict[int, None] = dict.fromkeys(urgent)
    centre = set(urgent)
    for source, target in edges:
        if source in centre:
            near[target] = None
        if target in centre:
            near[source] = None
    return set(list(near)[: max(MOST, len(urgent))])


def _levels(count: int, forward: Iterable[Edge], shown: AbstractSet[int]) -> list[int]:
    """How often the way to each node changes between shown and folded, at most."""
    below: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for source, target in forward:
        if source != target:
            below[source].append(target)
            waiting[target] += 1
    ready = [node for node in range(count) if not waiting[node]]
    levels = [0] * count
    for node in ready:
        for target in below[node]:
            levels[target] = max(levels[target], levels[node] + ((node in shown) != (target in shown)))
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return levels


def _classes(
    forward: Iterable[Edge], levels: Sequence[int], groups: Sequence[str], shown: AbstractSet[int]
) -> list[list[int]]:
    """What may stand together: equal in level and group, circles of such classes in one."""
    members: dict[tuple[int, str], list[int]] = {}
    for node, level in enumerate(levels):
        if node not in shown:
            members.setdefault((level, groups[node]), []).append(node)
    below: dict[tuple[int, str] | None, dict[tuple[int, str] | None, None]] = {None: dict.fromkeys(members)}
    for source, target in forward:
        if source not in shown and target not in shown:
            one, other = (levels[source], groups[source]), (levels[target], groups[target])
            below.setdefault(one, {})[other] = None
    merged = components(None, lambda key: below.get(key, ()))
    found = [sorted(node for key in keys if key is not None for node in members[key]) for keys in merged]
    return sorted(nodes for nodes in found if nodes)
