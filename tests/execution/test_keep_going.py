"""``keep_going``: ingredients that nobody sends, and circles, fail what waits for them and nothing else."""

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import CycleError, MissingSenderError
from pyplant.reports.report import Outcome


@ReactorFunc
def good(pipe):
    pipe.send("good", 7)


@ReactorFunc
def fine(pipe):
    pipe.send("fine", (yield pipe.receive("good")) + 1)


@ReactorFunc
def broken(pipe, config):
    pipe.send("x", (yield pipe.receive(config.source)))


@ReactorFunc
def both(pipe):
    x, found = yield pipe.receive("x", "fine")
    pipe.send("both", (x, found))


@ReactorFunc
def chicken(pipe):
    pipe.send("chicken", (yield pipe.receive("egg")))


@ReactorFunc
def egg(pipe):
    pipe.send("egg", (yield pipe.receive("chicken")))


@ReactorFunc
def farm(pipe):
    yield pipe.receive("chicken", "fine")


@ReactorFunc
def sometimes(pipe, config):
    if config.source != "nothing":
        pipe.send("sometimes", config.source)


@pytest.fixture(params=[None, 2], ids=["here", "threads"])
def plant(request, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with (
        ThreadPoolExecutor(2) as pool,
        Plant(tmp_path / "plant", executor=request.param and pool) as plant,
    ):
        plant.add_reactor([good, fine, broken, both, chicken, egg, farm, sometimes])
        plant.set_config({"source": "nothing"})
        yield plant


@pytest.mark.parametrize(("target", "kind"), [("both", MissingSenderError), ("farm", CycleError)])
def test_the_others_run(target, kind, plant):
    with pytest.raises(kind):
        plant.run_reactor(target)
    with pytest.raises(ExceptionGroup) as caught:
        plant.run_reactor(target, keep_going=True)
    assert {type(error) for error in caught.value.exceptions} == {kind}
    states = {entry.name: entry.outcome for entry in plant.status()}
    assert states["fine"] is Outcome.CACHED
    assert states["broken" if target == "both" else "chicken"] is Outcome.FAILED


def test_the_report_says_which_failed(plant):
    reports = []
    plant.add_event_listener(lambda event: reports.append(getattr(event, "report", None)))
    with pytest.raises(ExceptionGroup, match="1 reactor failed: broken"):
        plant.run_reactor(both, keep_going=True)
    assert reports[-1].failed == ("broken",)
    assert [entry.name for entry in reports[-1].entries if entry.outcome is Outcome.SKIPPED] == ["both"]


def test_the_other_configurations_of_a_sweep_run(plant):
    sources = {"source": ["good", "nothing", "fine"]}
    with pytest.raises(MissingSenderError):
        plant.sweep(broken, sources, ["x"])
    table = plant.sweep(broken, sources, ["x"], keep_going=True)
    assert [row.ingredients for row in table] == [{"x": 7}, {}, {"x": 8}]
    assert isinstance(table[1].error, MissingSenderError)


def test_a_column_that_one_configuration_does_not_send_is_its_failure(plant):
    table = plant.sweep(sometimes, {"source": ["good", "nothing"]}, ["sometimes"], keep_going=True)
    assert [row.ingredients for row in table] == [{"sometimes": "good"}, {}]
    assert isinstance(table[1].error, MissingSenderError)
