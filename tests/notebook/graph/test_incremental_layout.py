"""Layouts of graphs that were drawn before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyplant.notebook.graph.folding import without_folds
from pyplant.notebook.graph.geometry import compute_geometry
from pyplant.notebook.graph.incremental_layout import extend
from pyplant.notebook.graph.layered_layout import arrange
from tests.notebook.graph.test_layered_layout import overlapping, pipeline

SIZE = (128.0, 38.0)


def drawn(senders, before=None):
    """The drawing of reactors with their senders."""
    names = list(senders)
    flowing = {
        (names.index(one), number): [f"{one}_out"]
        for number, name in enumerate(names)
        for one in senders[name]
    }
    return compute_geometry(names, flowing, without_folds(len(names)), arrange, before)


def places(geometry):
    return {box.key[1]: box.centre for box in geometry.boxes}


def moved(one, other):
    """The names of the reactors that are in both drawings at different places."""
    before, after = places(one), places(other)
    return {name for name in before.keys() & after.keys() if before[name] != after[name]}


def crossed(geometry):
    """Pairs of edges and boxes where the edge runs through the box."""
    found = []
    for edge in geometry.edges:
        for (ax, ay), (bx, by) in zip(edge.route, edge.route[1:]):
            for number, box in enumerate(geometry.boxes):
                (x, y), (width, height) = box.centre, box.size
                within = ax < x + width / 2 - 1 and x - width / 2 + 1 < bx
                if (
                    within
                    and number not in edge[:2]
                    and min(ay, by) < y + height / 2
                    and max(ay, by) > y - height / 2
                ):
                    found.append((edge.names, box.key))
    return found


DIAMOND = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}


def test_the_same_graph_stays_as_it_is():
    before = drawn(DIAMOND)
    assert drawn(DIAMOND, before) == before


@pytest.mark.parametrize("order", [["d", "c", "b", "a"], ["b", "d", "a", "c"]])
def test_the_order_of_the_nodes_does_not_matter_to_a_drawn_graph(order):
    before = drawn(DIAMOND)
    after = drawn({name: DIAMOND[name] for name in order}, before)
    assert places(after) == places(before)
    assert {tuple(edge.route) for edge in after.edges} == {tuple(edge.route) for edge in before.edges}


def test_a_new_reactor_moves_no_other():
    before = drawn(DIAMOND)
    for name, senders in [("e", ["d"]), ("f", ["a"]), ("g", []), ("h", ["b"]), ("i", ["a", "d"])]:
        after = drawn(DIAMOND | {name: senders}, before)
        assert moved(before, after) == set()
        assert crossed(after) == []
    assert places(after)["i"][0] > places(after)["d"][0]


def test_a_new_reactor_stands_beside_what_it_is_connected_with():
    fan = {"a": [], **{f"b{n}": ["a"] for n in range(9)}}
    before = drawn(fan)
    after = drawn(fan | {"late": ["b7"]}, before)
    assert places(after)["late"][1] == places(before)["b7"][1]


def test_a_new_node_stands_on_no_edge():
    known = {0: (76.5, 100.0), 1: (253.5, 40.0), 2: (430.5, 100.0)}
    passing = [(140.5, 100.0), (189.5, 92.0), (317.5, 92.0), (366.5, 100.0)]
    layout, _ = extend([SIZE] * 4, [(0, 1), (1, 2), (0, 2), (0, 3)], known, {(0, 2): passing})
    assert layout.routes[2] == passing
    assert layout.centres[3][0] == known[1][0]
    assert layout.centres[3][1] - SIZE[1] / 2 > 92


def test_a_first_sender_that_comes_late_gets_a_column_of_its_own():
    before = drawn(DIAMOND)
    after = drawn({**DIAMOND, "first": [], "a": ["first"]}, before)
    shifts = {(x - u, y - v) for (x, y), (u, v) in ((places(after)[n], places(before)[n]) for n in DIAMOND)}
    assert len(shifts) == 1
    assert places(after)["first"][0] < places(after)["a"][0]


def test_a_reactor_that_receives_from_a_later_one_moves_behind_it():
    before = drawn(DIAMOND)
    after = drawn({**DIAMOND, "b": ["a", "c"]}, before)
    assert moved(before, after) == {"b", "d"}
    assert places(after)["c"][0] < places(after)["b"][0] < places(after)["d"][0]


def test_removed_reactors_leave_the_others_in_place():
    before = drawn(DIAMOND)
    assert moved(before, drawn({"a": [], "b": ["a"], "d": ["b"]}, before)) == set()


def test_a_wide_reactor_gets_a_narrower_box_so_that_no_column_moves():
    before = drawn(DIAMOND)
    after = drawn(DIAMOND | {"with_a_much_longer_name_than": ["a"]}, before)
    assert moved(before, after) == set()
    assert overlapping(*layout_of(after)) == []


def test_another_graph_is_laid_out_from_scratch():
    before = drawn(DIAMOND)
    other = {name * 2: [sender * 2 for sender in senders] for name, senders in DIAMOND.items()}
    assert drawn(other, before) == drawn(other)


def test_a_cycle_stays_in_place():
    cycle = {"a": ["c"], "b": ["a"], "c": ["b"]}
    before = drawn(cycle)
    assert moved(before, drawn(cycle | {"d": ["c"]}, before)) == set()


def layout_of(geometry):
    sizes = [box.size for box in geometry.boxes]
    return type("Layout", (), {"centres": [box.centre for box in geometry.boxes]}), sizes


@given(st.integers(2, 30), st.integers(0, 40), st.data())
def test_reactors_that_are_added_one_after_the_other_move_nothing(count, seed, data):
    edges = pipeline(count, seed, most=2)
    senders = {f"r{node}": [f"r{one}" for one, other in edges if other == node] for node in range(count)}
    first = data.draw(st.integers(1, count - 1))
    shown = dict(list(senders.items())[:first])
    geometry = drawn(shown)
    for name in list(senders)[first:]:
        shown[name] = senders[name]
        after = drawn(shown, geometry)
        assert moved(geometry, after) == set()
        assert overlapping(*layout_of(after)) == []
        geometry = after
    for edge in geometry.edges:
        assert geometry.boxes[edge.source].centre[0] < geometry.boxes[edge.target].centre[0]


@given(st.integers(1, 15), st.data())
def test_any_graph_can_be_extended(count, data):
    node = st.integers(0, count - 1)
    edges = list(dict.fromkeys(data.draw(st.lists(st.tuples(node, node), max_size=30))))
    width = st.sampled_from([60.0, 100.0, 200.0])
    sizes = [(w, 38.0) for w in data.draw(st.lists(width, min_size=count, max_size=count))]
    old = sorted(data.draw(st.sets(node, min_size=1)))
    first = arrange([sizes[n] for n in old], [])
    known = dict(zip(old, first.centres))
    layout, after = extend(sizes, edges, known, {})
    assert overlapping(layout, after) == []
    for (x, y), (width, height) in zip(layout.centres, after):
        assert 0 <= x - width / 2
        assert x + width / 2 <= layout.size[0]
        assert 0 <= y - height / 2
        assert y + height / 2 <= layout.size[1]
