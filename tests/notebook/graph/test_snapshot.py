"""Snapshots of a plant."""

import os
import threading
import time
import types

import pytest

from pyplant import Plant, ReactorFunc, _definitions
from pyplant.errors import PlantDirError
from pyplant.execution import queries
from pyplant.execution.failures import NO_FAILURE
from pyplant.notebook.graph.snapshot import in_order, take_snapshot
from pyplant.plant import session_of
from pyplant.reports.report import Outcome


@ReactorFunc
def load(pipe):
    pipe.send("numbers", [1, 2, 3])


@ReactorFunc
def add(pipe):
    numbers = yield pipe.receive("numbers")
    pipe.send("total", sum(numbers))


@ReactorFunc
def fail(pipe):
    yield pipe.receive("total")
    raise ValueError("boom")


@pytest.fixture
def plant(tmp_path):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactors([load, add, fail])
        yield plant


def known(plant, name):
    return next(known for known in take_snapshot(plant).reactors if known.name == name)


def test_it_contains_the_status(plant):
    for _ in range(2):
        assert list(take_snapshot(plant).status) == sorted(plant.status(), key=lambda entry: entry.name)
        plant.run_reactor(add)
    assert [entry.outcome for entry in take_snapshot(plant).status] == [
        Outcome.CACHED,
        Outcome.NEW,
        Outcome.CACHED,
    ]


def defined(*names):
    """Definitions with the given names, by key."""
    return {f"{number}.{name}": types.SimpleNamespace(name=name) for number, name in enumerate(names)}


def test_reactors_are_in_the_order_of_their_names():
    names = ["step_10", "step_2", "a", "step", "step_2b", "9", "10", "step_02", "é", ""]
    found = [one.name for one in in_order(defined(*names)).values()]
    assert found == ["", "9", "10", "a", "step", "step_2", "step_02", "step_2b", "step_10", "é"]
    assert list(in_order(defined("b", "a", "b"))) == ["1.a", "0.b", "2.b"]
    assert list(in_order(defined("1" * 9999, "2"))) == ["1.2", "0." + "1" * 9999]


def test_a_cell_that_is_run_again_does_not_move_its_reactor(plant):
    before = [known.name for known in take_snapshot(plant).reactors]
    plant.remove_reactor(add)
    plant.add_reactor(add)
    assert [known.name for known in take_snapshot(plant).reactors] == before


def test_it_contains_the_error_of_a_failed_reactor(plant):
    with pytest.raises(ValueError, match="boom"):
        plant.run_reactor(fail)
    assert take_snapshot(plant).status["fail"].error == "ValueError: boom"


def test_edges_and_inputs_come_from_code_and_traces(plant):
    assert take_snapshot(plant).edges == queries.edges(session_of(plant))
    assert known(plant, "add").inputs == ("numbers",)
    plant.run_reactor(add)
    assert take_snapshot(plant).edges == queries.edges(session_of(plant))
    assert known(plant, "add").inputs == ("numbers",)


def test_outputs_have_a_format_and_a_size_once_they_exist(plant):
    assert known(plant, "load").outputs == (("numbers", "", 0),)
    plant.run_reactor(load)
    ((name, form, size),) = known(plant, "load").outputs
    assert (name, bool(form)) == ("numbers", True)
    assert size > 0


def test_it_contains_where_reactors_are_defined(plant):
    assert known(plant, "load").where == "test_snapshot.py"
    assert known(plant, "load").module == __name__
    assert not known(plant, "load").is_orphan


def test_orphans_are_marked(plant, monkeypatch):
    monkeypatch.setattr(_definitions, "orphans", set())
    from pyplant.notebook.graph import snapshot as module

    monkeypatch.setattr(module, "orphans", {_definitions.definition_of(load)})
    assert known(plant, "load").is_orphan
    assert not known(plant, "add").is_orphan


def test_notes_of_the_fingerprint_are_listed(plant):
    lock = threading.Lock()

    @ReactorFunc
    def locked(pipe):
        with lock:
            pipe.send("x", 1)

    plant.add_reactor(locked)
    assert any("lock" in note for note in known(plant, "locked").notes)


def test_reactors_that_share_a_name_are_addressed_in_full(plant):
    def make(module):
        def step(pipe):
            pipe.send(f"of_{module}", 1)

        step.__module__ = module
        step.__qualname__ = f"step_of_{module}"
        return ReactorFunc(step)

    plant.add_reactors([make("one"), make("other")])
    addresses = [known.address for known in take_snapshot(plant).reactors]
    assert addresses == ["add", "fail", "load", "one.step", "other.step"]


def test_a_plant_that_is_busy_is_not_waited_for(plant):
    begun, may_end = threading.Event(), threading.Event()

    def listener(event):
        begun.set()
        may_end.wait(60)

    plant.add_event_listener(listener)
    run = threading.Thread(target=plant.run_reactor, args=(load,))
    run.start()
    begun.wait(60)
    assert take_snapshot(plant) is None
    may_end.set()
    run.join(60)
    assert take_snapshot(plant) is not None


def test_a_closed_plant_raises(plant):
    plant.close()
    with pytest.raises(PlantDirError):
        take_snapshot(plant)
    assert plant._session.lock.acquire(blocking=False)


def test_a_failure_has_its_line_its_time_and_its_number(plant):
    for _ in range(2):
        with pytest.raises(ValueError, match="boom"):
            plant.run_reactor(fail)
    failure = known(plant, "fail").failure
    assert (failure.text, failure.times, failure.function) == ("ValueError: boom", 2, "fail")
    assert failure.file == __file__
    assert abs(failure.finished - time.time()) < 60
    assert known(plant, "load").failure == NO_FAILURE


def test_an_ingredient_that_no_reactor_sends_is_missing(tmp_path):
    def fit(pipe):
        pipe.send("slope", 1)

    def summary(pipe):
        pipe.send("text", (yield pipe.receive("slope")))

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactors([ReactorFunc(fit), ReactorFunc(summary)])
        plant.run_reactor("summary")
        assert known(plant, "summary").missing == ()

        def fit(pipe):
            pipe.send("gradient", 1)

        plant.remove_reactor("fit")
        plant.add_reactor(ReactorFunc(fit))
        assert known(plant, "summary").missing == ("slope",)
        assert known(plant, "fit").missing == ()


def test_a_reactor_that_another_process_executes_runs_there(plant, tmp_path):
    with Plant(tmp_path / "plant", progress=False) as other:
        other.add_reactor(load)
        context = session_of(other).context()
        (key,) = context.definitions
        claims = session_of(other).warehouse.claims
        assert known(plant, "load").runs_in is None
        claims.take(context.claim_key(key))
        assert known(plant, "load").runs_in.pid == os.getpid()
        assert known(plant, "add").runs_in is None
        claims.release_all()
        assert known(plant, "load").runs_in is None


def test_before_any_definition_it_contains_what_the_plant_holds(plant, tmp_path):
    plant.run_reactor(add)
    plant.close()
    with Plant(tmp_path / "plant", progress=False) as again:
        session_of(again).registry.current = dict
        snapshot = take_snapshot(again)
    assert [(entry.name, entry.outcome.value) for entry in snapshot.status] == [
        ("add", "cached"),
        ("load", "cached"),
    ]
    assert snapshot.edges == {"add": {"load": ["numbers"]}, "load": {}}
    assert all(info.is_kept for info in snapshot.reactors)
    assert snapshot.reactors[0].inputs == ("numbers",)
    assert snapshot.reactors[1].outputs[0][:2] == ("numbers", "list")


def test_what_passes_is_no_structure(plant):
    before = take_snapshot(plant)
    with pytest.raises(ValueError, match="boom"):
        plant.run_reactor(fail)
    once = take_snapshot(plant)
    with pytest.raises(ValueError, match="boom"):
        plant.run_reactor(fail)
    assert once.structure == take_snapshot(plant).structure != before.structure


def test_other_code_has_not_failed_yet(tmp_path):
    def fails(pipe):
        raise ValueError("boom")

    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(ReactorFunc(fails))
        with pytest.raises(ValueError, match="boom"):
            plant.run_reactor("fails")
        assert plant.status()["fails"].outcome is Outcome.FAILED

        def fails(pipe):
            pipe.send("mended", 1)

        plant.add_reactor(ReactorFunc(fails))
        assert plant.status()["fails"].outcome is Outcome.NEW
        assert known(plant, "fails").failure == NO_FAILURE
