"""Many reads of one reactor are one dependency, and what changed among them is named all the same."""

import os
import pathlib
import shutil
import time

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.engine.trace import DependencyKind
from pyplant.engine.validate import UNREADABLE
from pyplant.reads import answers, manifests
from pyplant.store import inputs

from .plants import dependencies, plant_with

HOUR = 3600


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Three reads are many already."""
    for module in ("pyplant.reads.manifests", "pyplant._tracer", "pyplant.execution.trace_writer"):
        monkeypatch.setattr(f"{module}.MANY", 2)


@pytest.fixture
def settled(monkeypatch):
    """A clock an hour ahead of that of the file system, so that no file is young."""
    now = time.time_ns
    monkeypatch.setattr(inputs.time, "time_ns", lambda: now() + HOUR * 10**9)


def write(number, text="x"):
    pathlib.Path(f"data/{number}").write_text(text)


def write_all():
    os.makedirs("data", exist_ok=True)
    for number in range(4):
        write(number)


def read_all():
    return "".join(pathlib.Path(f"data/{number}").read_text() for number in range(4))


def last(plant):
    return plant._warehouse.ledger.last(plant._session.registry.find("reads").full_name)


def kinds(plant):
    return "".join(dependency.kind.value for dependency in dependencies(plant))


def test_many_reads_are_one_dependency_and_a_change_is_named():
    write_all()
    with plant_with(read_all) as plant:
        assert plant.get("value") == "xxxx"
        assert kinds(plant) == "m"
        assert not plant.run_reactor("reads").ran
        assert "reads data/0 and 3 more, in" in str(plant.explain("reads"))
        write(2, "y")
        assert "file data/2 changed" in str(plant.explain("reads"))
        assert plant.get("value") == "xxyx"
        write(2)
        assert not plant.run_reactor("reads").ran


def test_reads_before_and_after_another_dependency_are_two_manifests():
    write_all()

    @ReactorFunc
    def reads(pipe, config):
        first = read_all()
        config["a"]
        for number in range(3):
            os.listdir(f"data{number}")
        pipe.send("value", first)

    for number in range(3):
        os.makedirs(f"data{number}")
    with Plant("plant", progress=False) as plant:
        plant.add_reactor(reads)
        plant.set_config({"a": 1})
        plant.get("value")
        assert kinds(plant) == "pmpm"
        os.makedirs("data1/new")
        assert "the names in data1/ changed" in str(plant.explain("reads"))


@pytest.mark.usefixtures("settled")
def test_what_a_manifest_knows_of_files_saves_hashing(hashed):
    write_all()
    with plant_with(read_all) as plant:
        plant.get("value")
        assert len(hashed) == 4
        assert plant._warehouse.ledger.latest._inputs == {}
    with plant_with(read_all) as plant:
        assert not plant.run_reactor("reads").ran
        assert len(hashed) == 4
        write(1, "yy")
        assert plant.run_reactor("reads").ran
        assert hashed[4:] == ["1"]


@pytest.mark.usefixtures("settled")
def test_control_without_identities_in_manifests_files_are_hashed_again(hashed, monkeypatch):
    monkeypatch.setattr(inputs.InputFiles, "adopt", lambda *_: None)
    write_all()
    for _ in range(2):
        with plant_with(read_all) as plant:
            plant.run_reactor("reads")
    assert len(hashed) == 8


def test_a_manifest_that_is_gone_is_a_reason_to_run():
    write_all()
    with plant_with(read_all) as plant:
        plant.get("value")
        (manifest,) = last(plant).manifests
        assert manifest.size > 0
    for path in pathlib.Path("plant/objects").rglob("*"):
        if path.is_file():
            path.unlink()
    with plant_with(read_all) as plant:
        if manifest.inline is None:
            assert "what it read outside the plant changed" in str(plant.explain("reads"))
        assert plant.get("value") == "xxxx"


def test_manifests_count_as_stored_and_go_with_their_execution(monkeypatch):
    write_all()
    long = "long name of a file " * 8

    def read():
        return [os.path.exists("data"), *(pathlib.Path(f"data/{long}{n}").read_text() for n in range(20))]

    for number in range(20):
        write(f"{long}{number}")
    with plant_with(read) as plant:
        plant.get("value")
        (old,) = last(plant).manifests
        assert old.inline is None
        write(f"{long}0", "y")
        plant.get("value")
        objects = {path.name for path in pathlib.Path("plant/objects").rglob("*") if path.is_file()}
        assert {old.object, last(plant).manifests[0].object} <= objects
        assert plant.fsck().is_clean
    with plant_with(read, max_size=old.size) as plant:
        plant.run_reactor("reads")
        plant.gc()
        objects = {path.name for path in pathlib.Path("plant/objects").rglob("*") if path.is_file()}
        assert old.object not in objects
        assert not plant.run_reactor("reads").ran


@pytest.mark.slow
def test_a_manifest_of_another_user_that_lists_other_reads_is_not_used():
    write_all()
    with plant_with(read_all) as plant:
        plant.get("value")
        ledger = plant._warehouse.ledger
        (mine,) = last(plant).manifests
        items = plant._warehouse.load(mine)
        shutil.copytree("data", "other")
        items[0::3] = [question.replace("data/", "other/") for question in items[0::3]]
        planted = plant._warehouse.save(mine.name, items, "list")
        ledger.manifests = lambda name: [planted]
        write(0, "y")
        assert plant.get("value") == "yxxx"


def test_control_a_manifest_of_these_reads_is_used(monkeypatch):
    write_all()
    with plant_with(read_all) as plant:
        plant.get("value")
        assert not plant.run_reactor("reads").ran
        plant._warehouse.ledger.manifests = lambda name: []
        assert plant.run_reactor("reads").ran


def test_a_worker_reports_many_reads():
    write_all()
    with plant_with(read_all, executor=1) as plant:
        assert plant.get("value") == "xxxx"
        assert kinds(plant) == "m"
        write(3, "y")
        assert plant.get("value") == "xxxy"


def test_a_manifest_of_another_version_is_unreadable():
    assert [entry.name for entry in manifests.entries(["fdata", "d", ""])] == ["data"]
    for items in (["fdata"], ["?data", "d", ""], ["fdata", "d", "x"], [1, 2, 3]):
        with pytest.raises(UNREADABLE):
            list(manifests.entries(items))


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 1 << 40)]
)
def test_what_is_no_source_text_is_not_read(tmp_path, make):
    make(tmp_path / "helper.py")
    assert answers.source(str(tmp_path / "helper.py")) == inputs.UNREADABLE


@pytest.mark.parametrize("kind", list(DependencyKind))
@pytest.mark.parametrize("name", ["\ud800", "a\0b", "x/" * 5000])
def test_names_that_no_file_can_have_raise_nothing(kind, name):
    with plant_with(lambda: "x") as plant:
        plant.get("value")
        context = plant._session.context()
        assert isinstance(context.outside_now(kind, name), str)
