"""Questions about paths that code computes."""

import filecmp
import genericpath
import os
import pathlib
import pickle

import pytest

from pyplant.reads import asked_paths, hook

from .plants import notes, plant_with, write


def added(value):
    pathlib.Path("in/flag").unlink(missing_ok=True)
    if value == 2:
        write("in/flag")


def grown(value):
    write("in/data", "x" * value)


def newer(value):
    for number in (1, 2):
        write(f"in/{number}")
        os.utime(f"in/{number}", (10, 10 + (number == value)))


def linked(value):
    path = pathlib.Path("in/data")
    path.unlink(missing_ok=True)
    write("in/target")
    if value == 2:
        path.symlink_to("target")
    else:
        path.write_text("")


def exists(path):
    return os.path.exists(path)


QUESTIONS = {
    "joined": (added, lambda: 1 + os.path.exists(os.path.join("in", "flag"))),
    "divided": (added, lambda: 1 + (pathlib.Path("in") / "flag").is_file()),
    "in a helper": (added, lambda: 1 + exists("in/flag")),
    "in a loop": (added, lambda: 1 + len([path for path in ("a", "in/flag") if os.path.isfile(path)])),
    "mapped": (added, lambda: 1 + sum(map(os.path.exists, ["a", "in/flag"]))),
    "mapped method": (
        added,
        lambda: 1 + sum(map(pathlib.Path.is_file, [pathlib.Path("in").joinpath("flag")])),
    ),
    "size in a walk": (
        grown,
        lambda: sum(os.path.getsize(f"{top}/{name}") for top, _, names in os.walk("in") for name in names),
    ),
    "size of a path": (grown, lambda: sum(path.stat().st_size for path in pathlib.Path("in").iterdir())),
    "size of an entry": (grown, lambda: sum(entry.stat().st_size for entry in os.scandir("in"))),
    "newest": (newer, lambda: int(os.path.basename(max(["in/1", "in/2"], key=os.path.getmtime)))),
    "kind of an entry": (linked, lambda: 1 + sum(entry.is_symlink() for entry in os.scandir("in"))),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_code_asks_about_computed_paths_counts(name):
    change, read = QUESTIONS[name]
    os.makedirs("in")
    change(1)
    with plant_with(read) as plant:
        assert plant.get("value") == 1
        assert not plant.run_reactor("reads").ran
        change(2)
        assert plant.get("value") == 2


@pytest.mark.parametrize(("name", "part"), [("joined", "_asked"), ("size of an entry", "entries_asked")])
def test_control_without_the_questions_changes_are_missed(name, part, monkeypatch):
    change, read = QUESTIONS[name]
    monkeypatch.setattr(asked_paths, part, lambda *_: None)
    monkeypatch.setattr("pyplant.reads.calls.mention_argument", lambda *_: None)
    os.makedirs("in")
    change(1)
    with plant_with(read) as plant:
        assert plant.get("value") == 1
        change(2)
        assert plant.get("value") == 1


def test_what_libraries_ask_does_not_count():
    write("one")

    def compare():  # asks for sizes and times
        return filecmp.cmp("one", "one", shallow=True)

    with plant_with(compare) as plant:
        plant.get("value")
        assert "size and time" not in str(plant.explain("reads"))


def test_a_file_that_the_reactor_makes_if_it_is_not_there_is_state():
    def read():
        path = os.path.join("in", "cache")
        if not os.path.exists(path):
            write(path, 1)
        return pathlib.Path(path).read_text()

    with plant_with(read) as plant:
        assert plant.get("value") == "1"
        assert not plant.run_reactor("reads").ran


def test_functions_of_the_standard_library_stay_themselves(monkeypatch):
    with plant_with(lambda: 1) as plant:
        plant.get("value")
    assert os.stat.__module__ == "posix"
    for function in (os.stat, os.path.exists, pathlib.Path.stat):
        assert pickle.loads(pickle.dumps(function)) is function
    monkeypatch.setattr(os, "stat", lambda path, **_: pytest.fail(f"asked for {path}"))
    with pytest.raises(pytest.fail.Exception):
        os.path.exists("x")  # a test can replace what is called


def test_a_reloaded_module_watches_once():
    stat = pathlib.Path.stat
    try:
        asked_paths.watch(hook.listening_recorder, hook.report)
        assert not hasattr(pathlib.Path.stat.__wrapped__, "__wrapped__")
        assert genericpath.os.stat is not os.stat
    finally:
        pathlib.Path.stat = stat


def program(value):
    write("program")
    os.chmod("program", 0o755 if value == 2 else 0o644)
    os.utime("program", (10, 10))


@pytest.mark.parametrize(
    "read",
    [
        lambda: 1 + os.access("program", os.X_OK),
        lambda: 1 + bool(os.stat("program").st_mode & 0o100),
        lambda: 1 + bool(pathlib.Path("program").stat().st_mode & 0o100),
    ],
    ids=["access", "stat", "path"],
)
@pytest.mark.skipif(os.name == "nt", reason="files are not executable there")
def test_permissions_count(read):
    program(1)
    with plant_with(read) as plant:
        assert plant.get("value") == 1
        assert not plant.run_reactor("reads").ran
        program(2)
        assert plant.get("value") == 2


def test_the_time_of_a_file_is_no_permission():
    program(1)
    with plant_with(lambda: os.access("program", os.R_OK)) as plant:
        assert plant.get("value")
        write("program", 2)
        assert not plant.run_reactor("reads").ran


def test_hard_links_are_named():
    write("one")
    os.link("one", "other")
    with plant_with(lambda: os.path.samefile("one", "other")) as plant:
        assert plant.get("value")
        assert "compares files (samefile), of which symbolic links count" in notes(plant)


def test_entries_beyond_the_first_are_named(monkeypatch):
    monkeypatch.setattr(asked_paths, "_MAX_ENTRIES", 2)
    for number in range(3):
        write(f"in/{number}")
    with plant_with(lambda: sum(entry.stat().st_size for entry in os.scandir("in"))) as plant:
        plant.get("value")
        assert "asks entries of in, of which the first 2 count" in notes(plant)
    monkeypatch.setattr(asked_paths, "_MAX_ENTRIES", 3)
    with plant_with(lambda: sum(entry.stat().st_size for entry in os.scandir("in")) + 1) as plant:
        plant.get("value")
        assert "asks entries" not in notes(plant)
