"""Whatever code reads and however it reads it: when it changes, what depends on it runs again, and not before."""

from contextlib import nullcontext

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.reads import hook
from tests.laws.executors import POOLS, pool

from .plants import plant_with
from .readers import READERS, by_existence, by_getenv, by_listdir, by_open, flag, folder, text, variable


@pytest.mark.parametrize(("change", "read"), READERS, ids=lambda function: function.__name__)
def test_a_change_of_what_is_read_reruns(change, read):
    change(1)
    with plant_with(read) as plant:
        assert plant.get("value") == 1
        assert not plant.run_reactor("reads").ran, plant.explain("reads")
        change(2)
        assert "reads would run" in str(plant.explain("reads"))
        assert plant.get("value") == 2
        change(1)
        report = plant.run_reactor("reads")
        assert plant.get("value") == 1
        # Back at the old content, the old result serves, unless it counts by the time of the change.
        assert not report.ran or read.__name__ == "by_size"


@pytest.mark.slow  # starts workers, which import the libraries of all readers
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["workers", *POOLS])
def test_reads_count_on_every_executor(name):
    for change, _ in READERS:
        change(1)

    @ReactorFunc
    def reads(pipe, config):
        for place, (_, read) in enumerate(READERS):
            if place == config["place"]:
                pipe.send("value", read())

    started = nullcontext(2) if name == "workers" else pool(name)
    with started as executor, Plant("plant", progress=False, executor=executor) as plant:
        plant.add_reactor(reads)
        wrong = []
        for place, (change, read) in enumerate(READERS):
            plant.set_config({"place": place})
            change(1)
            first = plant.get("value")
            again = plant.run_reactor("reads").ran
            change(2)
            if (first, again, plant.get("value")) != (1, (), 2):
                wrong.append(read.__name__)
        assert wrong == []


@pytest.mark.parametrize(
    ("change", "read", "event"), [(text, by_open, "open"), (folder, by_listdir, "os.listdir")]
)
def test_control_without_its_event_a_change_is_missed(change, read, event, monkeypatch):
    monkeypatch.setattr(
        hook, "_HANDLERS", {key: handler for key, handler in hook._HANDLERS.items() if key != event}
    )
    change(1)
    with plant_with(read) as plant:
        assert plant.get("value") == 1
        change(2)
        assert plant.get("value") == 1


def test_control_without_mentions_a_change_is_missed(monkeypatch):
    monkeypatch.setattr("pyplant._tracer.find_mentions", lambda functions, recorder: None)
    monkeypatch.setattr("pyplant.reads.calls.mention_argument", lambda *_: None)
    monkeypatch.setattr("pyplant.reads.asked_paths.mention_argument", lambda *_: None)
    flag(1)
    with plant_with(by_existence) as plant:
        assert plant.get("value") == 1
        flag(2)
        assert plant.get("value") == 1


def test_control_without_watched_variables_a_change_is_missed(monkeypatch):
    monkeypatch.setattr("pyplant.reads.recorder.ReadRecorder.asked_for_variable", lambda *_: None)
    variable(1)
    with plant_with(by_getenv) as plant:
        assert plant.get("value") == 1
        variable(2)
        assert plant.get("value") == 1


def test_an_explanation_lists_what_was_read_and_where():
    text(1)
    folder(1)
    variable(1)

    def read():
        return by_open() + by_listdir() + by_getenv()

    with plant_with(read) as plant:
        plant.get("value")
        explanation = str(plant.explain("reads"))
        assert "reads data.txt, in" in explanation
        assert "by_open (readers.py:" in explanation
        assert "reads the names in in/, in" in explanation
        assert "reads environment variable READS_X, in" in explanation
        folder(2)
        assert "the names in in/ changed, read in" in str(plant.explain("reads"))
        folder(1)
        variable(2)
        assert "environment variable READS_X changed, read in" in str(plant.plan("reads"))
        text(2)
        assert "file data.txt changed, read in" in str(plant.status())
