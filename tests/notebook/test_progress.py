"""The line below a cell that says what a run is doing."""

import threading
from types import SimpleNamespace

import pytest

from pyplant import Plant
from pyplant.events import (
    ProgressAdvanced,
    ReactorBlocked,
    ReactorCached,
    ReactorFailed,
    ReactorFinished,
    ReactorResumed,
    ReactorStarted,
    ReactorWaiting,
    RunFinished,
    RunStarted,
)
from pyplant.notebook import progress
from pyplant.notebook.progress import RunProgress

SMOOTH = """
%%reactor smooth -o s
import time
print("began", flush=True)
for n in pipe.progress(range(12), "smoothing"):
    time.sleep(0.1)
s = n
"""


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests set."""
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def clock(now):
        clock.now = now

    clock(100.0)
    return clock


def run_of(*targets, expected=0.0, unfinished=0):
    return RunProgress(targets, lambda _: expected, lambda: unfinished)


def test_the_line_names_the_reactor_its_loop_rate_and_time_left(clock):
    run = run_of("plot", unfinished=4)
    run.handle(ReactorCached("load", 1.0))
    run.handle(ReactorStarted("smooth"))
    run.handle(ProgressAdvanced("smooth", "smoothing", 0, 50))
    clock(102.0)
    run.handle(ProgressAdvanced("smooth", "smoothing", 25, 50))
    assert run.text() == "▶ smooth · smoothing 25/50 · 12/s · ~2 s left · 1 done, 4 waiting"


def test_slow_items_are_timed_one_by_one(clock):
    run = run_of("train")
    run.handle(ReactorStarted("train"))
    run.handle(ProgressAdvanced("train", "epochs", 1, 4))
    clock(190.0)
    run.handle(ProgressAdvanced("train", "epochs", 2, 4))
    assert run.text() == "▶ train · epochs 2/4 · 1 min 30 s each · ~3 min 00 s left"


def test_an_outer_loop_counts_and_not_the_one_inside(clock):
    run = run_of("train")
    run.handle(ReactorStarted("train"))
    run.handle(ProgressAdvanced("train", "epochs", 1, 4))
    run.handle(ProgressAdvanced("train", "batches", 7, 10))
    assert run.text() == "▶ train · epochs 1/4"


def test_without_a_loop_the_last_execution_says_how_long(clock):
    run = run_of("train", expected=41.0)
    run.handle(ReactorStarted("train"))
    clock(112.0)
    assert run.text() == "▶ train · 12 s · ~29 s left"
    clock(150.0)
    assert run.text() == "▶ train · 50 s · usually 41 s"
    run = run_of("split", expected=0.002)
    run.handle(ReactorStarted("split"))
    clock(152.0)
    assert run.text() == "▶ split · 2 s · usually 2 ms"


def test_time_is_that_of_the_reactor_without_waiting(clock):
    run = run_of("total")
    run.handle(ReactorStarted("total"))
    run.handle(ReactorWaiting("total", ("x",)))
    clock(130.0)
    run.handle(ReactorStarted("one"))
    assert run.text() == "▶ one · 0 s"
    run.handle(ReactorFinished("one", 1.0))
    run.handle(ReactorResumed("total"))
    clock(133.0)
    assert run.text() == "▶ total · 3 s · 1 done"


def test_of_several_reactors_the_others_are_counted(clock):
    run = run_of("all")
    for name in ("a", "b", "c"):
        run.handle(ReactorStarted(name))
    assert run.text() == "▶ a · 0 s · 2 more running"


def test_another_process_is_named(clock):
    run = run_of("load")
    run.handle(ReactorBlocked("load", "first.ipynb", 0.0))
    clock(107.0)
    assert run.text() == "… load · computed by first.ipynb · 7 s"


def test_the_end_says_what_happened(clock):
    run = run_of("plot")
    clock(104.0)
    run.handle(ReactorCached("load", 1.0))
    run.handle(ReactorStarted("plot"))
    assert run.final_text() == "■ plot: stopped after 4.0 s, 1 cached"
    run.handle(ReactorFailed("plot", KeyboardInterrupt()))
    assert run.final_text() == "■ plot: stopped after 4.0 s, 1 cached"
    run.handle(ReactorFinished("plot", 1.0))
    assert run.final_text() == "✓ plot: 1 ran, 1 cached in 4.0 s"
    run.handle(ReactorStarted("other"))
    run.handle(ReactorFailed("other", ValueError()))
    assert run.final_text() == "✗ other: failed after 4.0 s, 1 ran, 1 cached"


@pytest.mark.parametrize("prints", [False, True])
def test_the_end_is_told_below_what_the_reactor_printed(clock, monkeypatch, tmp_path, prints):
    monkeypatch.setattr(progress.threading, "Thread", lambda **_: SimpleNamespace(start=lambda: None))
    shown, outputs = {}, [0]

    def publish(data, *, transient, update):
        assert update == (transient["display_id"] in shown)
        shown[transient["display_id"]] = data["text/plain"]

    with Plant(tmp_path / "plant", progress=False) as plant:
        line = progress.ProgressLine(plant, publish, lambda: outputs[0])
        line(RunStarted(("fit",)))
        line(ReactorStarted("fit"))
        outputs[0] = 4  # above the line
        clock(101.0)
        line.update()
        assert list(shown.values()) == ["▶ fit · 1 s"]
        outputs[0] += prints
        line(ReactorFinished("fit", 1.0))
        line(RunFinished(None))
        final = "✓ fit: 1 ran in 1.0 s"
        assert list(shown.values()) == (["", final] if prints else [final])


# ---------------------------------------------------------------------- in a kernel


@pytest.fixture
def quick(notebook):
    """A notebook in which the line appears soon."""
    notebook.look("progress._DELAY = 0.5\nprogress._PERIOD = 0.1")
    return notebook


def lines(ran):
    """Displays of a cell that may be updated, and are not those of a graph."""
    return [display.text for display in ran.displays if (display.id or "").startswith("pyplant-")]


def test_a_running_cell_says_what_it_does_and_the_line_is_not_replayed(quick):
    seen = []
    cell = quick.add(SMOOTH.strip())
    ran = quick.run(cell, interrupt_when=lambda ran: seen.extend(lines(ran)))
    assert any("smoothing" in line and "/12" in line and "left" in line for line in seen)
    *_, last = lines(ran.fine)  # on a slow machine the line began above what was printed
    assert last.startswith("✓ smooth: 1 ran in ")
    again = quick.run(cell).fine
    assert lines(again) == []
    assert [output.text.strip() for output in again.outputs[1:]] == ["began"]


def test_short_runs_show_no_line(quick):
    quick.look("progress._DELAY = 5")
    ran = quick.look("%%reactor short -o s\ns = 1").fine
    assert lines(ran) == []


def test_a_cell_has_one_line_and_a_report_replaces_it(quick):
    quick.new(
        "import time\n@ReactorFunc\ndef naps(pipe, config):\n    time.sleep(config['s'])\n    pipe.send('nap', 1)"
    )
    ran = quick.look("for s in 0.7, 0.8:\n    plant.set_config({'s': s})\n    plant.get('nap')").fine
    assert len(lines(ran)) == 1
    ran = quick.look("plant.set_config({'s': 0.9})\nplant.run_reactor('naps')").fine
    assert lines(ran) == [""]
    ran = quick.look("plant.sweep('naps', {'s': [0.71, 0.81]})").fine
    assert lines(ran) == [""]


def test_a_cached_cell_that_takes_long_to_load_has_no_second_line(quick):
    quick.new(
        "import time\nclass Slow:\n    def __setstate__(self, state):\n        time.sleep(0.8)\n"
        "        self.__dict__ |= state"
    )
    cell = quick.add("%%reactor load -o slow\nslow = Slow()\nslow.x = 1")
    quick.run(cell)
    again = quick.run(cell).fine
    assert "cached, computed" in again.text
    assert lines(again) == [""]


def test_a_failed_run_says_which_reactor_failed(quick):
    ran = quick.look("%%reactor fails -o x\nimport time\ntime.sleep(0.8)\nx = 1 / 0")
    assert ran.error.name == "ZeroDivisionError"
    assert lines(ran)[0].startswith("✗ fails: failed after ")


def test_runs_without_listeners_build_no_report(quick):
    quick.new("from pyplant.plant import session_of\nother = Plant('other')")
    assert quick.look("session_of(other)._listeners.needs_report").fine.text == "False"
    quick.look("other.close()")


def test_the_thread_ends_with_the_plant(tmp_path):
    import gc

    plant = Plant(tmp_path / "plant", progress=False)
    line = progress.ProgressLine(plant, lambda *_, **__: None)
    line(RunStarted(()))
    line(RunFinished(None))
    (thread,) = [one for one in threading.enumerate() if one.name == "pyplant-progress"]
    plant.close()
    del plant, line
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
