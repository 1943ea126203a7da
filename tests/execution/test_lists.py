"""A list of names gives a list of values, however many names are in it."""

import pytest

from pyplant import Plant, ReactorFunc, SubreactorFunc
from pyplant.engine.trace import DependencyKind
from pyplant.errors import IngredientError, MissingIngredientError
from pyplant.testing import PipeworkMock, run_reactor


@ReactorFunc
def letters(pipe):
    for name in "abc":
        pipe.send(name, name.upper())


@ReactorFunc
def gathers(pipe, config):
    values = yield pipe.receive(config["names"])
    pipe.send("gathered", values)


@SubreactorFunc
def fetch(pipe, names):
    return (yield pipe.receive(names))


@ReactorFunc
def gathers_below(pipe, config):
    values = yield from fetch(pipe, list(config["names"]))
    pipe.send("gathered", values)


@pytest.fixture
def plant(tmp_path):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(letters, gathers)
        yield plant


@pytest.mark.parametrize("container", [list, tuple])
@pytest.mark.parametrize("names", ["", "a", "ab", "cba", "aa"])
def test_a_reactor_that_receives_a_list_gets_a_list(plant, names, container):
    plant.set_config({"names": container(names)})
    assert plant.get("gathered") == [name.upper() for name in names]


@pytest.mark.parametrize("names", ["", "a", "bc"])
def test_a_subreactor_that_receives_a_list_gets_a_list(plant, names):
    plant.add_reactor(gathers_below)
    plant.remove_reactor("gathers")
    plant.set_config({"names": list(names)})
    assert plant.get("gathered") == [name.upper() for name in names]


@pytest.mark.parametrize("names", ["", "a", "bc"])
@pytest.mark.slow
def test_reactors_in_workers_get_a_list(tmp_path, names, processes):
    with Plant(tmp_path / "plant", progress=False, executor=processes) as plant:
        plant.add_reactor(letters, gathers)
        plant.set_config({"names": list(names)})
        assert plant.get("gathered") == [name.upper() for name in names]


@pytest.mark.parametrize("container", [list, tuple])
def test_the_plant_gives_a_list_for_a_list(plant, container):
    assert plant.get(container("ab")) == ["A", "B"]
    assert plant.get(container("a")) == ["A"]
    assert plant.get(container("")) == []


def test_names_given_one_by_one_return_a_tuple(plant):
    assert plant.get("a") == "A"
    assert plant.get("a", "b") == ("A", "B")
    with pytest.raises(MissingIngredientError, match="got none"):
        plant.get()


def test_a_list_is_one_dependency_and_an_empty_list_is_none(plant):
    plant.set_config({"names": ["a", "b"]})
    plant.get("gathered")
    plant.set_config({"names": []})
    plant.get("gathered")
    full, empty = plant._warehouse.ledger.of_reactor(f"{__name__}.gathers")
    assert [d.names for d in full.dependencies if d.kind is DependencyKind.INGREDIENT] == [("a", "b")]
    assert [d for d in empty.dependencies if d.kind is DependencyKind.INGREDIENT] == []


def test_a_reactor_that_received_a_list_is_cached(plant):
    plant.set_config({"names": ["a"]})
    assert plant.run_reactor(gathers).ran == ("letters", "gathers")
    assert plant.run_reactor(gathers).ran == ()


@pytest.mark.parametrize(
    "names",
    [("a", ["b"]), ([1],), (["a", ["b"]],), ({"a"},), ((n for n in "ab"),), ([""],)],
    ids=["text and list", "number", "nested", "set", "generator", "empty name"],
)
def test_values_that_are_no_lists_of_names_are_refused(tmp_path, names):
    pipe = PipeworkMock()
    with pytest.raises(IngredientError, match="as one list"):
        pipe.receive(*names)
    with Plant(tmp_path / "plant") as plant, pytest.raises(MissingIngredientError, match="one list"):
        plant.get(*names)


def test_a_mock_gives_a_list_as_well():
    inputs = dict.fromkeys("ab", 1)
    assert run_reactor(gathers, inputs, {"names": ["a"]}).sent == {"gathered": [1]}
    assert run_reactor(gathers, inputs, {"names": []}).sent == {"gathered": []}
