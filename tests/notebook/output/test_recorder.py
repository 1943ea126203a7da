"""Recording the output of reactors, with streams and a shell that tests can inspect."""

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
    """Notes what is published, and prints displays as text, like a terminal."""

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


# ------------------------------------------------------------------ what is recorded


def test_output_in_a_step_is_recorded_and_shown(recorder, shell, capsys):
    recording = recorder.record("r")
    with recording.step():
        print("out")
        print("err", file=sys.stderr)
        shell.display_pub.publish({"text/plain": "display"})
        print("end")
    assert recording.finish() == [write("out\n"), write("err\n", "stderr"), shown("display"), write("end\n")]
    assert capsys.readouterr() == ("out\n<display>\nend\n", "err\n")


def test_output_outside_of_steps_is_not_recorded(recorder):
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


def test_recordings_are_separate(recorder):
    one, two = recorder.record("one"), recorder.record("two")
    for recording, text in [(one, "1"), (two, "2"), (one, "3")]:
        with recording.step():
            print(text)
    assert one.finish() == [write("1\n3\n")]
    assert two.finish() == [write("2\n")]


def test_a_nested_step_has_its_own_recording(recorder):
    outer, inner = recorder.record("outer"), recorder.record("inner")
    with outer.step():
        print("a")
        with inner.step():
            print("b")
        print("c")
    assert outer.finish() == [write("a\nc\n")]
    assert inner.finish() == [write("b\n")]


def test_updates_and_clearing_are_applied(recorder, shell):
    recording = recorder.record("r")
    with recording.step():
        print("gone")
        shell.display_pub.clear_output(wait=True)
        shell.display_pub.publish({"text/plain": "old"}, transient={"display_id": "i"})
        shell.display_pub.publish({"text/plain": "new"}, transient={"display_id": "i"}, update=True)
    assert recording.finish() == [{**shown("new"), "transient": {"display_id": "i"}}]
    assert shell.display_pub.published == ["clear", "old", "update"]


def test_output_of_a_log_handler_is_recorded(recorder):
    handler = logging.StreamHandler(sys.stderr)
    recording = recorder.record("r")
    with recording.step():
        handler.emit(logging.LogRecord("a", logging.INFO, "", 1, "logged", (), None))
    assert recording.finish() == [write("logged\n", "stderr")]


def test_output_of_other_threads_is_recorded(recorder):
    recording = recorder.record("r")
    with recording.step():
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
    assert recording.finish() == [write("thread\n")]


def test_redirected_text_is_not_recorded(recorder):
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


def test_streams_that_were_replaced_between_steps_are_recorded(recorder, monkeypatch):
    recording = recorder.record("r")
    with recording.step():
        print("a")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with recording.step():
        print("b")
    assert recording.finish() == [write("a\nb\n")]


# ------------------------------------------------------------------ what is restored


def test_streams_are_restored_after_a_run(recorder, shell, capsys):
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
    recorder.end_run()
    assert sys.stdout.write is theirs
    assert not is_changed(sys.stderr)
    assert set(vars(shell.display_pub)) == {"published"}
    assert capsys.readouterr().out == "A\n<TWO>\nA\nOUTSIDE\n"


def test_streams_are_restored_after_an_error(recorder):
    recording = recorder.record("r")
    with pytest.raises(ZeroDivisionError), recording.step():
        1 / 0
    recording.abandon()
    recorder.end_run()
    assert not is_changed(sys.stdout)
    assert not is_changed(sys.stderr)


def test_a_write_that_a_reactor_installed_stays_installed(recorder, capsys):
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
    recorder.end_run()
    assert sys.stdout.write is theirs
    print("after")
    assert capsys.readouterr().out == "[a]\n[outside]\n[b]\n[after]\n"


def test_an_interceptor_that_other_code_installs_again_only_forwards(recorder, capsys):
    recording = recorder.record("r")
    with recording.step():
        kept = sys.stdout.write
    sys.stdout.write = kept
    print("outside")
    with recording.step():
        print("inside")
    assert recording.finish() == [write("inside\n")]
    assert capsys.readouterr().out == "outside\ninside\n"


def test_an_interrupt_between_steps_leaves_no_interceptor(recorder):
    recording = recorder.record("r")
    recording.__enter__()  # interrupted before `with` owns it
    recording.abandon()
    recorder.end_run()
    assert not is_changed(sys.stdout)
    assert recorder.active is None


def test_a_run_that_ends_within_a_step_does_not_end_its_recording(recorder):
    outer, inner = recorder.record("outer"), recorder.record("inner")
    with outer.step():
        with inner.step():
            pass
        recorder.end_run()
        print("outer")
    assert outer.finish() == [write("outer\n")]
    recorder.end_run()
    assert not is_changed(sys.stdout)


def test_the_next_run_is_recorded(recorder):
    for text in "ab":
        recording = recorder.record("r")
        with recording.step():
            print(text)
        assert recording.finish() == [write(f"{text}\n")]
        recorder.end_run()


@pytest.mark.parametrize("stream", [None, object(), type("Slotted", (), {"__slots__": ("write",)})()])
def test_streams_that_cannot_be_intercepted_are_not_recorded(recorder, monkeypatch, stream):
    monkeypatch.setattr(sys, "stdout", stream)
    recording = recorder.record("r")
    with recording.step():
        print("err", file=sys.stderr)
    assert recording.finish() == [write("err\n", "stderr")]


def test_an_error_of_the_stream_is_raised(recorder):
    recording = recorder.record("r")
    with recording.step(), pytest.raises(TypeError):
        sys.stdout.write(b"bytes")
    assert recording.finish() == []


@pytest.mark.parametrize("broken", ["write", "outputs"])
def test_a_failing_recording_does_not_stop_the_reactor(recorder, monkeypatch, caplog, broken, capsys):
    monkeypatch.setattr(module.OutputRecord, broken, lambda *arguments: 1 / 0)
    recording = recorder.record("r")
    with recording.step():
        print("a")
        print("b")
    assert recording.finish() == []
    assert capsys.readouterr().out == "a\nb\n"
    assert [entry.message for entry in caplog.records] == ["The output of 'r' cannot be recorded."]


@pytest.mark.parametrize(
    ("owner", "name"),
    [(Recorder, "enter"), (Recorder, "leave"), (Recorder, "drain"), (module.Figures, "enter")],
)
def test_steps_that_cannot_be_recorded_run(recorder, monkeypatch, owner, name):
    monkeypatch.setattr(owner, name, lambda *arguments: 1 / 0)
    recording = recorder.record("r")
    ran = False
    with recording.step():
        ran = True
    recording.finish()
    assert ran


# ------------------------------------------------------------------ headings


def test_the_heading_comes_before_the_first_output_and_is_not_recorded(recorder, shell, capsys):
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


def test_the_heading_is_repeated_after_output_of_another_reactor(recorder, shell):
    one, two = recorder.record("one", heading="1"), recorder.record("two", heading="2")
    for recording in (one, one, two, one):
        with recording.step():
            print("x")
    assert shell.display_pub.published == ["1", "2", "1"]


def test_without_a_heading_the_name_is_shown_after_output_of_another_reactor(recorder, shell):
    target, other = recorder.record("target"), recorder.record("other", heading="other")
    for recording in (target, other, target):
        with recording.step():
            print("x")
    assert shell.display_pub.published == ["other", "target"]


def test_the_name_is_not_shown_in_the_next_cell(recorder, shell):
    for name in ("target", "again"):
        recorder.reset_headings()  # as the console does before each cell
        with recorder.record(name).step():
            print("x")
    assert shell.display_pub.published == []


def test_the_heading_is_repeated_after_clearing(recorder, shell):
    recording = recorder.record("r", heading="h")
    with recording.step():
        print("x")
        shell.display_pub.clear_output(wait=True)
        print("y")
    assert shell.display_pub.published == ["h", "clear", "h"]


def test_empty_text_and_updates_have_no_heading(recorder, shell):
    recording = recorder.record("r", heading="h")
    with recording.step():
        print(end="")
        shell.display_pub.publish({"text/plain": "x"}, update=True)
    assert recording.finish() == []
    assert shell.display_pub.published == ["update"]


def test_a_failing_heading_does_not_stop_the_output(recorder, shell, monkeypatch):
    monkeypatch.setattr(Publisher, "publish", lambda *arguments, **options: 1 / 0)
    recording = recorder.record("r", heading="h")
    with recording.step():
        print("x")
    assert recording.finish() == [write("x\n")]


# ------------------------------------------------------------------ the order of other processes


class Sync:
    """Has pending text, which arrives during `wait`."""

    def __init__(self):
        self.process, self.watcher_id, self.pending = os.getpid(), None, []

    def may_have_pending(self, seconds):
        return bool(self.pending)

    def wait(self):
        self.watcher_id = threading.get_ident()
        while self.pending:
            sys.stdout.write(self.pending.pop(0))
        self.watcher_id = None

    def strip_marker(self, text):
        return text, False


@pytest.fixture
def sync(monkeypatch):
    sync = Sync()
    monkeypatch.setattr(module.StreamSync, "of", lambda stream: sync if stream is sys.stdout else None)
    return sync


def test_late_output_belongs_to_the_step(recorder, sync):
    recording = recorder.record("r")
    with recording.step():
        sync.pending.append("late")
    assert recording.finish() == [write("late")]


@pytest.mark.parametrize("by", ["print", "display"])
def test_earlier_output_of_child_processes_comes_first(recorder, shell, sync, monkeypatch, by):
    monkeypatch.setattr(module, "_SHORTEST_PROCESS", 0.0)
    recording = recorder.record("r")
    with recording.step():
        sync.pending.append("first\n")
        if by == "print":
            print("second")
            assert recording._record.outputs() == [write("first\nsecond\n")]
        else:
            shell.display_pub.publish({"text/plain": "second"})
            assert recording._record.outputs() == [write("first\n"), shown("second")]


def test_prints_in_quick_succession_do_not_wait(recorder, sync, monkeypatch):
    monkeypatch.setattr(module, "_SHORTEST_PROCESS", 1000.0)
    recording = recorder.record("r")
    with recording.step():
        sync.pending.append("late\n")
        print("at once")
    assert recording.finish() == [write("at once\nlate\n")]


def test_a_forked_process_writes_through_the_pipe(recorder, sync):
    wrote = []
    sync.write_in_child = wrote.append
    recording = recorder.record("r")
    with recording.step():
        sync.process = -1  # now this process is not the one of the kernel
        sys.stdout.write("text")
        sync.process = os.getpid()
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


def test_a_change_of_the_random_state_between_runs_is_not_attributed_to_a_reactor(recorder):
    uses_random_state(recorder, lambda: None).finish()
    recorder.end_run()
    random.seed(1)
    recording = uses_random_state(recorder, lambda: None)
    recording.finish()
    assert recording.notes == ()


def test_a_failed_reactor_is_not_warned_about(recorder):
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
