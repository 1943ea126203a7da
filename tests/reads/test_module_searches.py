"""Modules that code looks for and that appear or vanish later."""

import importlib
import importlib.util
import pathlib
import sys

import pytest

from pyplant.reads import hook, module_searches

from .plants import plant_with, write


def appears(value):
    pathlib.Path("reads_optional.py").unlink(missing_ok=True)
    if value == 2:
        write("reads_optional.py", "X = 2")
    importlib.invalidate_caches()
    sys.modules.pop("reads_optional", None)


def package_appears(value):
    pathlib.Path("reads_package/__init__.py").unlink(missing_ok=True)
    if pathlib.Path("reads_package").exists():
        pathlib.Path("reads_package").rmdir()
    if value == 2:
        write("reads_package/__init__.py", "")
    importlib.invalidate_caches()


def part_appears(value):
    write("reads_whole/__init__.py", "")
    pathlib.Path("reads_whole/part.py").unlink(missing_ok=True)
    if value == 2:
        write("reads_whole/part.py", "")
    importlib.invalidate_caches()


def vanishes(value):
    appears(3 - value)


def found(name="reads_optional"):
    return 1 + (importlib.util.find_spec(name) is not None)


def found_package():
    return found("reads_" + "package")


def found_part():
    return found("reads_whole" + ".part")


def missed():
    return 3 - found("reads_optional")


def imported(name="reads_optional"):
    try:
        return importlib.import_module(name).X
    except ImportError:
        return 1


def imported_by_builtin(name="reads_optional"):
    try:
        return __import__(name).X
    except ImportError:
        return 1


def imported_by_text(name="reads_optional"):
    try:
        exec(f"import {name}", {})
    except ImportError:
        return 1
    return 2


SEARCHES = [
    (appears, found),
    (package_appears, found_package),
    (part_appears, found_part),
    (vanishes, missed),
    (appears, imported),
    (appears, imported_by_builtin),
    (appears, imported_by_text),
]


@pytest.fixture(autouse=True)
def importable(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("reads_")]:
        del sys.modules[name]


@pytest.mark.parametrize(("change", "read"), SEARCHES, ids=lambda function: function.__name__)
def test_a_module_that_is_looked_for_counts(change, read):
    change(1)
    with plant_with(read) as plant:
        assert plant.get("value") == 1
        assert not plant.run_reactor("reads").ran
        change(2)
        assert plant.get("value") == 2


@pytest.mark.parametrize("read", [found, imported])
def test_control_without_searches_a_module_that_appears_is_missed(read, monkeypatch):
    monkeypatch.setattr(module_searches, "_searched", lambda *_: None)
    appears(1)
    with plant_with(read) as plant:
        assert plant.get("value") == 1
        appears(2)
        assert plant.get("value") == 1


def test_what_libraries_look_for_does_not_count():
    from importlib import metadata

    def read():
        return len(metadata.version("numpy")) > 0 and importlib.util.find_spec("numpy") is not None

    with plant_with(read) as plant:
        plant.get("value")
        assert not plant.explain("reads").reads


def test_a_reloaded_module_tells_once(monkeypatch):
    seen = []
    importlib.reload(module_searches)
    monkeypatch.setattr(module_searches, "_searched", lambda *arguments: seen.append(arguments[2]))
    module_searches.watch(hook.listening_recorder, hook.report)
    appears(1)
    with plant_with(found) as plant:
        plant.get("value")
    assert seen == ["reads_optional"]
