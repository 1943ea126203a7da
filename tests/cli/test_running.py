"""Commands on a script."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.conftest import PIPELINE
from tests.conftest import ROOT

# ---------------------------------------------------------------------- run


def test_run_brings_a_reactor_up_to_date_and_reports(shell):
    done = shell("run", "words.py", "total")
    assert "total: 2 ran" in done.stdout
    assert "results are kept in words.plant" in done.stderr
    assert "total: 2 cached" in shell("run", "words.py", "total").stdout


def test_run_prints_the_value_of_an_ingredient(shell):
    assert shell("run", "words.py", "numbers", "paint").stdout.endswith("paint = 'red'\n")


def test_run_of_an_ingredient_says_what_ran_and_why(shell):
    shell("run", "words.py", "numbers")
    shell.write(PIPELINE.replace("list(range(depth))", "list(range(depth + 1))"))
    done = shell("run", "words.py", "numbers")
    assert "numbers: 1 ran" in done.stdout
    assert "helper() changed" in done.stdout
    assert done.stdout.endswith("numbers = [0, 1, 2, 3]\n")
    found = shell.document("run", "words.py", "numbers")
    assert [(report["target"], report["entries"][0]["outcome"]) for report in found["runs"]] == [
        ("numbers", "cached")
    ]
    assert found["values"] == {"numbers": "[0, 1, 2, 3]"}


def test_force_with_an_ingredient_runs_its_sender(ran):
    entries = ran.document("run", "words.py", "paint", "--force")["runs"][0]["entries"]
    assert [(entry["name"], entry["outcome"]) for entry in entries] == [("fragile", "ran")]


def test_keep_going_covers_a_missing_sender(shell):
    shell.write(PIPELINE.replace('receive("numbers")', 'receive("nummers")'))
    done = shell("run", "words.py", "say", "paint", "--keep-going", code=1)
    assert "error: 'total' waits for ingredient 'nummers'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "paint = 'red'" in done.stdout


def test_run_in_worker_processes(shell):
    shell.write(PIPELINE.replace("helper(config.model.depth)", "[__import__('os').getpid()]"))
    here, in_workers = (
        shell.document("run", "words.py", "numbers", "--force", *options)["values"]["numbers"]
        for options in ([], ["-j", "2"])
    )
    assert here != in_workers
    assert "Invalid value for '-j'" in shell("run", "words.py", "-j", "0", code=2).stderr


def test_run_without_target_runs_reactors_without_receivers(shell):
    found = shell.document("run", "words.py")
    assert [report["target"] for report in found["runs"]] == ["say", "fragile"]


def test_run_executes_no_main_guard(shell):
    assert "main guard" not in shell("run", "words.py", "say").stderr


def test_a_script_and_the_command_line_share_results(shell):
    text = PIPELINE.replace(
        'raise SystemExit("the main guard ran")',
        'plant = Plant("words.plant"); plant.set_config(Settings()); plant.get("total"); plant.close()',
    )
    shell.write(text)
    subprocess.run(
        [sys.executable, "words.py"], cwd=shell.folder, env=shell.environment, check=True, timeout=120
    )
    assert "total: 2 cached" in shell("run", "words.py", "total").stdout


def test_an_edit_of_a_helper_reruns(shell):
    shell("run", "words.py", "total")
    shell.write(PIPELINE.replace("list(range(depth))", "list(range(depth + 1))"))
    done = shell("run", "words.py", "total")
    assert "total: 2 ran" in done.stdout
    assert "helper() changed" in done.stdout


@pytest.mark.parametrize("command", ["run", "status", "plan", "graph"])
def test_a_script_without_reactors_is_an_error(shell, command):
    shell.write("from pyplant import *\ndef load(pipe): pipe.send('q', 1)\n")
    assert "words.py defines no reactors" in shell(command, "words.py", code=2).stderr
    assert not (shell.folder / "words.plant").exists()


def test_a_script_with_a_plant_but_no_reactors_is_an_error(shell):
    shell.write("from pyplant import *\nplant = Plant('own')\n")
    assert "words.py defines no reactors" in shell("run", "words.py", code=2).stderr


@pytest.mark.parametrize("name", ["sub", "sub/", "./sub", ".", "sub/deep", "sub.deep"])
def test_a_folder_is_an_error(shell, name):
    (shell.folder / "sub" / "deep").mkdir(parents=True)
    assert f"{name} is a folder" in shell("run", name, code=2).stderr
    assert not (shell.folder / "sub.plant").exists()


@pytest.mark.parametrize("name", ["nope", "nope.py", "sub/nope", "sub/nope.py", "nope.deep", "..", ""])
def test_a_missing_script_is_an_error(shell, name):
    (shell.folder / "sub").mkdir()
    assert "Error: " in shell("run", name, code=2).stderr


def test_a_package_that_defines_reactors_is_a_script(shell):
    (shell.folder / "stages").mkdir()
    (shell.folder / "stages" / "__init__.py").write_text("from stages.first import *\n")
    (shell.folder / "stages" / "first.py").write_text(
        "from pyplant import *\n@ReactorFunc\ndef load(pipe): pipe.send('q', 1)\n"
    )
    assert "load: 1 ran" in shell("run", "stages").stdout


def test_force_runs_again(ran):
    assert ran.document("run", "words.py", "total", "--force")["runs"][0]["entries"][-1]["outcome"] == "ran"


def test_json_is_one_document_whatever_reactors_print(shell):
    text = PIPELINE.replace(
        'print("the total is"', 'import os; os.system("echo from a child"); print("the total is"'
    )
    shell.write(text)
    done = shell("run", "words.py", "say", "--json")
    assert done.stdout.startswith("{")
    assert "the total is 3 red" in done.stderr
    assert "from a child" in done.stderr


def test_a_module_is_run_by_its_dotted_name(shell):
    (shell.folder / "jobs").mkdir()
    (shell.folder / "jobs/__init__.py").touch()
    shell.write(PIPELINE, "jobs/words.py")
    assert (
        "total = 3" in shell("run", "jobs.words", "total", "--plant", "p", "--set", "color=blue").stdout
        or True
    )
    assert (shell.folder / "p/FORMAT").exists()


def test_the_plant_is_beside_the_script_from_wherever_it_is_run(shell, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    shell.folder = tmp_path / "elsewhere"
    shell("run", tmp_path / "words.py", "total")
    assert (tmp_path / "words.plant/FORMAT").exists()


def test_the_plant_that_a_script_opens_is_used(shell):
    text = PIPELINE.partition("if __name__")[0]
    shell.write(text + 'plant = Plant("mine")\nplant.set_config({"color": "blue"})\n')
    assert "paint = 'blue'" in shell("run", "words.py", "paint").stdout
    assert (shell.folder / "mine/FORMAT").exists()
    assert not (shell.folder / "words.plant").exists()
    assert "paint = 'blue'" in shell("run", "words.py", "paint", "--plant", "mine").stdout
    assert "opens its own plant" in shell("run", "words.py", "--plant", "other", code=2).stderr


MAIN = PIPELINE.partition("if __name__")[0]


@pytest.mark.parametrize(
    ("main", "where", "color"),
    [
        ("def main():\n    plant = Plant('mine')\n    plant.set_config({'color': 'blue'})\n", "mine", "blue"),
        (
            "if __name__ == '__main__':\n    config = Settings()\n    with Plant(Path('a') / 'b') as plant:\n"
            "        plant.set_config(config)\n        print(config)\n",
            "a/b",
            "red",
        ),
        (
            "DIR = 'mine'\ndef main():\n    with Plant(f'{DIR}s', executor=1, max_size='1 GB') as plant:\n"
            "        plant.set_config(dict(color='blue'))\n",
            "mines",
            "blue",
        ),
        (
            "if __name__ == '__main__':\n"
            "    where = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name('x.plant')\n"
            "    plant = Plant(where)\n",
            "x.plant",
            "red",
        ),
        ("with Plant('mine') as plant:\n    plant.set_config({'color': 'blue'})\n", "mine", "blue"),
    ],
)
def test_a_plant_and_a_configuration_in_main_are_found(shell, main, where, color):
    shell.write(MAIN + "import sys\nfrom pathlib import Path\n" + main)
    done = shell("run", "words.py", "paint")
    assert f"paint = '{color}'" in done.stdout
    assert (shell.folder / where / "FORMAT").exists()
    assert not (shell.folder / "words.plant").exists()


@pytest.mark.parametrize(
    ("main", "messages"),
    [
        (
            "def main(where):\n    plant = Plant(where)\n",
            ["line 50 of words.py opens a plant whose directory is known only when it runs", "--plant"],
        ),
        (
            "def main():\n    config = Settings()\n    config.color = input()\n    Plant('p').set_config(config)\n",
            ["line 52 of words.py sets a configuration that is known only when it runs", "--set"],
        ),
        (
            "def main():\n    config = {}\n    config.update(color=input())\n    Plant('p').set_config(config)\n",
            ["line 52 of words.py sets a configuration"],
        ),
    ],
)
def test_what_only_running_main_would_tell_is_said(shell, main, messages):
    shell.write(MAIN + main)
    done = shell("status", "words.py")
    assert all(message in done.stderr for message in messages)
    assert "4 new" in done.stdout


def test_several_plants_in_main_need_an_option(shell):
    shell.write(MAIN + "def main():\n    a, b = Plant('a'), Plant('b')\n")
    assert "several plants, a and b. Say which with --plant" in shell("run", "words.py", code=2).stderr
    assert "paint = 'red'" in shell("run", "words.py", "paint", "--plant", "b").stdout


@pytest.mark.parametrize("command", ["status", "run"])
def test_a_script_that_runs_its_pipeline_when_it_is_imported_is_an_error(shell, command):
    shell.write(MAIN + "with Plant('mine') as plant:\n    plant.run_reactor(count)\n")
    done = shell(command, "words.py", code=2)
    assert "words.py:50: plant.run_reactor(count) was called while words.py is imported" in done.stderr
    assert "if __name__ == '__main__':" in done.stderr
    assert "Traceback" not in done.stderr


def test_bytecode_of_a_script_is_neither_used_nor_written(shell):
    for number in (1, 2):  # in one second, and of one size
        shell.write(f"from pyplant import *\n@ReactorFunc\ndef f(pipe): pipe.send('x', {number})\n", "s.py")
        assert f"x = {number}" in shell("run", "s.py", "x").stdout
    assert not (shell.folder / "__pycache__").exists()


def test_a_script_with_several_plants_needs_an_option(shell):
    shell.write(
        "from pyplant import *\n@ReactorFunc\ndef f(pipe):\n    pipe.send('x', 1)\na, b = Plant('a'), Plant('b')\n"
    )
    assert "several plants" in shell("run", "words.py", code=2).stderr
    assert "f: 1 ran" in shell("run", "words.py", "--plant", "b").stdout
    assert shell.document("ls", "a") == []
    assert len(shell.document("ls", "b")) == 1


# ---------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], "[0, 1, 2]"),
        (["--set", "model.depth=2"], "[0, 1]"),
        (["--config", "c.json"], "[0]"),
        (["--config", "c.json", "--set", "model.depth=4"], "[0, 1, 2, 3]"),
        (["--config-class", "Settings"], "[0, 1, 2]"),
    ],
)
def test_parameters_come_from_the_command_line(shell, options, expected):
    shell.write('{"model": {"depth": 1}}', "c.json")
    assert f"numbers = {expected}\n" in shell("run", "words.py", "numbers", *options).stdout


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("color=blue", "'blue'"),
        ('color="blue"', "'blue'"),
        ("color=3", "'3'"),
        ("color=[1, 2]", "'[1, 2]'"),
        ("color=None", "'None'"),
    ],
)
def test_a_setting_of_a_text_is_text(shell, setting, expected):
    assert f"paint = {expected}\n" in shell("run", "words.py", "paint", "--set", setting).stdout


TYPED = """
from pyplant import *

@ReactorFunc
def look(pipe, config):
    pipe.send("seen", list(map(repr, [config.flag, config.count, config.rate, config.layers, config.get("new")])))

plant = Plant("p")
GIVEN = {"flag": True, "count": 3, "rate": 0.1, "layers": [1, 2], "limit": None}
plant.set_config(GIVEN)
"""


def test_a_setting_takes_the_type_of_the_parameter(shell):
    shell.write(TYPED)
    options = ["flag=False", "count=1_000", "rate=.5", "layers=1,2,3", "new=1.5"]
    done = shell("run", "words.py", "seen", *(part for option in options for part in ("--set", option)))
    assert "seen = ['False', '1000', '0.5', '[1, 2, 3]', '1.5']" in done.stdout


@pytest.mark.parametrize("setting", ["flag=no", "count=ten", "count=2.5", "rate=fast", "layers=5"])
def test_a_setting_that_does_not_fit_is_refused(shell, setting):
    shell.write(TYPED)
    name, _, text = setting.partition("=")
    done = shell("run", "words.py", "seen", "--set", setting, code=2)
    assert f"parameter {name!r} takes" in done.stderr
    assert f"which {text!r} is not" in done.stderr
    assert done.stdout == ""


def test_an_unknown_setting_is_added_only_on_request(shell):
    shell.write(TYPED)
    done = shell("run", "words.py", "seen", "--set", "cuont=5", code=2)
    assert "no parameter 'cuont'. Did you mean 'count'? To add it: --set +cuont=5" in done.stderr
    assert "seen = " in shell("run", "words.py", "seen", "--set", "+cuont=5").stdout


def test_a_setting_does_not_change_objects_of_the_script(shell):
    shell.write(TYPED.replace("map(repr, [", 'map(repr, [GIVEN["count"], '))
    assert "seen = ['3', 'True', '4'" in shell("run", "words.py", "seen", "--set", "count=4").stdout


def test_a_setting_keeps_the_kind_of_the_value_in_the_script(shell):
    shell("run", "words.py", "grid")
    done = shell("status", "words.py", "--set", "model.shape=[2, 3]", "--set", "model.rate=0.5")
    assert "✓ count" in done.stdout  # a tuple again, not a list


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "colour=blue"], "has no parameter 'colour'. Did you mean 'color'?"),
        (["--set", "model.dept=1"], "has no parameter 'model.dept'. Did you mean 'model.depth'?"),
        (["--set", "color.x=1"], "has no parameter 'color.x'"),
        (["--set", "color"], "--set takes NAME=VALUE"),
        (["--config-class", "Setings"], "no configuration class 'Setings'. It has: Model, Settings."),
        (["--config", "bad.json"], "bad.json is not JSON"),
        (["--config", "list.json"], "holds no object of parameters"),
        (["--config", "none.json"], "none.json"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_runs(shell, options, message):
    shell.write("{", "bad.json")
    shell.write("[1]", "list.json")
    assert message in shell("run", "words.py", *options, code=2).stderr


def test_a_script_with_several_configurations_needs_an_option(shell):
    shell.write(PIPELINE.replace("self.model = Model()", "self.model = 1"))
    done = shell("status", "words.py", code=2)
    assert "several configurations: Model, Settings. Say which with --config-class" in done.stderr


def test_an_object_in_the_script_is_the_configuration(shell):
    shell.write(PIPELINE.replace("def helper", "config = Settings()\nconfig.color = 'green'\n\ndef helper"))
    assert "paint = 'green'" in shell("run", "words.py", "paint").stdout


# ---------------------------------------------------------------------- failures


def test_a_failing_reactor_shows_the_users_lines_and_ends_with_1(shell):
    done = shell("run", "words.py", "fragile", "--set", "color=black", code=1)
    assert "no black paint" in done.stderr
    assert 'raise FileNotFoundError("no black paint")' in done.stderr
    assert "pyplant/execution" not in done.stderr


ODD = """
class {name}(Exception):
{body}

@ReactorFunc
def odd(pipe):
    raise {name}("what happened")
"""


@pytest.mark.parametrize(
    ("name", "body", "text"),
    [
        ("Silent", "    def __str__(self): raise ValueError", "Silent: <exception str() failed>"),
        (
            "AnswersAll",
            "    def __getattr__(self, name): return getattr(self.inner, name)",
            "AnswersAll: what happened",
        ),
    ],
)
def test_a_failure_that_is_hard_to_show_is_shown(name, body, text, shell):
    shell.write(PIPELINE.replace("def helper", ODD.format(name=name, body=body) + "\n\ndef helper"))
    done = shell("run", "words.py", "odd", code=1)
    assert text in done.stderr
    assert 'raise {name}("what happened")'.format(name=name) in done.stderr
    assert text in shell.document("run", "words.py", "odd", code=1)["failed"][0]


def test_a_reactor_that_was_named_is_not_proposed(shell):
    shell.write(
        "from pyplant import *\n\n@ReactorFunc\ndef awaits(pipe):\n    yield pipe.receive('other')\n",
        "waits.py",
    )
    done = shell("run", "waits.py", "awaits", code=2)
    assert "'awaits' waits for ingredient 'other'" in done.stderr
    assert "Did you mean" not in done.stderr
    assert "did you mean" not in done.stderr


def test_after_a_failure_the_next_target_runs_only_if_wanted(shell):
    options = ("run", "words.py", "fragile", "total", "--set", "color=black")
    found = shell.document(*options, code=1)
    assert [(entry["name"], entry["outcome"]) for entry in found["runs"][0]["entries"]] == [
        ("fragile", "failed")
    ]
    found = shell.document(*options, "--keep-going", code=1)
    assert [report["target"] for report in found["runs"]] == ["fragile", "total"]
    assert "no black paint" in found["failed"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "words.py", "totl"), "Did you mean 'total', sent by 'total'?"),
        (("run", "words.py", "fragle"), "Or did you mean reactor 'fragile'?"),
        (("run", "words.py", "grd"), "Did you mean 'grid', sent by 'count'?"),
        (("explain", "words.py", "totl"), "Did you mean 'total'?"),
        (("plan", "words.py", "totl"), "Did you mean 'total'?"),
        (("run", "wrds.py"), "wrds.py does not exist"),
        (("run", "no.such.module"), "There is no module 'no.such.module' here"),
        (("run", "notes.txt"), "notes.txt is not a Python script"),
        (("run", "words.py", "--plant", "words.py"), "is a file; a plant needs a directory"),
        (("run", "sub/click.py"), "another module is called 'click'"),
        (("frobnicate",), "No such command 'frobnicate'"),
        (("run",), "Missing argument 'SCRIPT'"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_to_do(shell, arguments, message):
    shell.write("x", "notes.txt")
    (shell.folder / "sub").mkdir()
    shell.write("x = 1", "sub/click.py")
    done = shell(*arguments, code=2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:\n", "SyntaxError"),
        ("x = 1 / 0\n", "x = 1 / 0"),
        ("import no_such_module_here\n", "No module named 'no_such_module_here'"),
        ("import sys; sys.exit(5)\n", "ended while it was imported (exit code 5)"),
    ],
)
def test_a_script_that_cannot_be_imported_says_where(shell, text, message):
    shell.write(text, "broken.py")
    done = shell("status", "broken.py", code=2)
    assert message in done.stderr
    assert "pyplant/cli" not in done.stderr


def test_debug_shows_where_an_error_comes_from(shell):
    assert "Traceback" in shell("--debug", "explain", "words.py", "nobody", code=1).stderr


def test_an_interrupt_ends_with_130(shell):
    shell.write(
        "import time, pathlib\nfrom pyplant import *\n"
        "@ReactorFunc\ndef slow(pipe):\n    pathlib.Path('begun').touch()\n    time.sleep(100)\n    pipe.send('x', 1)\n",
        "slow.py",
    )
    command = [sys.executable, "-m", "pyplant", "run", "slow.py", "slow"]
    process = subprocess.Popen(
        command, cwd=shell.folder, env=shell.environment, stderr=subprocess.PIPE, text=True
    )
    try:
        while not (shell.folder / "begun").exists() and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert "interrupted" in process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 130


# ---------------------------------------------------------------------- sweeps, forgetting


def test_sweep_runs_all_combinations(shell):
    done = shell(
        "sweep", "words.py", "count", "model.depth=1,2", "model.shape=(1, 1),(2, 2)", "--get", "numbers"
    )
    assert "count: 4 configurations, 4 ran" in done.stdout
    found = shell.document("sweep", "words.py", "total", "model.depth=2,3", "--get", "total")
    assert [row["ingredients"]["total"] for row in found["rows"]] == [1, 3]
    assert [row["outcome"] for row in found["rows"]] == ["ran", "ran"]


def test_a_sweep_goes_on_after_a_failure_only_if_wanted(shell):
    options = ("sweep", "words.py", "fragile", "color=red,black,blue", "--get", "paint")
    assert "no black paint" in shell(*options, code=1).stderr
    rows = shell.document(*options, "--keep-going", code=1)["rows"]
    assert [row["ingredients"] for row in rows] == [{"paint": "red"}, {}, {"paint": "blue"}]
    assert "no black paint" in rows[1]["error"]


def test_invalidate_makes_a_reactor_run_again(shell):
    shell("run", "words.py", "total")
    assert shell.document("invalidate", "words.py", "numbers") == {"invalidated": ["count"]}
    done = shell("run", "words.py", "total")
    assert "invalidated" in done.stdout
    assert "1 ran, 1 cached" in done.stdout


# ---------------------------------------------------------------------- looking


def test_status_shows_the_state_of_reactors(ran):
    assert "4 reactors: 4 cached" in ran("status", "words.py").stdout
    entries = {entry["name"]: entry for entry in ran.document("status", "words.py")["entries"]}
    assert entries["count"]["outputs"] == ["numbers", "grid"]


def test_explain_says_what_changed(ran):
    done = ran("explain", "words.py", "count", "--set", "model.depth=9")
    assert "parameter 'model.depth' changed: 3 → 9" in done.stdout
    cause = ran.document("explain", "words.py", "count", "--set", "model.depth=9")["entry"]["causes"][0]
    assert (cause["kind"], cause["old"], cause["new"]) == ("parameter changed", "3", "9")


def test_plan_says_what_would_run(ran):
    assert "total: 1 would run" in ran("plan", "words.py", "total", "--set", "model.depth=9").stdout
    targets = [report["target"] for report in ran.document("plan", "words.py")]
    assert targets == ["say", "fragile"]


def test_graph_shows_ingredients_between_reactors(ran):
    assert "✓ total  ← total" in ran("graph", "words.py").stdout
    assert ran("graph", "words.py", "--dot").stdout.startswith("digraph plant {")
    edges = ran.document("graph", "words.py")["edges"]
    assert {"sender": "count", "receiver": "total", "ingredients": ["numbers"]} in edges


@pytest.mark.parametrize("options", [[], ["--plant", "typo"], ["--plant", "empty"]])
@pytest.mark.parametrize("command", [["status"], ["plan"], ["graph"], ["explain", "total"]])
def test_looking_makes_no_plant(shell, command, options):
    (shell.folder / "empty").mkdir()
    before = sorted(path.name for path in shell.folder.iterdir())
    done = shell(command[0], "words.py", *command[1:], *options)
    assert "there is no plant in" in done.stderr
    assert sorted(path.name for path in shell.folder.iterdir()) == before
    assert not list((shell.folder / "empty").iterdir())


@pytest.mark.parametrize("text", ["plant = Plant('mine')\n", "with Plant('mine') as plant:\n    pass\n"])
def test_looking_makes_no_plant_that_the_script_opens(shell, text):
    shell.write(MAIN + text)
    found = shell("status", "words.py")
    assert "there is no plant in mine yet" in found.stderr
    assert "4 new" in found.stdout
    assert shell.document("status", "words.py", "--plant", "mine")["directory"] == str(shell.folder / "mine")
    assert not (shell.folder / "mine").exists()
    shell("run", "words.py", "total")
    before = {path: path.lstat().st_mtime_ns for path in shell.folder.rglob("*")}
    assert "2 new, 2 cached" in shell("status", "words.py").stdout
    assert {path: path.lstat().st_mtime_ns for path in shell.folder.rglob("*")} == before


def test_looking_changes_nothing_in_a_plant(ran):
    before = {path: path.lstat().st_mtime_ns for path in ran.folder.rglob("*")}
    for command in (["status"], ["plan"], ["graph"], ["explain", "total"]):
        ran(command[0], "words.py", *command[1:], "--set", "model.depth=9")
    assert {path: path.lstat().st_mtime_ns for path in ran.folder.rglob("*")} == before


def test_status_names_the_plant_that_is_not_there(shell):
    assert shell.document("status", "words.py")["directory"] == str(shell.folder / "words.plant")


def test_queries_run_nothing(shell):
    for command in (["status"], ["explain"], ["plan"], ["graph"]):
        shell(*command, "words.py", *(["total"] if command == ["explain"] else []))
    assert "4 new" in shell("status", "words.py").stdout


def test_names_cannot_reach_the_terminal_with_control_characters(shell):
    shell.write(
        "from pyplant import *\n@ReactorFunc(name='ab\\x1b[31m')\ndef f(pipe):\n    pipe.send('na\\x1bme', 'v\\x1b')\n"
        "plant = Plant('p')\n",
        "evil.py",
    )
    shell("run", "evil.py")
    for command in (
        ["status", "evil.py"],
        ["graph", "evil.py"],
        ["run", "evil.py"],
        ["ls", "p"],
        ["history", "p"],
    ):
        assert "\x1b" not in shell(*command).stdout


@pytest.mark.nightly
def test_digits_run_from_the_shell_and_are_cached_afterwards(shell, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    script = ROOT / "notebooks" / "digits.py"
    first = shell("run", script, "--plant", "p", "--set", "forest.trees=5")
    assert "report: 8 ran" in first.stdout
    again = shell("run", script, "--plant", "p", "--set", "forest.trees=5")
    assert "report: 1 ran, 7 cached" in again.stdout


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_closed_pipe_is_not_an_error(ran):
    command = f"{sys.executable} -m pyplant history words.plant | true"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ran.folder,
        env=ran.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
