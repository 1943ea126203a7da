"""Fixtures for the tests of fingerprints."""

import sys

import pytest


@pytest.fixture(autouse=True)
def own_modules(tmp_path, monkeypatch):
    """Make the modules of a test importable, and remove them afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None) or tmp_path):
            del sys.modules[name]
