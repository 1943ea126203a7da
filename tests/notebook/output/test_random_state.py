"""Changes of the global random state are detected."""

# ruff: noqa: NPY002 - these tests are about the global state

import importlib
import random
import sys

import numpy as np
import pytest

from pyplant.notebook.output.random_state import changed, read


@pytest.fixture(autouse=True)
def _restored():
    saved = random.getstate(), np.random.get_state()
    yield
    random.setstate(saved[0])
    np.random.set_state(saved[1])


def changed_by(action):
    before = read()
    action()
    return changed(before, read())


@pytest.mark.parametrize(
    ("action", "names"),
    [
        (lambda: None, ()),
        (random.random, ("random",)),
        (lambda: random.seed(1), ("random",)),
        (
            lambda: [random.random() for _ in range(312)],
            ("random",),
        ),  # a whole block: the position is the same again
        (np.random.rand, ("numpy.random",)),
        (lambda: np.random.seed(1), ("numpy.random",)),
        (lambda: np.random.rand(312), ("numpy.random",)),
        (lambda: np.random.default_rng(1).random(), ()),
        (lambda: random.Random(1).random(), ()),
        (lambda: (random.random(), np.random.rand()), ("random", "numpy.random")),
    ],
)
def test_changes_are_named(action, names):
    assert changed_by(action) == names


def test_a_restored_state_has_not_changed():
    def borrow():
        kept = random.getstate(), np.random.get_state()
        random.random()
        np.random.rand()
        random.setstate(kept[0])
        np.random.set_state(kept[1])

    assert changed_by(borrow) == ()


def test_draws_of_a_module_that_is_imported_are_not_reported(tmp_path, monkeypatch):
    (tmp_path / "draws_when_loaded.py").write_text("import random\nrandom.random()\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    try:
        assert changed_by(lambda: importlib.import_module("draws_when_loaded")) == ()
        assert changed_by(lambda: importlib.reload(sys.modules["draws_when_loaded"])) == ("random",)
    finally:
        sys.modules.pop("draws_when_loaded", None)


def test_numpys_state_is_compared_even_where_modules_are_imported(monkeypatch):
    def both():
        monkeypatch.setitem(sys.modules, "loaded_just_now", sys)
        np.random.rand()

    assert changed_by(both) == ("numpy.random",)


@pytest.mark.parametrize("kind", [np.random.MT19937, np.random.PCG64, np.random.Philox, np.random.SFC64])
def test_another_generator_of_numpys_is_a_change_and_followed(kind):
    usual = np.random.get_bit_generator()
    try:
        assert changed_by(lambda: np.random.set_bit_generator(kind(7))) == ("numpy.random",)
        assert changed_by(np.random.rand) == ("numpy.random",)
        assert changed_by(lambda: None) == ()
    finally:
        np.random.set_bit_generator(usual)


def test_numpy_random_is_not_imported_to_be_read(monkeypatch):
    monkeypatch.delitem(sys.modules, "numpy.random")
    before = read()
    assert before.of_numpy is None
    assert "numpy.random" not in sys.modules
    monkeypatch.undo()
    assert changed(before, read()) == ()
