"""Positions of nodes and routes of edges."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyplant.notebook.graph.layered_layout import Layout, arrange

SIZE = (80.0, 24.0)


def overlapping(layout, sizes):
    boxes = [(x - w / 2, x + w / 2, y - h / 2, y + h / 2) for (x, y), (w, h) in zip(layout.centres, sizes)]
    return [
        (a, b)
        for a, one in enumerate(boxes)
        for b, other in enumerate(boxes[:a])
        if one[0] < other[1] - 1e-6
        and other[0] < one[1] - 1e-6
        and one[2] < other[3] - 1e-6
        and other[2] < one[3] - 1e-6
    ]


def pipeline(count, seed=0, most=3):
    """A graph like a typical pipeline: each node receives from a few recent ones."""
    chance = random.Random(seed)
    edges = []
    for node in range(1, count):
        recent = range(max(0, node - 12), node)
        edges += [
            (source, node)
            for source in sorted(chance.sample(recent, min(len(recent), chance.randint(1, most))))
        ]
    return edges


def test_an_empty_graph_has_no_size():
    assert arrange([], []) == Layout([], [], (0.0, 0.0))


def test_edges_lead_to_the_right():
    edges = pipeline(60)
    layout = arrange([SIZE] * 60, edges)
    for source, target in edges:
        assert layout.centres[source][0] + SIZE[0] / 2 < layout.centres[target][0] - SIZE[0] / 2


def test_edges_begin_and_end_at_the_sides_of_their_nodes():
    edges = pipeline(40)
    layout = arrange([SIZE] * 40, edges)
    for (source, target), route in zip(edges, layout.routes):
        assert route[0] == (layout.centres[source][0] + SIZE[0] / 2, layout.centres[source][1])
        assert route[-1] == (layout.centres[target][0] - SIZE[0] / 2, layout.centres[target][1])


def test_a_chain_is_a_straight_line():
    layout = arrange([SIZE] * 9, [(n, n + 1) for n in range(8)])
    assert len({round(y, 6) for _, y in layout.centres}) == 1


def test_a_tree_is_drawn_without_crossings():
    edges = [((n - 1) // 2, n) for n in range(1, 31)]
    random.Random(1).shuffle(edges)
    layout = arrange([SIZE] * 31, edges)
    for a, b in edges:
        for c, d in edges:
            (ax, ay), (bx, by), (cx, cy), (dx, dy) = (layout.centres[n] for n in (a, b, c, d))
            if ax == cx and bx == dx:
                assert (ay - cy) * (by - dy) >= 0


def test_a_cycle_is_drawn():
    layout = arrange([SIZE] * 3, [(0, 1), (1, 2), (2, 0)])
    assert len(set(layout.centres)) == 3
    assert layout.routes[2][0][0] > layout.routes[2][-1][0]  # it leads back


def test_a_self_loop_is_drawn():
    assert len(arrange([SIZE], [(0, 0)]).routes[0]) == 2


def test_no_edge_runs_through_a_node():
    edges = pipeline(60, most=2)
    layout = arrange([SIZE] * 60, edges)
    for (source, target), route in zip(edges, layout.routes):
        for (ax, ay), (bx, by) in zip(route, route[1:]):
            for node, (x, y) in enumerate(layout.centres):
                inside = ax < x + SIZE[0] / 2 and x - SIZE[0] / 2 < bx
                if inside and node not in (source, target):
                    assert ay == by
                    assert abs(ay - y) >= SIZE[1] / 2


@given(st.integers(1, 25), st.data())
def test_any_graph_fits_into_its_size_without_overlaps(count, data):
    node = st.integers(0, count - 1)
    edges = data.draw(st.lists(st.tuples(node, node), max_size=40))
    sizes = data.draw(
        st.lists(st.tuples(st.integers(1, 200), st.integers(1, 60)), min_size=count, max_size=count)
    )
    layout = arrange(sizes, edges)
    assert overlapping(layout, sizes) == []
    assert len(layout.routes) == len(edges)
    for (x, y), (width, height) in zip(layout.centres, sizes):
        assert 0 <= x - width / 2
        assert x + width / 2 <= layout.size[0]
        assert 0 <= y - height / 2
        assert y + height / 2 <= layout.size[1] + 1e-6


@pytest.mark.parametrize("count", [5, 60, 500])
def test_layouts_are_deterministic(count):
    edges = pipeline(count)
    assert arrange([SIZE] * count, edges) == arrange([SIZE] * count, edges)
