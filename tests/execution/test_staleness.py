"""Staleness: nothing runs, and the result agrees with what a run does."""

from collections import Counter

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.engine.verdict import ReasonKind
from pyplant.events import ReactorResumed
from pyplant.execution.session import Session
from pyplant.execution.staleness import Staleness
from pyplant.reports.report import Outcome


@ReactorFunc
def load(pipe, config):
    pipe.send("data", config.size // 10)


@ReactorFunc
def scale(pipe, config):
    data = yield pipe.receive("data")
    pipe.send("scaled", data * config.factor)


@ReactorFunc
def plot(pipe):
    yield pipe.receive("scaled")


@ReactorFunc(cache=False)
def clock(pipe):
    pipe.send("time", 12)


@ReactorFunc
def diary(pipe):
    time = yield pipe.receive("time")
    pipe.send("entry", f"at {time}")


@ReactorFunc
def egg(pipe):
    hen = yield pipe.receive("hen")
    pipe.send("egg", hen)


@ReactorFunc
def hen(pipe):
    egg = yield pipe.receive("egg")
    pipe.send("hen", egg)


@pytest.fixture
def plant(tmp_path):
    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor([load, scale, plot, clock, diary, egg, hen])
        plant.set_config({"size": 10, "factor": 2})
        yield plant


def test_the_status_of_a_new_plant_runs_nothing(plant):
    events = []
    plant.add_event_listener(events.append)
    assert plant.plan(plot).will_run == ("load", "scale", "plot")
    assert plant.status()["load"].outcome is Outcome.NEW
    assert events == []


def test_the_plan_after_a_run_contains_only_a_target_that_sends_nothing(plant):
    plant.run_reactor(plot)
    plan = plant.plan(plot)
    assert plan.will_run == ("plot",)
    assert plan["plot"].causes[0].kind is ReasonKind.NO_OUTPUT
    assert set(plan.cached) == {"scale", "load"}


def test_receivers_of_a_stale_reactor_are_uncertain(plant):
    plant.get("scaled")
    plant.set_config({"size": 11, "factor": 2})
    plan = plant.plan(scale)
    assert plan.will_run == ("load",)
    assert plan.may_run == ("scale",)
    report = plant.run_reactor(scale)
    assert report.ran == ("load",)  # it gave the same value, so nothing else happened


def test_reasons_are_the_same_before_and_after(plant):
    plant.get("scaled")
    plant.set_config({"size": 10, "factor": 3})
    before = plant.plan(scale)["scale"].reasons
    after = plant.run_reactor(scale)["scale"].reasons
    assert before == after == ("parameter 'factor' changed: 2 → 3",)


def test_a_changed_input_is_traced_to_its_cause(plant):
    plant.get("scaled")
    plant.set_config({"size": 20, "factor": 2})
    (cause,) = plant.explain(scale).causes
    assert cause.kind is ReasonKind.INPUT_UNKNOWN
    assert [below.name for below in cause.causes] == ["size"]


def test_an_uncached_reactor_is_named_and_its_receivers_are_uncertain(plant):
    plant.get("entry")
    status = plant.status()
    assert status["clock"].outcome is Outcome.UNCACHED
    assert status["diary"].outcome is Outcome.STALE
    assert not status["diary"].certain


def test_reactors_that_depend_on_each_other_have_a_status(plant):
    assert plant.status()["hen"].outcome is Outcome.NEW
    assert set(plant.plan(hen).will_run) == {"hen", "egg"}


def test_a_failed_reactor_is_shown_with_its_error(plant):
    @ReactorFunc
    def broken(pipe):
        raise ValueError("boom")

    plant.add_reactor(broken)
    with pytest.raises(ValueError, match="boom"):
        plant.run_reactor(broken)
    entry = plant.status()["broken"]
    assert entry.outcome is Outcome.FAILED
    assert entry.error == "ValueError: boom"


def test_a_status_lists_senders_first_also_if_they_are_defined_last(tmp_path):
    with Plant(tmp_path / "plant") as plant:
        plant.add_reactors([plot, scale, load])  # a cell that runs again defines its reactor last
        plant.set_config({"size": 10, "factor": 2})
        assert [entry.name for entry in plant.status()] == ["load", "scale", "plot"]
        plant.get("scaled")
        assert [entry.name for entry in plant.status()] == ["load", "scale", "plot"]


def test_what_the_user_stopped_has_not_failed(plant):
    @ReactorFunc
    def stopped(pipe):
        raise KeyboardInterrupt

    plant.add_reactor(stopped)
    with pytest.raises(KeyboardInterrupt):
        plant.run_reactor(stopped)
    assert plant.status()["stopped"].outcome is Outcome.NEW


def test_of_a_failed_reactor_nothing_says_that_it_never_ran(plant):
    @ReactorFunc
    def broken(pipe):
        pipe.send("part", 1 / 0)

    @ReactorFunc
    def later(pipe):
        pipe.send("whole", (yield pipe.receive("part")))

    plant.add_reactors([broken, later])
    assert plant.explain(later).causes[0].kind is ReasonKind.NEW
    assert "has no result yet" in str(plant.explain(broken))
    with pytest.raises(ZeroDivisionError):
        plant.run_reactor(broken)
    failed = "its last run failed: ZeroDivisionError: division by zero"
    assert plant.status()["broken"].reasons == ()
    assert plant.explain(broken).entry.reasons == (failed,)
    assert plant.plan(broken)["broken"].reasons == (failed,)
    assert plant.explain(later).entry.reasons == ("has no result yet",)


def test_a_listener_sees_what_is_running(plant):
    seen = {}

    def look(event):
        if isinstance(event, ReactorResumed):
            seen.update({entry.name: entry.outcome for entry in plant.status()})

    @ReactorFunc
    def watched(pipe):
        yield pipe.receive("data")

    plant.add_reactor(watched)
    plant.add_event_listener(look)
    plant.run_reactor(watched)
    assert seen["watched"] is Outcome.RUNNING
    assert seen["load"] is Outcome.CACHED


def fan(width):
    """A number of reactors, and one that receives from all of them."""

    def sender(number):
        @ReactorFunc(name=f"sender_{number}")
        def send(pipe, config, number=number):
            pipe.send(f"x{number}", config.size + number)

        return send

    names = [f"x{number}" for number in range(width)]

    @ReactorFunc
    def final(pipe):
        values = yield pipe.receive(*names)
        pipe.send("final", sum(values))

    return [*map(sender, range(width)), final]


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("look", ["status", "plan", "explain"])
def test_the_time_of_status_is_linear_in_the_number_of_inputs(tmp_path, monkeypatch, look, kept):
    asked = Counter()
    may_be_unjudged = Staleness._unjudged_sender

    def counted(self, name):
        asked[width] += 1
        return may_be_unjudged(self, name)

    monkeypatch.setattr(Staleness, "_unjudged_sender", counted)
    for width in (10, 40):
        with Plant(tmp_path / f"plant{width}") as plant:
            plant.add_reactor(fan(width))
            plant.set_config({"size": 1})
            if kept:
                plant.get("final")
                plant.set_config({"size": 2})
            getattr(plant, look)(*([] if look == "status" else ["final"]))
    assert asked[40] <= 4 * asked[10]


def test_one_edit_behind_many_inputs_is_reported_once(tmp_path):
    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor(fan(30))
        plant.set_config({"size": 1})
        plant.get("final")
        plant.set_config({"size": 2})
        text = plant.explain("final").text()
    assert text.count("'size' changed: 1 → 2") == 1
    assert text.count("may change") == 30


@pytest.mark.parametrize("query", ["explain", "plan", "history"])
@pytest.mark.parametrize("wanted", ["scale", "scaled"], ids=["reactor", "ingredient"])
def test_a_query_creates_one_context(plant, query, wanted, monkeypatch):
    created = []
    context = Session.context
    monkeypatch.setattr(Session, "context", lambda *args: created.append(args) or context(*args))
    getattr(plant, query)(wanted)
    assert len(created) == 1
