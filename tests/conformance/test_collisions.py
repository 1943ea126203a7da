"""Different inputs never share a result, and equal ones always do."""

import numpy as np
import pytest

from pyplant import Plant, ReactorFunc
from pyplant.fingerprint.fingerprint import digest_of

GRID = np.arange(24.0)
DIFFERENT = {
    "shape, same bytes": (np.arange(6), np.arange(6).reshape(2, 3)),
    "shape of three axes": (GRID.reshape(2, 3, 4), GRID.reshape(2, 4, 3)),
    "dtype, same bytes": (np.zeros(4, "f8"), np.zeros(4, "i8")),
    "byte order": (np.arange(4, dtype="<i4"), np.arange(4, dtype=">i4")),
    "an array and its transpose": (
        np.asfortranarray(GRID.reshape(4, 6)),
        np.ascontiguousarray(GRID.reshape(4, 6).T),
    ),
    "text and number": ("1", 1),
    "True and 1": (True, 1),
    "1 and 1.0": (1, 1.0),
    "0.0 and -0.0": (0.0, -0.0),
    "tuple and list": ((1, 2), [1, 2]),
    "list and array": ([1.0, 2.0], np.array([1.0, 2.0])),
    "set and frozenset": ({1}, frozenset({1})),
    "nesting": ([[1], [2]], [[1, 2]]),
    "bytes and text": (b"a", "a"),
    "order of a dictionary": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "None and its name": (None, "None"),
    "big integers": (2**64, 2**64 + 1),
}
EQUAL = {
    "C and F order of one row": (GRID.reshape(1, 24), np.asfortranarray(GRID.reshape(1, 24))),
    "contiguous and strided": (np.arange(0, 24, 2.0), GRID[::2]),
    "order of a set": ({"a", "b", "c", "dd"}, {"dd", "c", "b", "a"}),
    "shared and equal parts": (["ab"] * 2, ["ab", "xab"[1:]]),
}

pandas = pytest.importorskip("pandas")
DIFFERENT["column names"] = (pandas.DataFrame({"a": [1]}), pandas.DataFrame({"b": [1]}))
DIFFERENT["column dtypes"] = (pandas.DataFrame({"a": [1]}), pandas.DataFrame({"a": [1.0]}))


@ReactorFunc
def describe(pipe, config):
    value = config.value
    pipe.send(
        "seen",
        f"{type(value).__name__} {value!r} {getattr(value, 'shape', '')} {getattr(value, 'dtype', '')}",
    )


@pytest.fixture
def plant(plant_dir):
    with Plant(plant_dir) as plant:
        plant.add_reactor(describe)
        yield plant


def seen(plant, value):
    plant.set_config({"value": value})
    return plant.get("seen")


@pytest.mark.parametrize("pair", DIFFERENT)
def test_parameters_that_differ_have_results_of_their_own(pair, plant):
    left, right = DIFFERENT[pair]
    assert seen(plant, left) != seen(plant, right)
    assert digest_of([left]) != digest_of([right])
    plant.set_config({"value": left})
    assert plant.run_reactor(describe).cached == ("describe",)


@pytest.mark.parametrize("pair", EQUAL)
def test_parameters_that_are_equal_share_their_result(pair, plant):
    left, right = EQUAL[pair]
    seen(plant, left)
    plant.set_config({"value": right})
    assert plant.run_reactor(describe).cached == ("describe",)


@ReactorFunc
def produce(pipe):
    pipe.send("value", pipe.config.value)


@ReactorFunc
def consume(pipe):
    value = yield pipe.receive("value")
    pipe.send(
        "seen",
        f"{type(value).__name__} {value!r} {getattr(value, 'shape', '')} {getattr(value, 'dtype', '')}",
    )


def consumed(plant, value):
    plant.set_config({"value": value})
    report = plant.run_reactor(consume)
    return report.ran, plant.get("seen")


@pytest.mark.parametrize("pair", DIFFERENT)
def test_ingredients_that_differ_rerun_what_receives_them(pair, plant_dir):
    left, right = DIFFERENT[pair]
    with Plant(plant_dir) as plant:
        plant.add_reactor([produce, consume])
        assert consumed(plant, left)[0] == ("produce", "consume")
        ran, seen = consumed(plant, right)
        assert ran == ("produce", "consume")
        assert consumed(plant, left) == ((), plant.get("seen"))
    with Plant(plant_dir.with_name("empty")) as empty:
        empty.add_reactor([produce, consume])
        assert consumed(empty, right)[1] == seen


@pytest.mark.parametrize("pair", EQUAL)
def test_ingredients_that_are_equal_stop_the_rerun(pair, plant_dir):
    left, right = EQUAL[pair]
    with Plant(plant_dir) as plant:
        plant.add_reactor([produce, consume])
        consumed(plant, left)
        plant.set_config({"value": right})
        assert plant.run_reactor(produce, force=True).ran == ("produce",)
        assert plant.run_reactor(consume).ran == ()


def make(name, factor):
    @ReactorFunc(name=name)
    def reactor(pipe):
        pipe.send(name, 10 * factor)

    return reactor


def test_two_functions_of_one_factory_have_results_of_their_own(plant_dir):
    with Plant(plant_dir) as plant:
        plant.add_reactor([make("twenty", 2), make("thirty", 3)])
        assert plant.get("twenty", "thirty") == (20, 30)
        assert plant.get("twenty", "thirty") == (20, 30)
        assert set(plant.run_reactor("twenty").cached) == {"twenty"}
