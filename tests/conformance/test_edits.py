"""Edit one thing, start a new process, run again: does it rerun when it must, and only then?

Every row is run three times in processes of its own: as it was, edited, and as it was
again. After an edit that matters the reactor runs and its value is the new one; after one
that does not, and when the edit is taken back, nothing runs.
"""

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from tests.conftest import ROOT

FILES = {
    "pipeline.py": '''
        import functools
        import sys
        import helpers
        from helpers import from_other_module
        from pyplant import *

        CONSTANT = 10
        TABLE = {"a": 1, "b": [2, 3]}
        WORDS = {"x", "y", "z"}
        UNUSED = 1

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

        @decorator
        def decorated(x):
            return x

        class Base:
            size = 3
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

        def make(factor):
            def closure(x):
                return x * factor
            return closure

        triple = make(3)
        partial = functools.partial(default, step=5)
        add = lambda x: x + 4

        @functools.lru_cache
        def memoised(x):
            return x + 8

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
            parts = [helper(x), from_other_module(x), helpers.deep(x), helpers.TABLE["k"], CONSTANT]
            parts += [TABLE["b"][1], len(WORDS), default(x), decorated(x), Shape().half(), Shape().double]
            parts += [Shape.fixed(), triple(x), partial(x), add(x), memoised(x), config.color]
            from imported_late import late
            parts.append(late(x))
            parts.append((yield from outer(pipe)))
            for number in range(2):
                parts.append(number)
            pipe.send("result", parts)

        if __name__ == "__main__":
            with Plant("plant") as plant:
                plant.set_config({"color": "red", "unread": 1})
                report = plant.run_reactor("work")
                print(",".join(report.ran) or "nothing")
                print(plant.get("result"))
    ''',
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
}

MATTER = {
    "body": ("pipeline.py", "x = 1\n", "x = 2\n"),
    "a literal's type": ("pipeline.py", "x = 1\n", "x = 1.0\n"),
    "a literal from 1 to True": ("pipeline.py", "x = 1\n", "x = True\n"),
    "helper, same file": ("pipeline.py", "middle(x) + 1", "middle(x) + 2"),
    "helper's helper": ("pipeline.py", "return x * 2  #", "return x * 3  #"),
    "helper, other module": ("helpers.py", "x + 6", "x + 7"),
    "helper through its module": ("helpers.py", "deepest(x) + 1", "deepest(x) + 2"),
    "helper, two modules away": ("deeper.py", "x + 20", "x + 21"),
    "helper imported inside the function": ("imported_late.py", "x + 30", "x + 31"),
    "global constant": ("pipeline.py", "CONSTANT = 10", "CONSTANT = 11"),
    "global constant's type": ("pipeline.py", "CONSTANT = 10", "CONSTANT = 10.0"),
    "global container": ("pipeline.py", "[2, 3]", "[2, 4]"),
    "global set": ("pipeline.py", '"x", "y", "z"', '"x", "y", "z", "w"'),
    "global of another module": ("helpers.py", '{"k": 5}', '{"k": 6}'),
    "default argument": ("pipeline.py", "step=1", "step=2"),
    "keyword default": ("pipeline.py", "scale=2", "scale=3"),
    "decorator": ("pipeline.py", "+ 100", "+ 200"),
    "what is decorated": (
        "pipeline.py",
        "def decorated(x):\n    return x",
        "def decorated(x):\n    return x + 1",
    ),
    "method of a base class": ("pipeline.py", "self.size * 2", "self.size * 4"),
    "method of a class": ("pipeline.py", "self.area() / 2", "self.area() / 4"),
    "property": ("pipeline.py", "self.area() * 2", "self.area() * 3"),
    "static method": ("pipeline.py", "return 7", "return 8"),
    "class attribute": ("pipeline.py", "size = 3", "size = 5"),
    "closure": ("pipeline.py", "make(3)", "make(4)"),
    "code of a closure": ("pipeline.py", "return x * factor", "return x + factor"),
    "partial": ("pipeline.py", "step=5", "step=6"),
    "lambda": ("pipeline.py", "x + 4", "x + 5"),
    "memoised function": ("pipeline.py", "x + 8", "x + 9"),
    "subreactor": ("pipeline.py", "value + 1", "value + 2"),
    "nested subreactor": ("pipeline.py", "    return 3\n", "    return 4\n"),
    "a parameter that is read": ("pipeline.py", '"color": "red"', '"color": "blue"'),
    "a loop inside": ("pipeline.py", "range(2)", "range(3)"),
    "an override of a method": ("pipeline.py", "class Shape(Base):\n", "class Shape(Base):\n    size = 9\n"),
    "another base": (
        "pipeline.py",
        "class Shape(Base):",
        "class Other(Base):\n    size = 8\n\nclass Shape(Other):",
    ),
}

DO_NOT_MATTER = {
    "nothing": ("pipeline.py", "", ""),
    "comment": ("pipeline.py", "# a comment", "# another comment"),
    "comment inside the reactor": ("pipeline.py", "    x = 1\n", "    x = 1  # one\n"),
    "docstring": ("pipeline.py", "A docstring.", "Another docstring."),
    "docstring added": ("pipeline.py", "def middle(x):\n", 'def middle(x):\n    """New."""\n'),
    "line shift": ("pipeline.py", "import functools\n", "import functools\n\n\n\n"),
    "blank lines inside": ("pipeline.py", "    x = 1\n", "\n    x = 1\n\n"),
    "formatting": (
        "pipeline.py",
        "return x * scale + step",
        "return (\n        x * scale\n        + step\n    )",
    ),
    "quotes": ("pipeline.py", '{"a": 1,', "{'a': 1,"),
    "annotation": ("pipeline.py", "def middle(x):", "def middle(x: int) -> int:"),
    "unused function": ("pipeline.py", "def unused(x):\n    return x", "def unused(x):\n    return x + 1"),
    "unused global": ("pipeline.py", "UNUSED = 1", "UNUSED = 2"),
    "an unread parameter": ("pipeline.py", '"unread": 1', '"unread": 2'),
    "order of functions": ("pipeline.py", "def unused(x):\n    return x\n", ""),
    "a new reactor": (
        "pipeline.py",
        "@ReactorFunc\n",
        "@ReactorFunc\ndef other(pipe):\n    pipe.send('o', 1)\n\n@ReactorFunc\n",
    ),
    "rename of the file": ("pipeline.py", "", "rename"),
    "rename of the reactor": ("pipeline.py", "def work(", "def labour("),
    "order of a set": ("pipeline.py", '"x", "y", "z"', '"z", "y", "x"'),
    "comment in another module": ("helpers.py", "x + 6", "x + 6  # six"),
}


def write(folder, edit=("", "", "")):
    folder.mkdir(exist_ok=True)
    edited, old, new = edit
    script = "pipeline.py"
    for name, text in FILES.items():
        source = textwrap.dedent(text).lstrip()
        if name == edited and new == "rename":
            script = name = "renamed.py"
            (folder / "pipeline.py").unlink(missing_ok=True)
        elif name == edited:
            assert old in source
            source = source.replace(old, new) if old else source
            source = (
                source.replace('run_reactor("work")', 'run_reactor("labour")') if "labour" in new else source
            )
        (folder / name).write_text(source)
    return script


def run(folder, script="pipeline.py"):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.run(
        [sys.executable, script], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 0, process.stderr
    ran, value = process.stdout.splitlines()
    return ran, value


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The project with its plant after a first run; what it printed."""
    folder = tmp_path_factory.mktemp("edits") / "base"
    write(folder)
    ran, value = run(folder)
    assert ran == "work"
    return folder, value


@pytest.fixture
def project(base, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(base[0], folder)
    return folder


@pytest.mark.parametrize("edit", MATTER)
def test_an_edit_that_matters_reruns_and_taking_it_back_does_not(edit, project, base):
    script = write(project, MATTER[edit])
    ran, value = run(project, script)
    assert ran == "work"
    fresh = project.with_name("fresh")
    assert value == run(fresh, write(fresh, MATTER[edit]))[1]
    write(project)
    assert run(project) == ("nothing", base[1])


@pytest.mark.parametrize("edit", DO_NOT_MATTER)
def test_an_edit_that_does_not_matter_runs_nothing(edit, project, base):
    script = write(project, DO_NOT_MATTER[edit])
    assert run(project, script) == ("nothing", base[1])
