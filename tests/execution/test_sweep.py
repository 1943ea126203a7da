"""Sweeps: one reactor under many configurations."""

from pathlib import Path

import pytest

from pyplant import ConfigBase, Plant, ReactorFunc
from pyplant.errors import ConfigError, MissingParameterError
from pyplant.events import ReactorStarted
from pyplant.report import Outcome
from tests.laws.executors import POOLS

GRID = {"alpha": [0.1, 1.0], "seed": range(3)}


@pytest.fixture(params=[None, *POOLS])
def executor(request, pools):
    return None if request.param is None else pools(request.param)


@pytest.fixture
def plant(tmp_path, executor):
    with Plant(tmp_path / "plant", executor=executor, progress=False) as plant:
        plant.set_config({"alpha": 5.0, "seed": 9, "size": 4})
        yield plant


@ReactorFunc
def data(pipe, config):
    pipe.send("data", list(range(config.size)))


@ReactorFunc
def middle(pipe):
    data = yield pipe.receive("data")
    pipe.send("doubled", [2 * x for x in data])


@ReactorFunc
def model(pipe, config):
    doubled = yield pipe.receive("doubled")
    pipe.send("score", config.alpha * sum(doubled) + config.seed)


@ReactorFunc
def fussy(pipe, config):
    if config.seed == 1:
        raise ValueError("seed 1")
    pipe.send("fine", config.seed)


@pytest.fixture
def started(plant):
    names = []
    plant.add_event_listener(
        lambda event: names.append(event.reactor) if isinstance(event, ReactorStarted) else None
    )
    return names


def test_a_sweep_has_a_row_for_each_configuration_in_order(plant):
    plant.add_reactor(data, middle, model)
    table = plant.sweep(model, GRID, ["score"])
    assert [row.parameters for row in table] == [
        {"alpha": alpha, "seed": seed} for alpha in (0.1, 1.0) for seed in range(3)
    ]
    assert [row.ingredients["score"] for row in table] == [
        pytest.approx(alpha * 12 + seed) for alpha in (0.1, 1.0) for seed in range(3)
    ]
    assert {row.outcome for row in table} == {Outcome.RAN}


def test_what_does_not_depend_on_what_is_varied_runs_once(plant, started):
    plant.add_reactor(data, middle, model)
    plant.sweep(model, GRID)
    assert started.count("data") == started.count("middle") == 1
    assert started.count("model") == 6


def test_a_sweep_goes_on_where_it_was(plant, started):
    plant.add_reactor(data, middle, model)
    plant.sweep(model, {"alpha": [0.1], "seed": range(3)})
    started.clear()
    table = plant.sweep(model, GRID)
    assert started == ["model"] * 3
    assert [row.outcome for row in table] == [Outcome.CACHED] * 3 + [Outcome.RAN] * 3
    assert {row.outcome for row in plant.sweep(model, GRID)} == {Outcome.CACHED}


def test_the_plants_own_configuration_stays_what_it_is(plant):
    plant.add_reactor(data, middle, model)
    plant.sweep(model, GRID)
    assert plant.config["alpha"] == 5.0
    assert plant.get("score") == 5.0 * 12 + 9


def test_a_failure_leaves_the_others_be_where_that_is_asked_for(plant):
    plant.add_reactor(fussy)
    with pytest.raises(ValueError, match="seed 1"):
        plant.sweep(fussy, {"seed": range(3)})
    table = plant.sweep(fussy, {"seed": range(3)}, ["fine"], keep_going=True)
    assert [row.outcome for row in table][1] is Outcome.FAILED
    assert isinstance(table[1].error, ValueError)
    assert [row.ingredients for row in table] == [{"fine": 0}, {}, {"fine": 2}]


class Deep(ConfigBase):
    rate = 1


class Settings(ConfigBase):
    def __init__(self):
        self.deep = Deep()
        self.size = 2


@ReactorFunc
def nested(pipe, config):
    pipe.send("nested", config.size * config.deep.rate)


def test_parameters_of_nested_configurations_are_varied(plant):
    settings = Settings()
    plant.set_config(settings)
    plant.add_reactor(nested)
    table = plant.sweep(nested, {"deep.rate": [1, 2, 3]}, ["nested"])
    assert [row.ingredients["nested"] for row in table] == [2, 4, 6]
    assert settings.deep.rate == 1
    with pytest.raises(MissingParameterError, match=r"'deep.rat'.*Did you mean 'deep.rate'"):
        plant.sweep(nested, {"deep.rat": [1]})


@pytest.mark.parametrize("wrong", [{}, {"alpha": 1.0}, {"alpha": "abc"}, ["alpha"]])
def test_what_is_no_list_of_values_is_refused(tmp_path, wrong):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(model)
        with pytest.raises(ConfigError, match="list of values|takes the parameters"):
            plant.sweep(model, wrong)


def test_a_sweep_is_a_table_for_people_and_for_pandas(tmp_path):
    pandas = pytest.importorskip("pandas")
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.set_config({"size": 4})
        plant.add_reactor(data, middle, model)
        table = plant.sweep(model, GRID, ["score"])
    assert table.title().startswith("model: 6 configurations, 6 ran in ")
    _, head, *lines = [line.split() for line in table.text().splitlines()]
    assert head == ["alpha", "seed", "score", "time"]
    assert lines[2][:4] == ["●", "0.1", "2", "3.2"]
    assert "<td>0.1</td><td>2</td><td>3.2</td>" in table._repr_html_()
    frame = table.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == ["alpha", "seed", "score", "outcome", "seconds"]
    assert len(frame) == 6


def test_configurations_run_side_by_side(tmp_path, pools):
    folder = str(tmp_path)

    @ReactorFunc
    def meets(pipe, config):
        import time

        Path(folder, str(config.number)).touch()
        limit = time.monotonic() + 60
        while not Path(folder, str(1 - config.number)).exists() and time.monotonic() < limit:
            time.sleep(0.01)
        pipe.send("met", Path(folder, str(1 - config.number)).exists())

    with Plant(tmp_path / "plant", executor=pools("processes"), progress=False) as plant:
        plant.add_reactor(meets)
        table = plant.sweep(meets, {"number": [0, 1]}, ["met"])
    assert [row.ingredients["met"] for row in table] == [True, True]
