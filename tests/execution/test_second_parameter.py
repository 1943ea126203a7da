"""The second parameter of a reactor, returned values, and a configuration that is sent."""

import dataclasses
import functools
import json
import subprocess
import sys

import pytest

from pyplant import ConfigBase, Plant, ReactorFunc, SubreactorFunc
from pyplant.errors import DefinitionError, NotYieldedError, ReturnedWarning
from pyplant.testing import run_reactor
from tests.conftest import ROOT
from tests.laws.executors import POOLS


@pytest.fixture(params=[None, *POOLS])
def executor(request, pools):
    return None if request.param is None else pools(request.param)


@pytest.fixture
def plant(tmp_path):
    with Plant(tmp_path / "plant", progress=False) as plant:
        yield plant


@ReactorFunc
def load(pipe):
    pipe.send("data", [1, 2])


@ReactorFunc
def total(pipe, data):
    pipe.send("total", len(data))


def passing(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


@ReactorFunc
@passing
def wrapped(pipe, data):
    pipe.send("wrapped", len(data))


FIX = r"data = yield pipe.receive\(\"data\"\)"

# ------------------------------------------------------------------ an ingredient as second parameter


@pytest.mark.parametrize("reactor", [total, wrapped], ids=lambda f: f.__name__)
@pytest.mark.parametrize("config", [None, {"a": 1}])
@pytest.mark.parametrize("force", [False, True])
def test_an_ingredient_as_second_parameter_is_refused(plant, reactor, config, force):
    plant.add_reactor(load, reactor)
    if config is not None:
        plant.set_config(config)
    with pytest.raises(DefinitionError, match=f"'data' is an ingredient, sent by 'load'.*{FIX}"):
        plant.run_reactor(reactor, force=force)
    with pytest.raises(DefinitionError, match=FIX):
        plant.get(reactor.__name__)
    assert plant.get("data") == [1, 2]  # other reactors run


def test_reactors_that_are_not_demanded_are_not_refused(plant):
    plant.add_reactor(load, total)
    plant.run_reactor(load)
    assert {entry.name for entry in plant.status()} == {"load", "total"}
    plant.plan(total)
    plant.explain(total)


def test_a_name_of_a_stored_ingredient_is_refused(tmp_path):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(load)
        plant.get("data")
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(total)
        plant.set_config({"a": 1})
        with pytest.raises(DefinitionError, match=FIX):
            plant.get("total")


def test_without_a_configuration_any_other_name_is_refused(plant):
    plant.add_reactor(total)
    with pytest.raises(DefinitionError, match=f"no configuration was set.*{FIX}.*plant.set_config"):
        plant.get("total")
    plant.set_config({})
    assert plant.get("total") == 0


@pytest.mark.parametrize("name", ["config", "cfg", "conf"])
def test_the_usual_names_need_no_configuration(plant, name):
    namespace = {"__name__": __name__}
    exec(f"def usual(pipe, {name}): pipe.send('usual', {name}.get('x', 5))", namespace)
    reactor = ReactorFunc(namespace["usual"])
    plant.add_reactor(reactor)
    assert plant.get("usual") == 5


def test_the_usual_names_are_the_configuration_whatever_is_sent(plant):
    @ReactorFunc
    def settings(pipe, config):
        pipe.send("config", config.x)

    @ReactorFunc
    def sends_its_own(pipe, numbers):
        pipe.send("numbers", numbers.x)

    plant.add_reactor(settings, sends_its_own)
    plant.set_config({"x": 1})
    assert plant.get("config", "numbers") == (1, 1)


def test_any_name_is_the_configuration_if_no_ingredient_has_it(plant):
    @ReactorFunc
    def reads(pipe, settings):
        pipe.send("read", settings.x)

    plant.add_reactor(load, reads)
    plant.set_config({"x": 3})
    assert plant.get("read") == 3


def test_in_a_sweep_and_with_keep_going_it_is_refused_too(plant):
    plant.add_reactor(load, total)
    plant.set_config({"a": 1})
    for keep_going in (False, True):
        with pytest.raises(DefinitionError, match=FIX):
            plant.sweep(total, {"a": [1, 2]}, keep_going=keep_going)


def test_a_reactor_under_test_is_refused_too():
    with pytest.raises(DefinitionError, match=FIX):
        run_reactor(total, {"data": [1]})


@pytest.mark.parametrize(
    "text",
    [
        "def f(pipe, data=5): pipe.send('f', data)",
        "def f(pipe, *, data=5): pipe.send('f', data)",
        "def f(pipe, *data): pipe.send('f', 5 + len(data))",
        "def f(pipe, **data): pipe.send('f', 5 + len(data))",
        "def f(pipe, config=5): pipe.send('f', config)",
    ],
)
def test_a_parameter_with_a_default_is_never_the_configuration(plant, text):
    namespace = {"__name__": __name__}
    exec(text, namespace)
    reactor = ReactorFunc(namespace["f"])
    plant.add_reactor(load, reactor)
    plant.set_config({"x": 1})
    assert plant.get("f") == 5


# ------------------------------------------------------------------ objects that cannot be decorated


class Pipeline:
    def load(self, pipe):
        pipe.send("data", 1)

    @classmethod
    def made(cls, pipe):
        pipe.send("data", 1)


def second_pipe(this, pipe):
    pipe.send("data", 1)


@pytest.mark.parametrize(
    "method",
    [Pipeline.load, passing(Pipeline.load), vars(Pipeline)["made"].__func__, second_pipe, lambda self: None],
)
def test_a_method_is_refused_at_the_decorator(method):
    with pytest.raises(
        DefinitionError, match=r"is a method.*Write a function, def .*\(pipe, config\).*@staticmethod"
    ):
        ReactorFunc(method)


@pytest.mark.parametrize(
    ("thing", "advice"),
    [
        (functools.partial(total, data=1), r"partial.*def name\(pipe\): return thing\(pipe\)"),
        (Pipeline().load, r"method 'load'.*def name\(pipe\)"),
        (staticmethod(second_pipe), "put @staticmethod above @ReactorFunc"),
        (vars(Pipeline)["made"], "put @staticmethod above @ReactorFunc"),
        (Pipeline, "type 'Pipeline'.*takes 'pipe'"),
        (5, "int; wrap it"),
    ],
)
def test_the_error_for_an_object_that_is_no_function_says_what_to_write(thing, advice):
    with pytest.raises(DefinitionError, match=advice):
        ReactorFunc(thing)


def test_a_static_method_is_a_function(plant):
    class Stages:
        @staticmethod
        @ReactorFunc
        def first(pipe):
            pipe.send("first", 1)

    plant.add_reactor(Stages.first)
    assert plant.get("first") == 1


# ------------------------------------------------------------------ returned values


def returns_all(pipe):
    pipe.send("kept", 1)
    return [1, 2, 3]


def returns_from_a_generator(pipe):
    data = yield pipe.receive("data")
    pipe.send("kept", 1)
    return data


def helper(pipe):
    data = yield pipe.receive("data")
    pipe.send("kept", 1)
    return data


def returns_a_generator(pipe):
    return helper(pipe)


@pytest.mark.parametrize("function", [returns_all, returns_from_a_generator, returns_a_generator])
def test_a_returned_value_causes_a_warning_and_sent_values_are_stored(tmp_path, executor, function):
    reactor = ReactorFunc(name="returns")(function)
    with Plant(tmp_path / "plant", executor=executor, progress=False) as plant:
        plant.add_reactor(load, reactor)
        with pytest.warns(
            ReturnedWarning, match=r"'returns' returned a value of type list.*pipe.send\('returns'"
        ):
            assert plant.get("kept") == 1
        assert plant.run_reactor(reactor).cached[-1] == "returns"


def test_returning_nothing_is_fine(plant):
    @ReactorFunc
    def early(pipe):
        if (yield pipe.receive("data")):
            pipe.send("early", 1)
            return
        pipe.send("early", 2)

    plant.add_reactor(load, early)
    assert plant.get("early") == 1


def test_a_subreactor_keeps_its_result(plant):
    @SubreactorFunc
    def plain(pipe):
        return 5

    @SubreactorFunc
    def waits(pipe):
        data = yield pipe.receive("data")
        return len(data)

    @ReactorFunc
    def uses(pipe):
        pipe.send("used", (yield from plain(pipe)) + (yield from waits(pipe)))

    plant.add_reactor(load, uses)
    assert plant.get("used") == 7


def test_a_command_that_is_returned_was_not_yielded(plant):
    @ReactorFunc
    def forgets(pipe):
        yield
        return pipe.receive("data")

    plant.add_reactor(load, forgets)
    with pytest.raises(NotYieldedError):
        plant.run_reactor(forgets)


# ------------------------------------------------------------------ a configuration that is sent


@dataclasses.dataclass
class Part(ConfigBase):
    n: int = 1


class Whole(ConfigBase):
    part = Part()

    def __init__(self, x=1):
        self.x = x


WHOLE = {
    "dict": (lambda x: {"x": x, "part": {"n": 1}}, lambda value: (value["x"], value["part"]["n"])),
    "object": (Whole, lambda value: (value.x, value.part.n)),
    "object in a dict": (lambda x: {"x": x, "part": Part()}, lambda value: (value["x"], value["part"].n)),
}
FORMS = {
    "itself": (lambda config: config, lambda value: value),
    "in a dictionary": (lambda config: {"config": config}, lambda value: value["config"]),
    "in a tuple": (lambda config: (1, config), lambda value: value[1]),
}


@pytest.mark.parametrize(("make", "ask"), WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize(("form", "unform"), FORMS.values(), ids=FORMS)
def test_a_configuration_that_is_sent_is_plain_and_a_dependency(tmp_path, executor, make, ask, form, unform):
    @ReactorFunc
    def settings(pipe, config):
        pipe.send("settings", form(config))

    with Plant(tmp_path / "plant", executor=executor, progress=False) as plant:
        plant.add_reactor(settings)
        plant.set_config(make(1))
        assert ask(unform(plant.get("settings"))) == (1, 1)
        assert plant.run_reactor(settings).ran == ()
        plant.set_config(make(2))
        assert plant.run_reactor(settings).ran == ("settings",)
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(settings)
        plant.set_config(make(2))
        value = unform(plant.fetch_ingredient("settings"))
        assert ask(value) == (2, 1)
        if isinstance(value, ConfigBase):
            value.x = 3  # it is plain
        else:
            value["x"] = 3


@pytest.mark.parametrize("make", [lambda n: {"part": {"n": n}, "x": 1}, lambda n: {"part": Part(n), "x": 1}])
def test_a_nested_part_that_is_sent_is_a_read_of_that_part(plant, make):
    @ReactorFunc
    def sends_part(pipe, config):
        pipe.send("part", config.part)

    plant.add_reactor(sends_part)
    plant.set_config(make(1))
    assert plant.get("part").n == 1
    plant.set_config({**make(1), "x": 2})
    assert plant.run_reactor(sends_part).ran == ()
    plant.set_config(make(2))
    assert plant.get("part").n == 2


def test_a_sent_configuration_is_read_by_another_process(plant):
    @ReactorFunc
    def settings(pipe, config):
        pipe.send("settings", config)

    plant.add_reactor(settings)
    plant.set_config({"x": 1, "part": {"n": 2}})
    plant.get("settings")
    code = (
        "import json, sys, warnings; warnings.simplefilter('ignore'); from pyplant import Plant; "
        "print(json.dumps(Plant(sys.argv[1], progress=False).fetch_ingredient('settings')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(plant.directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"x": 1, "part": {"n": 2}}
