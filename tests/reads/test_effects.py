"""What a reactor changes around it, which a hit does not repeat, is listed by explanations."""

import os

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.reads.effects import unrepeated_effects

STATE = 0


def changes_directory():
    os.chdir(os.getcwd())


def sets_variable():
    os.environ["PYPLANT_TEST_EFFECT"] = "1"


def sets_variable_by_name(os_module):
    getattr(os_module, "environ")["PYPLANT_TEST_EFFECT"] = "1"  # noqa: B009 - the text is the point


def sets_option(pandas):
    pandas.set_option("display.width", 80)


def sets_global():
    global STATE
    STATE = 1


def runs_magic(get_ipython):
    get_ipython().run_line_magic("env", "A=1")


def reads_only(pandas, get_ipython):
    values = {}
    values["a"] = 1
    get_ipython().run_line_magic("time", "env")
    return os.environ["PATH"], pandas.get_option("display.width"), STATE, values


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (changes_directory, "changes the working directory (chdir)"),
        (sets_variable, "sets an environment variable"),
        (sets_variable_by_name, "sets an environment variable"),
        (sets_option, "sets an option of a library (set_option)"),
        (sets_global, "sets the global variable 'STATE'"),
        (runs_magic, "executes %env"),
    ],
)
def test_an_effect_is_named_with_its_place(function, said):
    (note,) = unrepeated_effects(function)
    assert note.text.startswith(f"{said}, which a hit does not repeat, {function.__name__} (test_effects.py:")


def test_code_that_only_reads_has_none():
    assert unrepeated_effects(reads_only) == frozenset()


@pytest.mark.filterwarnings("ignore::pyplant.errors.StateWarning")
def test_explanations_list_them(plant_dir, monkeypatch):
    monkeypatch.setenv("PYPLANT_TEST_EFFECT", "0")

    @ReactorFunc
    def reactor(pipe):
        os.environ["PYPLANT_TEST_EFFECT"] = "1"
        pipe.send("done", True)

    with Plant(plant_dir, progress=False) as plant:
        plant.add_reactor(reactor)
        plant.get("done")
        assert "sets an environment variable, which a hit does not repeat" in " ".join(
            str(plant.explain(reactor)).split()
        )
