"""Names that code fills once in a process, and edits of the code that filled them in the same process."""

import random

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import UnsavedWarning
from pyplant.execution import trace_writer
from pyplant.fingerprint import filled_names

pytestmark = pytest.mark.filterwarnings("ignore::pyplant.errors.StateWarning")

kept = None
results = {}
history = []
calls = {"all": 0}
generator = random.Random(0)


def compute():
    return 1


def table():
    return {"value": compute()}


def with_a_global():
    global kept
    if kept is None:
        kept = table()
    return kept["value"]


def with_a_dictionary():
    if "one" not in results:
        results["one"] = compute()
    return results["one"]


def with_a_default():
    found = results.get("one")
    if found is None:
        found = results["one"] = compute()
    return found


def with_a_history():
    history.append(compute())
    return history[-1]


def with_a_counter():
    calls["all"] = calls.get("all") + 1
    return compute()


def with_a_generator():
    generator.random()
    return compute()


def with_what_is_set_anyway():
    global kept
    kept = [compute()]
    return kept[0]


FILLING = [with_a_global, with_a_dictionary, with_a_default]


@pytest.fixture(autouse=True)
def _as_in_a_new_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reset(monkeypatch)
    filled_names._fillers.clear()
    history.clear()
    calls["all"] = 0


def reset(monkeypatch):
    monkeypatch.setitem(globals(), "kept", None)
    results.clear()


def edit(monkeypatch):
    monkeypatch.setitem(globals(), "compute", lambda: 2)


def plant_with(function):
    @ReactorFunc
    def fills(pipe):
        pipe.send("value", function())

    plant = Plant("plant", progress=False)
    plant.add_reactor(fills)
    return plant


@pytest.mark.parametrize("function", FILLING)
def test_a_result_of_what_earlier_code_has_filled_is_not_stored(function, monkeypatch):
    with plant_with(function) as plant:
        assert plant.get("value") == 1
        assert not plant.run_reactor("fills").ran
        edit(monkeypatch)
        with pytest.warns(
            UnsavedWarning, match=rf"{function.__name__} or what it uses changed after .* was filled"
        ):
            assert plant.get("value") == 1
        reset(monkeypatch)
        assert plant.get("value") == 2
        assert not plant.run_reactor("fills").ran


def test_control_without_fillers_the_result_of_earlier_code_is_served(monkeypatch):
    monkeypatch.setattr(trace_writer, "note_filled", lambda *_: None)
    with plant_with(with_a_global) as plant:
        assert plant.get("value") == 1
        edit(monkeypatch)
        assert plant.get("value") == 1
        reset(monkeypatch)
        assert plant.get("value") == 1


def test_an_edit_of_code_that_only_reads_stores_the_result():
    def plant_that_adds(added):
        @ReactorFunc(name="fills")
        def fills(pipe):
            with_a_global()
            pipe.send("value", kept["value"] + added)

        plant = Plant("plant", progress=False)
        plant.add_reactor(fills)
        return plant

    for added in (0, 1):
        with plant_that_adds(added) as plant:
            assert plant.get("value") == 1 + added
            assert not plant.run_reactor("fills").ran


@pytest.mark.parametrize("function", FILLING)
def test_an_edit_of_other_code_stores_the_result(function, monkeypatch):
    factor = 1

    @ReactorFunc
    def fills(pipe):
        pipe.send("value", factor * function())

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(fills)
        assert plant.get("value") == 1
        factor = 3
        assert plant.get("value") == 3
        assert not plant.run_reactor("fills").ran


@pytest.mark.parametrize(
    "function",
    [with_a_history, with_a_counter, with_a_generator, with_what_is_set_anyway],
)
def test_what_results_rarely_depend_on_does_not_count(function, monkeypatch):
    with plant_with(function) as plant:
        assert plant.get("value") == 1
        edit(monkeypatch)
        assert plant.get("value") == 2
        assert not plant.run_reactor("fills").ran
