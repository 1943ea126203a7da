"""Which reactors of a large graph are shown, and what is folded together."""

import graphlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyplant.notebook.graph.folding import MOST, folded, grouped, unfolded
from pyplant.reports.report import Outcome
from tests.notebook.graph.test_layered_layout import pipeline

CHAIN = [(n, n + 1) for n in range(199)]


def outcomes(count=200, **others):
    found = [Outcome.CACHED] * count
    for name, nodes in others.items():
        for node in nodes:
            found[node] = Outcome(name)
    return found


def fold(found, edges=CHAIN, groups=None, **options):
    return folded(found, edges, groups or [""] * len(found), **options)


def test_what_is_not_cached_is_shown_with_its_neighbours():
    assert fold(outcomes(stale=[100])).shown == (99, 100, 101)
    assert fold(outcomes(stale=[0], failed=[199])).shown == (0, 1, 198, 199)


def test_what_just_ran_counts_as_cached():
    assert fold(outcomes(stale=[100], ran=[5])).shown == (99, 100, 101)


def test_all_the_rest_is_folded_to_the_left_and_to_the_right():
    left, right = fold(outcomes(stale=[100])).folds
    assert left.members == tuple(range(99))
    assert right.members == tuple(range(102, 200))


def test_one_reactor_alone_is_shown_not_folded():
    assert fold(outcomes(stale=[2])).shown == (0, 1, 2, 3)
    assert fold(outcomes(stale=[3])).shown == (2, 3, 4)


def test_of_a_graph_that_is_all_cached_the_ends_are_shown():
    edges = [(n, 199) for n in range(3)] + [(n, n + 1) for n in range(3, 198)]
    found = fold(outcomes(), edges)
    assert {198, 199} <= set(found.shown)
    assert len(found.shown) < 10


def test_when_little_is_cached_no_more_is_shown_than_can_be_read():
    found = fold(outcomes(stale=range(150), running=[160], failed=[170]))
    assert len(found.shown) == MOST
    assert {160, 170} <= set(found.shown)


def test_neighbours_do_not_make_it_unreadable():
    star = [(0, n) for n in range(1, 200)]
    assert len(fold(outcomes(stale=[0]), star).shown) == MOST


def test_groups_are_folded_apart():
    found = fold(outcomes(stale=[100]), groups=["a"] * 50 + ["b"] * 150)
    assert [(f.label, len(f.members)) for f in found.folds] == [("a", 50), ("b", 49), ("b", 98)]


def test_groups_that_need_one_another_are_folded_into_one():
    groups = ["ab"[n % 2] for n in range(200)]
    found = fold(outcomes(stale=[100]), groups=groups)
    assert [(f.label, len(f.members)) for f in found.folds] == [("", 99), ("", 98)]


def test_very_many_groups_are_no_groups():
    groups = [f"g{n // 2}" for n in range(200)]
    assert len(fold(outcomes(stale=[100]), groups=groups).folds) == 2


def test_what_was_unfolded_stays_so():
    found = fold(outcomes(stale=[100]), opened={10, 11})
    assert found.shown == (10, 11, 99, 100, 101)
    assert len(found.folds) == 3


def test_nothing_vanishes_because_it_was_computed():
    seen = set(fold(outcomes(stale=range(50, 60))).shown)
    assert fold(outcomes(stale=[55]), seen=seen).shown == tuple(sorted(seen))
    assert fold(outcomes(), seen=seen).shown == tuple(sorted(seen))


def test_what_becomes_stale_elsewhere_moves_the_view():
    assert fold(outcomes(stale=[150]), seen={9, 10, 11}).shown == (149, 150, 151)


def test_circles_are_folded_too():
    found = fold(outcomes(stale=[100]), [*CHAIN, (50, 3), (199, 198)])
    assert 100 in found.shown
    assert found.folds


def test_all_of_a_small_graph_is_shown():
    assert unfolded(3) == ((0, 1, 2), ())


def boxes_of(found, count):
    box = {node: ("node", node) for node in found.shown}
    for number, group in enumerate(found.folds):
        box.update(dict.fromkeys(group.members, ("fold", number)))
    return box


@given(st.integers(61, 120), st.data())
def test_every_node_is_in_one_place_and_no_edge_leads_back(count, data):
    edges = pipeline(count, seed=data.draw(st.integers(0, 50)))
    kinds = st.sampled_from([Outcome.CACHED] * 6 + [Outcome.STALE, Outcome.NEW, Outcome.RAN])
    found = folded(
        data.draw(st.lists(kinds, min_size=count, max_size=count)),
        edges,
        data.draw(st.lists(st.sampled_from("abc"), min_size=count, max_size=count)),
        data.draw(st.frozensets(st.integers(0, count - 1), max_size=5)),
    )
    box = boxes_of(found, count)
    assert len(found.shown) + sum(len(f.members) for f in found.folds) == count == len(box)
    assert all(len(f.members) > 1 for f in found.folds)
    below = {}
    for source, target in edges:
        if box[source] != box[target]:
            below.setdefault(box[target], set()).add(box[source])
    graphlib.TopologicalSorter(below).prepare()  # raises if there is a circle


def test_modules_are_groups():
    assert grouped(["a_x", "a_y"], ["one", "two"]) == ["one", "two"]


def test_within_one_module_names_that_begin_alike_are_groups():
    names = [f"{stage}_{n}" for stage in ("load", "train") for n in range(5)]
    assert grouped(names, ["m"] * 10) == ["load"] * 5 + ["train"] * 5


@pytest.mark.parametrize("names", [["a", "b", "c"], [], ["load_x", "train_y", "plot_z", "sum_w"]])
def test_names_that_have_little_in_common_are_no_groups(names):
    assert grouped(names) == [""] * len(names)
