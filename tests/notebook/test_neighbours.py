"""The plant that a copied notebook is told of."""

from pyplant import Plant, ReactorFunc
from pyplant.notebook.neighbours import find_neighbour
from pyplant.plant import session_of


@ReactorFunc
def load(pipe):
    pipe.send("rows", 1)


@ReactorFunc
def total(pipe):
    rows = yield pipe.receive("rows")
    pipe.send("total", rows)


def plant_that_ran(directory, *reactors):
    """Run reactors in a new plant; return the fingerprint of each by its full name."""
    with Plant(directory, progress=False) as plant:
        for reactor in (load, total):
            plant.add_reactor(reactor)
        for name in reactors:
            plant.run_reactor(name)
        return {trace.reactor: trace.fingerprint for trace in session_of(plant).warehouse.ledger.traces()}


def test_of_plants_with_the_first_result_the_one_with_more_others_is_told(tmp_path):
    """When the first cell runs, no other reactor is defined."""
    plant_that_ran(tmp_path / "draft.plant", "load", "total")
    first = plant_that_ran(tmp_path / "final.plant", "load")
    found = find_neighbour(tmp_path / "copy.plant", first)
    assert found.directory.name == "draft.plant"
    assert found.reactors == ("load",)


def test_of_plants_with_as_many_results_the_newest_is_told(tmp_path):
    for name in ("draft", "final", "a"):
        first = plant_that_ran(tmp_path / f"{name}.plant", "load")
    assert find_neighbour(tmp_path / "copy.plant", first).directory.name == "a.plant"
