"""Paths that match a pattern."""

import glob
import itertools
import os

import pytest

from pyplant.reads.answers import matching

STEPS = ["**", "*", "a", "x*", "[[]k]", ""]


@pytest.fixture
def folder(tmp_path):
    for name in ("a/a/b/x.txt", "a/b/a/y.txt", "b/a/a/a/z.txt", ".h/a/x.txt", "a/x.txt", "[k]/a/b/x.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "a" / "link").symlink_to(tmp_path / "b")
    return tmp_path


def existing(paths):
    # glob yields a folder in several forms, and with "**" at the end also folders that do not exist.
    return {os.path.normpath(path) for path in paths if os.path.lexists(path)}


@pytest.mark.parametrize("length", [1, 2, 3])
def test_the_same_paths_match_as_with_glob(folder, length):
    for steps in itertools.product(STEPS, repeat=length):
        pattern = "/".join([glob.escape(str(folder)), *steps])
        expected = existing(glob.iglob(pattern, recursive=True, include_hidden=True))
        assert existing(matching(pattern)) == expected, steps


@pytest.mark.parametrize("steps", [["**"], ["**", "*"], ["**", "a"], ["**", "a", ".."]], ids="/".join)
def test_a_folder_is_not_looked_at_for_each_way_that_leads_to_it(tmp_path, monkeypatch, steps):
    (tmp_path / "/".join("a" * 12)).mkdir(parents=True)
    looked, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda *args: looked.append(args) or scandir(*args))
    assert len(set(matching(os.path.join(tmp_path, *steps * 10, "*")))) <= 12
    assert len(looked) < 3000
