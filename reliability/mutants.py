"""Freshness of real code: modules of other authors, as code of a user, in which one thing is changed."""

from __future__ import annotations

import ast
import copy
import importlib
import importlib.util
import os
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

from pyplant import Plant
from reliability.bench import Lab, figure
from reliability.trial import forked, noted_starts

__all__ = ["value_of_plant"]

_PATIENCE = 5.0  # seconds after which a mutant counts as one that does not end
_ATTEMPTS = 5  # mutants of a module for each one that counts
_MEMORY = 6 << 30  # bytes of address space

_TEXT = "The quick brown fox, which was 42 years old (or 7?), jumped over 3 lazy dogs.\\n  Then it -- slept: 'long'."

SUBJECTS = {
    "textwrap": [
        f"subject.wrap({_TEXT!r}, 20)",
        "subject.dedent('  a\\n    b\\n')",
        f"subject.shorten({_TEXT!r}, 30)",
        "subject.indent('a\\n\\nb\\n', '> ')",
    ],
    "colorsys": [
        "subject.rgb_to_hls(.2, .5, .7)",
        "subject.hsv_to_rgb(.3, .4, .9)",
        "subject.rgb_to_yiq(.1, .2, .3)",
    ],
    "fractions": [
        "subject.Fraction(3, 8) + subject.Fraction('1.25')",
        "subject.Fraction(.1).limit_denominator(99)",
        "subject.Fraction(7, 3) ** 2 > 5",
        "str(subject.Fraction(-7, 3)), round(subject.Fraction(22, 7), 2), hash(subject.Fraction(1, 7))",
    ],
    "graphlib": [
        "list(subject.TopologicalSorter({'d': {'b', 'c'}, 'b': {'a'}, 'c': ['a']}).static_order())[::3]"
    ],
    "heapq": ["list(subject.merge([1, 4, 9], [2, 3], key=lambda x: -x))", "subject.nsmallest(2, [5, 1, 4])"],
    "shlex": [
        f"list(subject.shlex({_TEXT!r}.replace(chr(39), ''), punctuation_chars=True))",
        "subject.quote('a b')",
    ],
    "statistics": [
        "subject.mean([1, 2, 4]), subject.stdev([1, 2, 4.5]), subject.quantiles([1, 5, 2, 8, 9])",
        "subject.NormalDist(1, 2).cdf(1.5), subject.mode('aab'), subject.median_grouped([1, 3, 3, 5])",
        "subject.linear_regression([1, 2, 3], [2, 4, 7]), subject.correlation([1, 2, 3], [3, 1, 2])",
    ],
    "difflib": [
        "list(subject.unified_diff(['a', 'b', 'c'], ['a', 'x', 'c', 'd']))",
        "subject.SequenceMatcher(None, 'abcdxyz', 'bcdexz').get_opcodes()",
        "subject.get_close_matches('appel', ['ape', 'apple', 'peach'])",
        "list(subject.ndiff(['one', 'two'], ['ore', 'tree']))",
    ],
    "calendar": [
        "subject.TextCalendar().formatmonth(2024, 2)",
        "subject.monthrange(1999, 11), subject.isleap(1900), subject.timegm((2001, 2, 3, 4, 5, 6))",
        "subject.HTMLCalendar().formatmonth(2023, 5)[:400]",
    ],
    "configparser": [
        "(lambda c: (c.read_string('[a]\\nx: 1\\n y\\n[b]\\nz=%(w)s\\nw = 3'), dict(c['a']), c.get('b', 'z'), c.sections()))"
        "(subject.ConfigParser())",
    ],
    "fnmatch": ["subject.translate('a*[!b-c]?.py')", "subject.filter(['a.py', 'b.txt'], '*.p?')"],
    "ipaddress": [
        "list(subject.ip_network('10.0.0.0/29').subnets(new_prefix=30))",
        "subject.ip_address('2001:db8::1').exploded, subject.ip_address('192.168.0.1').is_private",
        "list(subject.summarize_address_range(subject.ip_address('10.0.0.1'), subject.ip_address('10.0.0.9')))",
    ],
    "pprint": ["subject.pformat({'k' * 30: [list(range(20)), {'z': (1,), 'a': 'text ' * 20}]}, width=40)"],
    "string": [
        "subject.Template('$a ${b} $$').substitute(a=1, b=2)",
        "subject.Formatter().format('{0!r:>6}{x[1]}', 'q', x='ab')",
    ],
    "tomllib": [
        "subject.loads('a = 1\\n[t.u]\\nb = [1.5, true, \"x\\\\n\"]\\nd = 1979-05-27T07:32:00Z\\n[[k]]\\nz = {q = 0x1F}')"
    ],
    "json": [
        "subject.dumps({'a': [1, 2.5, None], 'b': 'é'}, indent=2, sort_keys=True)",
        'subject.loads(\'[1, {"x": "\\\\u00e9"}]\')',
    ],
    "argparse": [
        "(lambda p: (p.add_argument('--n', type=int, default=3), p.add_argument('files', nargs='+'), "
        "p.parse_args(['--n', '5', 'a', 'b']), p.format_help()))(subject.ArgumentParser(prog='p'))",
    ],
    "html.parser": [
        "(lambda p: (setattr(p, 'handle_starttag', lambda t, a: seen.append((t, a))), "
        "setattr(p, 'handle_data', seen.append), p.feed('<p class=x>a&amp;b<br/><!-- c --></p>'), list(seen)))"
        "(subject.HTMLParser(convert_charrefs=False))",
    ],
    "urllib.parse": [
        "subject.urlsplit('http://u:p@h:80/a;b?c=d#e'), subject.urljoin('http://a/b/c', '../d?e')",
        "subject.quote('a b/é'), subject.parse_qs('a=1&a=2&b=%20'), subject.urlencode({'a': [1, 2]}, doseq=True)",
    ],
    "random": [
        "(lambda r: (r.random(), r.randint(1, 99), r.gauss(0, 1), r.sample(range(50), 4), r.choices('abc', [1, 2, 3], k=4), "
        "r.triangular(), r.betavariate(1, 2), r.vonmisesvariate(1, 2)))(subject.Random(4))",
    ],
    "_pydecimal": [
        "subject.Decimal('1.10') / 3, subject.Decimal(2).sqrt(), subject.Decimal('123.456').quantize(subject.Decimal('.1'))",
        "subject.Decimal('1e3').exp(), subject.Decimal(10).ln(), subject.Decimal('-7') % 3",
    ],
    "_pydatetime": [
        "subject.datetime(2024, 2, 29, 3, 4).isoformat(), subject.date(2023, 1, 1).isocalendar(), subject.timedelta(days=-1.5)",
        "subject.datetime.fromisoformat('2011-11-04T00:05:23+04:00'), subject.date(2000, 1, 31).strftime('%j %U')",
    ],
    "dataclasses": [
        "(lambda c: (c(1), c(1) == c(1), c(1, [3]) < c(2), subject.asdict(c(4)), subject.replace(c(1), x=5), "
        "[f.name for f in subject.fields(c)]))"
        "(subject.make_dataclass('C', [('x', int), ('y', list, subject.field(default_factory=list))], order=True))",
    ],
    "plistlib": [
        "subject.dumps({'a': [1, 2.5, True], 'b': b'xy'})",
        "subject.loads(subject.dumps({'q': 'z', 'n': [3]}, fmt=subject.FMT_BINARY))",
    ],
    "http.cookies": [
        "subject.SimpleCookie('a=1; b=\"x y\"; Path=/').output()",
        "subject.SimpleCookie({'k': 'v;w'}).js_output()",
    ],
    "quopri": ["subject.encodestring(b'caf\\xc3\\xa9 = x ' * 9)", "subject.decodestring(b'a=3Db=\\nc')"],
    "gettext": ["[subject.c2py('n%10==1 && n%100!=11 ? 0 : n != 0 ? 1 : 2')(n) for n in range(25)]"],
    "packaging": [
        "subject.version.Version('1.2.3rc1+local') < subject.version.Version('1.2.3')",
        "[str(v) for v in subject.specifiers.SpecifierSet('>=1.0,!=1.5,~=1.2').filter(['0.9', '1.3', '1.5', '2.0'])]",
        "str(subject.requirements.Requirement('a[b,c]>=1; python_version < \"3\"'))",
    ],
    "idna": ["subject.encode('bücher.example'), subject.decode('xn--bcher-kva.example')"],
    "sortedcontainers": [
        "(lambda s: (s.add(3), s.update([9, 1]), s.bisect(3), list(s.irange(2, 9)), s.pop(0), s))(subject.SortedList([5, 2]))",
        "(lambda d: (d.peekitem(0), d.popitem(), list(d)))(subject.SortedDict(b=1, a=2, c=3))",
    ],
    "toolz": [
        "subject.groupby(len, ['a', 'bb', 'c']), list(subject.partition(2, range(5))), subject.pipe(3, str, len)",
        "subject.merge_with(sum, {'a': 1}, {'a': 2, 'b': 3}), list(subject.sliding_window(2, [1, 2, 3])), subject.compose(str, abs)(-2)",
        "subject.get_in(['a', 0], {'a': [7]}), subject.curry(pow)(2)(5), dict(subject.countby(bool, [0, 1, 2]))",
    ],
    "mistune": ["subject.html('# A\\n\\n* b *c*\\n* [d](e)\\n\\n```x\\ny\\n```\\n')"],
    "parso": ["subject.parse('def f(a, *b):\\n    return a[1:] + 3\\n').dump()"],
    "pycparser": [
        "subject.c_generator.CGenerator().visit(subject.CParser().parse('int f(int a) { return a + 1; }'))"
    ],
    "yaml": [
        "subject.safe_load('a: [1, 2.5, yes]\\nb: {c: !!str 3}\\nd: |\\n  x\\n  y\\n')",
        "subject.safe_dump({'a': [1, {'b': None}]})",
    ],
    "markupsafe": ["subject.Markup('<b>%s</b>') % '<i>', subject.Markup('<a>x &amp; y</a>').striptags()"],
    "dateutil": [
        "subject.parser.parse('3rd of May 2021 10:15 PM')",
        "list(subject.rrule.rrule(subject.rrule.WEEKLY, count=3, dtstart=subject.parser.parse('2020-01-01')))",
        "subject.parser.parse('2020-02-29') + subject.relativedelta.relativedelta(years=1, weekday=subject.relativedelta.FR)",
    ],
}
"""Expressions that use a module or package, which is imported as ``subject``."""

_SUBMODULES = {
    "packaging": ("version", "specifiers", "requirements"),
    "dateutil": ("parser", "rrule", "relativedelta"),
    "pycparser": ("c_generator",),
}

_MAIN = """
import re
{imports}
from pyplant import ReactorFunc

seen = []

def work():
    seen.clear()
    return re.sub(r" at 0x[0-9a-f]+|id=[0-9]+", "", repr([{expressions}]))

@ReactorFunc
def result(pipe):
    pipe.send("result", work())
"""


def _project(folder: Path, name: str) -> list[Path]:
    """Write a project that uses a copy of a module; returns the files of the copy."""
    found = importlib.util.find_spec(name)
    assert found is not None and found.origin is not None
    origin = Path(found.origin)
    imports = ["import subject", *(f"import subject.{part}" for part in _SUBMODULES.get(name, ()))]
    if origin.name == "__init__.py":
        shutil.copytree(
            origin.parent, folder / "subject", ignore=shutil.ignore_patterns("__pycache__", "tests")
        )
        files = sorted((folder / "subject").rglob("*.py"))
    else:
        files = [folder / "subject.py"]
        files[0].write_text(origin.read_text())
    text = _MAIN.format(imports="\n".join(imports), expressions=", ".join(SUBJECTS[name]))
    (folder / "main.py").write_text(text)
    return files


# ---------------------------------------------------------------------- in processes of their own


def _imported(folder: Path) -> Any:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    sys.dont_write_bytecode = True  # a mutant may have the size and the time of the one before
    # Of a program that takes no arguments; the same in each process, since code may read it.
    sys.argv = ["main"]
    sys.path.insert(0, str(folder))
    return importlib.import_module("main")


def _value(folder: Path) -> str:
    """Compute the value without a plant."""
    return str(_imported(folder).work())


def _value_and_lines(folder: Path) -> tuple[str, set[tuple[str, int]]]:
    """Compute the value; returns the executed lines too."""
    lines: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        del argument
        name = frame.f_code.co_filename
        if not name.startswith(str(folder)):
            return None
        if event == "line":
            lines.add((name, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        return _value(folder), lines
    finally:
        sys.settrace(None)


def value_of_plant(folder: Path) -> tuple[str, bool]:
    """Ask the plant for the value; returns whether the reactor ran."""
    main = _imported(folder)
    with Plant(folder / "plant", progress=False) as plant:
        plant.add_reactor(main.result)
        ran = noted_starts(plant)
        return plant.get("result"), bool(ran)


def _in_new_process(folder: Path, seed: int) -> str:
    """Ask the plant for the value in a process with another hash seed; returns the text of the answer, or of the error."""
    program = f"from pathlib import Path; from reliability.mutants import *; print(value_of_plant(Path({str(folder)!r})))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env={**os.environ, "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.removesuffix("\n") or done.stderr[-500:]


# ---------------------------------------------------------------------- mutants

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mod,
    ast.Mod: ast.FloorDiv,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


def _constant(value: Any) -> Any:
    """Return another constant; ``None`` if there is none of its kind."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case bytes():
            return value + b"x"
    return None


def _mutate(node: ast.AST) -> bool:
    """Change a node; returns whether it could be changed."""
    match node:
        case ast.Constant(value):
            node.value = _constant(value)
            return node.value is not None
        case ast.Compare(_, [operator, *_]):
            node.ops = [_COMPARISONS[type(operator)](), *node.ops[1:]]
        case ast.BinOp(_, operator) | ast.AugAssign(_, operator) if type(operator) in _OPERATORS:
            node.op = _OPERATORS[type(operator)]()
        case ast.BoolOp(operator):
            node.op = ast.And() if isinstance(operator, ast.Or) else ast.Or()
        case ast.If(test) | ast.While(test) | ast.IfExp(test):
            node.test = ast.UnaryOp(ast.Not(), test)
        case ast.Return(ast.expr() as value):
            node.value = ast.Tuple([value], ast.Load())
        case ast.Call(_, [*_, _]):
            node.args = node.args[:-1]
        case ast.Call(_, [], [_, *_]):
            node.keywords = node.keywords[:-1]
        case _:
            return False
    return True


def _places(tree: ast.AST, lines: set[int]) -> list[int]:
    """Return the numbers of the nodes, in the order of :func:`ast.walk`, that can be changed on executed lines."""
    texts = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }  # docstrings, and calls for their effect
    return [
        number
        for number, node in enumerate(ast.walk(tree))
        if getattr(node, "lineno", None) in lines and id(node) not in texts and _mutate(copy.copy(node))
    ]


def _mutants(
    chance: random.Random, files: list[Path], lines: set[tuple[str, int]]
) -> Generator[str, None, None]:
    """Put mutants in the place of a file one after the other, without end; yields what was changed."""
    texts = {path: path.read_text() for path in files}
    places = [
        (path, number)
        for path in files
        for number in _places(ast.parse(texts[path]), {line for name, line in lines if name == str(path)})
    ]
    while True:
        path, number = chance.choice(places)
        tree = ast.parse(texts[path])
        node = next(node for at, node in enumerate(ast.walk(tree)) if at == number)
        before = ast.unparse(node)
        _mutate(node)
        path.write_text(ast.unparse(ast.fix_missing_locations(tree)) + "\n")
        try:
            yield f"{path.name}, line {node.lineno}: {before} -> {ast.unparse(node)}"  # type: ignore[attr-defined]
        finally:
            path.write_text(texts[path])


@figure(
    "R35",
    "one literal, operator, condition or call of a real module is changed; the value is asked for",
    bar="0 stale; the original is not computed again",
    control="helpers are not followed",
    short=20,
    full=3000,
)
def mutants(lab: Lab) -> Iterator[str]:
    """One trial is one mutant whose value differs from the original's."""
    names = [name for name in sorted(SUBJECTS) if importlib.util.find_spec(name) is not None]
    chance = lab.random
    chance.shuffle(names)
    share = -(-lab.trials // len(names))
    done = 0
    for name in names:
        folder = lab.folder / name
        folder.mkdir()
        files = _project(folder, name)
        traced = forked(lambda folder=folder: _value_and_lines(folder))
        first = forked(lambda folder=folder: value_of_plant(folder))
        if traced.error or first.error:
            yield f"{name}: {traced.error or first.error}"
            continue
        original, lines = traced.value
        wanted = min(share, lab.trials - done)
        with closing(_mutants(chance, files, lines)) as changes:
            for change in islice(changes, _ATTEMPTS * wanted):
                wrong = _wrong(folder, original)
                if wrong is not None:
                    done, wanted = done + 1, wanted - 1
                    yield wrong and f"{name}: {wrong}: {change}"
                if not wanted:
                    break
        again = _in_new_process(folder, seed=chance.randrange(1, 1000))
        if again != str((original, False)):
            yield f"{name}: the original: {again}"
    lab.notes.append(f"{len(names)} modules and packages")


def _wrong(folder: Path, original: str) -> str | None:
    """Ask for the value of a mutant; ``None`` if it does not end, or has the original's value, or another one each time."""
    expected = forked(lambda: _value(folder), _PATIENCE)
    if expected.killed or "still running" in expected.error or expected.value == original:
        return None
    found = forked(lambda: value_of_plant(folder))
    if expected.error:
        return "" if found.error else f"{found.value[0]!r} in place of an error"
    if found.error or found.value[0] == expected.value:
        return found.error
    # An address or the time of day may be part of it.
    again = forked(lambda: _value(folder), _PATIENCE)
    return f"stale {found.value[0]!r}" if again.value == expected.value else None
