"""Reports, as text of limited width and as escaped HTML."""

import json
import re
import time
from dataclasses import replace

import pytest

from pyplant import Plant, ReactorFunc
from pyplant._formatting import format_age, format_date, format_seconds, format_size
from pyplant.cli.output import to_json_value
from pyplant.engine.verdict import ReasonKind
from pyplant.reports.explain import Cause
from pyplant.reports.report import (
    ICONS,
    Explanation,
    History,
    HistoryEntry,
    Outcome,
    Plan,
    ReactorEntry,
    RunReport,
    Status,
)
from tests.conftest import ROOT

DIFF = "-    return x\n+    return x + 1"
CAUSE = Cause(ReasonKind.CODE, "helper", "helper() changed", diff=DIFF)
RAN = ReactorEntry("features", Outcome.RAN, (CAUSE,), seconds=1.5)
CACHED = ReactorEntry("load", Outcome.CACHED, seconds=40.0, size=2048)
FAILED = ReactorEntry("plot", Outcome.FAILED, error="ValueError: boom")


@pytest.fixture
def report():
    return RunReport("plot", (CACHED, RAN, FAILED, ReactorEntry("publish", Outcome.SKIPPED)), 2.0)


def test_a_run_report_names_what_ran_and_what_did_not(report):
    assert report.ran == ("features",)
    assert report.cached == ("load",)
    assert report.failed == ("plot",)
    assert report.skipped == ("publish",)


def test_a_run_report_adds_up_the_time_that_was_saved(report):
    assert report.saved == 40.0
    assert "saved 40.0 s" in report.title()


def test_an_entry_is_found_by_its_name(report):
    assert report["features"] is RAN
    with pytest.raises(KeyError):
        report["nothing"]


def test_the_text_shows_the_reason_and_its_diff(report):
    text = report.text()
    assert "helper() changed" in text
    assert "+    return x + 1" in text
    assert "ValueError: boom" in text


def test_no_line_of_text_is_wider_than_asked_for():
    cause = Cause(
        ReasonKind.PARAMETER, "p", "parameter 'p' changed: " + "very long words " * 20, diff="+" + "x" * 200
    )
    entry = ReactorEntry("a" * 70, Outcome.STALE, (cause,), seconds=3, finished=time.time(), size=5)
    status = Status((entry,), "")
    assert max(map(len, status.text(80).splitlines())) <= 80
    assert max(map(len, status.text(40).splitlines())) <= 40


def test_many_cached_reactors_take_one_line():
    entries = tuple(ReactorEntry(f"r{n}", Outcome.CACHED, seconds=1) for n in range(100))
    lines = RunReport("r99", entries, 0.1).text().splitlines()
    assert len(lines) <= 4
    assert "and 92 more" in " ".join(lines)


def test_html_escapes_hostile_names():
    entry = ReactorEntry(
        "<script>alert(1)</script>", Outcome.STALE, (Cause(ReasonKind.NEW, "", "<img src=x>"),)
    )
    html = Status((entry,))._repr_html_()
    assert "<script>" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_control_and_direction_characters_do_not_reach_the_terminal():
    entry = ReactorEntry("a\x1b[31mb\u202ec", Outcome.NEW)
    assert "\x1b" not in Status((entry,)).text()
    assert "\u202e" not in Status((entry,)).text()


def test_text_and_html_say_the_same(report):
    html = report._repr_html_()
    for word in ("features", "helper() changed", "ValueError: boom", "publish"):
        assert word in html
        assert word in report.text()


def test_a_status_counts_its_reactors():
    status = Status((CACHED, ReactorEntry("b", Outcome.NEW), ReactorEntry("c", Outcome.NEW)))
    assert status.title() == "3 reactors: 2 new, 1 cached"
    assert len(status) == 3
    assert [entry.name for entry in status] == ["load", "b", "c"]
    assert Status(()).title() == "No reactors are defined."


def test_a_plan_distinguishes_certain_and_possible_runs():
    perhaps = ReactorEntry("plot", Outcome.STALE, certain=False)
    plan = Plan("plot", (CACHED, ReactorEntry("features", Outcome.STALE), perhaps))
    assert plan.will_run == ("features",)
    assert plan.may_run == ("plot",)
    assert plan.cached == ("load",)
    assert "plot (perhaps)" in plan.text()


def test_an_explanation_of_what_is_up_to_date_says_so():
    assert "load is up to date" in Explanation(CACHED).title()
    assert Explanation(ReactorEntry("b", Outcome.STALE)).title() == "b would run"
    assert "not followed: a global" in Explanation(CACHED, ("a global",)).text()


def test_a_history_lists_executions():
    entries = (HistoryEntry(0.0, 1.0, "host", "f" * 40, {"color": "'red'"}),)
    history = History("plot", entries)
    assert history[0].parameters == {"color": "'red'"}
    assert "1 stored execution" in history.title()
    assert "color='red'" in history.text()


def test_deeply_nested_causes_render():
    cause = Cause(ReasonKind.NEW, "", "has no result yet")
    for level in range(5000):
        cause = Cause(ReasonKind.INPUT, f"x{level}", f"ingredient x{level} changed", causes=(cause,))
    entry = ReactorEntry("deep", Outcome.STALE, (cause,))
    assert "x4999" in Status((entry,)).text()
    assert "x4999" in Status((entry,))._repr_html_()
    assert "x4999" in repr(entry)


def test_the_edit_at_the_end_of_a_long_chain_is_shown():
    cause = Cause(ReasonKind.PARAMETER, "p", "parameter 'p' changed: 1 → 2")
    for level in range(500):
        cause = Cause(ReasonKind.INPUT, f"x{level}", f"ingredient x{level} changed", causes=(cause,))
    explanation = Explanation(ReactorEntry("deep", Outcome.STALE, (cause,)))
    assert "parameter 'p' changed: 1 → 2" in explanation.text()
    assert "parameter &#x27;p&#x27; changed" in explanation._repr_html_()


@pytest.fixture(params=["status", "plan", "run", "explanation"])
def told(request):
    """A report on layers of reactors, each receiving from all of the layer before, and the number of reactors."""
    edit = Cause(ReasonKind.PARAMETER, "p", "parameter 'p' changed: 1 → 2", diff=DIFF)
    layers = [[ReactorEntry("start", Outcome.STALE, (edit,))]]
    for level in range(20):
        before = layers[-1]
        layers.append([])
        for place in range(4):
            inputs = [
                Cause(ReasonKind.INPUT, e.name, f"ingredient of {e.name} changed", causes=e.causes)
                for e in before
            ]
            layers[-1].append(ReactorEntry(f"{level}-{place}", Outcome.STALE, tuple(inputs)))
    entries = tuple(entry for layer in layers for entry in layer)
    return {
        "status": Status(entries),
        "plan": Plan("plot", entries),
        "run": RunReport("plot", entries, 1.0),
        "explanation": Explanation(entries[-1]),
    }[request.param]


def test_a_cause_is_listed_once_for_any_number_of_paths(told):
    text, html = told.text(), told._repr_html_()
    for shown in (text, html):
        assert 1 <= shown.count("1 → 2") <= 2
        assert shown.count("x + 1") == 1
        assert shown.count("ingredient of") <= 4 * 4 * 20
    assert len(text.splitlines()) < 5 * 81 + 20


def test_the_json_of_a_report_lists_a_cause_once(told):
    text = json.dumps(to_json_value(told))
    assert 1 <= text.count(r"1 \u2192 2") <= 4
    assert len(text) < 300_000


def test_a_diff_is_shown_once_in_html():
    entries = [ReactorEntry(f"r{n}", Outcome.STALE, (CAUSE,)) for n in range(3)]
    html = Status(tuple(entries))._repr_html_()
    assert html.count("x + 1") == 1
    assert html.count("(see above)") == 2


def test_a_diff_that_was_shown_takes_no_line():
    entries = [ReactorEntry(f"r{n}", Outcome.STALE, (CAUSE,)) for n in range(3)]
    lines = Status(tuple(entries)).text().splitlines()
    assert sum(line.endswith(f"{CAUSE.summary} (see above)") for line in lines) == 2
    assert len(lines) == 1 + 3 * 2 + len(CAUSE.diff.splitlines())


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.SKIPPED])
def test_no_time_is_told_of_a_reactor_that_did_not_finish(outcome):
    entry = ReactorEntry("fails", outcome, (Cause(ReasonKind.NEW, "", "first run"),))
    text = RunReport("fails", (entry,), 2.0).text()
    assert text.splitlines()[1].split() == [ICONS[outcome], "fails", "first", "run"]
    assert "0 ms" not in RunReport("fails", (replace(entry, causes=()),), 2.0).text()


# The front end is held to the same texts by tests/javascript/format.test.js.
TEXTS = json.loads((ROOT / "tests" / "javascript" / "texts.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("seconds", "text"), TEXTS["durations"])
def test_durations_are_short(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(("size", "text"), TEXTS["sizes"])
def test_sizes_are_short(size, text):
    assert format_size(size) == text


@pytest.mark.parametrize(("age", "text"), TEXTS["ages"])
def test_ages_are_short(age, text, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert format_age(1e9 - age) == text


def test_a_time_out_of_range_has_a_text():
    assert format_date(0).startswith(("1969-12-31", "1970-01-01"))
    assert [format_date(moment) for moment in (float("nan"), 1e300)] == ["at an unknown time"] * 2


def test_the_html_of_a_plant_shows_its_directory_size_and_states(tmp_path):
    @ReactorFunc
    def load(pipe):
        pipe.send("data", [1, 2, 3])

    with Plant(tmp_path / "<b>") as plant:
        plant.add_reactor(load)
        plant.run_reactor("load")
        html = plant._repr_html_()
        assert "&lt;b&gt;" in html
        assert "<b>" not in html
        assert "1 stored execution" in html
        assert "1 reactor: 1 cached" in html
        assert "load" in html
    assert "closed" in plant._repr_html_()


def test_without_a_style_sheet_cells_stay_separate():
    """Untrusted notebooks remove style sheets; then only the cells of the table separate name and time."""
    cause = Cause(
        ReasonKind.CODE, "f", "f() changed", diff="-a\n+b", causes=(Cause(ReasonKind.NEW, "", "deeper"),)
    )
    entries = (
        ReactorEntry("load", Outcome.CACHED, seconds=2.5, finished=1.0),
        ReactorEntry("b", Outcome.STALE, (cause,)),
    )
    html = re.sub(r"<style>.*?</style>", "", Status(entries)._repr_html_())
    rows = [
        re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
        for row in re.findall(r"<tr.*?</tr>", html, re.DOTALL)
    ]
    texts = [[re.sub("<[^>]*>", "", cell) for cell in row[:2]] for row in rows]
    assert texts[:2] == [["✓", "load"], ["◐", "b"]]
    assert rows[0][2].startswith("2.5 s")
    assert "<div" in rows[2][1].partition("f() changed")[2]  # what is deeper begins a line of its own


def test_screen_readers_read_states_instead_of_icons():
    html = Status((ReactorEntry("load", Outcome.CACHED),))._repr_html_()
    assert 'role="img" aria-label="cached"' in html


def test_tables_among_blocks_stay_in_order():
    from pyplant.reports.blocks import Block, as_html
    from pyplant.reports.table import Row, Table

    html = as_html(
        "title", [Block("before"), Table(("head",), (Row("✓", "ran", ("cell",)),)), Block("after")]
    )
    places = [html.index(text) for text in (">title<", ">before<", ">head<", ">cell<", ">after<")]
    assert places == sorted(places)
