"""Where the nodes of a graph stand and how its edges run, from left to right.

Graphviz lays graphs out best, but not every machine has it, so there is a layout of our
own after Sugiyama, Tagawa and Toda (1981): nodes in columns by their longest path, orders
improved by medians, and heights that are as near to those of the neighbours as the order
allows (isotonic regression by pooling adjacent violators).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Edge", "Layout", "Point", "Size", "arrange", "without_circles"]

Point = tuple[float, float]
"""Right and down, in pixels."""
Size = tuple[float, float]
"""Width and height, in pixels."""
Edge = tuple[int, int]
"""Indices of the source and the target."""

_GAP = 44.0  # pixels between two columns, for the edges
_SPACE = 14.0  # pixels between two nodes of a column
_SLIM = 8.0  # pixels that an edge takes where it passes a column
_SWEEPS = 8
_MARGIN = 10.0


class Layout(NamedTuple):
    """A graph in the plane.

    Attributes
    ----------
    centres
        Of the nodes, in their order.
    routes
        The points that each edge passes, in their order; the first lies on the right side
        of its source, the last on the left side of its target.
    size
        Of the whole.
    """

    centres: list[Point]
    routes: list[list[Point]]
    size: Size


def arrange(sizes: Sequence[Size], edges: Sequence[Edge]) -> Layout:
    """Lay a graph out.

    Parameters
    ----------
    sizes
        Of the nodes.
    edges
        Pairs of indices, source and target. Circles are drawn as well.
    """
    if not sizes:
        return Layout([], [], (0.0, 0.0))
    forward = without_circles(len(sizes), edges)
    ranks = _ranks(len(sizes), forward)
    columns = _Columns(sizes, forward, ranks)
    columns.order()
    return columns.place(edges)


def without_circles(count: int, edges: Sequence[Edge]) -> list[Edge]:
    """The edges, those that lead back turned round: a graph without circles.

    Parameters
    ----------
    count
        Of nodes.
    edges
        Pairs of indices, source and target.
    """
    below: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        below[source].append(target)
    place: dict[int, int] = {}
    open_: set[int] = set()
    back: set[Edge] = set()
    for start in range(count):
        stack = [(start, iter(below[start]))] if start not in place else []
        if stack:
            place[start] = len(place)
            open_.add(start)
        while stack:
            node, rest = stack[-1]
            for target in rest:
                if target in open_:
                    back.add((node, target))
                elif target not in place:
                    place[target] = len(place)
                    open_.add(target)
                    stack.append((target, iter(below[target])))
                    break
            else:
                open_.discard(node)
                stack.pop()
    return [(b, a) if (a, b) in back else (a, b) for a, b in edges]


def _ranks(count: int, edges: Iterable[Edge]) -> list[int]:
    """The column of each node: its longest path, and sources close to what they feed."""
    above: list[int] = [0] * count
    below: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        if source != target:
            below[source].append(target)
            above[target] += 1
    waiting = above.copy()
    ready = [node for node in range(count) if not waiting[node]]
    ranks = [0] * count
    for node in ready:
        for target in below[node]:
            ranks[target] = max(ranks[target], ranks[node] + 1)
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    for node in range(count):
        if not above[node] and below[node]:
            ranks[node] = min(ranks[target] for target in below[node]) - 1
    return ranks


class _Columns:
    """The nodes in columns, with a slim one in each column that an edge passes."""

    def __init__(self, sizes: Sequence[Size], edges: Sequence[Edge], ranks: Sequence[int]) -> None:
        self._sizes = list(sizes)
        self._ranks = list(ranks)
        self._chains: list[list[int]] = []
        for source, target in edges:
            chain = [source]
            for rank in range(ranks[source] + 1, ranks[target]):
                chain.append(len(self._sizes))
                self._sizes.append((0.0, _SLIM))
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
        for node in self._visited():
            self._columns[self._ranks[node]].append(node)

    def _visited(self) -> Iterable[int]:
        """The nodes in the order of a walk from the right, so that neighbours stand together."""
        seen: set[int] = set()
        for start in sorted(range(len(self._sizes)), key=lambda node: -self._ranks[node]):
            stack = [start]
            while stack:
                node = stack.pop()
                if node not in seen:
                    seen.add(node)
                    yield node
                    stack.extend(reversed(self._left[node]))

    # ------------------------------------------------------------------ order

    def order(self) -> None:
        """Sort the columns so that few edges cross."""
        best, fewest = [list(column) for column in self._columns], self._crossings()
        for sweep in range(_SWEEPS):
            if not fewest:
                break
            rightwards = sweep % 2 == 0
            columns = self._columns[1:] if rightwards else self._columns[-2::-1]
            neighbours = self._left if rightwards else self._right
            place = self._places()
            for column in columns:
                middles = {
                    node: _median([place[n] for n in neighbours[node]], place[node]) for node in column
                }
                column.sort(key=middles.__getitem__)
                place.update((node, index) for index, node in enumerate(column))
            crossings = self._crossings()
            if crossings < fewest:
                best, fewest = [list(column) for column in self._columns], crossings
        self._columns = best

    def _places(self) -> dict[int, int]:
        return {node: index for column in self._columns for index, node in enumerate(column)}

    def _crossings(self) -> int:
        place, count = self._places(), 0
        for column in self._columns:
            seen: list[int] = []
            for node in column:
                targets = sorted(place[other] for other in self._right[node])
                count += sum(len(seen) - bisect_left(seen, target + 1) for target in targets)
                for target in targets:
                    insort(seen, target)
        return count

    # ------------------------------------------------------------------ places

    def place(self, edges: Sequence[Edge]) -> Layout:
        """Give everything its place."""
        heights = self._heights()
        top = min(y - self._sizes[node][1] / 2 for node, y in heights.items())
        bottom = max(y + self._sizes[node][1] / 2 for node, y in heights.items())
        across, widths, x = [], [], _MARGIN
        for column in self._columns:
            width = max(self._sizes[node][0] for node in column)
            widths.append(width)
            across.append(x + width / 2)
            x += width + _GAP
        centres = {node: (across[self._ranks[node]], y - top + _MARGIN) for node, y in heights.items()}
        routes = [
            self._route(chain, centres, widths, is_turned=source != chain[0])
            for chain, (source, _) in zip(self._chains, edges, strict=True)
        ]
        count = len(self._sizes) - sum(max(0, len(chain) - 2) for chain in self._chains)
        size = (x - _GAP + _MARGIN, bottom - top + 2 * _MARGIN)
        return Layout([centres[node] for node in range(count)], routes, size)

    def _route(
        self, chain: list[int], centres: dict[int, Point], widths: list[float], *, is_turned: bool
    ) -> list[Point]:
        """From side to side; straight through the columns between, where nodes stand above and below."""
        first, last = chain[0], chain[-1]
        points = [(centres[first][0] + self._sizes[first][0] / 2, centres[first][1])]
        for node in chain[1:-1]:
            (x, y), half = centres[node], widths[self._ranks[node]] / 2
            points += [(x - half, y), (x + half, y)]
        points.append((centres[last][0] - self._sizes[last][0] / 2, centres[last][1]))
        return points[::-1] if is_turned else points

    def _heights(self) -> dict[int, float]:
        heights: dict[int, float] = {}
        for column in self._columns:
            y = 0.0
            for node in column:
                heights[node] = y + self._sizes[node][1] / 2
                y += self._sizes[node][1] + _SPACE
        for sweep in range(_SWEEPS):
            rightwards = sweep % 2 == 0
            for column in self._columns if rightwards else reversed(self._columns):
                self._settle(column, heights, self._left if rightwards else self._right)
        return heights

    def _settle(self, column: list[int], heights: dict[int, float], neighbours: list[list[int]]) -> None:
        """Bring a column as near to its neighbours as its order and its spaces allow."""
        offsets, y = [], 0.0
        for node in column:
            half = self._sizes[node][1] / 2
            offsets.append(y + half)
            y += 2 * half + _SPACE
        wished = [
            _mean([heights[other] for other in neighbours[node]], heights[node]) - offset
            for node, offset in zip(column, offsets, strict=True)
        ]
        weights = [1 + len(neighbours[node]) for node in column]
        for node, offset, value in zip(column, offsets, _isotonic(wished, weights), strict=True):
            heights[node] = offset + value


def _isotonic(values: Sequence[float], weights: Sequence[int]) -> list[float]:
    """The nearest values, by weighted squares, that never fall."""
    pools: list[tuple[float, int, int]] = []  # mean, weight, how many
    for value, weight in zip(values, weights, strict=True):
        pools.append((value, weight, 1))
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
