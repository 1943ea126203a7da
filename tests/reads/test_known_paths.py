"""Files that are opened in C, by paths that no event and no text of the call tells."""

import contextlib
import json
import os
import pathlib
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest

from pyplant import Plant, ReactorFunc
from pyplant.reads import known_paths

h5py = pytest.importorskip("h5py")
with contextlib.suppress(ImportError):
    from safetensors import safe_open


def write(value, path="data/one.h5"):
    with h5py.File(path, "w") as stream:
        stream["value"] = value


def load(path):
    with h5py.File(path) as stream:
        return int(stream["value"][()])


def load_named(**options):
    with h5py.File(**options) as stream:
        return int(stream["value"][()])


class Source:
    def __init__(self, path):
        self.path = path

    def load(self):
        return load(self.path)


SOURCE = Source("data/one.h5")
PATHS = {"train": pathlib.Path("data/one.h5")}
FOLDER = pathlib.Path("data")


def from_a_caller(pipe):
    pipe.send("value", load("data/one.h5"))


def by_keyword(pipe):
    pipe.send("value", load_named(name="data/one.h5", mode="r"))


def from_the_configuration(pipe, config):
    pipe.send("value", load(config["path"]))


def from_an_object(pipe):
    pipe.send("value", SOURCE.load())


def from_a_table_of_paths(pipe):
    pipe.send("value", load(PATHS["train"]))


def from_a_folder_and_a_name(pipe):
    pipe.send("value", load(FOLDER / "one.h5"))


def from_a_formatted_text(pipe):
    pipe.send("value", load(f"data/{'one'}.h5"))


def from_an_ingredient(pipe):
    paths = yield pipe.receive("paths")
    pipe.send("value", load(paths[0]))


def from_a_listing(pipe):
    pipe.send("value", max(load(path) for path in pathlib.Path("data").iterdir()))


def in_a_thread(pipe):
    with ThreadPoolExecutor(1) as pool:
        pipe.send("value", next(pool.map(load, [str(PATHS["train"])])))


def paths(pipe):
    pipe.send("paths", ["data/one.h5"])


WAYS = [
    *(from_a_caller, by_keyword, from_the_configuration, from_an_object, from_a_table_of_paths),
    *(from_a_folder_and_a_name, from_a_formatted_text, from_an_ingredient, from_a_listing, in_a_thread),
]


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("data").mkdir()
    write(1)


def opened(way):
    plant = Plant("plant", progress=False)
    plant.add_reactor([ReactorFunc(way, name="reads"), ReactorFunc(paths)])
    plant.set_config({"path": "data/one.h5"})
    return plant


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_file_counts(way):
    with opened(way) as plant:
        assert plant.get("value") == 1
        assert plant.run_reactor("reads").ran == ()
        write(2)
        assert plant.get("value") == 2


def test_it_is_said_that_the_read_is_only_possible(caplog):
    with opened(from_an_object) as plant:
        plant.get("value")
        assert "data/one.h5" in str(plant.explain("reads"))
        assert known_paths.PERHAPS.strip(", ") in str(plant.explain("reads"))
    assert caplog.records == []


def test_nothing_more_counts_if_no_code_opens_files_in_c():
    def reads(pipe, config):
        pipe.send("value", len(config["path"]))

    with opened(reads) as plant:
        plant.get("value")
        write(2)
        assert plant.run_reactor("reads").ran == ()


def test_what_the_reactor_writes_itself_is_state():
    def reads(pipe, config):
        write(3, config["path"])
        pipe.send("value", load(config["path"]))

    with opened(reads) as plant:
        plant.get("value")
        assert plant.run_reactor("reads").ran == ()
        write(4)
        assert plant.run_reactor("reads").ran == ()


def test_looking_for_files_is_bounded(monkeypatch):
    monkeypatch.setattr(known_paths, "_MAX_LOOKS", 3)
    asked = []
    monkeypatch.setattr(known_paths.os.path, "isfile", asked.append)
    learner = known_paths.KnownPaths(None, from_a_caller)
    learner.add([f"file{number}.h5" for number in range(100)])
    assert len(asked) == 3


def from_a_list_of_files(pipe):
    with open("files.json") as stream:
        pipe.send("value", load(json.load(stream)["files"][0]))


def from_a_folder_in_a_file(pipe):
    folder, name = pathlib.Path("settings.yaml").read_text().split()[1::2]
    pipe.send("value", load(f"{folder}/{name}.h5"))


def from_a_variable(pipe):
    pipe.send("value", load(os.environ["KNOWN_FOLDER"] + "/one.h5"))


@pytest.mark.parametrize(
    "way", [from_a_list_of_files, from_a_folder_in_a_file, from_a_variable], ids=lambda way: way.__name__
)
def test_a_path_that_a_file_or_a_variable_tells_counts(way, monkeypatch):
    pathlib.Path("files.json").write_text('{"files": ["data/one.h5"]}')
    pathlib.Path("settings.yaml").write_text("folder: data\nname: one\n")
    monkeypatch.setenv("KNOWN_FOLDER", "data")
    test_the_file_counts(way)


def test_control_without_the_content_of_files_a_change_is_missed(monkeypatch):
    monkeypatch.setattr(known_paths.KnownPaths, "_add_file", lambda *_: None)
    pathlib.Path("files.json").write_text('{"files": ["data/one.h5"]}')
    with opened(from_a_list_of_files) as plant:
        assert plant.get("value") == 1
        write(2)
        assert plant.get("value") == 1


def test_a_statement_of_sql_that_a_helper_gets_names_its_files():
    duckdb = pytest.importorskip("duckdb")

    def run(statement):
        return duckdb.sql(statement).fetchall()[0][0]

    def reads(pipe):
        pipe.send("value", run(pathlib.Path("sum.sql").read_text()))

    pathlib.Path("sum.sql").write_text("select sum(a)\nfrom 'data/a.csv'\n")
    pathlib.Path("data/a.csv").write_text("a\n1\n")
    with opened(reads) as plant:
        assert plant.get("value") == 1
        pathlib.Path("data/a.csv").write_text("a\n2\n")
        assert plant.get("value") == 2


def test_searching_files_for_paths_is_bounded(monkeypatch):
    monkeypatch.setattr(known_paths, "_MAX_LOOKS", 10)
    pathlib.Path("many.txt").write_text("".join(f"file{number}.h5\n" for number in range(100)))
    asked = []
    learner = known_paths.KnownPaths(None, from_a_caller)
    monkeypatch.setattr(known_paths.KnownPaths, "_mention", lambda self, path: asked.append(path))
    monkeypatch.setattr(known_paths.KnownPaths, "_may_look", lambda self: False)
    learner._looks = 6
    learner._add_file("many.txt")
    assert asked == []
    learner._looks = 0
    learner._add_file("many.txt")
    assert len(asked) == 100


def test_a_class_that_claims_to_be_a_builtin_belongs_to_its_library():
    safetensors = pytest.importorskip("safetensors.numpy")
    save = safetensors.save_file

    def reads(pipe):
        with safe_open("data/one.st", "numpy") as stream:
            pipe.send("value", int(stream.get_tensor("a")[0]))

    save({"a": numpy.array([1])}, "data/one.st")
    with opened(reads) as plant:
        assert plant.get("value") == 1
        save({"a": numpy.array([2])}, "data/one.st")
        assert plant.get("value") == 2
