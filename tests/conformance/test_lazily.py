"""Handles and connections that are created at their first use, in several processes."""

import subprocess
import sys
import textwrap

import pytest

from tests.conftest import ROOT

LIBRARY = """
class Library:
    handle = None

    @classmethod
    def open(cls):
        if cls.handle is None:
            cls.handle = object()
        return cls.handle

class Client:
    def __init__(self, url):
        self.url, self.session = url, None

    def fetch(self):
        if self.session is None:
            self.session = object()
        return self.url + "!"

class Array:
    class Uneven(Warning):
        pass

    @classmethod
    def check(cls, value):
        if value < 0:
            raise Array.Uneven
        return value + 1

client = Client("a")
"""
SCRIPT = """
import sys, warnings
from pyplant import Plant, ReactorFunc
from library import Array, Library, client

@ReactorFunc
def opened(pipe):
    Library.open()
    pipe.send("opened", Array.check(3))

@ReactorFunc
def fetched(pipe):
    Library.open()
    pipe.send("fetched", client.fetch())

@ReactorFunc
def both(pipe):
    x, y = yield pipe.receive("opened", "fetched")
    Library.open()
    pipe.send("both", [x, y, client.url])

warnings.simplefilter("ignore")
for _ in range(2):
    with Plant("plant", progress=False) as plant:
        print(*sorted(plant.run_reactor(both).ran), *plant.fetch_ingredient("both"), sep=" ", flush=True)
"""


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run.py").write_text(SCRIPT, encoding="utf-8")

    def run(*edit):
        text = LIBRARY.replace(*edit) if edit else LIBRARY
        assert not edit or text != LIBRARY
        (tmp_path / "library.py").write_text(textwrap.dedent(text), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-B", "run.py"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    return run


def test_lazily_filled_globals_rerun_nothing_and_hide_no_edit(run):
    assert run() == ["both fetched opened 4 a! a", "4 a! a"]
    assert run() == ["4 a! a", "4 a! a"]
    assert run("value + 1", "value + 2") == ["both opened 5 a! a", "5 a! a"]
    assert run('self.url + "!"', 'self.url + "?"') == ["both fetched 4 a? a", "4 a? a"]
    assert run('Client("a")', 'Client("b")') == ["both fetched 4 b! b", "4 b! b"]
    assert run("return cls.handle", "return [cls.handle]") == ["both fetched opened 4 a! a", "4 a! a"]
    assert run() == ["4 a! a", "4 a! a"]
