"""User code that code finds by a text, and user code in installed modules."""

import builtins
import importlib
import math
import sys

import pytest

from pyplant import Plant
from pyplant.fingerprint.fingerprint import Fingerprinter
from tests.fingerprint.helpers import load, taken

FOUND = [
    "import importlib\ndef main(): return importlib.import_module('other_module').f()",
    "import importlib\ndef main():\n m = importlib.import_module('other_module')\n return m.f()",
    "from importlib import import_module\ndef main():\n m = import_module('other_module')\n return getattr(m, 'f')()",
    "def main(): return __import__('other_module').f()",
    "import sys, other_module\ndef main(): return sys.modules['other_module'].f()",
    "from other_module import f\ndef main(): return eval('f() + 1')",
    "from other_module import f\ndef main(): exec('x = f()')",
    "from other_module import f\ndef main(): return globals()['f']()",
    "from other_module import f\ndef main(x): return globals()[x]()",
    "from other_module import f\ndef main(x): return eval(x)",
    "import sys\nfrom other_module import f\ndef main(x): return getattr(sys.modules[__name__], x)()",
    "import other_module\ndef main(): return getattr(other_module, 'f')()",
    "import builtins\nfrom other_module import f\ndef main(): return builtins.eval('f()')",
    "import pydoc\ndef main(): return pydoc.locate('other_module.f')()",
    "import pkgutil\ndef main(): return pkgutil.resolve_name('other_module:f')()",
    "import sys, other_module\ndef main(x): return sys.modules[x].f()",
    "import sys, other_module\ndef main(x): return sys.modules.get(x).f()",
    "import sys, other_module\ndef main(): return sys.modules.get('other_module').f()",
    "import other_module\ndef main(x): return __import__(x).f()",
    "import pydoc, other_module\ndef main(x): return pydoc.locate(x)()",
    "from other_module import f\nF = f()\ndef main(table): return table.query('a > @F')",
    "from other_module import f\nF = f()\ndef main(table): return table.eval('a + @F')",
]


@pytest.mark.parametrize("text", FOUND)
def test_code_that_is_found_by_a_text_counts(tmp_path, text):
    other = tmp_path / "other_module.py"

    def fingerprint(number):
        other.write_text(f"def f(): return {number}\ndef unused(): return 1\n", encoding="utf-8")
        sys.modules.pop("other_module", None)
        importlib.invalidate_caches()
        return taken(load(tmp_path, text)).digest

    assert fingerprint(1) == fingerprint(1)
    assert fingerprint(1) != fingerprint(20)


def test_an_unused_function_of_a_module_that_is_imported_by_name_does_not_count(tmp_path):
    text = "import importlib\ndef main():\n m = importlib.import_module('other_module')\n return m.f()"
    found = []
    for number in (1, 20):
        (tmp_path / "other_module.py").write_text(
            f"def f(): return 1\ndef g(): return {number}\n", encoding="utf-8"
        )
        sys.modules.pop("other_module", None)
        importlib.invalidate_caches()
        found.append(taken(load(tmp_path, text)).digest)
    assert found[0] == found[1]


@pytest.mark.parametrize(
    "text",
    [
        "def main(): return eval('1 + 1')",
        "import pandas\ndef main(table): return table.query('a > 1')",
        "def main(x): return eval(x, {})",
        "def main(self): return self.modules[0]",
        "def main(x): return globals",
        "def main(x): return x.modules.get('a')",
    ],
)
def test_other_globals_do_not_count_for_code_that_cannot_find_them(tmp_path, text):
    one, two = (taken(load(tmp_path, f"N = {n}\n{text}")) for n in (1, 2))
    assert one.digest == two.digest
    assert [note for note in one.notes if note.kind == "widened"] == []


def test_code_that_may_find_any_global_is_noted(tmp_path):
    found = taken(load(tmp_path, "N = 1\ndef main(x): return globals()[x]"))
    assert [note.kind for note in found.notes] == ["widened"]


@pytest.mark.parametrize(
    "text", ["_SCALE = {n}", "import helpers_{n} as helpers", "import helpers_{n} as _helpers"]
)
def test_any_global_may_be_private_or_a_module(tmp_path, monkeypatch, text):
    monkeypatch.syspath_prepend(tmp_path)
    digests = set()
    for n in (1, 2):
        (tmp_path / f"helpers_{n}.py").write_text(f"def f(): return {n}")
        digests.add(taken(load(tmp_path, f"{text.format(n=n)}\ndef main(x): return eval(x)")).digest)
    assert len(digests) == 2


def test_what_a_notebook_keeps_for_itself_is_not_taken_for_any_global(tmp_path):
    module = load(tmp_path, "def main(x): return eval(x)")
    before = taken(module).digest
    for name in ("In", "Out", "_", "__", "_12", "_i", "_ii", "_i3", "_oh", "_ih", "_dh"):
        setattr(module, name, [name])
    assert taken(module).digest == before


@pytest.mark.parametrize(
    "code",
    ["table.query(text)", "table.eval(text)", "table.eval(f'a + {x}' + text)", "table.query(expr=text)"],
)
def test_a_variable_that_a_query_of_a_table_names_counts(tmp_path, code):
    text = f"def main(table, x, y):\n    text = 'a > @N'\n    return {code}"
    one, two = (taken(load(tmp_path, f"N = {n}\n{text}")) for n in (1, 2))
    assert one.digest != two.digest


def test_code_that_may_find_any_global_does_not_depend_on_the_plant_and_its_reports(tmp_path):
    """``with Plant(...) as plant`` in a script makes a global, and each run has another report."""
    module = load(tmp_path, "N = 1\ndef main(x): return globals()[x]")
    before = taken(module).digest
    with Plant(tmp_path / "plant", progress=False) as module.plant:
        module.status = module.plant.status()
        assert taken(module).digest == before
    module.N = 2
    assert taken(module).digest != before


def test_a_function_that_the_user_put_into_an_installed_module_counts(tmp_path, monkeypatch):
    module = load(tmp_path, "import math\ndef main(): return math.sqrt(4)")
    fingerprinter = Fingerprinter()
    plain = fingerprinter.fingerprint(module.main).digest
    found = []
    for number in (1, 2):
        monkeypatch.setattr(math, "sqrt", load(tmp_path, f"def f(x): return {number}").f)
        fingerprinter.begin_generation()
        found.append(fingerprinter.fingerprint(module.main).digest)
        assert taken(module).digest == found[-1]
    assert len({plain, *found}) == 3
    monkeypatch.undo()
    fingerprinter.begin_generation()
    assert fingerprinter.fingerprint(module.main).digest == plain


def test_a_method_that_the_user_put_into_an_installed_class_counts(tmp_path, monkeypatch):
    import json

    module = load(tmp_path, "import json\ndef main(): return json.JSONEncoder.default(1)")
    found = [taken(module).digest]
    for number in (1, 2):
        monkeypatch.setattr(json.JSONEncoder, "default", load(tmp_path, f"def f(x): return {number}").f)
        found.append(taken(module).digest)
    assert len(set(found)) == 3


def test_a_builtin_of_the_user_counts(tmp_path, monkeypatch):
    module = load(tmp_path, "def main(): return helper(), divmod(1, 2)")
    fingerprinter = Fingerprinter()
    found = [fingerprinter.fingerprint(module.main).digest]
    for name, number in (("helper", 1), ("helper", 2), ("divmod", 3)):
        monkeypatch.setattr(builtins, name, load(tmp_path, f"def f(x): return {number}").f, raising=False)
        fingerprinter.begin_generation()
        found.append(fingerprinter.fingerprint(module.main).digest)
    assert len(set(found)) == 4


def test_an_accessor_of_a_table_counts_where_its_name_is_used(tmp_path, monkeypatch):
    pandas = pytest.importorskip("pandas")
    module = load(
        tmp_path,
        "def main(table): return table.mine.total()\ndef by_text(table): return getattr(table, 'mine')\ndef other(table): return table.sum()",
    )
    found, by_text, others = [], [], []
    for number in (1, 2):
        accessor = load(
            tmp_path, f"class Mine:\n def __init__(self, table): pass\n def total(self): return {number}"
        )
        pandas.api.extensions.register_dataframe_accessor("mine")(accessor.Mine)
        found.append(taken(module).digest)
        by_text.append(taken(module, "by_text").digest)
        others.append(taken(module, "other").digest)
        monkeypatch.delattr(pandas.DataFrame, "mine")
    assert found[0] != found[1]
    assert by_text[0] != by_text[1]
    assert others[0] == others[1]


def test_a_text_names_an_accessor_only_where_attributes_are_asked_for_by_texts(monkeypatch):
    pandas = pytest.importorskip("pandas")

    class Mine:
        pass

    def with_text(x):
        return "named_here"

    def with_getattr(x):
        return getattr(x, "named_here")  # noqa: B009 - what is tested

    before = [Fingerprinter().fingerprint(function).digest for function in (with_text, with_getattr)]
    # With a name that no text of this module gives, as a library registers it: an assignment would count by its text.
    monkeypatch.setattr(pandas.DataFrame, "_".join(["named", "here"]), Mine, raising=False)
    after = [Fingerprinter().fingerprint(function).digest for function in (with_text, with_getattr)]
    assert before[0] == after[0]
    assert before[1] != after[1]
