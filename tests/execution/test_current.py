"""Current executions: those last brought up to date, which need not be those computed last."""

import contextlib
from contextlib import closing

import numpy as np
import pytest

from pyplant import Plant, ReactorFunc
from pyplant.cli.stored import _current_values, _find
from pyplant.errors import StaleWarning
from pyplant.reports.report import Outcome
from pyplant.store.warehouse import Warehouse

KILOBYTE = 125  # numbers


@ReactorFunc
def base(pipe, config):
    pipe.send("base", np.full(KILOBYTE * 100, config.n))


@ReactorFunc
def mean(pipe):
    values = yield pipe.receive("base")
    pipe.send("mean", np.full(KILOBYTE * 50, values.mean()))


@ReactorFunc
def other(pipe):
    pipe.send("other", np.zeros(KILOBYTE * 10))


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "plant"


def opened(directory, n=3, reactors=(base, mean, other), **options):
    plant = Plant(directory, progress=False, **options)
    plant.add_reactor(list(reactors))
    plant.set_config({"n": n})
    return plant


def current(directory):
    """What the command line shows of each ingredient: its first number."""
    with closing(Warehouse(directory, read_only=True)) as warehouse:
        return {
            name: float(warehouse.load(_find(warehouse, name, directory)[0])[0])
            for name in _current_values(warehouse)
        }


def bring(directory, n, name="mean", **options):
    """Bring an ingredient up to date in a plant that is closed afterwards; returns what ran."""
    with opened(directory, n, **options) as plant:
        started = []
        plant.add_event_listener(lambda event: started.append(event))
        plant.get(name)
        return [event.reactor for event in started if type(event).__name__ == "ReactorStarted"]


def journal(directory):
    return {path: path.read_bytes() for path in (directory / "journal").iterdir()}


@pytest.mark.parametrize("in_one_session", [False, True])
def test_the_execution_verified_last_is_current_not_the_one_computed_last(directory, in_one_session):
    with opened(directory) if in_one_session else contextlib.nullcontext() as plant:
        for n in (3, 99, 3, 99, 99, 3):
            if in_one_session:
                plant.set_config({"n": n})
                plant.get("mean")
            else:
                bring(directory, n)
            assert current(directory) == {"base": n, "mean": n}


def test_verifying_a_current_execution_again_writes_nothing(directory):
    for n in (3, 99, 3):
        bring(directory, n)
    before = journal(directory)
    assert bring(directory, 3) == []
    with opened(directory) as plant:
        for _ in range(3):
            plant.get("mean")
            plant.run_reactor(base)
            plant.status()
    assert journal(directory) == before


def test_a_repeated_sweep_writes_nothing(directory):
    for n in (3, 3, 3):
        with opened(directory, n) as plant:
            plant.sweep(mean, {"n": [1, 2, 4]}, ["mean"])
        before, seen = journal(directory), current(directory)
    with opened(directory) as plant:
        plant.sweep(mean, {"n": [1, 2, 4]}, ["mean"])
    assert journal(directory) == before
    assert seen == {"base": 4, "mean": 4}


def test_fetching_a_stale_ingredient_returns_the_current_value(directory):
    for n in (3, 99, 3):
        bring(directory, n)
    with opened(directory, 50) as plant, pytest.warns(StaleWarning):
        assert plant.fetch_ingredient("mean")[0] == 3


def test_two_open_plants_see_what_the_other_made_current(directory):
    with opened(directory, 3) as first, opened(directory, 99) as second:
        second.get("mean")
        for plant, n in ((first, 3), (second, 99), (first, 3), (second, 99), (first, 3)):
            assert plant.get("mean")[0] == n
            assert current(directory) == {"base": n, "mean": n}
            for one, its in ((first, 3), (second, 99)):
                assert one.fetch_ingredient("mean")[0] == its


def test_an_ingredient_whose_sender_changed_and_changed_back(directory):
    @ReactorFunc
    def rival(pipe):
        pipe.send("base", np.full(3, 7))

    bring(directory, 3, "base")
    bring(directory, 3, "base", reactors=[rival])
    assert current(directory) == {"base": 7}
    assert bring(directory, 3, "base") == []
    assert current(directory) == {"base": 3}
    before = journal(directory)
    assert bring(directory, 3, "base") == []
    assert journal(directory) == before


def renamed(name):
    @ReactorFunc(name=name)
    def made(pipe, config):
        pipe.send("base", np.full(KILOBYTE * 100, config.n))

    return made


def test_a_renamed_reactor_makes_the_execution_it_finds_current(directory):
    for n in (3, 99):
        bring(directory, n, "base", reactors=[renamed("first")])
    assert bring(directory, 3, "base", reactors=[renamed("second")]) == []
    assert current(directory) == {"base": 3}
    with opened(directory, 1, reactors=[], max_size=0) as plant:
        plant.gc()
    assert bring(directory, 3, "base", reactors=[renamed("second")]) == []


@pytest.fixture
def later(monkeypatch):
    """Advances the clock by a number of days."""
    import time

    real, days = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + days[0] * 86400)

    def pass_(count):
        days[0] += count

    return pass_


class TestCollecting:
    """A collection removes nothing that is current, that verifies, or that an open plant uses."""

    @pytest.mark.parametrize("wait", [0, 9, 400])
    @pytest.mark.parametrize("how", ["gc", "after a run", "gc elsewhere"])
    def test_current_executions_are_never_evicted(self, directory, later, wait, how):
        for n in (3, 99, 3):
            bring(directory, n)
        later(wait)
        if how == "after a run":
            bring(directory, 3, "other", max_size=0)
        else:
            with opened(
                directory, reactors=[other] if how == "gc elsewhere" else [base, mean], max_size=0
            ) as plant:
                plant.gc()
        assert bring(directory, 3) == []
        assert bring(directory, 99) == ["base", "mean"]  # that execution was history

    def test_executions_that_verify_are_not_evicted_though_another_configuration_ran_last(self, directory):
        for n in (3, 99):
            bring(directory, n)
        with opened(directory, 3, max_size=0) as plant:
            plant.gc()
            assert [entry.outcome for entry in plant.status()][:2] == [Outcome.CACHED] * 2
        assert bring(directory, 3) == []
        bring(directory, 99)
        bring(directory, 3, "other", max_size=0)  # the same after a run
        assert bring(directory, 3) == []

    @pytest.mark.parametrize("elsewhere", [False, True])
    def test_results_of_a_sweep_are_not_evicted_until_the_plant_is_closed(self, directory, elsewhere):
        ns = [1, 2, 3, 4]
        with opened(directory, 0, max_size=0) as plant, opened(directory, 50, max_size=0) as second:
            plant.sweep(mean, {"n": ns}, ["mean"])
            (second if elsewhere else plant).gc()
            stored = plant._warehouse._object_bytes
            again = plant.sweep(mean, {"n": ns}, ["mean"])
            assert [row.outcome for row in again.rows] == [Outcome.CACHED] * 4
            assert plant._warehouse._object_bytes == stored
        for n in ns:
            assert (bring(directory, n) == []) is (n in ns)
        with opened(directory, 50, max_size=0) as plant:
            plant.gc()
        assert bring(directory, 4) == []
        assert bring(directory, 1) == ["base", "mean"]

    @pytest.mark.parametrize("elsewhere", [False, True])
    def test_alternating_configurations_of_an_open_plant_are_not_evicted(self, directory, elsewhere):
        with opened(directory, 3, max_size=0) as plant, opened(directory, 50, max_size=0) as second:
            for n in (3, 99, 3, 99):
                plant.set_config({"n": n})
                plant.get("mean")
            (second if elsewhere else plant).gc()
            for n in (3, 99):
                plant.set_config({"n": n})
                assert plant.run_reactor("mean").ran == ()

    def test_a_program_that_tries_many_configurations_keeps_to_max_size(self, directory, monkeypatch):
        monkeypatch.setattr("pyplant.store.leases._MAX_CONFIGURATIONS", 3)
        with opened(directory, 0, max_size=0) as plant:
            for n in (0, 1, 2, 3, 4, 2):
                plant.set_config({"n": n})
                plant.get("mean")
            plant.gc()
            for n in (2, 3, 4):
                plant.set_config({"n": n})
                assert plant.run_reactor("mean").ran == ()
            plant.set_config({"n": 1})
            assert plant.run_reactor("mean").ran == ("base", "mean")

    def test_history_is_evicted_first_at_any_age(self, directory):
        for n in range(5):
            bring(directory, n)
        with opened(directory, 4, max_size=0) as plant:
            assert plant.gc().results == 8
        assert bring(directory, 4) == []

    def test_earlier_code_of_a_reactor_in_an_open_plant_is_history(self, directory):
        version = [0]

        @ReactorFunc
        def made(pipe):
            pipe.send("made", np.full(KILOBYTE * 100, version[0]))

        code = {"function_hash": lambda function: str(version[0])}
        with opened(directory, reactors=[made], max_size="300 kB", **code) as plant:
            for version[0] in range(10):
                plant.get("made")
            plant.gc()
            assert len(list(plant._warehouse.ledger.traces())) == 2

    def test_an_execution_evicted_during_its_look_up_is_recomputed_at_once(self, directory, monkeypatch):
        for n in (3, 99):
            bring(directory, n)
        lease = Warehouse.lease
        with opened(directory, 3) as plant, opened(directory, 99, max_size=0) as second:

            def collected_before(self, traces, configuration=""):
                if self is plant._warehouse:
                    monkeypatch.undo()
                    second.gc()
                return lease(self, traces, configuration)

            monkeypatch.setattr(Warehouse, "lease", collected_before)
            assert plant.run_reactor("mean").ran == ("base", "mean")
            assert plant.run_reactor("mean").cached == ("base", "mean")
            second.gc()
            assert plant.run_reactor("mean").cached == ("base", "mean")
