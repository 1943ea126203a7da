"""Sweeps: one reactor under many configurations."""

import dataclasses
import re
import threading
import types
from pathlib import Path

import attrs
import pytest

from pyplant import ConfigBase, Plant, ReactorFunc
from pyplant.errors import ConfigError, MissingParameterError, UnknownParameterWarning
from pyplant.events import ReactorStarted
from pyplant.execution.run import Run
from pyplant.reports.report import Outcome
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


def test_reactors_that_do_not_depend_on_varied_parameters_run_once(plant, started):
    plant.add_reactor(data, middle, model)
    plant.sweep(model, GRID)
    assert started.count("data") == started.count("middle") == 1
    assert started.count("model") == 6


def test_a_larger_sweep_runs_only_the_new_configurations(plant, started):
    plant.add_reactor(data, middle, model)
    plant.sweep(model, {"alpha": [0.1], "seed": range(3)})
    started.clear()
    table = plant.sweep(model, GRID)
    assert started == ["model"] * 3
    assert [row.outcome for row in table] == [Outcome.CACHED] * 3 + [Outcome.RAN] * 3
    assert {row.outcome for row in plant.sweep(model, GRID)} == {Outcome.CACHED}


def test_a_sweep_does_not_change_the_configuration_of_the_plant(plant):
    plant.add_reactor(data, middle, model)
    plant.sweep(model, GRID)
    assert plant.config["alpha"] == 5.0
    assert plant.get("score") == 5.0 * 12 + 9


def test_with_keep_going_a_lost_value_that_cannot_be_computed_again_is_a_failure(tmp_path):
    fails = tmp_path / "fails"

    @ReactorFunc
    def large(pipe, config):
        if fails.exists():
            raise ValueError("no more")
        pipe.send("large", str(config.seed) * 5000)

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(large)
        plant.set_config({"seed": 0})
        plant.sweep(large, {"seed": [1, 2]}, ["large"])
        for path in (tmp_path / "plant" / "objects").glob("*/*"):
            path.unlink()
        fails.touch()
        table = plant.sweep(large, {"seed": [1, 2]}, ["large"], keep_going=True)
        assert [row.outcome for row in table] == [Outcome.FAILED] * 2
        assert [str(row.error) for row in table] == ["no more"] * 2
        with pytest.raises(ValueError, match="no more"):
            plant.sweep(large, {"seed": [1, 2]}, ["large"])


def test_with_keep_going_a_failure_does_not_stop_other_configurations(plant):
    plant.add_reactor(fussy)
    with pytest.raises(ValueError, match="seed 1"):
        plant.sweep(fussy, {"seed": range(3)})
    table = plant.sweep(fussy, {"seed": range(3)}, ["fine"], keep_going=True)
    assert [row.outcome for row in table][1] is Outcome.FAILED
    assert isinstance(table[1].error, ValueError)
    assert [row.ingredients for row in table] == [{"fine": 0}, {}, {"fine": 2}]


class SilentError(Exception):
    def __str__(self):
        raise ValueError


def test_an_error_without_text_is_named_in_the_table(plant):
    @ReactorFunc
    def silent(pipe, config):
        raise SilentError

    plant.add_reactor(silent)
    table = plant.sweep(silent, {"seed": [1]}, keep_going=True)
    assert "SilentError" in str(table)
    assert "SilentError" in table._repr_html_()


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


@pytest.mark.parametrize("wrong", [{}, {"alpha": 1.0}, {"alpha": "abc"}, {"alpha": {"a": 1}}, ["alpha"]])
def test_parameters_without_a_list_of_values_are_refused(tmp_path, wrong):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(model)
        with pytest.raises(ConfigError, match="list of values|takes the parameters"):
            plant.sweep(model, wrong)


@pytest.mark.parametrize("names", [("model", "model.depth"), ("model.depth", "model")])
def test_a_part_is_varied_together_with_the_whole(tmp_path, names):
    @ReactorFunc
    def train(pipe, config):
        pipe.send("score", (config["model"]["depth"], config["model"]["rate"]))

    values = {"model": [{"depth": 1, "rate": 7}], "model.depth": [2, 3]}
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(train)
        plant.set_config({"model": {"depth": 0, "rate": 0}})
        table = plant.sweep(train, {name: values[name] for name in names}, ["score"])
    assert [row.ingredients["score"] for row in table] == [(2, 7), (3, 7)]


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
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", table._repr_html_())
    assert [cells[i : i + 3] for i, cell in enumerate(cells) if cell == "0.1"][2] == ["0.1", "2", "3.2"]
    frame = table.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == ["alpha", "seed", "score", "outcome", "seconds"]
    assert len(frame) == 6


@pytest.mark.slow
def test_configurations_run_in_parallel(tmp_path, pools):
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


# ------------------------------------------------------------------ nested parameters


class Shared(ConfigBase):
    depth = 1


class OnTheClass(ConfigBase):
    model = Shared()
    sizes = {"small": {"n": 1}}


@dataclasses.dataclass(frozen=True)
class Frozen(ConfigBase):
    depth: int = 1


@dataclasses.dataclass
class Plain:
    depth: int = 1


@ReactorFunc
def deep(pipe, config):
    pipe.send("deep", config.model.depth * 10)


def both_ways():
    """One nested object under two names."""
    config = ConfigBase()
    config.model = config.other = Shared()
    return config


NESTED = {
    "dict in a dict": lambda: {"model": {"depth": 1, "log": "a"}},
    "object in a dict": lambda: {"model": Shared()},
    "dict in an object": lambda: ConfigBase({"model": {"depth": 1}}),
    "object on the class": OnTheClass,
    "frozen dataclass": lambda: ConfigBase({"model": Frozen()}),
    "dataclass as a value": lambda: {"model": Plain()},
    "namespace as a value": lambda: {"model": types.SimpleNamespace(depth=1)},
    "object under two names": both_ways,
}


@pytest.mark.parametrize("make", NESTED.values(), ids=NESTED)
def test_a_leaf_is_varied_in_a_copy(make, tmp_path):
    config = make()
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.set_config(config)
        plant.add_reactor(deep)
        table = plant.sweep(deep, {"model.depth": [2, 3, 4]}, ["deep"])
        assert [row.ingredients["deep"] for row in table] == [20, 30, 40]
        assert plant.config is config
        assert plant.get("deep") == 10
    assert Shared.depth == OnTheClass.model.depth == 1
    assert OnTheClass().model.depth == 1


def test_only_the_varied_name_changes(tmp_path):
    @ReactorFunc
    def pair(pipe, config):
        pipe.send("pair", [config.model.depth, config.other.depth])

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.set_config(both_ways())
        plant.add_reactor(pair)
        table = plant.sweep(pair, {"model.depth": [2, 3]}, ["pair"])
    assert [row.ingredients["pair"] for row in table] == [[2, 1], [3, 1]]


def test_a_whole_nested_configuration_is_varied(tmp_path):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.set_config({"model": {"depth": 1}})
        plant.add_reactor(deep)
        table = plant.sweep(deep, {"model": [{"depth": 5}, Shared()]}, ["deep"])
    assert [row.ingredients["deep"] for row in table] == [50, 10]


@pytest.mark.parametrize("make", [dict, ConfigBase])
@pytest.mark.parametrize(
    ("given", "name", "meant"),
    [
        ({"alpha": 1}, "aplha", "'alpha'"),
        ({"model": {"depth": 1}}, "model.dpeth", "'model.depth'"),
        ({"model": {"depth": 1}}, "dpeth", "'model.depth'"),
        ({"model": {"depth": 1}}, "model.depth.x", "'model.depth'"),
    ],
)
def test_an_unknown_name_is_refused_before_anything_runs(make, given, name, meant, tmp_path):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.set_config(make(given))
        plant.add_reactor(deep)
        started = []
        plant.add_event_listener(started.append)
        with pytest.raises(MissingParameterError, match=f"'{name}'.*Did you mean {meant}"):
            plant.sweep(deep, {name: [1, 2]})
        assert started == []


NAME = "by_constant"


@ReactorFunc
def reader(pipe, settings):
    part = settings.get("part", {})
    found = [settings.get("by_get", 0), getattr(settings, "by_getattr", 0), part.get("leaf", 0)]
    found += [settings[NAME] if NAME in settings else 0, helper(settings)]
    if "by_in" in settings:
        found.append(pipe.config.by_in)
    pipe.send("found", found)


def helper(cfg):
    return cfg.get("in_helper", 0)


@pytest.mark.parametrize(
    "name", ["by_get", "by_getattr", "part.leaf", "by_constant", "in_helper", "by_in", "part"]
)
def test_a_name_that_code_reads_is_known_without_the_configuration(name, tmp_path):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.set_config({"alpha": 1})
        plant.add_reactor(reader)
        table = plant.sweep(reader, {name: [{} if name == "part" else 5]}, ["found"])
        expected = [0] if name == "part" else [5]
        assert [max(row.ingredients["found"]) for row in table] == expected
        with pytest.raises(MissingParameterError):
            plant.sweep(reader, {name + "_": [1]})


def value_of(parameters, name):
    return parameters.get(name, 0)


def test_a_name_that_the_last_execution_read_is_known(tmp_path):
    @ReactorFunc
    def by_computed_names(pipe, config):
        for name in ("rate", "depth"):
            pipe.send(f"{name} found", [value_of(config, name + ending) for ending in ("", "_low")])

    names = ["rate found", "depth found"]
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.set_config({"alpha": 1})
        plant.add_reactor(by_computed_names)
        with pytest.raises(MissingParameterError):
            plant.sweep(by_computed_names, {"rate_low": [1, 2]}, names)
        plant.run_reactor(by_computed_names)
        table = plant.sweep(by_computed_names, {"rate_low": [1, 2]}, names)
        assert [row.ingredients["rate found"] for row in table] == [[0, 1], [0, 2]]
        with pytest.raises(MissingParameterError, match="Did you mean 'rate_low'") as raised:
            plant.sweep(by_computed_names, {"rate_lo": [1]})
        assert "(" not in str(raised.value)


@pytest.mark.parametrize("name", ["inner.rate", "model.inner.rate"])
def test_an_attribute_of_a_class_cannot_be_varied(tmp_path, name):
    class Config(ConfigBase):
        class inner(ConfigBase):
            rate = 0.1

        model = None

    @ReactorFunc
    def reads(pipe, config):
        pipe.send("read", config.inner.rate)

    config = Config()
    config.model = Config()
    with Plant(tmp_path / "plant") as plant:
        plant.set_config(config)
        with pytest.raises(ConfigError) as caught:
            plant.sweep(reads, {name: [0.1, 0.2]}, ["read"])
        above = name.removesuffix(".rate")
        assert str(caught.value).startswith(f"{name!r} cannot be varied: {above!r} is the class inner")
        assert f"{above} = inner()" in str(caught.value)
        config.inner = config.model.inner = Config.inner()
        plant.sweep(reads, {name: [0.1, 0.2]}, ["read"])


def test_a_computed_attribute_cannot_be_varied(tmp_path):
    class Computing(ConfigBase):
        n = 2

        @property
        def total(self):
            return self.n * 100

    @ReactorFunc
    def use(pipe, config):
        pipe.send("used", config.total)

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.set_config(Computing())
        plant.add_reactor(use)
        assert [row.ingredients["used"] for row in plant.sweep(use, {"n": [2, 3]}, ["used"])] == [200, 300]
        with pytest.raises(ConfigError, match="'total' is computed"):
            plant.sweep(use, {"total": [1]})


# ------------------------------------------------------------------ marks


@pytest.mark.parametrize("make", [dict, ConfigBase])
def test_a_leaf_of_a_nested_dict_is_auxiliary(make, tmp_path):
    @ReactorFunc
    def logs(pipe, config):
        assert config.model["log"]
        pipe.send("logged", [config.model.depth, *config.model])

    def given(**changes):
        return make({"model": {"depth": 1, "log": "a", **changes}})

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(logs)
        plant.mark_params_as_auxiliary(["model.log"])
        plant.set_config(given())
        plant.run_reactor(logs)
        plant.set_config(given(log="b"))
        assert plant.run_reactor(logs).ran == ()
        plant.set_config(given(depth=2))
        assert plant.run_reactor(logs).ran == ("logs",)


@ReactorFunc
def asks(pipe, config):
    pipe.send("asked", [getattr(config, "by_getattr", 0), hasattr(config, "part") and config.part.leaf])


@pytest.mark.parametrize("make", [dict, ConfigBase])
def test_a_mark_on_an_unknown_name_causes_one_warning(make, tmp_path):
    config = make({"model": {"log": 1}})
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(asks)
        plant.set_config(config)
        plant.mark_params_as_auxiliary(["model.lgo", "model", "model.log", "by_getattr", "part.leaf"])
        with pytest.warns(UnknownParameterWarning, match=r"'model.lgo'.*Did you mean 'model.log'") as told:
            plant.run_reactor(asks)
        assert len(told) == 1
        plant.run_reactor(asks)
        plant.mark_params_as_auxiliary(["nothing"])
        with pytest.warns(UnknownParameterWarning, match="'nothing'"):
            plant.get("asked")


def test_a_mark_in_a_nested_object_is_checked_as_well(tmp_path):
    config = ConfigBase({"model": ConfigBase({"log": 1})})
    config.model.mark_auxiliary(["lgo"])
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(asks)
        plant.set_config(config)
        with pytest.warns(UnknownParameterWarning, match=r"'model.lgo'.*Did you mean 'model.log'"):
            plant.sweep(asks, {"model.log": [1, 2]})


class Marked(ConfigBase):
    def __init__(self):
        self.log, self.deep = 1, Deep()
        self.mark_auxiliary(["log", "deep.rate"])


AUXILIARY = {
    "on the plant": ({"a": 1}, ["a"], "a"),
    "in a nested dict": ({"m": {"log": 1}}, ["m.log"], "m.log"),
    "with its part": ({"m": {"log": 1, "x": 2}}, ["m"], "m.log"),
    "the part itself": ({"m": {"log": 1}}, ["m"], "m"),
    "in the object": (Marked(), [], "log"),
    "below the object": (Marked(), [], "deep.rate"),
    "a key with a dot": ({"a.b": 1}, ["a.b"], "a.b"),
}


@pytest.mark.parametrize("case", AUXILIARY)
def test_a_sweep_over_an_auxiliary_parameter_is_an_error(tmp_path, case):
    config, marks, name = AUXILIARY[case]
    began = []
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(data)
        plant.add_event_listener(began.append)
        plant.set_config(config)
        plant.mark_params_as_auxiliary(marks)
        with pytest.raises(ConfigError, match=rf"cannot vary '{name}': it is marked as auxiliary"):
            plant.sweep(data, {"size": [1], name: [1, 2]}, ["data"])
    assert not began


@pytest.mark.slow
def test_a_parallel_sweep_does_not_compare_what_is_auxiliary_or_not_read(tmp_path, pools):
    @ReactorFunc
    def reads(pipe, config):
        if config.marked is not None and (config.seed or config.unread):
            pipe.send("read", config.seed)

    with Plant(tmp_path / "plant", executor=pools("processes"), progress=False) as plant:
        plant.add_reactor(reads)
        plant.set_config({"seed": 0, "marked": threading.Lock(), "unread": threading.Lock()})
        plant.mark_params_as_auxiliary(["marked"])
        rows = plant.sweep(reads, {"seed": [1, 2]}, ["read"])
        assert [row.ingredients["read"] for row in rows] == [1, 2]


def test_a_part_of_which_only_a_leaf_is_auxiliary_can_be_varied(tmp_path):
    @ReactorFunc
    def reads(pipe, config):
        pipe.send("read", config.m.x)

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(reads)
        plant.set_config({"m": {"x": 1, "log": 2}})
        plant.mark_params_as_auxiliary(["m.log"])
        rows = plant.sweep(reads, {"m": [{"x": 3, "log": 1}, {"x": 4, "log": 1}]}, ["read"])
        assert [row.ingredients["read"] for row in rows] == [3, 4]


@attrs.define
class Slotted:
    x: int


@attrs.frozen
class FrozenSlotted:
    x: int


@pytest.mark.parametrize("kind", [Slotted, FrozenSlotted])
def test_fields_of_slotted_objects_can_be_varied(tmp_path, kind):
    @ReactorFunc
    def reads(pipe, config):
        pipe.send("read", config.m.x)

    held = kind(7)
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(reads)
        plant.set_config({"m": held})
        rows = plant.sweep(reads, {"m.x": [1, 2]}, ["read"])
        assert [row.ingredients["read"] for row in rows] == [1, 2]
        assert (held.x, plant.get("read")) == (7, 7)


def test_the_error_for_other_objects_says_what_to_do(plant):
    with pytest.raises(ConfigError, match=r"not SimpleNamespace.*set_config\(vars\(config\)\)"):
        plant.set_config(types.SimpleNamespace(a=1))


def test_runs_without_a_job_are_not_asked_before_each_job(plant, monkeypatch):
    asked, next_job = [], Run.next_job
    monkeypatch.setattr(Run, "next_job", lambda self: asked.append(self) or next_job(self))
    few, many = [], []
    for values, found in ((range(10), few), (range(10, 50), many)):
        asked.clear()
        plant.sweep(fussy, {"seed": [100 + value for value in values]}, ["fine"])
        found.append(len(asked))
    assert many[0] <= 4 * few[0] + 20
