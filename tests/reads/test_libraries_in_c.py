"""Libraries in C that code loads by their paths."""

import ctypes
import glob
import os
import shutil

import numpy as np
import pytest

from pyplant.reads import hook

from .plants import notes, plant_with

SOURCES = sorted(glob.glob(f"{os.path.dirname(np.__file__)}/**/*umath*.so", recursive=True))
pytestmark = pytest.mark.skipif(not SOURCES, reason="no library to copy")


def library(value):
    shutil.copy(SOURCES[0], "new")
    with open("new", "ab") as stream:
        stream.write(b"\0" * value)
    os.replace("new", "library.so")


def loaded():
    return ctypes.CDLL(os.path.abspath("library.so")) is not None


def test_a_library_that_is_loaded_by_its_path_counts():
    library(1)
    with plant_with(loaded) as plant:
        assert plant.get("value")
        assert not plant.run_reactor("reads").ran
        assert "calls a library in C (library.so), whose reads are not followed" in notes(plant)
        library(2)
        assert plant.run_reactor("reads").ran


def test_control_without_its_event_a_changed_library_is_missed(monkeypatch):
    handlers = {event: handler for event, handler in hook._HANDLERS.items() if event != "ctypes.dlopen"}
    monkeypatch.setattr(hook, "_HANDLERS", handlers)
    library(1)
    with plant_with(loaded) as plant:
        assert plant.get("value")
        library(2)
        assert not plant.run_reactor("reads").ran


def test_a_library_of_the_system_does_not_count():
    with plant_with(lambda: ctypes.CDLL(None).abs(-1)) as plant:
        assert plant.get("value") == 1
        assert not plant.explain("reads").reads
