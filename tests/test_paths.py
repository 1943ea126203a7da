"""Paths as people write them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pyplant
from pyplant import Plant, ReactorFunc
from pyplant._paths import directory, is_url, located, recorded
from pyplant.errors import PlantDirError

from .conftest import ROOT


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home directory, and another one to work in."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


@pytest.mark.parametrize("make", [str, Path])
def test_a_plant_in_the_home_directory(home, make):
    with Plant(make("~/plants/x")) as plant:
        assert plant.directory == home / "plants" / "x"
    assert os.listdir() == []


def test_what_is_exported_goes_there_too(home):
    @ReactorFunc
    def make(pipe):
        pipe.send("x", 1)

    with Plant("~/plant") as plant:
        assert plant.export("x", "~/out") == home / "out"
    assert pyplant.load_ingredients("~/out") == {"x": 1}
    assert os.listdir() == []


def test_an_unknown_home_is_refused(home):
    with pytest.raises(PlantDirError, match=r"\./~nobody-of-this-name"):
        Plant("~nobody-of-this-name/x")
    assert os.listdir() == []
    with Plant("./~nobody-of-this-name") as plant:
        assert plant.directory == Path.cwd() / "~nobody-of-this-name"


@pytest.mark.parametrize("address", ["s3://bucket/plant", "file:///tmp/plant"])
def test_an_address_is_refused(home, address):
    with pytest.raises(PlantDirError, match=f"{address} is an address"):
        Plant(address)
    assert os.listdir() == []


@pytest.mark.parametrize("text", ["", "a\0b"])
def test_a_text_that_is_no_path_is_refused(home, text):
    with pytest.raises(PlantDirError, match="is no path"):
        Plant(text)


def test_variables_are_for_shells(home):
    assert directory("$HOME/x") == Path.cwd() / "$HOME" / "x"


@pytest.mark.slow
def test_the_command_line_expands_what_shells_leave_alone(home):
    (home / "s.py").write_text("from pyplant import *\n@ReactorFunc\ndef a(pipe): pipe.send('a', 1)\n")
    for arguments in (
        ["run", "~/s.py", "--plant=~/p"],
        ["ls", "~/p"],
        ["history", "~/p"],
        ["export", "~/p", "a", "--to=~/out"],
        ["doctor", "~/p"],
    ):
        subprocess.run(
            [sys.executable, "-m", "pyplant", *arguments],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
        )
    assert os.listdir() == []
    assert {"out", "p", "s.py"} <= set(os.listdir(home))


@pytest.mark.parametrize("text", ["https://a/b", "s3://bucket", "file:///x"])
def test_addresses(text):
    assert is_url(text)


@pytest.mark.parametrize("text", ["C:\\x", "C:/x", "a/b", "/a://b", "a:b", ""])
def test_no_addresses(text):
    assert not is_url(text)


def test_what_is_recorded_is_found_again(home, tmp_path):
    for path in ("x", "../home/x", str(home / "x"), "/etc/hosts"):
        name = recorded(path, tmp_path)
        assert os.path.samefile(
            os.path.dirname(located(name, tmp_path)), os.path.dirname(os.path.abspath(path))
        )
        assert os.path.isabs(name) == path.startswith("/etc")


def test_a_folder_of_a_similar_name_is_elsewhere(home, tmp_path):
    assert recorded(str(tmp_path / "here2" / "x"), tmp_path / "here") == str(tmp_path / "here2" / "x")


def test_a_base_that_is_reached_by_a_link(home, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "here")
    assert recorded("x", tmp_path / "link") == "x"


def test_everything_is_beneath_the_root():
    assert recorded("/etc/hosts", Path("/")) == "etc/hosts"
