"""Long chains in rows."""

from itertools import pairwise

import pytest

from pyplant.notebook.graph.layered_layout import Layout, arrange
from pyplant.notebook.graph.wrapping import arrange_in_rows, wrap
from tests.notebook.graph.test_incremental_layout import drawn, moved
from tests.notebook.graph.test_layered_layout import overlapping

SIZE = (133.0, 38.0)


def chain(count):
    return {f"r{n}": [f"r{n - 1}"] if n else [] for n in range(count)}


def ladder(count):
    """Two chains side by side, with an edge across every fourth step and one that leads far."""
    edges = [(n, n + 2) for n in range(2 * count - 2)] + [(n, n + 3) for n in range(0, 2 * count - 3, 8)]
    return [*edges, (0, 2 * count - 1)]


def segments(route):
    return list(pairwise(route))


def hits(layout, sizes):
    """Pairs of an edge and a node where a level or upright part of the edge runs through the node."""
    return [
        (edge, node)
        for edge, route in enumerate(layout.routes)
        for (ax, ay), (bx, by) in segments(route)
        if ax == bx or ay == by
        for node, ((x, y), (w, h)) in enumerate(zip(layout.centres, sizes))
        if min(ax, bx) < x + w / 2 - 0.1
        and max(ax, bx) > x - w / 2 + 0.1
        and min(ay, by) < y + h / 2
        and max(ay, by) > y - h / 2
    ]


@pytest.mark.parametrize("edges", [[(n, n + 1) for n in range(49)], ladder(25)])
def test_a_long_chain_is_wrapped_into_rows(edges):
    sizes = [SIZE] * 50
    plain = arrange(sizes, edges)
    layout = wrap(plain, sizes)
    assert layout.rows > 1
    assert layout.size[0] <= 1200
    assert overlapping(layout, sizes) == []
    assert hits(layout, sizes) == []
    for (source, target), route in zip(edges, layout.routes):
        assert route[0] == pytest.approx((layout.centres[source][0] + SIZE[0] / 2, layout.centres[source][1]))
        assert route[-1] == pytest.approx(
            (layout.centres[target][0] - SIZE[0] / 2, layout.centres[target][1])
        )
    for x, y in [*layout.centres, *(point for route in layout.routes for point in route)]:
        assert 0 <= x <= layout.size[0]
        assert 0 <= y <= layout.size[1]


def test_edges_that_turn_together_do_not_lie_on_each_other():
    sizes = [SIZE] * 50
    layout = wrap(arrange(sizes, ladder(25)), sizes)
    back = [
        (ay, ax, bx)
        for route in layout.routes
        for (ax, ay), (bx, by) in segments(route)
        if ay == by and bx < ax
    ]
    assert len(back) > 8
    assert len({y for y, _, _ in back}) == len(back)
    for y, right, left in back:
        # The one that is lower encloses the others on the right and is enclosed by them on the left.
        higher = [other for other in back if 0 < y - other[0] < 20]
        assert all(other[1] < right and other[2] < left for other in higher)


def test_rows_are_read_like_lines():
    sizes = [SIZE] * 50
    centres = wrap(arrange(sizes, [(n, n + 1) for n in range(49)]), sizes).centres
    assert centres == sorted(centres, key=lambda centre: (centre[1], centre[0]))


@pytest.mark.parametrize(
    ("count", "edges"),
    [
        (10, [(n, n + 1) for n in range(9)]),
        (90, [(n // 6 * 6 - 6 + k, n) for n in range(6, 90) for k in range(6)]),
    ],
)
def test_short_and_high_graphs_are_not_wrapped(count, edges):
    plain = arrange([SIZE] * count, edges)
    assert wrap(plain, [SIZE] * count) is plain


def test_edges_that_lead_back_are_wrapped_as_well():
    sizes = [SIZE] * 30
    edges = [*((n, n + 1) for n in range(29)), (29, 0)]
    layout = wrap(arrange(sizes, edges), sizes)
    assert layout.routes[-1][0][1] > layout.routes[-1][-1][1]
    assert hits(layout, sizes) == []


def test_a_chain_that_grows_is_wrapped_once_and_stays():
    geometry, moves = drawn(chain(5)), []
    for count in range(6, 40):
        after = drawn(chain(count), geometry)
        if moved(geometry, after):
            moves.append(count)
        geometry = after
    assert geometry.rows > 1
    assert len(moves) <= 1


def test_an_empty_drawing_is_not_wrapped():
    empty = Layout([], [], (0.0, 0.0))
    assert wrap(empty, []) is empty


def test_many_nodes_without_edges_stand_in_rows_below_the_others():
    sizes, edges = [SIZE] * 64, [(3, 7), (7, 60)]
    layout = arrange_in_rows(sizes, edges, arrange)
    assert overlapping(layout, sizes) == []
    lone = [centre for node, centre in enumerate(layout.centres) if node not in (3, 7, 60)]
    assert lone == sorted(lone, key=lambda centre: (centre[1], centre[0]))
    assert min(y for _, y in lone) > max(layout.centres[node][1] for node in (3, 7, 60))
    assert layout.size[0] <= 1200
    assert layout.size[1] <= 600
    assert layout.routes[0][0] == (layout.centres[3][0] + SIZE[0] / 2, layout.centres[3][1])
    for x, y in layout.centres:
        assert x + SIZE[0] / 2 <= layout.size[0]
        assert y + SIZE[1] / 2 <= layout.size[1]


def test_few_nodes_without_edges_stand_in_a_column():
    assert arrange_in_rows([SIZE] * 9, [], arrange) == arrange([SIZE] * 9, [])
    assert arrange_in_rows([], [], arrange) == arrange([], [])
