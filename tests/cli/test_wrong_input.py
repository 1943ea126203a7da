"""Wrong input of every kind, given to every command: one sentence, an exit code, no traceback, and nothing made."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # some hundred commands

ON_SCRIPTS = {
    "run": [],
    "sweep": ["count", "model.depth=1"],
    "status": [],
    "explain": ["total"],
    "plan": [],
    "graph": [],
    "invalidate": ["total"],
}
ON_PLANTS = {
    "ls": [],
    "show": ["total"],
    "history": [],
    "gc": [],
    "fsck": [],
    "export": ["total", "--to", "out"],
}

SCRIPTS = [
    "",
    "nope.py",
    "nope",
    ".",
    "..",
    "notes.txt",
    "nul.py",
    "latin.py",
    "empty.py",
    "a\nb.py",
    "é.py",
    "-",
    "/",
]
OPTIONS = [
    ["--config", "nope.json"],
    ["--config", "notes.txt"],
    ["--config", "list.json"],
    ["--config", "other.json"],
    ["--config", "."],
    ["--config-class", "Nope"],
    ["--config-class", "helper"],
    ["--set", ""],
    ["--set", "="],
    ["--set", "model"],
    ["--set", "nope=1"],
    ["--set", "model=3"],
    ["--set", "model.depth=abc"],
    ["--set", "model.depth.x=1"],
    ["--set", ".=1"],
    ["--plant", "notes.txt"],
    ["--plant", "folder"],
    ["--plant", "notes.txt/p"],
    ["--nope"],
]
PLANTS = ["", "nowhere", "notes.txt", "folder", "broken", "notes.txt/p", "a\nb", "/"]


@pytest.fixture
def folder(shell):
    shell.write("x", "notes.txt")
    shell.write("[1]", "list.json")
    shell.write('{"nope": 1}', "other.json")
    shell.write("", "empty.py")
    (shell.folder / "nul.py").write_bytes(b"x = 1\0\n")
    (shell.folder / "latin.py").write_bytes("x = 'é'\n".encode("latin-1"))
    (shell.folder / "folder").mkdir()
    shell.write("mine", "folder/data.txt")
    (shell.folder / "broken").mkdir()
    shell.write("what?", "broken/FORMAT")
    return shell


def check(shell, arguments, *, shows_users_code=False, makes_plant=False):
    before = {str(path): path.lstat().st_mtime_ns for path in shell.folder.rglob("*") if path.is_file()}
    done = shell._commands.run(list(map(str, arguments)), shell.folder)
    assert done.returncode in (2, 3), (arguments, done)
    assert done.stdout == "", arguments
    # The frames of PyPlant are never shown, those of the user's script may be.
    assert "pyplant/cli" not in done.stderr, arguments
    assert shows_users_code or "Traceback" not in done.stderr, arguments
    said = done.stderr.strip().splitlines()
    assert said, arguments
    assert any("rror" in line for line in said), arguments
    after = {str(path): path.lstat().st_mtime_ns for path in shell.folder.rglob("*") if path.is_file()}
    assert makes_plant or after == before, arguments


@pytest.mark.parametrize("command", ON_SCRIPTS)
def test_a_wrong_script(command, folder):
    for script in SCRIPTS:
        check(
            folder, [command, script, *ON_SCRIPTS[command]], shows_users_code=script in ("nul.py", "latin.py")
        )


@pytest.mark.parametrize("command", ON_SCRIPTS)
def test_a_wrong_option(command, folder):
    for options in OPTIONS:
        check(folder, [command, "words.py", *ON_SCRIPTS[command], *options])


@pytest.mark.parametrize("command", ["run", "sweep", "explain", "plan", "invalidate"])
def test_a_wrong_reactor(command, folder):
    for name in ["", "totl", "zzz", "a\nb", "*"]:
        arguments = [command, "words.py", name, *(["model.depth=1"] if command == "sweep" else [])]
        check(folder, arguments, makes_plant=command == "run")  # only a run tells what reactors send


@pytest.mark.parametrize(
    "varied", ["", "=", "model.depth", "nope=1", "model.depth=a", "model=1", "model.depth="]
)
def test_a_wrong_sweep(varied, folder):
    check(folder, ["sweep", "words.py", "count", varied])


def test_a_wrong_ingredient_of_a_sweep(folder):
    check(folder, ["sweep", "words.py", "count", "model.depth=1", "--get", "nope"], makes_plant=True)


@pytest.mark.parametrize("command", ON_PLANTS)
def test_a_wrong_plant(command, folder):
    for plant in PLANTS:
        check(folder, [command, plant, *ON_PLANTS[command]])


@pytest.mark.parametrize(
    "arguments",
    [
        ["gc", "--max-size", "much"],
        ["gc", "--max-size", "-1"],
        ["gc", "--unused-for", "long"],
        ["gc", "--unused-for", ""],
        ["show", ""],
        ["show", "zzz"],
        ["history", "zzz"],
        ["export", "zzz", "--to", "out"],
        ["export", "total", "--to", "words.py"],
        ["export", "total", "--to", "."],
    ],
)
def test_a_wrong_option_of_a_plant(arguments, ran):
    check(ran, [arguments[0], "words.plant", *arguments[1:]])


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_any_encoding_will_do(encoding, ran):
    environment = {**ran.environment, "PYTHONIOENCODING": encoding}
    script = "main(['sweep', 'words.py', 'count', 'model.depth=1']); main(['history', 'words.plant'])"
    done = subprocess.run(
        [sys.executable, "-c", f"from pyplant.cli import main\nimport sys\n{script}"],
        cwd=ran.folder,
        env=environment,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"Error" not in done.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize(
    "command", ["status words.py", "run words.py total --json", "ls words.plant", "--help"]
)
def test_a_closed_pipe_ends_quietly(command, ran):
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{sys.executable} -m pyplant {command} | true"],
        cwd=ran.folder,
        env=ran.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "") or "configured with" in done.stderr
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
