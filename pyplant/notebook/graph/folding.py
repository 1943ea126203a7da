"""Which reactors of a large graph are shown, and which are folded into one node.

A graph of up to sixty nodes is readable. Of a larger one, the reactors that are not cached are shown
with their direct neighbours, and all others are folded. (In this package *fold* means such a node.) During a run,
only what failed, runs or waits is shown with its neighbours, so that finished layers fold and the next ones unfold.

A fold must not break the order from left to right: if a shown node lies on a path between two folded
ones, these must be in different folds, or an edge would lead back into the fold that the path came from.
So each node gets a *level*: how often a path to it changes between shown and folded nodes, at most.
Folded nodes of one level have no shown node between them and may share a fold. Within a level, nodes
are separated by group (the module, for example); groups that depend on each other are merged.

In a small graph, only *siblings* are folded: many reactors with the same senders and the same receivers, such as those
that a loop defines. All their edges are parallel.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from itertools import takewhile
from typing import NamedTuple

from pyplant.fingerprint.components import components
from pyplant.notebook.graph.layered_layout import Edge, reverse_back_edges
from pyplant.reports.report import Outcome

__all__ = [
    "MAX_NODES",
    "Fold",
    "Folding",
    "active",
    "choose_folding",
    "fold_siblings",
    "group_labels",
    "next_members",
    "without_folds",
]

MAX_NODES = 60
"""The number of nodes up to which a graph is readable."""
_MAX_FOLDS = 30  # with more, groups are ignored
_MIN_MEMBERS = 4  # average size from which common beginnings of names are groups
_MAX_SINKS = 12  # final reactors shown of a graph in which all are cached
_MAX_SIBLINGS = 10  # the most that fit below each other
_STEP = 20  # reactors that are unfolded at a time; a fold may have hundreds
_UP_TO_DATE = frozenset({Outcome.CACHED, Outcome.RAN})
_BUSY = frozenset({Outcome.RUNNING, Outcome.WAITING})
_URGENCY = {Outcome.FAILED: 0, Outcome.RUNNING: 1, Outcome.WAITING: 2, Outcome.STALE: 4}
_CAUSE = 3  # the rank of a stale reactor that makes others stale


class Fold(NamedTuple):
    """Several reactors drawn as one node; ``label`` is their common group, or ``""``."""

    members: tuple[int, ...]
    label: str


class Folding(NamedTuple):
    """A partition of the nodes: each is either shown or in one fold."""

    shown: tuple[int, ...]
    folds: tuple[Fold, ...]


def without_folds(count: int) -> Folding:
    """Return the folding that shows all nodes."""
    return Folding(tuple(range(count)), ())


def group_labels(names: Sequence[str], modules: Sequence[str] = ()) -> list[str]:
    """Return the group of each reactor: its module, else the beginning of its name, else ``""``.

    Parameters
    ----------
    names
        The names of the reactors.
    modules
        Their modules, if known. If all are the same, they do not serve as groups.
    """
    if len(set(modules)) > 1:
        return list(modules)
    beginnings = [re.split(r"[\W\d_]", name, maxsplit=1)[0] for name in names]
    return beginnings if len(set(beginnings)) * _MIN_MEMBERS <= len(names) else [""] * len(names)


def choose_folding(
    outcomes: Sequence[Outcome],
    edges: Sequence[Edge],
    groups: Sequence[str],
    opened: AbstractSet[int] = frozenset(),
    seen: AbstractSet[int] = frozenset(),
    causes: AbstractSet[int] = frozenset(),
) -> Folding:
    """Choose what to show of a large graph.

    Parameters
    ----------
    outcomes
        The outcome of each reactor.
    edges
        Pairs of indices, sender and receiver.
    groups
        The group of each reactor.
    opened
        Reactors that the user unfolded; they are always shown.
    seen
        Reactors that were shown before. As long as they include all reactors that are not cached, they
        stay the shown ones, so that a reactor does not vanish when it has been computed.
    causes
        Reactors that are stale by themselves, not because of what they receive.
    """
    urgent = _most_urgent(outcomes, causes)
    if not (seen and seen >= set(urgent)):
        seen = _with_neighbours(urgent or _sinks(len(outcomes), edges), edges)
    shown = set(seen | opened)
    forward = reverse_back_edges(len(outcomes), edges)
    levels = _levels(len(outcomes), forward, shown)
    classes = [(levels[node], groups[node]) for node in range(len(outcomes)) if node not in shown]
    if len(set(classes)) > _MAX_FOLDS:
        groups = [""] * len(outcomes)
    folds = []
    for members in _fold_members(forward, levels, groups, shown):
        if len(members) == 1:
            shown.update(members)
        else:
            labels = {groups[node] for node in members}
            folds.append(Fold(tuple(members), labels.pop() if len(labels) == 1 else ""))
    return Folding(tuple(sorted(shown)), tuple(folds))


def active(outcomes: Sequence[Outcome]) -> list[int]:
    """Return what a run is about: reactors that run, wait or failed; nothing if none runs or waits."""
    if _BUSY.isdisjoint(outcomes):
        return []
    return [node for node, outcome in enumerate(outcomes) if outcome in _BUSY or outcome is Outcome.FAILED]


def next_members(members: Sequence[int], edges: Sequence[Edge], shown: AbstractSet[int]) -> list[int]:
    """Return the members of a fold that are unfolded at once: those next to what is shown, at most some.

    Parameters
    ----------
    members
        The members of the fold.
    edges
        Pairs of indices, sender and receiver.
    shown
        The reactors that are shown.
    """
    near: dict[int, list[int]] = {}
    for source, target in edges:
        near.setdefault(source, []).append(target)
        near.setdefault(target, []).append(source)
    left, edge = dict.fromkeys(members), sorted(shown)
    found: list[int] = []
    while left and len(found) < _STEP:
        reached = [node for start in edge for node in near.get(start, ()) if node in left]
        edge = list(dict.fromkeys(reached)) or [next(iter(left))]
        found += edge
        for node in edge:
            del left[node]
    # A rest of a few would be a fold that hides next to nothing.
    return found[:_STEP] if len(members) > _STEP + _STEP // 4 else list(members)


def fold_siblings(
    names: Sequence[str], edges: Sequence[Edge], apart: AbstractSet[int] = frozenset()
) -> Folding:
    """Fold reactors with the same senders and receivers, if they are more than fit into a column.

    Parameters
    ----------
    names
        The names of the reactors.
    edges
        Pairs of indices, sender and receiver.
    apart
        Reactors that are shown in any case.
    """
    around: list[tuple[set[int], set[int]]] = [(set(), set()) for _ in names]
    for source, target in edges:
        around[target][0].add(source)
        around[source][1].add(target)
    siblings: dict[object, list[int]] = {}
    for node, (senders, receivers) in enumerate(around):
        if senders or receivers:
            siblings.setdefault((frozenset(senders), frozenset(receivers)), []).append(node)
    folds = []
    for nodes in siblings.values():
        members = [node for node in nodes if node not in apart]
        if len(nodes) > _MAX_SIBLINGS and len(members) > 1:
            folds.append(Fold(tuple(members), _common_beginning([names[node] for node in members])))
    folded = {node for fold in folds for node in fold.members}
    return Folding(tuple(node for node in range(len(names)) if node not in folded), tuple(folds))


def _common_beginning(names: Sequence[str]) -> str:
    pairs = zip(min(names), max(names), strict=False)
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)).rstrip(
        "0123456789_ -"
    )


def _most_urgent(outcomes: Sequence[Outcome], causes: AbstractSet[int]) -> list[int]:
    """Return the reactors to show, the most urgent first, at most `MAX_NODES`."""
    urgent = active(outcomes) or [n for n, outcome in enumerate(outcomes) if outcome not in _UP_TO_DATE]

    def rank(node: int) -> int:
        least = _URGENCY.get(outcomes[node], len(_URGENCY) + 1)
        return min(least, _CAUSE) if node in causes else least

    return sorted(urgent, key=rank)[:MAX_NODES]


def _sinks(count: int, edges: Sequence[Edge]) -> list[int]:
    """Return some reactors that no other receives from."""
    used = {source for source, _ in edges}
    return [node for node in range(count) if node not in used][-_MAX_SINKS:]


def _with_neighbours(urgent: Sequence[int], edges: Sequence[Edge]) -> set[int]:
    """Return the given nodes and their direct neighbours, at most `MAX_NODES`."""
    near: dict[int, None] = dict.fromkeys(urgent)
    centre = set(urgent)
    near.update((target, None) for source, target in edges if source in centre)
    near.update((source, None) for source, target in edges if target in centre)
    # The given nodes come first, then their receivers, which are the next to run; the last are left out.
    return set(list(near)[: max(MAX_NODES, len(urgent))])


def _levels(count: int, forward: Iterable[Edge], shown: AbstractSet[int]) -> list[int]:
    """Return the level of each node: how often a path to it changes between shown and folded, at most."""
    below: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for source, target in forward:
        if source != target:
            below[source].append(target)
            waiting[target] += 1
    ready = [node for node in range(count) if not waiting[node]]
    levels = [0] * count
    for node in ready:  # it grows meanwhile, up to all nodes, since forward edges form no cycle
        for target in below[node]:
            levels[target] = max(levels[target], levels[node] + ((node in shown) != (target in shown)))
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return levels


def _fold_members(
    forward: Iterable[Edge], levels: Sequence[int], groups: Sequence[str], shown: AbstractSet[int]
) -> list[list[int]]:
    """Return the members of each fold: nodes of equal level and group.

    Groups of one level may depend on each other in a cycle. Their folds would have edges in both
    directions, so the strongly connected components of groups are merged.
    """
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
