"""Whether a reactor must run, and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyplant._missing import MISSING
from pyplant.engine.rebuilder import check
from pyplant.engine.trace import Dependency, DependencyKind, Trace, TraceTree
from pyplant.engine.verdict import UNKNOWN, Reason, ReasonKind
from pyplant.ingredient import Ingredient

PARAMETER = DependencyKind.PARAMETER
AUXILIARY = DependencyKind.AUXILIARY
ABSENCE = DependencyKind.ABSENCE
INGREDIENT = DependencyKind.INGREDIENT
SUBREACTOR = DependencyKind.SUBREACTOR
FILE = DependencyKind.FILE


class FakeContext:
    """The present digests, and a record of the questions."""

    def __init__(self, parameters=None, auxiliary=(), subreactors=None, files=None, ingredients=None):
        self.parameters = parameters or {}
        self.auxiliary = set(auxiliary)
        self.subreactors = subreactors or {}
        self.files = files or {}
        self.ingredients = ingredients or {}
        self.asked = []

    def parameter(self, name):
        self.asked.append(name)
        return self.parameters.get(name)

    def is_auxiliary(self, name):
        return name in self.auxiliary

    def subreactor(self, name):
        self.asked.append(name)
        return self.subreactors.get(name)

    def outside(self, kind, name):
        self.asked.append(name)
        return self.files.get(name)


def trace(*steps, number=1):
    dependencies = []
    for kind, names, digests in steps:
        names = (names,) if isinstance(names, str) else names
        digests = (digests,) if isinstance(digests, str) else digests
        dependencies.append(Dependency(kind, names, digests))
    return Trace("r", "f", tuple(dependencies), (Ingredient("out", "simple", str(number)),), number=number)


def look(now, *traces, newest=MISSING):
    """Run a look-up to its verdict, with ingredients from ``now``."""
    tree = TraceTree()
    for item in traces:
        tree.add(item)
    tree.newest = tree.newest if newest is MISSING else newest
    lookup = check(tree, now)
    answer = None
    while True:
        try:
            names = lookup.send(answer)
        except StopIteration as stop:
            return stop.value
        now.asked.append(names)
        answer = tuple(now.ingredients.get(name) for name in names)


def test_without_a_trace_the_reactor_is_new():
    verdict = look(FakeContext())
    assert verdict.trace is None
    assert verdict.reasons == (Reason(ReasonKind.NEW),)


def test_a_trace_without_dependencies_verifies():
    kept = trace()
    assert look(FakeContext(), kept).trace is kept


def test_a_trace_whose_every_answer_is_the_same_verifies():
    kept = trace(
        (PARAMETER, "p", "1"),
        (ABSENCE, "q", ""),
        (AUXILIARY, "x", ""),
        (INGREDIENT, ("a", "b"), ("2", "3")),
        (SUBREACTOR, "s", "4"),
        (FILE, "f", "5"),
    )
    now = FakeContext({"p": "1", "x": "9"}, {"x"}, {"s": "4"}, {"f": "5"}, {"a": "2", "b": "3"})
    assert look(now, kept).trace is kept


WRONG = {
    "parameter": ((PARAMETER, "p", "1"), FakeContext({"p": "2"}), ReasonKind.PARAMETER, "2"),
    "parameter removed": ((PARAMETER, "p", "1"), FakeContext(), ReasonKind.PARAMETER, ""),
    "parameter added": ((ABSENCE, "p", ""), FakeContext({"p": "2"}), ReasonKind.ABSENCE, ""),
    "auxiliary no longer": ((AUXILIARY, "p", ""), FakeContext({"p": "2"}), ReasonKind.AUXILIARY, ""),
    "input": ((INGREDIENT, "p", "1"), FakeContext(ingredients={"p": "2"}), ReasonKind.INPUT, "2"),
    "input that nobody sends": ((INGREDIENT, "p", "1"), FakeContext(), ReasonKind.INPUT, ""),
    "subreactor": ((SUBREACTOR, "p", "1"), FakeContext(subreactors={"p": "2"}), ReasonKind.SUBREACTOR, "2"),
    "subreactor gone": ((SUBREACTOR, "p", "1"), FakeContext(), ReasonKind.SUBREACTOR, ""),
    "file": ((FILE, "p", "1"), FakeContext(files={"p": "2"}), ReasonKind.FILE, "2"),
    "file gone": ((FILE, "p", "1"), FakeContext(), ReasonKind.FILE, ""),
}


@pytest.mark.parametrize(("step", "now", "kind", "new"), WRONG.values(), ids=WRONG)
def test_what_differs_is_the_reason(step, now, kind, new):
    kept = trace(step)
    verdict = look(now, kept)
    assert verdict.trace is None
    assert verdict.certain
    (reason,) = verdict.reasons
    assert (reason.kind, reason.name, reason.new, reason.trace) == (kind, "p", new, kept)
    assert reason.old == step[2]


def test_an_unknown_input_leaves_the_verdict_uncertain():
    verdict = look(FakeContext(ingredients={"a": UNKNOWN}), trace((INGREDIENT, "a", "1")))
    assert verdict.trace is None
    assert not verdict.certain
    assert [(reason.kind, reason.name) for reason in verdict.reasons] == [(ReasonKind.INPUT_UNKNOWN, "a")]


def test_a_changed_input_beside_an_unknown_one_is_certain():
    kept = trace((INGREDIENT, ("a", "b"), ("1", "2")))
    verdict = look(FakeContext(ingredients={"a": UNKNOWN, "b": "3"}), kept)
    assert verdict.certain
    assert [(reason.kind, reason.name) for reason in verdict.reasons] == [(ReasonKind.INPUT, "b")]


def test_a_candidate_that_may_still_verify_leaves_the_verdict_uncertain():
    further = trace((INGREDIENT, "a", "1"), (PARAMETER, "p", "1"))
    maybe = trace((FILE, "f", "1"), (INGREDIENT, "b", "2"), number=2)
    now = FakeContext(parameters={"p": "9"}, files={"f": "1"}, ingredients={"a": "1", "b": UNKNOWN})
    for traces in ((further, maybe), (maybe, further)):
        verdict = look(now, *traces)
        assert not verdict.certain
        assert [(reason.name, reason.trace) for reason in verdict.reasons] == [("b", maybe)]


def test_an_older_answer_that_may_still_match_leaves_the_verdict_uncertain():
    fits = trace((INGREDIENT, ("a", "b"), ("1", "3")))
    newest = trace((INGREDIENT, ("a", "b"), ("1", "2")), number=2)
    verdict = look(FakeContext(ingredients={"a": UNKNOWN, "b": "3"}), fits, newest)
    assert not verdict.certain
    assert [(reason.name, reason.trace) for reason in verdict.reasons] == [("a", fits)]


def test_every_changed_input_of_a_group_is_a_reason():
    kept = trace((INGREDIENT, ("a", "b", "c"), ("1", "2", "3")))
    verdict = look(FakeContext(ingredients={"a": "1", "b": "x", "c": "y"}), kept)
    assert [(reason.name, reason.old, reason.new) for reason in verdict.reasons] == [
        ("b", "2", "x"),
        ("c", "3", "y"),
    ]


def test_a_later_dependency_is_not_demanded_before_the_earlier_ones_matched():
    now = FakeContext({"p": "2"}, ingredients={"a": "1"})
    look(now, trace((PARAMETER, "p", "1"), (INGREDIENT, "a", "1"), (FILE, "f", "1")))
    assert now.asked == ["p"]


def test_dependencies_are_asked_in_the_recorded_order():
    now = FakeContext({"p": "1"}, files={"f": "1"}, ingredients={"a": "1", "b": "1"})
    look(now, trace((INGREDIENT, "b", "1"), (FILE, "f", "1"), (PARAMETER, "p", "1"), (INGREDIENT, "a", "1")))
    assert now.asked == [("b",), "f", "p", ("a",)]


def test_a_look_up_finds_the_trace_of_any_earlier_state():
    traces = [trace((PARAMETER, "p", str(n)), number=n) for n in range(10)]
    assert all(look(FakeContext({"p": str(n)}), *traces).trace is traces[n] for n in range(10))


def test_the_number_of_questions_does_not_grow_with_the_versions():
    traces = [trace((PARAMETER, "p", "1"), (PARAMETER, "q", str(n)), number=n) for n in range(1_000)]
    now = FakeContext({"p": "1", "q": "500"})
    assert look(now, *traces).trace is traces[500]
    assert len(now.asked) == 2


def test_the_tree_is_not_arranged_if_the_newest_trace_verifies():
    tree = TraceTree()
    for number in range(3):
        tree.add(trace((PARAMETER, "p", str(number)), number=number))
    with pytest.raises(StopIteration) as verified:
        next(check(tree, FakeContext({"p": "2"})))
    assert verified.value.value.trace is tree.newest
    assert not tree._root.questions
    with pytest.raises(StopIteration):
        next(check(tree, FakeContext({"p": "1"})))
    assert tree._root.questions


ANSWERS = st.sampled_from(["1", "2"])
STEPS = st.tuples(
    st.sampled_from([PARAMETER, FILE, INGREDIENT, ABSENCE, AUXILIARY]), st.sampled_from("pq"), ANSWERS
)


@given(
    st.lists(st.lists(STEPS, max_size=3), min_size=1, max_size=4),
    *[st.dictionaries(st.sampled_from("pq"), ANSWERS | st.just(UNKNOWN)) for _ in range(2)],
    st.dictionaries(st.sampled_from("pq"), ANSWERS),
    st.sets(st.sampled_from("pq")),
)
def test_to_verify_the_newest_first_changes_no_verdict(recorded, files, ingredients, parameters, auxiliary):
    traces = [
        trace(
            *((kind, name, "" if kind in (ABSENCE, AUXILIARY) else digest) for kind, name, digest in steps),
            number=n,
        )
        for n, steps in enumerate(recorded)
    ]
    verdicts = []
    for newest in (traces[-1], None):
        now = FakeContext(parameters, auxiliary, files=files, ingredients=ingredients)
        verdicts.append((look(now, *traces, newest=newest), set(now.asked)))
    assert verdicts[0] == verdicts[1]


def test_another_branch_is_tried_when_one_leads_nowhere():
    branches = (
        trace((PARAMETER, "p", "1"), (FILE, "f", "1"), number=1),
        trace((PARAMETER, "p", "1"), (FILE, "g", "1"), number=2),
    )
    assert look(FakeContext({"p": "1"}, files={"f": "1"}), *branches).trace is branches[0]


def test_the_nearest_candidate_gives_the_reason():
    near = trace((PARAMETER, "p", "1"), (FILE, "f", "1"), number=1)
    far = trace((PARAMETER, "p", "2"), number=2)
    verdict = look(FakeContext({"p": "1"}, files={"f": "x"}), near, far)
    assert [(reason.kind, reason.trace) for reason in verdict.reasons] == [(ReasonKind.FILE, near)]


def test_among_equally_near_candidates_the_newest_gives_the_reason():
    old, new = (trace((PARAMETER, "p", str(n)), number=n) for n in (1, 2))
    (reason,) = look(FakeContext({"p": "3"}), old, new).reasons
    assert (reason.trace, reason.old) == (new, "2")


def test_digests_that_are_recorded_in_another_combination_are_both_reasons():
    traces = (
        trace((INGREDIENT, ("a", "b"), ("1", "2")), number=1),
        trace((INGREDIENT, ("a", "b"), ("3", "4")), number=2),
    )
    verdict = look(FakeContext(ingredients={"a": "1", "b": "4"}), *traces)
    assert {reason.name for reason in verdict.reasons} == {"a"}
    assert all(reason.kind is ReasonKind.INPUT for reason in verdict.reasons)


# ------------------------------------------------------------------ traces of different length


def test_a_newer_trace_that_read_more_wins_over_one_that_read_less():
    short, long = trace((FILE, "f", "1")), trace((FILE, "f", "1"), (FILE, "g", "1"), number=2)
    assert look(FakeContext(files={"f": "1", "g": "1"}), short, long).trace is long


def test_a_newer_trace_that_read_less_wins_over_one_that_read_more():
    long, short = trace((FILE, "f", "1"), (FILE, "g", "1")), trace((FILE, "f", "1"), number=2)
    now = FakeContext(files={"f": "1", "g": "1"})
    assert look(now, long, short).trace is short
    assert now.asked == ["f"]


def test_a_newer_trace_with_dependencies_wins_over_one_without():
    nothing, something = trace(), trace((PARAMETER, "p", "1"), number=2)
    assert look(FakeContext({"p": "1"}), nothing, something).trace is something
    assert look(FakeContext({"p": "2"}), nothing, something).trace is nothing


def test_a_trace_that_read_less_is_found_if_the_newer_one_does_not_verify():
    short, long = trace((FILE, "f", "1")), trace((FILE, "f", "1"), (FILE, "g", "1"), number=2)
    assert look(FakeContext(files={"f": "1", "g": "2"}), short, long).trace is short


def test_the_newest_trace_that_verifies_wins_after_a_newer_sibling_failed():
    old = trace((PARAMETER, "p", "1"), (FILE, "f", "1"))
    middle = trace((FILE, "g", "1"), number=2)
    newest = trace((PARAMETER, "p", "1"), (FILE, "f", "2"), number=3)
    now = FakeContext({"p": "1"}, files={"f": "1", "g": "1"})
    assert look(now, old, middle, newest).trace is middle


def test_an_ingredient_that_only_older_executions_asked_for_is_not_demanded():
    old, new = trace((INGREDIENT, "a", "1")), trace((PARAMETER, "p", "1"), number=2)
    now = FakeContext({"p": "1"}, ingredients={"a": "1"})
    assert look(now, old, new).trace is new
    assert now.asked == ["p"]


def test_an_execution_is_uncertain_while_a_newer_one_may_verify():
    short, long = trace((PARAMETER, "p", "1")), trace((PARAMETER, "p", "1"), (INGREDIENT, "a", "1"), number=2)
    verdict = look(FakeContext({"p": "1"}, ingredients={"a": UNKNOWN}), short, long)
    assert (verdict.trace, verdict.certain) == (short, False)
    assert [reason.name for reason in verdict.reasons] == ["a"]


# ------------------------------------------------------------------ auxiliary parameters


def test_a_parameter_that_is_auxiliary_now_is_not_compared():
    kept = trace((PARAMETER, "p", "1"), (PARAMETER, "q", "2"))
    assert look(FakeContext({"p": "9", "q": "2"}, {"p"}), kept).trace is kept


def test_the_value_of_an_auxiliary_parameter_is_not_asked_for():
    now = FakeContext({"p": "9"}, {"p"})
    assert look(now, trace((PARAMETER, "p", "1"))).certain
    assert not now.asked


def test_a_removed_auxiliary_parameter_is_not_compared():
    kept = trace((PARAMETER, "p", "1"))
    assert look(FakeContext({}, {"p"}), kept).trace is kept


def test_an_auxiliary_parameter_that_was_absent_is_not_compared():
    kept = trace((ABSENCE, "p", ""))
    assert look(FakeContext({"p": "1"}, {"p"}), kept).trace is kept


def test_the_newest_of_traces_that_differ_in_an_auxiliary_parameter_is_found():
    traces = [trace((PARAMETER, "p", str(n)), number=n) for n in (1, 2, 3)]
    assert look(FakeContext({"p": "9"}, {"p"}), *traces).trace is traces[-1]


def test_the_newest_of_traces_that_differ_in_an_early_auxiliary_parameter_is_found():
    traces = [trace((PARAMETER, "p", str(n)), (PARAMETER, "q", "1"), number=n) for n in (1, 2, 3)]
    assert look(FakeContext({"p": "9", "q": "1"}, {"p"}), *traces).trace is traces[-1]


def test_an_older_branch_of_an_auxiliary_parameter_is_tried_too():
    traces = [trace((PARAMETER, "p", str(n)), (PARAMETER, "q", str(n)), number=n) for n in (1, 2, 3)]
    assert look(FakeContext({"p": "9", "q": "2"}, {"p"}), *traces).trace is traces[1]


def test_branches_of_an_auxiliary_parameter_do_not_add_depth():
    shallow = [trace((PARAMETER, "x", str(n)), (PARAMETER, "q", "0"), number=n) for n in range(1, 9)]
    deep = trace((PARAMETER, "a", "1"), (PARAMETER, "b", "1"), (FILE, "f", "1"), number=20)
    now = FakeContext({"x": "9", "q": "1", "a": "1", "b": "1"}, {"x"}, files={"f": "2"})
    (reason,) = look(now, *shallow, deep).reasons
    assert reason.kind is ReasonKind.FILE


# ------------------------------------------------------------------ against a naive search

STEPS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("12")), max_size=3, unique_by=lambda s: s[0]
)


@given(st.lists(STEPS, max_size=6), st.fixed_dictionaries({name: st.sampled_from("12") for name in "abc"}))
def test_a_trace_is_found_exactly_when_one_verifies(histories, present):
    traces = [trace(*((PARAMETER, *step) for step in steps), number=n) for n, steps in enumerate(histories)]
    verdict = look(FakeContext(present), *traces)
    verifying = [t for t in traces if all(present[d.names[0]] == d.digests[0] for d in t.dependencies)]
    assert (verdict.trace is not None) == bool(verifying)
    assert verdict.trace is (verifying[-1] if verifying else None)
    assert (verdict.trace is None) == bool(verdict.reasons)


def test_unknown_shows_as_itself():
    assert repr(UNKNOWN) == "UNKNOWN"
