"""Files as ingredients."""

import os
import subprocess
from pathlib import Path

import pytest

from pyplant import Ingredient, Plant, ReactorFunc, specs
from pyplant.errors import NotAllocatedError, UnsavableError
from pyplant.specs import FileSpec
from pyplant.testing import SpecConformance


class TestFile(SpecConformance):
    def spec(self):
        return FileSpec()

    def values(self):
        return ["one", "two", ""]

    def fill(self, warehouse, value):
        allocation = warehouse.allocate("value", self.spec(), {"suffix": ".txt"})
        text = Path(value).read_text() if os.path.isabs(value) else value
        Path(allocation.handle).write_text(text)
        return warehouse.finish(allocation)

    def equal(self, left, right):
        texts = [Path(item).read_text() if os.path.isabs(item) else item for item in (left, right)]
        return texts[0] == texts[1]


@ReactorFunc
def picture(pipe):
    path = pipe.allocate("picture", Ingredient.Type.file, suffix=".png")
    Path(path).write_bytes(b"pixels")
    pipe.send("picture", path)


@ReactorFunc
def forgets_to_write(pipe):
    pipe.send("forgotten", pipe.allocate("forgotten", specs.FileSpec))


@ReactorFunc
def sends_a_path(pipe):
    pipe.send("path", "/etc/passwd", Ingredient.Type.file)


@pytest.fixture
def plant(plant_dir):
    with Plant(plant_dir) as plant:
        plant.add_reactor([picture, forgets_to_write, sends_a_path])
        yield plant


def test_a_file_is_received_as_the_path_of_a_read_only_file_with_its_suffix(plant):
    path = Path(plant.get("picture"))
    assert path.read_bytes() == b"pixels"
    assert path.suffix == ".png"
    assert path.is_relative_to(plant.directory)
    assert not path.stat().st_mode & 0o222


def test_a_file_that_was_never_written_is_an_error(plant):
    with pytest.raises(UnsavableError, match="write it before"):
        plant.run_reactor(forgets_to_write)


def test_a_path_that_was_not_allocated_is_an_error(plant):
    with pytest.raises(NotAllocatedError, match="pipe.allocate\\('path'"):
        plant.run_reactor(sends_a_path)


def test_a_path_object_may_be_sent_too(plant_dir):
    @ReactorFunc
    def sends_path_object(pipe):
        path = Path(pipe.allocate("text", Ingredient.Type.file, suffix=".tar.gz"))
        path.write_text("x")
        pipe.send("text", path)

    with Plant(plant_dir) as plant:
        plant.add_reactor(sends_path_object)
        assert plant.get("text").endswith(".tar.gz")


@pytest.mark.parametrize("suffix", ["png", "../../x", "/etc", ".a/b", "." + "x" * 50, 5])
def test_an_invalid_suffix_is_refused(plant_dir, suffix):
    @ReactorFunc
    def odd(pipe):
        pipe.allocate("odd", Ingredient.Type.file, suffix=suffix)

    with Plant(plant_dir) as plant:
        plant.add_reactor(odd)
        with pytest.raises(NotAllocatedError, match="suffix"):
            plant.run_reactor(odd)


def test_unknown_options_are_refused(tmp_path):
    with pytest.raises(NotAllocatedError, match="shape"):
        FileSpec().allocate(tmp_path / "x", shape=3)


def test_a_hard_link_to_a_file_of_the_user_is_copied(plant_dir, tmp_path):
    own = tmp_path / "own"
    own.write_text("mine")
    own.chmod(0o644)

    @ReactorFunc
    def linked(pipe):
        path = pipe.allocate("linked", Ingredient.Type.file)
        os.link(own, path)
        pipe.send("linked", path)

    with Plant(plant_dir, progress=False) as plant:
        plant.add_reactor(linked)
        stored = Path(plant.get("linked"))
        assert own.stat().st_mode & 0o777 == 0o644
        own.write_text("changed")
        assert stored.read_text() == "mine"


def test_a_folder_at_the_path_of_a_file_is_refused(plant_dir):
    @ReactorFunc
    def folder(pipe):
        path = pipe.allocate("folder", Ingredient.Type.file, suffix=".zarr")
        os.mkdir(path)
        Path(path, "x").write_text("1")
        pipe.send("folder", path)

    with Plant(plant_dir, progress=False) as plant:
        plant.add_reactor(folder)
        with pytest.raises(
            UnsavableError, match="Ingredient 'folder' cannot be stored: A folder was made at the path"
        ):
            plant.get("folder")
        assert not list((plant_dir / "tmp").rglob("*.zarr"))


@pytest.mark.skipif(os.name == "nt", reason="the suffix makes a program")
def test_a_program_can_be_run_and_a_change_of_that_right_counts(plant_dir):
    mode = [0o600]

    @ReactorFunc(cache=False)
    def program(pipe):
        path = pipe.allocate("program", Ingredient.Type.file, suffix=".sh")
        Path(path).write_text("#!/bin/sh\necho it works\n")
        os.chmod(path, mode[0])
        pipe.send("program", path)

    @ReactorFunc
    def runs(pipe):
        path = yield pipe.receive("program")
        pipe.send("said", os.access(path, os.X_OK) and subprocess.check_output([path], text=True))

    with Plant(plant_dir, progress=False) as plant:
        plant.add_reactor([program, runs])
        assert plant.get("said") is False
        mode[0] = 0o700
        assert plant.get("said") == "it works\n"
        assert not os.access(plant.get("program"), os.W_OK) or os.geteuid() == 0
