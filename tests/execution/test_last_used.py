"""Explanations compare with the last run, whether the module ran as a script or was imported."""

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
    assert "never ran" not in looked
    run_script(
        LOOK.replace("print(plant.explain", "plant.run_reactor(steps.score); (plant.explain"), name="look.py"
    )
    assert run_script(SCRIPT.format(factor=3), name="steps.py").stdout == "4\n"
