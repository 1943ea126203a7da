"""The benchmarks work; what they measure is for ``make bench``."""

import dataclasses

import pytest

from tests.benchmarks import pipelines, scripts
from tests.benchmarks.harness import Row, measure, medians, table
from tests.benchmarks.speed import PROTECTIONS, QUICK, larger_than_memory


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


@pytest.mark.parametrize("what", ["steps", "arrays", "copied"])
@pytest.mark.parametrize("removed", [(), tuple(PROTECTIONS.values())])
def test_the_cost_of_safety_is_timed(tmp_path, what, removed):
    script = tmp_path / "main.py"
    script.write_text(scripts.SAFETY)
    assert measure(script, what, 3, 1, *removed)["seconds"] > 0


def test_a_file_larger_than_memory_is_written_and_reduced(tmp_path):
    effort = dataclasses.replace(QUICK, file_size=48)
    (row,) = larger_than_memory(tmp_path / "work", effort)
    assert 0 < row.measured < 400


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
