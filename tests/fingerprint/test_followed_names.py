"""Names of helpers, classes and import aliases: which renames are hits, and which are edits."""

import pytest

from pyplant.fingerprint import followed_names
from tests.fingerprint.helpers import load, taken


def digest(folder, source, **modules):
    for name, text in modules.items():
        load(folder, text, name)
    return taken(load(folder, source)).digest


HELPER = """
def {0}(x):
    return 2 * x
def main():
    return {0}(2)
"""
RENAMES = {
    "helper": (HELPER.format("double"), HELPER.format("twice")),
    "recursive": (
        "def main(n):\n    return fact(n)\ndef fact(n):\n    return n * fact(n - 1)",
        "def main(n):\n    return factorial(n)\ndef factorial(n):\n    return n * factorial(n - 1)",
    ),
    "in a circle": (
        "def main(x): return b(x)\ndef a(x): return b(x)\ndef b(x): return a(x - 1)",
        "def main(x): return a(x)\ndef a(x): return b(x - 1)\ndef b(x): return a(x)",
    ),
    "two helpers": (
        "def b(x):\n    return x\ndef a(x):\n    return -x\ndef main():\n    return a(1) + b(1)",
        "def a(x):\n    return x\ndef z(x):\n    return -x\ndef main():\n    return z(1) + a(1)",
    ),
    "mapped": (
        "def f(x):\n    return x\ndef main():\n    return list(map(f, [1]))",
        "def g(x):\n    return x\ndef main():\n    return list(map(g, [1]))",
    ),
    "cached": (
        "from functools import lru_cache\n@lru_cache\ndef f(x):\n    return x\ndef main():\n    return f(1)",
        "from functools import lru_cache\n@lru_cache\ndef g(x):\n    return x\ndef main():\n    return g(1)",
    ),
    "alias of a library": (
        "import math as m\ndef main():\n    return m.sqrt(m.pi)",
        "import math\ndef main():\n    return math.sqrt(math.pi)",
    ),
    "alias of a function of a library": (
        "from math import sqrt\ndef main():\n    return [sqrt, sqrt(2)]",
        "from math import sqrt as root\ndef main():\n    return [root, root(2)]",
    ),
    "alias of a class of a library": (
        "from collections import Counter\ndef main():\n    return Counter()",
        "from collections import Counter as C\ndef main():\n    return C()",
    ),
    "nested function": (
        HELPER.format("f") + "    def inner(y):\n        return f(y)",
        HELPER.format("g") + "    def inner(y):\n        return g(y)",
    ),
}


@pytest.mark.parametrize("kind", RENAMES)
def test_a_rename_with_all_uses_counts_as_nothing(tmp_path, kind):
    before, after = RENAMES[kind]
    assert digest(tmp_path, before) == digest(tmp_path, after)


def test_a_helper_and_a_module_of_the_user_may_be_renamed(tmp_path):
    module = "def {0}(x):\n    return 2 * x\nclass Model:\n    size = 2"
    found = {
        digest(tmp_path, source, **modules)
        for source, modules in [
            ("import h\ndef main():\n    return h.f(h.Model())", {"h": module.format("f")}),
            (
                "import h as helpers\ndef main():\n    return helpers.g(helpers.Model())",
                {"h": module.format("g")},
            ),
            (
                "import other as h\ndef main():\n    return h.g(h.Model())",
                {"other": module.format("g"), "h": ""},
            ),
            (
                "from h import f, Model as M\ndef main():\n    return f(M())",
                {"h": module.format("f"), "other": ""},
            ),
        ]
    }
    assert len(found) == 1


def test_what_else_is_loaded_does_not_count(tmp_path):
    source = "from h import Model\ndef main():\n    return Model()"
    alone = digest(tmp_path, source, h="class Model:\n    size = 2")
    assert digest(tmp_path, "import other\n" + source, other="class Model:\n    size = 3") == alone


@pytest.mark.parametrize("body", ["pass", "code = 1"])
def test_an_equal_exception_of_another_module_is_another_one(tmp_path, body):
    source = "import a, b\ndef main():\n    try:\n        raise a.E\n    except {}.E:\n        pass"
    modules = dict.fromkeys(["a", "b"], f"class E(Exception):\n    {body}")
    assert digest(tmp_path, source.format("a"), **modules) != digest(tmp_path, source.format("b"), **modules)


TWO = """
def double(x):
    return 2 * x
def triple(x):
    return 3 * x
"""
EQUAL = """
class A(Exception):
    pass
class B(Exception):
    pass
ONE, OTHER = [], []
SIZE = LENGTH = 3
def stop():
    pass
def go():
    pass
def local(double):
    return lambda: double
import math, cmath
"""
EDITS = {
    "another helper": ("return double(2)", "return triple(2)"),
    "the other way round": ("return double(triple(2))", "return triple(double(2))"),
    "an equal class": ("return A()", "return B()"),
    "an equal exception": (
        "try:\n        1\n    except A:\n        pass",
        "try:\n        1\n    except B:\n        pass",
    ),
    "an equal list": ("ONE.append(1); return ONE", "ONE.append(1); return OTHER"),
    "an equal number": ("return SIZE", "return LENGTH"),
    "an equal function that is a mark": ("return [stop]", "return [go]"),
    "an equal function that is passed": ("return print(stop)", "return print(go)"),
    "another attribute": ("return math.sin", "return math.cos"),
    "another library": ("return math.sin", "return cmath.sin"),
    "a local of the name": ("double = 1; return double", "double = 1; return (lambda: triple)()"),
    "a parameter of the name": ("return lambda double: double(2)", "return lambda double: triple(2)"),
    "a store": ("main.n = 1; return main.n", "main.m = 1; return main.n"),
    "a builtin": ("return min(1, 2)", "return max(1, 2)"),
    "a name that is not there": ("return nothing", "return nowhere"),
}


@pytest.mark.parametrize("kind", EDITS)
def test_another_object_is_an_edit(tmp_path, kind):
    before, after = EDITS[kind]
    first = digest(tmp_path, f"{TWO}{EQUAL}def main():\n    {before}")
    assert first != digest(tmp_path, f"{TWO}{EQUAL}def main():\n    {after}")
    assert first == digest(tmp_path, f"{TWO}{EQUAL}def main():\n    {before}")


def test_classes_of_one_name_in_two_modules_differ(tmp_path):
    modules = dict.fromkeys(["first", "second"], "class Failed(Exception):\n    pass")
    sources = [f"import first, second\ndef main():\n    raise {name}.Failed" for name in modules]
    assert len({digest(tmp_path, source, **modules) for source in sources}) == 2


def test_without_the_names_of_classes_equal_ones_are_confused(tmp_path, monkeypatch):
    monkeypatch.setattr(followed_names, "_name_of_class", lambda cls: "")
    before, after = EDITS["an equal class"]
    sources = [f"{EQUAL}def main():\n    {body}" for body in (before, after)]
    assert len({digest(tmp_path, source) for source in sources}) == 1


def test_a_renamed_helper_counts_if_code_reads_its_name(tmp_path):
    def source(name):
        return f"def {name}(x):\n    return x\ndef main():\n    return {name}(1), {name}.__name__"

    assert digest(tmp_path, source("f")) != digest(tmp_path, source("g"))


def test_an_edit_of_a_renamed_helper_is_an_edit(tmp_path):
    assert digest(tmp_path, HELPER.format("double")) != digest(
        tmp_path, HELPER.format("twice").replace("2 * x", "3 * x")
    )
