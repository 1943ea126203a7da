"""Every feature and example of the guide, in the guide's own spelling."""

import logging

import numpy as np
import pytest

import pyplant
from pyplant import *
from tests.conformance.helpers import write_files

# ---------------------------------------------------------------------- the first example

FIRST = """
    from pyplant import *

    def expensive_operation():
        print("expensive operation")
        return [1, 2, 3]

    def plot_examples(data, color):
        print("plot", data, color)

    @ReactorFunc
    def load_data(pipe):
        data = expensive_operation()
        pipe.send('data', data)

    @ReactorFunc
    def plot_data(pipe, config):
        data = yield pipe.receive('data')
        plot_examples(data, config.color)

    with Plant('plant') as plant:
        plant.set_config({"color": "red"})
        plant.run_reactor(plot_data)
"""


def test_the_first_example_loads_once_and_plots_again_when_the_plot_is_edited(tmp_path, run_script):
    def run(source):
        write_files(tmp_path, {"first.py": source})
        return run_script((tmp_path / "first.py").read_text(), name="first.py").stdout.splitlines()

    assert run(FIRST) == ["expensive operation", "plot [1, 2, 3] red"]
    assert run(FIRST.replace('"plot"', '"better plot"')) == ["better plot [1, 2, 3] red"]
    assert run(FIRST.replace('"red"', '"blue"')) == ["plot [1, 2, 3] blue"]
    # The control: an edit of what loads does load again.
    assert run(FIRST.replace("[1, 2, 3]", "[4]")) == ["expensive operation", "plot [4] red"]


# ---------------------------------------------------------------------- the plant


def test_a_plant_needs_a_directory_only_and_makes_it(tmp_path):
    with Plant(str(tmp_path / "pyplant" / "my-project")) as plant:
        assert isinstance(plant, Plant)
    assert (tmp_path / "pyplant" / "my-project").is_dir()


def test_the_directory_goes_by_its_historical_name(tmp_path):
    with Plant(plantDir=tmp_path / "plant") as plant:
        assert plant.directory == tmp_path / "plant"


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("add_all_visible_reactors", "every @ReactorFunc"),
        ("print_execution_history", r"plant\.history"),
        ("get_config_object", r"plant\.config"),
        ("shutdown", r"plant\.close"),
    ],
)
def test_names_of_the_first_version_say_what_to_write(tmp_path, name, advice):
    with (
        Plant(tmp_path / "plant") as plant,
        pytest.raises(AttributeError, match=f"no longer has '{name}'.*{advice}"),
    ):
        getattr(plant, name)


def test_other_names_are_as_unknown_as_ever(tmp_path):
    with (
        Plant(tmp_path / "plant") as plant,
        pytest.raises(AttributeError, match="has no attribute 'nothing'"),
    ):
        plant.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="no longer has 'test'.*testing"):
        pyplant.test  # noqa: B018
    with pytest.raises(AttributeError, match="no longer has 'utils'.*load_ingredients"):
        pyplant.utils  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        pyplant.nothing  # noqa: B018


def test_a_logger_is_refused_with_what_to_write(tmp_path):
    with pytest.raises(TypeError, match=r'logging\.getLogger\("pyplant"\)'):
        Plant(tmp_path / "plant", logging.getLogger("mine"))


def test_without_a_directory_there_is_no_plant():
    with pytest.raises(TypeError, match="plantDir"):
        Plant()


# ---------------------------------------------------------------------- reactors


@ReactorFunc
def load_data(pipe):
    pipe.send("data", [1, 2, 3])


@ReactorFunc
def plot_data(pipe: Pipework):
    data = yield pipe.receive("data")
    pipe.send("plot", f"plot of {data}")


def test_reactors_are_run_by_function_with_their_inputs(plant_dir):
    with Plant(plant_dir) as plant:
        assert plant.run_reactor(plot_data).ran == ("load_data", "plot_data")


def test_reactors_are_registered_by_themselves_when_the_first_one_runs(plant_dir):
    with Plant(plant_dir) as plant:
        plant.run_reactor(plot_data)
        names = {entry.name for entry in plant.status()}
        assert {"load_data", "plot_data"} <= names

        @ReactorFunc
        def defined_later(pipe):
            pipe.send("later", (yield pipe.receive("plot")) + "!")

        assert plant.run_reactor("defined_later").ran == ("defined_later",)


def test_a_list_of_reactors_is_added_and_only_those_count(plant_dir):
    @ReactorFunc
    def of_another_plant(pipe):
        pipe.send("data", "from another plant")  # would be a second sender of 'data'

    with Plant(plant_dir) as plant:
        plant.add_reactor([load_data, plot_data])
        assert [entry.name for entry in plant.status()] == ["load_data", "plot_data"]
        assert plant.run_reactor(plot_data).ran == ("load_data", "plot_data")
    # The control: without the list the other one counts as well.
    with Plant(plant_dir) as plant, pytest.raises(pyplant.errors.DuplicateSenderError):
        plant.run_reactor(plot_data)


def test_plain_functions_and_generators_are_reactors(plant_dir):
    @ReactorFunc
    def plain(pipe):
        pipe.send("plain", 1)

    @ReactorFunc
    def generator(pipe):
        value = yield pipe.receive("plain")
        pipe.send("generator", value + 1)

    @ReactorFunc
    def plain_with_config(pipe, config):
        pipe.send("plain with config", config.step)

    @ReactorFunc
    def generator_with_config(pipe, config):
        value = yield pipe.receive("generator")
        pipe.send("both", value + config.step)

    with Plant(plant_dir) as plant:
        plant.set_config({"step": 10})
        assert plant.get("plain", "generator", "plain with config", "both") == (1, 2, 10, 12)


# ---------------------------------------------------------------------- ingredients


def sent_and_received(plant_dir, value, *kind):
    @ReactorFunc
    def sender(pipe):
        pipe.send("name", value, *kind)

    @ReactorFunc
    def receiver(pipe):
        received = yield pipe.receive("name")
        seen.append(received)

    seen = Seen()
    with Plant(plant_dir) as plant:
        plant.add_reactor([sender, receiver])
        plant.run_reactor(receiver)
        assert plant.run_reactor(receiver).ran == ("receiver",)
    assert len(seen) == 2
    return seen[0]


class Seen(list):
    """Records what reactors of a test read. Its digest leaves the content out, so it is not an input."""

    def __reduce_ex__(self, protocol):
        return Seen, ()


PRIMITIVES = [None, True, 3, 2.5, 1 + 2j, "text", b"bytes"]


@pytest.mark.parametrize("value", PRIMITIVES, ids=repr)
def test_type_simple(value, plant_dir):
    received = sent_and_received(plant_dir, value, Ingredient.Type.simple)
    assert received == value
    assert type(received) is type(value)


def test_type_list(plant_dir):
    assert sent_and_received(plant_dir, [1, 2.0, "three", None], Ingredient.Type.list) == [
        1,
        2.0,
        "three",
        None,
    ]


def test_type_object(plant_dir):
    value = {"a": {1, 2}, "b": (3, [4])}
    assert sent_and_received(plant_dir, value, Ingredient.Type.object) == value


def test_type_array(plant_dir):
    value = np.arange(6.0).reshape(2, 3)
    received = sent_and_received(plant_dir, value, Ingredient.Type.array)
    assert received.dtype == value.dtype
    np.testing.assert_array_equal(received, value)


def test_type_file_is_allocated_and_received_as_a_path(plant_dir):
    @ReactorFunc
    def write(pipe):
        path = pipe.allocate("report", Ingredient.Type.file)
        with open(path, "w") as stream:
            stream.write("hello")
        pipe.send("report", path, Ingredient.Type.file)

    @ReactorFunc
    def read(pipe):
        path = yield pipe.receive("report")
        with open(path) as stream:
            pipe.send("text", stream.read())

    with Plant(plant_dir) as plant:
        plant.add_reactor([write, read])
        assert plant.get("text") == "hello"
        path = plant.get("report")
        assert path.startswith(str(plant_dir))  # "stored in the plant dir, passed as a path"


@pytest.mark.parametrize(
    ("value", "format"),
    [(3, "simple"), ("x", "simple"), ([1, "x"], "list"), ({"a": 1}, "object"), (np.arange(3), "array")],
    ids=["int", "str", "list", "dict", "array"],
)
def test_the_type_is_inferred(value, format, plant_dir):
    @ReactorFunc
    def sender(pipe):
        pipe.send("name", value)

    sent = []
    with Plant(plant_dir) as plant:
        plant.add_event_listener(lambda event: sent.append(getattr(event, "format", None)))
        plant.add_reactor([sender])
        plant.run_reactor(sender)
    assert format in sent


@pytest.mark.parametrize("kind", [Ingredient.Type.object, specs.ObjectSpec], ids=["type", "spec class"])
def test_a_given_type_wins_over_the_inferred_one(kind, plant_dir):
    sent = []

    @ReactorFunc
    def sender(pipe):
        pipe.send("name", 3, kind)

    with Plant(plant_dir) as plant:
        plant.add_event_listener(lambda event: sent.append(getattr(event, "format", None)))
        plant.add_reactor([sender])
        plant.run_reactor(sender)
        assert plant.get("name") == 3
    assert "object" in sent
    assert "simple" not in sent


# ---------------------------------------------------------------------- specs


def test_specs_are_registered_with_the_warehouse(plant_dir):
    pytest.importorskip("scipy")
    with Plant(plant_dir) as plant:
        plant.warehouse.register_ingredient_specs([specs.HdfArraySpec(), specs.ScipySparseSpec()])


def test_an_allocated_hdf_array_is_sent_by_its_spec_class(plant_dir):
    @ReactorFunc
    def write(pipe):
        hdf_array = pipe.allocate("hdf-array", specs.HdfArraySpec, shape=(5, 10, 10), dtype=np.float32)
        hdf_array[2] = 1
        pipe.send("hdf-array", hdf_array, specs.HdfArraySpec)

    @ReactorFunc
    def read(pipe):
        array = yield pipe.receive("hdf-array")
        pipe.send("sum", float(np.sum(array[:])))
        pipe.send("kind", f"{type(array).__module__} {array.shape} {array.dtype}")

    with Plant(plant_dir) as plant:
        plant.warehouse.register_ingredient_specs([specs.HdfArraySpec()])
        plant.add_reactor([write, read])
        assert plant.get("sum", "kind") == (100.0, "h5py._hl.dataset (5, 10, 10) float32")
        assert plant.run_reactor(read).cached == ("write", "read")


@pytest.mark.parametrize("kind", [(), (specs.HdfArraySpec,)], ids=["inferred", "given"])
def test_the_type_of_an_allocated_array_need_not_be_given_again(kind, plant_dir):
    @ReactorFunc
    def write(pipe):
        array = pipe.allocate("array", specs.HdfArraySpec, shape=(3,), dtype=np.float32)
        array[:] = 7
        pipe.send("array", array, *kind)

    with Plant(plant_dir) as plant:
        plant.add_reactor([write])
        assert list(plant.get("array")) == [7, 7, 7]


@pytest.mark.nightly
def test_the_guides_array_of_two_gigabytes(plant_dir):
    @ReactorFunc
    def write(pipe):
        hdf_array = pipe.allocate("hdf-array", specs.HdfArraySpec, shape=(500, 1000, 1000), dtype=np.float32)
        hdf_array[499] = 1  # the rest stays a hole in the file
        pipe.send("hdf-array", hdf_array)

    with Plant(plant_dir) as plant:
        plant.add_reactor([write])
        array = plant.get("hdf-array")
        assert (array.shape, array.dtype) == ((500, 1000, 1000), np.float32)
        assert (array[0, 0, 0], array[499, 999, 999]) == (0, 1)


def test_a_sparse_matrix(plant_dir):
    sparse = pytest.importorskip("scipy.sparse")
    value = sparse.csr_matrix(np.eye(3))
    for kind in ((), (specs.ScipySparseSpec,)):
        received = sent_and_received(plant_dir / f"{len(kind)}", value, *kind)
        assert type(received) is type(value)
        assert (received != value).nnz == 0


def test_a_keras_model(plant_dir):
    pytest.importorskip("jax")
    keras = pytest.importorskip("keras")

    @ReactorFunc
    def train(pipe):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, kernel_initializer="ones")])
        pipe.send("model", model, specs.KerasModelSpec)

    @ReactorFunc
    def use(pipe):
        model = yield pipe.receive("model")
        pipe.send("answer", float(model.predict(np.ones((1, 2)), verbose=0)[0, 0]))

    with Plant(plant_dir) as plant:
        plant.warehouse.register_ingredient_specs([specs.KerasModelSpec()])
        plant.add_reactor([train, use])
        assert plant.get("answer") == 2.0


# ---------------------------------------------------------------------- configuration


@ReactorFunc
def paint(pipe):
    pipe.send("painted", pipe.read_config("color"))


@ReactorFunc
def paint_by_attribute(pipe, config):
    pipe.send("painted", config.color)


@ReactorFunc
def paint_by_item(pipe, config):
    pipe.send("painted", config["color"])


@ReactorFunc
def paint_through_the_pipe(pipe):
    pipe.send("painted", pipe.config.color)


class MyConfig(ConfigBase):
    def __init__(self, color="red"):
        super().__init__()
        self.color = color
        self.unread = 1


class Forgetful(ConfigBase):
    def __init__(self, color="red"):
        self.color = color
        self.unread = 1


def as_dict(color="red"):
    return {"color": color, "unread": 1}


WAYS = [
    (make, reactor)
    for make in (as_dict, MyConfig, Forgetful)
    for reactor in (paint, paint_by_attribute, paint_through_the_pipe)
] + [(as_dict, paint_by_item)]


@pytest.mark.parametrize(("make", "reactor"), WAYS, ids=lambda f: f.__name__)
def test_reading_a_parameter_registers_the_dependency(make, reactor, plant_dir):
    with Plant(plant_dir) as plant:
        plant.add_reactor([reactor])
        plant.set_config(make())
        assert plant.get("painted") == "red"
        plant.set_config(make("blue"))
        assert plant.run_reactor(reactor).ran == (reactor.__name__,)
        assert plant.get("painted") == "blue"
        plant.set_config(make())
        assert plant.run_reactor(reactor).cached == (reactor.__name__,)
        assert plant.get("painted") == "red"
        config = make()
        if make is as_dict:
            config["unread"] = 2
        else:
            config.unread = 2
        plant.set_config(config)
        assert plant.run_reactor(reactor).cached == (reactor.__name__,)


def test_only_the_reactors_that_read_a_parameter_run_again(plant_dir):
    @ReactorFunc
    def load(pipe):
        pipe.send("data", 1)

    @ReactorFunc
    def show(pipe, config):
        data = yield pipe.receive("data")
        pipe.send("shown", f"{data} {config.color}")

    with Plant(plant_dir) as plant:
        plant.add_reactor([load, show])
        plant.set_config(MyConfig())
        plant.get("shown")
        plant.set_config(MyConfig("blue"))
        report = plant.run_reactor(show)
        assert (report.ran, report.cached) == (("show",), ("load",))


# ---------------------------------------------------------------------- auxiliary parameters


@ReactorFunc
def log_by_name(pipe):
    pipe.read_config("log-level")
    pipe.send("done", pipe.read_config("color"))


@ReactorFunc
def log_by_item(pipe, config):
    assert config["log-level"]
    pipe.send("done", config["color"])


class AuxiliaryConfig(ConfigBase):
    def __init__(self, level):
        super().__init__()
        setattr(self, "log-level", level)
        self.color = "red"
        self.mark_auxiliary(["log-level"])


class ForgetfulAuxiliaryConfig(ConfigBase):
    def __init__(self, level):
        self.mark_auxiliary(["log-level"])
        self.color = "red"
        setattr(self, "log-level", level)


def level(name):
    return {"log-level": name, "color": "red"}


@pytest.mark.parametrize("reactor", [log_by_name, log_by_item], ids=lambda f: f.__name__)
def test_parameters_are_marked_as_auxiliary_on_the_plant(reactor, plant_dir):
    with Plant(plant_dir) as plant:
        plant.add_reactor([reactor])
        plant.mark_params_as_auxiliary(["log-level"])
        plant.set_config(level("info"))
        plant.run_reactor(reactor)
        plant.set_config(level("debug"))
        assert plant.run_reactor(reactor).cached == (reactor.__name__,)
        plant.set_config({**level("debug"), "color": "blue"})
        assert plant.run_reactor(reactor).ran == (reactor.__name__,)


def test_a_parameter_that_is_not_marked_counts(plant_dir):
    with Plant(plant_dir) as plant:
        plant.add_reactor([log_by_name])
        plant.set_config(level("info"))
        plant.run_reactor(log_by_name)
        plant.set_config(level("debug"))
        assert plant.run_reactor(log_by_name).ran == ("log_by_name",)


@pytest.mark.parametrize("config", [AuxiliaryConfig, ForgetfulAuxiliaryConfig], ids=lambda c: c.__name__)
def test_parameters_are_marked_in_the_constructor_of_the_configuration(config, plant_dir):
    with Plant(plant_dir) as plant:
        plant.add_reactor([log_by_name])
        plant.set_config(config("info"))
        plant.run_reactor(log_by_name)
        plant.set_config(config("debug"))
        assert plant.run_reactor(log_by_name).cached == ("log_by_name",)


# ---------------------------------------------------------------------- subreactors


@SubreactorFunc
def subreactor_a(pipe: Pipework):
    return 3 + 10  # Do stuff.


@SubreactorFunc
def subreactor_b(pipe: Pipework):
    value = yield from subreactor_a(pipe)
    return value


@ReactorFunc
def reactor_a(pipe: Pipework):
    value = yield from subreactor_b(pipe)
    pipe.send("value", value, Ingredient.Type.simple)


def test_the_guides_nested_subreactors(plant_dir):
    with Plant(plant_dir) as plant:
        plant.add_reactor([reactor_a])
        assert plant.get("value") == 13


SUBREACTORS = """
    from pyplant import *

    @ReactorFunc
    def load(pipe):
        pipe.send('number', 5)

    @SubreactorFunc
    def subreactor_a(pipe: Pipework):
        return 3 + 10 # Do stuff.

    @SubreactorFunc
    def subreactor_b(pipe: Pipework, factor):
        number = yield pipe.receive('number')
        value = yield from subreactor_a(pipe)
        pipe.send('extra', number)
        return value + number * factor

    @ReactorFunc
    def reactor_a(pipe: Pipework):
        returnValue = yield from subreactor_b(pipe, 2)
        pipe.send('value', returnValue, Ingredient.Type.simple)

    with Plant('plant') as plant:
        report = plant.run_reactor(reactor_a)
        print(",".join(report.ran) or "nothing", plant.get("value"), plant.get("extra"))
"""


def test_an_edit_of_a_nested_subreactor_reruns_the_reactor(tmp_path, run_script):
    def run(source):
        write_files(tmp_path, {"sub.py": source})
        return run_script((tmp_path / "sub.py").read_text(), name="sub.py").stdout.strip()

    assert run(SUBREACTORS) == "load,reactor_a 23 5"
    assert run(SUBREACTORS) == "nothing 23 5"
    assert run(SUBREACTORS.replace("3 + 10", "3 + 11")) == "reactor_a 24 5"
    assert run(SUBREACTORS.replace("number * factor", "number - factor")) == "reactor_a 16 5"
    assert run(SUBREACTORS.replace("# Do stuff.", "# Do other stuff.")) == "nothing 23 5"


def test_subreactors_wait_for_ingredients_and_send(plant_dir):
    @ReactorFunc
    def load(pipe):
        pipe.send("number", 5)

    @SubreactorFunc
    def waits(pipe, factor):
        number = yield pipe.receive("number")
        pipe.send("from the subreactor", number)
        return number * factor

    @ReactorFunc
    def calls(pipe):
        value = yield from waits(pipe, factor=3)
        pipe.send("value", value)

    with Plant(plant_dir) as plant:
        plant.add_reactor([load, calls])
        assert plant.get("from the subreactor", "value") == (5, 15)
        # What a subreactor receives is an input of the reactor that called it.
        assert plant.run_reactor(calls).cached == ("load", "calls")
