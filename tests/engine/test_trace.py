"""Traces and their decision tree."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyplant.engine.trace import Dependency, DependencyKind, Note, Trace, TraceTree
from pyplant.ingredient import IN_MEMORY, Ingredient

P, I = DependencyKind.PARAMETER, DependencyKind.INGREDIENT

TEXT = st.text(max_size=5)
INGREDIENTS = st.builds(
    Ingredient,
    name=TEXT,
    format=TEXT,
    digest=TEXT,
    object=TEXT,
    size=st.integers(0, 2**60),
    metadata=st.dictionaries(
        TEXT, st.none() | st.integers() | TEXT | st.lists(st.integers(), max_size=2), max_size=2
    ),
    inline=st.none() | st.binary(max_size=40),
)
DEPENDENCIES = st.builds(
    lambda kind, pairs: Dependency(kind, *map(tuple, zip(*(pairs if kind is I else pairs[:1]), strict=True))),
    st.sampled_from(DependencyKind),
    st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3),
)
TRACES = st.builds(
    Trace,
    reactor=TEXT,
    fingerprint=TEXT,
    dependencies=st.lists(DEPENDENCIES, max_size=4).map(tuple),
    outputs=st.lists(INGREDIENTS, max_size=3).map(tuple),
    number=st.integers(0, 2**40),
    writer=TEXT,
    seconds=st.integers(0, 10**6).map(lambda n: n / 4),
    finished=st.integers(0, 10**10).map(lambda n: n / 4),
    host=TEXT,
    versions=st.dictionaries(TEXT, TEXT, max_size=2),
    notes=st.frozensets(st.builds(Note, TEXT, TEXT), max_size=2),
    shown=st.dictionaries(TEXT, TEXT, max_size=2),
    recorded=st.none() | INGREDIENTS,
    manifests=st.lists(INGREDIENTS, max_size=2).map(tuple),
)


@given(TRACES)
def test_a_trace_survives_json(trace):
    data = json.loads(json.dumps(trace.to_json()))
    assert Trace.from_json(data, trace.number, trace.writer) == trace


@given(TRACES)
def test_the_json_of_a_trace_does_not_depend_on_the_order_of_its_notes(trace):
    again = Trace.from_json(json.loads(json.dumps(trace.to_json())), 0, "")
    assert json.dumps(again.to_json()) == json.dumps(trace.to_json())


def trace(*steps, number=0, outputs=()):
    dependencies = tuple(Dependency(kind, (name,), (digest,)) for kind, name, digest in steps)
    made = tuple(Ingredient(name, "simple", digest) for name, digest in outputs)
    return Trace("r", "f", dependencies, made, number=number, writer="w")


def tree(*traces):
    found = TraceTree()
    for item in traces:
        found.add(item)
    return found


def test_an_output_is_found_by_its_name():
    made = trace(outputs=[("a", "1"), ("b", "2")])
    assert made.output("b").digest == "2"
    assert made.output("c") is None


def test_the_newest_of_two_equal_executions_wins():
    old, new = trace((P, "a", "1"), number=1), trace((P, "a", "1"), number=2)
    (answers,) = tree(old, new).root.questions.values()
    assert answers[("1",)].leaf is new


def test_traces_branch_at_the_first_different_answer():
    found = tree(*(trace((P, "a", "1"), (P, "b", str(n)), number=n) for n in range(100)))
    assert list(found.root.questions) == [(P, ("a",))]
    (first,) = found.root.questions.values()
    (second,) = first[("1",)].questions.values()
    assert len(second) == 100
    assert second[("42",)].leaf.number == 42


def test_questions_are_ordered_by_their_last_use():
    found = tree(
        trace((P, "a", "1"), number=1), trace((P, "b", "1"), number=2), trace((P, "a", "2"), number=3)
    )
    assert list(found.root.questions) == [(P, ("b",)), (P, ("a",))]


def test_a_group_of_names_is_one_question():
    group = Dependency(I, ("a", "b"), ("1", "2"))
    found = TraceTree()
    found.add(Trace("r", "f", (group,), ()))
    assert list(found.root.questions) == [(I, ("a", "b"))]


def test_the_newest_below_a_branch_is_found():
    traces = [trace((P, "a", str(n % 2)), (P, "b", str(n)), number=n) for n in (3, 1, 4, 2)]
    found = tree(*sorted(traces, key=lambda made: made.rank)).root
    assert found.newest.number == 4
    assert found.questions[P, ("a",)][("1",)].newest.number == 3
    assert TraceTree().root.newest is None


def test_a_trace_without_dependencies_is_the_leaf_of_the_root():
    made = trace()
    assert tree(made).root.leaf is made


@pytest.mark.parametrize("count", [1, 1_000])
def test_a_look_up_takes_as_many_steps_as_there_are_dependencies(count):
    depth = 20
    shared = [(P, f"p{i}", "x") for i in range(depth - 1)]
    found = tree(*(trace(*shared, (P, "last", str(n)), number=n) for n in range(count)))
    branch, steps = found.root, 0
    while branch.leaf is None:
        ((question, answers),) = branch.questions.items()
        branch = answers[("0",) if question[1] == ("last",) else ("x",)]
        steps += 1
    assert steps == depth
    assert branch.leaf.number == 0


def test_a_value_that_was_never_stored_is_no_output_of_a_record():
    data = Trace("r", "f", (), (Ingredient("x", IN_MEMORY, "d"),)).to_json()
    with pytest.raises(ValueError):
        Trace.from_json(data, 1, "w")


@pytest.mark.parametrize("kind", [kind for kind in DependencyKind if kind is not I])
def test_only_ingredients_are_asked_for_together(kind):
    data = Trace("r", "f", (Dependency(kind, ("a", "b"), ("1", "2")),), ()).to_json()
    with pytest.raises(ValueError):
        Trace.from_json(json.loads(json.dumps(data)), 1, "w")
