"""Texts of errors: a value that is not computed yet, and counts of one."""

import pytest

from pyplant import Plant, ReactorFunc
from pyplant._formatting import counted
from pyplant.errors import MissingIngredientError


@ReactorFunc
def load(pipe):
    pipe.send("data", 1)


@ReactorFunc
def broken(pipe):
    raise ValueError("no")


@pytest.fixture
def plant(tmp_path):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(load, broken)
        yield plant


def test_the_error_for_a_value_not_computed_yet_names_its_sender(plant):
    with pytest.raises(MissingIngredientError, match=r"sent by 'load': plant\.get\('data'\)") as raised:
        plant.fetch_ingredient("data")
    assert "Did you mean" not in str(raised.value)
    plant.get("data")
    assert plant.fetch_ingredient("data") == 1


def test_the_error_for_an_invalidated_value_names_its_sender(plant):
    plant.get("data")
    plant.invalidate("load")
    with pytest.raises(MissingIngredientError, match="sent by 'load'"):
        plant.fetch_ingredient("data")


def test_a_misspelt_name_is_still_corrected(plant):
    with pytest.raises(MissingIngredientError, match="Did you mean 'data', sent by 'load'"):
        plant.fetch_ingredient("datas")


def test_one_failure_is_one_reactor(plant):
    with pytest.raises(BaseExceptionGroup, match="^1 reactor failed: broken"):
        plant.run_reactor(broken, keep_going=True)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 lines"), (1, "1 line"), (2, "2 lines"), (1000, "1,000 lines")]
)
def test_counts_are_singular_for_one(count, text):
    assert counted(count, "line") == text
