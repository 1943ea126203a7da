"""A run: its events, what it stores, its failures, and what it releases at its end."""

import errno
import traceback
import weakref
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pyplant import Ingredient, Plant, ReactorFunc
from pyplant._definitions import sources
from pyplant.engine.trace import Trace
from pyplant.errors import (
    MissingSenderError,
    NondeterministicWarning,
    PlantWarning,
    SentTwiceError,
    StateWarning,
    UnsavedWarning,
)
from pyplant.events import ReactorCached, ReactorFinished, ReactorStarted, RunFinished, RunStarted
from pyplant.execution import frontend
from pyplant.execution.run import Run
from pyplant.fingerprint.code_graph import NodeBuilder
from pyplant.fingerprint.gc_pause import gc_paused
from pyplant.plant import session_of
from pyplant.store.warehouse import Warehouse

COUNTER = {"runs": 0}
SWITCH = 1


@ReactorFunc
def load(pipe):
    pipe.send("data", list(range(3)))


@ReactorFunc
def total(pipe):
    data = yield pipe.receive("data")
    pipe.send("total", sum(data))


@ReactorFunc
def breaks(pipe):
    yield pipe.receive("data")
    raise ValueError("boom")


@ReactorFunc
def waits_for_broken(pipe):
    yield pipe.receive("nothing from breaks")


@pytest.fixture
def plant(tmp_path):
    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor([load, total, breaks])
        yield plant


def test_events_come_in_order(plant):
    events = []
    plant.add_event_listener(events.append)
    plant.run_reactor(total)
    kinds = [
        type(event)
        for event in events
        if type(event) in (RunStarted, ReactorStarted, ReactorFinished, RunFinished)
    ]
    assert kinds == [
        RunStarted,
        ReactorStarted,
        ReactorStarted,
        ReactorFinished,
        ReactorFinished,
        RunFinished,
    ]
    events.clear()
    plant.run_reactor(total)
    assert [event.reactor for event in events if isinstance(event, ReactorCached)] == ["load", "total"]


def test_a_listener_that_raises_does_not_affect_the_run(plant, caplog):
    def bad(event):
        raise RuntimeError("listener")

    plant.add_event_listener(bad)
    assert plant.get("total") == 3
    assert "listener" in caplog.text


def test_an_exception_of_a_reactor_is_raised_with_a_note(plant):
    with pytest.raises(ValueError, match="boom") as caught:
        plant.run_reactor(breaks)
    assert str(caught.value) == "boom"
    assert "breaks" in caught.value.__notes__[0]


@pytest.mark.parametrize("call", ["run_reactor", "get"])
def test_a_traceback_shows_the_users_lines_and_little_else(call, plant):
    @ReactorFunc
    def fails(pipe):
        yield pipe.receive("data")
        pipe.send("x", 1 / 0)

    plant.add_reactor(fails)
    with pytest.raises(ZeroDivisionError) as caught:
        getattr(plant, call)("fails" if call == "run_reactor" else "x")
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-1] == "fails"
    assert len(names) <= 5  # the test, the call and two below it


def test_a_traceback_of_an_error_below_the_users_code_has_its_frames(plant):
    @ReactorFunc
    def sends_twice(pipe):
        pipe.send("x", 1)
        pipe.send("x", 2)

    plant.add_reactor(sends_twice)
    with pytest.raises(SentTwiceError) as caught:
        plant.get("x")
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names.index("sends_twice") < len(names) - 1


@pytest.mark.parametrize("executor", [None, 1])
def test_a_traceback_of_an_error_of_the_run_has_little_but_the_call(executor, tmp_path):
    @ReactorFunc
    def waits(pipe):
        yield pipe.receive("nothing")

    with Plant(tmp_path / "plant", executor=executor, progress=False) as plant:
        plant.add_reactor(waits)
        with pytest.raises(MissingSenderError) as caught:
            plant.run_reactor("waits")
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[1] == "run_reactor"
    assert len(names) <= 4


def test_a_missing_sender_is_named_with_the_notebook_that_ran_it(tmp_path, monkeypatch):
    @ReactorFunc
    def reads(pipe):
        yield pipe.receive("table")

    @ReactorFunc
    def makes(pipe):
        pipe.send("table", 1)

    with Plant(tmp_path / "plant", progress=False) as first, monkeypatch.context() as other:
        other.setattr("pyplant.execution.trace_writer.program_name", lambda: "sales.ipynb")
        first.add_reactor(makes)
        first.run_reactor("makes")
    del makes
    with Plant(tmp_path / "plant", progress=False) as second:
        second.add_reactor(reads)
        with pytest.raises(MissingSenderError, match=r"sales\.ipynb\), which is not defined here"):
            second.run_reactor("reads")


def test_a_traceback_of_a_bug_has_all_frames(plant, monkeypatch):
    monkeypatch.setattr(Run, "conclude", None)
    with pytest.raises(TypeError, match="not callable") as caught:
        plant.run_reactor("load")
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "run_to_completion" in names


def test_results_from_before_a_failure_are_stored(plant):
    with pytest.raises(ValueError, match="boom"):
        plant.run_reactor(breaks)
    assert plant.run_reactor(total).cached == ("load",)


def test_keep_going_collects_the_failures(plant):
    with pytest.raises(ExceptionGroup) as caught:
        plant.run_reactor(breaks, keep_going=True)
    assert [type(error) for error in caught.value.exceptions] == [ValueError]
    assert "breaks" in str(caught.value)


def test_what_a_reactor_does_to_a_global_is_no_edit_and_what_the_user_does_is_one(plant):
    @ReactorFunc
    def counts(pipe):
        COUNTER["runs"] += 1
        pipe.send("count", 1)

    plant.add_reactor(counts)
    for _ in range(2):
        assert plant.run_reactor(counts).ran == ("counts",)
        assert plant.run_reactor(counts).cached == ("counts",)
        COUNTER["runs"] += 100


def test_a_global_that_one_reactor_changes_and_another_one_reads_is_named_once(plant):
    @ReactorFunc
    def counts(pipe):
        COUNTER["runs"] += 1
        pipe.send("count", 1)

    @ReactorFunc
    def reads(pipe):
        yield pipe.receive("count")
        pipe.send("runs", COUNTER["runs"])

    plant.add_reactor([counts, reads])
    with pytest.warns(
        StateWarning, match="COUNTER changed while reactor 'counts' ran, and 'reads' may read it"
    ):
        plant.get("runs")
    assert plant.run_reactor(reads).ran == ()


def _count():
    COUNTER["runs"] += 1


def _counting(number):
    @ReactorFunc(name=f"counts_{number}")
    def counts(pipe):
        if number:
            yield pipe.receive(f"count_{number - 1}")
        _count()
        pipe.send(f"count_{number}", number)

    return counts


def test_a_global_that_many_reactors_change_is_named_once_with_a_few_of_them(plant):
    plant.add_reactor([_counting(number) for number in range(20)])
    with pytest.warns(StateWarning, match="ran, and ('counts_[0-9]+', ){5}14 others may read it") as warned:
        plant.get("count_19")
    assert len(warned) == 1


def test_a_global_that_many_reactors_change_does_not_make_all_code_be_read_again(plant, monkeypatch):
    read = []
    build = NodeBuilder._function
    monkeypatch.setattr(NodeBuilder, "_function", lambda *args: read.append(1) or build(*args))
    plant.add_reactor([_counting(number) for number in range(20)])
    with pytest.warns(StateWarning):
        plant.get("count_19")
    # Each reactor once, and the helper that refers to the global after each of them.
    assert len(read) <= 5 * 20


@pytest.mark.parametrize("what", ["cached", "runs", "sweep"])
def test_a_run_that_is_over_is_freed_at_once(plant, what):
    """Otherwise a loop over a thousand configurations holds a thousand runs until garbage is collected."""
    plant.set_config({"n": 0})
    plant.get("total")
    seen = weakref.WeakSet()
    plant.add_event_listener(lambda event: seen.update(plant._session.runs))
    with gc_paused(enabled=False):
        if what == "sweep":
            plant.sweep(total, {"n": [1, 2]})
        else:
            plant.run_reactor(total, force=what == "runs")
            plant.get("total")
        assert not seen


def test_syntax_trees_are_dropped_before_reactors_run(plant):
    trees = []

    def parsed():
        return [text for versions in sources._texts.values() for text in versions if text._parsed is not None]

    plant.add_event_listener(
        lambda event: trees.extend(parsed()) if isinstance(event, ReactorStarted) else None
    )
    plant.get("total")
    assert not trees


def test_inputs_of_a_reactor_are_freed_at_once(plant):
    given = weakref.WeakSet()

    @ReactorFunc
    def reads(pipe, config):
        given.add(pipe)
        data = yield pipe.receive("data")
        pipe.send("sum", sum(data) + config["offset"])

    plant.add_reactor(reads)
    plant.set_config({"offset": 1})
    with gc_paused(enabled=False):
        assert plant.get("sum") == 4
        assert not given


def test_on_a_full_disk_the_value_is_delivered_with_a_warning(plant, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    @ReactorFunc
    def big(pipe):
        pipe.send("big", np.zeros(10_000))

    @ReactorFunc
    def uses(pipe):
        big = yield pipe.receive("big")
        pipe.send("size", len(big))

    plant.add_reactor([big, uses])
    with monkeypatch.context() as patch:
        patch.setattr(plant._warehouse.files, "create", full)
        with pytest.warns(UnsavedWarning, match="'big'"):
            assert plant.get("size") == 10_000
    assert "big" in plant.run_reactor(uses).ran


@pytest.mark.parametrize("clock", [-5e9, 0.0, 4e11, 1e18])
def test_results_of_a_wrong_clock_are_read_again(tmp_path, monkeypatch, clock):
    @ReactorFunc
    def sends(pipe, config):
        pipe.send("x", config.a)

    def opened():
        plant = Plant(tmp_path / "plant", progress=False)
        plant.add_reactor(sends)
        return plant

    monkeypatch.setattr("time.time", lambda: clock)
    for a in (1, 2, 1):  # the last one is noted as current
        with opened() as plant:
            plant.set_config({"a": a})
            plant.get("x")
    monkeypatch.undo()
    with opened() as plant:
        plant.set_config({"a": 2})
        assert not plant.run_reactor(sends).ran
        assert len(plant.history(sends)) == 2
        assert plant._warehouse.ledger.unknown_traces == 0


@pytest.mark.parametrize(
    ("inodes", "words"), [(7, "free inodes: 7"), (2000, "No space left"), (None, "No space left")]
)
def test_what_cannot_be_saved_for_one_reason_is_told_in_two_warnings(plant, monkeypatch, inodes, words):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def sender(number):
        def sends(pipe):
            pipe.send(f"array{number}", np.zeros(10_000))

        return ReactorFunc(sends, name=f"sends{number}")

    plant.add_reactor([sender(number) for number in range(9)])
    monkeypatch.setattr(plant._warehouse.files, "create", full)
    monkeypatch.setattr(plant._warehouse.files, "free_inodes", lambda _: inodes)
    with pytest.warns(UnsavedWarning) as warned:
        plant.get(*(f"array{number}" for number in range(9)))
    first, rest = (str(warning.message) for warning in warned)
    assert "'array0'" in first
    assert words in first
    assert "8 further results were delivered but could not be saved" in rest
    assert "'array1'" in rest


def test_no_trace_is_stored_if_an_input_file_changes_while_it_is_read(plant, tmp_path):
    path = tmp_path / "input.txt"
    path.write_text("one")

    @ReactorFunc
    def reads(pipe):
        with open(pipe.input_file(path)) as stream:
            text = stream.read()
        path.write_text("two, longer")
        pipe.send("text", text)

    plant.add_reactor(reads)
    with pytest.warns(UnsavedWarning, match="changed while"):
        assert plant.get("text") == "one"
    assert (
        "file" in plant.explain(reads).causes[0].summary
        or plant.explain(reads).causes[0].summary == "has no result yet"
    )


def test_another_value_for_the_same_inputs_is_detected_when_it_is_recomputed(plant):
    values = iter(range(10))

    @ReactorFunc
    def random(pipe):
        pipe.send("random", np.full(1000, next(values)))

    @ReactorFunc
    def summary(pipe):
        random = yield pipe.receive("random")
        pipe.send("mean", float(random.mean()))

    plant.add_reactor([random, summary])
    assert plant.get("mean") == 0.0
    for path in (plant.directory / "objects").rglob("*.npy"):
        path.unlink()
    with pytest.warns(NondeterministicWarning, match="random"):
        value, mean = plant.get("random", "mean")
    assert value[0] == mean


def test_allocations_that_were_not_sent_are_reported(plant):
    @ReactorFunc
    def forgets(pipe):
        pipe.allocate("picture", Ingredient.Type.file, suffix=".png")

    plant.add_reactor(forgets)
    with pytest.warns(PlantWarning, match="allocated 'picture' and never sent it"):
        plant.run_reactor(forgets)


def test_lost_values_are_recomputed_for_get(plant):
    @ReactorFunc
    def array(pipe):
        pipe.send("array", np.arange(1000))

    plant.add_reactor(array)
    plant.get("array")
    for path in (plant.directory / "objects").rglob("*.npy"):
        path.unlink()
    assert plant.get("array")[-1] == 999


def test_a_value_that_is_lost_before_it_is_delivered_is_computed_again(plant, monkeypatch):
    executed = []

    @ReactorFunc
    def array(pipe):
        executed.append(1)
        pipe.send("array", np.arange(1000))

    plant.add_reactor(array)
    load = Warehouse.load

    def lose_once(warehouse, ingredient):
        monkeypatch.undo()
        warehouse.objects.path(ingredient.object).unlink()
        return load(warehouse, ingredient)

    monkeypatch.setattr(Warehouse, "load", lose_once)
    assert plant.get("array")[-1] == 999
    assert len(executed) == 2


def test_receivers_of_an_unsaved_value_are_not_executed_again_when_it_is_saved(tmp_path, monkeypatch):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor([load, total])
        save = type(plant._warehouse)._save_as

        def full(warehouse, spec, name, value):
            if name == "data":
                raise OSError(errno.ENOSPC, "No space left on device")
            return save(warehouse, spec, name, value)

        monkeypatch.setattr(type(plant._warehouse), "_save_as", full)
        with pytest.warns(UnsavedWarning, match="'data'"):
            assert plant.get("total") == 3
        monkeypatch.undo()
        report = plant.run_reactor(total)
        assert (report.ran, report.cached) == (("load",), ("total",))


def test_notes_that_cannot_be_written_do_not_affect_the_run(tmp_path, monkeypatch):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor([load, total])
        plant.get("total")

        def full(journal, *, sync=False):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(type(plant._warehouse.journal), "flush", full)
        assert plant.get("total") == 3


@pytest.mark.parametrize("is_mine", [True, False])
def test_output_that_another_user_recorded_is_not_shown(plant, monkeypatch, is_mine):
    shown = []
    front_end = SimpleNamespace(replay=lambda recorded, heading: shown.append(recorded))
    monkeypatch.setattr(frontend, "current", lambda: front_end)
    recorded = Ingredient("", "list", "digest", inline=b'["html"]', signed=is_mine)
    session_of(plant).replay(Trace("r", "f", (), (), recorded=recorded))
    assert shown == ([["html"]] if is_mine else [])


class TestWithoutResult:
    """What a reactor has sent does not stay if its execution is not stored."""

    @staticmethod
    def objects(plant):
        return [path for path in (plant.directory / "objects").rglob("*") if path.is_file()]

    @pytest.mark.parametrize("executor", [None, 2])
    def test_what_a_failing_reactor_sent_is_deleted(self, tmp_path, executor):
        with Plant(tmp_path / "plant", progress=False, executor=executor) as plant:
            plant.add_reactor(sends_and_fails)
            with pytest.raises(ZeroDivisionError):
                plant.run_reactor(sends_and_fails)
            assert self.objects(plant) == []
            assert not list((plant.directory / "tmp").rglob("*.npy"))

    @pytest.mark.parametrize("first", [True, False])
    def test_what_another_result_has_too_stays(self, plant, first):
        plant.add_reactor([sends_and_fails, sends_the_same])
        for reactor in (sends_the_same, sends_and_fails)[:: 1 if first else -1]:
            with suppress(ZeroDivisionError):
                plant.run_reactor(reactor)
        assert len(self.objects(plant)) == 1
        assert plant.run_reactor(sends_the_same).cached
        assert plant.get("same")[0] == 7

    def test_what_fits_of_results_that_do_not_is_deleted_at_the_end(self, tmp_path, monkeypatch):
        @ReactorFunc
        def two(pipe):
            pipe.send("one", np.arange(1000))
            pipe.send("two", np.arange(2000))

        with Plant(tmp_path / "plant", progress=False) as plant:
            plant.add_reactor(two)
            save = Warehouse._save_as

            def full(warehouse, spec, name, value):
                if name == "two":
                    raise OSError(errno.ENOSPC, "No space left on device")
                return save(warehouse, spec, name, value)

            monkeypatch.setattr(Warehouse, "_save_as", full)
            with pytest.warns(UnsavedWarning, match="'two'"):
                assert plant.get("one")[-1] == 999
        assert self.objects(plant) == []

    def test_files_beside_an_allocated_path_are_deleted(self, plant):
        @ReactorFunc
        def writes_two(pipe):
            path = pipe.allocate("shape", Ingredient.Type.file, suffix=".shp")
            for suffix in ("", ".aux.xml"):
                Path(path + suffix).write_text("x")
            pipe.send("shape", path)

        plant.add_reactor(writes_two)
        assert Path(plant.get("shape")).read_text() == "x"
        assert list((plant.directory / "tmp").iterdir()) == []

    def test_an_allocation_that_fails_leaves_nothing(self, plant):
        @ReactorFunc
        def negative(pipe):
            pipe.allocate("negative", Ingredient.Type.array, shape=(-5,))

        plant.add_reactor(negative)
        with pytest.raises(ValueError):
            plant.run_reactor(negative)
        assert list((plant.directory / "tmp").iterdir()) == []


@ReactorFunc
def sends_and_fails(pipe):
    pipe.send("sent", np.full(1000, 7))
    raise ZeroDivisionError


@ReactorFunc
def sends_the_same(pipe):
    pipe.send("same", np.full(1000, 7))
