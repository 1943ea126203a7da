"""Fixtures of the tests of the command line: real processes, and a small pipeline."""

import json
import os
import subprocess
import sys

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


class Shell:
    """Runs ``pyplant`` in a directory, as a shell would."""

    def __init__(self, folder):
        self.folder = folder

    @property
    def environment(self):
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": "80",
        }

    def __call__(self, *arguments, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "pyplant", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert done.returncode == code, f"ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def document(self, *arguments, code=0):
        """The document that a command prints with --json."""
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def write(self, text, name="words.py"):
        (self.folder / name).write_text(text, encoding="utf-8")


@pytest.fixture
def shell(tmp_path):
    """A folder with the pipeline, before the first run."""
    found = Shell(tmp_path)
    found.write(PIPELINE)
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A folder in which the pipeline ran; tests do not change it."""
    found = Shell(tmp_path_factory.mktemp("ran"))
    found.write(PIPELINE)
    found("run", "words.py", "say", "paint", "grid")
    return found
