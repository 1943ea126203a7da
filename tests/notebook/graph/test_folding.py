"""Which reactors of a large graph are shown, and which are folded."""

import graphlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyplant.notebook.graph.folding import (
    MAX_NODES,
    choose_folding,
    fold_siblings,
    group_labels,
    next_members,
    without_folds,
)
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
    return choose_folding(found, edges, groups or [""] * len(found), **options)


def test_reactors_that_are_not_cached_are_shown_with_their_neighbours():
    assert fold(outcomes(stale=[100])).shown == (99, 100, 101)
    assert fold(outcomes(stale=[0], failed=[199])).shown == (0, 1, 198, 199)


def test_reactors_that_just_ran_count_as_cached():
    assert fold(outcomes(stale=[100], ran=[5])).shown == (99, 100, 101)


def test_other_reactors_are_folded_on_both_sides():
    left, right = fold(outcomes(stale=[100])).folds
    assert left.members == tuple(range(99))
    assert right.members == tuple(range(102, 200))


def test_a_fold_of_one_reactor_is_shown_instead():
    assert fold(outcomes(stale=[2])).shown == (0, 1, 2, 3)
    assert fold(outcomes(stale=[3])).shown == (2, 3, 4)


def test_the_final_reactors_of_a_cached_graph_are_shown():
    edges = [(n, 199) for n in range(3)] + [(n, n + 1) for n in range(3, 198)]
    found = fold(outcomes(), edges)
    assert {198, 199} <= set(found.shown)
    assert len(found.shown) < 10


def test_the_number_of_shown_reactors_is_limited():
    found = fold(outcomes(stale=range(150), failed=[160, 170]))
    assert len(found.shown) == MAX_NODES
    assert {160, 170} <= set(found.shown)


def test_the_number_of_shown_neighbours_is_limited():
    star = [(0, n) for n in range(1, 200)]
    assert len(fold(outcomes(stale=[0]), star).shown) == MAX_NODES


def test_groups_are_folded_apart():
    found = fold(outcomes(stale=[100]), groups=["a"] * 50 + ["b"] * 150)
    assert [(f.label, len(f.members)) for f in found.folds] == [("a", 50), ("b", 49), ("b", 98)]


def test_groups_that_depend_on_each_other_share_a_fold():
    groups = ["ab"[n % 2] for n in range(200)]
    found = fold(outcomes(stale=[100]), groups=groups)
    assert [(f.label, len(f.members)) for f in found.folds] == [("", 99), ("", 98)]


def test_too_many_groups_are_ignored():
    groups = [f"g{n // 2}" for n in range(200)]
    assert len(fold(outcomes(stale=[100]), groups=groups).folds) == 2


def test_unfolded_reactors_stay_shown():
    found = fold(outcomes(stale=[100]), opened={10, 11})
    assert found.shown == (10, 11, 99, 100, 101)
    assert len(found.folds) == 3


def test_a_shown_reactor_does_not_vanish_when_it_is_computed():
    seen = set(fold(outcomes(stale=range(50, 60))).shown)
    assert fold(outcomes(stale=[55]), seen=seen).shown == tuple(sorted(seen))
    assert fold(outcomes(), seen=seen).shown == tuple(sorted(seen))


def test_a_reactor_that_becomes_stale_elsewhere_changes_what_is_shown():
    assert fold(outcomes(stale=[150]), seen={9, 10, 11}).shown == (149, 150, 151)


def test_during_a_run_what_runs_is_shown_with_what_is_next():
    found = fold(outcomes(new=range(60, 200), running=[50, 100], waiting=[120]))
    assert found.shown == (49, 50, 51, 99, 100, 101, 119, 120, 121)
    seen = set(found.shown)
    assert fold(outcomes(new=range(60, 200), running=[51]), seen=seen).shown == found.shown
    assert fold(outcomes(new=range(60, 200), running=[52]), seen=seen).shown == (51, 52, 53)
    assert fold(outcomes(new=range(60, 200), failed=[9], running=[52])).shown == (8, 9, 10, 51, 52, 53)


def test_control_before_a_run_all_that_is_not_cached_is_shown():
    assert len(fold(outcomes(new=range(60, 200), failed=[9])).shown) == MAX_NODES


def test_causes_come_before_what_they_make_stale():
    stale = outcomes(stale=range(200))
    assert 150 in fold(stale, causes={150}).shown
    assert 150 not in fold(stale).shown


def test_a_fold_is_unfolded_by_steps_beginning_at_what_is_shown():
    members = list(range(100))
    assert next_members(members, CHAIN, {100, 101}) == list(range(99, 79, -1))
    assert next_members(members, [], {100}) == list(range(20))
    assert next_members(members, [(3, 100), (100, 60)], {100})[:3] == [3, 60, 0]
    assert next_members(members[:25], CHAIN, {100}) == members[:25]
    assert next_members([], CHAIN, {100}) == []


FAN = [*((0, n) for n in range(1, 13)), *((n, 13) for n in range(1, 13)), (13, 14)]
FAN_NAMES = ["load", *(f"train_{n}" for n in range(12)), "join", "report"]


def test_siblings_of_a_small_graph_are_folded():
    assert fold_siblings(FAN_NAMES, FAN) == ((0, 13, 14), ((tuple(range(1, 13)), "train"),))
    found = fold_siblings(FAN_NAMES, FAN, {3, 4})
    assert found.shown == (0, 3, 4, 13, 14)
    assert found.folds[0].members == (1, 2, *range(5, 13))


def test_reactors_with_other_neighbours_are_no_siblings():
    assert fold_siblings(FAN_NAMES, [*FAN, (5, 14)]).shown == (0, 5, 13, 14)
    assert fold_siblings(FAN_NAMES, [(0, n) for n in range(1, 11)]).folds == ()  # so many fit into a column
    assert fold_siblings([f"r{n}" for n in range(40)], []).folds == ()


def test_cycles_are_folded():
    found = fold(outcomes(stale=[100]), [*CHAIN, (50, 3), (199, 198)])
    assert 100 in found.shown
    assert found.folds


def test_all_of_a_small_graph_is_shown():
    assert without_folds(3) == ((0, 1, 2), ())


def boxes_of(found, count):
    box = {node: ("node", node) for node in found.shown}
    for number, group in enumerate(found.folds):
        box.update(dict.fromkeys(group.members, ("fold", number)))
    return box


@given(st.integers(61, 120), st.data())
def test_every_node_is_in_one_place_and_no_edge_leads_back(count, data):
    edges = pipeline(count, seed=data.draw(st.integers(0, 50)))
    kinds = st.sampled_from([Outcome.CACHED] * 6 + [Outcome.STALE, Outcome.NEW, Outcome.RAN])
    found = choose_folding(
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
    assert group_labels(["a_x", "a_y"], ["one", "two"]) == ["one", "two"]


def test_names_with_common_beginnings_are_groups_within_one_module():
    names = [f"{stage}_{n}" for stage in ("load", "train") for n in range(5)]
    assert group_labels(names, ["m"] * 10) == ["load"] * 5 + ["train"] * 5


@pytest.mark.parametrize("names", [["a", "b", "c"], [], ["load_x", "train_y", "plot_z", "sum_w"]])
def test_names_with_little_in_common_are_not_groups(names):
    assert group_labels(names) == [""] * len(names)
