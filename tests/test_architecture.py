"""The house: what each module may import, and what it may touch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "pyplant"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

# The first entry that a module's name begins with counts; imports go to the same layer or further down.
LAYERS = [
    ("pyplant.engine.commands", 0),
    ("pyplant.errors", 0),
    ("pyplant.events", 0),
    ("pyplant.collector", 0),
    ("pyplant.engine", 1),
    ("pyplant.ingredient", 1),
    ("pyplant.config", 1),
    ("pyplant.reactor", 1),
    ("pyplant.specs", 2),
    ("pyplant.store", 2),
    ("pyplant.explain", 3),
    ("pyplant.report", 3),
    ("pyplant.pipework", 3),
    ("pyplant.portable", 3),
    ("pyplant.graph", 3),
    ("pyplant.execution", 4),
    ("pyplant.registry", 4),
    ("pyplant.terminal", 4),
    ("pyplant.plant", 5),
    ("pyplant.testing", 6),
    ("pyplant", 7),
]
# Within layer 1 the engine is below what declares reactors, and within layer 2 the specs are below the store.
ALSO_FORBIDDEN = [
    ("pyplant.engine", ("pyplant.reactor", "pyplant.config")),
    ("pyplant.specs", ("pyplant.store",)),
    ("pyplant.ingredient", ("pyplant.engine", "pyplant.reactor", "pyplant.config")),
    ("pyplant.config", ("pyplant.engine", "pyplant.reactor")),
]
# Modules of the standard library that let the outside world in.
IMPURE = {
    *(
        "os",
        "io",
        "pathlib",
        "shutil",
        "tempfile",
        "glob",
        "mmap",
        "socket",
        "subprocess",
        "time",
        "datetime",
    ),
    *(
        "threading",
        "multiprocessing",
        "concurrent",
        "asyncio",
        "random",
        "uuid",
        "logging",
        "warnings",
        "numpy",
    ),
    *("IPython", "platform", "signal", "pickle", "cloudpickle", "builtins.open"),
}
# Where the engine reads source text, or asks whose code it is: names of paths, nothing of a plant.
PURITY_EXCEPTIONS = {
    "pyplant.engine.origin": {"os"},
    "pyplant.engine.source": {"os"},
    "pyplant.engine.digest": set(),
}
HEAVY = [
    "IPython",
    "h5py",
    "ipywidgets",
    "graphviz",
    "pandas",
    "polars",
    "pyarrow",
    "scipy",
    "keras",
    "dask",
    "rich",
]
DISK_CALLS = {
    *(
        "open",
        "read_text",
        "read_bytes",
        "write_text",
        "write_bytes",
        "unlink",
        "rename",
        "replace_file",
        "mkdir",
    ),
    *(
        "rmdir",
        "symlink_to",
        "hardlink_to",
        "touch",
        "chmod",
        "iterdir",
        "rglob",
        "scandir",
        "listdir",
        "fsync",
    ),
}


def imports(tree, module=""):
    """Everything a module imports, also inside functions and for type checkers only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = module.split(".")[: -node.level] if module else []
                base = ".".join([*parent, base]).strip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module" and node.args:
            if isinstance(node.args[0], ast.Constant):
                yield node.args[0].value


def layer(module):
    return next(level for name, level in LAYERS if module == name or module.startswith(f"{name}."))


def known(name):
    """The module of the package that an imported name means."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def upward_imports(module, tree):
    for name in imports(tree, module):
        target = known(name) if name.startswith("pyplant") else ""
        if not target or target == module or (target == "pyplant" and name in MODULES):
            continue
        too_high = layer(target) > layer(module)
        forbidden = any(
            module.startswith(inner) and target.startswith(outer) for inner, outer in ALSO_FORBIDDEN
        )
        if too_high or forbidden:
            yield f"{module} imports {target}"


def impurities(module, tree):
    allowed = PURITY_EXCEPTIONS.get(module, set())
    for name in imports(tree, module):
        top = name.partition(".")[0]
        if top in IMPURE - allowed:
            yield f"{module} imports {top}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            yield f"{module} calls open()"


def disk_calls(module, tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            owner = getattr(
                getattr(node.func, "value", None),
                "attr",
                getattr(getattr(node.func, "value", None), "id", ""),
            )
            if name in DISK_CALLS and owner not in {"files", "_files", "self"}:
                yield f"{module}:{node.lineno} calls {name}()"


def parsed(module):
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def test_every_module_has_its_layer():
    assert {layer(module) for module in MODULES} == set(range(8))


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down_only(module):
    assert list(upward_imports(module, parsed(module))) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pyplant.engine.trace", "import pyplant.plant"),
        ("pyplant.engine.trace", "def f():\n    from pyplant.store import journal"),
        (
            "pyplant.store.journal",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pyplant.plant import Plant",
        ),
        ("pyplant.specs.array", "from pyplant.store.files import Files"),
        ("pyplant.engine.trace", "from ..plant import Plant"),
        ("pyplant.engine.trace", "import importlib\nimportlib.import_module('pyplant.plant')"),
        ("pyplant.errors", "from pyplant import Plant"),
    ],
)
def test_an_upward_import_is_found(module, source):
    assert list(upward_imports(module, ast.parse(source)))


ENGINE = [module for module in MODULES if module.startswith("pyplant.engine")]


@pytest.mark.parametrize("module", ENGINE)
def test_the_engine_is_pure(module):
    assert list(impurities(module, parsed(module))) == []


@pytest.mark.parametrize(
    "source", ["import time", "def f():\n    import numpy as np", "x = open('f')", "from os import path"]
)
def test_an_impurity_is_found(source):
    assert list(impurities("pyplant.engine.trace", ast.parse(source)))


STORE = [
    module for module in MODULES if module.startswith("pyplant.store.") and not module.endswith(".files")
]


@pytest.mark.parametrize("module", STORE)
def test_only_the_seam_touches_the_disk(module):
    # The signing key lies outside of any plant, and input files belong to the user.
    if module in {"pyplant.store.keys", "pyplant.store.inputs"}:
        pytest.skip("touches files that are not the plant's")
    assert list(disk_calls(module, parsed(module))) == []


@pytest.mark.parametrize("source", ["open('x')", "path.write_text('a')", "os.fsync(3)", "Path('x').unlink()"])
def test_a_disk_call_is_found(source):
    assert list(disk_calls("pyplant.store.journal", ast.parse(source)))
    assert not list(disk_calls("pyplant.store.journal", ast.parse("self._files.unlink(path)")))


def loaded_after(statement):
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(process.stdout.split())


def test_importing_pyplant_is_cheap():
    assert not loaded_after("import pyplant") & set(HEAVY)


def test_a_heavy_import_would_be_found():
    assert "h5py" in loaded_after("import pyplant, h5py")


@pytest.mark.parametrize("module", MODULES)
def test_modules_and_functions_stay_small(module):
    text = MODULES[module].read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 520
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("__init__"):
            body = [
                statement
                for statement in node.body
                if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant)
            ]
            length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= 50, f"{node.name} has {length} lines"


@pytest.mark.parametrize("module", MODULES)
def test_every_module_says_what_it_is(module):
    assert ast.get_docstring(parsed(module))


def test_no_leftovers():
    marks = ("TO" + "DO", "FIX" + "ME", "XX" + "X")
    for path in MODULES.values():
        text = path.read_text(encoding="utf-8")
        assert not any(mark in text for mark in marks), path


def test_what_is_public_is_documented():
    for name, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and node in tree.body:
                assert ast.get_docstring(node) or overloads(node), f"{name}.{node.name}"


def overloads(node):
    return any(
        getattr(decorator, "id", "") == "overload" for decorator in getattr(node, "decorator_list", [])
    )


def test_paths_of_modules_are_found():
    assert Path(MODULES["pyplant.plant"]).name == "plant.py"
