"""The traits of the widget."""

import json

import pytest

from pyplant.engine.verdict import ReasonKind
from pyplant.execution.failures import Failure
from pyplant.notebook.graph import payload
from pyplant.notebook.graph.folding import without_folds
from pyplant.notebook.graph.layered_layout import arrange
from pyplant.notebook.graph.snapshot import GraphSnapshot, ReactorInfo
from pyplant.reports.explain import Cause
from pyplant.reports.report import Outcome, ReactorEntry, Status

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202eevil\nline\ud800"


def snapshot_of(*entries, edges=None, **known):
    """A snapshot of reactors with given facts; by default only their names are known."""
    reactors = tuple(
        known.get(entry.name, ReactorInfo(entry.name, entry.name, module="m")) for entry in entries
    )
    return GraphSnapshot(Status(entries, "/somewhere/digits.plant"), edges or {}, reactors)


def chain(count, **outcomes):
    """A chain of reactors; all are cached except those given by number."""
    entries = [
        ReactorEntry(f"r{n}", Outcome(outcomes.get(f"r{n}", "cached")), seconds=1.0, finished=1.0)
        for n in range(count)
    ]
    return snapshot_of(*entries, edges={f"r{n + 1}": {f"r{n}": [f"x{n}"]} for n in range(count - 1)})


def graph_of(snapshot, variable="plant", **options):
    folding = payload.initial_folding(snapshot, **options)
    first, everything = (
        payload.geometry_of(snapshot, one, arrange)
        for one in (folding, without_folds(len(snapshot.reactors)))
    )
    return payload.graph_data(snapshot, first, everything, variable)


# ---------------------------------------------------------------------- graph


def test_reactors_are_numbered_and_joined():
    known = ReactorInfo("b", "b", "cell [3]", "m", False, ("x", "y"), (("z", "array", 80),))
    snapshot = snapshot_of(
        ReactorEntry("a", Outcome.NEW), ReactorEntry("b", Outcome.NEW), edges={"b": {"a": ["x"]}}, b=known
    )
    nodes = graph_of(snapshot)["nodes"]
    assert nodes["n0"]["used_by"] == ["n1"]
    assert nodes["n1"] == {
        "name": "b",
        "where": "cell [3]",
        "group": "",
        "orphan": False,
        "inputs": [["x", "n0"], ["y", None]],
        "outputs": [["z", "array", 80]],
        "used_by": [],
        "run": "plant.run_reactor('b')",
    }


def test_the_statement_that_runs_a_reactor_is_valid_python():
    known = {"it's": ReactorInfo("it's", "module.it's")}
    snapshot = snapshot_of(ReactorEntry("it's", Outcome.NEW), **known)
    graph = graph_of(snapshot, "garden")
    assert graph["nodes"]["n0"]["run"] == 'garden.run_reactor("module.it\'s")'


def test_boxes_and_edges_have_positions_in_whole_pixels():
    graph = graph_of(chain(3))
    assert graph["view"] == "all"
    shown = graph["views"]["all"]
    assert [node[0] for node in shown["nodes"]] == ["n0", "n1", "n2"]
    assert [edge[:3] for edge in shown["edges"]] == [["n0", "n1", ["x0"]], ["n1", "n2", ["x1"]]]
    assert shown["folds"] == []
    (_, x, y, w, _), (path, head) = shown["nodes"][0], shown["edges"][0][3:]
    start = [float(number) for number in path.removeprefix("M").partition("C")[0].split()]
    assert start == pytest.approx([x + w / 2, y], abs=1)
    assert head.startswith("M")
    numbers = [*shown["size"], *(n for node in shown["nodes"] for n in node[1:])]
    assert all(type(number) is int for number in numbers)


def test_a_small_graph_has_one_view():
    assert set(graph_of(chain(60))["views"]) == {"all"}


def test_siblings_are_folded_except_those_that_need_attention():
    edit = Cause(ReasonKind.CODE, "x", "x changed")
    outcomes = {"t3": (Outcome.STALE, (edit,)), "t4": (Outcome.FAILED, ()), "t5": (Outcome.RUNNING, ())}
    entries = [ReactorEntry(f"t{n}", *outcomes.get(f"t{n}", (Outcome.CACHED, ()))) for n in range(12)]
    snapshot = snapshot_of(
        ReactorEntry("load", Outcome.CACHED), *entries, edges={f"t{n}": {"load": ["x"]} for n in range(12)}
    )
    graph = graph_of(snapshot, opened={"t11"})
    assert [node[0] for node in graph["views"]["focus"]["nodes"]] == ["n0", "n4", "n5", "n12"]
    assert graph["views"]["focus"]["folds"][0]["label"] == "t"
    assert len(graph["views"]["all"]["nodes"]) == 13


def test_a_large_graph_has_a_focused_and_a_complete_view():
    graph = graph_of(chain(61, r30="stale"))
    assert graph["view"] == "focus"
    assert len(graph["views"]["all"]["nodes"]) == 61
    focus = graph["views"]["focus"]
    assert [node[0] for node in focus["nodes"]] == ["n29", "n30", "n31"]
    assert [(fold["id"], len(fold["members"])) for fold in focus["folds"]] == [("f0", 29), ("f1", 29)]
    ends = [edge[:2] for edge in focus["edges"]]
    assert sorted(ends) == [["f0", "n29"], ["n29", "n30"], ["n30", "n31"], ["n31", "f1"]]


def test_edges_of_folds_list_few_names():
    entries = [ReactorEntry(f"r{n}", Outcome.CACHED) for n in range(70)]
    entries[69] = ReactorEntry("r69", Outcome.STALE)
    edges = {"r0": {f"r{n}": [f"x{n}"] for n in range(1, 69)}, "r69": {"r0": ["y"]}}
    (line,) = [
        e for e in graph_of(snapshot_of(*entries, edges=edges))["views"]["focus"]["edges"] if e[0] == "f0"
    ]
    assert line[1] == "n0"
    assert line[2][-1] == "… and 60 more"
    assert len(line[2]) == 9


def test_unfolded_reactors_are_shown():
    snapshot = chain(100, r50="stale")
    opened = {"r1", "r2"}
    nodes = graph_of(snapshot, opened=opened)["views"]["focus"]["nodes"]
    assert [node[0] for node in nodes] == ["n0", "n1", "n2", "n49", "n50", "n51"]


def test_a_shown_reactor_stays_shown_when_it_is_computed():
    seen = {"r49", "r50", "r51"}
    nodes = graph_of(chain(100), seen=seen)["views"]["focus"]["nodes"]
    assert [node[0] for node in nodes] == ["n49", "n50", "n51"]


def test_the_size_of_a_box_does_not_depend_on_the_state():
    one, other = ReactorEntry("a", Outcome.NEW), ReactorEntry("a", Outcome.CACHED, (), 3000.0, 10**12, 1.0)
    assert graph_of(snapshot_of(one))["views"] == graph_of(snapshot_of(other))["views"]


# ---------------------------------------------------------------------- details


def details_of(*entries, **options):
    return payload.detail_data(snapshot_of(*entries, **options))


def test_reactors_without_details_are_left_out():
    assert details_of(ReactorEntry("a", Outcome.CACHED)) == {}


def test_a_cause_has_its_text_and_its_diff():
    cause = Cause(ReasonKind.CODE, "helper", "helper() changed", diff="-a\n+\tb")
    assert details_of(ReactorEntry("a", Outcome.STALE, (cause,)))["n0"] == {
        "cause": ["helper() changed", "code changed"],
        "causes": [{"text": "helper() changed", "diff": "-a\n+   b", "from": None}],
        "error": "",
        "notes": [],
        "reads": [],
    }


def test_a_changed_input_refers_to_its_sender():
    why = Cause(ReasonKind.CODE, "a", "its own code changed", diff="+secret")
    cause = Cause(ReasonKind.INPUT, "x", "ingredient 'x' changed, sent by 'a'", causes=(why,))
    entries = (ReactorEntry("a", Outcome.STALE, (why,)), ReactorEntry("b", Outcome.STALE, (cause,)))
    found = details_of(*entries, edges={"b": {"a": ["x"]}})
    root = {"text": "its own code changed", "id": "n0"}
    assert found["n1"]["causes"] == [{"text": cause.summary, "diff": "", "from": "n0", "root": root}]
    assert "secret" not in json.dumps(found["n1"])


def test_the_root_cause_is_that_of_the_first_sender():
    why = Cause(ReasonKind.CODE, "a", "helper() changed")
    passed = [Cause(ReasonKind.INPUT_UNKNOWN, name, f"ingredient {name!r} may change") for name in "xy"]
    entries = (
        ReactorEntry("a", Outcome.STALE, (why,)),
        ReactorEntry("b", Outcome.STALE, (passed[0],)),
        ReactorEntry("c", Outcome.STALE, (passed[1],)),
    )
    found = details_of(*entries, edges={"b": {"a": ["x"]}, "c": {"b": ["y"]}})
    (cause,) = found["n2"]["causes"]
    assert (cause["from"], cause["root"]) == ("n1", {"text": "helper() changed", "id": "n0"})
    assert "root" not in found["n0"]["causes"][0]


def test_the_root_cause_may_be_an_input_that_has_changed_and_is_told_once():
    changed = Cause(ReasonKind.INPUT, "x", "ingredient 'x' changed, sent by 'ran'")
    passed = [Cause(ReasonKind.INPUT_UNKNOWN, name, f"ingredient {name!r} may change") for name in "yz"]
    entries = (
        ReactorEntry("ran", Outcome.CACHED),
        ReactorEntry("a", Outcome.STALE, (changed,)),
        ReactorEntry("b", Outcome.STALE, tuple(passed)),
    )
    found = details_of(*entries, edges={"a": {"ran": ["x"]}, "b": {"a": ["y", "z"]}})
    one, other = found["n2"]["causes"]
    assert one["root"] == {"text": "ingredient 'x' changed, sent by 'ran'", "id": "n1"}
    assert "root" not in other
    assert "root" not in found["n1"]["causes"][0]


def test_the_root_cause_is_the_failure_of_a_sender():
    cause = Cause(ReasonKind.INPUT_UNKNOWN, "x", "ingredient 'x' may change")
    failed = ReactorEntry("a", Outcome.FAILED, error="KeyError: 'town'")
    found = details_of(failed, ReactorEntry("b", Outcome.STALE, (cause,)), edges={"b": {"a": ["x"]}})
    assert found["n1"]["causes"][0]["root"] == {"text": "its last run failed: KeyError: 'town'", "id": "n0"}


def test_a_parameter_with_the_name_of_an_ingredient_refers_to_no_sender():
    cause = Cause(ReasonKind.PARAMETER, "x", "parameter 'x' changed: 1 → 2")
    found = details_of(
        ReactorEntry("a", Outcome.NEW), ReactorEntry("b", Outcome.STALE, (cause,)), edges={"b": {"a": ["x"]}}
    )
    assert found["n1"]["causes"][0]["from"] is None


def test_only_reactors_that_are_stale_by_themselves_are_causes():
    edit, change = (Cause(kind, "x", "x changed") for kind in (ReasonKind.CODE, ReasonKind.INPUT))
    for entry, expected in [
        (ReactorEntry("a", Outcome.STALE, (change, edit)), ["x changed", "code changed"]),
        (ReactorEntry("a", Outcome.STALE, (change,)), []),
        (ReactorEntry("a", Outcome.STALE, (edit,), certain=False), []),
        (ReactorEntry("a", Outcome.NEW, (edit,)), []),
    ]:
        assert details_of(entry)["n0"]["cause"] == expected


def test_a_changed_parameter_has_a_text_with_its_values_that_fits_into_a_box():
    cause = Cause(ReasonKind.PARAMETER, "depth", "parameter 'depth' changed: 2 → 3", "2", "3")
    long = Cause(ReasonKind.PARAMETER, "x", "x" * 99, "2" * 99, "3")
    texts = [details_of(ReactorEntry("a", Outcome.STALE, (one,)))["n0"]["cause"] for one in (cause, long)]
    assert texts[0] == [
        "parameter 'depth' changed: 2 → 3",
        "depth: 2 → 3",
        "depth changed",
        "parameter changed",
    ]
    assert texts[1] == ["x changed", "parameter changed"]


def test_errors_and_notes_are_included():
    known = ReactorInfo("a", "a", notes=("lock m.lock",))
    found = details_of(ReactorEntry("a", Outcome.FAILED, error="ValueError: boom"), a=known)
    assert found == {
        "n0": {"cause": [], "causes": [], "error": "ValueError: boom", "notes": ["lock m.lock"], "reads": []}
    }


def test_a_failure_has_its_line():
    known = ReactorInfo(
        "a", "a", failure=Failure("ValueError: boom", 9.0, 3, "/tmp/1234.py", 5, "<cell line: 5>")
    )
    found = payload.detail_data(
        snapshot_of(ReactorEntry("a", Outcome.FAILED, error="ValueError: boom"), a=known),
        lambda _: "Cell In[3]",
    )["n0"]
    assert (found["error"], found["at"], found["times"]) == ("ValueError: boom", "Cell In[3], line 5", 3)


def test_causes_are_told_in_the_past_for_what_ran():
    new = Cause(ReasonKind.NEW, "a", "has no result yet")
    perhaps = Cause(ReasonKind.INPUT_UNKNOWN, "x", "ingredient 'x', sent by 'a', may change")
    (one, other) = details_of(ReactorEntry("a", Outcome.STALE, (new, perhaps)))["n0"]["causes"]
    assert (one["past"], other["past"]) == ("first run", "ingredient 'x', sent by 'a', may have changed")


def test_diffs_are_cut():
    cause = Cause(ReasonKind.CODE, "helper", "helper() changed", diff="+" + "x" * 100_000)
    (shown,) = details_of(ReactorEntry("a", Outcome.STALE, (cause,)))["n0"]["causes"]
    assert len(shown["diff"]) < 7000
    assert shown["diff"].endswith("…")


def test_the_total_size_of_diffs_is_limited():
    cause = Cause(ReasonKind.CODE, "helper", "helper() changed", diff="+" + "x" * 5000)
    found = details_of(*(ReactorEntry(f"r{n}", Outcome.STALE, (cause,)) for n in range(1000)))
    assert len(json.dumps(found)) < 400_000
    assert found["n0"]["causes"][0]["diff"]
    assert found["n999"]["causes"][0] == {
        "text": "helper() changed (see plant.explain('r999'))",
        "diff": "",
        "from": None,
    }


# ---------------------------------------------------------------------- hostile names


def test_names_and_texts_have_no_control_characters():
    known = ReactorInfo(
        HOSTILE, HOSTILE, HOSTILE, HOSTILE, False, (HOSTILE,), ((HOSTILE, "simple", 1),), (HOSTILE,)
    )
    cause = Cause(ReasonKind.CODE, HOSTILE, HOSTILE, diff=HOSTILE)
    entries = (ReactorEntry("a", Outcome.NEW), ReactorEntry(HOSTILE, Outcome.FAILED, (cause,), error=HOSTILE))
    snapshot = snapshot_of(*entries, edges={HOSTILE: {"a": [HOSTILE]}}, **{HOSTILE: known})
    text = json.dumps([graph_of(snapshot), payload.detail_data(snapshot)], ensure_ascii=False)
    text.encode()  # half a surrogate pair cannot be sent
    assert not {"\x1b", "\u202e", "\ud800"} & set(text)
    assert "evil\ufffdline" in text
