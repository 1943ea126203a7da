"""Replaying recorded output."""

import io
import sys

import pytest

from pyplant.notebook.output import replay as module
from pyplant.notebook.output.recorder import Recorder
from tests.notebook.output.test_recorder import shown, write


class Stream(io.StringIO):
    """Adds flushed text to a common log."""

    def __init__(self, name, log):
        super().__init__()
        self.name, self.log = name, log

    def flush(self):
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        if text:
            self.log.append((self.name, text))


class Publisher:
    def __init__(self, log):
        self.log = log
        self.transients = []

    def publish(self, data, metadata=None, *, transient=None, update=False):
        sys.stdout.flush()
        sys.stderr.flush()
        self.log.append(("display", data, metadata))
        self.transients.append(transient)

    def clear_output(self, wait=False):
        raise NotImplementedError


class Shell:
    def __init__(self):
        self.log = []
        self.display_pub = Publisher(self.log)


@pytest.fixture
def shell():
    return Shell()


@pytest.fixture
def replay(monkeypatch):
    def replay(shell, events):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", Stream("stdout", shell.log))
            patch.setattr(sys, "stderr", Stream("stderr", shell.log))
            module.replay(shell, events)

    return replay


def test_outputs_are_replayed_in_order(shell, replay):
    replay(shell, [write("a\n"), write("b\n", "stderr"), shown("c"), write("d\n", "stderr"), write("e\n")])
    assert shell.log == [
        ("stdout", "a\n"),
        ("stderr", "b\n"),
        ("display", {"text/plain": "c"}, {}),
        ("stderr", "d\n"),
        ("stdout", "e\n"),
    ]


def test_displays_with_an_id_get_a_new_one(shell, replay):
    replay(shell, [{**shown("a"), "transient": {"display_id": "old"}}, shown("b")])
    [transient, nothing] = shell.display_pub.transients
    assert transient["display_id"] != "old"
    assert nothing is None


@pytest.mark.parametrize(
    "events",
    [
        [write("x\n" * 1001)],
        [write("x" * 200_001)],
        [write("x\n" * 600), write("x\n" * 600, "stderr")],
        [write("x\n", name) for _ in range(60) for name in ("stdout", "stderr")],
    ],
    ids=["lines", "characters", "together", "to and fro"],
)
def test_long_text_becomes_one_display(shell, replay, events):
    replay(shell, events)
    [(kind, data, _)] = shell.log
    assert kind == "display"
    assert set(data) == {"text/plain", "text/html"}


@pytest.mark.parametrize(
    "events",
    [
        [write("x\n" * 1000)],
        [write("x" * 200_000)],
        [write("x\n" * 600), shown("between"), write("x\n" * 600)],
    ],
)
def test_shorter_text_stays_text(shell, replay, events):
    replay(shell, events)
    assert len(shell.log) == len(events)


def test_a_collapsible_text_is_complete_and_escaped(shell, replay):
    lines = [f"<script>{n}</script>" for n in range(1100)]
    replay(shell, [write("\n".join(lines) + "\n"), write("\x1b[31m<oops>\x1b[0m\n", "stderr")])
    [(_, data, _)] = shell.log
    html = data["text/html"]
    assert html.startswith("<details><summary")
    assert ">1,101 lines of output (" in html
    assert "\n".join(f"&lt;script&gt;{n}&lt;/script&gt;" for n in range(1100)) in html
    assert "&lt;oops&gt;\n</span></pre></details>" in html
    assert "<script" not in html
    assert "\x1b" not in html


def test_the_plain_text_of_a_collapsible_shows_both_ends(shell, replay):
    replay(shell, [write("".join(f"line {n}\n" for n in range(2000)))])
    [(_, data, _)] = shell.log
    lines = data["text/plain"].splitlines()
    assert (lines[0], lines[19], lines[20], lines[21], lines[-1]) == (
        "line 0",
        "line 19",
        "[... 2,000 lines of output (18.9 kB) ...]",
        "line 1980",
        "line 1999",
    )


def test_the_plain_text_of_a_collapsible_shortens_long_lines(shell, replay):
    replay(shell, [write("x" * 300_000)])
    [(_, data, _)] = shell.log
    assert data["text/plain"] == "x" * 1000 + " [...]"


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        {"output_type": "error"},
        {"output_type": "stream", "name": "stdin", "text": "x"},
        {"output_type": "stream", "name": "stdout", "text": 7},
        {"output_type": "display_data", "data": [], "metadata": {}},
        {"output_type": "display_data", "data": {}},
    ],
)
def test_invalid_outputs_are_skipped(shell, replay, event):
    replay(shell, [event, write("a\n"), event])
    assert shell.log == [("stdout", "a\n")]


def test_a_failing_display_does_not_raise(shell, replay, monkeypatch, caplog):
    monkeypatch.setattr(Publisher, "publish", lambda *arguments: 1 / 0)
    replay(shell, [shown("a")])
    assert caplog.messages == ["Recorded output cannot be shown."]


def test_a_replay_within_a_step_is_output_of_that_step(shell):
    events = [write("a\n"), shown("b"), write("c\n", "stderr")]
    recording = Recorder(shell).record("r")
    with recording.step():
        module.replay(shell, events)
    assert recording.finish() == events
