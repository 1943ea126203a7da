"""Plants that are opened for reading only."""

import errno
import sys

import numpy as np
import pytest

from pyplant import Plant, ReactorFunc, _definitions, specs
from pyplant.cli import main
from pyplant.errors import PlantDirError, UnsavedWarning
from pyplant.store import layout
from pyplant.store.files import Files


@ReactorFunc
def load(pipe):
    pipe.send("data", np.arange(1000.0))


@ReactorFunc
def total(pipe, config):
    data = yield pipe.receive("data")
    pipe.send("total", float(data.sum()) * config.factor)


@ReactorFunc
def cube(pipe):
    data = pipe.allocate("cube", specs.HdfArraySpec, shape=(3, 3), dtype="f8")
    data[:] = 5
    pipe.send("cube", data)


@ReactorFunc
def corner(pipe):
    data = yield pipe.receive("cube")
    pipe.send("corner", float(data[0, 0]))


REACTORS = [load, total, cube, corner]


@pytest.fixture
def filled(plant_dir):
    """The directory of a plant with results."""
    with Plant(plant_dir, progress=False) as plant:
        plant.add_reactor(REACTORS)
        plant.set_config({"factor": 2})
        plant.get("total")
    return plant_dir


def open_plant(directory, factor=2, **options):
    plant = Plant(directory, progress=False, **options)
    plant.add_reactor(REACTORS)
    plant.set_config({"factor": factor})
    return plant


def content(directory):
    return {path: path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


def test_everything_that_looks_works(filled):
    before = content(filled)
    with open_plant(filled, read_only=True) as plant:
        assert plant.get("total") == 999_000
        assert plant.fetch_ingredient("total") == 999_000
        assert plant.run_reactor(total).ran == ()
        assert {entry.name: entry.outcome.value for entry in plant.status()}["total"] == "cached"
        plant.plan(total), plant.explain(total), plant.graph(), plant.fsck(), plant.gc()
        assert len(plant.history(total).entries) == 1
    assert content(filled) == before


@pytest.mark.parametrize("executor", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_computed_values_are_delivered_with_one_warning(filled, executor):
    before = content(filled)
    with open_plant(filled, 3, read_only=True, executor=executor) as plant:
        with pytest.warns(UnsavedWarning, match="is read-only") as warned:
            assert plant.get("total", "corner") == (1_498_500, 5.0)
        assert len(warned) == 1
        assert plant.run_reactor(corner).ran == ()  # kept until the plant is closed
        overlay = plant._warehouse.objects.overlay
        assert overlay.is_dir()
    assert not overlay.exists()
    assert content(filled) == before


def test_what_others_store_meanwhile_is_seen(filled):
    with open_plant(filled, 3, read_only=True) as reader, open_plant(filled, 3) as writer:
        assert writer.get("total") == 1_498_500
        assert reader.run_reactor(total).ran == ()


def test_a_directory_that_cannot_be_written_is_opened_so(filled, monkeypatch):
    monkeypatch.setattr(layout.os, "access", lambda path, mode: False)
    with Plant(filled, progress=False) as plant:
        assert plant._warehouse.is_read_only
    with pytest.raises(PlantDirError, match="is not writable"):
        Plant(filled, read_only=False)


def test_a_directory_that_can_be_written_is_not(filled):
    with Plant(filled, progress=False) as plant:
        assert not plant._warehouse.is_read_only


def test_a_read_only_plant_must_exist(plant_dir):
    with pytest.raises(PlantDirError, match="There is no plant"):
        Plant(plant_dir, read_only=True)
    assert not plant_dir.exists()


def test_a_read_only_plant_forgets_nothing(filled):
    with open_plant(filled, read_only=True) as plant, pytest.raises(PlantDirError, match="forgets nothing"):
        plant.invalidate(total)


SCRIPT = """
from pyplant import *

@ReactorFunc
def load(pipe):
    pipe.send("data", [1, 2, 3])
"""


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A plant that cannot be written, beside the script that filled it, in the working directory."""
    (tmp_path / "archived.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    _definitions._declared.clear()
    assert main(["run", "archived.py", "data"]) == 0
    del sys.modules["archived"]
    _definitions._declared.clear()
    monkeypatch.setattr(layout.os, "access", lambda path, mode: False)
    yield tmp_path / "archived.plant"
    sys.modules.pop("archived", None)


@pytest.mark.parametrize(
    "command", [["status", "archived.py"], ["explain", "archived.py", "load"], ["run", "archived.py", "data"]]
)
def test_commands_serve_from_a_plant_that_cannot_be_written(archive, command, capsys):
    before = content(archive)
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().err == ""
    assert content(archive) == before


def test_a_plant_that_cannot_be_read_gives_the_exit_status_3(archive, capsys, monkeypatch):
    def refuse(self, path, *suffix):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Files, "sizes", refuse)
    assert main(["status", "archived.py"]) == 3
    assert "cannot be read: Permission denied" in capsys.readouterr().err


def test_invalidate_gives_the_exit_status_3_like_other_commands_that_must_write(archive, capsys):
    assert main(["invalidate", "archived.py", "load"]) == 3
    assert "is read-only" in capsys.readouterr().err
