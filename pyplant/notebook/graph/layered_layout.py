"""Positions of the nodes of a graph and routes of its edges, in layers from left to right.

Used where Graphviz is not installed, and for graphs too large for it. Theory of operation, after
Sugiyama, Tagawa and Toda (1981); each phase is one function:

1. *Break cycles* (:func:`reverse_back_edges`): edges that close a cycle in a depth-first search are
   reversed. They are drawn in their own direction again at the end.
2. *Assign layers* (:func:`_ranks`): the column of a node is the length of the longest path to it. An edge
   that passes columns gets a *dummy node* in each, so that space is reserved for it.
3. *Reduce crossings* (:meth:`_Columns.reduce_crossings`): sweeps from left to right and back sort each
   column by the medians of the neighbours in the column before; the best order found is used.
4. *Assign coordinates* (:meth:`_Columns.assign_coordinates`): heights are moved as close to the mean of
   the neighbours as order and gaps allow. Subtracting the minimal offsets of a column turns that into a
   regression with values that must not decrease, solved exactly by pooling adjacent violators.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = [
    "COLUMN_GAP",
    "MARGIN",
    "NODE_GAP",
    "Edge",
    "Layout",
    "Point",
    "Size",
    "arrange",
    "reverse_back_edges",
]

Point = tuple[float, float]
"""Right and down, in pixels."""
Size = tuple[float, float]
"""Width and height, in pixels."""
Edge = tuple[int, int]
"""Indices of the source and the target."""

COLUMN_GAP = 44.0  # pixels between two columns, where the edges bend
NODE_GAP = 14.0  # pixels between two nodes of a column
_DUMMY_HEIGHT = 8.0  # pixels of a dummy node
_SWEEPS = 8  # of each kind; more change little
MARGIN = 10.0


class Layout(NamedTuple):
    """The positions of a graph.

    Attributes
    ----------
    centres
        The centres of the nodes, in the order of the nodes.
    routes
        The points of each edge, in the order of the edges. The first lies on the right side of its
        source, the last on the left side of its target.
    size
        The size of the whole graph.
    rows
        The number of rows into which it is wrapped.
    """

    centres: list[Point]
    routes: list[list[Point]]
    size: Size
    rows: int = 1


def arrange(sizes: Sequence[Size], edges: Sequence[Edge]) -> Layout:
    """Lay a graph out.

    Parameters
    ----------
    sizes
        The sizes of the nodes.
    edges
        Pairs of indices, source and target. Cycles are allowed.
    """
    if not sizes:
        return Layout([], [], (0.0, 0.0))
    forward = reverse_back_edges(len(sizes), edges)
    ranks = _ranks(len(sizes), forward)
    columns = _Columns(sizes, forward, ranks)
    columns.reduce_crossings()
    return columns.assign_coordinates(edges)


def reverse_back_edges(count: int, edges: Sequence[Edge]) -> list[Edge]:
    """Reverse the edges that close a cycle, so that the graph has no cycles.

    The depth-first search has a stack of its own, since a chain of thousands of reactors would exceed
    the recursion limit.

    Parameters
    ----------
    count
        Number of nodes.
    edges
        Pairs of indices, source and target.
    """
    targets_of: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        targets_of[source].append(target)
    visited: set[int] = set()
    on_path: set[int] = set()  # the nodes of the stack: an edge to one of them closes a cycle
    back: set[Edge] = set()
    for start in range(count):
        if start in visited:
            continue
        visited.add(start)
        on_path.add(start)
        stack = [(start, iter(targets_of[start]))]
        while stack:
            node, targets = stack[-1]
            for target in targets:
                if target in on_path:
                    back.add((node, target))
                elif target not in visited:
                    visited.add(target)
                    on_path.add(target)
                    stack.append((target, iter(targets_of[target])))
                    break
            else:
                on_path.discard(node)
                stack.pop()
    return [(b, a) if (a, b) in back else (a, b) for a, b in edges]


def _ranks(count: int, edges: Iterable[Edge]) -> list[int]:
    """Return the column of each node: the length of the longest path to it."""
    above: list[int] = [0] * count
    below: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        if source != target:
            below[source].append(target)
            above[target] += 1
    waiting = above.copy()
    ready = [node for node in range(count) if not waiting[node]]
    ranks = [0] * count
    for node in ready:  # topological order: grows while it is iterated
        for target in below[node]:
            ranks[target] = max(ranks[target], ranks[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    # Sources would all stand in the first column; next to their first receiver their edges are short.
    for node in range(count):
        if not above[node] and below[node]:
            ranks[node] = min(ranks[target] for target in below[node]) - 1
    return ranks


class _Columns:
    """The nodes in columns, with dummy nodes where edges pass.

    Dummy nodes have the indices after those of the real nodes. A *chain* is an edge with its dummy nodes.
    """

    def __init__(self, sizes: Sequence[Size], edges: Sequence[Edge], ranks: Sequence[int]) -> None:
        self._sizes = list(sizes)
        self._ranks = list(ranks)
        self._chains: list[list[int]] = []
        for source, target in edges:
            chain = [source]
            for rank in range(ranks[source] + 1, ranks[target]):
                chain.append(len(self._sizes))
                self._sizes.append((0.0, _DUMMY_HEIGHT))
                self._ranks.append(rank)
            self._chains.append([*chain, target])
        count = len(self._sizes)
        self._left: list[list[int]] = [[] for _ in range(count)]
        self._right: list[list[int]] = [[] for _ in range(count)]
        for chain in self._chains:
            for one, other in pairwise(chain):
                if one != other:
                    self._right[one].append(other)
                    self._left[other].append(one)
        self._columns: list[list[int]] = [[] for _ in range(max(self._ranks) + 1)]
        for node in self._nodes_from_right():
            self._columns[self._ranks[node]].append(node)

    def _nodes_from_right(self) -> Iterable[int]:
        """Yield the nodes in depth-first order from the right: a start in which neighbours are close."""
        seen: set[int] = set()
        for start in sorted(range(len(self._sizes)), key=lambda node: -self._ranks[node]):
            stack = [start]
            while stack:
                node = stack.pop()
                if node not in seen:
                    seen.add(node)
                    yield node
                    stack.extend(reversed(self._left[node]))

    # ------------------------------------------------------------------ crossings

    def reduce_crossings(self) -> None:
        """Sort the columns so that few edges cross; sorting by medians may also make it worse."""
        best, fewest = [list(column) for column in self._columns], self._crossings()
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            rightwards = sweep % 2 == 0
            # The first column of a sweep is fixed, each other is sorted by the one before it.
            columns = self._columns[1:] if rightwards else self._columns[-2::-1]
            neighbours = self._left if rightwards else self._right
            place = self._indices()
            for column in columns:
                # A node without neighbours keeps its place.
                middles = {
                    node: _median([place[n] for n in neighbours[node]], place[node]) for node in column
                }
                column.sort(key=middles.__getitem__)
                place.update((node, index) for index, node in enumerate(column))
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(column) for column in self._columns], crossings
        self._columns = best

    def _indices(self) -> dict[int, int]:
        return {node: index for column in self._columns for index, node in enumerate(column)}

    def _crossings(self) -> int:
        """Count the crossings between adjacent columns, as inversions of the sorted edges."""
        place, count = self._indices(), 0
        for column in self._columns:
            seen: list[int] = []
            for node in column:
                targets = sorted(place[other] for other in self._right[node])
                count += sum(len(seen) - bisect_left(seen, target + 1) for target in targets)
                for target in targets:  # only now: edges of one node do not cross
                    insort(seen, target)
        return count

    # ------------------------------------------------------------------ coordinates

    def assign_coordinates(self, edges: Sequence[Edge]) -> Layout:
        """Compute the positions; ``edges`` are the original ones, to restore their directions."""
        heights = self._vertical_positions()
        top = min(y - self._sizes[node][1] / 2 for node, y in heights.items())
        bottom = max(y + self._sizes[node][1] / 2 for node, y in heights.items())
        across, widths, x = [], [], MARGIN
        for column in self._columns:
            width = max(self._sizes[node][0] for node in column)
            widths.append(width)
            across.append(x + width / 2)
            x += width + COLUMN_GAP
        centres = {node: (across[self._ranks[node]], y - top + MARGIN) for node, y in heights.items()}
        routes = [
            self._route(chain, centres, widths, is_reversed=source != chain[0])
            for chain, (source, _) in zip(self._chains, edges, strict=True)
        ]
        count = len(self._sizes) - sum(max(0, len(chain) - 2) for chain in self._chains)
        size = (x - COLUMN_GAP + MARGIN, bottom - top + 2 * MARGIN)
        return Layout([centres[node] for node in range(count)], routes, size)

    def _route(
        self, chain: list[int], centres: dict[int, Point], widths: list[float], *, is_reversed: bool
    ) -> list[Point]:
        """Return the points of an edge; it crosses columns in a straight line, to stay clear of their nodes."""
        first, last = chain[0], chain[-1]
        points = [(centres[first][0] + self._sizes[first][0] / 2, centres[first][1])]
        for node in chain[1:-1]:
            (x, y), half = centres[node], widths[self._ranks[node]] / 2
            points += [(x - half, y), (x + half, y)]
        points.append((centres[last][0] - self._sizes[last][0] / 2, centres[last][1]))
        return points[::-1] if is_reversed else points

    def _vertical_positions(self) -> dict[int, float]:
        heights: dict[int, float] = {}
        for column in self._columns:
            y = 0.0
            for node in column:
                heights[node] = y + self._sizes[node][1] / 2
                y += self._sizes[node][1] + NODE_GAP
        # Each sweep aligns columns with the side that it comes from, so both sides have their influence.
        for sweep in range(_SWEEPS):
            rightwards = sweep % 2 == 0
            for column in self._columns if rightwards else reversed(self._columns):
                self._align_column(column, heights, self._left if rightwards else self._right)
        return heights

    def _align_column(
        self, column: list[int], heights: dict[int, float], neighbours: list[list[int]]
    ) -> None:
        """Move the nodes of a column as close to the mean of their neighbours as order and gaps allow.

        Nodes may only keep or increase their distance to the minimal positions (``offsets``), so the
        differences between wishes and offsets must not decrease from top to bottom.
        """
        offsets, y = [], 0.0
        for node in column:
            half = self._sizes[node][1] / 2
            offsets.append(y + half)
            y += 2 * half + NODE_GAP
        wishes = [
            _mean([heights[other] for other in neighbours[node]], heights[node]) - offset
            for node, offset in zip(column, offsets, strict=True)
        ]
        # Nodes with many edges move less, since more edges would bend.
        weights = [1 + len(neighbours[node]) for node in column]
        for node, offset, value in zip(column, offsets, _isotonic(wishes, weights), strict=True):
            heights[node] = offset + value


def _isotonic(values: Sequence[float], weights: Sequence[int]) -> list[float]:
    """Return the non-decreasing values that are closest to the given ones, by weighted squares."""
    pools: list[tuple[float, int, int]] = []  # mean, weight, number of values
    for value, weight in zip(values, weights, strict=True):
        pools.append((value, weight, 1))
        # Two pools in the wrong order get their common mean, which may be in the wrong order again.
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, v, m), (b, w, n) = pools.pop(-2), pools.pop()
            pools.append(((a * v + b * w) / (v + w), v + w, m + n))
    return [mean for mean, _, count in pools for _ in range(count)]


def _mean(values: Sequence[float], default: float) -> float:
    return sum(values) / len(values) if values else default


def _median(values: list[int], default: float) -> float:
    if not values:
        return default
    values.sort()
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2
