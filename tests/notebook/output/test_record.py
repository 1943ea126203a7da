"""The ordered list of outputs that a reactor showed."""

import json

import pytest

from pyplant.notebook.output import record as module
from pyplant.notebook.output.record import OutputRecord, apply_carriage_returns

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def record():
    return OutputRecord()


@pytest.fixture
def small(monkeypatch):
    """Limits of a hundred characters and bytes."""
    monkeypatch.setattr(module, "_MAX_TEXT", 100)
    monkeypatch.setattr(module, "_MAX_BUFFERED", 400)
    monkeypatch.setattr(module, "_MAX_DISPLAYS", 100)
    monkeypatch.setattr(module, "_LINE_SEARCH", 20)


def text(name, text):
    return {"output_type": "stream", "name": name, "text": text}


def shown(**data):
    return {"output_type": "display_data", "data": {"text/plain": "x", **data}, "metadata": {}}


def show(record, **data):
    record.display({"text/plain": "x", **data}, {})


# ------------------------------------------------------------------ text


def test_a_new_record_is_empty(record):
    assert record.outputs() == []


def test_consecutive_writes_to_one_stream_are_one_output(record):
    for stream, what in [("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")]:
        record.write(stream, what)
    assert record.outputs() == [text("stdout", "ab"), text("stderr", "c"), text("stdout", "d")]


def test_an_empty_write_does_not_part_the_lines_of_the_other_stream(record):
    record.write("stderr", "\r 50%")
    record.write("stdout", "")
    record.write("stderr", "\r100%\n")
    assert record.outputs() == [text("stderr", "100%\n")]


def test_displays_keep_their_place_between_texts(record):
    record.write("stdout", "a")
    show(record)
    record.write("stdout", "b")
    assert record.outputs() == [text("stdout", "a"), shown(), text("stdout", "b")]


@pytest.mark.parametrize(
    ("written", "seen"),
    [
        ("one\r\ntwo\r\n", "one\ntwo\n"),
        ("one\r\r\n", "one\n"),
        ("10%\r20%\r30%", "30%"),
        ("\r 0%|  |\r50%|# |\r100%|##|\n", "100%|##|\n"),
        ("longer\rshort", "shortr"),
        ("line\n1\r2\nline", "line\n2\nline"),
        ("100%\r", "100%"),
        ("long\r\x1b[Kx", "x"),
        ("long\r\x1b[2K\rx", "x"),
        ("\x1b[31mred\x1b[0m\rxyz", "xyz"),
        ("\x1b[31mreddish\x1b[0m\rxyz", "xyzdish"),
        ("outer\r\x1b[Ainner", "outer\r\x1b[Ainner"),
    ],
)
def test_overwritten_lines_are_recorded_in_their_final_form(written, seen):
    assert apply_carriage_returns(written) == seen


@pytest.mark.parametrize("cut", range(1, 24))
def test_overwriting_gives_the_same_text_when_it_is_applied_in_parts(cut):
    written = "ab\r\n12345\r1\r23\n\rlong\rx\r"
    assert apply_carriage_returns(
        apply_carriage_returns(written[:cut], is_partial=True) + written[cut:]
    ) == apply_carriage_returns(written)


def test_overwritten_progress_lines_do_not_accumulate(record, small):
    record.write("stdout", "before\n")
    for n in range(1000):
        record.write("stderr", f"\r{n:10}")
    record.write("stderr", "\n")
    assert record.outputs() == [text("stdout", "before\n"), text("stderr", f"{999:10}\n")]


def test_both_ends_of_long_text_are_recorded(record, small):
    for n in range(1000):
        record.write("stdout", f"{n:09}\n")
    [output] = record.outputs()
    lines = output["text"].splitlines()
    assert lines[:5] == [f"{n:09}" for n in range(5)]
    assert lines[5] == "[990 lines (9.9 kB) shown here, not recorded]"
    assert lines[6:] == [f"{n:09}" for n in range(995, 1000)]


def test_a_line_longer_than_the_limit_is_cut(record, small):
    record.write("stdout", "x" * 1000)
    [output] = record.outputs()
    assert output["text"].startswith("x" * 50 + "[0 lines (900 B) shown")
    assert output["text"].endswith("]\n" + "x" * 50)


def test_both_streams_share_the_limit_and_displays_stay(record, small):
    record.write("stdout", "a\n" * 30)
    show(record)
    record.write("stderr", "b\n" * 30)
    outputs = record.outputs()
    assert [output["output_type"] for output in outputs] == ["stream", "display_data", "stream"]
    assert outputs[0]["text"] == "a\n" * 25 + "[10 lines (20 B) shown here, not recorded]\n"
    assert outputs[2] == text("stderr", "b\n" * 25)


def test_appending_text_does_not_copy_earlier_text(record):
    record.write("stdout", "x")
    for _ in range(1000):
        record.write("stdout", "y")
    assert len(record._events[0].chunks) == 1001


# ------------------------------------------------------------------ displays


def test_an_updated_display_keeps_its_place(record):
    record.display({"text/plain": "old"}, {}, "id")
    record.write("stdout", "a")
    record.update({"text/plain": "new"}, {"m": 1}, "id")
    assert record.outputs() == [
        {
            "output_type": "display_data",
            "data": {"text/plain": "new"},
            "metadata": {"m": 1},
            "transient": {"display_id": "id"},
        },
        text("stdout", "a"),
    ]


def test_two_displays_with_one_id_have_the_same_content(record):
    record.display({"text/plain": "old"}, {}, "id")
    record.display({"text/plain": "new"}, {}, "id")
    assert [output["data"]["text/plain"] for output in record.outputs()] == ["new", "new"]


def test_an_update_of_an_unknown_id_is_ignored(record):
    record.update({"text/plain": "new"}, {}, "elsewhere")
    assert record.outputs() == []


def test_clearing_removes_all_outputs(record):
    record.write("stdout", "a")
    record.clear(wait=False)
    assert record.outputs() == []


def test_clearing_can_wait_for_the_next_output(record):
    record.write("stdout", "a")
    record.clear(wait=True)
    assert record.outputs() == [text("stdout", "a")]
    record.write("stdout", "b")
    record.write("stdout", "c")
    assert record.outputs() == [text("stdout", "bc")]


def test_outputs_can_be_written_as_json(record):
    record.display({"image/png": b"\x00\xff", "application/json": {1: {2.5}}}, {"size": (1, object)})
    [output] = record.outputs()
    assert json.loads(json.dumps(output)) == output
    assert output["data"]["image/png"] == "AP8="


def test_a_display_does_not_change_with_its_data_object(record):
    data = {"application/json": {"a": [1]}}
    record.display(data, {})
    data["application/json"]["a"].append(2)
    assert record.outputs()[0]["data"] == {"application/json": {"a": [1]}}


def test_displays_beyond_the_limit_are_replaced_by_a_note(record, small):
    for _ in range(2):
        show(record, **{"image/png": "p" * 60})
    assert [output["data"] for output in record.outputs()] == [
        {"text/plain": "x", "image/png": "p" * 60},
        {"text/plain": "[image/png, 61 B, was shown here and is not recorded]"},
    ]


def test_updates_of_a_display_count_once(record, small):
    for n in range(10):
        record.display({"text/plain": "p" * 60}, {}, "id") if n == 0 else record.update(
            {"text/plain": f"{n}" * 60}, {}, "id"
        )
    assert record.outputs()[0]["data"] == {"text/plain": "9" * 60}


def test_cleared_output_does_not_count(record, small):
    for _ in range(5):
        record.clear(wait=True)
        show(record, **{"image/png": "p" * 60})
    assert record.outputs() == [shown(**{"image/png": "p" * 60})]


# ------------------------------------------------------------------ widgets


class Widgets:
    """Stands in for the module in which ipywidgets keeps its widgets."""

    _instances = {}


@pytest.fixture
def widgets(monkeypatch):
    monkeypatch.setitem(module.sys.modules, "ipywidgets.widgets.widget", Widgets)
    monkeypatch.setattr(Widgets, "_instances", {"m": "now", "bad": type("Bad", (), {"__repr__": None})()})


@pytest.mark.parametrize(("model", "seen"), [("m", "'now'"), ("bad", "then")])
def test_a_widget_is_recorded_as_its_text(record, widgets, model, seen):
    record.display({"text/plain": "then", WIDGET: {"model_id": model}}, {})
    assert record.outputs()[0]["data"] == {"text/plain": f"{seen} (interactive, not replayed)"}


def test_a_closed_widget_is_not_recorded(record, widgets):
    record.display({"text/plain": "then", WIDGET: {"model_id": "closed"}}, {})
    assert record.outputs() == []


def test_a_line_is_overwritten_across_a_closed_widget(record, widgets):
    record.write("stderr", "\r 50%")
    record.display({"text/plain": "then", WIDGET: {"model_id": "closed"}}, {})
    record.write("stderr", "\r100%\n")
    assert record.outputs() == [text("stderr", "100%\n")]


def test_a_widget_of_another_library_is_recorded_with_its_first_text(record, monkeypatch):
    monkeypatch.delitem(module.sys.modules, "ipywidgets.widgets.widget", raising=False)
    record.display({"text/plain": "then", WIDGET: {"model_id": "m"}}, {})
    assert record.outputs()[0]["data"] == {"text/plain": "then (interactive, not replayed)"}
