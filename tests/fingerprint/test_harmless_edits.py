"""Edits that change no behaviour, at each place of real modules where they are possible, are hits.

The modules are those of the standard library, loaded as code of a user. Each function and class of a module is fingerprinted
before and after an edit. The control changes one constant, which must count for what contains it.
"""

import ast
import importlib
import inspect
import random
import sys

import pytest

from pyplant.fingerprint.fingerprint import Fingerprinter
from pyplant.fingerprint.metadata import kind_read
from tests.fingerprint.helpers import load

MODULES = ["bisect", "colorsys", "fractions", "graphlib", "heapq", "shlex", "statistics", "textwrap"]


def comments(text):
    """A comment above each statement."""
    lines = text.splitlines()
    starts = {node.lineno for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)}
    kept_together = _inside_strings(text)
    for number in sorted(starts - kept_together, reverse=True):
        line = lines[number - 1]
        if line.strip() and not lines[number - 2].rstrip().endswith("\\"):
            indent = line[: len(line) - len(line.lstrip())]
            lines.insert(number - 1, f"{indent}# a comment")
    return "\n".join(lines) + "\n"


def _inside_strings(text):
    """The lines on which a string goes on."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant | ast.JoinedStr) and node.end_lineno > node.lineno:
            found.update(range(node.lineno + 1, node.end_lineno + 1))
    return found


def layout(text):
    """As another program would write it: other blanks, quotes, brackets and lines; no comments."""
    return ast.unparse(ast.parse(text)) + "\n"


class _Docstrings(ast.NodeTransformer):
    def visit(self, node):
        self.generic_visit(node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            has_one = ast.get_docstring(node, clean=False) is not None
            node.body = [ast.Expr(ast.Constant("Another text.")), *node.body[has_one:]]
        return node


def docstrings(text):
    """Another docstring for each function and class."""
    return ast.unparse(ast.fix_missing_locations(_Docstrings().visit(ast.parse(text)))) + "\n"


class _Annotations(ast.NodeTransformer):
    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        for argument in (*node.args.args, *node.args.kwonlyargs):
            argument.annotation = ast.Constant("some type")
        node.returns = ast.Constant("another type")
        return node


def annotations(text):
    """An annotation for each parameter and result, which nothing reads."""
    return ast.unparse(ast.fix_missing_locations(_Annotations().visit(ast.parse(text)))) + "\n"


def order(text):
    """Functions without decorators and defaults in another order, wherever that changes no binding."""
    tree = ast.parse(text)
    free = [
        index
        for index, node in enumerate(tree.body)
        if isinstance(node, ast.FunctionDef)
        and not (node.decorator_list or node.args.defaults or node.args.kw_defaults)
        and not any(_binds(other, node.name) for other in tree.body if other is not node)
        and not any(_reads_at_once(other, node.name) for other in tree.body)
    ]
    for index, node in zip(free, reversed([tree.body[index] for index in free]), strict=True):
        tree.body[index] = node
    return ast.unparse(tree) + "\n"


def _binds(statement, name):
    return any(
        getattr(node, "name", None) == name
        or (isinstance(node, ast.alias) and (node.asname or node.name) in (name, "*"))
        or (isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store))
        for node in ast.walk(statement)
    )


def _reads_at_once(statement, name):
    """Whether a statement that is no function reads a name while the module is executed."""
    return not isinstance(statement, ast.FunctionDef) and any(
        isinstance(node, ast.Name) and node.id == name for node in ast.walk(statement)
    )


def _after_docstring(text, line):
    tree = ast.parse(text)
    place = sum(
        isinstance(node, ast.Expr) or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
        for node in tree.body[:2]
    )
    tree.body[place:place] = ast.parse(line).body
    return ast.unparse(tree) + "\n"


def imports(text):
    """Imports that nothing uses."""
    return _after_docstring(text, "import wave\nfrom string import ascii_letters as unused_letters")


def aliases(text):
    """A type alias that nothing uses."""
    return _after_docstring(text, "UnusedAlias = dict[str, list[int]]")


EDITS = [comments, layout, docstrings, annotations, order, imports, aliases]


def fingerprints(folder, name, text):
    """The fingerprints of what a module defines, and what metadata each reads."""
    module = load(folder, text, name)
    fingerprinter = Fingerprinter()
    return {
        key: fingerprinter.fingerprint(value).digest
        for key, value in vars(module).items()
        if inspect.isfunction(value)
        and value.__module__ == name
        and value.__globals__ is vars(module)
        or inspect.isclass(value)
        and value.__module__ == name
    }


@pytest.fixture
def as_user_code(monkeypatch):
    """Returns the text of a module of the standard library, which a test may load as its own."""

    def text(name):
        original = importlib.import_module(name)
        monkeypatch.setitem(sys.modules, name, original)  # put back afterwards
        return inspect.getsource(original)

    return text


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("name", MODULES)
def test_harmless_edits_are_hits(tmp_path, as_user_code, name, edit):
    text = as_user_code(name)
    before, after = fingerprints(tmp_path, name, text), fingerprints(tmp_path, name, edit(text))
    assert before.keys() == after.keys()
    changed = {key for key in before if before[key] != after[key]}
    if edit in (docstrings, annotations) and _reads_metadata(text):
        return  # they count there
    assert changed == set()


def _reads_metadata(text):
    names = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    return any(kind_read(name) or kind_read(name, by_function=True) for name in names)


@pytest.mark.parametrize("name", MODULES)
def test_each_edit_of_a_constant_is_seen(tmp_path, as_user_code, name):
    """The control."""
    text = as_user_code(name)
    before = fingerprints(tmp_path, name, text)
    for function, mutant in mutants(text, before, count=8):
        assert fingerprints(tmp_path, name, mutant)[function] != before[function], function


def mutants(text, functions, count):
    """Texts in which one number of a function is another, with the name of the function; none of those in C."""
    tree = ast.parse(text)
    places = [
        (function.name, constant)
        for function in tree.body
        if isinstance(function, ast.FunctionDef) and function.name in functions
        for constant in ast.walk(ast.Module(function.body, []))
        if isinstance(constant, ast.Constant) and type(constant.value) in (int, float)
    ]
    for name, constant in random.Random(1).sample(places, min(count, len(places))):
        kept, constant.value = constant.value, constant.value + 12345
        yield name, ast.unparse(tree)
        constant.value = kept
