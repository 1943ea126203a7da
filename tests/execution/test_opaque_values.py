"""Variables whose content cannot be compared: warnings and explanations name them."""

import re
import threading
import warnings

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import OpaqueWarning

LOCK = threading.Lock()
NUMBERS = {"all": [number for number in range(3)], "one by one": re.finditer(".", "012")}


@ReactorFunc
def locks(pipe):
    with LOCK:
        pipe.send("locked", 1)


@ReactorFunc
def locks_too(pipe):
    locked = yield pipe.receive("locked")
    with LOCK:
        pipe.send("twice", locked)


@ReactorFunc
def counts(pipe):
    pipe.send("count", len(NUMBERS))


@pytest.fixture
def plant(plant_dir):
    with Plant(plant_dir, progress=False) as plant:
        plant.add_reactor([locks, locks_too, counts])
        yield plant


def test_a_warning_names_the_variable_its_reader_and_what_to_do(plant):
    with pytest.warns(
        OpaqueWarning, match=r"test_opaque_values\.LOCK, a _thread\.lock.*'locks'.*inside the reactor"
    ):
        plant.run_reactor(locks)
    with pytest.warns(OpaqueWarning, match=r"\.NUMBERS, a _sre\.SRE_Scanner"):
        plant.run_reactor(counts)


def test_one_variable_is_warned_about_once(plant):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        plant.run_reactor(locks_too)
    assert len([each for each in caught if each.category is OpaqueWarning]) == 1


@pytest.mark.filterwarnings("ignore::pyplant.errors.OpaqueWarning")
def test_an_explanation_names_the_variable(plant):
    plant.run_reactor(locks)
    assert "LOCK, a _thread.lock" in str(plant.explain(locks))
