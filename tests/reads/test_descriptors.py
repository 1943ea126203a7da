"""Folders that code names by their descriptors, and what it reads, makes and removes in them."""

import glob
import os
import pathlib
import shutil
import tempfile

import pytest

from pyplant.reads import descriptors, hook

from .plants import notes, plant_with, read_text, write

pytestmark = pytest.mark.skipif(
    os.open not in os.supports_dir_fd, reason="folders have no descriptors on this system"
)


def content(value):
    write("in/data", value)


def optional(value):
    pathlib.Path("in/data").unlink(missing_ok=True)
    if value == 2:
        write("in/data", 2)


def names(value):
    shutil.rmtree("in", ignore_errors=True)
    for number in range(value):
        write(f"in/{number}")


class Folder:
    """The folder ``in`` as a descriptor."""

    def __enter__(self):
        self.descriptor = os.open("in", os.O_RDONLY)
        return self.descriptor

    def __exit__(self, *_):
        os.close(self.descriptor)


def opened(name="data"):
    with Folder() as folder:
        file = os.open(name, os.O_RDONLY, dir_fd=folder)
        try:
            return int(os.read(file, 10))
        finally:
            os.close(file)


def opened_by_opener():
    with (
        Folder() as folder,
        open("data", opener=lambda path, flags: os.open(path, flags, dir_fd=folder)) as stream,
    ):
        return int(stream.read())


def missing():
    try:
        return opened()
    except FileNotFoundError:
        return 1


def listed():
    with Folder() as folder:
        return len(os.listdir(folder))


def scanned():
    with Folder() as folder, os.scandir(folder) as entries:
        return len(list(entries))


def walked():
    return sum(len(files) for _, _, files, _ in os.fwalk("in"))


def matched():
    with Folder() as folder:
        return len(glob.glob("*", dir_fd=folder))


READERS = [
    (content, opened),
    (content, opened_by_opener),
    (optional, missing),
    (names, listed),
    (names, scanned),
    (names, walked),
    (names, matched),
]


@pytest.mark.parametrize(("change", "read"), READERS, ids=lambda function: function.__name__)
def test_what_is_read_through_a_descriptor_counts(change, read):
    os.makedirs("in")
    change(1)
    with plant_with(read) as plant:
        assert plant.get("value") == 1
        assert not plant.run_reactor("reads").ran
        change(2)
        assert plant.get("value") == 2


@pytest.mark.parametrize(
    ("change", "read", "name", "replaced"),
    [
        (content, opened, "possible_paths", lambda path: [path]),
        (names, listed, "without_descriptor", lambda path: path),
    ],
)
def test_control_without_descriptors_a_change_is_missed(change, read, name, replaced, monkeypatch):
    monkeypatch.setattr(hook, name, replaced)
    change(1)
    with plant_with(read) as plant:
        assert plant.get("value") == 1
        change(2)
        assert plant.get("value") == 1


def test_a_file_outside_an_open_folder_counts_and_one_beside_it_does_not():
    write("data", 1)
    write("in/other")

    def read():
        with Folder():
            file = os.open("data", os.O_RDONLY)
            os.close(file)
            return read_text("data")

    with plant_with(read) as plant:
        assert plant.get("value") == "1"
        write("in/data")
        assert not plant.run_reactor("reads").ran
        write("data", 2)
        assert plant.get("value") == "2"


def copied_to_temporary_folder():
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy("data", folder)
        return read_text("data")


def removed_elsewhere():
    with Folder() as folder:
        os.remove("data", dir_fd=folder)
        write("in/data")
        return read_text("data")


def renamed_elsewhere():
    with Folder() as folder:
        os.rename("data", "other", src_dir_fd=folder, dst_dir_fd=folder)
        os.rename("in/other", "in/data")
        return read_text("data")


def made_elsewhere():
    with Folder() as folder:
        os.mkdir("folder", dir_fd=folder)
        os.rmdir("folder", dir_fd=folder)
        os.symlink("x", "data2", dir_fd=folder)
        os.unlink("data2", dir_fd=folder)
        return read_text("folder/data2") + read_text("data2")


OTHERS = [copied_to_temporary_folder, removed_elsewhere, renamed_elsewhere, made_elsewhere]


def write_all(value):
    for name in ("data", "data2", "folder/data2"):
        write(name, value)


@pytest.mark.parametrize("read", OTHERS, ids=lambda function: function.__name__)
def test_a_file_counts_though_one_of_its_name_is_changed_in_another_folder(read):
    write("in/data")
    write_all(1)
    with plant_with(read) as plant:
        assert set(plant.get("value")) == {"1"}
        assert not plant.run_reactor("reads").ran
        assert "read and written" not in notes(plant)
        write_all(2)
        assert set(plant.get("value")) == {"2"}


@pytest.mark.parametrize("read", OTHERS, ids=lambda function: function.__name__)
def test_control_without_its_folder_the_wrong_file_counts_as_written(read, monkeypatch):
    monkeypatch.setattr(hook, "below_descriptor", lambda path, _: path)
    write("in/data")
    write_all(1)
    with plant_with(read) as plant:
        assert set(plant.get("value")) == {"1"}
        write_all(2)
        assert set(plant.get("value")) == {"1"}


def test_what_is_written_in_a_folder_by_its_descriptor_is_no_input():
    os.makedirs("in")

    def read():
        with Folder() as folder:
            file = os.open("made", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, dir_fd=folder)
            os.write(file, str(len(os.listdir("/"))).encode())
            os.close(file)
        return read_text("in/made")

    with plant_with(read) as plant:
        plant.get("value")
        write("in/made", "other")
        assert not plant.run_reactor("reads").ran


def test_a_descriptor_that_is_closed_leads_nowhere():
    assert descriptors.without_descriptor(10_000) == 10_000
    assert descriptors.below_descriptor("data", 10_000) == ""
    assert descriptors.below_descriptor("data", -1) == "data"
