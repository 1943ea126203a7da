"""Which of several stored executions is used, if they read more or less than each other."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pyplant import Plant, ReactorFunc, SubreactorFunc
from pyplant.reports.report import Outcome

AROUND = {"files": [], "receives": [], "parameters": [], "subreactors": []}
"""State that reactors use without declaring it, such as the files in a folder."""


@ReactorFunc
def one(pipe):
    pipe.send("one", 1)


@ReactorFunc
def two(pipe):
    pipe.send("two", 2)


@SubreactorFunc
def ten(pipe):
    return 10
    yield


@ReactorFunc
def total(pipe, config):
    found = 0
    for path in AROUND["files"]:
        with open(pipe.input_file(path)) as stream:
            found += int(stream.read())
    for name in AROUND["receives"]:
        found += yield pipe.receive(name)
    for name in AROUND["parameters"]:
        found += config[name]
    for name in AROUND["subreactors"]:
        found += yield from globals()[name](pipe)
    pipe.send("total", found)


@ReactorFunc
def report(pipe):
    found = yield pipe.receive("total")
    pipe.send("report", f"total {found}")


@pytest.fixture
def open_plant(tmp_path):
    plants = []

    def opened():
        # Then global variables are not covered.
        plants.append(Plant(tmp_path / "plant", function_hash=lambda function: function.__name__))
        plants[-1].add_reactor([one, two, total, report])
        plants[-1].set_config({"a": 100, "b": 200})
        return plants[-1]

    yield opened
    for plant in plants:
        plant.close()


@pytest.fixture(autouse=True)
def nothing_around():
    yield
    for names in AROUND.values():
        names.clear()


def put(path, text):
    path.write_text(text)
    return str(path)


KINDS = {
    "files": lambda folder: [put(folder / "a.csv", "1"), put(folder / "b.csv", "2")],
    "receives": lambda folder: ["one", "two"],
    "parameters": lambda folder: ["a", "b"],
    "subreactors": lambda folder: ["ten", "ten"],
}


@pytest.mark.filterwarnings("ignore::pyplant.errors.PlantWarning")
@pytest.mark.parametrize("kind", KINDS)
class TestForced:
    def expected(self, kind, names):
        values = {"one": 1, "two": 2, "a": 100, "b": 200, "ten": 10}
        return sum(int(Path(n).read_text()) if kind == "files" else values[n] for n in names)

    def check(self, plant, value):
        assert plant.get("total") == value
        assert plant.get("report") == f"total {value}"
        assert plant.fetch_ingredient("total") == value
        assert plant.status()["total"].outcome is Outcome.CACHED
        assert plant.plan(total).cached[-1:] == ("total",)

    @pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 2), (0, 2), (1, 0), (2, 1), (2, 0)])
    def test_an_execution_that_read_more_or_less_is_served(self, open_plant, tmp_path, kind, before, after):
        names = KINDS[kind](tmp_path)
        plant, other = open_plant(), open_plant()
        AROUND[kind][:] = names[:before]
        value = self.expected(kind, names[:before])
        self.check(plant, value)
        self.check(other, value)
        AROUND[kind][:] = names[:after]
        self.check(plant, value)  # such state is not observed
        assert plant.run_reactor(total, force=True)["total"].outcome is Outcome.RAN
        value = self.expected(kind, names[:after])
        self.check(plant, value)
        self.check(other, value)
        self.check(open_plant(), value)

    def test_alternating_forced_executions_serve_the_last(self, open_plant, tmp_path, kind):
        names = KINDS[kind](tmp_path)
        plant = open_plant()
        for count in (1, 2, 1, 0, 2, 0, 1):
            AROUND[kind][:] = names[:count]
            plant.run_reactor(total, force=True)
            self.check(plant, self.expected(kind, names[:count]))


def test_additional_reads_of_a_forced_execution_are_dependencies(open_plant, tmp_path):
    plant = open_plant()
    AROUND["files"][:] = [put(tmp_path / "a.csv", "1")]
    assert plant.get("report") == "total 1"
    AROUND["files"].append(put(tmp_path / "b.csv", "2"))
    plant.run_reactor(total, force=True)
    put(tmp_path / "b.csv", "5")
    # What it read before the file is unchanged, so the older execution verifies.
    assert plant.get("report") == "total 1"
    put(tmp_path / "b.csv", "2")
    assert plant.get("report") == "total 3"


SCRIPT = """
import glob, sys
from pyplant import *

@ReactorFunc
def load(pipe):
    total = 0
    for name in sorted(glob.glob(sys.argv[2] + "/*.csv")):
        with open(pipe.input_file(name)) as stream:
            total += int(stream.read())
    pipe.send("total", total)

with Plant(sys.argv[1], progress=False, track_reads=False) as plant:
    if "force" in sys.argv:
        plant.run_reactor(load, force=True)
    print(plant.get("total"))
"""


@pytest.mark.slow
def test_another_process_finds_the_forced_execution(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))

    def run(*more):
        command = [sys.executable, tmp_path / "script.py", tmp_path / "plant", tmp_path, *more]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    put(tmp_path / "a.csv", "1")
    assert run() == 1
    put(tmp_path / "b.csv", "2")
    assert run() == 1
    assert run("force") == 3
    assert run() == 3
    (tmp_path / "a.csv").unlink()
    assert run() == 2
