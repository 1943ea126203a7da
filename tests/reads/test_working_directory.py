"""The working directory: relative paths lead elsewhere when a program is started in another folder."""

import glob
import os
import tempfile
from pathlib import Path

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.reads import working_directory
from pyplant.reads.recorder import ReadRecorder

from .plants import plant_with, read_text

DATA = "data.csv"


def with_open():
    with open(DATA) as file:
        return file.read()


def with_path():
    return Path(DATA).read_text()


def with_a_resolved_path():
    return Path(DATA).resolve().read_text()


def with_an_absolute_path():
    return Path(os.path.abspath(DATA)).read_text()


def with_glob():
    return sorted(glob.glob("*.csv"))


def with_names():
    return sorted(os.listdir())


def with_a_changed_directory():
    os.chdir("below")
    try:
        return Path(DATA).read_text()
    finally:
        os.chdir("..")


def with_exists():
    return os.path.exists("extra.csv")


def with_the_directory():
    return os.getcwd()


def with_the_directory_as_path():
    return Path.cwd().name


READERS = {
    name.removeprefix("with_"): function
    for name, function in list(globals().items())
    if name.startswith("with_")
}


@pytest.fixture
def folders(tmp_path):
    for name in ("one", "other"):
        for folder in (tmp_path / name, tmp_path / name / "below"):
            folder.mkdir()
            (folder / DATA).write_text(name)
    (tmp_path / "other" / "extra.csv").touch()
    return tmp_path


def enter(folders, name, monkeypatch, read, plant="../plant", **options):
    """Return the plant of a program that is started in a folder."""
    monkeypatch.chdir(folders / name)
    return plant_with(read, plant, **options)


@pytest.mark.parametrize(
    ("name", "executor"),
    [(name, None) for name in READERS] + [("open", 2), ("glob", 2), ("the_directory", 2)],
)
def test_a_program_started_in_another_directory_reads_what_is_there(name, executor, folders, monkeypatch):
    read = READERS[name]
    with enter(folders, "one", monkeypatch, read, executor=executor) as plant:
        first = plant.get("value")
        assert first == read()
    with enter(folders, "other", monkeypatch, read, executor=executor) as plant:
        second = plant.get("value")
        assert second == read() != first
    with enter(folders, "one", monkeypatch, read, executor=executor) as plant:
        assert not plant.run_reactor("reads").ran
        assert plant.get("value") == first


def test_control_without_the_directory_the_old_file_is_served(folders, monkeypatch):
    monkeypatch.setattr(ReadRecorder, "_directory_reads", lambda *_: ())
    with enter(folders, "one", monkeypatch, with_open) as plant:
        assert plant.get("value") == "one"
    with enter(folders, "other", monkeypatch, with_open) as plant:
        assert plant.get("value") == "one"


def test_the_reason_names_both_directories(folders, monkeypatch):
    with enter(folders, "one", monkeypatch, with_open) as plant:
        plant.get("value")
    with enter(folders, "other", monkeypatch, with_open) as plant:
        assert "the working directory is other, before one, read in" in str(plant.explain("reads"))


def test_the_advice_names_a_path_that_leads_to_the_file_from_here(folders, monkeypatch, caplog):
    with enter(folders, "one", monkeypatch, with_open) as plant:
        plant.get("value")
    assert f"pipe.input_file('{DATA}')" in caplog.text
    caplog.clear()
    with enter(folders, "one", monkeypatch, lambda: read_text(folders / "other" / DATA), "plant") as plant:
        plant.get("value")
    assert f"pipe.input_file('{folders / 'other' / DATA}')" in caplog.text


def test_a_declared_file_with_a_relative_path_is_the_one_that_is_there(folders, monkeypatch):
    def plant_in(name):
        @ReactorFunc
        def reads(pipe):
            pipe.send("value", Path(pipe.input_file(DATA)).read_text())

        monkeypatch.chdir(folders / name)
        plant = Plant(folders / "plant", progress=False)
        plant.add_reactor(reads)
        return plant

    for name in ("one", "other"):
        with plant_in(name) as plant:
            assert plant.get("value") == name
    with plant_in("one") as plant:
        assert not plant.run_reactor("reads").ran


def with_a_path_of_its_own():
    here = Path(__file__).resolve()
    return here.name, os.path.basename(os.path.abspath(__file__))


def with_a_temporary_directory():
    before = os.getenv("READS_START")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("made.txt").write_text("made")
            return Path("made.txt").read_text(), os.listdir()
        finally:
            os.chdir(before)


@pytest.mark.parametrize("read", [with_a_path_of_its_own, with_a_temporary_directory])
def test_what_does_not_depend_on_the_directory_is_a_hit_elsewhere(read, folders, monkeypatch):
    monkeypatch.setenv("READS_START", str(folders))
    with enter(folders, "one", monkeypatch, read) as plant:
        plant.get("value")
    with enter(folders, "other", monkeypatch, read) as plant:
        assert not plant.run_reactor("reads").ran


def test_a_folder_moved_with_its_plant_is_a_hit(folders, monkeypatch):
    monkeypatch.chdir(folders / "one")
    with plant_with(lambda: (with_open(), with_names())) as plant:
        plant.get("value")
    (folders / "one").rename(folders / "moved")
    monkeypatch.chdir(folders / "moved")
    with plant_with(lambda: (with_open(), with_names())) as plant:
        assert not plant.run_reactor("reads").ran


def reactors_that_change_the_directory(folders):
    def reactor(number):
        @ReactorFunc(name=f"link{number}")
        def link(pipe):
            os.chdir(folders / "other")
            yield pipe.send(f"value{number}", with_open())

        return link

    plant = Plant(folders / "plant", progress=False)
    plant.add_reactors(*map(reactor, range(4)))
    return plant


def run_each(folders, monkeypatch):
    """Return the names of the reactors that run in a new program."""
    monkeypatch.chdir(folders / "one")
    with reactors_that_change_the_directory(folders) as plant:
        return [name for number in range(4) for name in plant.run_reactor(f"link{number}").ran]


def test_reactors_that_leave_another_directory_behind_are_hits(folders, monkeypatch):
    assert len(run_each(folders, monkeypatch)) == 4
    assert run_each(folders, monkeypatch) == []


def test_control_without_what_was_before_they_run_again(folders, monkeypatch):
    monkeypatch.setattr(working_directory, "keep_before", lambda _: None)
    assert len(run_each(folders, monkeypatch)) == 4
    assert run_each(folders, monkeypatch) != []


def test_a_directory_that_the_user_enters_again_counts_as_it_is(folders, monkeypatch):
    monkeypatch.chdir(folders / "one")
    working_directory.keep_before("/before")
    assert working_directory.digest(folders) == "/before"
    monkeypatch.chdir(folders)
    assert working_directory.digest(folders) == "."
    monkeypatch.chdir(folders / "one")
    assert working_directory.digest(folders) == "one"


def test_a_working_directory_that_was_removed_has_no_name(folders, monkeypatch):
    gone = folders / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert working_directory.digest(folders) == ""
