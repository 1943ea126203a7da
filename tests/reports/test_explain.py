"""Causes that are made of typed reasons."""

import pytest

from pyplant.config.parameters import Parameters
from pyplant.engine.trace import Trace
from pyplant.engine.verdict import Reason, ReasonKind
from pyplant.fingerprint.code_records import CodeRecord
from pyplant.fingerprint.graph_node import NodeKind
from pyplant.reports.explain import Cause, CauseDeduplicator, Explainer

LABELS = {"key": "'make'"}


def explainer(records=None, config=None, senders=None):
    parameters = Parameters()
    parameters.set(config or {})
    return Explainer((records or {}).get, parameters, senders or {}, LABELS.__getitem__)


def causes(*reasons, upstream=None, **facts):
    return explainer(**facts).causes(reasons, upstream or {})


def function(name, text, **edges):
    return CodeRecord(
        NodeKind.FUNCTION, name, f"local of {text}", text, {k: ("m", k, v) for k, v in edges.items()}
    )


def test_a_changed_helper_is_named_with_its_diff():
    records = {
        "f1": function("plot", "def plot(): helper()", helper="h1"),
        "f2": function("plot", "def plot(): helper()", helper="h2"),
        "h1": function("helper", "def helper():\n    return 1"),
        "h2": function("helper", "def helper():\n    return 2"),
    }
    (cause,) = causes(Reason(ReasonKind.CODE, "plot", "f1", "f2"), records=records)
    assert cause.summary == "helper() changed"
    assert "-    return 1\n+    return 2" in cause.diff


def test_a_helper_of_a_helper_is_named_with_its_call_path():
    records = {
        "f1": function("plot", "a", middle="m1"),
        "f2": function("plot", "a", middle="m2"),
        "m1": function("middle", "b", deep="d1"),
        "m2": function("middle", "b", deep="d2"),
        "d1": function("deep", "x = 1"),
        "d2": function("deep", "x = 2"),
    }
    (cause,) = causes(Reason(ReasonKind.CODE, "plot", "f1", "f2"), records=records)
    assert cause.summary == "deep() changed through middle"


def test_a_changed_global_shows_both_values():
    records = {
        "f1": function("plot", "a", SIZE="=1234:1"),
        "f2": function("plot", "a", SIZE="=5678:2"),
    }
    (cause,) = causes(Reason(ReasonKind.CODE, "plot", "f1", "f2"), records=records)
    assert cause.summary == "SIZE changed: 1 → 2"
    assert (cause.old, cause.new) == ("1", "2")


def test_code_without_a_record_is_still_a_cause():
    (cause,) = causes(Reason(ReasonKind.CODE, "plot", "f1", "f2"))
    assert "changed" in cause.summary or "another one" in cause.summary


def test_many_differences_are_counted():
    before = {f"g{n}": f"=a{n}:{n}" for n in range(20)}
    after = {f"g{n}": f"=b{n}:{n + 1}" for n in range(20)}
    records = {"f1": function("plot", "a", **before), "f2": function("plot", "a", **after)}
    found = causes(Reason(ReasonKind.CODE, "plot", "f1", "f2"), records=records)
    assert len(found) == 6
    assert found[-1].summary == "15 more changes of code"


def test_a_changed_parameter_shows_both_values():
    trace = Trace("m.plot", "f", (), (), shown={"color": "'red'"})
    reason = Reason(ReasonKind.PARAMETER, "color", "d1", "d2", trace)
    (cause,) = causes(reason, config={"color": "blue"})
    assert cause.summary == "parameter 'color' changed: 'red' → 'blue'"
    (cause,) = causes(reason)
    assert cause.summary == "parameter 'color' was removed (it was 'red')"


def test_a_changed_input_lists_the_causes_of_its_sender():
    why = (Cause(ReasonKind.FORCED, "make", "forced"),)
    reason = Reason(ReasonKind.INPUT, "data", "a", "b")
    (cause,) = causes(reason, senders={"data": "key"}, upstream={"key": why})
    assert cause.summary == "ingredient 'data' changed, sent by 'make'"
    assert cause.causes == why


def test_an_input_without_a_sender_is_reported():
    (cause,) = causes(Reason(ReasonKind.INPUT, "data", "a", ""))
    assert cause.summary == "ingredient 'data' is no longer sent by any reactor"


@pytest.mark.parametrize("kind", list(ReasonKind))
def test_every_kind_of_reason_has_a_sentence(kind):
    found = causes(Reason(kind, "thing", "a", "b"))
    assert found
    assert all(cause.summary for cause in found)


# ------------------------------------------------------------------ telling each cause once


def changed(name, *below):
    return Cause(ReasonKind.INPUT, name, f"ingredient {name!r} changed", causes=below)


EDIT = Cause(ReasonKind.PARAMETER, "p", "parameter 'p' changed: 1 → 2")


def told(*found, elsewhere=()):
    """Summaries and the causes below them, as nested lists."""

    def nested(parts):
        return [[part.summary, *nested(part.causes)] for part in parts]

    return nested(CauseDeduplicator(elsewhere).deduplicate(found))


def layers(levels, width):
    """The causes of one reactor of the last level; each depends on all reactors of the level before."""
    below = (EDIT,)
    for level in range(levels):
        reactors = [tuple(changed(f"{level}.{n}", *below) for n in range(width)) for _ in range(width)]
        below = reactors[0]
    return below


def test_a_cause_shared_by_several_inputs_is_listed_below_the_first():
    common = changed("base", EDIT)
    assert told(changed("a", common), changed("b", common)) == [
        ["ingredient 'a' changed", ["ingredient 'base' changed", ["parameter 'p' changed: 1 → 2"]]],
        ["ingredient 'b' changed (see above)"],
    ]


def test_a_cause_of_one_input_is_listed_below_it():
    other = Cause(ReasonKind.CODE, "f", "f() changed")
    assert told(changed("a", EDIT), changed("b", EDIT, other)) == [
        ["ingredient 'a' changed", ["parameter 'p' changed: 1 → 2"]],
        ["ingredient 'b' changed (see above and below)", ["f() changed"]],
    ]


def test_causes_of_reactors_with_an_entry_are_listed_in_that_entry():
    cause = changed("a", EDIT)
    assert told(cause, elsewhere=[cause.causes]) == [["ingredient 'a' changed"]]
    assert told(changed("a", EDIT), elsewhere=[(EDIT,)]) == [
        ["ingredient 'a' changed", ["parameter 'p' changed: 1 → 2"]]
    ]


@pytest.mark.parametrize("width", [2, 4])
def test_the_number_of_causes_is_linear_in_the_edges_of_the_graph(width):
    def count(parts):
        return sum(1 + count(part.causes) for part in parts)

    assert count(CauseDeduplicator().deduplicate(layers(30, width))) == 30 * width + 1


def test_a_long_chain_is_listed_completely_with_limited_depth():
    cause = EDIT
    for level in range(5000):
        cause = changed(f"x{level}", cause)
    (found,) = CauseDeduplicator().deduplicate([cause])
    depth, names = 0, []
    while found.causes:
        depth += 1
        names += [part.name for part in found.causes]
        found = found.causes[0]
    assert depth < 10
    assert names[-1] == "p"
    assert len(names) == 5000
