"""Fixtures of the tests of the command line: a process for each command, and a small pipeline."""

import json
import os
import subprocess
import sys
import types

import pytest

from tests.conftest import ROOT

PIPELINE = '''
"""Counts words."""
import numpy as np
from pyplant import *


class Model(ConfigBase):
    def __init__(self):
        self.depth = 3
        self.rate = 0.5
        self.shape = (2, 3)


class Settings(ConfigBase):
    def __init__(self):
        self.color = "red"
        self.model = Model()


def helper(depth):
    return list(range(depth))


@ReactorFunc
def count(pipe, config):
    pipe.send("numbers", helper(config.model.depth))
    pipe.send("grid", np.zeros(config.model.shape))


@ReactorFunc
def total(pipe):
    found = yield pipe.receive("numbers")
    pipe.send("total", sum(found))


@ReactorFunc
def say(pipe, config):
    found = yield pipe.receive("total")
    print("the total is", found, config.color)


@ReactorFunc
def fragile(pipe, config):
    if config.color == "black":
        raise FileNotFoundError("no black paint")
    pipe.send("paint", config.color)


if __name__ == "__main__":
    raise SystemExit("the main guard ran")
'''


# Each command runs in a process forked from one that has imported the package: most of the time of a new interpreter
# goes into imports. A command that asks whether they were made needs a process of its own.
_FORKS = """
import json, os, sys
import numpy
from pyplant.cli import main

for line in sys.stdin:
    job = json.loads(line)
    pid = os.fork()
    if pid == 0:
        for number, path in enumerate([os.devnull, *job["files"]]):
            os.dup2(os.open(path, os.O_RDWR), number)
        os.chdir(job["folder"])
        sys.path[0] = os.getcwd()
        sys.exit(main(job["arguments"]))
    status = os.waitpid(pid, 0)[1]
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


def environment():
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
        "COLUMNS": "80",
    }


class Forks:
    """Runs commands in forks of one process."""

    def __init__(self, folder):
        self._files = [folder / "stdout", folder / "stderr"]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _FORKS],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments, folder):
        for path in self._files:
            path.write_bytes(b"")
        job = {"arguments": arguments, "folder": str(folder), "files": list(map(str, self._files))}
        print(json.dumps(job), file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        stdout, stderr = (path.read_text(encoding="utf-8") for path in self._files)
        return types.SimpleNamespace(returncode=code, stdout=stdout, stderr=stderr)

    def close(self):
        with self._process:  # ends when its input does
            self._process.stdin.close()


class Processes:
    """Runs commands in new interpreters, where nothing can be forked."""

    def run(self, arguments, folder):
        return subprocess.run(
            [sys.executable, "-m", "pyplant", *arguments],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    def close(self):
        pass


class Shell:
    """Runs ``pyplant`` in a directory, as a shell would."""

    def __init__(self, folder, commands):
        self.folder = folder
        self._commands = commands
        self.environment = environment()

    def __call__(self, *arguments, code=0):
        done = self._commands.run(list(map(str, arguments)), self.folder)
        assert done.returncode == code, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def document(self, *arguments, code=0):
        """The document that a command prints with --json."""
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def write(self, text, name="words.py"):
        (self.folder / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="session")
def commands(tmp_path_factory):
    found = Forks(tmp_path_factory.mktemp("commands")) if hasattr(os, "fork") else Processes()
    yield found
    found.close()


@pytest.fixture
def shell(tmp_path, commands):
    """A folder with the pipeline, before the first run."""
    found = Shell(tmp_path, commands)
    found.write(PIPELINE)
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory, commands):
    """A folder in which the pipeline ran; tests do not change it."""
    found = Shell(tmp_path_factory.mktemp("ran"), commands)
    found.write(PIPELINE)
    found("run", "words.py", "say", "paint", "grid")
    return found
