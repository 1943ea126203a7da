"""Explanations compare with the last run, whether the module ran as a script or was imported."""

import importlib

import pytest

from pyplant import Plant, ReactorFunc

SCALE = 1


@ReactorFunc
def plot(pipe, config):
    pipe.send("picture", config.color * SCALE)


@pytest.fixture
def plant(tmp_path):
    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor(plot)
        yield plant


def summaries(plant):
    return [cause.summary for cause in plant.explain(plot).entry.causes]


def test_a_parameter_is_compared_with_the_last_run_and_not_with_the_newest_result(plant):
    for color in ("red", "blue", "red"):
        plant.set_config({"color": color})
        plant.run_reactor(plot)
    plant.set_config({"color": "green"})
    assert summaries(plant) == ["parameter 'color' changed: 'red' → 'green'"]


def test_code_is_compared_with_the_last_run_and_not_with_the_newest_result(plant, monkeypatch):
    plant.set_config({"color": "red"})
    for scale in (1, 2, 1):
        monkeypatch.setattr("tests.execution.test_last_used.SCALE", scale)
        plant.run_reactor(plot)
    monkeypatch.setattr("tests.execution.test_last_used.SCALE", 3)
    assert summaries(plant) == ["SCALE changed: 1 → 3"]


def test_a_reactor_that_is_up_to_date_tells_of_the_run_that_was(plant, monkeypatch):
    for color in ("red", "blue"):
        plant.set_config({"color": color})
        plant.run_reactor(plot)
    assert plant.explain(plot).last_run == ""
    plant.set_config({"color": "red"})
    found = plant.explain(plot)
    assert found.title().startswith("plot is up to date")
    assert found.last_run.endswith("was another one: parameter 'color' was 'blue', and is 'red' here")
    assert "the last run, 0 s ago" in str(found)
    monkeypatch.setattr("tests.execution.test_last_used.SCALE", 2)
    plant.run_reactor(plot)
    monkeypatch.undo()
    assert plant.explain(plot).last_run.endswith("was another one: its code was different")


def test_a_run_that_used_an_older_result_is_not_as_old_as_that(plant):
    for color in ("red", "blue", "red"):
        plant.set_config({"color": color})
        plant.run_reactor(plot)
    plant.set_config({"color": "blue"})
    assert plant.explain(plot).last_run == (
        "the last run used another one, computed 0 s ago: parameter 'color' was 'red', and is 'blue' here"
    )


def test_a_module_that_was_edited_after_it_was_imported_is_named(tmp_path, monkeypatch):
    path = tmp_path / "late_edit.py"
    path.write_text("def f(x):\n    return x + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    late_edit = importlib.import_module("late_edit")

    @ReactorFunc
    def use(pipe):
        pipe.send("x", late_edit.f(1))

    def notes():
        return [
            str(report).count("late_edit.py was edited after it was imported")
            for report in (plant.explain(use), plant.status())
        ]

    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor([use, plot])
        plant.set_config({"color": "red"})
        plant.get("x")
        assert notes() == [0, 0]
        path.write_text(path.read_text().replace("x + 1", "x  +  1  # a comment"))
        assert notes() == [0, 0]
        path.write_text(path.read_text().replace("x  +  1", "x + 100"))
        assert notes() == [1, 1]
        assert plant.explain(use).edited == (str(path),)
        assert plant.explain(plot).edited == ()
        importlib.invalidate_caches()
        late_edit = importlib.reload(late_edit)
        assert plant.get("x") == 101
        assert notes() == [0, 0]


SCRIPT = """
from pyplant import *

@ReactorFunc
def score(pipe, config):
    pipe.send("score", config.n * {factor})

if __name__ == "__main__":
    with Plant("plant") as plant:
        for n in (1, 2):
            plant.set_config({{"n": n}})
            plant.run_reactor(score)
        print(len(plant.history(score).entries))
"""

LOOK = """
from pyplant import *
import steps

with Plant("plant") as plant:
    plant.set_config({"n": 2})
    print(len(plant.history(steps.score).entries))
    print(plant.explain(steps.score))
    print(len(plant.history(steps.score).entries))
"""


@pytest.mark.slow
def test_history_and_causes_are_the_same_for_a_script_and_an_imported_module(run_script, tmp_path):
    run_script(SCRIPT.format(factor=2), name="steps.py")
    (tmp_path / "steps.py").write_text(SCRIPT.format(factor=3))
    looked = run_script(LOOK, name="look.py").stdout
    assert looked.startswith("2\n")
    assert "its own code changed" in looked
    assert "has no result yet" not in looked
    run_script(
        LOOK.replace("print(plant.explain", "plant.run_reactor(steps.score); (plant.explain"), name="look.py"
    )
    assert run_script(SCRIPT.format(factor=3), name="steps.py").stdout == "4\n"
