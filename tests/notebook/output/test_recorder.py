"""Taking down what reactors show, with streams and a shell that can be looked into."""

import contextlib
import io
import logging
import os
import random
import subprocess
import sys
import textwrap
import threading

import pytest

from pyplant.errors import PlantWarning
from pyplant.notebook.output import recorder as module
from pyplant.notebook.output.recorder import Recorder
from tests.conformance.helpers import environment


class Publisher:
    """Notes what is published; displays are text as well, as in a terminal."""

    def __init__(self):
        self.published = []

    def publish(self, data, metadata=None, *, transient=None, update=False):
        self.published.append("update" if update else data["text/plain"])
        print(f"<{data['text/plain']}>")

    def clear_output(self, wait=False):
        self.published.append("clear")
        print("\x1b[2K\r", end="")


class Shell:
    def __init__(self):
        self.display_pub = Publisher()


@pytest.fixture
def shell():
    return Shell()


@pytest.fixture
def recorder(shell, capsys):
    return Recorder(shell)


def write(text, stream="stdout"):
    return {"output_type": "stream", "name": stream, "text": text}


def shown(text):
    return {"output_type": "display_data", "data": {"text/plain": text}, "metadata": {}}


def is_changed(stream):
    return "write" in vars(stream)


# ------------------------------------------------------------------ what is taken down


def test_what_is_shown_in_a_step_is_recorded_and_shown(recorder, shell, capsys):
    recording = recorder.record("r")
    with recording.step():
        print("out")
        print("err", file=sys.stderr)
        shell.display_pub.publish({"text/plain": "display"})
        print("end")
    assert recording.finish() == [write("out\n"), write("err\n", "stderr"), shown("display"), write("end\n")]
    assert capsys.readouterr() == ("out\n<display>\nend\n", "err\n")


def test_what_is_shown_outside_of_steps_is_not(recorder):
    recording = recorder.record("r")
    print("before")
    with recording.step():
        pass
    print("between")
    with recording.step():
        print("inside")
    assert recording.finish() == [write("inside\n")]
    print("after")
    assert recording.finish() == [write("inside\n")]


def test_each_recording_has_its_own(recorder):
    one, two = recorder.record("one"), recorder.record("two")
    for recording, text in [(one, "1"), (two, "2"), (one, "3")]:
        with recording.step():
            print(text)
    assert one.finish() == [write("1\n3\n")]
    assert two.finish() == [write("2\n")]


def test_a_step_within_a_step_has_its_own(recorder):
    outer, inner = recorder.record("outer"), recorder.record("inner")
    with outer.step():
        print("a")
        with inner.step():
            print("b")
        print("c")
    assert outer.finish() == [write("a\nc\n")]
    assert inner.finish() == [write("b\n")]


def test_updates_and_clearing_are_followed(recorder, shell):
    recording = recorder.record("r")
    with recording.step():
        print("gone")
        shell.display_pub.clear_output(wait=True)
        shell.display_pub.publish({"text/plain": "old"}, transient={"display_id": "i"})
        shell.display_pub.publish({"text/plain": "new"}, transient={"display_id": "i"}, update=True)
    assert recording.finish() == [{**shown("new"), "transient": {"display_id": "i"}}]
    assert shell.display_pub.published == ["clear", "old", "update"]


def test_a_handler_that_holds_the_stream_counts(recorder):
    handler = logging.StreamHandler(sys.stderr)
    recording = recorder.record("r")
    with recording.step():
        handler.emit(logging.LogRecord("a", logging.INFO, "", 1, "logged", (), None))
    assert recording.finish() == [write("logged\n", "stderr")]


def test_other_threads_count(recorder):
    recording = recorder.record("r")
    with recording.step():
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
    assert recording.finish() == [write("thread\n")]


def test_text_that_is_redirected_is_not_shown(recorder):
    recording = recorder.record("r")
    with recording.step(), contextlib.redirect_stdout(io.StringIO()):
        print("elsewhere")
    assert recording.finish() == []


def test_one_stream_for_both_is_recorded_once(recorder, monkeypatch):
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    recording = recorder.record("r")
    with recording.step():
        print("once", file=sys.stderr)
    assert recording.finish() == [write("once\n")]


def test_streams_are_looked_for_in_each_step(recorder, monkeypatch):
    recording = recorder.record("r")
    with recording.step():
        print("a")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with recording.step():
        print("b")
    assert recording.finish() == [write("a\nb\n")]


def test_the_last_expression_is_displayed(recorder, monkeypatch):
    display = pytest.importorskip("IPython.display")
    monkeypatch.setattr(display, "display", lambda value: print("displayed", value))
    recording = recorder.record("r")
    with recording.step():
        recording.show(7)
        recording.show(None)
    assert recording.finish() == [write("displayed 7\n")]


# ------------------------------------------------------------------ what is left as it was


def test_streams_are_as_they_were_after_a_run(recorder, shell, capsys):
    below = sys.stdout.write

    def theirs(text):
        return below(text.upper())

    sys.stdout.write = theirs  # as IPython does for the time of a cell
    one, two = recorder.record("one"), recorder.record("two")
    for recording in (one, two):
        with recording.step():
            print("a")
    print("outside")
    assert one.finish() == [write("a\n")]
    two.abandon()
    recorder.rest()
    assert sys.stdout.write is theirs
    assert not is_changed(sys.stderr)
    assert set(vars(shell.display_pub)) == {"published"}
    assert capsys.readouterr().out == "A\n<TWO>\nA\nOUTSIDE\n"


def test_streams_are_as_they_were_after_an_error(recorder):
    recording = recorder.record("r")
    with pytest.raises(ZeroDivisionError), recording.step():
        1 / 0
    recording.abandon()
    recorder.rest()
    assert not is_changed(sys.stdout)
    assert not is_changed(sys.stderr)


def test_a_write_replaced_in_a_reactor_stays_replaced(recorder, capsys):
    def install():
        below = sys.stdout.write
        sys.stdout.write = theirs = lambda text: below(f"[{text}]") if text.strip() else below(text)
        return theirs

    recording = recorder.record("r")
    with recording.step():
        theirs = install()
        print("a")
    print("outside")
    with recording.step():
        print("b")
    assert recording.finish() == [write("[a]\nb\n")]
    recorder.rest()
    assert sys.stdout.write is theirs
    print("after")
    assert capsys.readouterr().out == "[a]\n[outside]\n[b]\n[after]\n"


def test_an_interceptor_that_is_put_back_later_does_nothing(recorder, capsys):
    recording = recorder.record("r")
    with recording.step():
        kept = sys.stdout.write
    sys.stdout.write = kept
    print("outside")
    with recording.step():
        print("inside")
    assert recording.finish() == [write("inside\n")]
    assert capsys.readouterr().out == "outside\ninside\n"


def test_an_interrupt_between_steps_leaves_nothing(recorder):
    recording = recorder.record("r")
    recording.__enter__()  # and then the interrupt, before `with` had it
    recording.abandon()
    recorder.rest()
    assert not is_changed(sys.stdout)
    assert recorder.active is None


def test_a_run_that_ends_within_a_step_leaves_the_step_recorded(recorder):
    outer, inner = recorder.record("outer"), recorder.record("inner")
    with outer.step():
        with inner.step():
            pass
        recorder.rest()
        print("outer")
    assert outer.finish() == [write("outer\n")]
    recorder.rest()
    assert not is_changed(sys.stdout)


def test_another_run_is_recorded_as_well(recorder):
    for text in "ab":
        recording = recorder.record("r")
        with recording.step():
            print(text)
        assert recording.finish() == [write(f"{text}\n")]
        recorder.rest()


@pytest.mark.parametrize("stream", [None, object(), type("Slotted", (), {"__slots__": ("write",)})()])
def test_what_takes_no_tap_is_not_recorded(recorder, monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    recording = recorder.record("r")
    with recording.step():
        print("err", file=sys.stderr)
    assert recording.finish() == [write("err\n", "stderr")]


def test_an_error_of_the_stream_is_its_own(recorder):
    recording = recorder.record("r")
    with recording.step(), pytest.raises(TypeError):
        sys.stdout.write(b"bytes")
    assert recording.finish() == []


@pytest.mark.parametrize("broken", ["write", "outputs"])
def test_a_recording_that_fails_stops_nothing(recorder, monkeypatch, caplog, broken, capsys):
    monkeypatch.setattr(module.Record, broken, lambda *arguments: 1 / 0)
    recording = recorder.record("r")
    with recording.step():
        print("a")
        print("b")
    assert recording.finish() == []
    assert capsys.readouterr().out == "a\nb\n"
    assert [entry.message for entry in caplog.records] == ["What 'r' shows cannot be taken down."]


@pytest.mark.parametrize(
    ("owner", "name"),
    [(Recorder, "enter"), (Recorder, "leave"), (Recorder, "settle"), (module.Figures, "enter")],
)
def test_steps_that_cannot_be_watched_run(recorder, monkeypatch, owner, name):
    monkeypatch.setattr(owner, name, lambda *arguments: 1 / 0)
    recording = recorder.record("r")
    ran = False
    with recording.step():
        ran = True
    recording.finish()
    assert ran


# ------------------------------------------------------------------ headings


def test_the_heading_comes_before_the_first_thing_shown_and_is_not_recorded(recorder, shell, capsys):
    recording = recorder.record("r", heading="<above>")
    with recording.step():
        assert shell.display_pub.published == []
        print("a")
        print("b")
    assert recording.finish() == [write("a\nb\n")]
    assert shell.display_pub.published == ["<above>"]
    assert capsys.readouterr().out == "<<above>>\na\nb\n"


def test_the_heading_comes_before_a_display(recorder, shell):
    recording = recorder.record("r", heading="above")
    with recording.step():
        shell.display_pub.publish({"text/plain": "x"})
    assert shell.display_pub.published == ["above", "x"]


def test_the_heading_comes_again_when_others_showed_something(recorder, shell):
    one, two = recorder.record("one", heading="1"), recorder.record("two", heading="2")
    for recording in (one, one, two, one):
        with recording.step():
            print("x")
    assert shell.display_pub.published == ["1", "2", "1"]


def test_without_a_heading_its_name_stands_above_what_it_shows_after_another(recorder, shell):
    target, other = recorder.record("target"), recorder.record("other", heading="other")
    for recording in (target, other, target):
        with recording.step():
            print("x")
    assert shell.display_pub.published == ["other", "target"]


def test_another_cell_needs_no_name_above_its_target(recorder, shell):
    for name in ("target", "again"):
        recorder.cleared()  # as the console says before each cell
        with recorder.record(name).step():
            print("x")
    assert shell.display_pub.published == []


def test_the_heading_comes_again_after_clearing(recorder, shell):
    recording = recorder.record("r", heading="h")
    with recording.step():
        print("x")
        shell.display_pub.clear_output(wait=True)
        print("y")
    assert shell.display_pub.published == ["h", "clear", "h"]


def test_what_shows_nothing_has_no_heading(recorder, shell):
    recording = recorder.record("r", heading="h")
    with recording.step():
        print(end="")
        shell.display_pub.publish({"text/plain": "x"}, update=True)
    assert recording.finish() == []
    assert shell.display_pub.published == ["update"]


def test_a_heading_that_cannot_be_shown_stops_nothing(recorder, shell, monkeypatch):
    monkeypatch.setattr(Publisher, "publish", lambda *arguments, **options: 1 / 0)
    recording = recorder.record("r", heading="h")
    with recording.step():
        print("x")
    assert recording.finish() == [write("x\n")]


# ------------------------------------------------------------------ the order of other processes


class Fence:
    """Something is always under way; it arrives when it is waited for."""

    def __init__(self):
        self.process, self.thread, self.late = os.getpid(), None, []

    def may_be_under_way(self, seconds):
        return bool(self.late)

    def wait(self):
        self.thread = threading.get_ident()
        while self.late:
            sys.stdout.write(self.late.pop(0))
        self.thread = None

    def without_marker(self, text):
        return text, False


@pytest.fixture
def fence(monkeypatch):
    fence = Fence()
    monkeypatch.setattr(module.Fence, "of", lambda stream: fence if stream is sys.stdout else None)
    return fence


def test_what_arrives_late_belongs_to_the_step(recorder, fence):
    recording = recorder.record("r")
    with recording.step():
        fence.late.append("late")
    assert recording.finish() == [write("late")]


@pytest.mark.parametrize("by", ["print", "display"])
def test_what_others_wrote_before_comes_before(recorder, shell, fence, monkeypatch, by):
    monkeypatch.setattr(module, "_TOGETHER", 0.0)
    recording = recorder.record("r")
    with recording.step():
        fence.late.append("first\n")
        if by == "print":
            print("second")
            assert recording._record.outputs() == [write("first\nsecond\n")]
        else:
            shell.display_pub.publish({"text/plain": "second"})
            assert recording._record.outputs() == [write("first\n"), shown("second")]


def test_a_print_right_after_another_waits_for_nothing(recorder, fence, monkeypatch):
    monkeypatch.setattr(module, "_TOGETHER", 1000.0)
    recording = recorder.record("r")
    with recording.step():
        fence.late.append("late\n")
        print("at once")
    assert recording.finish() == [write("at once\nlate\n")]


def test_a_forked_process_writes_through_the_pipe(recorder, fence):
    wrote = []
    fence.write_in_child = wrote.append
    recording = recorder.record("r")
    with recording.step():
        fence.process = -1  # so this is another
        sys.stdout.write("text")
        fence.process = os.getpid()
    assert wrote == ["text"]
    assert recording.finish() == []


# ------------------------------------------------------------------ random state


def uses_random_state(recorder, action, name="r"):
    recording = recorder.record(name)
    with recording.step():
        action()
    return recording


def test_a_changed_random_state_is_warned_about_once_for_each_reactor(recorder):
    for name in ("r", "s"):
        recording = uses_random_state(recorder, random.random, name)
        with pytest.warns(PlantWarning, match=f"'{name}' changed the global random state of random"):
            recording.finish()
    recording = uses_random_state(recorder, random.random)
    recording.finish()  # a second warning would be an error
    assert recording.notes == ("the global random state of random",)


def test_random_state_that_changes_between_runs_is_not_the_reactors(recorder):
    uses_random_state(recorder, lambda: None).finish()
    recorder.rest()
    random.seed(1)
    recording = uses_random_state(recorder, lambda: None)
    recording.finish()
    assert recording.notes == ()


def test_a_reactor_that_fails_is_not_warned_about(recorder):
    uses_random_state(recorder, random.random).abandon()


# ------------------------------------------------------------------ without a kernel


TERMINAL = """
    import json, os, sys
    from IPython.core.interactiveshell import InteractiveShell
    from pyplant.notebook.output.recorder import Recorder
    from pyplant.notebook.output.replay import replay

    shell = InteractiveShell.instance()
    shell.user_ns.update(recorder=Recorder(shell), replay=replay)
    shell.run_cell('''
    from IPython.display import HTML, display
    recording = recorder.record("r", heading="heading")
    with recording.step():
        print("text")
        display(HTML("<b>html</b>"))
    kept = recording.finish()
    print("again")
    replay(get_ipython(), kept)
    ''')
    print(json.dumps(shell.user_ns["kept"]))
"""


def test_a_terminal_shows_and_records_as_well(tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TERMINAL)],
        env=environment(IPYTHONDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=True,
    )
    html = "<IPython.core.display.HTML object>"
    *lines, kept = process.stdout.splitlines()
    assert lines == ["heading", "text", html, "again", "text", html]
    assert kept.startswith('[{"output_type": "stream", "name": "stdout", "text": "text\\n"}, ')
    assert kept.count("output_type") == 2
