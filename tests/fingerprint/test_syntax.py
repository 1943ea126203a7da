"""Syntax trees: their digests, and the names in them."""

import ast
import sys

import pytest

from pyplant.fingerprint.hints import Hint, NameKind
from pyplant.fingerprint.syntax import NameCollector, syntax_digest


def node(text):
    return ast.parse(text).body[0]


def collector(text, *names):
    return NameCollector(node(text), frozenset(names))


def hints(text):
    return {(hint.method, hint.kind, hint.text) for hint in collector(text, "NAME", "n", "B").hints}


def test_a_lambda_has_the_digest_of_an_equal_function():
    value = ast.parse("lambda x: x + 1").body[0].value
    assert syntax_digest(value) == syntax_digest(node("def f(x): return x + 1"))


def test_the_name_the_decorators_and_the_defaults_do_not_count_here():
    assert syntax_digest(node("@d(1)\ndef f(x=1, *, y=2): pass")) == syntax_digest(
        node("def g(x, *, y): pass")
    )


# Pairs of trees with equal parts in different places.
HUNG = [
    ("f(g(a), k=1)", "f(g(a, k=1))"),
    ("f(g(*a), *b)", "f(g(*a, *b))"),
    ("a[b[1:]:2]", "a[b[1:2]:]"),
    ("a[b[:1]:2]", "a[b[:1:2]:]"),
    ("[x for x in [y for y in z] if w]", "[x for x in [y for y in z if w]]"),
    ("lambda: (lambda x=1: 0)", "lambda x=1: (lambda: 0)"),
    ("lambda a, b=1: (lambda: 0)", "lambda a, b: (lambda b=1: 0)"),
    ("f'{f\"{a}\":b}'", "f'{f\"{a:b}\"}'"),
    ("{1: {2: 3}, **a}", "{1: {2: 3, **a}}"),
    ("(a, (b, c))", "(a, (b), c)"),
    ("a if b else (c if d else e)", "(a if b else c) if d else e"),
    ("a < b < c", "a < (b < c)"),
    ("not (a and b)", "(not a) and b"),
    ("a - b - c", "a - (b - c)"),
    ("a(b)(c)", "a(b(c))"),
    ("a.b.c", "a[b].c"),
    ("(yield a), b", "(yield (a, b))"),
]
STATEMENTS = [
    ("if a:\n  if b: x()\n else: y()", "if a:\n  if b: x()\n  else: y()"),
    ("for i in a:\n  if b: x()\n else: y()", "for i in a:\n  if b: x()\n  else: y()"),
    ("while a:\n  if b: x()\n else: y()", "while a:\n  if b: x()\n  else: y()"),
    ("if a:\n  for i in b: x()\n else: y()", "if a:\n  for i in b: x()\n  else: y()"),
    ("if a:\n  while b: x()\n else: y()", "if a:\n  while b: x()\n  else: y()"),
    ("if a: x()\n elif b: y()\n else: z()", "if a: x()\n if b: y()\n else: z()"),
    (
        "try:\n  try: x()\n  finally: y()\n finally: z()",
        "try:\n  try: x()\n  finally:\n   y()\n   z()\n finally: 0",
    ),
    (
        "try:\n  a()\n except E:\n  try: b()\n  except F: c()\n else: d()",
        "try:\n  a()\n except E:\n  try: b()\n  except F: c()\n  else: d()",
    ),
    (
        "try:\n  a()\n except E:\n  try: b()\n  except F: c()\n finally: d()",
        "try:\n  a()\n except E:\n  try: b()\n  except F: c()\n  finally: d()",
    ),
    ("with a:\n  x()\n y()", "with a:\n  x()\n  y()"),
    ("return\n x()", "x()\n return"),
    ("assert a, b", "assert (a, b)"),
    ("raise a from b", "raise a\n b"),
    ("def g():\n  if a: return b\n  return c", "def g():\n  if a: return b\n return c"),
    ("class A(B): x = 1", "class A(metaclass=B): x = 1"),
    ("class A:\n  def g(self): pass\n  x = 1", "class A:\n  def g(self):\n   pass\n   x = 1"),
    ("match a:\n  case [b, *c]: x()", "match a:\n  case [*b, c]: x()"),
    ("match a:\n  case B(c, d=1): x()", "match a:\n  case B(c(d=1)): x()"),
    ("match a:\n  case B(C(d), e=1): x()", "match a:\n  case B(C(d, e=1)): x()"),
    ("match a:\n  case {1: {2: b}, **c}: x()", "match a:\n  case {1: {2: b, **c}}: x()"),
    ("match a:\n  case b if c: x()", "match a:\n  case b:\n   if c: x()"),
    ("match a:\n  case (1 | 2) as b: x()", "match a:\n  case 1 | (2 as b): x()"),
    ("with a as b: pass", "with a, b: pass"),
    ("import a as b", "import a, b"),
    ("from . import a", "from .a import a"),
    ("from .. import a", "from . import a"),
    ("global a", "nonlocal a"),
]


@pytest.mark.parametrize(("left", "right"), [(f"return {a}", f"return {b}") for a, b in HUNG] + STATEMENTS)
def test_moving_a_part_of_the_tree_changes_the_digest(left, right):
    first, second = (node(f"def f():\n {text}") for text in (left, right))
    assert syntax_digest(first) != syntax_digest(second)


def _corpus():
    """Functions of the standard library, each with the dump of its tree."""
    import argparse
    import asyncio.base_events
    import inspect
    import tarfile
    import typing

    for module in (argparse, asyncio.base_events, inspect, tarfile, typing):
        with open(module.__file__, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        for found in ast.walk(tree):
            if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
                yield found


@pytest.mark.slow
def test_no_two_functions_of_the_standard_library_collide():
    seen = {}
    for found in _corpus():
        bare = ast.parse(ast.unparse(found)).body[0]
        bare.name, bare.decorator_list, bare.returns = "f", [], None
        bare.args.defaults, bare.args.kw_defaults = [], []
        shown = ast.dump(_Plain().visit(bare))
        assert seen.setdefault(syntax_digest(bare), shown) == shown
    assert len(seen) > 500


class _Plain(ast.NodeTransformer):
    """Leaves out what does not count."""

    def visit_arg(self, found):
        return ast.arg(arg=found.arg)

    def visit_FunctionDef(self, found):
        self.generic_visit(found)
        found.returns = None
        found.body = [item for item in found.body if not _is_text(item)]
        return found

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

    def visit_Expr(self, found):
        self.generic_visit(found)
        return None if isinstance(found.value, ast.Constant) else found


def _is_text(item):
    return isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)


def test_the_digest_does_not_change_between_versions():
    """These digests are keys of stored results: a change of them makes all reactors of all users run again."""
    text = "def f(a, /, b, *c, d, **e):\n x = [i for i in f'{a!r:>{b}}b' if i]\n return {**e, 'k': (x, 1.5)}"
    assert syntax_digest(node(text)) == syntax_digest(ast.parse(ast.unparse(node(text))).body[0])


def test_globals_are_found_with_their_chains():
    found = collector("def f(x):\n return a.b.c + d + x.e + (g.h)(i[0].j)", "a", "d", "g", "i")
    assert found.references == {("g", "a", "b", "c"), ("g", "d"), ("g", "g", "h"), ("g", "i")}


def test_imports_are_found_with_the_attributes_used():
    text = (
        "def f():\n import a\n import b.c\n import d.e as g\n from h import i, j as k\n from . import l\n"
        " from ..m import n, unused\n return a.x, b.c.y, g.z, i(k.l), l.u, lambda: n.v"
    )
    assert collector(text).references == {
        ("m", "a", "x"),
        ("m", "b.c", ""),
        ("m", "b", "c", "y"),
        ("m", "d.e", ""),
        ("m", "d.e", "z"),
        ("m", "h", "i"),
        ("m", "h", "j", "l"),
        ("m", ".", "l", "u"),
        ("m", "..m", "n", "v"),
    }


def test_a_name_that_is_imported_twice_may_be_either():
    text = "def f(x):\n from a import b as i\n x = i(x)\n import c as i\n return i.d(x)"
    assert collector(text).references == {
        ("m", "a", "b"),
        ("m", "a", "b", "d"),
        ("m", "c"),
        ("m", "c", "d"),
    }


def test_nonlocal_names_are_rebound():
    assert collector("def f():\n def g():\n  nonlocal a, b\n return g").rebound == {
        "nonlocal a",
        "nonlocal b",
    }


HINTS = {
    "literal": ("def f(pipe): pipe.send('a', 1)", ("send", NameKind.LITERAL, ("a",))),
    "keyword": ("def f(pipe): pipe.send(name='a', value=1)", ("send", NameKind.LITERAL, ("a",))),
    "constant": ("def f(pipe): pipe.send(NAME, 1)", ("send", NameKind.EXPRESSION, ("NAME",))),
    "constant of a module": ("def f(pipe): pipe.send(n.A.B, 1)", ("send", NameKind.EXPRESSION, ("n.A.B",))),
    "f-string": ("def f(pipe): pipe.send(f'a{i}b', 1)", ("send", NameKind.EXPRESSION, ("f'a{i}b'",))),
    "sum": ("def f(pipe): pipe.send('a' + x, 1)", ("send", NameKind.EXPRESSION, ("'a' + x",))),
    "call": ("def f(pipe): pipe.send(g(), 1)", ("send", NameKind.EXPRESSION, ("g()",))),
    "conditional": ("def f(pipe): pipe.send('a' if x else 'b', 1)", ("send", NameKind.DYNAMIC, ())),
    "local": ("def f(pipe):\n a = 'x' + n\n pipe.send(a, 1)", ("send", NameKind.EXPRESSION, ("'x' + n",))),
    "star": ("def f(pipe): yield pipe.receive(*names)", ("receive", NameKind.EXPRESSION, ("names",))),
    "list": ("def f(pipe): yield pipe.receive(['a'])", ("receive", NameKind.LITERAL, ("a",))),
    "list after a star": (
        "def f(pipe): yield pipe.receive(*('b', 'a'))",
        ("receive", NameKind.LITERAL, ("a",)),
    ),
    "allocate": ("def f(pipe): pipe.allocate('a', t)", ("allocate", NameKind.LITERAL, ("a",))),
    "read_config": ("def f(pipe): pipe.read_config('a')", ("read_config", NameKind.LITERAL, ("a",))),
    "attribute of config": ("def f(pipe, config): config.a", ("config", NameKind.LITERAL, ("a",))),
    "chain of config": ("def f(pipe, config): config.a.b", ("config", NameKind.LITERAL, ("a", "b"))),
    "item of config": ("def f(pipe, config): config['a']", ("config", NameKind.LITERAL, ("a",))),
    "config by position": ("def f(pipe, c): c.a", ("config", NameKind.LITERAL, ("a",))),
    "in a comprehension": ("def f(pipe): [pipe.send('a', i) for i in x]", ("send", NameKind.LITERAL, ("a",))),
    "in a nested function": ("def f(pipe):\n def g(): pipe.send('a', 1)", ("send", NameKind.LITERAL, ("a",))),
    "in a branch": ("def f(pipe):\n if x: pipe.send('a', 1)", ("send", NameKind.LITERAL, ("a",))),
    "annotated": ("def f(x, p: Pipework): p.send('a', 1)", ("send", NameKind.LITERAL, ("a",))),
    "annotated as text": ("def f(x, p: 'x.Pipework'): p.send('a', 1)", ("send", NameKind.LITERAL, ("a",))),
    "annotated by a module": ("def f(x, p: q.Pipework): p.send('a', 1)", ("send", NameKind.LITERAL, ("a",))),
}


@pytest.mark.parametrize(("text", "hint"), HINTS.values(), ids=HINTS)
def test_a_name_is_found(text, hint):
    assert hint in hints(text)


def test_every_name_of_a_receive_is_found():
    assert hints("def f(pipe): yield pipe.receive('a', B)") == {
        ("receive", NameKind.LITERAL, ("a",)),
        ("receive", NameKind.EXPRESSION, ("B",)),
    }


def test_calls_of_other_objects_give_no_hints():
    assert hints("def f(pipe, config, box): box.send('a', 1)") == set()


@pytest.mark.parametrize(
    ("text", "certain"),
    [
        ("def f(pipe): pipe.send('a', 1)", True),
        ("def f(p): p.send('a', 1)", False),
        ("def f(p: Pipework): p.send('a', 1)", True),
        ("def f(): pipe.send('a', 1)", True),
    ],
)
def test_a_pipework_is_certain_by_its_name_or_annotation(text, certain):
    assert collector(text).hints == {Hint("send", certain, NameKind.LITERAL, ("a",), unconditional=True)}


SURE = [
    "def f(pipe): x = yield pipe.receive('a')",
    "def f(pipe):\n with x: y = yield pipe.receive('a')",
    "def f(pipe):\n if x: pass\n y = yield pipe.receive('a')",
]
UNSURE = [
    "def f(pipe):\n if x: y = yield pipe.receive('a')",
    "def f(pipe):\n for i in x: y = yield pipe.receive('a')",
    "def f(pipe):\n if x: return\n y = yield pipe.receive('a')",
    "def f(pipe):\n def g(): yield pipe.receive('a')",
    "def f(pipe): y = (yield pipe.receive('a')) if x else 1",
]


@pytest.mark.parametrize(("text", "sure"), [*((t, True) for t in SURE), *((t, False) for t in UNSURE)])
def test_unconditional_receives_are_found(text, sure):
    assert {hint.unconditional for hint in collector(text).hints} == {sure}


@pytest.mark.parametrize(
    "body",
    [
        "for n in x: pipe.send(n, 1)",
        "n = 'a'\n n = 'b'\n pipe.send(n, 1)",
        "n = 'a'\n n += 'b'\n pipe.send(n, 1)",
        "n = n + 'b'\n pipe.send(n, 1)",
        "n, m = x\n pipe.send(n, 1)",
        "with x as n: pipe.send(n, 1)",
        "import n\n pipe.send(n, 1)",
        "[pipe.send(n, 1) for n in x]",
        "def put(n): pipe.send(n, 1)",
        "def put():\n  n = 'a'\n pipe.send(n, 1)",
        "def n(): pass\n pipe.send(n, 1)",
        "del n\n pipe.send(n, 1)",
        "global n\n pipe.send(n, 1)",
    ],
)
def test_the_name_in_a_local_variable_with_several_values_is_unknown(body):
    (name,) = hints(f"def f(pipe, x):\n {body}")
    assert "n" not in name[2]
    assert name[1] is NameKind.DYNAMIC or "..." in name[2][0]


def test_a_nested_reactor_keeps_its_own_hints():
    text = "def f(pipe):\n pipe.send('mine', 1)\n @{}\n def g(pipe): pipe.send('its', 1)"
    mine, its = ("send", NameKind.LITERAL, ("mine",)), ("send", NameKind.LITERAL, ("its",))
    assert hints(text.format("ReactorFunc")) == {mine}
    assert hints(text.format("pyplant.ReactorFunc(name='x')")) == {mine}
    assert hints(text.format("cache")) == {mine, its}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="type parameters are new in Python 3.12")
def test_type_parameters_do_not_count():
    assert syntax_digest(node("def f[T](x: T) -> T: return x")) == syntax_digest(node("def f(x): return x"))
