"""Files that one reactor writes beside its ingredients and another one reads."""

import pathlib

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.execution.side_effects import SideEffects


def plant_of_two(content, *, writes_first=False):
    """A reactor that reads what another one writes; which of them runs first is open, since no ingredient connects them."""

    @ReactorFunc
    def writes(pipe, config):
        pathlib.Path("made.txt").write_text(config["text"])
        pipe.send("written", config["text"])

    @ReactorFunc
    def reads(pipe):
        pipe.send("value", pathlib.Path("made.txt").read_text())

    @ReactorFunc
    def both(pipe):
        names = ("written", "value") if writes_first else ("value", "written")
        for name in names:
            received = yield pipe.receive(name)
        pipe.send("both", received)

    plant = Plant("plant", progress=False)
    plant.add_reactor(writes, reads, both)
    plant.set_config({"text": content})
    return plant


def notes(plant, name):
    return "\n".join(plant.explain(name).not_followed)


def test_a_reader_of_what_another_reactor_writes_gets_a_note_that_names_both():
    with plant_of_two("a", writes_first=True) as plant:
        plant.get("both")
        assert "reads made.txt, which reactor 'writes' writes" in notes(plant, "reads")
        assert "pipe.allocate(" in notes(plant, "reads")
        assert "writes made.txt" in notes(plant, "writes")


def test_what_was_written_in_an_earlier_run_is_known():
    with plant_of_two("a") as plant:
        plant.get("written")
    with plant_of_two("a") as plant:
        plant.get("value")
        assert "reads made.txt, which reactor 'writes' writes" in notes(plant, "reads")


def test_a_reader_of_its_own_file_or_of_the_users_gets_no_note():
    pathlib.Path("made.txt").write_text("a")
    with plant_of_two("a") as plant:
        plant.get("value")
        assert notes(plant, "reads") == ""


def reader_after_writer():
    pathlib.Path("made.txt").write_text("a")
    with plant_of_two("a") as plant:
        plant.get("both")
        plant.run_reactor("reads")
        plant.set_config({"text": "b"})
        # The reader is found up to date, and then the writer changes its file.
        report = plant.run_reactor("both")
        assert "writes" in report.ran
        assert plant.fetch_ingredient("written") == "b"
        return plant._warehouse.ledger.senders_of("value")[0], report


def test_a_reader_that_was_up_to_date_is_looked_up_again_when_its_file_is_written():
    _, report = reader_after_writer()
    assert "reads" in report.ran
    assert list(report.ran).index("writes") < list(report.ran).index("reads")


def test_control_without_a_second_look_the_reader_is_stale(monkeypatch):
    monkeypatch.setattr(SideEffects, "outdated_readers", lambda *_: [])
    _, report = reader_after_writer()
    assert "reads" not in report.ran


@pytest.mark.parametrize("times", [3])
def test_two_reactors_that_change_each_others_files_end(times):
    for name in ("one", "two"):
        pathlib.Path(f"{name}.txt").write_text("0")

    @ReactorFunc
    def one(pipe, config):
        text = pathlib.Path("two.txt").read_text()
        pathlib.Path("one.txt").write_text(text + config["a"])
        pipe.send("first", text)

    @ReactorFunc
    def two(pipe, config):
        text = pathlib.Path("one.txt").read_text()
        pathlib.Path("two.txt").write_text(text + config["a"])
        pipe.send("second", text)

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(one, two)
        for time in range(times):
            plant.set_config({"a": str(time % 2)})
            plant.get("first", "second")
