"""Changes of the global random state are noticed."""

# ruff: noqa: NPY002 - the global state is what this is about

import importlib
import random
import sys

import numpy as np
import pytest

from pyplant.notebook.randomness import GlobalRandomState


@pytest.fixture
def state():
    saved = random.getstate(), np.random.get_state()
    yield GlobalRandomState()
    random.setstate(saved[0])
    np.random.set_state(saved[1])


def changed_by(state, action):
    before = state.read()
    action()
    return state.changed(before, state.read())


@pytest.mark.parametrize(
    ("action", "names"),
    [
        (lambda: None, ()),
        (random.random, ("random",)),
        (lambda: random.seed(1), ("random",)),
        (lambda: [random.random() for _ in range(312)], ("random",)),  # goes once around
        (np.random.rand, ("numpy.random",)),
        (lambda: np.random.seed(1), ("numpy.random",)),
        (lambda: np.random.rand(312), ("numpy.random",)),
        (lambda: np.random.default_rng(1).random(), ()),
        (lambda: random.Random(1).random(), ()),
        (lambda: (random.random(), np.random.rand()), ("random", "numpy.random")),
    ],
)
def test_what_changes_is_told(state, action, names):
    assert changed_by(state, action) == names


def test_a_state_that_was_put_back_has_not_changed(state):
    def borrow():
        kept = random.getstate(), np.random.get_state()
        random.random()
        np.random.rand()
        random.setstate(kept[0])
        np.random.set_state(kept[1])

    assert changed_by(state, borrow) == ()


def test_what_a_module_draws_while_it_is_loaded_is_not_told(state, tmp_path, monkeypatch):
    (tmp_path / "draws_when_loaded.py").write_text("import random\nrandom.random()\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    try:
        assert changed_by(state, lambda: importlib.import_module("draws_when_loaded")) == ()
        assert changed_by(state, lambda: importlib.reload(sys.modules["draws_when_loaded"])) == ("random",)
    finally:
        sys.modules.pop("draws_when_loaded", None)


def test_numpys_state_is_told_even_of_what_loads_modules(state, monkeypatch):
    def both():
        monkeypatch.setitem(sys.modules, "loaded_just_now", sys)
        np.random.rand()

    assert changed_by(state, both) == ("numpy.random",)


def test_another_generator_of_numpys_is_a_change(state):
    usual = np.random.get_bit_generator()
    try:
        assert changed_by(state, lambda: np.random.set_bit_generator(np.random.MT19937(7))) == (
            "numpy.random",
        )
        assert changed_by(state, np.random.rand) == ("numpy.random",)
        np.random.set_bit_generator(np.random.PCG64(7))
        assert changed_by(state, np.random.rand) == ()  # not followed
    finally:
        np.random.set_bit_generator(usual)


@pytest.mark.parametrize(("module", "name"), [(random, "_inst"), (np.random.mtrand, "_rand")])
def test_libraries_without_what_is_looked_for_are_not_followed(monkeypatch, module, name):
    monkeypatch.delattr(module, name)
    assert len(GlobalRandomState().read()) == 3
