"""Modules that reactors import by computed names."""

import importlib
import importlib.util
import py_compile
import runpy
import sys

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.reads import late_imports
from pyplant.reads.answers import source
from pyplant.store.inputs import ABSENT

NAMES = ["late_first", "late_second"]


def load(name):
    return importlib.import_module(name)


@ReactorFunc
def loads(pipe):
    pipe.send("answer", sum(load(name).VALUE for name in NAMES))


@ReactorFunc
def loads_again(pipe):
    pipe.send("again", load(NAMES[0]).VALUE)


@ReactorFunc
def loads_nothing(pipe):
    pipe.send("nothing", 3)


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a module; the fixture begins as a new process does, and so does each call."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        restart()

    def restart():
        late_imports._found.clear()
        for each in (*NAMES, "late_helper"):
            sys.modules.pop(each, None)
        importlib.invalidate_caches()

    write("late_helper", "VALUE = 1\n")
    write("late_first", "from late_helper import VALUE\n")
    write("late_second", "VALUE = 10\n")
    yield write
    restart()


def result(tmp_path, *reactors, executor=None):
    with Plant(tmp_path / "plant", progress=False, executor=executor) as plant:
        plant.add_reactors(*reactors)
        ran = {name for reactor in reactors for name in plant.run_reactor(reactor).ran}
        return [plant.get(name) for name in ("answer", "again")[: len(reactors)]], ran


def test_an_edit_of_a_module_that_a_reactor_finds_by_a_computed_name_reruns_it(tmp_path, write):
    assert result(tmp_path, loads) == ([11], {"loads"})
    write("late_second", "# A comment.\nVALUE  =  10\n")
    assert result(tmp_path, loads) == ([11], set())
    write("late_second", "VALUE = 20\n")
    assert result(tmp_path, loads) == ([21], {"loads"})
    write("late_helper", "VALUE = 2\n")
    assert result(tmp_path, loads) == ([22], {"loads"})
    write("late_second", "VALUE = 10\n")
    write("late_helper", "VALUE = 1\n")
    assert result(tmp_path, loads) == ([11], set())


def test_a_reactor_that_finds_it_loaded_depends_on_it_too(tmp_path, write):
    assert result(tmp_path, loads, loads_again) == ([11, 1], {"loads", "loads_again"})
    write("late_first", "VALUE = 5\n")
    assert result(tmp_path, loads, loads_again) == ([15, 5], {"loads", "loads_again"})


def test_one_that_imports_nothing_does_not(tmp_path, write):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactors(loads, loads_nothing)
        plant.run_reactor(loads)
        plant.run_reactor(loads_nothing)
        write("late_first", "VALUE = 5\n")
        assert not plant.run_reactor(loads_nothing).ran


def test_the_explanation_names_the_module(tmp_path, write):
    result(tmp_path, loads)
    write("late_second", "VALUE = 20\n")
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(loads)
        assert "the code in late_second.py changed, read in import of late_second" in str(
            plant.explain("loads")
        )


@ReactorFunc
def loads_by_name(pipe):
    module = importlib.import_module("late_first")
    pipe.send("answer", module.VALUE)


def test_a_module_that_was_loaded_before_counts_with_what_it_uses(tmp_path, write):
    def answer():
        for name in NAMES:
            importlib.import_module(name)
        return result(tmp_path, loads)

    write("late_first", "import late_helper\nVALUE = late_helper.VALUE\n")
    assert answer() == ([11], {"loads"})
    write("late_second", "# A comment.\nVALUE = 10\n")
    assert answer() == ([11], set())
    write("late_second", "VALUE = 20\n")
    assert answer() == ([21], {"loads"})
    write("late_helper", "VALUE = 2\n")
    assert answer() == ([22], {"loads"})


def test_a_module_that_code_names_counts_as_code(tmp_path, write):
    importlib.import_module("late_first")
    assert result(tmp_path, loads_by_name) == ([1], {"loads_by_name"})
    write("late_first", "VALUE = 1\nOTHER = 2\n")
    importlib.import_module("late_first")
    assert result(tmp_path, loads_by_name) == ([1], set())


@pytest.mark.slow
def test_in_a_worker_as_well(tmp_path, write):
    assert result(tmp_path, loads, executor=2) == ([11], {"loads"})
    write("late_second", "VALUE = 20\n")
    assert result(tmp_path, loads) == ([21], {"loads"})


def test_a_source_counts_by_its_code(tmp_path):
    path = tmp_path / "code.py"
    assert source(str(path)) == ABSENT
    digests = []
    for text in ("x = 1\n", "x  = 1  # One\n", "x = 2\n", "x = (\n", "x = (((\n"):
        path.write_text(text)
        digests.append(source(str(path)))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 4


def by_place(path):
    spec = importlib.util.spec_from_file_location("plugin", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.VALUE


def by_runpy(path):
    return runpy.run_module(path.stem)["VALUE"]


@pytest.mark.parametrize("load_file", [by_place, by_runpy])
@pytest.mark.parametrize("is_compiled", [False, True], ids=["source", "compiled"])
def test_a_module_that_does_not_stay_loaded_counts(tmp_path, write, load_file, is_compiled):
    path = tmp_path / "late_first.py"
    write("late_first", "VALUE = 1\n")
    if is_compiled:
        py_compile.compile(str(path))

    @ReactorFunc
    def loads_file(pipe):
        pipe.send("answer", load_file(path))

    assert result(tmp_path, loads_file) == ([1], {"loads_file"})
    assert result(tmp_path, loads_file) == ([1], set())
    write("late_first", "VALUE = 2  # longer\n")
    assert result(tmp_path, loads_file) == ([2], {"loads_file"})


def test_control_without_events_of_imports_such_an_edit_is_missed(tmp_path, write, monkeypatch):
    monkeypatch.setattr("pyplant.reads.hook._import_opens", lambda *_: None)

    @ReactorFunc
    def loads_file(pipe):
        pipe.send("answer", by_runpy(tmp_path / "late_first.py"))

    write("late_first", "VALUE = 1\n")
    result(tmp_path, loads_file)
    write("late_first", "VALUE = 2  # longer\n")
    assert result(tmp_path, loads_file) == ([1], set())
