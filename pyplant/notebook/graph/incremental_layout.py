"""Positions of a graph that was drawn before, so that what was there stays where it was.

Theory of operation. Nodes that were drawn keep their centres, and edges between them their routes. The columns are those
of the drawing before.

* A new node is in the column after its senders, or before its first receiver. There it is as close to the mean height of
  its neighbours as the free space of the column allows; the column grows downwards if there is none.
* A known node moves only if it now receives from a node in its own column or a later one.
* A new edge passes a column through the nearest gap between two nodes.

A node that is wider than its column is made narrower, since a wider column would move all columns after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pyplant.notebook.graph.layered_layout import (
    COLUMN_GAP,
    MARGIN,
    NODE_GAP,
    Edge,
    Layout,
    Point,
    Size,
    reverse_back_edges,
)

__all__ = ["extend"]

_SLACK = 20.0  # pixels by which a new node may be wider than its column
_CLEARANCE = 5.0  # pixels between an edge and the nodes that it passes


def extend(
    sizes: Sequence[Size],
    edges: Sequence[Edge],
    known: Mapping[int, Point],
    routes: Mapping[Edge, list[Point]],
) -> tuple[Layout, list[Size]]:
    """Lay a graph out around the nodes that were drawn before.

    Parameters
    ----------
    sizes
        The sizes of the nodes.
    edges
        Pairs of indices, source and target.
    known
        The centres of the nodes that were drawn, at least one.
    routes
        The routes of the edges that were drawn.

    Returns
    -------
    layout
        The positions.
    sizes
        The sizes that the nodes have there.
    """
    drawing = _Drawing(sizes, edges, known, routes)
    drawing.choose_columns()
    drawing.place_nodes()
    return drawing.layout(edges), drawing.sizes


class _Drawing:
    """The nodes in columns; ``centres`` has those that have a place."""

    def __init__(
        self,
        sizes: Sequence[Size],
        edges: Sequence[Edge],
        known: Mapping[int, Point],
        routes: Mapping[Edge, list[Point]],
    ) -> None:
        self.sizes = list(sizes)
        self._centres = dict(known)
        self._routes = dict(routes)
        columns = {round(x): x for x, _ in known.values()}
        self._across = [columns[x] for x in sorted(columns)]
        number = {x: column for column, x in enumerate(sorted(columns))}
        self._columns = {node: number[round(x)] for node, (x, _) in known.items()}
        self._widths = [0.0] * len(self._across)
        for node, column in self._columns.items():
            self._widths[column] = max(self._widths[column], sizes[node][0])
        self._senders: list[list[int]] = [[] for _ in sizes]
        self._receivers: list[list[int]] = [[] for _ in sizes]
        for source, target in self._without_cycles(edges):
            if source != target:
                self._senders[target].append(source)
                self._receivers[source].append(target)

    def _without_cycles(self, edges: Sequence[Edge]) -> list[Edge]:
        """Reverse edges that close a cycle, in a search from the left: these lead back already."""
        order = sorted(range(len(self.sizes)), key=lambda node: self._columns.get(node, len(self._across)))
        place = {node: index for index, node in enumerate(order)}
        found = reverse_back_edges(len(order), [(place[one], place[other]) for one, other in edges])
        return [(order[one], order[other]) for one, other in found]

    # ------------------------------------------------------------------ columns

    def choose_columns(self) -> None:
        """Choose a column for each new node, and for known ones that receive from a later one."""
        for node in self._senders_first():
            lowest = max((self._columns[sender] + 1 for sender in self._senders[node]), default=None)
            if lowest is None and node not in self._columns:
                after = [self._columns[other] for other in self._receivers[node] if other in self._columns]
                self._columns[node] = min(after, default=1) - 1
            elif lowest is not None and self._columns.get(node, -1) < lowest:
                self._columns[node] = lowest
                self._centres.pop(node, None)
        if min(self._columns.values()) < 0:
            self._add_first_column()
        self._add_last_columns()
        for node, column in self._columns.items():
            width, height = self.sizes[node]
            if node not in self._centres:
                self.sizes[node] = min(width, self._widths[column] + _SLACK), height

    def _senders_first(self) -> Iterable[int]:
        waiting = [len(senders) for senders in self._senders]
        ready = [node for node, count in enumerate(waiting) if not count]
        for node in ready:  # grows while it is iterated
            for other in self._receivers[node]:
                waiting[other] -= 1
                if not waiting[other]:
                    ready.append(other)
        return ready

    def _add_first_column(self) -> None:
        """Make room on the left; all that is drawn moves by the width of a column."""
        width = max(self.sizes[node][0] for node, column in self._columns.items() if column < 0)
        by = (
            MARGIN
            + width
            + COLUMN_GAP
            - min(x - w / 2 for x, w in zip(self._across, self._widths, strict=True))
        )
        self._across = [MARGIN + width / 2, *(x + by for x in self._across)]
        self._widths.insert(0, width)
        self._columns = {node: column + 1 for node, column in self._columns.items()}
        self._centres = {node: (x + by, y) for node, (x, y) in self._centres.items()}
        self._routes = {edge: [(x + by, y) for x, y in route] for edge, route in self._routes.items()}

    def _add_last_columns(self) -> None:
        for column in range(len(self._across), max(self._columns.values()) + 1):
            width = max(self.sizes[node][0] for node, one in self._columns.items() if one == column)
            right = self._across[-1] + self._widths[-1] / 2
            self._across.append(right + COLUMN_GAP + width / 2)
            self._widths.append(width)

    # ------------------------------------------------------------------ heights

    def place_nodes(self) -> None:
        """Give a place to each node that has none."""
        for node in self._senders_first():
            if node in self._centres:
                continue
            column, (_, height) = self._columns[node], self.sizes[node]
            near = [*self._senders[node], *self._receivers[node]]
            heights = [self._centres[other][1] for other in near if other in self._centres]
            wish = sum(heights) / len(heights) if heights else self._bottom(column)
            blocked = [
                *self._blocked(column, height / 2 + NODE_GAP),
                *self._passing(column, height / 2 + _CLEARANCE),
            ]
            self._centres[node] = self._across[column], _nearest(wish, blocked, MARGIN + height / 2)

    def _bottom(self, column: int) -> float:
        return max((bottom for _, bottom in self._blocked(column, 0.0)), default=0.0)

    def _blocked(self, column: int, distance: float) -> list[tuple[float, float]]:
        """Return the heights that are closer than a distance to a node of a column."""
        return [
            (y - self.sizes[node][1] / 2 - distance, y + self.sizes[node][1] / 2 + distance)
            for node, (_, y) in self._centres.items()
            if self._columns[node] == column
        ]

    def _passing(self, column: int, distance: float) -> list[tuple[float, float]]:
        """Return the heights that are closer than a distance to an edge that passes a column."""
        x, half = self._across[column], self._widths[column] / 2
        found = []
        for (source, target), route in self._routes.items():
            ends = sorted((self._columns.get(source, column), self._columns.get(target, column)))
            if ends[0] < column < ends[1] and source in self._centres and target in self._centres:
                heights = [y for at, y in route if abs(at - x) <= half + COLUMN_GAP / 2]
                if heights:
                    found.append((min(heights) - distance, max(heights) + distance))
        return found

    # ------------------------------------------------------------------ routes

    def layout(self, edges: Sequence[Edge]) -> Layout:
        """Return the positions."""
        routes = []
        for source, target in edges:
            route = self._routes.get((source, target))
            if route is None or not self._fits(route, source, target):
                route = self._route(source, target)
            routes.append(route)
        corners = [
            (x + self.sizes[node][0] / 2, y + self.sizes[node][1] / 2)
            for node, (x, y) in self._centres.items()
        ]
        corners += [point for route in routes for point in route]
        size = max(x for x, _ in corners) + MARGIN, max(y for _, y in corners) + MARGIN
        return Layout([self._centres[node] for node in range(len(self.sizes))], routes, size)

    def _fits(self, route: Sequence[Point], source: int, target: int) -> bool:
        """Return whether a route leads from where its source is to where its target is."""
        ends = zip((route[0], route[-1]), (self._side(source, 1), self._side(target, -1)), strict=True)
        return all(abs(x - u) <= 1 and abs(y - v) <= 1 for (x, y), (u, v) in ends)

    def _side(self, node: int, sign: int) -> Point:
        x, y = self._centres[node]
        return x + sign * self.sizes[node][0] / 2, y

    def _route(self, source: int, target: int) -> list[Point]:
        leads_back = self._columns[source] > self._columns[target]
        first, last = (target, source) if leads_back else (source, target)
        (x, y), (end, bottom) = points = [self._side(first, 1), self._side(last, -1)]
        for column in range(self._columns[first] + 1, self._columns[last]):
            at, half = self._across[column], self._widths[column] / 2
            wish = y + (bottom - y) * (at - x) / (end - x)
            free = _nearest(wish, self._blocked(column, _CLEARANCE), MARGIN)
            points[-1:-1] = [(at - half, free), (at + half, free)]
        return points[::-1] if leads_back else points


def _nearest(wish: float, blocked: Sequence[tuple[float, float]], least: float) -> float:
    """Return the number closest to a wish that is at least ``least`` and within none of the intervals."""
    ends = [end for interval in blocked for end in interval]
    free = (
        number
        for number in sorted([max(wish, least), *ends], key=lambda number: abs(number - wish))
        if number >= least and not any(low < number < high for low, high in blocked)
    )
    return next(free)
