"""What the tests of code have in common."""

import sys

import pytest


@pytest.fixture(autouse=True)
def own_modules(tmp_path, monkeypatch):
    """Modules that a test makes are importable, and gone when it ends."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None) or tmp_path):
            del sys.modules[name]
