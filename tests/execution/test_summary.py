"""Reports of runs and of past executions."""

import pytest

from pyplant import Plant, ReactorFunc


@ReactorFunc
def load(pipe, config):
    pipe.send("data", config["size"])


@ReactorFunc
def plot(pipe):
    yield pipe.receive("data")


@pytest.fixture
def plant(tmp_path):
    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor([load, plot])
        plant.set_config({"size": 1})
        yield plant


def test_a_report_lists_reactors_in_the_order_in_which_they_ended(plant):
    report = plant.run_reactor(plot)
    assert [entry.name for entry in report.entries] == ["load", "plot"]
    assert report.target == "plot"
    assert report["load"].outputs == ("data",)
    assert report["load"].size > 0


def test_a_cached_entry_knows_when_it_was_computed_and_how_long_it_took(plant):
    first = plant.run_reactor(plot)
    second = plant.run_reactor(plot)
    assert second["load"].finished == first["load"].finished
    assert second.saved == first["load"].seconds


def test_history_is_newest_first_and_contains_the_parameters(plant):
    plant.run_reactor(plot)
    plant.set_config({"size": 2})
    plant.run_reactor(plot)
    history = plant.history(load)
    assert [entry.parameters for entry in history] == [{"size": "2"}, {"size": "1"}]
    assert history[0].outputs.keys() == {"data"}
