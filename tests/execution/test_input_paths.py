"""Paths given to ``pipe.input_file``: resolved when the reactor runs, from the working directory that it has then."""

import os
import shutil
from pathlib import Path

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import IngredientError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a file in a subfolder, for one test."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "x.csv").write_text("in sub")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(root, reactor, **options):
    with Plant(root, **options) as plant:
        return bool(plant.run_reactor(reactor).ran)


def recorded(root, name="text"):
    with Plant(root) as plant:
        trace = plant._warehouse.ledger.senders_of(name)[0]
        return [dependency.names[0] for dependency in trace.dependencies]


def reading(path, into=None):
    """A reactor that reads a file, after changing the working directory if one is given."""

    @ReactorFunc
    def read(pipe):
        if into is not None:
            os.chdir(into)
        with open(pipe.input_file(path)) as stream:
            pipe.send("text", stream.read())

    return read


@pytest.mark.parametrize("both", [False, True])
def test_paths_are_relative_to_a_directory_that_the_reactor_changed_to(folder, both):
    if both:
        (folder / "x.csv").write_text("in the other")
    read = reading("x.csv", folder / "sub")
    seen = []
    for _ in range(3):
        os.chdir(folder)
        seen.append(ran("plant", read))
    assert seen == [True, False, False]
    assert recorded(folder / "plant") == ["sub/x.csv"]
    os.chdir(folder)
    (folder / "sub" / "x.csv").write_text("edited")
    assert ran("plant", read)


@pytest.mark.parametrize("path", ["sub/x.csv", "absolute"])
def test_the_working_directory_of_the_next_look_up_counts_for_relative_paths(path, folder):
    read = reading(path if path != "absolute" else folder / "sub" / "x.csv")
    with Plant(folder / "plant") as plant:
        assert plant.run_reactor(read).ran
        os.chdir("/")
        is_absolute = path == "absolute"
        assert plant.status()["read"].outcome.name == ("CACHED" if is_absolute else "STALE")
        os.chdir(folder)
        assert not plant.run_reactor(read).ran
        (folder / "sub" / "x.csv").write_text("edited")
        assert plant.status()["read"].outcome.name == "STALE"


@pytest.mark.slow
def test_workers_return_to_the_working_directory_of_the_run(folder):
    @ReactorFunc
    def go(pipe):
        os.chdir("sub")
        pipe.send("gone", 1)

    @ReactorFunc
    def stay(pipe):
        yield pipe.receive("gone")
        with open(pipe.input_file("sub/x.csv")) as stream:
            pipe.send("text", stream.read())

    with Plant(folder / "plant", executor=1) as plant:
        plant.add_reactor([go, stay])
        assert plant.get("text") == "in sub"
        assert not plant.run_reactor(stay).ran


def test_a_project_that_was_moved_is_up_to_date(folder):
    read = reading(folder / "sub" / "x.csv")
    assert ran(folder / "plant", read)
    (folder / "moved").mkdir()
    for name in ("plant", "sub"):
        shutil.move(folder / name, folder / "moved" / name)
    os.chdir(folder / "moved")
    assert recorded("plant") == ["sub/x.csv"]
    assert not ran("plant", read)


def test_a_file_outside_the_project_is_recorded_by_its_absolute_path(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "y.csv"
    other.write_text("y")
    assert ran(folder / "sub" / "plant", reading(os.path.relpath(other)))
    assert recorded(folder / "sub" / "plant") == ["working directory", str(other)]


def test_dots_after_a_link_are_resolved_as_the_system_does(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "deep").mkdir()
    (other / "x.csv").write_text("beside deep")
    (folder / "link").symlink_to(other / "deep")
    read = reading("link/../x.csv")
    with Plant(folder / "plant") as plant:
        plant.run_reactor(read)
        assert plant.fetch_ingredient("text") == "beside deep"
        (other / "x.csv").write_text("edited")
        assert plant.run_reactor(read).ran


def test_a_link_with_a_new_target_is_another_file(folder):
    (folder / "v1").mkdir()
    (folder / "v2").mkdir()
    (folder / "v1" / "x").write_text("1")
    (folder / "v2" / "x").write_text("2")
    (folder / "data").symlink_to("v1")
    read = reading("data/x")
    assert ran("plant", read)
    (folder / "data").unlink()
    (folder / "data").symlink_to("v2")
    assert ran("plant", read)


@pytest.mark.parametrize("make", [str, Path, os.fsencode])
def test_a_tilde_is_the_home_directory(folder, monkeypatch, make):
    monkeypatch.setenv("HOME", str(folder / "sub"))
    monkeypatch.setenv("USERPROFILE", str(folder / "sub"))

    @ReactorFunc
    def read(pipe):
        given = pipe.input_file(make("~/x.csv"))
        pipe.send("text", [isinstance(given, kind) for kind in (str, Path, bytes)])
        pipe.send("content", Path(os.fsdecode(given)).read_text())

    with Plant("plant") as plant:
        assert plant.get("content") == "in sub"
        assert plant.get("text") == [make is str, make is Path, make is os.fsencode]
    assert recorded("plant") == ["sub/x.csv"]


@pytest.mark.parametrize("path", ["sub/x.csv", Path("sub/x.csv"), b"sub/x.csv"])
def test_any_other_path_is_returned_unchanged(folder, path):
    @ReactorFunc
    def read(pipe):
        pipe.send("same", pipe.input_file(path) is path)

    with Plant("plant") as plant:
        assert plant.get("same")


@pytest.mark.parametrize(
    "path", ["", b"", "a\0b", None, 3, "https://example.org/x.csv", "s3://bucket/x", "file:///etc/hosts"]
)
def test_values_that_are_no_paths_are_refused(folder, path):
    @ReactorFunc
    def read(pipe):
        pipe.input_file(path)

    with Plant("plant") as plant, pytest.raises(IngredientError, match="path of a file"):
        plant.run_reactor(read)


def test_a_file_whose_name_is_no_text_can_be_followed(folder):
    name = b"caf\xe9.csv"
    Path(os.fsdecode(name)).write_text("x")

    @ReactorFunc
    def read(pipe):
        with open(pipe.input_file(name)) as stream:
            pipe.send("text", stream.read())

    assert ran("plant", read)
    assert not ran("plant", read)


class TestNoFileAnyMore:
    """A look-up does not fail if a file is gone or replaced: that is a change like any other."""

    def directory(self, path):
        path.mkdir()

    def pipe(self, path):
        os.mkfifo(path)

    def loop(self, path):
        path.symlink_to(path)

    def missing(self, path):
        pass

    def device(self, path):
        path.symlink_to("/dev/null")

    @pytest.mark.parametrize(
        ("how", "said"),
        [
            ("directory", "is a directory now"),
            ("pipe", "is a pipe or device now"),
            ("device", "is a pipe or device now"),
            ("loop", "cannot be read now"),
            ("missing", "is gone"),
        ],
    )
    @pytest.mark.skipif(os.name != "posix", reason="needs pipes and links")
    def test_a_missing_file_is_a_reason_to_run(self, folder, how, said):
        source = folder / "data"
        source.write_text("one")

        @ReactorFunc
        def read(pipe):
            if source.is_file():
                with open(pipe.input_file(source)) as stream:
                    pipe.send("text", stream.read())
            else:
                pipe.send("text", "none")

        @ReactorFunc
        def other(pipe):
            pipe.send("other", 5)

        with Plant(folder / "plant") as plant:
            plant.add_reactor([read, other])
            assert plant.get("text") == "one"
            source.unlink()
            getattr(self, how)(source)
            assert plant.status()["read"].outcome.name == "STALE"
            assert said in str(plant.explain("read"))
            with pytest.warns(UserWarning, match="text"):
                assert plant.fetch_ingredient("text") == "one"
            plant.graph()
            assert plant.get("text") == "none"
