"""The recorder in real kernels: the recorded output equals the live output and the replay."""

import json

import pytest

from tests.notebook.kernels import EACH_VERSION
from tests.notebook.rig import Display, NotebookKernel, Stream, began

SETUP = """
import logging, os, subprocess, sys, threading, time
import matplotlib.pyplot as plt
from IPython.display import HTML, clear_output, display
from pyplant.notebook.output.recorder import Recorder
from pyplant.notebook.output.replay import replay

recorder = Recorder(get_ipython())
get_ipython().events.register("pre_run_cell", lambda info: recorder.reset_headings())  # as the console does
kept = {}

def execute(reactor, heading=""):
    name = reactor.__name__
    recording = recorder.record(name, heading=heading)
    run, waits = None, True
    while waits:
        with recording.step():
            run = run or reactor() or iter(())
            waits = next(run, "returned") != "returned"
    kept[name] = recording.finish()
    recorder.end_run()
    return reactor

def again(name):
    replay(get_ipython(), kept[name])
"""


@pytest.fixture(scope="module", params=EACH_VERSION, ids=str)
def kernel(request, tmp_path_factory):
    request.param.need()
    kernel = NotebookKernel(tmp_path_factory.mktemp("recorder"), request.param)
    kernel.run(SETUP).fine
    yield kernel
    kernel.close()


def seen(outputs):
    """Outputs of a cell, as plain data."""
    return [
        (output.kind, output.text)
        if isinstance(output, Stream)
        else ("display", sorted(output.data), output.text)
        for output in outputs
    ]


def recorded(kernel, name):
    """The recorded outputs, as plain data."""
    text = kernel.run(f"import json; print(json.dumps(kept[{name!r}]))").fine.stdout
    return [
        (event["name"], event["text"])
        if event["output_type"] == "stream"
        else ("display", sorted(event["data"]), event["data"].get("text/plain", ""))
        for event in json.loads(text)
    ]


def test_order_is_kept_live_in_the_record_and_on_replay(kernel):
    live = kernel.run("""
        @execute
        def everything():
            print("one"); sys.stdout.flush()
            print("two", file=sys.stderr); sys.stderr.flush()
            display(HTML("<b>three</b>"))
            print("four")
            plt.figure(); plt.plot([1, 2]); plt.show()
            print("five"); sys.stdout.flush()
            print("six", file=sys.stderr); sys.stderr.flush()
            plt.figure(); plt.plot([2, 1])
    """).fine
    again = kernel.run("again('everything')").fine
    png = ["image/png", "text/plain"]
    assert [entry[:2] for entry in seen(live.outputs)] == [
        ("stdout", "one\n"),
        ("stderr", "two\n"),
        ("display", ["text/html", "text/plain"]),
        ("stdout", "four\n"),
        ("display", png),
        ("stdout", "five\n"),
        ("stderr", "six\n"),
        ("display", png),
    ]
    assert recorded(kernel, "everything") == seen(live.outputs)
    assert seen(again.outputs) == seen(live.outputs)


def test_figures_are_shown_again_as_they_were(kernel):
    live = kernel.run("""
        @execute
        def plots():
            plt.plot([1, 2, 3])
    """).fine
    again = kernel.run("again('plots')").fine
    assert again.displays[0].data["image/png"] == live.displays[0].data["image/png"]


# ------------------------------------------------------------------ child processes and C code


def test_child_processes_and_c_code_write_in_order(kernel):
    live = kernel.run("""
        @execute
        def children():
            for n in range(20):
                print("before", n)
                subprocess.run(["echo", f"child {n}"])
                print("between", n)
                os.write(1, f"c code {n}\\n".encode())
                time.sleep(0.01)
    """).fine
    lines = "".join(f"before {n}\nchild {n}\nbetween {n}\nc code {n}\n" for n in range(20))
    assert recorded(kernel, "children") == [("stdout", lines)]
    assert seen(live.outputs) == [("stdout", lines)]


def test_the_last_output_of_c_code_is_attributed_to_its_reactor(kernel):
    kernel.run("""
        wrong = []
        for n in range(300):
            text = f"{n}\\n"
            def writer():
                os.write(1 + n % 2, text.encode())
            execute(writer)
            def silent():
                pass
            execute(silent)
            stream = ("stdout", "stderr")[n % 2]
            if kept["writer"] != [{"output_type": "stream", "name": stream, "text": text}] or kept["silent"]:
                wrong.append(dict(kept))
    """).fine
    assert kernel.run("print(wrong)").stdout == "[]\n"


def test_output_of_c_code_belongs_to_the_reactor_of_the_step(kernel):
    live = kernel.run("""
        texts = {0: "", 1: ""}
        both = [recorder.record(f"reactor {n}", heading="-") for n in texts]
        for n in range(300):
            turn = n % 3 % 2  # one after the other, and one twice in a row
            with both[turn].step():
                os.write(1, f"{n}\\n".encode())
                texts[turn] += f"{n}\\n"
        left = recorder.record("left")
        with left.step():
            os.write(1, b"left\\n")
        left.abandon()
        silent = recorder.record("silent")
        with silent.step():
            pass
        kept["silent"] = silent.finish()
        for n, recording in enumerate(both):
            kept[n] = recording.finish()
        recorder.end_run()
    """).fine
    assert live.stdout == "".join(f"{n}\n" for n in range(300)) + "left\n"
    same = "[[output['text'] for output in kept[n]] == [texts[n]] for n in texts]"
    assert kernel.run(f"print(kept['silent'], {same})").stdout == "[] [True, True]\n"


def test_late_output_belongs_to_the_earlier_step_when_streams_are_replaced(kernel):
    kernel.run("""
        import io
        recording, stdout = recorder.record("late"), sys.stdout
        for n in range(100):
            with recording.step():
                os.write(1, f"{n}\\n".encode())
            sys.stdout = io.StringIO()
            with recording.step():
                pass
            sys.stdout = stdout
        kept["late"] = recording.finish()
        recorder.end_run()
    """).fine
    assert recorded(kernel, "late") == [("stdout", "".join(f"{n}\n" for n in range(100)))]


def test_more_output_than_a_pipe_holds_arrives_completely(kernel):
    live = kernel.run("""
        @execute
        def flood():
            subprocess.run([sys.executable, "-c", "print('x' * 99 + '\\\\n', end='', flush=True); "
                            "[print('y' * 99) for _ in range(5000)]"])
            subprocess.run([sys.executable, "-c", "print('last')"])
    """).fine
    text = "x" * 99 + "\n" + ("y" * 99 + "\n") * 5000 + "last\n"
    assert recorded(kernel, "flood") == [("stdout", text)]
    assert live.stdout == text


def test_markers_are_not_shown(kernel):
    live = kernel.run("""
        @execute
        def synchronized():
            sync = recorder._interceptors[0].sync
            for _ in range(200):
                os.write(1, b"." * 37)
                sync.wait()
    """).fine
    assert live.stdout == "." * 7400
    assert recorded(kernel, "synchronized") == [("stdout", "." * 7400)]


def test_output_of_forked_processes_threads_and_handlers_is_recorded(kernel):
    kernel.run("""
        import multiprocessing
        handler = logging.StreamHandler(sys.stderr)
        log = logging.getLogger("a test")
        log.addHandler(handler)
        @execute
        def everybody():
            thread = threading.Thread(target=print, args=("from a thread",))
            thread.start(); thread.join()
            log.warning("from a handler")
            process = multiprocessing.get_context("fork").Process(target=print, args=("from a fork",))
            process.start(); process.join()
        log.removeHandler(handler)
    """).fine
    assert recorded(kernel, "everybody") == [
        ("stdout", "from a thread\n"),
        ("stderr", "from a handler\n"),
        ("stdout", "from a fork\n"),
    ]


def test_output_of_shell_commands_is_recorded(kernel):
    kernel.run("""
        @execute
        def shell():
            get_ipython().system("echo one; echo two")
    """).fine
    assert recorded(kernel, "shell") == [("stdout", "one\ntwo\n")]


def test_redirected_text_is_not_recorded(kernel):
    live = kernel.run("""
        import contextlib, io
        @execute
        def elsewhere():
            with contextlib.redirect_stdout(io.StringIO()) as text:
                print("kept apart")
            print("shown:", text.getvalue(), end="")
    """).fine
    assert live.stdout == "shown: kept apart\n"
    assert recorded(kernel, "elsewhere") == [("stdout", "shown: kept apart\n")]


def test_a_cell_with_captured_output_is_recorded(kernel):
    live = kernel.run("""
        %%capture taken
        @execute
        def captured():
            print("text")
            display(HTML("<i>html</i>"))
    """).fine
    assert live.outputs == []
    assert recorded(kernel, "captured") == [
        ("stdout", "text\n"),
        ("display", ["text/html", "text/plain"], "<IPython.core.display.HTML object>"),
    ]
    assert kernel.run("print(taken.stdout, len(taken.outputs))").stdout == "text\n 1\n"


# ------------------------------------------------------------------ what changes


def test_progress_lines_are_recorded_in_their_final_form(kernel):
    live = kernel.run("""
        @execute
        def progress():
            for n in range(51):
                sys.stderr.write(f"\\r{2 * n:3}%|{'#' * (n // 5):10}|"); sys.stderr.flush()
            sys.stderr.write("\\n")
    """).fine
    assert recorded(kernel, "progress") == [("stderr", "100%|##########|\n")]
    assert live.stderr.count("\r") == 51


def test_an_updated_display_is_recorded_in_its_final_form(kernel):
    live = kernel.run("""
        @execute
        def updates():
            handle = display("old", display_id=True)
            print("after")
            handle.update("new")
    """).fine
    again = kernel.run("again('updates')").fine
    kernel.run("display('changed', display_id=kept['updates'][0]['transient']['display_id'], update=True)")
    expected = [("display", ["text/plain"], "'new'"), ("stdout", "after\n")]
    assert recorded(kernel, "updates") == seen(again.outputs) == expected
    assert live.text == "'changed'\nafter"


def test_cleared_output_is_not_recorded(kernel):
    live = kernel.run("""
        @execute
        def clears():
            print("gone"); clear_output()
            for n in range(3):
                clear_output(wait=True)
                print(n)
    """).fine
    assert live.stdout == "2\n"
    assert recorded(kernel, "clears") == [("stdout", "2\n")]


def test_widgets_are_recorded_as_their_final_text(kernel):
    kernel.run("""
        import ipywidgets
        @execute
        def widgets():
            bar, gone = ipywidgets.IntProgress(value=0), ipywidgets.IntSlider()
            display(bar, gone)
            bar.value = 7
            gone.close()
    """).fine
    [(kind, types, text)] = recorded(kernel, "widgets")
    assert (kind, types) == ("display", ["text/plain"])
    assert text == "IntProgress(value=7) (interactive, not replayed)"


# ------------------------------------------------------------------ much of it


def test_many_lines_are_all_shown_and_both_ends_are_recorded(kernel):
    live = kernel.run("""
        @execute
        def lines():
            for n in range(20_000):
                print("line", n, "-" * 90)
    """).fine
    assert live.stdout.count("\n") == 20_000
    [(_, text)] = recorded(kernel, "lines")
    assert text.startswith("line 0 ")
    assert text.rstrip("-\n").endswith("line 19999 ")
    assert 990_000 < len(text) < 1_000_200
    assert "lines (1.0 MB) shown here, not recorded]\n" in text


def test_a_long_output_is_replayed_as_one_display_with_all_recorded_text(kernel):
    kernel.run("""
        @execute
        def long():
            for n in range(9_000):
                print(f"<{n}>", "." * 90)
    """).fine
    again = kernel.run("again('long')").fine
    [shown] = again.outputs
    assert isinstance(shown, Display)
    assert "".join(f"&lt;{n}&gt; {'.' * 90}\n" for n in range(9_000)) in shown.data["text/html"]
    assert shown.text.startswith("<0> ...")
    assert len(shown.text) < 5_000


# ------------------------------------------------------------------ figures


def test_a_figure_belongs_to_its_reactor_while_the_reactor_waits(kernel):
    live = kernel.run("""
        outside = plt.figure(figsize=(1, 1))
        def reactor():
            inside = plt.figure(figsize=(2, 2))
            plt.plot([1, 2])
            yield
            assert plt.gcf() is inside
            plt.title("drawn later")
        recording = recorder.record("figures")
        steps = reactor()
        with recording.step():
            next(steps)
        assert plt.gcf() is outside
        with recording.step():
            next(steps, None)
        kept["figures"] = recording.finish()
        assert plt.gcf() is outside
        print("end", flush=True)
    """).fine
    assert [output.text.split(" with")[0] for output in live.outputs] == [
        "<Figure size 200x200",
        "end\n",
        "<Figure size 100x100",
    ]
    assert [entry[2] for entry in recorded(kernel, "figures")] == [live.outputs[0].text]


def test_the_figures_of_a_failed_reactor_are_shown(kernel):
    live = kernel.run("""
        recording = recorder.record("fails")
        try:
            with recording.step():
                plt.figure(figsize=(3, 3)); plt.plot([1, 2])
                raise ValueError
        except ValueError:
            recording.abandon()
        print("open:", plt.get_fignums())
    """).fine
    assert live.kinds == ["image/png", "stdout"]
    assert live.stdout == "open: []\n"


def test_figures_that_stay_open_belong_to_the_cell_afterwards(kernel):
    live = kernel.run("""
        %config InlineBackend.close_figures = False
        plt.figure(figsize=(1, 1))
        @execute
        def open():
            plt.figure(figsize=(2, 2)); plt.plot([1, 2])
        print(plt.get_fignums(), [tuple(plt.figure(n).get_size_inches()) for n in (1, 2)], flush=True)
        plt.close("all")
        %config InlineBackend.close_figures = True
    """).fine
    assert len(recorded(kernel, "open")) == 1
    assert live.stdout.startswith("[1, 2]")
    assert live.kinds == ["image/png", "stdout"]


# ------------------------------------------------------------------ around it


def test_the_heading_is_shown_above_the_output_and_is_not_recorded(kernel):
    live = kernel.run("""
        def reactor():
            yield
            print("first", flush=True)
            yield
            print("second", flush=True)
        runs = [(recorder.record(name, heading=f"running {name}"), reactor()) for name in ("<a>", "b")]
        for _ in range(3):
            for recording, steps in runs:
                with recording.step():
                    next(steps, None)
        print([recording.finish() for recording, _ in runs])
    """).fine
    heads = ["running <a>", "running b", "running <a>", "running b"]
    assert [display.text for display in live.displays] == heads
    assert live.kinds[:8] == ["text/html", "stdout"] * 4
    assert "running &lt;a&gt;" in live.displays[0].data["text/html"]
    record = [{"output_type": "stream", "name": "stdout", "text": "first\nsecond\n"}]
    assert live.outputs[-1].text.endswith(f"{[record, record]}\n")


def test_the_heading_is_shown_above_the_output_of_a_child_process(kernel):
    live = kernel.run("""
        @lambda reactor: execute(reactor, heading="above")
        def child():
            subprocess.run(["echo", "below"])
    """).fine
    assert live.text == "above\nbelow"


def test_no_interceptor_stays_installed(kernel):
    kernel.run("""
        @execute
        def quiet():
            pass
        @execute
        def loud():
            print("loud")
    """).fine
    look = "print([vars(sys.stdout).get('write'), vars(sys.stderr).get('write')])"
    plain = kernel.run("print([vars(get_ipython().display_pub).get(n) for n in ('publish', 'clear_output')])")
    assert "Stdout" not in kernel.run(look).stdout
    assert plain.stdout == "[None, None]\n"


def test_an_interrupted_step_leaves_no_interceptor(kernel):
    ran = kernel.run(
        """
        recording = recorder.record("interrupted")
        try:
            with recording.step():
                print("began", flush=True)
                while True:
                    time.sleep(0.01)
        except KeyboardInterrupt:
            recording.abandon()
            recorder.end_run()
            print("interrupted", recorder.active, type(vars(sys.stdout).get("write")).__name__)
        """,
        interrupt_when=began,
    ).fine
    assert ran.stdout.splitlines()[-1].startswith("interrupted None ")
    assert "Stdout" not in ran.stdout


def test_a_kernel_that_does_not_watch_descriptors(tmp_path):
    kernel = NotebookKernel(tmp_path)
    kernel.close()
    kernel._environment["PYTEST_CURRENT_TEST"] = "a test"
    kernel._start()
    try:
        kernel.run(SETUP).fine
        kernel.run("""
            @execute
            def blind():
                os.system("true")
                print("seen")
        """).fine
        assert recorded(kernel, "blind") == [("stdout", "seen\n")]
    finally:
        kernel.close()
