"""Code objects: their digests, and the names they read."""

import types

import pytest

from pyplant.fingerprint.bytecode import code_digest, nested, read_names, scan
from pyplant.fingerprint.hints import Hint, NameKind


def code(text, name="f"):
    module = compile(text, "<text>", "exec", dont_inherit=True)
    return next(part for part in nested(module) if part.co_name == name)


DIFFERENT = {
    "constant": ("def f(): return 1", "def f(): return 2"),
    "type of a constant": ("def f(): return 1", "def f(): return 1.0"),
    "sign of zero": ("def f(): return 0.0", "def f(): return -0.0"),
    "set constant": ("def f(x): return x in {1, 2}", "def f(x): return x in {1, 3}"),
    "type in a tuple constant": ("def f(): return (1, 2)", "def f(): return (1, True)"),
    "operation": ("def f(x): return x + 1", "def f(x): return x - 1"),
    "name": ("def f(): return a", "def f(): return b"),
    "attribute": ("def f(x): return x.a", "def f(x): return x.b"),
    "nested code": ("def f(): return lambda: 1", "def f(): return lambda: 2"),
    "parameter": ("def f(a): return 1", "def f(b): return 1"),
    "kind of a parameter": ("def f(a): return 1", "def f(*, a): return 1"),
    "generator": ("def f(): return 1", "def f():\n return 1\n yield"),
    "handler": ("def f():\n a()\n b()", "def f():\n try: a()\n except E: pass\n b()"),
    "first constant": ("def f(x): x('a')", "def f(x): x('b')"),
}

EQUAL = {
    "position": ("def f(): return 1", "\n\n\ndef f(): return 1"),
    "other docstring": ("def f():\n 'One.'\n return 1", "def f():\n 'Two.'\n return 1"),
    "comment": ("def f(): return 1", "def f():\n # a\n return 1 # b"),
    "annotation": ("def f(x): return x", "def f(x: int) -> str: return x"),
}


@pytest.mark.parametrize(("left", "right"), DIFFERENT.values(), ids=DIFFERENT)
def test_different_code_has_different_digests(left, right):
    assert code_digest(code(left)) != code_digest(code(right))


@pytest.mark.parametrize(("left", "right"), EQUAL.values(), ids=EQUAL)
def test_code_that_does_not_run_does_not_count(left, right):
    assert code_digest(code(left)) == code_digest(code(right))


def test_the_name_and_the_file_do_not_count():
    original = code("def f(): return 1")
    renamed = original.replace(co_name="g", co_qualname="A.g", co_filename="elsewhere.py")
    assert code_digest(renamed) == code_digest(original)


def test_the_docstring_of_a_module_level_lambda_is_its_first_constant_and_counts():
    assert code_digest(code("f = lambda: 'a'", "<lambda>")) != code_digest(
        code("f = lambda: 'b'", "<lambda>")
    )


def test_code_that_has_run_keeps_its_digest():
    text = "def f(x):\n s = 0\n for i in range(x):\n  s += i\n return s"
    function = types.FunctionType(code(text), {"__builtins__": __builtins__})
    before = code_digest(function.__code__)
    for _ in range(100):
        function(100)
    assert code_digest(function.__code__.replace()) == before == code_digest(code(text))


def test_nested_code_is_found_at_any_depth():
    text = "def f():\n class A:\n  def g(self): return lambda: [i for i in ()]"
    assert {part.co_name for part in nested(code(text))} >= {"f", "A", "g", "<lambda>"}


def test_names_read_and_rebound_are_found_in_nested_code():
    text = (
        "def f(a):\n global r, d\n r = 1\n del d\n b = 1\n"
        " class C:\n  x = read_in_class\n"
        " return (lambda: read_in_lambda + b)() + read.attribute"
    )
    read, rebound = read_names(code(text))
    assert read >= {"read", "read_in_class", "read_in_lambda"}
    assert not read & {"a", "b", "attribute", "x"}
    assert rebound == {"r", "d"}


def test_names_behind_long_arguments_are_found():
    names = [f"name_{i}" for i in range(700)]
    read, _ = read_names(code("def f():\n return [" + ", ".join(names) + "]"))
    assert read == set(names)


def test_a_scan_finds_chains_of_globals_and_imports():
    references, _ = scan(code("def f(x):\n import a.b\n return g(h.i.j, x.y)"))
    assert {("g", "g"), ("g", "h", "i", "j"), ("m", "a.b")} <= references


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import a", {("m", "a")}),
        ("import a.b", {("m", "a.b"), ("m", "a")}),
        ("from a import b, c as d", {("m", "a", "b"), ("m", "a", "c")}),
        ("from ..a import b", {("m", "..a", "b")}),
        ("from . import b", {("m", ".", "b")}),
    ],
)
def test_a_scan_finds_the_names_of_an_import(text, expected):
    references, _ = scan(code(f"def f():\n {text}"))
    assert references == expected


def test_a_scan_keeps_the_level_of_a_relative_import():
    references, _ = scan(code("def f():\n from .sub import name\n return name"))
    assert any(reference[:2] == ("m", ".sub") for reference in references)


def test_a_scan_finds_names_passed_to_a_pipework():
    text = "def f(p, x):\n p.send('a', 1)\n p.send(x, 1)\n pipe.send('g', 2)\n x.send('other', 1)"
    _, hints = scan(code(text))
    assert Hint("send", False, NameKind.LITERAL, ("a",)) in hints
    assert Hint("send", False, NameKind.DYNAMIC, ()) in hints
    assert all(hint.text != ("other",) for hint in hints)


@pytest.mark.parametrize(
    ("given", "is_a_name"),
    [
        ("'x', value", True),
        ("'x', a + b", True),
        ("'x', g(value)", True),
        ("'x', a if b else c", True),
        ("'x', [i for i in a]", True),
        ("'x', {'y': 1}", True),
        ("'x', value, type=a.b", True),
        ("'x', a.b(c)[0]", True),
        ("'x', not a", True),
        ("'x', a and b", True),
        ("'x', f'{a}'", True),
        ("f'x{n}', value", False),
        ("'x' + n, value", False),
        ("'x%d' % n, value", False),
        ("'x{}'.format(n), value", False),
        ("'x'.upper(), value", False),
        ("'xy'[n], value", False),
        ("('x', 'y')[n], value", False),
    ],
)
def test_a_scan_takes_a_constant_for_a_name_only_if_it_is_an_argument(given, is_a_name):
    _, hints = scan(code(f"def f(pipe, value, a, b, c, g, n):\n pipe.send({given})"))
    kinds = {(hint.kind, hint.text) for hint in hints}
    assert kinds == ({(NameKind.LITERAL, ("x",))} if is_a_name else {(NameKind.DYNAMIC, ())})


def test_a_scan_knows_a_pipework_by_its_name():
    _, hints = scan(code("def f(x, pipe):\n pipe.send('a', 1)\n y = yield pipe.receive('b')"))
    assert hints == {
        Hint("send", True, NameKind.LITERAL, ("a",)),
        Hint("receive", True, NameKind.LITERAL, ("b",)),
    }


def test_a_scan_finds_every_name_of_a_receive():
    _, hints = scan(code("def f(pipe):\n yield pipe.receive('a', 'b')"))
    assert {hint.text for hint in hints} >= {("a",), ("b",)} or any(
        hint.kind is NameKind.DYNAMIC for hint in hints
    )
