"""What tests of users do to a pipeline: they patch helpers, and variables hold random generators with a seed."""

import random
from unittest import mock

import numpy as np
import pytest

from pyplant import Plant, ReactorFunc

RAN = []


def helper():
    return 1


GENERATORS = {
    "numpy": np.random.default_rng,
    "legacy": np.random.RandomState,
    "standard library": random.Random,
}
GENERATOR = None


@pytest.fixture
def plant(plant_dir):
    RAN.clear()
    with Plant(plant_dir, progress=False) as plant:
        yield plant


def answer(plant, name="answer"):
    """The value, and how many executions there were."""
    return plant.get(name), len(RAN)


@ReactorFunc
def asks(pipe):
    note()
    pipe.send("answer", helper())


@ReactorFunc(cache=True)
def draws(pipe):
    note()
    pipe.send("answer", float(GENERATOR.random() if hasattr(GENERATOR, "random") else GENERATOR.rand()))


def note():
    vars(mock)["pyplant_test_runs"]()  # found by a computed way, so that the list is not followed


@pytest.fixture(autouse=True)
def count_runs(monkeypatch):
    monkeypatch.setattr(mock, "pyplant_test_runs", lambda: RAN.append(1), raising=False)


def test_a_patched_helper_is_an_edit_and_the_undo_takes_it_back(plant, monkeypatch):
    plant.add_reactor(asks)
    assert answer(plant) == (1, 1)
    with monkeypatch.context() as patch:
        patch.setattr(f"{__name__}.helper", lambda: 2)
        assert answer(plant) == (2, 2)
    assert answer(plant) == (1, 2)


@pytest.mark.parametrize("options", [{"return_value": 7}, {"side_effect": lambda: 7}, {"new": lambda: 7}])
def test_so_is_a_mock(plant, options):
    plant.add_reactor(asks)
    assert answer(plant) == (1, 1)
    with mock.patch(f"{__name__}.helper", **options):
        assert answer(plant) == (7, 2)
    assert answer(plant) == (1, 2)


@pytest.mark.parametrize("make", GENERATORS.values(), ids=GENERATORS)
def test_a_generator_counts_by_its_seed_until_reactors_draw_from_it(plant, monkeypatch, make):
    plant.add_reactor(draws)
    monkeypatch.setattr(f"{__name__}.GENERATOR", make(1))
    first = answer(plant)
    assert answer(plant) == first
    monkeypatch.setattr(f"{__name__}.GENERATOR", make(2))
    other = answer(plant)
    assert other[0] != first[0]
    assert other[1] == 2
    monkeypatch.setattr(f"{__name__}.GENERATOR", make(1))
    assert answer(plant) == (first[0], 2)


class Simulation:
    generator = None

    def __init__(self, seed):
        self.own = random.Random(seed)

    def draw(self):
        return self.generator.random() + self.own.random()


SIMULATION = None


@ReactorFunc(cache=True)
def simulates(pipe):
    note()
    pipe.send("answer", SIMULATION.draw())


def test_a_generator_of_a_class_counts_by_its_seed_beside_one_of_its_object(plant, plant_dir, monkeypatch):
    """The reactor draws from both, and the first change hides the second one, which is reached through it only."""
    monkeypatch.setattr(f"{__name__}.SIMULATION", Simulation(1))
    monkeypatch.setattr(Simulation, "generator", random.Random(1))
    plant.add_reactor(simulates)
    first, _ = answer(plant)
    monkeypatch.setattr(f"{__name__}.SIMULATION", Simulation(1))
    monkeypatch.setattr(Simulation, "generator", random.Random(1))
    assert answer(plant) == (first, 1)
    monkeypatch.setattr(Simulation, "generator", random.Random(2))
    assert answer(plant)[0] != first
