"""The project that is edited in :mod:`tests.conformance.test_edits`, and the edits.

One reactor uses one of everything; what it sends is a list with a part for each, so that an
edit which matters shows in the value. An edit is a file and the text to replace in it.
"""

import textwrap

PIPELINE = '''
    import collections
    import contextlib
    import dataclasses
    import datetime
    import decimal
    import enum
    import functools
    import pathlib
    import re
    import types

    import numpy as np

    import helpers
    import kit
    import kit.deep.leaf as leaf
    from helpers import from_other_module
    from kit import chosen, relative
    from kit.deep import leaf as also_leaf
    from starred import *
    from stages import tail, tail_class
    from pyplant import *

    try:
        import no_such_module as fast
    except ImportError:
        import slow as fast

    CONSTANT = 10
    TABLE = {"a": 1, "b": [2, 3]}
    WORDS = {"x", "y", "z"}
    SENTENCE = "two  words"
    RAW = b"raw"
    NESTED = (1, [2, {"k": {3}}])
    UNUSED = 1
    PATTERN = re.compile("a+")
    ARRAY = np.arange(4)
    PATH = pathlib.Path("x/y")
    DECIMAL = decimal.Decimal("1.5")
    DATE = datetime.date(2020, 1, 1)
    RANGE = range(3)
    NAMESPACE = types.SimpleNamespace(a=1)
    QUEUE = collections.deque([1, 2])
    COUNTS = collections.Counter("aab")
    ORDERED = collections.OrderedDict(first=1)
    DEFAULTS = collections.defaultdict(int, a=4)
    SLICE = slice(1, 3)

    def helper(x):
        """A docstring."""
        return middle(x) + 1

    def middle(x):
        return x * 2  # a comment

    def unused(x):
        return x

    def default(x, step=1, *, scale=2):
        return x * scale + step

    def decorator(function):
        @functools.wraps(function)
        def wrapper(*args):
            return function(*args) + 100
        return wrapper

    def parametrised(extra):
        def decorate(function):
            return lambda *args: function(*args) + extra
        return decorate

    @decorator
    def decorated(x):
        return x

    @parametrised(40)
    def decorated_twice(x):
        return x

    @functools.lru_cache
    def memoised(x):
        return x + 8

    @contextlib.contextmanager
    def context():
        yield "in context"

    @functools.singledispatch
    def dispatch(x):
        return "anything"

    @dispatch.register
    def dispatch_int(x: int):
        return "an integer"

    def even(n):
        return True if n == 0 else odd(n - 1)

    def odd(n):
        return False if n == 0 else even(n - 1)

    def generate():
        yield 1
        yield 2

    def nest(x):
        def inner(y):
            return y + 1
        return [inner(v) for v in range(x) if v >= 0]

    def matching(x):
        match x:
            case 1:
                return "one"
            case _:
                return "other"

    def formatted(x):
        return f"{x:>4}|"

    def caught():
        try:
            return {}["missing"]
        except KeyError:
            return "caught"

    def noted():
        return noted.note

    noted.note = 5

    def make_shape():
        return Shape()

    def documented():
        """Text that counts, since code reads it."""
        return 1

    class Base:
        """A class."""
        size: int = 3

        def area(self):
            return self.size * 2

    class Shape(Base):
        def half(self):
            return self.area() / 2

        @property
        def double(self):
            return self.area() * 2

        @staticmethod
        def fixed():
            return 7

        @classmethod
        def build(cls):
            return cls.__name__ + "!"

        def area(self):
            return super().area() + 1

        by = functools.partialmethod(lambda self, n: n + 1, 6)

    @dataclasses.dataclass
    class Point:
        x: int = 1
        y: int = dataclasses.field(default=2)
        z: list = dataclasses.field(default_factory=lambda: [5])

        def norm(self):
            return self.x + self.y

    class Colour(enum.Enum):
        RED = 1
        BLUE = 2

        def label(self):
            return self.name.lower()

    Pair = collections.namedtuple("Pair", "a b", defaults=[7])

    class Meta(type):
        def __call__(cls, *args):
            made = super().__call__(*args)
            made.tag = "made"
            return made

    class Made(metaclass=Meta):
        pass

    def extend(cls):
        cls.extra = 11
        return cls

    @extend
    class Extended:
        pass

    class Scale:
        unit = 2

        def __init__(self, factor):
            self.factor = factor

        def __call__(self, x):
            return x * self.factor * self.unit

    scale = Scale(3)
    bound = scale.__call__

    class Descriptor:
        def __get__(self, instance, owner):
            return 21

    class Holder:
        value = Descriptor()
        made_here = staticmethod(lambda: 51)

        def __init_subclass__(cls, **options):
            cls.sub = "s"

        @functools.cached_property
        def slow(self):
            return 31

    class Sub(Holder):
        pass

    class Slotted:
        __slots__ = ("a",)

        def __init__(self):
            self.a = 61

    class Other:
        Inner = type("Inner", (), {"n": 71})

    def first(x):
        return x + 81

    def second(x):
        return x + 82

    FUNCTIONS = {"first": first, "more": [second]}

    def make(factor):
        def closure(x):
            return x * factor
        return closure

    triple = make(3)
    partial = functools.partial(default, step=5)
    add = lambda x: x + 4

    @SubreactorFunc
    def inner(pipe):
        return 3

    @SubreactorFunc
    def outer(pipe):
        value = yield from inner(pipe)
        return value + 1

    @ReactorFunc
    def work(pipe, config):
        x = 1
        parts = [helper(x), from_other_module(x), helpers.deep(x), helpers.TABLE["k"], CONSTANT, SENTENCE]
        parts += [TABLE["b"][1], len(WORDS), RAW, repr(NESTED), default(x), decorated(x), decorated_twice(x)]
        parts += [Shape().half(), Shape().double, Shape.fixed(), Shape.build(), Shape().by(), make_shape().area()]
        parts += [triple(x), partial(x), add(x), memoised(x), dispatch(x), even(4), list(generate()), nest(2)]
        with context() as value:
            parts.append(value)
        parts += [matching(x), formatted(x), caught(), noted(), documented.__doc__, x if x else CONSTANT]
        parts += [Point().norm(), Point().z, Colour.RED.value, Colour.BLUE.label(), Pair(1).b, Made().tag]
        parts += [Extended.extra, scale(x), bound(x), Holder.value, Holder.made_here(), Sub.sub, Holder().slow]
        parts += [Slotted().a, Other.Inner.n, FUNCTIONS["first"](x), FUNCTIONS["more"][0](x)]
        parts += [PATTERN.pattern, int(ARRAY[1]), str(PATH), str(DECIMAL), DATE.year, len(RANGE), NAMESPACE.a]
        parts += [QUEUE[0], COUNTS["a"], ORDERED["first"], DEFAULTS["a"], SLICE.stop]
        parts += [kit.at_the_top(x), leaf.leaf(x), also_leaf.LEVEL, relative.through(x), chosen(x), starred(x)]
        parts += [fast.speed(x), tail(x), tail_class().work(), config.color]
        from imported_late import late
        import kit.late as module_late
        parts += [late(x), module_late.later(x)]
        parts.append((yield from outer(pipe)))
        for number in range(2):
            parts.append(number)
        pipe.send("result", repr(parts))

    if __name__ == "__main__":
        with Plant("plant") as plant:
            plant.set_config({"color": "red", "unread": 1})
            report = plant.run_reactor("work")
            print(",".join(report.ran) or "nothing")
            print(plant.get("result"))
'''

_FILES = {
    "pipeline.py": PIPELINE,
    "helpers.py": """
        from deeper import deepest

        TABLE = {"k": 5}

        def from_other_module(x):
            return x + 6

        def deep(x):
            return deepest(x) + 1
    """,
    "deeper.py": """
        def deepest(x):
            return x + 20
    """,
    "imported_late.py": """
        def late(x):
            return x + 30
    """,
    "slow.py": """
        def speed(x):
            return x + 35
    """,
    "starred.py": """
        __all__ = ["starred"]

        def starred(x):
            return unstarred(x)

        def unstarred(x):
            return x + 36
    """,
    "stages.py": """
        from parents import Parent

        def tail(x):
            return x + 37

        class Child(Parent):
            def work(self):
                return self.inherited() + 1

        def tail_class():
            return Child()
    """,
    "parents.py": """
        class Parent:
            def inherited(self):
                return 38
    """,
    "kit/__init__.py": """
        from kit.deep.leaf import leaf as chosen

        def at_the_top(x):
            return x + 39
    """,
    "kit/relative.py": """
        from .deep.leaf import below

        def through(x):
            return below(x) + 1
    """,
    "kit/late.py": """
        def later(x):
            return x + 43
    """,
    "kit/deep/__init__.py": "",
    "kit/deep/leaf.py": """
        LEVEL = 40

        def leaf(x):
            return x + 41

        def below(x):
            return x + 42
    """,
}

FILES = {name: textwrap.dedent(text).lstrip("\n") for name, text in _FILES.items()}

MATTER = {
    "body": ("pipeline.py", "x = 1\n", "x = 2\n"),
    "a literal's type": ("pipeline.py", "x = 1\n", "x = 1.0\n"),
    "a literal from 1 to True": ("pipeline.py", "    x = 1\n", "    x = True\n"),
    "helper, same file": ("pipeline.py", "middle(x) + 1", "middle(x) + 2"),
    "helper's helper": ("pipeline.py", "return x * 2  #", "return x * 3  #"),
    "helper, other module": ("helpers.py", "x + 6", "x + 7"),
    "helper through its module": ("helpers.py", "deepest(x) + 1", "deepest(x) + 2"),
    "helper, two modules away": ("deeper.py", "x + 20", "x + 21"),
    "helper imported inside the function": ("imported_late.py", "x + 30", "x + 31"),
    "module imported inside the function": ("kit/late.py", "x + 43", "x + 44"),
    "package": ("kit/__init__.py", "x + 39", "x + 49"),
    "module in a package": ("kit/deep/leaf.py", "x + 41", "x + 51"),
    "constant in a package": ("kit/deep/leaf.py", "LEVEL = 40", "LEVEL = 50"),
    "relative import": ("kit/deep/leaf.py", "x + 42", "x + 52"),
    "helper with a relative import": ("kit/relative.py", "below(x) + 1", "below(x) + 2"),
    "another name re-exported": ("kit/__init__.py", "import leaf as chosen", "import below as chosen"),
    "module imported instead of a missing one": ("slow.py", "x + 35", "x + 45"),
    "star import": ("starred.py", "return unstarred(x)", "return unstarred(x) + 1"),
    "not starred, but reached": ("starred.py", "x + 36", "x + 46"),
    "class of another module": ("stages.py", "inherited() + 1", "inherited() + 2"),
    "base class of a third module": ("parents.py", "return 38", "return 48"),
    "global constant": ("pipeline.py", "CONSTANT = 10", "CONSTANT = 11"),
    "global constant's type": ("pipeline.py", "CONSTANT = 10", "CONSTANT = 10.0"),
    "spaces in a text": ("pipeline.py", "two  words", "two words"),
    "bytes": ("pipeline.py", 'b"raw"', 'b"rew"'),
    "global container": ("pipeline.py", "[2, 3]", "[2, 4]"),
    "deep in a container": ("pipeline.py", '{"k": {3}}', '{"k": {4}}'),
    "global set": ("pipeline.py", '"x", "y", "z"', '"x", "y", "z", "w"'),
    "global of another module": ("helpers.py", '{"k": 5}', '{"k": 6}'),
    "pattern": ("pipeline.py", '"a+"', '"a*"'),
    "array": ("pipeline.py", "np.arange(4)", "np.arange(4) * 2"),
    "path": ("pipeline.py", '"x/y"', '"x/z"'),
    "decimal": ("pipeline.py", '"1.5"', '"1.50"'),
    "date": ("pipeline.py", "date(2020,", "date(2021,"),
    "range": ("pipeline.py", "RANGE = range(3)", "RANGE = range(4)"),
    "namespace": ("pipeline.py", "SimpleNamespace(a=1)", "SimpleNamespace(a=2)"),
    "deque": ("pipeline.py", "deque([1, 2])", "deque([2, 2])"),
    "counter": ("pipeline.py", 'Counter("aab")', 'Counter("aaab")'),
    "ordered dictionary": ("pipeline.py", "OrderedDict(first=1)", "OrderedDict(first=2)"),
    "default dictionary": ("pipeline.py", "defaultdict(int, a=4)", "defaultdict(int, a=5)"),
    "slice": ("pipeline.py", "slice(1, 3)", "slice(1, 4)"),
    "default argument": ("pipeline.py", "step=1", "step=2"),
    "keyword default": ("pipeline.py", "scale=2", "scale=3"),
    "decorator": ("pipeline.py", "+ 100", "+ 200"),
    "argument of a decorator": ("pipeline.py", "@parametrised(40)", "@parametrised(50)"),
    "code of a decorator with arguments": (
        "pipeline.py",
        "function(*args) + extra",
        "function(*args) - extra",
    ),
    "decorator added": ("pipeline.py", "def first(x)", "@decorator\ndef first(x)"),
    "what is decorated": (
        "pipeline.py",
        "def decorated(x):\n    return x",
        "def decorated(x):\n    return x + 1",
    ),
    "memoised function": ("pipeline.py", "x + 8\n", "x + 9\n"),
    "context manager": ("pipeline.py", '"in context"', '"within"'),
    "registered implementation": ("pipeline.py", '"an integer"', '"a number"'),
    "implementation registered for another class": (
        "pipeline.py",
        "dispatch_int(x: int)",
        "dispatch_int(x: str)",
    ),
    "mutual recursion": ("pipeline.py", "return True if n == 0", "return None if n == 0"),
    "generator": ("pipeline.py", "yield 2", "yield 3"),
    "nested function": ("pipeline.py", "return y + 1", "return y + 2"),
    "comprehension": ("pipeline.py", "if v >= 0", "if v > 0"),
    "pattern matching": ("pipeline.py", "case 1:", "case 2:"),
    "format": ("pipeline.py", "{x:>4}", "{x:>5}"),
    "exception": ("pipeline.py", 'return "caught"', 'return "handled"'),
    "attribute of a function": ("pipeline.py", "noted.note = 5", "noted.note = 6"),
    "method of a base class": ("pipeline.py", "self.size * 2", "self.size * 4"),
    "method of a class": ("pipeline.py", "self.area() / 2", "self.area() / 4"),
    "property": ("pipeline.py", "self.area() * 2", "self.area() * 3"),
    "static method": ("pipeline.py", "return 7", "return 8"),
    "class method": ("pipeline.py", '__name__ + "!"', '__name__ + "?"'),
    "super": ("pipeline.py", "super().area() + 1", "super().area() + 2"),
    "partial method": ("pipeline.py", "n + 1, 6)", "n + 1, 7)"),
    "class attribute": ("pipeline.py", "size: int = 3", "size: int = 5"),
    "default of a field": ("pipeline.py", "x: int = 1", "x: int = 2"),
    "default of a field object": ("pipeline.py", "field(default=2)", "field(default=3)"),
    "factory of a field": ("pipeline.py", "lambda: [5]", "lambda: [6]"),
    "method of a dataclass": ("pipeline.py", "self.x + self.y", "self.x - self.y"),
    "member of an enumeration": ("pipeline.py", "RED = 1", "RED = 3"),
    "method of an enumeration": ("pipeline.py", "self.name.lower()", "self.name.upper()"),
    "default of a named tuple": ("pipeline.py", "defaults=[7]", "defaults=[8]"),
    "metaclass": ("pipeline.py", '= "made"', '= "built"'),
    "decorator of a class": ("pipeline.py", "cls.extra = 11", "cls.extra = 12"),
    "attribute of an object": ("pipeline.py", "scale = Scale(3)", "scale = Scale(4)"),
    "class of an object": ("pipeline.py", "unit = 2", "unit = 3"),
    "method of an object": ("pipeline.py", "x * self.factor *", "x + self.factor *"),
    "descriptor": ("pipeline.py", "return 21", "return 22"),
    "lambda in a class": ("pipeline.py", "lambda: 51", "lambda: 52"),
    "subclass hook": ("pipeline.py", 'cls.sub = "s"', 'cls.sub = "t"'),
    "cached property": ("pipeline.py", "return 31", "return 32"),
    "class with slots": ("pipeline.py", "self.a = 61", "self.a = 62"),
    "class made by type()": ("pipeline.py", '{"n": 71}', '{"n": 72}'),
    "function in a dictionary": ("pipeline.py", "x + 81", "x + 83"),
    "function in a list in a dictionary": ("pipeline.py", "x + 82", "x + 83"),
    "which function is in the dictionary": ("pipeline.py", '"first": first', '"first": second'),
    "closure": ("pipeline.py", "make(3)", "make(4)"),
    "code of a closure": (
        "pipeline.py",
        "return x * factor\n    return",
        "return x + factor\n    return",
    ),
    "partial": ("pipeline.py", "step=5", "step=6"),
    "lambda": ("pipeline.py", "x + 4\n", "x + 5\n"),
    "subreactor": ("pipeline.py", "value + 1", "value + 2"),
    "nested subreactor": (
        "pipeline.py",
        "def inner(pipe):\n    return 3\n",
        "def inner(pipe):\n    return 4\n",
    ),
    "a parameter that is read": ("pipeline.py", '"color": "red"', '"color": "blue"'),
    "a loop inside": ("pipeline.py", "in range(2)", "in range(3)"),
    "an override of a method": (
        "pipeline.py",
        "class Shape(Base):\n",
        "class Shape(Base):\n    size = 9\n\n",
    ),
    "another base": (
        "pipeline.py",
        "class Shape(Base):",
        "class Larger(Base):\n    size = 8\n\nclass Shape(Larger):",
    ),
    "a name that is rebound later": (
        "pipeline.py",
        "@SubreactorFunc\ndef inner",
        "CONSTANT = 12\n\n@SubreactorFunc\ndef inner",
    ),
    "a helper that is replaced later": (
        "pipeline.py",
        "@SubreactorFunc\ndef inner",
        "helpers.deep = lambda x: x\n\n@SubreactorFunc\ndef inner",
    ),
    "a helper's constant replaced from outside": (
        "pipeline.py",
        "@SubreactorFunc\ndef inner",
        "leaf.LEVEL = 55\n\n@SubreactorFunc\ndef inner",
    ),
}

DO_NOT_MATTER = {
    "nothing": ("pipeline.py", "", ""),
    "comment": ("pipeline.py", "# a comment", "# another comment"),
    "comment inside the reactor": ("pipeline.py", "    x = 1\n", "    x = 1  # one\n"),
    "docstring": ("pipeline.py", "A docstring.", "Another docstring."),
    "docstring added": ("pipeline.py", "def middle(x):\n", 'def middle(x):\n    """New."""\n'),
    "docstring of the reactor": (
        "pipeline.py",
        "def work(pipe, config):\n",
        'def work(pipe, config):\n    """Do it."""\n',
    ),
    "docstring of a class": ("pipeline.py", '"""A class."""', '"""Another text."""'),
    "docstring of a module": ("helpers.py", "from deeper", '"""New."""\n\nfrom deeper'),
    "line shift": ("pipeline.py", "import functools\n", "import functools\n\n\n\n"),
    "line shift in another module": ("helpers.py", "from deeper", "\n\n\nfrom deeper"),
    "blank lines inside": ("pipeline.py", "    x = 1\n", "\n    x = 1\n\n"),
    "formatting": (
        "pipeline.py",
        "return x * scale + step",
        "return (\n        x * scale\n        + step\n    )",
    ),
    "continued line": ("pipeline.py", "return x * scale + step", "return x * scale \\\n        + step"),
    "spaces": ("pipeline.py", "return x * scale + step", "return x*scale+step"),
    "trailing comma": ("pipeline.py", "[TABLE[", "[\n        TABLE["),
    "quotes": ("pipeline.py", '{"a": 1,', "{'a': 1,"),
    "spelling of a text": ("pipeline.py", '"two  words"', '"two " " w\\x6frds"'),
    "spelling of a number": ("pipeline.py", "CONSTANT = 10", "CONSTANT = 0x0A"),
    "spelling of a number inside": ("pipeline.py", "+ 100", "+ 1_00"),
    "annotation": ("pipeline.py", "def middle(x):", "def middle(x: int) -> int:"),
    "annotation of a variable": ("pipeline.py", "CONSTANT = 10", "CONSTANT: int = 10"),
    "unused function": (
        "pipeline.py",
        "def unused(x):\n    return x",
        "def unused(x):\n    return x + 1",
    ),
    "unused function removed": ("pipeline.py", "def unused(x):\n    return x\n", ""),
    "unused global": ("pipeline.py", "UNUSED = 1", "UNUSED = 2"),
    "unused import": ("pipeline.py", "import functools\n", "import functools\nimport json\n"),
    "an unread parameter": ("pipeline.py", '"unread": 1', '"unread": 2'),
    "order of functions": (
        "pipeline.py",
        "def unused(x):\n    return x\n",
        "def other(x):\n    return x\n\ndef unused(x):\n    return x\n",
    ),
    "order of imports": (
        "pipeline.py",
        "import helpers\nimport kit\n",
        "import kit\nimport helpers\n",
    ),
    "a new reactor": (
        "pipeline.py",
        "@ReactorFunc\n",
        "@ReactorFunc\ndef other(pipe):\n    pipe.send('o', 1)\n\n@ReactorFunc\n",
    ),
    "parentheses after the decorator": ("pipeline.py", "@ReactorFunc\n", "@ReactorFunc()\n"),
    "rename of the reactor": ("pipeline.py", "def work(", "def labour("),
    "order of a set": ("pipeline.py", '"x", "y", "z"', '"z", "y", "x"'),
    "comment in another module": ("helpers.py", "x + 6", "x + 6  # six"),
    "comment in a package": ("kit/deep/leaf.py", "LEVEL = 40", "LEVEL = 40  # forty"),
    "unused in another module": ("helpers.py", 'TABLE = {"k": 5}', 'TABLE = {"k": 5}\nMORE = 1'),
    "what the script does besides": (
        "pipeline.py",
        'with Plant("plant")',
        'print(end="")\n    with Plant("plant")',
    ),
}
