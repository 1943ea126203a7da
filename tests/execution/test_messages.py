"""Texts of errors: a value that is not computed yet, and counts of one."""

import pytest

from pyplant import Plant, ReactorFunc
from pyplant._formatting import counted
from pyplant.errors import MissingIngredientError, UnknownReactorError, UnsavableError


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


@pytest.mark.parametrize("call", ["run_reactor", "sweep"])
def test_the_error_for_an_ingredient_in_place_of_a_reactor_names_its_sender(call, plant):
    arguments = [{"n": [1]}] if call == "sweep" else []
    with pytest.raises(
        UnknownReactorError, match=r"'data' is an ingredient, which 'load' sends\. .*plant\.get"
    ):
        getattr(plant, call)("data", *arguments)


def test_the_error_for_a_generator_says_how_to_run_it(plant):
    def helper(pipe):
        return (yield pipe.receive("data"))

    @ReactorFunc
    def forgets(pipe):
        pipe.send("made", helper(pipe))

    plant.add_reactor(forgets)
    with pytest.raises(UnsavableError, match=r"Write yield from helper\(\.\.\.\) if it receives"):
        plant.get("made")


def test_what_notebooks_show_of_maintenance_is_a_sentence(plant):
    assert repr(plant.gc()) == str(plant.gc())
    assert repr(plant.fsck()) == str(plant.fsck())


def test_one_failure_is_one_reactor(plant):
    with pytest.raises(BaseExceptionGroup, match="^1 reactor failed: broken"):
        plant.run_reactor(broken, keep_going=True)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 lines"), (1, "1 line"), (2, "2 lines"), (1000, "1,000 lines")]
)
def test_counts_are_singular_for_one(count, text):
    assert counted(count, "line") == text
