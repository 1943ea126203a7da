"""Names that code finds by texts that only a run determines."""

import importlib.abc
import importlib.machinery
import json
import sys
import types

import pytest

from tests.fingerprint.helpers import load, taken

HELPER = "def helper(): return {}\n"
FOUND = {
    "alias": "find = eval\ndef main(x): return find(x)",
    "default": "def main(x, find=eval): return find(x)",
    "partial": "import functools\nfind = functools.partial(eval)\ndef main(x): return find(x, globals())",
    "static method": "class A: find = staticmethod(eval)\ndef main(x): return A.find(x)",
    "closure": "def make(find):\n    def main(x): return find(x)\n    return main\nmain = make(eval)",
    "globals": "find = globals\ndef main(x): return find()[x]()",
    "passed on": "def main(x): return list(map(eval, x))",
    "in a list": "def main(x): return [globals].pop()()[x]()",
    "formula": "import patsy as sm\ndef main(x): return sm.dmatrices('y ~ helper(x)', x)",
    "formula in a variable": (
        "import patsy as sm\nF = 'y ~ helper(x)'\ndef main(x): return sm.dmatrices(F, x)"
    ),
    "formula in a list": (
        "import patsy as sm\nF = ['y ~ helper(x)']\ndef main(x): return sm.dmatrices(F[0], x)"
    ),
    "query in a variable": "Q = 'a > @helper()'\ndef main(x): return x.query(Q)",
}
NOT_FOUND = {
    "a call": "find = len\ndef main(x): return find(x)",
    "a text without names": "import patsy as sm\ndef main(x): return sm.dmatrices('y ~ x', x)",
    "a text for others": "Q = 'a > @helper()'\ndef main(x): return x.find(Q)",
}


@pytest.fixture(autouse=True)
def patsy(monkeypatch):
    """A library for formulas that is installed."""
    library = types.ModuleType("patsy")
    library.__file__ = json.__file__
    monkeypatch.setitem(sys.modules, "patsy", library)


@pytest.mark.parametrize("kind", FOUND)
def test_a_helper_that_code_finds_by_a_text_counts(tmp_path, kind):
    one, two, same = (taken(load(tmp_path, HELPER.format(n) + FOUND[kind])).digest for n in (1, 2, 1))
    assert one == same != two


@pytest.mark.parametrize("kind", NOT_FOUND)
def test_a_helper_that_code_does_not_find_does_not_count(tmp_path, kind):
    one, two = (taken(load(tmp_path, HELPER.format(n) + NOT_FOUND[kind])).digest for n in (1, 2))
    assert one == two


def test_a_module_that_is_passed_on_counts_with_what_users_assign(tmp_path):
    text = "import textwrap\ntextwrap.NUMBER = {}\nheld = [textwrap]\ndef main(): return held[0].NUMBER"
    one, two = (taken(load(tmp_path, text.format(n))).digest for n in (1, 2))
    assert one != two


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Makes a module with one number."""

    def __init__(self, number):
        self.number = number

    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == "made_in_memory" else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        module.number = self.number


@pytest.fixture
def imported(monkeypatch):
    yield lambda number: monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder(number)])
    sys.modules.pop("made_in_memory", None)


def test_a_module_that_a_users_finder_makes_counts_before_it_is_imported(tmp_path, imported):
    module = load(tmp_path, "def main():\n    import made_in_memory\n    return made_in_memory.number")
    imported(1)
    before = taken(module).digest
    assert module.main() == 1
    assert taken(module).digest == before
    del sys.modules["made_in_memory"]
    sys.meta_path.pop()
    imported(2)
    assert taken(module).digest != before
