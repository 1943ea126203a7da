"""From typed reasons to causes that people can read."""

import pytest

from pyplant.config import Parameters
from pyplant.engine.describe import Kind
from pyplant.engine.fingerprint import Record
from pyplant.engine.rebuilder import Reason, ReasonKind
from pyplant.engine.trace import Trace
from pyplant.explain import Cause, Explainer

LABELS = {"key": "'make'"}


def explainer(records=None, config=None, senders=None):
    parameters = Parameters()
    parameters.set(config or {})
    return Explainer((records or {}).get, parameters, senders or {}, LABELS.__getitem__)


def causes(*reasons, upstream=None, **facts):
    return explainer(**facts).causes(reasons, upstream or {})


def function(name, text, **edges):
    return Record(Kind.FUNCTION, name, f"local of {text}", text, {k: ("m", k, v) for k, v in edges.items()})


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


def test_a_helper_of_a_helper_is_named_with_the_way_to_it():
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


def test_code_whose_record_is_gone_is_still_a_cause():
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


def test_a_changed_input_goes_on_to_why_its_sender_ran():
    why = (Cause(ReasonKind.FORCED, "make", "forced"),)
    reason = Reason(ReasonKind.INPUT, "data", "a", "b")
    (cause,) = causes(reason, senders={"data": "key"}, upstream={"key": why})
    assert cause.summary == "ingredient 'data' changed, sent by 'make'"
    assert cause.causes == why


def test_an_input_that_nobody_sends_is_said_to_be_gone():
    (cause,) = causes(Reason(ReasonKind.INPUT, "data", "a", ""))
    assert cause.summary == "ingredient 'data' is no longer sent by any reactor"


@pytest.mark.parametrize("kind", list(ReasonKind))
def test_every_kind_of_reason_has_a_sentence(kind):
    found = causes(Reason(kind, "thing", "a", "b"))
    assert found
    assert all(cause.summary for cause in found)
