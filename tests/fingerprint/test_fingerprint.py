"""Fingerprints of code: what counts, what does not, and the differences of two fingerprints."""

import copyreg
import importlib
import json
import sys
import textwrap
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyplant.fingerprint.code_graph import NodeBuilder
from pyplant.fingerprint.code_records import CodeRecord, differences
from pyplant.fingerprint.digest import encode
from pyplant.fingerprint.fingerprint import Fingerprinter, digest_of, fingerprint_of
from pyplant.fingerprint.graph_node import NodeKind
from pyplant.fingerprint.source import CodePart, Sources
from tests.fingerprint.helpers import again, load, run, taken, without_source, write

# Each entry is a pair of texts that behave differently: the fingerprints of main() must differ.
COUNTS = {
    "constant": ("def main(): return 1", "def main(): return 2"),
    "type of a constant": ("def main(): return 1", "def main(): return 1.0"),
    "True for 1": ("def main(): return 1", "def main(): return True"),
    "sign of zero": ("def main(): return 0.0", "def main(): return -0.0"),
    "text for bytes": ("def main(): return 'a'", "def main(): return b'a'"),
    "number for text": ("def main(): return 1", "def main(): return '1'"),
    "constant in a tuple": ("def main(): return (1, 2)", "def main(): return (1, 2.0)"),
    "item of a constant set": ("def main(x): return x in {1, 2}", "def main(x): return x in {1, 3}"),
    "None for nothing": ("def main(x): return [None]", "def main(x): return []"),
    "operator": ("def main(x): return x + 1", "def main(x): return x - 1"),
    "comparison": ("def main(x): return x < 1", "def main(x): return x <= 1"),
    "order of statements": ("def main(x):\n a(x)\n b(x)", "def main(x):\n b(x)\n a(x)"),
    "indentation": (
        "def main(x):\n for i in x:\n  a()\n  b()",
        "def main(x):\n for i in x:\n  a()\n b()",
    ),
    "else of another if": (
        "def main(a, b):\n if a:\n  if b:\n   x()\n else:\n  y()",
        "def main(a, b):\n if a:\n  if b:\n   x()\n  else:\n   y()",
    ),
    "else of the loop instead of the if": (
        "def main(a, b):\n for i in a:\n  if b:\n   break\n else:\n  y()",
        "def main(a, b):\n for i in a:\n  if b:\n   break\n  else:\n   y()",
    ),
    "finally of another try": (
        "def main(a):\n try:\n  try:\n   a()\n  except E:\n   b()\n finally:\n  c()",
        "def main(a):\n try:\n  try:\n   a()\n  except E:\n   b()\n  finally:\n   c()\n finally: 0",
    ),
    "else of another try": (
        "def main(a):\n try:\n  try:\n   a()\n  except E:\n   b()\n except E:\n  c()\n else:\n  d()",
        "def main(a):\n try:\n  try:\n   a()\n  except E:\n   b()\n  else:\n   d()\n except E:\n  c()",
    ),
    "call that a keyword belongs to": (
        "def main(x): return a(b(x), k=2)",
        "def main(x): return a(b(x, k=2))",
    ),
    "slice that a bound belongs to": (
        "def main(x, y): return x[y[1:]:2]",
        "def main(x, y): return x[y[1:2]:]",
    ),
    "lambda that a default belongs to": (
        "def main(): return lambda: (lambda x, y=1: 0)",
        "def main(): return lambda y=1: (lambda x: 0)",
    ),
    "call that a star belongs to": (
        "def main(x, y): return a(b(*x), *y)",
        "def main(x, y): return a(b(*x, *y))",
    ),
    "condition of another comprehension": (
        "def main(x): return [[j for j in i] for i in x if i]",
        "def main(x): return [[j for j in i if i] for i in x]",
    ),
    "with what the value is returned": ("def main(x):\n return x", "def main(x):\n yield x"),
    "return of nothing": ("def main(x):\n x()", "def main(x):\n return x()"),
    "argument order": ("def main(a, b): return a", "def main(b, a): return a"),
    "star-arg": ("def main(*a): return a", "def main(**a): return a"),
    "keyword only": ("def main(a, b=1): return a", "def main(a, *, b=1): return a"),
    "positional only": ("def main(a, b=1): return a", "def main(a, /, b=1): return a"),
    "default": ("def main(x=1): return x", "def main(x=2): return x"),
    "keyword default": ("def main(*, x=1): return x", "def main(*, x=2): return x"),
    "default moved to another name": ("def main(*, x=1, y): pass", "def main(*, x, y=1): pass"),
    "computed default": ("N = 1\ndef main(x=N): return x", "N = 2\ndef main(x=N): return x"),
    "default of a nested function": (
        "def main():\n def f(x=1): return x\n return f()",
        "def main():\n def f(x=2): return x\n return f()",
    ),
    "decorator of a nested function": (
        "def a(f): return f\ndef b(f): return 1\ndef main():\n @a\n def f(): pass\n return f",
        "def a(f): return f\ndef b(f): return 1\ndef main():\n @b\n def f(): pass\n return f",
    ),
    "nested function": (
        "def main():\n def f(): return 1\n return f()",
        "def main():\n def f(): return 2\n return f()",
    ),
    "nested class": (
        "def main():\n class A:\n  x = 1\n return A.x",
        "def main():\n class A:\n  x = 2\n return A.x",
    ),
    "lambda inside": ("def main(): return (lambda: 1)()", "def main(): return (lambda: 2)()"),
    "comprehension": ("def main(x): return [i for i in x]", "def main(x): return {i for i in x}"),
    "condition of a comprehension": (
        "def main(x): return [i for i in x if i]",
        "def main(x): return [i for i in x if not i]",
    ),
    "generator expression": ("def main(x): return [i for i in x]", "def main(x): return (i for i in x)"),
    "walrus": ("def main(x): return (y := x) + y", "def main(x): return (y := 1) + y"),
    "star-args of a call": ("def main(f, x): return f(*x)", "def main(f, x): return f(**x)"),
    "keyword of a call": ("def main(f): return f(a=1)", "def main(f): return f(b=1)"),
    "async": ("async def main(x): return x", "def main(x): return x"),
    "await": ("async def main(x): return await x", "async def main(x): return x"),
    "async for": (
        "async def main(x):\n async for i in x: pass",
        "async def main(x):\n for i in x: pass",
    ),
    "pattern of a match": (
        "def main(x):\n match x:\n  case [1, a]: return a",
        "def main(x):\n match x:\n  case [2, a]: return a",
    ),
    "singleton pattern": (
        "def main(x):\n match x:\n  case None: return 1",
        "def main(x):\n match x:\n  case True: return 1",
    ),
    "rest of a mapping pattern": (
        "def main(x):\n match x:\n  case {'a': 1, **r}: return 1",
        "def main(x):\n match x:\n  case {'a': 1}: return 1",
    ),
    "keyword of a class pattern": (
        "def main(x):\n match x:\n  case A(a=1): return 1",
        "def main(x):\n match x:\n  case A(b=1): return 1",
    ),
    "text of an f-string": ("def main(x): return f'a{x}'", "def main(x): return f'b{x}'"),
    "where the text of an f-string stands": ("def main(x): return f'a{x}'", "def main(x): return f'{x}a'"),
    "conversion of an f-string": ("def main(x): return f'{x!r}'", "def main(x): return f'{x!s}'"),
    "format of an f-string": ("def main(x): return f'{x:.1f}'", "def main(x): return f'{x:.2f}'"),
    "f-string for text": ("def main(x): return f'{x}'", "def main(x): return '{x}'"),
    "exception caught": (
        "def main(x):\n try: x()\n except KeyError: pass",
        "def main(x):\n try: x()\n except ValueError: pass",
    ),
    "except star": (
        "def main(x):\n try: x()\n except KeyError: pass",
        "def main(x):\n try: x()\n except* KeyError: pass",
    ),
    "assert": ("def main(x):\n assert x", "def main(x):\n assert not x"),
    "global statement": ("X = 1\ndef main():\n global X\n X = 2", "X = 1\ndef main():\n X = 2"),
    "with": ("def main(x):\n with x: pass", "def main(x):\n with x as y: pass"),
    "del": ("def main(x):\n del x[0]", "def main(x):\n x[0]"),
    "augmented assignment": ("def main(x):\n x += 1\n return x", "def main(x):\n x -= 1\n return x"),
    "starred target": ("def main(x):\n a, *b = x\n return b", "def main(x):\n *a, b = x\n return b"),
    "unpacking of a dict": ("def main(x): return {**x, 1: 2}", "def main(x): return {1: 2, **x}"),
    "chained comparison": ("def main(a, b): return 1 < a < b", "def main(a, b): return (1 < a) < b"),
    "helper": ("def h(): return 1\ndef main(): return h()", "def h(): return 2\ndef main(): return h()"),
    "helper's helper": (
        "def g(): return 1\ndef h(): return g()\ndef main(): return h()",
        "def g(): return 2\ndef h(): return g()\ndef main(): return h()",
    ),
    "default of a helper": (
        "def h(x=1): return x\ndef main(): return h()",
        "def h(x=2): return x\ndef main(): return h()",
    ),
    "helper used by a comprehension": (
        "def h(x): return 1\ndef main(x): return [h(i) for i in x]",
        "def h(x): return 2\ndef main(x): return [h(i) for i in x]",
    ),
    "helper used by a nested function": (
        "def h(): return 1\ndef main():\n def f(): return h()\n return f",
        "def h(): return 2\ndef main():\n def f(): return h()\n return f",
    ),
    "helper used by a nested class": (
        "def h(): return 1\ndef main():\n class A:\n  x = h()\n return A",
        "def h(): return 2\ndef main():\n class A:\n  x = h()\n return A",
    ),
    "helper used by a default": (
        "def h(): return 1\ndef main():\n def f(x=h()): return x\n return f",
        "def h(): return 2\ndef main():\n def f(x=h()): return x\n return f",
    ),
    "helper in a table": (
        "def h(): return 1\nT = {'a': [h]}\ndef main(): return T['a'][0]()",
        "def h(): return 2\nT = {'a': [h]}\ndef main(): return T['a'][0]()",
    ),
    "which helper": (
        "def a(): return 1\ndef b(): return 2\nh = a\ndef main(): return h()",
        "def a(): return 1\ndef b(): return 2\nh = b\ndef main(): return h()",
    ),
    "lambda": ("h = lambda: 1\ndef main(): return h()", "h = lambda: 2\ndef main(): return h()"),
    "one of two lambdas in one line": (
        "a, b = (lambda: 1), (lambda: 2)\ndef main(): return a()",
        "a, b = (lambda: 3), (lambda: 2)\ndef main(): return a()",
    ),
    "global number": ("X = 1\ndef main(): return X", "X = 2\ndef main(): return X"),
    "type of a global": ("X = 1\ndef main(): return X", "X = 1.0\ndef main(): return X"),
    "global container": ("X = {'a': [1]}\ndef main(): return X", "X = {'a': [2]}\ndef main(): return X"),
    "global that a method of mine reads": (
        "X = 1\nclass A:\n def f(self): return X\ndef main(): return A().f()",
        "X = 2\nclass A:\n def f(self): return X\ndef main(): return A().f()",
    ),
    "global array": (
        "import numpy as np\nX = np.array([1, 2])\ndef main(): return X",
        "import numpy as np\nX = np.array([1, 3])\ndef main(): return X",
    ),
    "shadowed builtin": ("def main(x): return len(x)", "def len(x): return 1\ndef main(x): return len(x)"),
    "where a name comes from": (
        "from os.path import join as f\ndef main(): return f('a')",
        "from os.path import split as f\ndef main(): return f('a')",
    ),
    "alias of an installed module": (
        "import json as m\ndef main(): return m.dumps(1)",
        "import pickle as m\ndef main(): return m.dumps(1)",
    ),
    "alias of an installed module, inside": (
        "def main():\n import json as m\n return m.dumps(1)",
        "def main():\n import pickle as m\n return m.dumps(1)",
    ),
    "name imported inside": (
        "def main():\n from json import dumps as f\n return f(1)",
        "def main():\n from json import loads as f\n return f(1)",
    ),
    "closure": (
        "def make(n):\n def f(): return n\n return f\nmain = make(1)",
        "def make(n):\n def f(): return n\n return f\nmain = make(2)",
    ),
    "function in a closure": (
        "def make(g):\n def f(): return g()\n return f\ndef g(): return 1\nmain = make(g)",
        "def make(g):\n def f(): return g()\n return f\ndef g(): return 2\nmain = make(g)",
    ),
    "decorator": (
        "def d(f): return lambda: f() + 1\n@d\ndef main(): return 1",
        "def d(f): return lambda: f() + 2\n@d\ndef main(): return 1",
    ),
    "wrapped function": (
        "import functools\ndef d(f):\n @functools.wraps(f)\n def w(): return f()\n return w\n@d\ndef main(): return 1",
        "import functools\ndef d(f):\n @functools.wraps(f)\n def w(): return f()\n return w\n@d\ndef main(): return 2",
    ),
    "argument of a decorator": (
        "def d(n):\n return lambda f: lambda: f() + n\n@d(1)\ndef main(): return 1",
        "def d(n):\n return lambda f: lambda: f() + n\n@d(2)\ndef main(): return 1",
    ),
    "state of a decorator that is a class": (
        "import functools\nclass D:\n def __init__(s, f, n):\n  s.n = n\n  functools.update_wrapper(s, f)\n"
        " def __call__(s): return s.n\ndef g(): pass\nh = D(g, 1)\ndef main(): return h()",
        "import functools\nclass D:\n def __init__(s, f, n):\n  s.n = n\n  functools.update_wrapper(s, f)\n"
        " def __call__(s): return s.n\ndef g(): pass\nh = D(g, 2)\ndef main(): return h()",
    ),
    "argument of a partial": (
        "import functools\ndef g(x): return x\nh = functools.partial(g, 1)\ndef main(): return h()",
        "import functools\ndef g(x): return x\nh = functools.partial(g, 2)\ndef main(): return h()",
    ),
    "argument of a partial that looks like its function": (
        "import functools\ndef g(x): return x\nh = functools.update_wrapper(functools.partial(g, 1), g)\ndef main(): return h()",
        "import functools\ndef g(x): return x\nh = functools.update_wrapper(functools.partial(g, 2), g)\ndef main(): return h()",
    ),
    "function of a partial": (
        "import functools\ndef g(x): return x\nh = functools.partial(g, 1)\ndef main(): return h()",
        "import functools\ndef g(x): return -x\nh = functools.partial(g, 1)\ndef main(): return h()",
    ),
    "cached function": (
        "import functools\n@functools.lru_cache\ndef h(): return 1\ndef main(): return h()",
        "import functools\n@functools.lru_cache\ndef h(): return 2\ndef main(): return h()",
    ),
    "context manager": (
        "import contextlib\n@contextlib.contextmanager\ndef h(): yield 1\ndef main():\n with h() as x: return x",
        "import contextlib\n@contextlib.contextmanager\ndef h(): yield 2\ndef main():\n with h() as x: return x",
    ),
    "single dispatch": (
        "import functools\n@functools.singledispatch\ndef h(x): return 0\n"
        "@h.register\ndef _(x: int): return 1\ndef main(): return h(1)",
        "import functools\n@functools.singledispatch\ndef h(x): return 0\n"
        "@h.register\ndef _(x: int): return 2\ndef main(): return h(1)",
    ),
    "type of a single dispatch": (
        "import functools\n@functools.singledispatch\ndef h(x): return 0\n"
        "@h.register\ndef _(x: int): return 1\ndef main(): return h(1)",
        "import functools\n@functools.singledispatch\ndef h(x): return 0\n"
        "@h.register\ndef _(x: str): return 1\ndef main(): return h(1)",
    ),
    "attribute of a function": (
        "def h(): return h.n\nh.n = 1\ndef main(): return h()",
        "def h(): return h.n\nh.n = 2\ndef main(): return h()",
    ),
    "annotation of a field": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n x: int\ndef main(): return A",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n x: float\ndef main(): return A",
    ),
    "annotation of a nested class": (
        "def main():\n class A:\n  x: int\n return A",
        "def main():\n class A:\n  x: float\n return A",
    ),
    "annotation of a nested function with a decorator": (
        "import functools\ndef main():\n @functools.singledispatch\n def f(x): return 0\n"
        " @f.register\n def _(x: int): return 1\n return f",
        "import functools\ndef main():\n @functools.singledispatch\n def f(x): return 0\n"
        " @f.register\n def _(x: str): return 1\n return f",
    ),
    "class that an annotation names in a text": (
        "class T:\n x = 1\nclass A:\n x: 'list[T]'\ndef main(): return A",
        "class T:\n x = 2\nclass A:\n x: 'list[T]'\ndef main(): return A",
    ),
    "annotation of a function whose signature is read": (
        "import inspect\ndef f(x: int): pass\ndef main(): return inspect.signature(f)",
        "import inspect\ndef f(x: str): pass\ndef main(): return inspect.signature(f)",
    ),
    "alias in the text of an annotation that is read": (
        "import typing\nT = int\ndef f(x: 'T'): 1\ndef main(): return typing.get_type_hints(f)",
        "import typing\nT = str\ndef f(x: 'T'): 1\ndef main(): return typing.get_type_hints(f)",
    ),
    "annotation that a helper reads": (
        "import typing\ndef f(x: int): pass\ndef h(g): return typing.get_type_hints(g)\ndef main(): return h(f)",
        "import typing\ndef f(x: str): pass\ndef h(g): return typing.get_type_hints(g)\ndef main(): return h(f)",
    ),
    "name of a class that is read": (
        "class A: pass\nT = [A]\ndef h(x): return type(x).__name__\ndef main(): return h(T[0]())",
        "class B: pass\nT = [B]\ndef h(x): return type(x).__name__\ndef main(): return h(T[0]())",
    ),
    "docstring that is read": (
        "class A:\n 'a'\ndef main(): return A.__doc__",
        "class A:\n 'b'\ndef main(): return A.__doc__",
    ),
    "docstring that is read by getattr": (
        "def f():\n 'a'\ndef main(): return getattr(f, '__doc__')",
        "def f():\n 'b'\ndef main(): return getattr(f, '__doc__')",
    ),
    "order of names in a class that is read": (
        "class A:\n a = 1\n b = 1\ndef main(): return list(vars(A))",
        "class A:\n b = 1\n a = 1\ndef main(): return list(vars(A))",
    ),
    "order of methods that a helper reads": (
        "class A:\n def a(s): 1\n def b(s): 1\ndef h(c): return [*c.__dict__]\ndef main(): return h(A)",
        "class A:\n def b(s): 1\n def a(s): 1\ndef h(c): return [*c.__dict__]\ndef main(): return h(A)",
    ),
    "globals of a frame": (
        "import sys\nN = 1\ndef main(x): return sys._getframe().f_globals[x]",
        "import sys\nN = 2\ndef main(x): return sys._getframe().f_globals[x]",
    ),
    "global through another function": (
        "N = 1\ndef f(): 1\ndef main(): return f.__globals__['N']",
        "N = 2\ndef f(): 1\ndef main(): return f.__globals__['N']",
    ),
    "function of a generator": (
        "def f():\n yield 1\nG = f()\ndef main(): return next(G)",
        "def f():\n yield 2\nG = f()\ndef main(): return next(G)",
    ),
    "data of a generator expression": (
        "G = (x for x in [1, 2])\ndef main(): return next(G)",
        "G = (x for x in [1, 3])\ndef main(): return next(G)",
    ),
    "helper of a generator": (
        "def h(x): return x\nG = (h(x) for x in [1])\ndef main(): return next(G)",
        "def h(x): return -x\nG = (h(x) for x in [1])\ndef main(): return next(G)",
    ),
    "closure of a generator": (
        "def f(n):\n def g():\n  yield n\n return g()\nG = f(1)\ndef main(): return next(G)",
        "def f(n):\n def g():\n  yield n\n return g()\nG = f(2)\ndef main(): return next(G)",
    ),
    "how far a generator has come": (
        "G = (x for x in range(9))\nnext(G)\ndef main(): return next(G)",
        "G = (x for x in range(9))\nnext(G), next(G)\ndef main(): return next(G)",
    ),
    "class that a factory made": (
        "import types\nA = types.new_class('A', (), {}, lambda n: n.update(f=lambda s: 1))\ndef main(): return A",
        "import types\nA = types.new_class('A', (), {}, lambda n: n.update(f=lambda s: 2))\ndef main(): return A",
    ),
    "value in a class that a factory made": (
        "import abc\nA = abc.ABCMeta('A', (), {'x': 1})\ndef main(): return A.x",
        "import abc\nA = abc.ABCMeta('A', (), {'x': 2})\ndef main(): return A.x",
    ),
    "field of a dataclass that a factory made": (
        "import dataclasses\nA = dataclasses.make_dataclass('A', [('x', int, 1)])\ndef main(): return A",
        "import dataclasses\nA = dataclasses.make_dataclass('A', [('x', int, 2)])\ndef main(): return A",
    ),
    "method of a class that names an installed module": (
        "class A:\n __module__ = 'json'\n def f(self): return 1\ndef main(): return A().f()",
        "class A:\n __module__ = 'json'\n def f(self): return 2\ndef main(): return A().f()",
    ),
    "attribute that is not pickled": (
        "class A:\n def __init__(self, n): self.n = n\n def __getstate__(self): return {}\na = A(1)\n"
        "def main(): return a.n",
        "class A:\n def __init__(self, n): self.n = n\n def __getstate__(self): return {}\na = A(2)\n"
        "def main(): return a.n",
    ),
    "object that is pickled by its name": (
        "class A:\n def __init__(self, n): self.n = n\n def __reduce__(self): return 'a'\na = A(1)\n"
        "def main(): return a.n",
        "class A:\n def __init__(self, n): self.n = n\n def __reduce__(self): return 'a'\na = A(2)\n"
        "def main(): return a.n",
    ),
    "attribute of a wrapper, in a slot": (
        "class W:\n __slots__ = ('__wrapped__', 'k')\n def __call__(self): return self.k\ndef h(): pass\n"
        "w = W()\nw.__wrapped__ = h\nw.k = 1\ndef main(): return w()",
        "class W:\n __slots__ = ('__wrapped__', 'k')\n def __call__(self): return self.k\ndef h(): pass\n"
        "w = W()\nw.__wrapped__ = h\nw.k = 2\ndef main(): return w()",
    ),
    "attribute of a wrapper like those of numba": (
        "class W:\n def __call__(self): return self.k\ndef h(): pass\n"
        "w = W()\nw.py_func = h\nw.k = 1\ndef main(): return w()",
        "class W:\n def __call__(self): return self.k\ndef h(): pass\n"
        "w = W()\nw.py_func = h\nw.k = 2\ndef main(): return w()",
    ),
    "function of a key function": (
        "import functools\nk = functools.cmp_to_key(lambda a, b: 1)\ndef main(): return k",
        "import functools\nk = functools.cmp_to_key(lambda a, b: 2)\ndef main(): return k",
    ),
    "class behind a new type": (
        "import typing\nclass A:\n x = 1\nN = typing.NewType('N', A)\ndef main(): return N.__supertype__.x",
        "import typing\nclass A:\n x = 2\nN = typing.NewType('N', A)\ndef main(): return N.__supertype__.x",
    ),
    "bound of a type variable": (
        "import typing\nclass A:\n x = 1\nT = typing.TypeVar('T', bound=A)\ndef main(): return T.__bound__.x",
        "import typing\nclass A:\n x = 2\nT = typing.TypeVar('T', bound=A)\ndef main(): return T.__bound__.x",
    ),
    "object behind a weak reference": (
        "import weakref\nclass A: pass\na = A()\na.x = 1\nr = weakref.ref(a)\ndef main(): return r().x",
        "import weakref\nclass A: pass\na = A()\na.x = 2\nr = weakref.ref(a)\ndef main(): return r().x",
    ),
    "object in a weak registry": (
        "import weakref\nclass A: pass\na = A()\na.x = 1\nr = weakref.WeakValueDictionary(a=a)\n"
        "def main(): return r['a'].x",
        "import weakref\nclass A: pass\na = A()\na.x = 2\nr = weakref.WeakValueDictionary(a=a)\n"
        "def main(): return r['a'].x",
    ),
    "default of a context variable": (
        "import contextvars\nv = contextvars.ContextVar('v', default=1)\ndef main(): return v.get()",
        "import contextvars\nv = contextvars.ContextVar('v', default=2)\ndef main(): return v.get()",
    ),
    "value of a thread's variable": (
        "import threading\nv = threading.local()\nv.x = 1\ndef main(): return v.x",
        "import threading\nv = threading.local()\nv.x = 2\ndef main(): return v.x",
    ),
    "row of a database in memory": (
        "import sqlite3\nv = sqlite3.connect(':memory:')\nv.execute('create table t as select 1')\ndef main(): return v",
        "import sqlite3\nv = sqlite3.connect(':memory:')\nv.execute('create table t as select 2')\ndef main(): return v",
    ),
    "method": (
        "class A:\n def f(self): return 1\ndef main(): return A().f()",
        "class A:\n def f(self): return 2\ndef main(): return A().f()",
    ),
    "method of a descriptor derived from property": (
        "class P(property):\n def __get__(self, obj, kind=None): return 1\nclass A:\n @P\n def f(self): return 0\ndef main(): return A().f",
        "class P(property):\n def __get__(self, obj, kind=None): return 2\nclass A:\n @P\n def f(self): return 0\ndef main(): return A().f",
    ),
    "method of a descriptor derived from classmethod": (
        "class P(classmethod):\n def __get__(self, obj, kind=None): return 1\nclass A:\n @P\n def f(self): return 0\ndef main(): return A().f",
        "class P(classmethod):\n def __get__(self, obj, kind=None): return 2\nclass A:\n @P\n def f(self): return 0\ndef main(): return A().f",
    ),
    "method of a descriptor derived from staticmethod": (
        "class P(staticmethod):\n def __get__(self, obj, kind=None): return 1\nclass A:\n @P\n def f(self): return 0\ndef main(): return A().f",
        "class P(staticmethod):\n def __get__(self, obj, kind=None): return 2\nclass A:\n @P\n def f(self): return 0\ndef main(): return A().f",
    ),
    "method of a descriptor derived from functools.cached_property": (
        "import functools\nclass P(functools.cached_property):\n def __get__(self, obj, kind=None): return 1\nclass A:\n @P\n def f(self): return 0\ndef main(): return A().f",
        "import functools\nclass P(functools.cached_property):\n def __get__(self, obj, kind=None): return 2\nclass A:\n @P\n def f(self): return 0\ndef main(): return A().f",
    ),
    "attribute of a property": (
        "class P(property): pass\nclass A:\n @P\n def f(self): return 0\nvars(A)['f'].unit = 'm'\ndef main(): return vars(A)['f'].unit",
        "class P(property): pass\nclass A:\n @P\n def f(self): return 0\nvars(A)['f'].unit = 's'\ndef main(): return vars(A)['f'].unit",
    ),
    "name of a method": (
        "class A:\n def f(self): return 1\ndef main(): return A()",
        "class A:\n def g(self): return 1\ndef main(): return A()",
    ),
    "base class": (
        "class B:\n x = 1\nclass A(B): pass\ndef main(): return A.x",
        "class B:\n x = 2\nclass A(B): pass\ndef main(): return A.x",
    ),
    "order of base classes": (
        "class B:\n x = 1\nclass C:\n x = 2\nclass A(B, C): pass\ndef main(): return A.x",
        "class B:\n x = 1\nclass C:\n x = 2\nclass A(C, B): pass\ndef main(): return A.x",
    ),
    "super": (
        "class B:\n def f(self): return 1\nclass A(B):\n def f(self): return super().f()\ndef main(): return A().f()",
        "class B:\n def f(self): return 2\nclass A(B):\n def f(self): return super().f()\ndef main(): return A().f()",
    ),
    "class attribute": (
        "class A:\n x = 1\ndef main(): return A.x",
        "class A:\n x = 2\ndef main(): return A.x",
    ),
    "class of a global object": (
        "class A:\n def f(self): return 1\na = A()\ndef main(): return a.f()",
        "class A:\n def f(self): return 2\na = A()\ndef main(): return a.f()",
    ),
    "state of a global object": (
        "class A:\n def __init__(self, n): self.n = n\na = A(1)\ndef main(): return a.n",
        "class A:\n def __init__(self, n): self.n = n\na = A(2)\ndef main(): return a.n",
    ),
    "bound method": (
        "class A:\n def __init__(self, n): self.n = n\n def f(self): return self.n\nh = A(1).f\ndef main(): return h()",
        "class A:\n def __init__(self, n): self.n = n\n def f(self): return self.n\nh = A(2).f\ndef main(): return h()",
    ),
    "property": (
        "class A:\n @property\n def x(self): return 1\ndef main(): return A().x",
        "class A:\n @property\n def x(self): return 2\ndef main(): return A().x",
    ),
    "setter": (
        "class A:\n @property\n def x(self): return 1\n @x.setter\n def x(self, v): self.v = 1\ndef main(): return A()",
        "class A:\n @property\n def x(self): return 1\n @x.setter\n def x(self, v): self.v = 2\ndef main(): return A()",
    ),
    "static method": (
        "class A:\n @staticmethod\n def f(): return 1\ndef main(): return A.f()",
        "class A:\n @staticmethod\n def f(): return 2\ndef main(): return A.f()",
    ),
    "class method": (
        "class A:\n @classmethod\n def f(cls): return 1\ndef main(): return A.f()",
        "class A:\n @classmethod\n def f(cls): return 2\ndef main(): return A.f()",
    ),
    "kind of a method": (
        "class A:\n @classmethod\n def f(cls): return 1\ndef main(): return A.f()",
        "class A:\n @staticmethod\n def f(cls): return 1\ndef main(): return A.f()",
    ),
    "cached property": (
        "import functools\nclass A:\n @functools.cached_property\n def x(self): return 1\ndef main(): return A().x",
        "import functools\nclass A:\n @functools.cached_property\n def x(self): return 2\ndef main(): return A().x",
    ),
    "partial method": (
        "import functools\nclass A:\n def f(self, x): return x\n g = functools.partialmethod(f, 1)\ndef main(): return A().g()",
        "import functools\nclass A:\n def f(self, x): return x\n g = functools.partialmethod(f, 2)\ndef main(): return A().g()",
    ),
    "single dispatch method": (
        "import functools\nclass A:\n @functools.singledispatchmethod\n def f(self, x): return 1\ndef main(): return A().f(1)",
        "import functools\nclass A:\n @functools.singledispatchmethod\n def f(self, x): return 2\ndef main(): return A().f(1)",
    ),
    "special method": (
        "class A:\n def __hash__(self): return 1\ndef main(): return hash(A())",
        "class A:\n def __hash__(self): return 2\ndef main(): return hash(A())",
    ),
    "class without hashes": (
        "class A:\n pass\ndef main(): return hash(A())",
        "class A:\n __hash__ = None\ndef main(): return hash(A())",
    ),
    "positions of a class pattern": (
        "class A:\n __match_args__ = ('x', 'y')\ndef main(a):\n match a:\n  case A(x): return x",
        "class A:\n __match_args__ = ('y', 'x')\ndef main(a):\n match a:\n  case A(x): return x",
    ),
    "slots": (
        "class A:\n __slots__ = ('x',)\ndef main(): return A()",
        "class A:\n __slots__ = ('y',)\ndef main(): return A()",
    ),
    "metaclass": (
        "class M(type):\n def __call__(cls): return 1\nclass A(metaclass=M): pass\ndef main(): return A()",
        "class M(type):\n def __call__(cls): return 2\nclass A(metaclass=M): pass\ndef main(): return A()",
    ),
    "abstract class": (
        "import abc\nclass B(abc.ABC):\n @abc.abstractmethod\n def f(self): pass\nclass A(B):\n def f(self): return 1\ndef main(): return A().f()",
        "import abc\nclass B(abc.ABC):\n @abc.abstractmethod\n def f(self): pass\nclass A(B):\n def f(self): return 2\ndef main(): return A().f()",
    ),
    "inner class": (
        "class A:\n class B:\n  x = 1\ndef main(): return A.B.x",
        "class A:\n class B:\n  x = 2\ndef main(): return A.B.x",
    ),
    "class decorator": (
        "def d(cls):\n cls.x = 1\n return cls\n@d\nclass A: pass\ndef main(): return A.x",
        "def d(cls):\n cls.x = 2\n return cls\n@d\nclass A: pass\ndef main(): return A.x",
    ),
    "descriptor": (
        "class D:\n def __get__(self, *a): return 1\nclass A:\n x = D()\ndef main(): return A.x",
        "class D:\n def __get__(self, *a): return 2\nclass A:\n x = D()\ndef main(): return A.x",
    ),
    "default of a field of a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n x: int = 1\ndef main(): return A()",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n x: int = 2\ndef main(): return A()",
    ),
    "default of a field of a slotted dataclass": (
        "from dataclasses import dataclass\n@dataclass(slots=True)\nclass A:\n x: str = 'MISSING 1'\ndef main(): return A()",
        "from dataclasses import dataclass\n@dataclass(slots=True)\nclass A:\n x: str = 'MISSING 2'\ndef main(): return A()",
    ),
    "factory of a field of a dataclass": (
        "from dataclasses import dataclass, field\n@dataclass\nclass A:\n x: int = field(default_factory=list)\ndef main(): return A()",
        "from dataclasses import dataclass, field\n@dataclass\nclass A:\n x: int = field(default_factory=dict)\ndef main(): return A()",
    ),
    "user's factory of a field of a dataclass": (
        "from dataclasses import dataclass, field\ndef make(): return 1\n@dataclass\nclass A:\n x: int = field(default_factory=make)\ndef main(): return A()",
        "from dataclasses import dataclass, field\ndef make(): return 2\n@dataclass\nclass A:\n x: int = field(default_factory=make)\ndef main(): return A()",
    ),
    "metadata of a field of a dataclass": (
        "from dataclasses import dataclass, field\n@dataclass\nclass A:\n x: int = field(default=1, metadata={'n': 1})\ndef main(): return A()",
        "from dataclasses import dataclass, field\n@dataclass\nclass A:\n x: int = field(default=1, metadata={'n': 2})\ndef main(): return A()",
    ),
    "order of the fields of a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n x: int\n y: int\ndef main(): return A(1, 2)",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n y: int\n x: int\ndef main(): return A(1, 2)",
    ),
    "method of a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n x: int = 1\n def f(self): return 1\ndef main(): return A().f()",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n x: int = 1\n def f(self): return 2\ndef main(): return A().f()",
    ),
    "method of a dataclass that an installed decorator wraps": (
        "from dataclasses import dataclass\nimport contextlib\n@dataclass\nclass A:\n x: int = 1\n"
        " @contextlib.contextmanager\n def f(self): yield 1\ndef main(): return A()",
        "from dataclasses import dataclass\nimport contextlib\n@dataclass\nclass A:\n x: int = 1\n"
        " @contextlib.contextmanager\n def f(self): yield 2\ndef main(): return A()",
    ),
    "installed function as a method of a dataclass": (
        "from dataclasses import dataclass\nimport textwrap\n@dataclass\nclass A:\n f = textwrap.dedent\ndef main(): return A.f('')",
        "from dataclasses import dataclass\nimport textwrap\n@dataclass\nclass A:\n f = textwrap.fill\ndef main(): return A.f('')",
    ),
    "order=True of a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n x: int = 1\ndef main(): return A() < A()",
        "from dataclasses import dataclass\n@dataclass(order=True)\nclass A:\n x: int = 1\ndef main(): return A() < A()",
    ),
    "frozen=True of a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n x: int = 1\ndef main(): A().x = 1",
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass A:\n x: int = 1\ndef main(): A().x = 1",
    ),
    "eq=False of a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n x: int = 1\ndef main(): return A() == A()",
        "from dataclasses import dataclass\n@dataclass(eq=False)\nclass A:\n x: int = 1\ndef main(): return A() == A()",
    ),
    "repr=False of a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n x: int = 1\ndef main(): return str(A())",
        "from dataclasses import dataclass\n@dataclass(repr=False)\nclass A:\n x: int = 1\ndef main(): return str(A())",
    ),
    "fields of a named tuple": (
        "from typing import NamedTuple\nclass A(NamedTuple):\n x: int\n y: int\ndef main(): return A(1, 2)",
        "from typing import NamedTuple\nclass A(NamedTuple):\n y: int\n x: int\ndef main(): return A(1, 2)",
    ),
    "default of a named tuple": (
        "from typing import NamedTuple\nclass A(NamedTuple):\n x: int = 1\ndef main(): return A()",
        "from typing import NamedTuple\nclass A(NamedTuple):\n x: int = 2\ndef main(): return A()",
    ),
    "method of a named tuple": (
        "from typing import NamedTuple\nclass A(NamedTuple):\n x: int\n def f(self): return 1\ndef main(): return A(1).f()",
        "from typing import NamedTuple\nclass A(NamedTuple):\n x: int\n def f(self): return 2\ndef main(): return A(1).f()",
    ),
    "names of a collections.namedtuple": (
        "import collections\nA = collections.namedtuple('A', 'x y')\ndef main(): return A(1, 2)",
        "import collections\nA = collections.namedtuple('A', 'y x')\ndef main(): return A(1, 2)",
    ),
    "value of an enum": (
        "import enum\nclass A(enum.Enum):\n x = 1\ndef main(): return A.x",
        "import enum\nclass A(enum.Enum):\n x = 2\ndef main(): return A.x",
    ),
    "order of an enum": (
        "import enum\nclass A(enum.Enum):\n x = 1\n y = 2\ndef main(): return list(A)",
        "import enum\nclass A(enum.Enum):\n y = 2\n x = 1\ndef main(): return list(A)",
    ),
    "alias of an enum": (
        "import enum\nclass A(enum.Enum):\n x = 1\ndef main(): return A",
        "import enum\nclass A(enum.Enum):\n x = 1\n y = 1\ndef main(): return A",
    ),
    "method of an enum": (
        "import enum\nclass A(enum.Enum):\n x = 1\n def f(self): return 1\ndef main(): return A.x.f()",
        "import enum\nclass A(enum.Enum):\n x = 1\n def f(self): return 2\ndef main(): return A.x.f()",
    ),
    "cached method of an enum": (
        "import enum, functools\nclass A(enum.Enum):\n x = 1\n @functools.cache\n def f(self): return 1\ndef main(): return A.x.f()",
        "import enum, functools\nclass A(enum.Enum):\n x = 1\n @functools.cache\n def f(self): return 2\ndef main(): return A.x.f()",
    ),
    "attribute of an enum that is no member": (
        "import enum\nclass A(enum.Enum):\n x = 1\n y = enum.nonmember(1)\ndef main(): return A.y",
        "import enum\nclass A(enum.Enum):\n x = 1\n y = enum.nonmember(2)\ndef main(): return A.y",
    ),
    "member of an enum in a method": (
        "import enum\nclass A(enum.Enum):\n x = 1\n y = 2\nX = A.x\ndef main(): return X",
        "import enum\nclass A(enum.Enum):\n x = 1\n y = 2\nX = A.y\ndef main(): return X",
    ),
    "which of two equal names": (
        "class A:\n x = 1\nclass B:\n x = 1\n def f(self): return 1\nT = A\ndef main(): return T",
        "class A:\n x = 1\nclass B:\n x = 1\n def f(self): return 1\nT = B\ndef main(): return T",
    ),
}

# Each entry is a pair of texts that behave alike: the fingerprints of main() must agree.
DOES_NOT_COUNT = {
    "comment": ("def main():\n return 1", "# a\ndef main():  # b\n # c\n return 1  # d"),
    "docstring": ("def main():\n return 1", "def main():\n 'About.'\n return 1"),
    "other docstring": ("def main():\n 'About.'\n return 1", "def main():\n '''Of.\n more'''\n return 1"),
    "docstring of a nested function": (
        "def main():\n def f(): return 1\n return f",
        "def main():\n def f():\n  'About.'\n  return 1\n return f",
    ),
    "docstring of a helper": (
        "def h(): return 1\ndef main(): return h()",
        "def h():\n 'About.'\n return 1\ndef main(): return h()",
    ),
    "docstring of a class": (
        "class A:\n x = 1\ndef main(): return A",
        "class A:\n 'About.'\n x = 1\ndef main(): return A",
    ),
    "docstring of a method": (
        "class A:\n def f(self): return 1\ndef main(): return A",
        "class A:\n def f(self):\n  'About.'\n  return 1\ndef main(): return A",
    ),
    "docstring of a property": (
        "class A:\n @property\n def f(self): return 1\ndef main(): return A",
        "class A:\n @property\n def f(self):\n  'About.'\n  return 1\ndef main(): return A",
    ),
    "docstring of a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n x: int\ndef main(): return A",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n 'About.'\n x: int\ndef main(): return A",
    ),
    "blank lines": ("def main():\n return 1", "\n\n\ndef main():\n\n\n return 1\n\n"),
    "indentation by another width": ("def main(x):\n if x:\n  a()", "def main(x):\n    if x:\n        a()"),
    "line breaks": ("def main(): return [1, 2]", "def main():\n  return [\n    1,\n    2,\n  ]"),
    "quotes": ("def main(): return 'a'", 'def main(): return "a"'),
    "raw text": ("def main(): return '\\\\d'", "def main(): return r'\\d'"),
    "text in two pieces": ("def main(): return 'ab'", "def main(): return 'a' 'b'"),
    "prefix of a text": ("def main(): return 'a'", "def main(): return u'a'"),
    "way to write a number": ("def main(): return 1000", "def main(): return 1_000"),
    "superfluous parentheses": ("def main(x): return x + 1", "def main(x): return (x + (1))"),
    "annotations of the parameters": ("def main(x): return x", "def main(x: int) -> int: return x"),
    "annotations of a helper": (
        "def h(x): return x\ndef main(): return h(1)",
        "def h(x: int) -> 'int': return x\ndef main(): return h(1)",
    ),
    "annotations of a nested function": (
        "def main():\n def f(x: int): return x\n return f",
        "def main():\n def f(x: float) -> str: return x\n return f",
    ),
    "annotation of a variable": ("def main():\n x = 1\n return x", "def main():\n x: int = 1\n return x"),
    "other annotation of a variable": (
        "def main():\n x: int = 1\n return x",
        "def main():\n x: float = 1\n return x",
    ),
    "annotation by the user's own class": (
        "class T: pass\ndef main(x: T): return x",
        "class T:\n x = 1\ndef main(x: T): return x",
    ),
    "annotation by the user's own class, in a helper's variable": (
        "class T: pass\ndef h():\n x: T = 1\n return x\ndef main(): return h()",
        "class T:\n x = 1\ndef h():\n x: T = 1\n return x\ndef main(): return h()",
    ),
    "docstring beside a logger's name": (
        "import logging\ndef main(): 'a'; return logging.getLogger(__name__)",
        "import logging\ndef main(): 'b'; return logging.getLogger(__name__)",
    ),
    "order of names in a class whose objects' names are read": (
        "class A:\n a = 1\n b = 1\n def f(self): return list(vars(self))\ndef main(): return A().f()",
        "class A:\n b = 1\n a = 1\n def f(self): return list(vars(self))\ndef main(): return A().f()",
    ),
    "order of names in a class of which one is read": (
        "class A:\n a = 1\n b = 1\ndef main(): return vars(A)['a'], A.__dict__.get('b'), 'a' in vars(A)",
        "class A:\n b = 1\n a = 1\ndef main(): return vars(A)['a'], A.__dict__.get('b'), 'a' in vars(A)",
    ),
    "annotation beside a docstring that is read": (
        "def f(x: int): 'a'\ndef main(): return f.__doc__",
        "def f(x: str): 'a'\ndef main(): return f.__doc__",
    ),
    "name of the function": ("def main(): return 1", "def other(): return 1\nmain = other"),
    "order of definitions": (
        "def h(): return 1\ndef main(): return h()",
        "def main(): return h()\ndef h(): return 1",
    ),
    "unused helper": ("def main(): return 1", "def h(): return 2\ndef main(): return 1"),
    "edit of an unused helper": (
        "def h(): return 1\ndef main(): return 1",
        "def h(): return 2\ndef main(): return 1",
    ),
    "unused global": ("X = 1\ndef main(): return 1", "X = 2\ndef main(): return 1"),
    "import that is not used": ("def main(): return 1", "import json\ndef main(): return 1"),
    "global of a local's name": (
        "x = 1\ndef main():\n x = 0\n return x",
        "x = 2\ndef main():\n x = 0\n return x",
    ),
    "global of a parameter's name": ("x = 1\ndef main(x): return x", "x = 2\ndef main(x): return x"),
    "global of an attribute's name": ("x = 1\ndef main(a): return a.x", "x = 2\ndef main(a): return a.x"),
    "spelling of a global by value": ("X = 60 * 60\ndef main(): return X", "X = 3600\ndef main(): return X"),
    "order of the methods' lines": (
        "class A:\n def f(self): return 1\n def g(self): return 2\ndef main(): return A",
        "class A:\n def g(self): return 2\n def f(self): return 1\ndef main(): return A",
    ),
    "renamed decorated function": (
        "import contextlib\n@contextlib.contextmanager\ndef h(): yield 1\ndef main(): return h()",
        "import contextlib\n@contextlib.contextmanager\ndef g(): yield 1\nh = g\ndef main(): return h()",
    ),
    "type comments": ("def main(x):\n return x", "def main(x):\n # type: (int) -> int\n return x"),
    "annotations from the future": (
        "def main(x: int): return x",
        "from __future__ import annotations\ndef main(x: int): return x",
    ),
    "lambda moved to its own line": (
        "a, b = (lambda: 1), (lambda: 2)\ndef main(): return a()",
        "a = lambda: 1\nb = lambda: 2\ndef main(): return a()",
    ),
}


@pytest.mark.parametrize(("before", "after"), COUNTS.values(), ids=COUNTS)
def test_an_edit_that_changes_behaviour_counts(tmp_path, before, after):
    assert taken(load(tmp_path, before)).digest != taken(load(tmp_path, after)).digest


@pytest.mark.parametrize(("before", "after"), COUNTS.values(), ids=COUNTS)
def test_an_edit_that_changes_behaviour_counts_without_source(tmp_path, before, after):
    assert taken(without_source(tmp_path, before)).digest != taken(without_source(tmp_path, after)).digest


@pytest.mark.parametrize("text", [pair[0] for pair in COUNTS.values()], ids=COUNTS)
def test_equal_code_in_another_module_has_an_equal_fingerprint(tmp_path, text):
    first = taken(load(tmp_path, text, "first"))
    assert taken(load(tmp_path, f"\n# moved\n{text}", "second")).digest == first.digest


@pytest.mark.parametrize(("before", "after"), DOES_NOT_COUNT.values(), ids=DOES_NOT_COUNT)
def test_an_edit_without_effect_does_not_count(tmp_path, before, after):
    assert taken(load(tmp_path, before)).digest == taken(load(tmp_path, after)).digest


@pytest.mark.parametrize(("before", "after"), COUNTS.values(), ids=COUNTS)
def test_an_edit_that_changes_behaviour_counts_in_a_running_module(tmp_path, before, after):
    """Execute one cell again, as in a notebook: with the same namespace and the same fingerprinter."""
    module = load(tmp_path, before)
    fingerprinter = Fingerprinter()
    fingerprinter.fingerprint(module.main)
    again(module, after)
    fingerprinter.invalidate_values()
    assert fingerprinter.fingerprint(module.main).digest == taken(module).digest


def test_a_module_without_a_file_is_the_users(tmp_path):
    def made(number):
        module = load(tmp_path, f"class A:\n x = {number}\ndef main(): return A.x")
        del module.__file__
        return taken(module).digest

    assert made(1) != made(2)


_DECORATED = """
import functools
def traced(f):
    @functools.wraps(f)
    def around(x):
        return f(x){read}
    return around
def kind(x): return type(x).__name__
@traced
def {name}(x): return kind(x)
main = {name}
"""


def test_the_name_of_a_decorated_function_does_not_count_because_helpers_read_names(tmp_path):
    texts = [_DECORATED.format(name=name, read="") for name in ("load", "load_all")]
    assert taken(load(tmp_path, texts[0])).digest == taken(load(tmp_path, texts[1])).digest


def test_the_name_of_a_decorated_function_counts_if_its_decorator_reads_it(tmp_path):
    texts = [_DECORATED.format(name=name, read=", f.__name__") for name in ("load", "load_all")]
    assert taken(load(tmp_path, texts[0])).digest != taken(load(tmp_path, texts[1])).digest


# ------------------------------------------------------------------ changes in a running process

CHANGES = {
    "global rebound": ("X = 1.5\ndef main(): return X", "X = 2.5"),
    "global rebound twice": ("X = float('1.5')\ndef main(): return X", "X = X + 1\nX = X + 1"),
    "global deleted": ("X = 1\ndef main(): return X", "del X"),
    "global that was None deleted": ("X = None\ndef main(): return X", "del X"),
    "global defined as None": ("def main(): return X", "X = None"),
    "builtin shadowed": ("def main(): return len", "def len(x): return 1"),
    "builtin shadowed by None": ("def main(): return len", "len = None"),
    "container changed in place": ("X = {'a': [1]}\ndef main(): return X", "X['a'].append(2)"),
    "object changed in place": (
        "class A: pass\na = A()\na.x = 1\ndef main(): return a.x",
        "a.x = 2",
    ),
    "array changed in place": ("import numpy as np\nX = np.zeros(3)\ndef main(): return X", "X[0] = 1"),
    "helper redefined": ("def h(): return 1\ndef main(): return h()", "def h(): return 2"),
    "helper's helper redefined": (
        "def g(): return 1\ndef h(): return g()\ndef main(): return h()",
        "def g(): return 2",
    ),
    "code of a helper replaced": (
        "def h(): return 1\ndef main(): return h()",
        "def g(): return 2\nh.__code__ = g.__code__",
    ),
    "defaults of a helper replaced": (
        "def h(x=1): return x\ndef main(): return h()",
        "h.__defaults__ = (2,)",
    ),
    "keyword default of a helper replaced": (
        "def h(*, x=1): return x\ndef main(): return h()",
        "h.__kwdefaults__ = {'x': 2}",
    ),
    "keyword default of a helper changed in place": (
        "def h(*, x=1): return x\ndef main(): return h()",
        "h.__kwdefaults__['x'] = 2",
    ),
    "mutable default changed in place": ("def h(x=[]): return x\ndef main(): return h()", "h().append(1)"),
    "attribute of a function changed": (
        "def h(): return h.n\nh.n = 1\ndef main(): return h()",
        "h.n = 2",
    ),
    "attribute of a function added": ("def h(): return h.n\ndef main(): return h()", "h.n = 2"),
    "closure changed": (
        "def make(n):\n def get(): return n\n def put(x):\n  nonlocal n\n  n = x\n return get, put\n"
        "h, put = make(1.5)\ndef main(): return h()",
        "put(2.5)",
    ),
    "method replaced": ("class A:\n def f(self): return 1\ndef main(): return A().f()", "A.f = lambda s: 2"),
    "inherited method overridden": (
        "class B:\n def f(self): return 1\nclass A(B): pass\ndef main(): return A().f()",
        "A.f = lambda s: 2",
    ),
    "method added": ("class A: pass\ndef main(): return A().f()", "A.f = lambda s: 2"),
    "method deleted": ("class A:\n def f(self): return 1\ndef main(): return A().f()", "del A.f"),
    "class attribute changed": ("class A:\n x = 1.5\ndef main(): return A.x", "A.x = 2.5"),
    "class attribute changed twice": (
        "class A:\n x = float('1.5')\ndef main(): return A.x",
        "A.x = A.x + 1\nA.x = A.x + 1",
    ),
    "class attribute changed in place": ("class A:\n x = []\ndef main(): return A.x", "A.x.append(1)"),
    "bases replaced": (
        "class B:\n x = 1\nclass C:\n x = 2\nclass A(B): pass\ndef main(): return A.x",
        "A.__bases__ = (C,)",
    ),
    "class redefined": ("class A:\n x = 1\ndef main(): return A.x", "class A:\n x = 2"),
    "class of an object replaced": (
        "class A:\n x = 1\nclass B:\n x = 2\na = A()\ndef main(): return a.x",
        "a.__class__ = B",
    ),
    "single dispatch registered": (
        "import functools\n@functools.singledispatch\ndef h(x): return 0\ndef main(): return h(1)",
        "h.register(int, lambda x: 1)",
    ),
    "partial replaced": (
        "import functools\ndef g(x): return x\nh = functools.partial(g, 1)\ndef main(): return h()",
        "h = functools.partial(g, 2)",
    ),
}


@pytest.mark.parametrize(("text", "change"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_noticed_when_the_next_run_asks(tmp_path, text, change):
    module = load(tmp_path, text)
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    again(module, change)
    fingerprinter.invalidate_values()
    assert fingerprinter.fingerprint(module.main).digest == taken(module).digest != before


def test_undoing_a_change_restores_the_fingerprint(tmp_path):
    module = load(tmp_path, "def h(): return 1\ndef main(): return h()")
    before = fingerprint_of(module.main)
    again(module, "def h(): return 2")
    changed = fingerprint_of(module.main)
    again(module, "def h():\n    # as it was\n    return 1")
    assert fingerprint_of(module.main) == before != changed


def test_a_global_that_no_code_names_does_not_count(tmp_path):
    module = load(tmp_path, "def h(): return 1\ndef main(): return h()")
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main)
    again(module, "scratch = 1")
    fingerprinter.invalidate_values()
    assert fingerprinter.fingerprint(module.main) == before


CALLED = {
    "single dispatch": (
        "import functools\n@functools.singledispatch\ndef h(x): return 0\ndef main(): return h(1)"
    ),
    "cached function": "import functools\n@functools.cache\ndef h(): return [0]\ndef main(): return h()",
    "cached method": (
        "import functools\nclass A:\n @functools.cache\n def f(self): return [0]\n"
        "a = A()\ndef main(): return a.f()"
    ),
    "single dispatch method": (
        "import functools\nclass A:\n @functools.singledispatchmethod\n def f(self, x): return 1\n"
        "def main(): return A().f(1)"
    ),
    "enum": "import enum\nclass A(enum.Flag):\n x = 1\n y = 2\ndef main(): return [A(3), ~A.x, A['x'] in A.y]",
    "abstract class": (
        "import abc\nclass B(abc.ABC): pass\nclass A(B): pass\ndef main(): return [isinstance(A(), B), isinstance(1, B)]"
    ),
    "pattern": "import re\nP = re.compile('a+')\ndef main(): return P.match('aa')",
    "logger": "import logging\nlog = logging.getLogger('some.name')\ndef main(): log.debug('a')",
    "object that pickle has seen": (
        "import pickle, copy\nclass A:\n __slots__ = ('x',)\ndef main():\n a = A()\n a.x = 1\n"
        " return copy.deepcopy(a), a.__reduce_ex__(2)"
    ),
    "named tuple": "import collections\nA = collections.namedtuple('A', 'x')\ndef main(): return A(1)._replace(x=2)",
    "context manager": (
        "import contextlib\n@contextlib.contextmanager\ndef h(): yield\ndef main():\n with h(): pass"
    ),
    "warning": "import warnings\nimport sys\ndef main():\n with warnings.catch_warnings(record=True): warnings.simplefilter('always'), warnings.warn('a')",
    "json": "import json\nfrom json import dumps\ndef main(): return dumps([1]), json.loads('1')",
    "data frames": (
        "import pandas as pd\nfrom pandas import DataFrame, read_csv\nimport io\n"
        "def main(): return DataFrame({'a': [1]}), read_csv(io.StringIO('a\\n1')), pd.concat([pd.Series([1])])"
    ),
    "arrays": (
        "import numpy as np\nfrom numpy import array, vectorize\nfrom numpy.linalg import norm\n"
        "V = vectorize(lambda x: x + 1)\ndef main(): return norm(array([1.0])), V(np.ones(3)), np.einsum('i->', np.ones(3))"
    ),
    "statistics": (
        "from scipy import stats, special, optimize\nfrom scipy.stats import norm\n"
        "def main(): return norm.pdf(0), special.erf(0), optimize.brentq(lambda x: x, -1, 1), stats.t.cdf(0, 1)"
    ),
    "estimator": (
        "import numpy as np\nfrom sklearn.linear_model import Ridge\nfrom sklearn.model_selection import train_test_split\n"
        "def main(): return Ridge().fit(np.eye(3), np.ones(3)), train_test_split([1, 2, 3])"
    ),
    "plot": (
        "import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\n"
        "from matplotlib.pyplot import plot\ndef main():\n plot([1])\n plt.close('all')"
    ),
}


@pytest.mark.parametrize("text", CALLED.values(), ids=CALLED)
@pytest.mark.slow
def test_calling_code_does_not_change_its_fingerprint(tmp_path, text):
    module = load(tmp_path, text)
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main)
    module.main()
    fingerprinter.invalidate_values()
    assert fingerprinter.fingerprint(module.main).digest == before.digest
    assert taken(module).digest == before.digest
    assert [note for note in before.notes if note.kind == "opaque"] == []


# ------------------------------------------------------------------ several modules


def put(folder, name, text):
    path = folder / f"{name}.py"
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    importlib.invalidate_caches()


def forget(name):
    sys.modules.pop(name, None)
    importlib.invalidate_caches()


USES = {
    "import m": "import lib\ndef main(): return lib.f()",
    "import m as n": "import lib as n\ndef main(): return n.f()",
    "from m import f": "from lib import f\ndef main(): return f()",
    "from m import f as g": "from lib import f as g\ndef main(): return g()",
    "import m, inside": "def main():\n import lib\n return lib.f()",
    "import m as n, inside": "def main():\n import lib as n\n return n.f()",
    "from m import f, inside": "def main():\n from lib import f\n return f()",
    "from m import f, in a nested function": "def main():\n def g():\n  from lib import f\n  return f()\n return g()",
    "import in a branch": "def main(x=0):\n if x:\n  import lib\n  return lib.f()",
    "import in a try": "def main():\n try:\n  import lib\n except ImportError:\n  return 0\n return lib.f()",
    "module as a value": "import lib\ndef main(): return getattr(lib, 'f')()",
    "module in a table": "import lib\nT = [lib]\ndef main(): return T[0].f()",
    "module of a module": "import top\ndef main(): return top.lib.f()",
    "star import": "from lib import *\ndef main(): return f()",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("source", [True, False], ids=["with source", "without source"])
def test_an_edit_of_another_module_counts(tmp_path, use, source):
    def digest(number):
        for name in ("lib", "top"):
            forget(name)
        put(tmp_path, "lib", f"def f(): return {number}\ndef unused(): return 0")
        put(tmp_path, "top", "import lib")
        return taken((load if source else without_source)(tmp_path, use)).digest

    assert digest(1) == digest(1)
    assert digest(1) != digest(2_000)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_the_fingerprint_is_the_same_before_and_after_the_first_run(tmp_path, use):
    put(tmp_path, "lib", "def f(): return 1")
    put(tmp_path, "top", "import lib")
    module = load(tmp_path, use)
    before = taken(module).digest
    module.main()
    assert taken(module).digest == before


@pytest.mark.parametrize("name", ["colorsys", "xml.dom.pulldom", "sklearn.isotonic"])
@pytest.mark.parametrize(
    "text",
    [
        "def main():\n import {0}",
        "def main():\n import {0} as m\n return m.x",
        "def main():\n from {0} import x",
    ],
)
@pytest.mark.slow
def test_an_installed_module_counts_alike_before_and_after_it_is_imported(tmp_path, name, text, monkeypatch):
    module = load(tmp_path, text.format(name))
    for loaded in list(sys.modules):
        if loaded.startswith(name):
            monkeypatch.delitem(sys.modules, loaded)
    before = taken(module).digest
    importlib.import_module(name)
    assert taken(module).digest == before


@pytest.mark.parametrize("use", ["lib.f()", "a.lib.f()"])
def test_an_edit_of_an_unused_name_in_another_module_does_not_count(tmp_path, use):
    def digest(number):
        for name in ("lib", "a"):
            forget(name)
        put(tmp_path, "lib", f"def f(): return 1\ndef unused(): return {number}")
        put(tmp_path, "a", f"import lib\nunused = {number}")
        return taken(load(tmp_path, f"import lib, a\ndef main(): return {use}")).digest

    assert digest(1) == digest(2_000)


def test_an_unused_import_does_not_count(tmp_path):
    put(tmp_path, "lib", "def f(): return 1\ndef g(): return 2")
    first, second = (
        load(tmp_path, text) for text in ("import lib\ndef main(): return 1", "def main(): return 1")
    )
    assert taken(first).digest == taken(second).digest


@pytest.mark.parametrize("source", [True, False], ids=["with source", "without source"])
@pytest.mark.parametrize(
    "use",
    [
        "def main():\n from . import helpers\n return helpers.f()",
        "def main():\n from .helpers import f\n return f()",
        "from . import helpers\ndef main(): return helpers.f()",
        "from .helpers import f\ndef main(): return f()",
        "def main():\n import pack.helpers\n return pack.helpers.f()",
        "def main():\n import pack.helpers as h\n return h.f()",
        "import pack.helpers\ndef main(): return pack.helpers.f()",
    ],
)
def test_an_edit_of_a_module_of_the_same_package_counts(tmp_path, use, source):
    def digest(number):
        for name in ("pack", "pack.helpers", "pack.main"):
            forget(name)
        put(tmp_path / "pack", "__init__", "")
        put(tmp_path / "pack", "helpers", f"def f(): return {number}")
        put(tmp_path / "pack", "main", use)
        module = importlib.import_module("pack.main")
        if not source:
            module.main.__code__ = module.main.__code__.replace(co_filename=str(tmp_path / "gone.py"))
        return taken(module).digest

    assert digest(1) == digest(1)
    assert digest(1) != digest(2_000)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_reloaded_module_counts(tmp_path, use):
    for name in ("lib", "top"):
        forget(name)
    put(tmp_path, "lib", "def f(): return 1")
    put(tmp_path, "top", "import lib")
    module = load(tmp_path, use)
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    module.main()
    put(tmp_path, "lib", "def f(): return 2_000")
    if "lib" in sys.modules:
        importlib.reload(sys.modules["lib"])
    if "from lib" in use and not use.startswith("def"):  # bound by name: run the importing module again
        again(module, use)
    fingerprinter.invalidate_values()
    assert fingerprinter.fingerprint(module.main).digest == taken(module).digest != before


@pytest.mark.parametrize("use", [use for use in USES.values() if use.startswith("def")])
def test_a_module_that_is_removed_and_imported_again_counts(tmp_path, use):
    forget("lib")
    put(tmp_path, "lib", "def f(): return 1")
    module = load(tmp_path, use)
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    forget("lib")
    put(tmp_path, "lib", "def f(): return 2_000")
    importlib.import_module("lib")
    fingerprinter.invalidate_values()
    assert fingerprinter.fingerprint(module.main).digest == taken(module).digest != before


def test_a_module_that_could_not_be_imported_at_first_counts_when_it_can(tmp_path):
    forget("lib")
    put(tmp_path, "lib", "def f(: broken")
    module = load(tmp_path, "def main():\n import lib\n return lib.f()")
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    put(tmp_path, "lib", "def f(): return 2_000")
    module.main()
    fingerprinter.invalidate_values()
    assert fingerprinter.fingerprint(module.main).digest == taken(module).digest != before


def test_a_package_warning_registry_of_a_module_does_not_count(tmp_path):
    forget("lib")
    put(tmp_path, "lib", "import warnings\ndef f(): warnings.warn('careful')")
    module = load(tmp_path, "import lib\ndef main(): return getattr(lib, 'f')()")
    before = taken(module).digest
    with pytest.warns(UserWarning, match="careful"):
        module.main()
    assert taken(module).digest == before


def test_a_name_added_to_a_module_that_counts_whole_counts(tmp_path):
    forget("lib")
    put(tmp_path, "lib", "def f(): return 1")
    module = load(tmp_path, "import lib\ndef main(): return getattr(lib, 'g', None)")
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    module.lib.g = 1
    fingerprinter.invalidate_values()
    assert fingerprinter.fingerprint(module.main).digest == taken(module).digest != before


def test_the_version_of_an_installed_package_counts_on_request(tmp_path):
    text = "import numpy as np\nfrom json import dumps\ndef main(): return np.sum([1]), dumps(1)"
    module = load(tmp_path, text)
    plain = taken(module).digest
    versions = {"numpy": "==1"}
    tracked = Fingerprinter(versions=versions).fingerprint(module.main).digest
    versions["numpy"] = "==2"
    other = Fingerprinter(versions=versions).fingerprint(module.main).digest
    versions["numpy"] = ""
    assert len({plain, tracked, other}) == 3
    assert Fingerprinter(versions=versions).fingerprint(module.main).digest == plain


# ------------------------------------------------------------------ source and code object


def test_an_edit_that_was_not_loaded_does_not_count(tmp_path):
    path = write(tmp_path, "def main(): return 1")
    module = run("def main(): return 1", path)
    path.write_text("def main(): return 2_000", encoding="utf-8")
    edited = taken(module)
    assert edited.digest != taken(load(tmp_path, "def main(): return 2_000")).digest
    assert {note.kind for note in edited.notes} == {"source"}


def test_the_text_at_definition_is_used_after_an_edit(tmp_path):
    path = write(tmp_path, "def main(): return 1")
    module = run("def main(): return 1", path)
    sources = Sources()
    sources.capture(str(path), vars(module))
    path.write_text("def main(): return 2_000\n", encoding="utf-8")
    found = Fingerprinter(sources=sources).fingerprint(module.main)
    assert found == taken(load(tmp_path, "def main(): return 1"))


def test_code_from_exec_is_distinguished():
    def made(text):
        namespace = {}
        exec(text, namespace)
        return fingerprint_of(namespace["main"])

    assert made("def main(): return 1") == made("\n\ndef main(): return 1")
    assert made("def main(): return 1") != made("def main(): return 2")
    assert made("def h(): return 1\ndef main(): return h()") != made(
        "def h(): return 2\ndef main(): return h()"
    )


@pytest.mark.parametrize("decorated", ["@dataclass\n", ""], ids=["dataclass", "class"])
def test_a_method_from_exec_is_distinguished(tmp_path, decorated):
    def made(number):
        module = load(tmp_path, "from dataclasses import dataclass\ndef main(): return A().f()")
        exec(f"{decorated}class A:\n x: int = 1\n def f(self): return {number}", vars(module))
        return taken(module).digest

    assert made(1) == made(1)
    assert made(1) != made(2)


class Memo:
    """A memo that records its requests."""

    def __init__(self):
        self.parts = {}
        self.asked = []

    def get_part(self, digest):
        self.asked.append(digest)
        part = self.parts.get(digest)
        return None if part is None else CodePart.from_json(part.to_json())

    def put_part(self, digest, part):
        self.parts[digest] = part


def test_a_cached_part_is_used_by_another_session(tmp_path):
    text = "def h(x): return x\ndef main(pipe): pipe.send('a', h(1))"
    memo = Memo()
    first = Fingerprinter(memo).fingerprint(load(tmp_path, text).main)
    warm = Fingerprinter(memo).fingerprint(without_source(tmp_path, text).main)
    assert warm == first
    assert len(memo.parts) == 2


# ------------------------------------------------------------------ recursion and the shape of the graph

SHAPES = {
    "f calls g": "def main(): return g()\ndef g(): return 1",
    "f calls g that calls f": "def main(): return g()\ndef g(): return main()",
    "f calls itself": "def main(): return main()",
    "f calls itself and one": "def main(): return main() + g()\ndef g(): return 1",
    "two in a circle": "def main(x): return a(x)\ndef a(x): return b(x)\ndef b(x): return a(x - 1)",
    "three in a circle": (
        "def main(x): return a(x)\ndef a(x): return b(x)\ndef b(x): return c(x)\ndef c(x): return a(x - 1)"
    ),
    "two in a circle, entered at the other": (
        "def main(x): return b(x)\ndef a(x): return b(x)\ndef b(x): return a(x - 1)"
    ),
    "two in a circle, with an outside": (
        "def main(x): return a(x)\ndef a(x): return b(x)\ndef b(x): return a(x - 1) + k()\ndef k(): return 1"
    ),
    "two in a circle, with another outside": (
        "def main(x): return a(x)\ndef a(x): return b(x)\ndef b(x): return a(x - 1) + k()\ndef k(): return 2"
    ),
    "two in a circle, the outside at the other": (
        "def main(x): return a(x)\ndef a(x): return b(x) + k()\ndef b(x): return a(x - 1)\ndef k(): return 1"
    ),
    "a table of two, one way": "def a(): return 1\ndef b(): return 2\nT = [a, b]\ndef main(): return T",
    "a table of two, the other way": "def a(): return 1\ndef b(): return 2\nT = [b, a]\ndef main(): return T",
    "a table that holds main": "T = {}\ndef main(): return T\nT['main'] = main",
    "a table that holds a circle": "T = {}\ndef main(): return T\ndef a(): return T, 1\nT['main'] = a",
    "classes that name one another": (
        "class A:\n def f(self): return B()\nclass B:\n def f(self): return A()\ndef main(): return A()"
    ),
    "classes that name one another, entered at the other": (
        "class A:\n def f(self): return B()\nclass B:\n x = 1\n def f(self): return A()\ndef main(): return A()"
    ),
    "classes that name one another, the other way": (
        "class A:\n x = 1\n def f(self): return B()\nclass B:\n def f(self): return A()\ndef main(): return A()"
    ),
}


def test_graphs_of_different_shape_have_different_fingerprints(tmp_path):
    digests = {name: taken(load(tmp_path, text)).digest for name, text in SHAPES.items()}
    by_digest = {}
    for name, digest in digests.items():
        by_digest.setdefault(digest, []).append(name)
    assert [names for names in by_digest.values() if len(names) > 1] == []


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
def test_fingerprints_do_not_depend_on_the_order_of_requests(tmp_path, text):
    module = load(tmp_path, text)
    functions = [value for value in vars(module).values() if callable(value)]
    alone = [Fingerprinter().fingerprint(function).digest for function in functions]
    together, backwards = Fingerprinter(), Fingerprinter()
    assert [together.fingerprint(function).digest for function in functions] == alone
    assert [backwards.fingerprint(function).digest for function in functions[::-1]] == alone[::-1]


def test_two_equal_helpers_count_like_one(tmp_path):
    one = "def a(): return 1\ndef main(): return a() + a()"
    two = "def a(): return 1\ndef b(): return 1\n{}def main(): return a() + {}()"
    same = taken(load(tmp_path, two.format("", "b"))).digest
    assert same == taken(load(tmp_path, two.format("b = a\n", "b"))).digest
    assert same != taken(load(tmp_path, one)).digest  # the text names other names


def chain(length, last):
    lines = [f"def h{i}(x): return h{i + 1}(x)" for i in range(length)]
    return "\n".join([*lines, f"def h{length}(x): return {last}", "def main(): return h0(1)"])


@pytest.mark.slow
def test_a_chain_of_2000_helpers_has_a_fingerprint(tmp_path):
    first = taken(load(tmp_path, chain(2_000, 1))).digest
    assert first != taken(load(tmp_path, chain(2_000, 2))).digest


@pytest.mark.slow
def test_the_end_of_a_long_chain_is_found_to_differ(tmp_path):
    fingerprinter = Fingerprinter()
    old = fingerprinter.fingerprint(load(tmp_path, chain(1_500, 1)).main).digest
    new = fingerprinter.fingerprint(load(tmp_path, chain(1_500, 2)).main).digest
    (found,) = differences(old, new, fingerprinter.records.get)
    assert found.path[-1] == "h1500"
    assert len(found.path) == 1_502


@pytest.mark.slow
def test_a_cycle_of_300_helpers_has_a_fingerprint(tmp_path):
    def circle(odd):
        lines = [f"def h{i}(x): return {odd if i == 150 else 1} + h{(i + 1) % 300}(x)" for i in range(300)]
        return "\n".join([*lines, "def main(): return h0(1)"])

    assert taken(load(tmp_path, circle(1))).digest != taken(load(tmp_path, circle(2))).digest


def test_a_deeply_nested_global_has_a_fingerprint(tmp_path):
    def nested(leaf):
        return f"X = {leaf}\nfor _ in range(5_000): X = (X,)\ndef main(): return X"

    assert taken(load(tmp_path, nested(1))).digest != taken(load(tmp_path, nested(2))).digest


def test_a_deeply_nested_expression_has_a_fingerprint(tmp_path):
    def nested(last):
        return "def main(x): return " + " + ".join(["x"] * 2_000) + f" + {last}"

    assert taken(load(tmp_path, nested(1))).digest != taken(load(tmp_path, nested(2))).digest


NAMES = ["main", "a", "b", "c", "d"]


@st.composite
def programs(draw):
    """Small programs in which functions call one another at random."""
    bodies = {}
    for name in NAMES:
        calls = draw(st.lists(st.sampled_from([*NAMES, "X", "Y"]), max_size=3))
        bodies[name] = (draw(st.integers(0, 2)), tuple(calls))
    return bodies, draw(st.integers(0, 2)), draw(st.integers(0, 2))


def text_of(program):
    bodies, x, y = program
    lines = [
        f"def {name}(): return [{', '.join([str(number), *calls])}]"
        for name, (number, calls) in bodies.items()
    ]
    return "\n".join([f"X = {x}", f"Y = [{y}]", *lines])


def meaning(program, root="main"):
    """The code that ``root`` reaches, up to bisimulation, read naively from the program's text."""
    bodies, x, y = program
    values = {"X": ("X", x), "Y": ("Y", y)}
    classes = dict.fromkeys(bodies, 0)
    for _ in range(len(bodies) + 1):
        seen = {
            name: (number, tuple((call, values.get(call) or classes[call]) for call in calls))
            for name, (number, calls) in bodies.items()
        }
        classes = {name: repr(look) for name, look in seen.items()}
    return classes[root]


@settings(max_examples=60)
@given(programs(), programs())
@pytest.mark.slow
def test_fingerprints_are_equal_exactly_when_the_reachable_code_is(tmp_path_factory, first, second):
    folder = tmp_path_factory.mktemp("programs")
    one, other = (taken(load(folder, text_of(program))).digest for program in (first, second))
    assert (one == other) == (meaning(first) == meaning(second))


def _defined(line):
    return line.replace("(", " ").split()[:2]


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(programs(), min_size=2, max_size=4), st.data())
def test_a_reused_fingerprinter_agrees_with_a_new_one(tmp_path_factory, versions, data):
    """Redefine some of the names, as cells do, and take the fingerprint again."""
    module = load(tmp_path_factory.mktemp("programs"), text_of(versions[0]))
    fingerprinter = Fingerprinter()
    for program in versions:
        chosen = data.draw(st.sets(st.sampled_from([*NAMES, "X", "Y"])))
        lines = [line for line in text_of(program).splitlines() if chosen & set(_defined(line))]
        again(module, "\n".join(lines))
        data.draw(st.sampled_from([fingerprinter.invalidate_values, fingerprinter.begin_generation]))()
        asked = data.draw(st.permutations(NAMES))
        for name in asked[: data.draw(st.integers(0, len(asked)))]:
            assert fingerprinter.fingerprint(getattr(module, name)).digest == taken(module, name).digest


# ------------------------------------------------------------------ releasing values


def test_a_value_that_no_code_names_any_more_is_released(tmp_path):
    module = load(tmp_path, "class Big: pass\nX = Big()\ndef main(): return X")
    fingerprinter = Fingerprinter()
    old = weakref.ref(module.X)
    fingerprinter.fingerprint(module.main)
    again(module, "X = Big()")
    for _ in range(2):
        fingerprinter.begin_generation()
        fingerprinter.fingerprint(module.main)
    assert old() is None


def test_a_redefined_function_is_released_with_the_values_it_names(tmp_path):
    module = load(tmp_path, "class Big: pass\nX = Big()\ndef main(): return X")
    fingerprinter = Fingerprinter()
    old = weakref.ref(module.main), weakref.ref(module.X)
    fingerprinter.fingerprint(module.main)
    again(module, "X = Big()\ndef main(): return X")
    fingerprinter.begin_generation()
    fingerprinter.fingerprint(module.main)
    fingerprinter.begin_generation()
    assert [ref() for ref in old] == [None, None]


def test_a_value_named_by_the_class_of_a_digested_value_is_released(tmp_path):
    module = load(tmp_path, "class Big: pass\nX = Big()\nclass A:\n def f(self): return X")
    old = weakref.ref(module.X)
    digest_of(module.A())
    again(module, "X = Big()")
    for _ in range(2):
        digest_of(module.A())
    assert old() is None


def test_a_node_that_every_run_needs_is_built_once(tmp_path, monkeypatch):
    module = load(tmp_path, "X = 'x'\ndef helper(): return X\ndef main(): return helper()")
    fingerprinter = Fingerprinter()
    described = []
    describe = NodeBuilder.__call__
    monkeypatch.setattr(
        NodeBuilder, "__call__", lambda self, obj: described.append(obj) or describe(self, obj)
    )
    for _ in range(3):
        fingerprinter.begin_generation()
        fingerprinter.fingerprint(module.main)
    assert described == [module.main, module.helper]


def test_an_interrupted_fingerprint_leaves_no_outdated_digest(tmp_path):
    """An interrupted walk leaves nodes without digests; no node that names them may keep its digest."""
    text = (
        "class Late(list):\n n = 0\n def __iter__(self):\n  if Late.n: raise KeyboardInterrupt\n  return iter(())\n"
        "A = [1]\nB = [Late()]\ndef main(): return A, B"
    )
    module = load(tmp_path, text)
    fingerprinter = Fingerprinter()
    fingerprinter.fingerprint(module.main)
    fingerprinter.begin_generation()
    module.Late.n = 1
    with pytest.raises(KeyboardInterrupt):
        fingerprinter.fingerprint(module.main)
    module.Late.n = 0
    fingerprinter.begin_generation()
    module.A.append(2)
    assert fingerprinter.fingerprint(module.main).digest == taken(module).digest


# ------------------------------------------------------------------ state and notes


@pytest.mark.parametrize(
    "text",
    [
        "N = {}\ndef main():\n global N\n N = N + 1",
        "N = {}\ndef main():\n global N\n N += 1",
        "N = [{}]\ndef main():\n global N\n N = [*N, 1]",
        "N = [{}]\ndef main(): N.append(1)",
        "N = {{{}: 1}}\ndef f(): N[len(N)] = 5\ndef main(): f()",
        "class C:\n n = {}\ndef main(): C.n += 1",
        "class C:\n n = {}\n @classmethod\n def f(cls): cls.n = cls\ndef main(): C.f()",
        "class C:\n n = {}\n def f(self): C.m = self\ndef main(): C().f()",
        "import random\nR = random.Random({})\ndef main(): return R.random()",
        "import numpy\nR = numpy.random.default_rng({})\ndef main(): return R.random()",
        "N = iter([{}, 2, 3, 4])\ndef main(): return next(N)",
        "def make(n):\n def f():\n  nonlocal n\n  n += 1\n  return n\n return f\nmain = make({})",
        "def make(n):\n def f(): n.append(1)\n return f\nmain = make([{}])",
        "def main(n=[{}]): n.append(1)",
        "def main(): main.n += 1\nmain.n = {}",
        "import functools\nclass C:\n k = {}\n @functools.cached_property\n def p(self): return 1\nC = C()\n"
        "def main(): return C.p",
    ],
)
def test_what_a_reactor_changes_counts_as_before_and_an_edit_of_it_counts(tmp_path, text):
    first, other = (load(tmp_path, text.format(n)) for n in (1, 2))
    sys.modules["code"] = first
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(first.main).digest
    for _ in range(3):
        first.main()
        fingerprinter.begin_generation()
        after = fingerprinter.fingerprint(first.main).digest
        if after != before:
            assert fingerprinter.keep_past_values(before, after) is not None
        assert fingerprinter.fingerprint(first.main).digest == before
        assert taken(first).digest == before  # also of another plant in this process
    sys.modules["code"] = other
    assert taken(other).digest != before


def test_a_change_by_the_user_after_that_of_a_reactor_counts(tmp_path):
    module = load(tmp_path, "N = [1]\nclass C:\n n = None\ndef main(): N.append(2); C.n = []")
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    module.main()
    fingerprinter.begin_generation()
    assert fingerprinter.keep_past_values(before, fingerprinter.fingerprint(module.main).digest)
    assert fingerprinter.fingerprint(module.main).digest == before
    module.N.append(3)
    fingerprinter.begin_generation()
    assert fingerprinter.fingerprint(module.main).digest != before
    del module.N[-1]
    fingerprinter.begin_generation()
    assert fingerprinter.fingerprint(module.main).digest == before
    module.N = [1, 2]  # another object
    fingerprinter.begin_generation()
    assert fingerprinter.fingerprint(module.main).digest != before


def test_code_that_changes_while_it_runs_has_no_value_from_before(tmp_path):
    module = load(tmp_path, "def h(): return 1\ndef main(): return h()")
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    again(module, "def h(): return 2")
    fingerprinter.begin_generation()
    assert fingerprinter.keep_past_values(before, fingerprinter.fingerprint(module.main).digest) is None


def test_a_global_with_the_name_of_a_rebound_local_counts(tmp_path):
    text = (
        "total = {}\ndef main():\n def count():\n  total = 0\n  def add():\n   nonlocal total\n   total += 1\n"
        "  add()\n  return total\n return count() + total"
    )
    assert taken(load(tmp_path, text.format(1))).digest != taken(load(tmp_path, text.format(2))).digest


def test_names_known_as_state_are_left_out(tmp_path):
    module = load(tmp_path, "N = 1\nM = 1\ndef h(): return N\ndef main(): return h() + M")
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main)
    fingerprinter.add_state({("code", "N")})
    without = fingerprinter.fingerprint(module.main)
    again(module, "N = 2")
    fingerprinter.invalidate_values()
    assert fingerprinter.fingerprint(module.main) == without
    assert without.digest != before.digest
    assert [note.kind for note in without.notes] == ["state"]
    again(module, "M = 2")
    fingerprinter.invalidate_values()
    assert fingerprinter.fingerprint(module.main).digest != without.digest


def test_an_opaque_global_counts_by_its_class_and_is_noted(tmp_path):
    text = "import threading\nL = threading.Lock()\ndef h(): return L\ndef main(): return h()"
    one, two = taken(load(tmp_path, text)), taken(load(tmp_path, text))
    assert one.digest == two.digest
    assert [(note.kind, note.text) for note in one.notes] == [("opaque", "_thread.lock")]


@pytest.mark.parametrize("text", ["W = np.frompyfunc(lambda x: x + {}, 1, 1)", "W = iter([{}])"])
def test_content_that_is_left_out_is_noted(tmp_path, text):
    text = f"import numpy as np\nclass A: pass\n{text}\ndef main(): return W"
    one, two = (taken(load(tmp_path, text.format(n))) for n in (1, 2))
    assert one.digest != two.digest or [note.kind for note in one.notes] == ["opaque"]


def test_the_notes_and_hints_of_helpers_reach_the_reactor(tmp_path):
    text = (
        "def h(pipe): pipe.send('a', 1)\ndef g(pipe):\n h(pipe)\n pipe.send('b', 1)\ndef main(pipe):\n"
        " g(pipe)\n x = yield pipe.receive('c')"
    )
    found = taken(load(tmp_path, text))
    assert {(hint.method, hint.text) for hint in found.hints} == {
        ("send", ("a",)),
        ("send", ("b",)),
        ("receive", ("c",)),
    }


def test_a_module_used_as_a_value_passes_its_notes_but_no_hints(tmp_path):
    text = "import sys\nME = sys.modules[__name__]\ndef h(pipe): pipe.send('a', 1)\ndef main(): return ME"
    module = load(tmp_path, text)
    assert taken(module).hints == frozenset()
    module.h.__code__ = load(tmp_path, text.replace("1)", "2)")).h.__code__
    assert taken(module).digest != taken(load(tmp_path, text)).digest


def test_an_uncertain_hint_counts_for_the_reactor_itself_only(tmp_path):
    text = "def h(box): box.send('a', 1)\ndef main(p):\n p.send('b', h(p))"
    assert {hint.text for hint in taken(load(tmp_path, text)).hints} == {("b",)}


# ------------------------------------------------------------------ sharing, and what code reaches


def test_the_nodes_of_a_library_are_built_once_for_all_reactors(tmp_path):
    text = "def h(): return 1\n" + "\n".join(f"def main{i}(): return h() + {i}" for i in range(50))
    module = load(tmp_path, text)
    memo = Memo()
    fingerprinter = Fingerprinter(memo)
    digests = {fingerprinter.fingerprint(getattr(module, f"main{i}")).digest for i in range(50)}
    assert len(digests) == 50
    assert len(memo.asked) == 51


def test_functions_of_one_factory_differ_by_their_closures(tmp_path):
    module = load(
        tmp_path, "def make(n):\n def f(): return n\n return f\na, b, c = make(1), make(2), make(1)"
    )
    a, b, c = (fingerprint_of(getattr(module, name)) for name in "abc")
    assert a == c != b


def test_reaches_tells_whether_code_names_an_object(tmp_path):
    module = load(
        tmp_path, "def a(): return 1\ndef h(): return a()\ndef b(): return 2\ndef main(): return h()"
    )
    fingerprinter = Fingerprinter()
    assert fingerprinter.reaches(module.main, module.a)
    assert fingerprinter.reaches(module.main, module.main)
    assert not fingerprinter.reaches(module.main, module.b)


def test_a_value_with_functions_counts_by_their_code(tmp_path):
    one, two = (load(tmp_path, f"def h(): return {n}\nT = {{'a': [h]}}") for n in (1, 2))
    assert digest_of(one.T) != digest_of(two.T)
    assert digest_of(one.T) == digest_of({"a": [one.h]})


# ------------------------------------------------------------------ differences


def compared(folder, before, after):
    fingerprinter = Fingerprinter()
    old = fingerprinter.fingerprint(load(folder, before).main).digest
    new = fingerprinter.fingerprint(load(folder, after).main).digest
    found = differences(old, new, fingerprinter.records.get)
    assert found == differences(old, new, lambda digest: through_json(fingerprinter.records.get(digest)))
    return found


def through_json(record):
    return None if record is None else CodeRecord.from_json(json.loads(json.dumps(record.to_json())))


def test_equal_fingerprints_have_no_differences(tmp_path):
    assert compared(tmp_path, "def main(): return 1", "def main(): return 1  # a") == []


def test_the_edited_function_is_named_with_both_texts(tmp_path):
    (found,) = compared(tmp_path, "def main(): return 1", "def main(): return 2")
    assert found.path == ("code.main",)
    assert (found.old, found.new) == ("def main(): return 1\n", "def main(): return 2\n")
    assert found.kind is NodeKind.FUNCTION


def test_the_edited_helper_is_named_with_the_path_to_it(tmp_path):
    text = "def a(): return {}\ndef b(): return a()\ndef main(): return b()"
    (found,) = compared(tmp_path, text.format(1), text.format(2))
    assert found.path == ("code.main", "b", "a")
    assert (found.old, found.new) == ("def a(): return 1\n", "def a(): return 2\n")


def test_a_changed_global_is_named_with_both_values(tmp_path):
    text = "LIMIT = {}\ndef h(): return LIMIT\ndef main(): return h()"
    (found,) = compared(tmp_path, text.format(1), text.format(2))
    assert (found.path, found.owner, found.name) == (("code.main", "h", "LIMIT"), "code", "LIMIT")
    assert (found.kind, found.old, found.new) == (NodeKind.VALUE, "1", "2")


def test_a_changed_container_is_named_with_both_values(tmp_path):
    text = "TABLE = {}\ndef main(): return TABLE"
    (found,) = compared(tmp_path, text.format([1]), text.format([2]))
    assert (found.path, found.old, found.new) == (("code.main", "TABLE"), "[1]", "[2]")


def test_a_changed_method_is_named(tmp_path):
    text = "class A:\n def f(self): return {}\n def g(self): return 1\ndef main(): return A().f()"
    (found,) = compared(tmp_path, text.format(1), text.format(2))
    assert found.path == ("code.main", "A", "f")
    assert found.new.strip() == "def f(self): return 2"


def test_a_changed_default_and_a_changed_closure_are_named(tmp_path):
    (found,) = compared(tmp_path, "def main(x=1): return x", "def main(x=2): return x")
    assert (found.old, found.new) == ("1", "2")
    text = "def make(n):\n def f(): return n\n return f\nmain = make({})"
    (found,) = compared(tmp_path, text.format(1), text.format(2))
    assert (found.path[-1], found.old, found.new) == ("n", "1", "2")


def test_only_the_changed_helper_of_a_cycle_is_named(tmp_path):
    text = "def a(x): return b(x) + {}\ndef b(x): return a(x)\ndef main(): return b(1)"
    (found,) = compared(tmp_path, text.format(1), text.format(2))
    assert found.path[-1] == "a"


def test_a_value_that_became_a_function_is_named(tmp_path):
    (found,) = compared(tmp_path, "h = 1\ndef main(): return h", "def h(): return 1\ndef main(): return h")
    assert found.path == ("code.main", "h")
    assert found.old == "1"
    assert found.new.startswith("def h()")


def test_every_difference_is_named_once(tmp_path):
    text = "X = {0}\ndef a(): return X\ndef b(): return X + {0}\ndef main(): return a() + b()"
    found = compared(tmp_path, text.format(1), text.format(2))
    assert sorted(change.path[-1] for change in found) == ["X", "b"]


@pytest.mark.parametrize(("before", "after"), COUNTS.values(), ids=COUNTS)
def test_every_change_that_counts_has_a_difference(tmp_path, before, after):
    assert compared(tmp_path, before, after) != []


def test_records_are_returned_once(tmp_path):
    module = load(tmp_path, "def h(): return 1\ndef main(): return h()")
    fingerprinter = Fingerprinter()
    digest = fingerprinter.fingerprint(module.main).digest
    first = fingerprinter.new_records(digest)
    assert {record.name for record in first.values()} == {"code.main", "code.h"}
    assert fingerprinter.new_records(digest) == {}


def test_a_part_survives_json(tmp_path):
    memo = Memo()
    text = "def main(pipe):\n global N\n N = 1\n pipe.send(f'a{N}', len)"
    Fingerprinter(memo).fingerprint(load(tmp_path, text).main)
    (part,) = memo.parts.values()
    assert CodePart.from_json(json.loads(json.dumps(part.to_json()))) == part
    assert encode(part.to_json()).opaque == ()


FUNCTIONS_IN_SETS = """
def step(n, below):
    def call(): return n, below
    return call

def group(depth, width):
    steps = {step(n, None) for n in range(width)}
    for _ in range(depth):
        steps = {step(n, steps) for n in range(width)}
    return steps

STEPS = group(12, 4)
def main(): return STEPS
"""


def test_functions_in_nested_sets_are_compared_once(tmp_path, monkeypatch):
    """Ordering the functions of a set by those in the sets they name must not take exponential time."""
    count = []
    describe = NodeBuilder.__call__
    monkeypatch.setattr(NodeBuilder, "__call__", lambda self, obj: count.append(obj) or describe(self, obj))
    first = taken(load(tmp_path, FUNCTIONS_IN_SETS))
    assert len(count) < 1000
    assert taken(load(tmp_path, FUNCTIONS_IN_SETS)).digest == first.digest
    assert (
        taken(
            load(tmp_path, FUNCTIONS_IN_SETS.replace("range(width)}\n    for", "range(1, 5)}\n    for"))
        ).digest
        != first.digest
    )


ENUM = """
import enum
class Size(enum.Enum):
    SMALL = 1
    @classmethod
    def _missing_(cls, value): return cls.SMALL
    @staticmethod
    def _generate_next_value_(name, start, count, last): return count
def main(): return Size(2)
"""


@pytest.mark.parametrize(
    ("old", "new"), [("return cls.SMALL", "return None"), ("return count", "return count + 1")]
)
def test_hooks_of_enumerations_count(tmp_path, old, new):
    assert taken(load(tmp_path, ENUM)).digest == taken(load(tmp_path, ENUM)).digest
    assert taken(load(tmp_path, ENUM)).digest != taken(load(tmp_path, ENUM.replace(old, new))).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("extra", "other"),
        ('"%s"', '"<%s>"'),
        ("{1: 2}", "{1: 3}"),
        ("member.since = 1", "member.since = 2"),
        ("__str__ = str.__str__", "__format__ = str.__format__"),
        ("boundary=enum.KEEP", "boundary=enum.CONFORM"),
        ("_missing_ = functools.partial(found, 1)", "_missing_ = functools.partial(found, 2)"),
    ],
)
def test_everything_in_the_body_of_an_enumeration_and_in_its_members_counts(tmp_path, old, new):
    text = """
        import enum, functools
        def shown(self, form): return form % self.name
        def found(number, value): return number
        class Size(enum.Enum):
            __table__ = {1: 2}
            def __new__(cls, value, more):
                made = object.__new__(cls)
                made._value_, made.more = value, more
                return made
            SMALL = 1, "extra"
            __str__ = functools.partialmethod(shown, "%s")
            _missing_ = functools.partial(found, 1)
        class Kind(str, enum.Enum):
            A = "a"
            __str__ = str.__str__
        class Flags(enum.Flag, boundary=enum.KEEP):
            A = 1
        for member in Kind:
            member.since = 1
        def main(): return Size, Kind, Flags
    """
    assert taken(load(tmp_path, text)).digest == taken(load(tmp_path, text)).digest
    assert taken(load(tmp_path, text)).digest != taken(load(tmp_path, text.replace(old, new))).digest


def test_an_attribute_that_a_member_of_an_enumeration_computes_once_does_not_count(tmp_path):
    module = load(
        tmp_path,
        """
        import enum, functools
        class Size(enum.Enum):
            SMALL = 1
            @functools.cached_property
            def double(self): return 2 * self.value
        def main(): return Size.SMALL.double
        """,
    )
    before = taken(module).digest
    assert module.main() == 2
    assert taken(module).digest == before


def test_a_changed_attribute_of_a_member_is_noticed_when_the_next_run_asks(tmp_path):
    module = load(tmp_path, "import enum\nclass A(enum.Enum):\n X = 1\nA.X.more = 1\ndef main(): return A\n")
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    module.A.X.more = 2
    fingerprinter.begin_generation()
    assert fingerprinter.fingerprint(module.main).digest != before


def test_a_class_that_an_annotation_of_a_nested_class_names_counts(tmp_path):
    text = """
        from __future__ import annotations
        class T:
            x = 1
        def main():
            class A:
                x: T
            return A
    """
    assert taken(load(tmp_path, text)).digest != taken(load(tmp_path, text.replace("= 1", "= 2"))).digest


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        (
            "class Base: pass\nclass A(Base):\n def f(self): return 1\n"
            "def main(): return [c().f() for c in Base.__subclasses__()]",
            "return 1",
            "return 2",
        ),
        (
            "class Base:\n @classmethod\n def all(cls): return [c().f() for c in cls.__subclasses__()]\n"
            "class A(Base):\n def f(self): return 1\ndef main(): return Base.all()",
            "class A(Base)",
            "class B(Base)",
        ),
        (
            "import inspect\nclass Db:\n def get(self): return 1\n"
            "def inject(f): return f(*(p.annotation() for p in inspect.signature(f).parameters.values()))\n"
            "def use(db: Db): return db.get()\ndef main(): return inject(use)",
            "return 1",
            "return 2",
        ),
        (
            "import inspect\nclass Db:\n def get(self): return 1\n"
            "def inject(f): return inspect.signature(f, eval_str=True)\n"
            "def use(db: 'Db'): return db.get()\ndef main(): return inject(use)",
            "return 1",
            "return 2",
        ),
        (
            "import abc\nclass Shape(abc.ABC): pass\nclass Square: pass\nShape.register(Square)\n"
            "def main(): return isinstance(Square(), Shape)",
            "Shape.register(Square)",
            "pass",
        ),
        (
            "import copy, copyreg\nclass P: pass\ndef reduced(p): return P, (1,)\ncopyreg.pickle(P, reduced)\n"
            "def main(): return copy.copy(P())",
            "(1,)",
            "(2,)",
        ),
        (
            "RULE = 'f(v)'\ndef f(v): return 1\ndef main(): return eval(RULE, globals(), {'v': 1})",
            "1\n",
            "2\n",
        ),
        ("def f(): return 1\ndef main(): return globals().get('f')()", "return 1", "return 2"),
        (
            "import attrs\nfrom functools import cached_property\n@attrs.define\nclass C:\n @cached_property\n"
            " def x(self): return 1\ndef main(): return C().x",
            "return 1",
            "return 2",
        ),
    ],
    ids=[
        *(
            "subclasses",
            "subclasses-in-method",
            "injected",
            "injected-as-text",
            "virtual-subclass",
            "copyreg",
        ),
        *("eval-with-globals", "globals", "cached-property-of-attrs"),
    ],
)
def test_code_that_is_found_through_other_objects_counts(tmp_path, text, old, new):
    before = taken(load(tmp_path, text)).digest
    assert taken(load(tmp_path, text.replace(old, new))).digest != before
    assert taken(load(tmp_path, f"# A comment.\n{text}")).digest == before


def test_what_a_library_registers_for_a_class_is_no_part_of_it(tmp_path, monkeypatch):
    module = load(tmp_path, "class Own(Exception): pass\ndef main(): raise Own")
    before = taken(module).digest
    monkeypatch.setitem(copyreg.dispatch_table, module.Own, textwrap.dedent)
    assert taken(module).digest == before


def test_a_subclass_that_is_defined_later_counts(tmp_path):
    module = load(tmp_path, "class Base: pass\ndef main(): return Base.__subclasses__()")
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    again(module, "class A(Base): pass")
    fingerprinter.begin_generation()
    assert fingerprinter.fingerprint(module.main).digest != before


def test_a_class_that_is_registered_later_counts(tmp_path):
    module = load(tmp_path, "import abc\nclass Base(abc.ABC): pass\ndef main(): return Base")
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    module.Base.register(int)
    fingerprinter.begin_generation()
    assert fingerprinter.fingerprint(module.main).digest != before


def test_a_comment_counts_if_code_reads_the_source(tmp_path):
    text = "import inspect\ndef f(): return 1\ndef main(): return inspect.getsource(f)"
    assert taken(load(tmp_path, text)).digest == taken(load(tmp_path, text)).digest
    assert (
        taken(load(tmp_path, text)).digest != taken(load(tmp_path, text.replace("1\n", "1  # One\n"))).digest
    )


def test_names_that_code_adds_to_a_class_or_module_are_not_in_its_order(tmp_path):
    module = load(tmp_path, "class A:\n a = 1\ndef main(): return list(vars(A))")
    before = taken(module).digest
    module.A.cache = None
    fingerprinter = Fingerprinter()
    fingerprinter.add_state({("code.A", "cache")})
    assert fingerprinter.fingerprint(module.main).digest == before


def test_subclasses_of_subclasses_count_if_code_asks_for_subclasses(tmp_path):
    text = (
        "class Base: pass\nclass A(Base): pass\nclass B(A): x = 1\ndef main(): return Base.__subclasses__()"
    )
    assert taken(load(tmp_path, text)).digest != taken(load(tmp_path, text.replace("x = 1", "x = 2"))).digest


def test_subclasses_do_not_count_unless_code_asks_for_them(tmp_path):
    text = "class Base: pass\nclass A(Base): x = 1\ndef main(): return Base"
    assert taken(load(tmp_path, text)).digest == taken(load(tmp_path, text.replace("x = 1", "x = 2"))).digest


def test_a_module_that_a_function_imports_for_its_effect_counts(tmp_path):
    (tmp_path / "registry_of_steps.py").write_text("STEPS = {}\n")
    (tmp_path / "step_that_registers.py").write_text(
        "import registry_of_steps\ndef step(): return 1\nregistry_of_steps.STEPS['a'] = step\n"
    )
    text = "def main():\n import step_that_registers"
    before = taken(load(tmp_path, text)).digest
    sys.modules["step_that_registers"].step = lambda: 2
    assert taken(load(tmp_path, text)).digest != before


def test_a_literal_key_of_globals_leads_to_that_global_only(tmp_path):
    text = "f = 1\ng = 2\ndef main(): return globals()['f']"
    before = taken(load(tmp_path, text)).digest
    assert taken(load(tmp_path, text.replace("g = 2", "g = 3"))).digest == before
    assert taken(load(tmp_path, text.replace("f = 1", "f = 3"))).digest != before


def test_an_installed_function_counts_by_its_name_whatever_its_library_compiles_for_it(tmp_path):
    networkx = pytest.importorskip("networkx")
    module = load(tmp_path, "from networkx import shortest_path\ndef main(g): return shortest_path(g, 1, 2)")
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    assert module.main(networkx.path_graph(3)) == [
        1,
        2,
    ]  # networkx compiles the function when it is first called
    fingerprinter.invalidate_values()
    assert fingerprinter.fingerprint(module.main).digest == before


def test_a_users_function_that_a_library_wraps_in_place_of_its_own_counts(tmp_path):
    text = """
        import contextlib, textwrap
        @contextlib.contextmanager
        def indent(): yield 1
        indent.__module__ = "textwrap"
        textwrap.indent = indent
        def main(): return textwrap.indent
    """
    try:
        digests = [
            taken(load(tmp_path, text)).digest,
            taken(load(tmp_path, text.replace("yield 1", "yield 2"))).digest,
        ]
    finally:
        importlib.reload(textwrap)
    assert digests[0] != digests[1]


def test_the_functions_of_scipy_count_by_name(tmp_path):
    pytest.importorskip("scipy.special")
    module = load(tmp_path, "from scipy.special import expit\ndef main(): return expit")
    assert not taken(module).notes
    other = load(tmp_path, "from scipy.special import logit as expit\ndef main(): return expit")
    assert taken(module).digest != taken(other).digest
