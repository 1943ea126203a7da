"""What is no input although code reads it, each beside a true input that is read in the same way."""

import collections
import glob
import importlib
import os
import pathlib
import string
import subprocess
import sys
import tempfile

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import ConfigError, UnsavedWarning
from pyplant.reads import environment, exclusions, hook, places, recorder

from .plants import dependencies, notes, plant_with, read_text, write


def recorded(plant):
    return [(dependency.kind.value, dependency.names[0]) for dependency in dependencies(plant)]


def own_file():
    write("own.tmp")
    return read_text("own.tmp")


def temporary_file():
    with tempfile.NamedTemporaryFile("w+") as file:
        file.write("1")
        file.seek(0)
        return file.read()


def temporary_folder():
    with tempfile.TemporaryDirectory() as folder:
        write(f"{folder}/a/x")
        return read_text(f"{folder}/a/x"), os.listdir(folder)


def renamed_file():
    write("draft")
    os.replace("draft", "final")
    return read_text("final")


def log_that_is_appended():
    with open("run.log", "a") as file:
        file.write("ran\n")
    return 1


def removed_file():
    write("lock")
    os.remove("lock")
    return os.listdir(".") is not None


def own_folder():
    os.makedirs("out/deep", exist_ok=True)
    write("out/deep/x")
    return os.listdir("out"), [list(files) for _, _, files in os.walk("out")]


def process_information():
    return len(read_text("/proc/self/status")) > 0, os.path.exists(os.devnull)


def data_of_a_package():
    import sklearn.datasets

    return len(sklearn.datasets.load_iris().target)


def import_inside():
    sys.modules.pop("colorsys", None)
    return importlib.import_module("colorsys").__name__


def metadata_of_packages():
    from importlib.metadata import version

    return version("numpy")


def source_of_a_function():
    import inspect

    return len(inspect.getsource(own_file))


@pytest.mark.parametrize(
    "read",
    [
        own_file,
        temporary_file,
        temporary_folder,
        renamed_file,
        log_that_is_appended,
        own_folder,
        process_information,
        data_of_a_package,
        import_inside,
        metadata_of_packages,
        source_of_a_function,
    ],
    ids=lambda function: function.__name__,
)
@pytest.mark.slow
def test_what_is_no_input_is_not_recorded_and_the_file_beside_it_is(read):
    write("beside")
    with plant_with(lambda: (read(), read_text("beside"))[0]) as plant:
        plant.get("value")
        found = recorded(plant)
        assert [name for kind, name in found if kind == "f"] == ["beside"], found
        assert not plant.run_reactor("reads").ran
        write("beside", 2)
        assert plant.run_reactor("reads").ran


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/X11/lib/X11/fonts", True),
        ("/usr/local/share/fonts/a.ttf", True),
        ("/usr/local/share/data", False),
        ("/usr/X11-data/a", False),
    ],
)
def test_folders_of_fonts_are_no_inputs(path, expected):
    assert exclusions.is_excluded(path) is expected


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="has no disk in memory")
def test_a_file_in_shared_memory_counts():
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        write(f"{folder}/data")
        with plant_with(lambda: read_text(f"{folder}/data")) as plant:
            assert plant.get("value") == "1"
            write(f"{folder}/data", 2)
            assert plant.get("value") == "2"


def test_a_cache_in_a_dot_folder_is_no_input_unless_the_user_opens_it(tmp_path, monkeypatch):
    home = tmp_path / "home"
    write(home / ".library" / "cache")
    monkeypatch.setenv("HOME", str(home))
    code = compile(
        f"def load():\n    return open({str(home / '.library/cache')!r}).close()",
        "/x/site-packages/lib.py",
        "exec",
    )
    library = {"__name__": "lib"}
    exec(code, library)
    with plant_with(library["load"]) as plant:
        plant.get("value")
        assert recorded(plant) == []
    with plant_with(lambda: read_text(home / ".library" / "cache")) as plant:
        plant.get("value")
        assert recorded(plant) == [("f", "home/.library/cache")]


def test_a_file_that_is_read_and_then_written_is_state():
    write("counter", 0)

    def read():
        number = int(read_text("counter"))
        write("counter", number + 1)
        return number

    with plant_with(read) as plant:
        assert plant.get("value") == 0
        assert plant.get("value") == 0
        assert "counter is read and written, so it counts as state" in notes(plant)


@pytest.mark.parametrize("pattern", ["*.csv", "**/*.csv", "data/*.csv"])
def test_a_pattern_counts_though_other_files_are_written_beside_what_matches(pattern):
    write("data/one.csv")
    write("one.csv")

    @ReactorFunc
    def reads(pipe):
        pipe.send("many", bytes(10_000))  # in a file of the plant, which lies in this folder
        write("data/log.txt")
        pipe.send("value", len(glob.glob(pattern, recursive=True)))

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(reads)
        before = plant.get("value")
        write("data/two.csv")
        write("two.csv")
        assert plant.get("value") > before


def test_a_pattern_that_matches_what_the_reactor_writes_is_state():
    def fills():
        write(f"data/{len(glob.glob('data/*.csv'))}.csv")
        return 1

    with plant_with(fills) as plant:
        plant.get("value")
        assert plant.run_reactor("reads").ran == ()


def test_a_result_that_is_kept_in_a_file_of_the_user_is_state():
    def read():
        if not os.path.exists("result"):
            write("result", 7)
        return read_text("result")

    with plant_with(read) as plant:
        assert plant.get("value") == "7"
        assert not plant.run_reactor("reads").ran


@pytest.mark.parametrize(
    "change", [lambda: write("data", 22), lambda: os.remove("data")], ids=["edit", "removal"]
)
def test_what_another_process_changes_meanwhile_is_delivered_and_not_stored(change):
    write("data", 1)

    @ReactorFunc
    def reads(pipe):
        value = read_text("data")
        with pipe.untracked():  # as if another process did it
            change()
        pipe.send("value", value)

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(reads)
        with pytest.warns(UnsavedWarning, match=r"data changed while 'reads' read it.*pipe.untracked"):
            assert plant.get("value") == "1"
        write("data", 2)
        assert plant.explain("reads").causes[0].summary == "has no result yet"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_a_pipe_is_named_and_not_compared():
    os.mkfifo("pipe")

    def read():
        descriptor = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(descriptor, 1)
        finally:
            os.close(descriptor)

    with plant_with(read) as plant:
        plant.get("value")
        assert recorded(plant) == [("w", "pipe")]
        assert "reads pipe, which has no fixed content" in notes(plant)
        os.utime("pipe", (10, 10))
        assert not plant.run_reactor("reads").ran
        os.remove("pipe")
        write("pipe")  # a file in its place
        assert plant.get("value") == b"1"


def test_a_large_file_counts_by_size_and_time(monkeypatch):
    monkeypatch.setattr(recorder, "_LARGE", 10)
    write("data", "x" * 20)
    with plant_with(lambda: len(read_text("data"))) as plant:
        assert plant.get("value") == 20
        assert recorded(plant) == [("t", "data")]
        assert "data (20 B) counts by its size and time; declare it with pipe.input_file" in notes(plant)
        write("data", "x" * 21)
        assert plant.get("value") == 21


def test_a_declared_file_is_recorded_once():
    write("data", 1)

    @ReactorFunc
    def reads(pipe):
        path = pathlib.Path(pipe.input_file("data"))
        pipe.send("value", (path.exists(), read_text(path)))

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(reads)
        plant.get("value")
        assert recorded(plant) == [("f", "data")]


def test_a_file_that_two_names_lead_to_is_found_by_each():
    write("data", 1)
    os.symlink("data", "link")
    with plant_with(lambda: read_text("link") + read_text("data")) as plant:
        assert plant.get("value") == "11"
        write("data", 2)
        assert plant.get("value") == "22"


def test_reads_of_a_thread_of_the_reactor_count():
    from concurrent.futures import ThreadPoolExecutor

    write("data", 1)

    def read():
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(read_text, ["data", "data"]))

    with plant_with(read) as plant:
        assert plant.get("value") == ["1", "1"]
        write("data", 2)
        assert plant.get("value") == ["2", "2"]


def test_reads_of_a_pool_without_code_of_the_user_count():
    from concurrent.futures import ThreadPoolExecutor

    write("data", 1)

    def read():
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(pathlib.Path.read_text, [pathlib.Path("data")]))

    with plant_with(read) as plant:
        assert plant.get("value") == ["1"]
        write("data", 2)
        assert plant.get("value") == ["2"]


def test_a_database_that_the_reactor_fills_is_state():
    import sqlite3

    def read():
        with sqlite3.connect("rows.db") as connection:
            connection.execute("create table if not exists t(a)")
            connection.execute("insert into t values(1)")
        connection.close()
        return 1

    with plant_with(read) as plant:
        plant.get("value")
        assert not plant.run_reactor("reads").ran
        assert "rows.db is read and written" in notes(plant)


def test_a_file_that_is_opened_for_both_counts_unless_it_is_written():
    np = pytest.importorskip("numpy")
    np.save("a.npy", np.ones(3))

    def read():
        return float(np.load("a.npy", mmap_mode="r+").sum())

    with plant_with(read) as plant:
        assert plant.get("value") == 3
        np.save("a.npy", np.ones(4))
        assert plant.get("value") == 4


def test_a_file_that_a_started_process_changes_is_state():
    write("data", 1)

    def read():
        value = read_text("data")
        subprocess.run([sys.executable, "-c", "open('data', 'w').write('22')"], check=True)
        return value

    with plant_with(read) as plant:
        assert plant.get("value") == "1"
        assert not plant.run_reactor("reads").ran
        assert "data is read and written" in notes(plant)


def test_a_path_with_two_dots_after_a_link_is_the_one_it_leads_to(tmp_path):
    write("far/away/here", 1)
    write("far/data", "far")
    write("data", "near")
    os.symlink("far/away", "link")
    with plant_with(lambda: read_text("link/../data")) as plant:
        assert plant.get("value") == "far"
        write("far/data", "farther")
        assert plant.get("value") == "farther"


def test_reads_keep_their_place_among_the_other_dependencies():
    write("first", 1)
    write("second", 1)

    @ReactorFunc
    def one(pipe):
        pipe.send("one", 1)

    @ReactorFunc
    def reads(pipe, config):
        read_text("first")
        config["a"]
        yield pipe.receive("one")
        pipe.send("value", read_text("second"))

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(one, reads)
        plant.set_config({"a": 1})
        plant.get("value")
        names = [name for kind, name in recorded(plant) if kind in "fpi" and name != "(kind)"]
        assert names == ["first", "a", "one", "second"]


# ---------------------------------------------------------------------- settings


def test_reads_can_be_named_only_or_ignored():
    write("data", 1)
    for tracking, expected in (("note", "reads data, "), (False, "")):
        with plant_with(lambda: read_text("data"), track_reads=tracking) as plant:
            plant.invalidate("reads")
            assert plant.get("value") == read_text("data")
            before = plant.get("value")
            write("data", f"{tracking}")
            assert plant.get("value") == before
            assert (expected in notes(plant)) if expected else not notes(plant)


def test_a_reactor_may_differ_from_its_plant():
    write("data", 1)

    @ReactorFunc(track_reads=False)
    def reads(pipe):
        pipe.send("value", read_text("data"))

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(reads)
        assert plant.get("value") == "1"
        write("data", 2)
        assert plant.get("value") == "1"


def test_what_is_read_untracked_does_not_count_and_the_rest_does():
    write("banner", 1)
    write("data", 1)

    @ReactorFunc
    def reads(pipe):
        with pipe.untracked():
            read_text("banner")
            with pipe.untracked():
                read_text("banner")
            read_text("banner")
        pipe.send("value", read_text("data"))

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(reads)
        plant.get("value")
        assert recorded(plant) == [("f", "data")]


@pytest.mark.parametrize("wrong", ["notes", 2, None])
def test_another_value_is_refused(wrong):
    with pytest.raises(ConfigError, match="track_reads is"):
        Plant("plant", track_reads=wrong)


def test_a_second_hook_records_nothing_twice():
    write("data", 1)
    before = len(hook._installed)
    hook.install(lambda: None)
    assert len(hook._installed) == max(before, 1)
    with plant_with(lambda: read_text("data")) as plant:
        plant.get("value")
        assert recorded(plant) == [("f", "data")]


def test_nothing_is_recorded_while_no_reactor_runs():
    write("data", 1)
    with plant_with(lambda: 1) as plant:
        plant.get("value")
        read_text("data")
        assert hook._installed[0]() is None
        assert recorded(plant) == []


# ---------------------------------------------------------------------- environment


def test_values_of_variables_are_stored_nowhere(monkeypatch):
    monkeypatch.setenv("READS_WORD", "a very particular word")
    with plant_with(lambda: len(os.environ["READS_WORD"])) as plant:
        plant.get("value")
        assert recorded(plant) == [("e", "READS_WORD")]
        assert "particular" not in str(plant.explain("reads"))
    stored = b"".join(path.read_bytes() for path in pathlib.Path("plant").rglob("*") if path.is_file())
    assert b"READS_WORD" in stored
    assert b"particular" not in stored


def test_a_variable_counts_also_in_code_that_ran_often(monkeypatch):
    def read():
        return os.environ["READS_WORD"]

    monkeypatch.setenv("READS_WORD", "one")
    for _ in range(100):
        read()
    with plant_with(read) as plant:
        assert plant.get("value") == "one"
        monkeypatch.setenv("READS_WORD", "two")
        assert plant.get("value") == "two"


def test_a_secret_counts_by_its_presence(monkeypatch):
    monkeypatch.setenv("READS_API_TOKEN", "one")
    with plant_with(lambda: os.environ.get("READS_API_TOKEN") is not None) as plant:
        assert plant.get("value") is True
        monkeypatch.setenv("READS_API_TOKEN", "two")
        assert not plant.run_reactor("reads").ran
        monkeypatch.delenv("READS_API_TOKEN")
        assert plant.get("value") is False


def test_copies_of_the_environment_and_variables_of_machines_do_not_count(monkeypatch):
    def read():
        copies = [dict(os.environ), {**os.environ, "A": "1"}, os.environ.copy(), list(os.environ.items())]
        return (
            len(copies),
            os.path.expanduser("~") != "",
            os.environ.get("SLURM_JOB_ID"),
            os.environ.get("OMP_NUM_THREADS"),
        )

    with plant_with(read) as plant:
        plant.get("value")
        assert recorded(plant) == []


class _Library:
    """Asks for variables on its own account, or by names that it is given."""

    def __init__(self, folder):
        path = folder / "site-packages" / "settings_of_library.py"
        path.parent.mkdir()
        path.write_text(
            "import os\ndef get(name): return os.environ.get(name)\ndef own(): return get('READS_X')\n"
        )
        (folder / "site-packages" / "settings_of_library-1.dist-info").mkdir()
        self.path = str(path.parent)


NAMED = {
    "copy": lambda: dict(os.environ)["READS_X"],
    "method": lambda: os.environ.copy().get("READS_X"),
    "beginning": lambda: [value for name, value in os.environ.items() if name.startswith("READS_")],
    "format": lambda: "{READS_X}".format_map(os.environ),
    "template": lambda: string.Template("$READS_X").substitute(os.environ),
    "chain": lambda: collections.ChainMap({}, os.environ)["READS_X"],
    "union": lambda: ({} | os.environ)["READS_X"],
    "alias": lambda: _get("READS_X"),
}
_get = os.getenv


@pytest.mark.parametrize("name", NAMED)
def test_a_variable_that_code_names_counts_however_it_is_read(name, monkeypatch):
    monkeypatch.setenv("READS_X", "1")
    with plant_with(NAMED[name]) as plant:
        plant.get("value")
        beginnings = [("e", "READS_*")] if name == "beginning" else []
        assert recorded(plant) == [*beginnings, ("e", "READS_X")]


def test_control_without_names_in_texts_copies_do_not_count(monkeypatch):
    monkeypatch.setenv("READS_X", "1")
    monkeypatch.setattr(environment, "_is_named", lambda *_: False)
    with plant_with(NAMED["copy"]) as plant:
        plant.get("value")
        assert recorded(plant) == []


def test_a_variable_that_a_library_asks_for_counts_if_code_names_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(_Library(tmp_path).path)
    monkeypatch.setenv("READS_X", "1")
    import settings_of_library as library

    with plant_with(lambda: library.get("READS_X")) as plant:
        plant.get("value")
        assert recorded(plant) == [("e", "READS_X")]
    with plant_with(library.own) as plant:
        plant.get("value")
        assert recorded(plant) == []


def test_a_copy_of_the_environment_is_named(monkeypatch):
    monkeypatch.setenv("READS_X", "very secret")
    with plant_with(lambda: len(dict(os.environ))) as plant:
        plant.get("value")
        assert "copies the environment, of which the variables count that the code names" in notes(plant)
        assert "very secret" not in str(plant.explain("reads"))


def test_a_variable_that_the_reactor_sets_does_not_count(monkeypatch):
    monkeypatch.setenv("READS_OWN", "0")

    def read():
        os.environ["READS_OWN"] = "1"
        return os.environ["READS_OWN"]

    with plant_with(read) as plant:
        plant.get("value")
        assert recorded(plant) == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [("MODE", True), ("HOME", False), ("SLURM_NTASKS", False), ("RANK", False), ("DATA_ROOT", True)],
)
def test_which_variables_count(name, expected):
    assert environment.counts(name) is expected


# ---------------------------------------------------------------------- notes


def test_what_cannot_be_compared_is_named_with_its_line():
    import random
    import time

    def read():
        subprocess.run([sys.executable, "-c", ""], check=True)
        return time.time() > 0, random.random() < 2

    with plant_with(read) as plant:
        plant.get("value")
        said = notes(plant)
        assert "starts a process (subprocess: python" in said
        assert "uses the clock (time.time), " in said
        assert "uses randomness without a seed (random.random), " in said
        assert said.count("test_what_counts.py:") == 3


def test_seeded_randomness_is_not_named():
    import random

    def read():
        random.seed(3)
        return random.random()

    with plant_with(read) as plant:
        plant.get("value")
        assert notes(plant) == ""


@pytest.mark.parametrize(
    ("name", "filename", "expected"),
    [
        ("load", "/home/me/features.py", "load (features.py:3)"),
        ("load", "<string>", "load"),
        ("load", "/tmp/ipykernel_12/3456.py", "load (line 3 of its cell)"),
        ("<module>", "/tmp/ipykernel_12/3456.py", "line 3 of its cell"),
        ("<module>", "/home/me/3456.py", "<module> (3456.py:3)"),
    ],
)
def test_places_in_code_are_named_as_people_find_them(name, filename, expected):
    assert places.code_place(name, filename, 3) == expected
