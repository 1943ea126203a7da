"""Commands on a plant directory."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import pyplant
from pyplant import Plant
from pyplant.store.layout import PARTS


def inside(folder):
    """Everything in a plant, with sizes and times."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in sorted(Path(folder).rglob("*"))
    }


@pytest.fixture
def damaged(shell):
    """A plant with one damaged value."""
    shell.write(
        "import numpy as np\nfrom pyplant import *\n"
        "@ReactorFunc\ndef make(pipe):\n    pipe.send('big', np.arange(1000.0))\n    pipe.send('small', 1)\n",
        "make.py",
    )
    shell("run", "make.py", "--plant", "p")
    (stored,) = (path for path in (shell.folder / "p/objects").rglob("*") if path.is_file())
    stored.chmod(0o600)
    content = bytearray(stored.read_bytes())
    content[500] ^= 1
    stored.write_bytes(content)
    return shell


# ---------------------------------------------------------------------- looking


def test_ls_lists_the_newest_of_each_name(ran):
    lines = ran("ls", "words.plant").stdout.splitlines()
    assert lines[0].split() == ["NAME", "TYPE", "SIZE", "AGE", "REACTOR", "DIGEST"]
    assert [line.split()[0] for line in lines[1:]] == ["grid", "numbers", "paint", "total"]
    assert max(map(len, lines)) <= 80


def test_ls_fits_the_terminal_and_is_whole_in_a_pipe(shell):
    name = "accuracy_of_the_forest_on_the_digits_of_strangers"
    shell.write(
        f"from pyplant import *\n@ReactorFunc\ndef forest(pipe):\n    pipe.send({name!r}, 1)\n", "wide.py"
    )
    shell("run", "wide.py", "forest", "--plant", "wide.plant")
    command = [sys.executable, "-m", "pyplant", "ls", "wide.plant"]
    assert name in subprocess.run(command, cwd=shell.folder, capture_output=True, text=True).stdout
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, cwd=shell.folder, stdout=theirs, env=os.environ | {"COLUMNS": "60"})
    os.close(theirs)
    try:
        assert process.wait() == 0
        lines = os.read(ours, 10_000).decode().splitlines()
    finally:
        os.close(ours)
    assert len(lines) == 2
    assert max(map(len, lines)) <= 60


def test_ls_all_lists_every_stored_value(shell):
    shell("run", "words.py", "total")
    shell("run", "words.py", "total", "--set", "model.depth=5")
    assert len(shell.document("ls", "words.plant")) == 3
    sizes = [
        value["size"] for value in shell.document("ls", "words.plant", "--all") if value["name"] == "numbers"
    ]
    assert len(sizes) == 2
    assert sizes[0] > sizes[1]  # the newest first


def test_ls_of_an_empty_plant(shell):
    Plant(shell.folder / "words.plant").close()
    assert shell("ls", "words.plant").stdout == "words.plant stores no ingredients yet.\n"
    assert shell.document("ls", "words.plant") == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("total", "3"), ("paint", "'red'"), ("numbers", "[0, 1, 2]"), ("grid", "<ndarray float64 (2, 3)>")],
)
def test_show_gives_plain_values(ran, name, value):
    assert ran.document("show", "words.plant", name)["value"] == value
    assert f"  value      {value}\n" in ran("show", "words.plant", name).stdout


def test_show_says_where_a_value_comes_from(ran):
    found = ran.document("show", "words.plant", "numbers")
    assert found["reactor"] == "words.count"
    assert found["dependencies"] == [
        {"kind": "parameter", "names": ["model.depth"], "values": ["3"]},
        {"kind": "parameter", "names": ["model.shape"], "values": ["(2, 3)"]},
    ]
    text = ran("show", "words.plant", "numbers").stdout
    assert "read       parameter model.depth = 3" in text


def test_show_unpickles_nothing(shell):
    shell.write(
        "from pathlib import Path\nfrom pyplant import *\nclass Evil:\n"
        "    def __reduce__(self):\n        return (Path.touch, (Path('unpickled'),))\n"
        "@ReactorFunc\ndef make(pipe):\n    pipe.send('evil', Evil())\n",
        "make.py",
    )
    shell("run", "make.py", "make", "--plant", "p")
    (shell.folder / "unpickled").unlink(missing_ok=True)
    found = shell.document("show", "p", "evil")
    assert (found["type"], found["value"]) == ("object", None)
    assert "signature" not in found["metadata"]
    for command in ("ls", "history", "fsck"):
        shell(command, "p")
    shell("export", "p", "evil", "--to", "out")
    assert not (shell.folder / "unpickled").exists()


def test_show_says_that_a_value_is_damaged(damaged):
    assert "(damaged)" in damaged("show", "p", "big").stdout
    assert damaged.document("show", "p", "small")["value"] == "1"


def test_history_lists_stored_executions(ran):
    assert "words.count: 1 stored execution" in ran("history", "words.plant").stdout
    (found,) = ran.document("history", "words.plant", "count")
    assert found["reactor"] == "words.count"
    assert found["entries"][0]["parameters"] == {"model.depth": "3", "model.shape": "(2, 3)"}


@pytest.mark.parametrize(
    "command", [["ls"], ["show", "total"], ["history"], ["fsck"], ["export", "total"], ["doctor"]]
)
def test_queries_change_nothing_in_the_plant(ran, tmp_path, command):
    name, *rest = command
    before = inside(ran.folder / "words.plant")
    extra = ["--to", tmp_path / "out"] if name == "export" else []
    ran(name, "words.plant", *rest, *extra)
    after = inside(ran.folder / "words.plant")
    assert after == before
    assert "claims" in PARTS


# ---------------------------------------------------------------------- upkeep


def test_gc_removes_no_result_without_a_size(shell):
    shell("run", "words.py", "total")
    assert shell.document("gc", "words.plant")["results"] == 0
    assert "Nothing to remove" in shell("gc", "words.plant").stdout


def test_gc_removes_old_results_beyond_the_size(shell):
    text = "import numpy as np\nfrom pyplant import *\n@ReactorFunc\ndef make(pipe):\n    pipe.send('big', np.full(9999, {}))\n"
    for number in range(3):
        shell.write(text.format(number), "make.py")
        shell("run", "make.py", "--plant", "p")
    found = shell.document("gc", "p", "--max-size", "100 kB")
    assert (found["results"], found["objects"]) == (2, 2)
    assert found["stored"] < 100_000
    assert "1 cached" in shell("run", "make.py", "--plant", "p").stdout  # the current one stayed


def test_gc_refuses_an_invalid_size(ran):
    assert "'much' is not a size" in ran("gc", "words.plant", "--max-size", "much", code=2).stderr


def test_fsck_finds_nothing_in_an_undamaged_plant(ran):
    assert "no problems found" in ran("fsck", "words.plant").stdout
    assert ran.document("fsck", "words.plant")["findings"] == []


def test_fsck_finds_damage_and_repairs_it(damaged):
    found = damaged.document("fsck", "p", code=1)
    assert [(f["problem"], f["ingredient"]) for f in found["findings"]] == [("damaged", "big")]
    text = damaged("fsck", "p", code=1).stdout
    assert "'big' of reactor 'make'" in text
    assert "plant.fsck" not in text
    assert "Lost values were forgotten" in damaged("fsck", "p", "--repair").stdout
    assert "no problems found" in damaged("fsck", "p").stdout
    assert "make: 1 ran" in damaged("run", "make.py", "--plant", "p").stdout


def test_export_writes_a_folder_that_needs_no_plant(ran, tmp_path):
    done = ran("export", "words.plant", "total", "grid", "--to", tmp_path / "out")
    assert "2 ingredients written" in done.stdout
    values = pyplant.load_ingredients(tmp_path / "out")
    assert values["total"] == 3
    assert values["grid"].shape == (2, 3)


def test_export_overwrites_nothing(ran, tmp_path):
    (tmp_path / "mine").touch()
    assert (
        "holds other files (mine)" in ran("export", "words.plant", "total", "--to", tmp_path, code=2).stderr
    )


def test_export_replaces_an_earlier_export(ran, tmp_path):
    for name in ("total", "paint"):
        ran("export", "words.plant", name, "--to", tmp_path / "out")
    assert pyplant.load_ingredients(tmp_path / "out") == {"paint": "red"}


def test_export_of_a_damaged_value_is_a_failure_of_the_store(damaged):
    done = damaged("export", "p", "small", "big", "--to", "out", code=3)
    assert "Ingredient 'big' cannot be exported" in done.stderr
    assert "p/objects/" in done.stderr  # where it was left, since nothing is moved by looking
    assert os.listdir(damaged.folder / "out") == []


# ---------------------------------------------------------------------- wrong usage


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ls", "nowhere"), "There is no plant in"),
        (("ls", "words.py"), "There is no plant in"),
        (("gc", "nowhere"), "There is no plant in"),
        (("fsck", "nowhere", "--repair"), "There is no plant in"),
        (("show", "words.plant", "totl"), "stores no ingredient 'totl'. Did you mean 'total'?"),
        (("show", "words.plant", "zzz"), "See: pyplant ls words.plant"),
        (("export", "words.plant", "totl", "--to", "out"), "Did you mean 'total'?"),
        (("export", "words.plant", "total"), "Missing option '--to'"),
        (("history", "words.plant", "cont"), "Did you mean 'count'?"),
        (("doctor", "nowhere"), "nowhere is not a directory"),
    ],
)
def test_wrong_usage_ends_with_2_and_creates_nothing(ran, arguments, message):
    before = sorted(os.listdir(ran.folder))
    done = ran(*arguments, code=2)
    assert message in done.stderr
    assert done.stdout == ""
    assert sorted(os.listdir(ran.folder)) == before


def test_a_plant_of_a_later_version_is_not_changed(shell):
    Plant(shell.folder / "words.plant").close()
    path = shell.folder / "words.plant/FORMAT"
    path.write_text(path.read_text()[:10])
    assert "words.plant" in shell("ls", "words.plant", code=2).stderr


# ---------------------------------------------------------------------- doctor


def test_doctor_tests_a_directory_and_leaves_no_files(shell):
    before = sorted(os.listdir(shell.folder))
    checks = {check["name"]: check["verdict"] for check in shell.document("doctor")}
    assert sorted(os.listdir(shell.folder)) == before
    assert checks["renaming"] == checks["writing"] == checks["plant"] == "ok"
    assert "none here" in shell("doctor").stdout


def test_doctor_checks_the_plant(ran):
    text = ran("doctor", "words.plant").stdout
    assert "4 stored executions" in text
    assert "1 file" in text


def test_doctor_ends_with_1_if_the_plant_cannot_be_used(shell):
    (shell.folder / "p").mkdir()
    (shell.folder / "p/FORMAT").write_text("what?")
    checks = {check["name"]: check["verdict"] for check in shell.document("doctor", "p", code=1)}
    assert checks["plant"] == "failed"


# ---------------------------------------------------------------------- the whole


def test_help_names_every_command_and_the_exit_codes(shell):
    text = shell("--help").stdout
    for word in (
        "run",
        "sweep",
        "invalidate",
        "status",
        "explain",
        "plan",
        "graph",
        "ls",
        "show",
        "history",
        "gc",
        "fsck",
        "export",
        "doctor",
    ):
        assert f"\n  {word} " in text
        about = shell(word, "--help").stdout
        assert "Example: pyplant" in about
        assert "JSON:" in about
        assert max(map(len, about.splitlines())) <= 80
    assert "130 interrupted" in text


def test_version(shell):
    assert shell("--version").stdout == f"pyplant {pyplant.__version__}\n"
