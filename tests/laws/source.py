"""The text of a pipeline: four modules of helpers and one of reactors.

Values are made so that everything a reactor uses shows in what it sends: ``mix`` folds
its arguments, with their types, into one integer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

from tests.laws import outside
from tests.laws.pipelines import FILES, HELPERS, NESTED, OPTIONAL, REQUIRED, Output, Pipeline, Reactor, Step

PACKAGE = "lawpkg"
MODULES = ("deep", "lazy", "effects", "helpers", "reactors")
"""In the order in which they refer to one another; ``lazy`` is imported inside functions only."""

_DEEP = """
import os
import zlib

import numpy as np

DEPTH = {deep:global}

def flat(value):
    kind = "dict" if isinstance(value, dict) else type(value).__name__  # a nested configuration is a view
    if isinstance(value, (list, tuple)):
        inside = [flat(item) for item in value]
    elif isinstance(value, dict):
        inside = [flat(item) for pair in value.items() for item in pair]
    elif isinstance(value, (set, frozenset)):
        inside = sorted(flat(item) for item in value)
    elif isinstance(value, np.ndarray):
        inside = [str(value.dtype), str(value.shape), str(zlib.crc32(value.tobytes()))]
    else:
        inside = [repr(value)]
    return kind + "(" + ",".join(inside) + ")"

def mix(*parts):
    return zlib.crc32(flat(parts).encode())

def spoil(value):
    if isinstance(value, list):
        value.append(None)
    elif isinstance(value, dict):
        for item in value.values():
            spoil(item)
        if type(value) is dict:  # not a nested configuration, which cannot be changed
            value["spoiled"] = True
    elif isinstance(value, set):
        value.clear()
    elif isinstance(value, np.ndarray):
        value.fill(0)

def slurp(path):
    if not os.path.exists(path):
        return None
    with open(path) as stream:
        return stream.read()

def d0(x):
    return mix(x, {deep:d0})

def d1(x):
    return mix(x, DEPTH)

def even(x, depth):
    return mix(x, {deep:recursion}) if depth == 0 else odd(x, depth - 1)

def odd(x, depth):
    return even(x, depth - 1)

class Base:
    FACTOR = {attribute:FACTOR}
    def __init__(self, start={base:start}):
        self.start = start
    def scale(self, x):
        return mix(x, self.start, {method:scale}, self.FACTOR)
    @property
    def depth(self):
        return {attribute:depth}
"""

_LAZY = """
def z0(x):
    from lawpkg.deep import mix
    return mix(x, {lazy:z0})

def z1(x):
    from lawpkg import deep
    return deep.mix(deep.d0(x), {lazy:z1})
"""

_EFFECTS = """
import enum
import functools
from lawpkg.deep import mix

REGISTRY = {}

class Kind:
    def __init_subclass__(cls):
        REGISTRY[cls.__name__] = {effect:registry}

class First(Kind):
    pass

class Second(Kind):
    pass

def registered(x):
    return mix(x, REGISTRY)

class Colour(enum.Enum):
    RED = {effect:enum}

FOUND = Colour.RED

def coloured(x):
    return mix(x, FOUND.value) if FOUND is Colour.RED else 0

@functools.singledispatch
def described(x):
    return 0

@described.register
def described_int(x: int):
    return mix(x, {effect:dispatch})
"""

_HELPERS = """
import functools
import lawpkg.deep
from lawpkg import deep, effects
from lawpkg.deep import Base, d0, mix
from pyplant import SubreactorFunc

TABLE = {global:TABLE}
LIMIT = {global:LIMIT}

def h0(x):
    return mix(x, d0(x), {helper:h0})

def h1(x):
    return deep.d1(x) + lawpkg.deep.mix({helper:h1})

def h2(x):
    from lawpkg.lazy import z0
    return z0(x)

def h3(x):
    import lawpkg.lazy as later
    return later.z1(x)

def h4(x, extra={default:h4}, *, kind={keyword:h4}):
    return mix(x, extra, kind)

def h5(x):
    return mix(x, LIMIT, TABLE)

def shifted(by):
    def shift(x):
        return mix(x, by)
    return shift

h6 = shifted({closure:h6})

h7 = functools.partial(h4, extra={default:partial})

def noted(function):
    @functools.wraps(function)
    def around(x):
        return mix(function(x), {decorator:noted})
    return around

@noted
def h8(x):
    return mix(x, {helper:h8})

class Tool(Base):
    def use(self, x):
        return mix(self.scale(x), {method:use})

def h9(x):
    return Tool().use(x)

def h10(x):
    return deep.even(x, 2)

h11 = lambda x: mix(x, Tool(2).depth)

def h12(x):
    return [h for h in (lambda y: h0(y), d0)][x % 2](x)

def h13(x):
    return effects.registered(x)

def h14(x):
    return effects.coloured(x)

def h15(x):
    return effects.described(x)

def traced(function):
    @functools.wraps(function)
    def around(pipe, config):
        return function(pipe, config, {decorator:traced})
    return around

@SubreactorFunc
def s0(x):
    return mix(x, {subreactor:s0})

@SubreactorFunc
def s1(pipe, x):
    y = yield from s0(x)
    return mix(y, {subreactor:s1}, pipe.read_config("a"))

@SubreactorFunc
def s2(pipe, names, x):
    got = yield pipe.receive(*names)
    y = yield from s0(x)
    return mix(y, got, {subreactor:s2})
"""

_VALUES = {
    "int": "n",
    "text": 'f"v{n}"',
    "float": "n / 7",
    "list": "[n, n % 5]",
    "tuple": '(n, "t", n / 3)',
    "dict": '{"n": n, "s": {n % 3, "x"}}',
    "set": '{n % 5, n % 11, "x"}',
    "array": "np.arange(300) + n % 1000",
    "long": "str(n) * 300",
    "bytes": "str(n).encode()",
    "parity": "n % 2 == 0",
    "nested": '[[n, {"k": (n,)}], None]',
    "record": '{n % 7: [n], "y": np.arange(n % 4)}',
    "pair": "(np.float64(n), [np.arange(3.0) * n])",
}

_HOLE = re.compile(r"\{(\w+:\w+)\}")


def render(pipeline: Pipeline, files: str, outside_folder: str) -> dict[str, str]:
    """The text of each module; ``files`` is the folder of the input files, and the other that of undeclared ones."""
    modules = {"deep": _DEEP, "lazy": _LAZY, "effects": _EFFECTS, "helpers": _HELPERS}
    texts = {name: _filled(text, pipeline.slots) for name, text in modules.items()}
    texts["reactors"] = "\n\n".join(_reactors_module(pipeline, files)).replace("{outside}", outside_folder)
    if not pipeline.cosmetics:
        return texts
    chance = random.Random(pipeline.cosmetics)
    ordered = {"effects", "helpers"}  # some of its definitions need others when they are executed
    return {name: _restyled(text, chance, shuffle=name not in ordered) for name, text in texts.items()}


def literal(value: Any) -> str:
    """A literal; sets in one order, so that the same description gives the same text."""
    if isinstance(value, set):
        return "{" + ", ".join(sorted(map(repr, value))) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {literal(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _filled(template: str, slots: dict[str, Any]) -> str:
    return _HOLE.sub(lambda hole: literal(slots[hole[1]]), template)


def _reactors_module(pipeline: Pipeline, files: str) -> Iterator[str]:
    yield "\n".join(
        [
            "import glob",
            "import os",
            "import numpy as np",
            "from lawpkg import helpers",
            f"from lawpkg.helpers import {', '.join(HELPERS)}, s0, s1, s2, traced",
            "from lawpkg.deep import mix, slurp, spoil",
            "from pyplant import ReactorFunc",
            f"FOLDER = {files!r}",
        ]
    )
    for reactor in pipeline.reactors:
        number = reactor.number
        yield f"{pipeline.name(f'GLOBAL{number}')} = {literal(pipeline.slots[f'global:r{number}'])}"
        yield from (
            f'NAME{o.number} = "{pipeline.name(f"o{o.number}")}"' for o in reactor.outputs if o.style == 1
        )
        yield "\n".join(_reactor(pipeline, reactor))


def _reactor(pipeline: Pipeline, reactor: Reactor) -> Iterator[str]:
    name = pipeline.name(f"r{reactor.number}")
    owner = f"r{reactor.number}"
    body = list(_body(pipeline, reactor))
    slot = {where: literal(pipeline.slots[f"{where}:{owner}"]) for where in ("closure", "default", "keyword")}
    if reactor.form == "factory":
        yield f"def make_{reactor.number}(by):"
        yield f"    @ReactorFunc(name={name!r})"
        yield "    def made(pipe, config):"
        yield from (f"        {line}" for line in body)
        yield "    return made"
        yield f"made_{reactor.number} = make_{reactor.number}({slot['closure']})"
        return
    yield "@ReactorFunc"
    if reactor.form == "decorated":
        yield "@traced"
        yield f"def {name}(pipe, config, salt=0):"
    elif reactor.form == "defaulted":
        yield f"def {name}(pipe, config, salt={slot['default']}, *, pepper={slot['keyword']}):"
    else:
        yield f"def {name}(pipe{'' if reactor.form == 'short' else ', config'}):"
    yield from (f"    {line}" for line in body)


def _body(pipeline: Pipeline, reactor: Reactor) -> Iterator[str]:
    extra = {"factory": ", by", "decorated": ", salt", "defaulted": ", salt, pepper"}.get(reactor.form, "")
    yield f"n = mix({literal(pipeline.slots[f'constant:r{reactor.number}'])}{extra})"
    for step in reactor.steps:
        yield from _STEPS[step.kind](pipeline, reactor, step)
    if reactor.fails:
        yield 'raise RuntimeError("planned")'
    for output in reactor.outputs:
        yield from _send(pipeline, output)


def _send(pipeline: Pipeline, output: Output) -> Iterator[str]:
    name = pipeline.name(f"o{output.number}")
    names = (repr(name), f"NAME{output.number}", f'f"o{{{name[1:]!r}}}"', f'"o" + str({name[1:]!r})')
    if output.lossy:
        yield f"n = n % 2 + {output.number}"
    yield f"value = {_VALUES[output.shape]}"
    yield f"pipe.send({names[output.style]}, value)"
    yield "spoil(value)"


# ---------------------------------------------------------------------- steps


def _config(reactor: Reactor) -> str:
    return "pipe.config" if reactor.form == "short" else "config"


def _before(pipeline: Pipeline, reactor: Reactor) -> list[str]:
    """Names of the ingredients that a reactor may receive."""
    return [pipeline.name(f"o{o.number}") for r in pipeline.reactors[: reactor.number] for o in r.outputs]


def _call(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    del pipeline, reactor
    name = step.helper()
    return [
        [f"n = {name}(n)"],
        [f"n = helpers.{name}(n)"],
        [f"from lawpkg.helpers import {name} as inner", "n = inner(n)"],
        ["import lawpkg.helpers as tools", f"n = tools.{name}(n)"],
    ][step.style]


def _receive(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    names = _before(pipeline, reactor)
    if not names:
        return []
    return [f"x = yield pipe.receive({names[step.a % len(names)]!r})", "n = mix(n, x)", "spoil(x)"]


def _group(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    names = _before(pipeline, reactor)
    if not names:
        return []
    one, two = names[step.a % len(names)], names[step.b % len(names)]
    return [f"x, y = yield pipe.receive({one!r}, {two!r})", "n = mix(n, x, y)", "spoil(x)", "spoil(y)"]


def _guarded(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    inside = _receive(pipeline, reactor, step)
    return ["if n % 2:", *(f"    {line}" for line in inside)] if inside else []


def _switched(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    """Which ingredient is received depends on the configuration."""
    names = _before(pipeline, reactor)
    if not names:
        return []
    one, two = names[step.a % len(names)], names[step.b % len(names)]
    read = _value(pipeline, reactor, REQUIRED[step.b % 2], step.style)
    return [
        f"if mix({read}) % 2:",
        f"    x = yield pipe.receive({one!r})",
        "else:",
        f"    x = yield pipe.receive({two!r})",
        "n = mix(n, x)",
    ]


def _subreceive(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    names = _before(pipeline, reactor)
    if not names:
        return []
    asked = (names[step.a % len(names)], names[step.b % len(names)])[: step.style % 2 + 1]
    return [f"n = yield from s2(pipe, {asked!r}, n)"]


def _global(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    del step
    return [f"n = mix(n, {pipeline.name(f'GLOBAL{reactor.number}')})"]


def _attribute(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    del pipeline, reactor
    return [("n = mix(n, helpers.LIMIT)", "n = mix(n, helpers.deep.DEPTH)")[step.a % 2]]


def _value(pipeline: Pipeline, reactor: Reactor, name: str, style: int) -> str:
    path = f"sub.{name}" if pipeline.object_config and name == NESTED else name
    if style == 0:
        return f'pipe.read_config("{path}")'
    if style == 1 or pipeline.object_config:
        return f"{_config(reactor)}.{path}"
    return f'{_config(reactor)}["{path}"]'


def _read(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    name = (*REQUIRED, NESTED)[step.a % 3]
    return [f"x = {_value(pipeline, reactor, name, step.style)}", "n = mix(n, x)", "spoil(x)"]


def _maybe(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    name, config = OPTIONAL[step.a % 2], _config(reactor)
    if step.style == 0:
        return ["try:", f'    n = mix(n, pipe.read_config("{name}"))', "except KeyError:", "    n = mix(n)"]
    if step.style == 1:
        return [f'n = mix(n, getattr({config}, "{name}", "absent"))']
    test = f'hasattr({config}, "{name}")' if pipeline.object_config else f'"{name}" in {config}'
    return [f"if {test}:", f"    n = mix(n, {_value(pipeline, reactor, name, step.style - 1)})"]


def _branch(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    """Whether one parameter is read depends on another, or on what was received."""
    test = _value(pipeline, reactor, REQUIRED[step.b % 2], step.style) if step.b % 3 else "n"
    return [f"if mix({test}) % 2:", *(f"    {line}" for line in _maybe(pipeline, reactor, step))]


def _file(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    del pipeline, reactor
    return [f'n = mix(n, slurp(pipe.input_file(FOLDER + "/{FILES[step.a % len(FILES)]}")))']


def _outside(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    del pipeline, reactor
    return outside.lines(step, "{outside}")


def _sub(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    del pipeline, reactor
    call = ("s0(n)", "s1(pipe, n)", "helpers.s0(n)", "helpers.s1(pipe, n)")[step.a % 4]  # as Step.helper says
    return [f"n = yield from {call}"]


def _aux(pipeline: Pipeline, reactor: Reactor, step: Step) -> list[str]:
    return [f"_ = {_value(pipeline, reactor, 'log', step.style)}"]


_STEPS = {
    "call": _call, "receive": _receive, "group": _group, "guarded": _guarded, "switched": _switched,
    "subreceive": _subreceive, "global": _global, "attribute": _attribute, "read": _read, "maybe": _maybe,
    "branch": _branch, "file": _file, "outside": _outside, "sub": _sub, "aux": _aux,
}  # fmt: skip


# ---------------------------------------------------------------------- cosmetics

_DEFINITION = re.compile(r"^(\s*)(?:def|class) .*:$")
_MIXED = re.compile(r"^(\s+)n = mix\((.*)\)$")


def _restyled(text: str, chance: random.Random, *, shuffle: bool) -> str:
    """The same program in another dress: comments, docstrings, blank lines, breaks, order."""
    if shuffle:
        head, *blocks = text.split("\n\n")
        chance.shuffle(blocks)
        text = "\n\n".join([head, *blocks])
    lines = [f'"""Dress {chance.random()}."""']
    for line in text.splitlines():
        lines += _dressed(line, chance)
    return "\n".join(lines) + "\n"


def _dressed(line: str, chance: random.Random) -> list[str]:
    definition, mixed = _DEFINITION.match(line), _MIXED.match(line)
    indent = " " * (len(line) - len(line.lstrip()))
    lines = [line]
    if definition and chance.random() < 0.5:
        lines = [line, f'{indent}    """What it does: {chance.random()}."""']
    elif mixed and chance.random() < 0.5:
        lines = [f"{indent}n = mix(  # folded", f"{indent}    {mixed[2]},", f"{indent})"]
    if line and chance.random() < 0.3:
        lines = ["" if indent else "", f"{indent}# {chance.random()}", *lines]
    return lines
