"""Reactors that receive what they have sent themselves, as in the guide."""

from pyplant import ReactorFunc, SubreactorFunc


@SubreactorFunc
def make(pipe):
    pipe.send("part", 11)


@SubreactorFunc
def use(pipe):
    part = yield pipe.receive("part")
    pipe.send("whole", part + 15)


@ReactorFunc
def both(pipe):
    yield from make(pipe)
    yield from use(pipe)


@ReactorFunc
def after(pipe):
    part, whole = yield pipe.receive("part", "whole")
    pipe.send("after", part + whole)


def test_subreactors_pass_ingredients_to_one_another(plant):
    plant.add_reactor([both, after])
    assert plant.get("after") == 37


def test_it_is_no_dependency(plant):
    plant.add_reactor([both, after])
    plant.get("whole")
    assert plant.run_reactor(after).ran == ("after",)
    assert plant.run_reactor(after).ran == ()


def test_a_plan_and_the_graph_know_no_cycle(plant):
    plant.add_reactor([both, after])
    assert set(plant.plan(after).will_run) == {"both", "after"}
    assert "both -> both" not in str(plant.graph()).replace('"', "")
