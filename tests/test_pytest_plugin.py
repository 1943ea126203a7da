"""Reactors in tests of users: each test has its own, and fixtures share theirs."""

import os
import subprocess
import sys
import textwrap

import pytest

from tests.conftest import ROOT

HEAD = """
import pytest
from pyplant import *
"""
IN_FUNCTIONS = """
def test_one(tmp_path):
    @ReactorFunc
    def make(pipe):
        pipe.send("thing", 1)
    with Plant(tmp_path / "p") as plant:
        assert plant.get("thing") == 1

@pytest.mark.parametrize("value", [2, 3])
def test_two(tmp_path, value):
    @ReactorFunc
    def make(pipe):
        pipe.send("thing", value)
    with Plant(tmp_path / "p") as plant:
        assert plant.get("thing") == value
"""
AT_THE_TOP = """
@ReactorFunc
def make(pipe):
    pipe.send("thing", 1)

def test_one(tmp_path):
    with Plant(tmp_path / "p") as plant:
        assert plant.get("thing") == 1

def test_two(tmp_path):
    with Plant(tmp_path / "p") as plant:
        assert plant.get("thing") == 1
"""
WITH_THE_FIXTURE = """
def test_one(plant):
    @ReactorFunc
    def make(pipe):
        pipe.send("thing", 1)
    assert plant.get("thing") == 1

def test_two(plant):
    @ReactorFunc
    def make(pipe):
        pipe.send("thing", 2)
    assert plant.get("thing") == 2
"""
SHARED_FIXTURES = """
def build(name, value):
    @ReactorFunc(name=f"make {name}")
    def make(pipe):
        pipe.send(name, value)

@pytest.fixture(scope="module", autouse=True)
def of_the_module():
    build("m", 1)

class TestBoth:
    @pytest.fixture(scope="class", autouse=True)
    def of_the_class(self):
        build("c", 2)

    def test_one(self, plant):
        assert plant.get("m", "c") == (1, 2)

    def test_two(self, plant):
        assert plant.get("m", "c") == (1, 2)

def test_three(plant):
    assert plant.get("m") == 1
    with pytest.raises(Exception, match="which no reactor sends"):
        plant.get("c")
"""
IMPORTED_IN_A_TEST = """
def test_one(plant):
    import pipeline
    assert plant.get("thing") == 1

def test_two(plant):
    import pipeline
    assert plant.get("thing") == 1
"""
FACTORY_OF_A_MODULE = """
def build(n):
    @ReactorFunc(name=f"make {n}")
    def make(pipe):
        pipe.send(f"thing {n}", n)

for n in range(3):
    build(n)

def test_one(plant):
    assert plant.get("thing 1") == 1

def test_two(plant):
    assert plant.get("thing 2") == 2
"""


@pytest.fixture
def run_tests(tmp_path):
    """Run tests of a user in a process of its own; returns its output."""

    def run(source, *options):
        (tmp_path / "test_user.py").write_text(HEAD + textwrap.dedent(source))
        (tmp_path / "pipeline.py").write_text(HEAD + AT_THE_TOP.split("def test")[0])
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *options]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "PYTEST_ADDOPTS": ""}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        return done.stdout

    return run


PLUGIN = ("-p", "no:pyplant", "-p", "pyplant.pytest_plugin")
WITHOUT_PLUGIN = ("-p", "no:pyplant")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "options", "count"),
    [
        (IN_FUNCTIONS, WITHOUT_PLUGIN, 3),
        (IN_FUNCTIONS, PLUGIN, 3),
        (AT_THE_TOP, WITHOUT_PLUGIN, 2),
        (AT_THE_TOP, PLUGIN, 2),
        (WITH_THE_FIXTURE, PLUGIN, 2),
        (SHARED_FIXTURES, PLUGIN, 3),
        (IMPORTED_IN_A_TEST, PLUGIN, 2),
        (FACTORY_OF_A_MODULE, PLUGIN, 2),
    ],
)
def test_each_test_has_its_own_reactors(run_tests, source, options, count):
    assert f"{count} passed" in run_tests(source, *options)


@pytest.mark.slow
def test_without_the_plugin_a_shared_fixture_serves_its_first_test_only(run_tests):
    """The control of the plugin."""
    source = SHARED_FIXTURES.replace("(self, plant)", "(self, tmp_path)").replace(
        "plant.get", "Plant(tmp_path / 'p').get"
    )
    assert "failed" in run_tests(source.replace("(plant)", "(tmp_path)"), *WITHOUT_PLUGIN)


@pytest.mark.slow
def test_without_the_scope_of_tests_they_see_the_reactors_of_others(run_tests, monkeypatch):
    """The control."""
    source = "import pyplant._definitions\npyplant._definitions.scope_now = lambda qualname: ''\n"
    assert "is sent by 'make' (test_user.py, line" in run_tests(source + IN_FUNCTIONS, *WITHOUT_PLUGIN)
