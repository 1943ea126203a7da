"""The benchmarks work; what they measure is for ``make bench``."""

import dataclasses
import importlib.util

import pytest

from benchmarks import growth, notebook, page, parallel, pipelines, projects, reads, scripts, workers
from benchmarks.harness import Row, measure, medians, quickest, table, write_script
from benchmarks.speed import PROTECTIONS, QUICK, larger_than_memory
from tests.conftest import CI

pytestmark = pytest.mark.slow

SMALLEST = dataclasses.replace(QUICK, runs=1, size=1, steps=12, cells=3, fan=4, long=20, grown=(2, 20))


@pytest.mark.parametrize("library", ["pyplant", "numpy", "h5py"])
def test_a_chain_gives_the_same_value_cold_and_warm(tmp_path, library):
    script = pipelines.write(tmp_path, library, pipelines.chain(library, 12))
    assert [measure(script)["value"] for _ in range(2)] == [11, 11]


def test_a_chain_over_a_library_reaches_all_of_it(tmp_path):
    module = pipelines.chain("pyplant", 4, imports="import library", step="library.apply({n}, {x})")
    script = pipelines.write(tmp_path, "pyplant", module)
    (tmp_path / "library.py").write_text(pipelines.library(30))
    assert measure(script)["value"] == 3


@pytest.mark.parametrize("what", ["send", "save", "receive", "idle"])
def test_arrays_are_timed(tmp_path, what):
    script = tmp_path / "main.py"
    script.write_text(scripts.BIG_ARRAY)
    assert measure(script, what, 1)["seconds"] > 0


def test_configurations_are_looked_up(tmp_path):
    script = tmp_path / "main.py"
    script.write_text(scripts.CONFIGURATIONS["pyplant"])
    assert [measure(script, 5)["value"] for _ in range(2)] == [20, 20]


@pytest.mark.parametrize("text", [reads.ONE_FILE_EACH, reads.MANY_FILES], ids=["each", "many"])
@pytest.mark.parametrize("side", ["pyplant", "without"])
def test_reads_of_files_are_timed(tmp_path, text, side):
    script = write_script(tmp_path, text)
    (tmp_path / "data").mkdir()
    for number in range(3):
        (tmp_path / "data" / str(number)).write_text(str(number))
    assert [measure(script, 3, side)["value"] for _ in range(2)] == [3, 3]


@pytest.mark.parametrize("what", ["steps", "arrays", "copied"])
@pytest.mark.parametrize("removed", [(), tuple(PROTECTIONS.values())])
def test_the_cost_of_safety_is_timed(tmp_path, what, removed):
    script = tmp_path / "main.py"
    script.write_text(scripts.SAFETY)
    assert measure(script, what, 3, 1, *removed)["seconds"] > 0


def test_a_file_larger_than_memory_is_written_transformed_and_reduced(tmp_path):
    effort = dataclasses.replace(QUICK, file_size=48)
    peak, growth = larger_than_memory(tmp_path / "work", effort)
    assert 0 < peak.measured < 400
    assert 0.5 < growth.measured < 3  # chunks of 16 MB beside a process of 50 MB


@pytest.mark.parametrize(
    "kind", ["none", "threads", "processes", pytest.param("dask", marks=pytest.mark.nightly)]
)
@pytest.mark.parametrize("what", ["trivial", "fan", "bare"])
def test_parallel_reactors_are_timed(tmp_path, kind, what):
    script = tmp_path / "main.py"
    script.write_text(scripts.SIDE_BY_SIDE)
    figures = measure(script, what, kind, 3, 0.02)
    assert figures["seconds"] > 0.02
    assert figures["each"] == figures["seconds"] / 3


@pytest.mark.nightly
def test_memory_that_a_value_between_workers_takes_is_measured(tmp_path):
    assert all(row.is_met for row in parallel.transport(tmp_path, SMALLEST))


@pytest.mark.nightly
def test_sweeps_are_timed(tmp_path):
    *rows, linear = parallel.sweeps(tmp_path, SMALLEST)
    assert all(row.measured > 0 for row in [*rows, linear])
    assert len(rows) == 2


def test_what_is_sent_for_a_reactor_does_not_grow_with_its_project(tmp_path):
    projects.large_package(tmp_path, 12)
    (tmp_path / "meeting.py").write_text(projects.MEETING)
    script = write_script(tmp_path, projects.PACKAGE["pyplant"])
    figures = measure(script, "bytes")
    assert figures["bytes"] < 10_000 < figures["first"]


def test_a_study_gives_the_same_on_two_processes(tmp_path):
    projects.study(tmp_path, 1)
    assert measure(tmp_path / "main.py", 2)["value"] == measure(tmp_path / "main.py", 0)["value"]


@pytest.mark.nightly
def test_workers_are_timed_beside_peers(tmp_path):
    rows = [
        row for rows in (workers.package, workers.numeric, workers.study) for row in rows(tmp_path, SMALLEST)
    ]
    assert len(rows) == 6
    assert all(figure > 0 for row in rows for figure in row.figures.values())


def test_a_script_that_fails_tells_why(tmp_path):
    script = tmp_path / "main.py"
    script.write_text("raise SystemExit('no reason')")
    with pytest.raises(RuntimeError, match="no reason"):
        measure(script)


def test_sides_take_turns_and_the_median_counts():
    turns, figures = [], iter([3.0, 30.0, 1.0, 10.0, 2.0, 20.0])

    def side(name):
        turns.append(name)
        return next(figures)

    assert medians({"a": lambda: side("a"), "b": lambda: side("b")}, 3) == {"a": 2.0, "b": 20.0}
    assert turns == ["a", "b"] * 3


def test_a_target_bounds_the_ratio_or_the_figure():
    against = Row("work", {"pyplant": 1.0, "peer": 4.0}, against="peer", target=0.25)
    assert (against.measured, against.is_met) == (0.25, True)
    assert not dataclasses.replace(against, target=0.2).is_met
    alone = Row("work", {"pyplant": 5.0}, unit="MB", target=4)
    assert (alone.measured, alone.is_met) == (5.0, False)
    assert "MISSED" in table([alone])
    assert "0.25 x peer, target 0.25: ok" in table([against])


# ---------------------------------------------------------------------- growth


@pytest.mark.parametrize("power", [1, 1.5, 2])
def test_the_exponent_of_growth_is_fitted(power):
    figures = {10: 3.0} | {size: 3.0 + 0.001 * size**power for size in (1_000, 10_000, 100_000)}
    assert growth.exponent(figures, 0.01) == pytest.approx(power)
    (time, memory) = growth.growth_rows(
        "it", {n: {"seconds": t, "bytes": 1e9 * t} for n, t in figures.items()}
    )
    assert time.is_met == memory.is_met == (power == 1)


def test_what_hardly_grows_has_no_exponent():
    assert growth.exponent({10: 1.0, 1_000: 1.001, 10_000: 1.002}, 0.02) == 0


def test_the_growth_of_every_command_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(growth, "SHAPES", {"deep": growth.SHAPES["deep"]})
    monkeypatch.setattr(
        growth, "CALLS", {call: growth.CALLS[call] for call in ("cold run", "run", "plan", "explain", "ls")}
    )
    rows = list(growth.pipelines(tmp_path, SMALLEST))
    assert {row.what.split(",")[0] for row in rows} >= {"time of plan", "memory of plan", "time of ls"}
    assert all(row.measured > 0 for row in rows if row.target == 3)


@pytest.mark.nightly
def test_the_growth_with_executions_and_configurations_is_measured(tmp_path):
    rows = [
        *growth.executions(tmp_path / "executions", SMALLEST),
        *growth.sweeps(tmp_path / "sweeps", SMALLEST),
    ]
    assert all(row.measured > 0 for row in rows if row.against)


# ---------------------------------------------------------------------- notebooks


@pytest.fixture
def browser():
    """Skip the test where there is no browser; where CI runs, fail it."""
    for library in ("playwright", "jupyterlab"):
        if importlib.util.find_spec(library) is None:
            (pytest.fail if CI else pytest.skip)(f"{library} is not installed")
    from tests.browser.lab import chromium_path

    if chromium_path() is None:
        (pytest.fail if CI else pytest.skip)("Chromium is not installed")


@pytest.mark.nightly
@pytest.mark.browser
@pytest.mark.usefixtures("browser")
def test_what_a_page_shows_is_timed(tmp_path):
    (row,) = notebook.live(tmp_path, SMALLEST)
    assert row.figures["pyplant"] > 0
    assert row.figures["19 of 20"] >= row.figures["ends"]


@pytest.mark.nightly
@pytest.mark.browser
@pytest.mark.usefixtures("browser")
def test_what_a_person_feels_of_a_graph_is_timed(tmp_path):
    rows = list(page.page(tmp_path, SMALLEST, {12: 250}))
    assert len(rows) == 4
    assert all(row.figures["pyplant"] > 0 for row in rows)


@pytest.mark.nightly
@pytest.mark.browser
@pytest.mark.usefixtures("browser")
def test_a_run_is_timed_with_and_without_its_graph(tmp_path):
    (row,) = notebook.widget(tmp_path, SMALLEST)
    assert min(row.figures.values()) > 0


@pytest.mark.nightly
@pytest.mark.browser
@pytest.mark.usefixtures("browser")
def test_large_outputs_are_shown_again_whole(tmp_path):
    rows = list(notebook.replay(tmp_path, SMALLEST))
    assert [row.measured for row in rows] == [0, 0, 0]


def test_a_run_is_timed_recorded_and_not(tmp_path):
    cost, waits = notebook.recorder(tmp_path, SMALLEST)
    assert min(cost.figures.values()) > 0
    assert waits.measured == 0


def test_waits_of_the_recorder_are_counted(tmp_path):
    """What the benchmark relies on: there is something to count where reactors start processes."""
    with notebook.kernel_in(tmp_path) as kernel:
        kernel.cell(scripts.TRIVIAL.format(count=2))
        kernel.cell(
            "import os\n@ReactorFunc\ndef shouts(pipe):\n    os.system('echo hello')\n    pipe.send('a', 1)"
        )
        # On a quick machine what the process wrote has arrived before anyone asks.
        kernel.cell(
            "from pyplant.notebook.output.stream_sync import StreamSync\nStreamSync.may_have_pending = lambda self, seconds: True"
        )
        assert notebook.waits(kernel, "plant.get('a')") > 0
        assert notebook.waits(kernel, "time.sleep(0)") == 0


def test_layouts_are_timed(tmp_path):
    rows = list(notebook.layout(tmp_path, SMALLEST))
    assert all(row.measured > 0 for row in rows)


def test_cached_cells_are_timed(tmp_path):
    first_output, restarted = notebook.cached(tmp_path, SMALLEST)
    assert first_output.figures["slowest"] >= first_output.measured > 0
    assert restarted.measured > 0


def test_a_delay_ends_when_the_page_shows_an_event_or_something_later():
    events = [("a", "running", 1.0), ("a", "ran", 2.0), ("b", "running", 3.0)]
    shown = [
        ("b", "running", 0.5),
        ("a", "new", 1.1),
        ("a", "running", 1.25),
        ("a", "cached", 2.5),
        ("b", "ran", 4.0),
    ]
    found = notebook.delays(
        [notebook.Moment(*event) for event in events], [notebook.Moment(*moment) for moment in shown]
    )
    assert found == [("running", 0.25), ("ran", 0.5), ("running", 1.0)]


def test_an_event_that_is_never_shown_is_an_error():
    with pytest.raises(RuntimeError, match="never seen"):
        notebook.delays([notebook.Moment("a", "ran", 1.0)], [notebook.Moment("a", "running", 1.5)])


KEPT = [
    {"output_type": "stream", "name": "stdout", "text": "one <&>\ntwo\nthree\n"},
    {"output_type": "display_data", "data": {"text/html": "<p>four</p>"}, "metadata": {}},
]


def _folded(text):
    html = f'<details><summary style="">3 lines</summary><pre style="">{text}</pre></details>'
    return {"output_type": "display_data", "data": {"text/plain": "short", "text/html": html}, "metadata": {}}


def test_what_is_shown_in_another_form_is_not_lost():
    assert notebook.lost(KEPT, KEPT) == 0
    assert notebook.lost(KEPT, [_folded("one &lt;&amp;&gt;\ntwo\nthree\n"), KEPT[1]]) == 0


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        ([], len("one <&>\ntwo\nthree\ntext/html <p>four</p>") - len("text/html ")),
        ([_folded("one &lt;&amp;&gt;\nthree\n"), KEPT[1]], len("two\n")),
        ([KEPT[0]], len("<p>four</p>")),
    ],
)
def test_what_is_lost_is_counted(shown, missing):
    assert notebook.lost(KEPT, shown) == missing


def test_the_quickest_of_all_turns_counts():
    figures = iter([3.0, 30.0, 1.0, 10.0, 2.0, 20.0])
    assert quickest({"a": lambda: next(figures), "b": lambda: next(figures)}, 3) == {"a": 1.0, "b": 10.0}
