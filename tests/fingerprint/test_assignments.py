"""Attributes of installed modules and classes that user code assigns."""

import builtins
import json
import math
import sys

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.fingerprint import assignments
from pyplant.fingerprint.fingerprint import Fingerprinter
from tests.fingerprint.helpers import again, load, taken

PATCHES = {
    "method that the package calls": (
        "import json\ndef f(self, o): return {}\njson.JSONEncoder.default = f\ndef main(x): return json.dumps(x)"
    ),
    "function from inside": (
        "import textwrap\ntextwrap.TextWrapper.fill = lambda self, text: {}\ndef main(x): return textwrap.fill(x)"
    ),
    "imported function": (
        "import json\ndef f(self, o): return {}\njson.JSONEncoder.default = f\n"
        "def main(x):\n from json import dumps\n return dumps(x)"
    ),
    "set by name": (
        "import json\ndef f(self, o): return {}\nsetattr(json.JSONEncoder, 'default', f)\ndef main(x): return json.dumps(x)"
    ),
    "set in a function": (
        "def f(self, o): return {}\ndef apply():\n    import json\n    json.JSONEncoder.default = f\napply()\n"
        "import json\ndef main(x): return json.dumps(x)"
    ),
    "method by its name": (
        "import fractions\nfractions.Fraction.twice = lambda self: self * {}\ndef main(x): return x.twice()"
    ),
    "method by a text": (
        "import fractions\nfractions.Fraction.twice = lambda self: self * {}\ndef main(x): return getattr(x, 'twice')()"
    ),
    "number of a module": "import math\nmath.number = {}\ndef main(): return math.number",
    "number that a module has": "import math\nmath.pi = {}\ndef main(): return math.pi",
    "name for all modules": "import builtins\nbuiltins.number = {}\ndef main(): return number",
    "option of a package": "import textwrap\ntextwrap.OPTION = {}\ndef main(x): return textwrap.dedent(x)",
    "list that is named": "import textwrap\ntextwrap.OPTIONS = [{}]\ndef main(): return textwrap.OPTIONS",
    "attribute of a class": "import textwrap\ntextwrap.TextWrapper.x = {}\ndef main(): return textwrap.TextWrapper.x",
    "other function of a library": (
        "import json, math\nmath.sqrt = [json.dumps, json.loads][{}]\ndef main(x): return math.floor(x)"
    ),
    "an argument of the interpreter": "import sys\nsys.number = {}\ndef main(): return sys.number",
}
WITHOUT = {
    "another package": "import json, math\njson.number = {}\ndef main(): return math.sqrt(4)",
    "of the interpreter": "import sys\nsys.number = {}\ndef main(): return sys.maxsize",
    "an attribute of an object": (
        "import json\nclass A: pass\na = A()\na.b = {}\ndef main(x): return json.dumps(x)"
    ),
    "a list that is not named": "import textwrap\ntextwrap.OPTIONS = [{}]\ndef main(x): return textwrap.dedent(x)",
    "a comparison": "import math\n(math.pi == {})\ndef main(): return math.pi",
    "a stream": "import io, sys\nsys.stdout = sys.stdout or io.StringIO('{}')\ndef main(): return sys.stdout",
}


ORIGINALS = {
    "from compiled code": "import os\nif False:\n    os.stat = None\ndef main(x): return os.stat(x)",
    "from another module": "import os\nif False:\n    os.path.isfile = None\ndef main(x): return os.path.isfile(x)",
    "of an object": "import random\nif False:\n    random.randint = None\ndef main(): return random.randint(1, 2)",
    "of compiled code": "import random\nif False:\n    random.random = None\ndef main(): return random.random()",
    "a class": "import io\nif False:\n    io.StringIO = None\ndef main(): return io.StringIO()",
}


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Undo what the modules assign, and forget it."""
    import fractions
    import textwrap

    monkeypatch.setattr(assignments, "_all", [])
    monkeypatch.setattr(assignments, "_seen", {})
    monkeypatch.setattr(assignments, "_last", "")
    holders = (json.JSONEncoder, textwrap.TextWrapper, fractions.Fraction, textwrap, math, json)
    before = [dict(vars(holder)) for holder in holders]
    yield
    vars(sys).pop("number", None)
    vars(builtins).pop("number", None)
    for holder, names in zip(holders, before, strict=True):
        for name in set(vars(holder)) - names.keys():
            delattr(holder, name)
        for name, value in names.items():
            if vars(holder).get(name) is not value:
                setattr(holder, name, value)


@pytest.mark.parametrize("kind", PATCHES)
def test_what_user_code_assigns_counts_where_the_package_is_used(tmp_path, kind):
    one, two, same = (taken(load(tmp_path, PATCHES[kind].format(number))).digest for number in (0, 1, 0))
    assert one == same != two


@pytest.mark.parametrize("kind", WITHOUT)
def test_other_assignments_do_not_count(tmp_path, kind):
    one, two = (taken(load(tmp_path, WITHOUT[kind].format(number))).digest for number in (0, 1))
    assert one == two


def test_a_text_about_an_assignment_that_nobody_made_does_not_count(tmp_path):
    text = "import json\ndef main(x): return json.dumps(x)"
    plain = taken(load(tmp_path, text)).digest
    load(
        tmp_path, "import json\ndef unused(f):\n    json.dumps = f\n    json.JSONEncoder.default = f", "other"
    )
    assert taken(load(tmp_path, text)).digest == plain


def test_an_assignment_in_a_later_module_or_cell_counts(tmp_path, monkeypatch):
    module = load(tmp_path, "import json\ndef main(x): return json.dumps(x)")
    fingerprinter = Fingerprinter()
    found = [fingerprinter.fingerprint(module.main).digest]
    load(tmp_path, "import json\njson.JSONEncoder.default = lambda self, x: 1", "other")
    fingerprinter.begin_generation()
    found.append(fingerprinter.fingerprint(module.main).digest)
    cell = "json.JSONEncoder.item_separator = '; '\n"
    monkeypatch.setitem(vars(sys.modules["__main__"]), "In", ["", cell])
    monkeypatch.setattr(assignments, "_cells", 0)
    monkeypatch.setitem(vars(sys.modules["__main__"]), "json", json)
    again(module, cell)
    fingerprinter.begin_generation()
    found.append(fingerprinter.fingerprint(module.main).digest)
    assert len(set(found)) == 3


def default(self, value):
    return 1


@ReactorFunc
def patches(pipe):
    json.JSONEncoder.default = default
    json.JSONEncoder.answer = default
    pipe.send("text", json.dumps(object()))


def test_what_a_reactor_assigns_is_an_effect_of_its_own_code(tmp_path):
    original = json.JSONEncoder.default
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactors(patches)
        assert plant.run_reactor(patches).ran == ("patches",)
    json.JSONEncoder.default = original
    del json.JSONEncoder.answer
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactors(patches)
        assert plant.run_reactor(patches).ran == ()


@pytest.mark.parametrize("text", ORIGINALS.values(), ids=ORIGINALS)
def test_what_a_package_has_without_the_user_does_not_count(tmp_path, text):
    """The text of a test tells of assignments, and other processes have not read it."""
    plain = taken(load(tmp_path, text.replace(" = None", "")))
    found = taken(load(tmp_path, text))
    assert assignments.assigned_attributes()
    assert plain.digest == found.digest
