"""A name or attribute that a reactor fills while it runs is state, and nothing else is."""

from typing import NamedTuple

import pytest

from pyplant.fingerprint.code_records import part_name, whole_and_part
from pyplant.fingerprint.fingerprint import Fingerprinter
from tests.fingerprint.helpers import load


class Case(NamedTuple):
    """A text, the names in it that are state, and edits that must still count."""

    text: str
    state: set
    seen: list


HANDLE = """
class Library:
    handle = None
    retries = 3
    @classmethod
    def open(cls):
        if cls.handle is None:
            cls.handle = {made}
        return cls.handle
class Array:
    class Uneven(Warning): pass
    @classmethod
    def check(cls, value):
        if value < 0: raise Array.Uneven
        return value + 1
    @property
    def size(self): return Array and 5
    @staticmethod
    def plain(x): return Array and x + 6
    def read(self, value):
        Library.open()
        return self.check(value)
def main(): return Array().read(3)
"""
OF_HANDLE = [
    ("value + 1", "value + 2"),
    ("and 5", "and 7"),
    ("x + 6", "x + 7"),
    ("retries = 3", "retries = 4"),
    ("return cls.handle", "return [cls.handle]"),
]
CLIENT = """
import functools
class Session:
    timeout = 3
    def __init__(self): self.cookies = []
    def get(self, url): return url * 2
class Client:
    def __init__(self, url, limits):
        self.url = url
        self.limits = limits
        {before}
    @functools.cached_property
    def size(self): return len(self.url) + 1
    def fetch(self):
        {fill}
        return self.url + "/"
client = Client("http://a", {{"rows": [5]}})
def main(): return client.fetch(), {use}
"""
OF_CLIENT = [
    ('"http://a"', '"http://b"'),
    ("[5]", "[6]"),
    ('self.url + "/"', 'self.url + "//"'),
    ("len(self.url) + 1", "len(self.url) + 2"),
]
SESSION = "if getattr(self, 'session', None) is None: self.session = Session()"

CASES = {
    "class attribute, a handle": Case(
        HANDLE.format(made="object()"), {("code.Library", "handle")}, OF_HANDLE
    ),
    "class attribute, a container": Case(
        HANDLE.format(made="{'a': 1}"), {("code.Library", "handle")}, OF_HANDLE
    ),
    "class attribute, an object of mine": Case(
        HANDLE.format(made="Array()"), {("code.Library", "handle")}, OF_HANDLE
    ),
    "class attribute, a module": Case(
        HANDLE.format(made="__import__('json')"), {("code.Library", "handle")}, OF_HANDLE
    ),
    "class attribute, a class": Case(HANDLE.format(made="Array"), {("code.Library", "handle")}, OF_HANDLE),
    "class attribute that was not there": Case(
        HANDLE.format(made="object()")
        .replace("    handle = None\n", "")
        .replace("cls.handle is", "getattr(cls, 'handle', None) is"),
        {("code.Library", "handle")},
        OF_HANDLE,
    ),
    "attribute of a subclass": Case(
        HANDLE.format(made="object()")
        + "class Special(Library): pass\ndef main(): return Special.open(), Array().check(1)",
        {("code.Special", "handle")},
        OF_HANDLE,
    ),
    "attribute of an object": Case(
        CLIENT.format(before="self.session = None", fill=SESSION, use=1),
        {("code", "client [code.Client.session]")},
        OF_CLIENT,
    ),
    "attribute of an object that was not there": Case(
        CLIENT.format(before="", fill=SESSION, use=1), {("code", "client [code.Client.session]")}, OF_CLIENT
    ),
    "only attribute of an object": Case(
        "class A:\n def get(self):\n  self.x = 1\n  return 2\na = A()\ndef main(): return a.get()",
        {("code", "a [code.A.x]")},
        [("return 2", "return 3")],
    ),
    "slot of an object": Case(
        "class A:\n __slots__ = ('x', 'y')\n def get(self):\n  self.x = 1\n  return 2\n"
        "a = A()\na.y = 4\ndef main(): return a.get()",
        {("code", "a [code.A.x]")},
        [("return 2", "return 3"), ("a.y = 4", "a.y = 5")],
    ),
    "cached property": Case(
        CLIENT.format(before="", fill="pass", use="client.size"),
        {("code", "client [code.Client.size]")},
        OF_CLIENT,
    ),
    "counter of an object": Case(
        CLIENT.format(before="self.calls = 0", fill="self.calls += 1", use=1),
        {("code", "client [code.Client.calls]")},
        OF_CLIENT,
    ),
    "container in an object": Case(
        CLIENT.format(
            before="self.cache = {{}}".replace("{{}}", "{}"), fill="self.cache[self.url] = [1]", use=1
        ),
        {("code", "client [code.Client.cache]")},
        OF_CLIENT,
    ),
    "attribute of an object in an object": Case(
        CLIENT.format(before="self.session = Session()", fill="self.session.cookies.append(1)", use=1),
        {("code", "client [code.Session.cookies]")},
        [*OF_CLIENT, ("timeout = 3", "timeout = 4"), ("url * 2", "url * 3")],
    ),
    "attribute of an object in a container": Case(
        CLIENT.format(before="self.session = None", fill=SESSION, use=1)
        .replace("client = Client", "clients = [0, Client")
        .replace("[5]})", "[5]})]")
        .replace("client.fetch", "clients[1].fetch"),
        {("code", "clients [code.Client.session]")},
        [*OF_CLIENT, ("[0,", "[1,")],
    ),
    "attribute of a dataclass": Case(
        "import dataclasses\n@dataclasses.dataclass\nclass A:\n x: int\n y: int = 3\n def get(self):\n"
        "  self.x += 1\n  return 2\na = A(1)\ndef main(): return a.get()",
        {("code", "a [code.A.x]")},
        [("return 2", "return 4"), ("y: int = 3", "y: int = 4")],
    ),
    "attribute of an object that answers every attribute": Case(
        "class A:\n def __init__(self, n): self.n = n\n def __getattr__(self, name): return None\n def get(self):\n"
        "  self.x = 1\n  return 2\na = A(3)\ndef main(): return a.get()",
        {("code", "a [code.A.x]")},
        [("return 2", "return 4"), ("A(3)", "A(4)")],
    ),
    "global": Case(
        "cache = None\nlimit = 3\ndef fill():\n globals()['cache'] = [1]\n return 5\n"
        "def main(): return fill(), cache, limit",
        {("code", "cache")},
        [("limit = 3", "limit = 4"), ("return 5", "return 6")],
    ),
    "global container": Case(
        "cache, limits = {}, {'a': 3}\ndef main():\n cache['a'] = 1\n return limits",
        {("code", "cache")},
        [("'a': 3", "'a': 4"), ("return limits", "return [limits]")],
    ),
    "default": Case(
        "def helper(): return 5\ndef main(x=3, cache={}, *, key=4):\n cache[x] = key\n return helper()",
        {("code.main", "default 1")},
        [("x=3", "x=4"), ("key=4", "key=5"), ("return 5", "return 6")],
    ),
    "default, beside an import inside": Case(
        "def main(cache={}):\n import helpers_of_state\n cache[1] = 2\n return helpers_of_state.f() + 1",
        {("code.main", "default 0")},
        [("+ 1", "+ 2")],
    ),
    "attribute of a function": Case(
        "def h():\n h.n = 1\n return h.m\nh.m = 3\ndef main(): return h()",
        {("code.h", "attribute n")},
        [("h.m = 3", "h.m = 4"), ("return h.m", "return [h.m]")],
    ),
    "closure of a decorator": Case(
        "import functools\ndef memo(f):\n cache = {}\n @functools.wraps(f)\n def w(x):\n  cache[x] = f(x) + 7\n"
        "  return cache[x]\n return w\n@memo\ndef h(x): return x + 1\ndef main(): return h(1)",
        {("code.h (memo.<locals>.w)", "cache")},
        [("x + 1", "x + 2"), ("f(x) + 7", "f(x) + 8")],
    ),
    "object that two modules name": Case(
        CLIENT.format(before="", fill=SESSION, use="other.used()")
        + "import types, sys\nother = types.ModuleType('code_other')\nsys.modules['code_other'] = other\n"
        "other.__file__ = __file__\nother.client = client\n"
        "exec(compile('def used(): return client.url', __file__, 'exec'), vars(other))\n",
        {("code", "client [code.Client.session]"), ("code_other", "client [code.Client.session]")},
        OF_CLIENT,
    ),
    "nothing: a cached function": Case(
        "import functools\n@functools.lru_cache\ndef h(x): return x + 1\ndef main(): return h(1)",
        set(),
        [("x + 1", "x + 2")],
    ),
    "nothing: a cached method": Case(
        "import functools\nclass A:\n n = 1\n @functools.lru_cache\n def h(self, x): return x + 1\na = A()\n"
        "def main(): return a.h(1)",
        set(),
        [("x + 1", "x + 2"), ("n = 1", "n = 2")],
    ),
}


def process(folder, text, state=()):
    """Run main() once in a new module; return the fingerprints before and after, and the state names."""
    module = load(folder, text)
    fingerprinter = Fingerprinter()
    fingerprinter.add_state(set(state))
    before = fingerprinter.fingerprint(module.main).digest
    module.main()
    fingerprinter.begin_generation()
    after = fingerprinter.fingerprint(module.main).digest
    names = fingerprinter.changed_names(before, after)
    assert names is not None
    fingerprinter.add_state(names)
    return before, fingerprinter.fingerprint(module.main).digest, names


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_only_a_lazily_filled_name_is_state(tmp_path, case):
    load(tmp_path, "def f(): return 1", "helpers_of_state")
    _, settled, names = process(tmp_path, case.text)
    assert names == case.state
    before, after, again = process(tmp_path, case.text, names)
    assert before == after == settled
    assert again == set()
    for old, new in case.seen:
        assert old in case.text
        edited, settled_edit, others = process(tmp_path, case.text.replace(old, new), names)
        assert settled_edit == edited != settled
        assert others == set()


def test_an_import_inside_a_function_is_followed_although_a_default_is_state(tmp_path):
    text = "def main(cache={}):\n import helpers_of_state\n cache[1] = 2\n return helpers_of_state.f()"
    load(tmp_path, "def f(): return 1", "helpers_of_state")
    _, settled, names = process(tmp_path, text)
    load(tmp_path, "def f(): return 2", "helpers_of_state")
    assert process(tmp_path, text, names)[0] != settled


def test_a_filled_attribute_is_state_under_the_name_of_its_object(tmp_path):
    text = "class A: x = None\na, b = A(), A()\nb.x = {}\ndef main():\n a.x = 1\n return b.x"
    _, settled, names = process(tmp_path, text.format(5))
    assert process(tmp_path, text.format(6), names)[0] != settled


def test_changed_code_is_no_state(tmp_path):
    module = load(
        tmp_path, "def h(): return 1\nclass A:\n def f(self): return 1\ndef main(): return h(), A()"
    )
    for change in (
        lambda: setattr(module, "h", load(tmp_path, "def h(): return 2", "other").h),
        lambda: setattr(module.A, "f", lambda self: 2),
        lambda: setattr(module.A, "g", lambda self: 2),
    ):
        fingerprinter = Fingerprinter()
        before = fingerprinter.fingerprint(module.main).digest
        change()
        fingerprinter.begin_generation()
        assert fingerprinter.changed_names(before, fingerprinter.fingerprint(module.main).digest) is None


def test_a_large_value_is_state_as_a_whole(tmp_path):
    text = (
        "class A:\n def __init__(self): self.n = 0\nall_of_them = [A() for _ in range(2_000)]\n"
        "def main(): all_of_them[5].n = 1"
    )
    assert process(tmp_path, text)[2] == {("code", "all_of_them")}


def test_the_state_name_of_an_attribute_can_be_parsed():
    assert whole_and_part(part_name("client", "code.Client.session")) == ("client", "code.Client.session")
    assert whole_and_part("client") == ("client", "")
