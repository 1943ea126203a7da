"""One edit, a new process, and another run: exactly the affected reactors rerun.

Every row is run as it was, edited, and as it was again, each time in a new process. After
an edit that matters the reactor runs and its value is that of an empty plant; after one that
does not, and when going back, nothing runs. The rows are those of
the comparison with other libraries, and what else Python has to offer.

The rows have plants of their own, so each of those processes serves all rows; a test
below shows that a process of one's own makes no difference.
"""

import shutil
import textwrap

import pytest

from tests.conformance.helpers import run_batch, write_files
from tests.conformance.project import DO_NOT_MATTER, FILES, MATTER
from tests.laws.executors import POOLS

EDITS = {**MATTER, **DO_NOT_MATTER}


def edited(edit):
    """The files of the project after an edit."""
    name, old, new = edit
    assert old in FILES[name], f"{old!r} is not in {name}"
    text = FILES[name].replace(old, new) if old else FILES[name]
    if "def labour(" in new:
        text = text.replace('run_reactor("work")', 'run_reactor("labour")')
    return {**FILES, name: text}


def parsed(outputs):
    return [tuple(output.splitlines()) for output in outputs]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The project with its plant after a first run, and what it sent."""
    folder = tmp_path_factory.mktemp("edits") / "base"
    write_files(folder, FILES)
    (output,) = run_batch([(folder, "pipeline.py")])
    assert output.startswith("work\n"), output
    return folder, output.splitlines()[1]


@pytest.fixture(scope="module")
def rows(base):
    """For every row what ran and what was sent: edited, in an empty plant, reverted."""
    folders = {row: base[0].with_name(f"row-{number}") for number, row in enumerate(EDITS)}
    fresh = {row: base[0].with_name(f"fresh-{number}") for number, row in enumerate(EDITS)}
    for row in EDITS:
        shutil.copytree(base[0], folders[row])

    def run(directories, files):
        for row, folder in directories.items():
            write_files(folder, files(row))
        return parsed(run_batch([(folder, "pipeline.py") for folder in directories.values()]))

    columns = [
        run(folders, lambda row: edited(EDITS[row])),
        run(fresh, lambda row: edited(EDITS[row])),
        run(folders, lambda row: FILES),
    ]
    return dict(zip(EDITS, zip(*columns, strict=True), strict=True))


@pytest.mark.parametrize("row", MATTER)
def test_an_edit_reruns_and_going_back_does_not(row, rows, base):
    now, empty, back = rows[row]
    assert now == ("work", empty[1])
    assert now[1] != base[1], "the row is no edit that matters"
    assert back == ("nothing", base[1])


@pytest.mark.parametrize("row", DO_NOT_MATTER)
def test_an_edit_without_effect_runs_nothing(row, rows, base):
    now, empty, back = rows[row]
    assert empty[1] == base[1], "the row is an edit that matters"
    assert now == back == ("nothing", base[1])


@pytest.mark.parametrize(
    "executor",
    [name if name == "processes" else pytest.param(name, marks=pytest.mark.nightly) for name in POOLS],
)
def test_reruns_and_results_are_the_same_in_parallel(executor, rows, base, tmp_path):
    """All rows use the same workers, which have imported the modules of the rows before."""
    folders = {row: tmp_path / f"row-{number}" for number, row in enumerate(EDITS)}
    for row, folder in folders.items():
        shutil.copytree(base[0], folder)
        write_files(folder, edited(EDITS[row]))
    outputs = parsed(run_batch([(folder, "pipeline.py") for folder in folders.values()], executor=executor))
    assert dict(zip(EDITS, outputs, strict=True)) == {row: now for row, (now, *_) in rows.items()}


def test_a_separate_process_makes_no_difference(base, run_script, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(base[0], folder)
    script = (folder / "pipeline.py").read_text()

    def run(text):
        process = run_script(text, name="project/pipeline.py", env={"PYTHONHASHSEED": "5"})
        return tuple(process.stdout.splitlines())

    shutil.move(folder / "plant", tmp_path / "plant")  # run_script runs in the folder above
    assert run(script) == ("nothing", base[1])
    ran, value = run(script.replace("middle(x) + 1", "middle(x) + 2"))
    assert ran == "work"
    assert value != base[1]
    assert run(script) == ("nothing", base[1])


# ---------------------------------------------------------------------- moves and renames


def moved_folder(base, tmp_path):
    folder = tmp_path / "elsewhere" / "deeper"
    shutil.copytree(base[0], folder)
    return folder, "pipeline.py"


def renamed_file(base, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(base[0], folder)
    (folder / "pipeline.py").rename(folder / "renamed.py")
    return folder, "renamed.py"


def imported_module(base, tmp_path):
    """The pipeline as a module, with a script that imports it."""
    folder = tmp_path / "project"
    shutil.copytree(base[0], folder)
    text = (folder / "pipeline.py").read_text()
    definitions, _, main = text.partition('if __name__ == "__main__":\n')
    (folder / "pipeline.py").write_text(definitions)
    (folder / "main.py").write_text("from pyplant import *\nimport pipeline\n\n" + textwrap.dedent(main))
    return folder, "main.py"


def windows_line_ends(base, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(base[0], folder)
    for path in folder.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    return folder, "pipeline.py"


def tabs(base, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(base[0], folder)
    for path in folder.rglob("*.py"):
        path.write_text(path.read_text().replace("    ", "\t"))
    return folder, "pipeline.py"


def helper_moved_to_another_module(base, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(base[0], folder)
    text = (folder / "pipeline.py").read_text()
    helper = "def middle(x):\n    return x * 2  # a comment\n"
    assert helper in text
    (folder / "pipeline.py").write_text(text.replace(helper, "from moved import middle\n"))
    (folder / "moved.py").write_text(helper)
    return folder, "pipeline.py"


MOVES = [
    moved_folder,
    renamed_file,
    imported_module,
    windows_line_ends,
    tabs,
    helper_moved_to_another_module,
]


@pytest.mark.parametrize("move", MOVES, ids=lambda f: f.__name__)
def test_the_position_of_code_does_not_count(move, base, tmp_path):
    folder, script = move(base, tmp_path)
    assert parsed(run_batch([(folder, script)])) == [("nothing", base[1])]


# ---------------------------------------------------------------------- chains of reactors

CHAIN = """
    from pyplant import *

    @ReactorFunc
    def source(pipe, config):
        pipe.send("source", compute(config.start))

    def compute(start):
        return start * 2

    @ReactorFunc
    def middle(pipe):
        pipe.send("middle", (yield pipe.receive("source")) % 10)

    @ReactorFunc
    def target(pipe):
        pipe.send("target", (yield pipe.receive("middle")) + 100)

    with Plant("plant") as plant:
        plant.set_config({"start": 3})
        print(",".join(plant.run_reactor("target").ran) or "nothing", plant.get("target"))
"""


def test_an_edit_reruns_what_it_reaches_and_stops_where_values_are_equal(tmp_path):
    def run(source):
        write_files(tmp_path, {"chain.py": source})
        return run_batch([(tmp_path, "chain.py")])[0].strip()

    assert run(CHAIN) == "source,middle,target 106"
    assert run(CHAIN.replace("start * 2", "start * 3")) == "source,middle,target 109"
    assert run(CHAIN) == "nothing 106"
    assert run(CHAIN.replace("start * 2", "2 * start")) == "source 106"
    assert run(CHAIN.replace("start * 2", "start * 2 + 10")) == "source,middle 106"
    assert run(CHAIN.replace("+ 100", "+ 200")) == "target 206"
    assert run(CHAIN.replace('"start": 3', '"start": 8')) == "source 106"
    assert run(CHAIN) == "nothing 106"


# ---------------------------------------------------------------------- factories

FACTORY = """
    from pyplant import *
    from pyplant.events import ReactorStarted

    def make(name, factor, offset=0):
        @ReactorFunc(name=name)
        def reactor(pipe):
            pipe.send(name, 10 * factor + offset)
        return reactor

    twenty = make("twenty", 2)
    thirty = make("thirty", 3)
    started = []

    with Plant("plant") as plant:
        plant.add_event_listener(lambda e: started.append(e.reactor) if isinstance(e, ReactorStarted) else None)
        print(plant.get("twenty", "thirty"), started)
"""


def test_two_functions_of_one_factory_have_results_of_their_own(tmp_path):
    def run(text):
        write_files(tmp_path, {"factory.py": text})
        return run_batch([(tmp_path, "factory.py")])[0].strip()

    assert run(FACTORY) == "(20, 30) ['twenty', 'thirty']"
    assert run(FACTORY) == "(20, 30) []"
    assert run(FACTORY.replace('"thirty", 3', '"thirty", 4')) == "(20, 40) ['thirty']"
    assert run(FACTORY.replace('"thirty", 3', '"thirty", 3, 5')) == "(20, 35) ['thirty']"
    assert run(FACTORY.replace("10 * factor", "11 * factor")) == "(22, 33) ['twenty', 'thirty']"
    assert run(FACTORY) == "(20, 30) []"
