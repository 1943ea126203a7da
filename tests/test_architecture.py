"""The house: what each module may import, and what it may touch."""

import ast
import functools
import graphlib
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def modules_of(package):
    """The files of a package, by the name of their module."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / package).rglob("*.py"))
    }


MODULES = modules_of("pyplant")

# The rooms of the house from top to bottom, as CONTRIBUTING lists them; imports go further down, or stay in the room.
ROOMS = re.findall(r"^\| `(\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.MULTILINE)
ROOMS = ROOMS[: ROOMS.index("errors") + 1]
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
# Modules that look into the running interpreter, which is input as well.
INTROSPECTION = {"inspect", "linecache", "sys", "importlib", "gc"}
PURITY_EXCEPTIONS = {
    "pyplant.fingerprint.assignments": {
        "linecache",
        "sys",
    },  # the text of loaded modules, and attributes of sys
    "pyplant.fingerprint.patches": {"sys"},  # the names of the standard library
    "pyplant.fingerprint.found_names": {"importlib"},  # to know import_module under another name
    "pyplant.fingerprint.module_effects": {
        "linecache"
    },  # to which it gives the text of the functions that it makes
    "pyplant.fingerprint.metadata": {"inspect"},  # the source of functions that code asks for with inspect
    "pyplant.fingerprint.builtin_types": {"gc"},  # the only way to the function in a key function
    "pyplant.fingerprint.gc_pause": {"gc", "threading"},  # pauses the collector, for all threads
    "pyplant.fingerprint.origin": {"os", "sys", "importlib"},  # whose code it is, by names of paths
    "pyplant.fingerprint.distribution": {
        "os",
        "pathlib",
        "sys",
        "importlib",
    },  # which files were installed together
    "pyplant.fingerprint.source": {"linecache"},  # the text that a function was defined in
    "pyplant.fingerprint.fingerprint": {"threading"},  # each thread has a fingerprinter of its own
    "pyplant.fingerprint.bytecode": {"sys"},  # the version of Python that the bytecode is for
}
NOTEBOOK = {module for module in MODULES if module.startswith("pyplant.notebook")}
# What only these modules may import, wherever in the module: what it is good for has one place.
ONLY_IN = {
    "pickle": {
        *("pyplant.specs.pickled", "pyplant.specs.polars_digest", "pyplant.workers.error_pickling"),
        *("pyplant.workers.pickling", "pyplant.workers.sent_code"),
    },
    "cloudpickle": {
        "pyplant.workers.error_pickling",
        "pyplant.specs.pickled",
        "pyplant.workers.pickling",
        "pyplant.workers.code_pickling",
    },
    "loky": {"pyplant.workers.pools"},
    "h5py": {
        "pyplant.specs.hdf",
        "pyplant.specs.hdf_digest",
        "pyplant.specs.hdf_references",
        "pyplant.pipework",
    },
    "keras": {"pyplant.specs.keras"},
    "scipy": {"pyplant.specs.sparse"},
    "pandas": {
        *("pyplant.specs.table", "pyplant.specs.table_digest", "pyplant.reports.sweep"),
        "pyplant.workers.library_options",
    },
    "polars": {"pyplant.specs.table", "pyplant.specs.table_digest"},
    "pyarrow": {"pyplant.specs.table", "pyplant.specs.table_digest", "pyplant.specs.arrow_messages"},
    "graphviz": {"pyplant.reports.graph", "pyplant.plant"},
    "rich": {"pyplant.reports.terminal", "pyplant.reports.table"},
    "warnings": {"pyplant.errors", "pyplant.cli", "pyplant.workers.process_settings"},
    "click": {
        *("pyplant.cli", "pyplant.cli.output", "pyplant.cli.script"),
        *("pyplant.cli.running", "pyplant.cli.settings", "pyplant.cli.stored"),
    },
    "mmap": {"pyplant.store.files"},
    "tempfile": {"pyplant.testing", "pyplant.store.files"},
    "threading": {
        *("pyplant.execution.session", "pyplant.store.objects", "pyplant.fingerprint.fingerprint"),
        "pyplant.fingerprint.gc_pause",
        "pyplant.store.leftovers",
        *(
            "pyplant.workers.reducers",
            "pyplant.workers.worker_main",
            "pyplant.workers.output",
            "pyplant.workers.code_pickling",
            "pyplant.workers.imports",
            "pyplant.workers.sent_code",
            "pyplant.execution.nesting",
            "pyplant.execution.coroutines",
            "pyplant.execution.interrupts",
            "pyplant.reads.hook",
            "pyplant.reads.kept_reads",
            "pyplant.reads.recorder",
        ),
        *("pyplant.store.claims", "pyplant.reports.terminal"),
        *(
            "pyplant.notebook.graph.live_state",
            "pyplant.notebook.graph.controller",
            "pyplant.notebook.graph.kernel",
            "pyplant.notebook.graph.other_processes",
            "pyplant.notebook.progress",
        ),
        *(
            "pyplant.notebook.output.stream_sync",
            "pyplant.notebook.output.record",
            "pyplant.notebook.output.recorder",
        ),
    },
    **dict.fromkeys(("IPython", "ipywidgets", "ipykernel", "matplotlib", "matplotlib_inline"), NOTEBOOK),
    "anywidget": {"pyplant.notebook.graph.widget"},
    **dict.fromkeys(("dask", "distributed"), set()),
    **dict.fromkeys(("marshal", "shelve", "dill", "dbm", "sqlite3", "secrets"), set()),
    "random": {"pyplant.notebook.output.random_state"},
    "subprocess": {"pyplant.notebook.graph.graphviz_layout"},
    "asyncio": {"pyplant.execution.coroutines"},
    "multiprocessing": {"pyplant.workers.pools"},
    **dict.fromkeys(("urllib", "http", "requests"), set()),
}
HEAVY = [
    "numpy",
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
    "matplotlib",
]
DISK_MODULES = {"shutil", "tempfile", "mmap", "io", "glob", "fileinput"}
# They ask, and change nothing.
HARMLESS_IN_OS = {
    "getpid",
    "kill",
    "fspath",
    "urandom",
    "access",
    "register_at_fork",
}
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
                is_package = module in MODULES and MODULES[module].name == "__init__.py"
                parts = module.split(".")
                parent = parts[: len(parts) - node.level + is_package]
                base = ".".join([*parent, base]).strip(".")
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            if getattr(node.func, "attr", getattr(node.func, "id", "")) in {"import_module", "__import__"}:
                yield node.args[0].value


def room(module):
    """The room that a module is in, counted from the top."""
    name = "__init__" if module == "pyplant" else module.split(".")[1]
    assert name in ROOMS, f"{module} has no room: give it one in the table of CONTRIBUTING.md"
    return ROOMS.index(name)


def known(name, modules=MODULES):
    """The module of the package that an imported name means."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def upward_imports(module, tree):
    for name in imports(tree, module):
        target = known(name) if name.startswith("pyplant") else ""
        if target and room(target) < room(module):
            yield f"{module} imports {target}"


def impurities(module, tree):
    allowed = PURITY_EXCEPTIONS.get(module, set())
    for name in imports(tree, module):
        top = name.partition(".")[0]
        if top in (IMPURE | INTROSPECTION) - allowed:
            yield f"{module} imports {top}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            yield f"{module} calls open()"


def misplaced_imports(module, tree):
    for name in imports(tree, module):
        top = name.partition(".")[0]
        if module not in ONLY_IN.get(top, {module}):
            yield f"{module} imports {top}"


def cycle(trees):
    """Modules that import one another, in a circle; nothing if there are none."""
    graph = {
        module: {known(name, trees) for name in imports(tree, module)} - {module, ""}
        for module, tree in trees.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def disk_calls(module, tree):
    for name in imports(tree, module):
        if name.partition(".")[0] in DISK_MODULES:
            yield f"{module} imports {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            owner = getattr(
                getattr(node.func, "value", None),
                "attr",
                getattr(getattr(node.func, "value", None), "id", ""),
            )
            of_os = owner == "os" and name not in HARMLESS_IN_OS
            if of_os or (name in DISK_CALLS and owner not in {"files", "_files", "self"}):
                yield f"{module}:{node.lineno} calls {name}()"


@functools.cache
def _tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def parsed(module, modules=MODULES):
    return _tree(modules[module])


def found_in(modules, check):
    """What a check finds, by module; one test for all modules, since a thousand take 10 s."""
    return {module: found for module in modules if (found := list(check(module)))}


def test_every_module_has_its_room_and_every_room_a_module():
    assert {room(module) for module in MODULES} == set(range(len(ROOMS)))


def test_a_module_without_a_room_is_found():
    with pytest.raises(AssertionError, match="has no room"):
        room("pyplant.newcomer")


def test_imports_go_down_only():
    assert found_in(MODULES, lambda module: upward_imports(module, parsed(module))) == {}


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
        ("pyplant.engine.trace", "from importlib import import_module\nimport_module('pyplant.plant')"),
        ("pyplant.specs", "from ..plant import Plant"),
        ("pyplant.errors", "from pyplant import Plant"),
        ("pyplant.errors", "from pyplant import *"),
        ("pyplant.errors", "import pyplant"),
    ],
)
def test_an_upward_import_is_found(module, source):
    assert list(upward_imports(module, ast.parse(source)))


def test_relative_imports_are_read_from_where_they_stand():
    assert list(imports(ast.parse("from .array import A"), "pyplant.specs")) == ["pyplant.specs.array.A"]
    assert list(imports(ast.parse("from .array import A"), "pyplant.specs.hdf")) == ["pyplant.specs.array.A"]


@pytest.mark.parametrize("package", ["pyplant", "benchmarks", "reliability"])
def test_no_modules_import_one_another(package):
    modules = modules_of(package)
    assert cycle({module: parsed(module, modules) for module in modules}) == []


def test_a_cycle_is_found():
    sources = {
        "pyplant.engine.trace": "def f():\n    from pyplant.engine import rebuilder",
        "pyplant.engine.rebuilder": "from pyplant.engine.trace import Trace",
    }
    found = cycle({module: ast.parse(source) for module, source in sources.items()})
    assert set(found) == set(sources)


def test_each_library_is_used_in_its_place_only():
    assert found_in(MODULES, lambda module: misplaced_imports(module, parsed(module))) == {}


@pytest.mark.parametrize(
    "source",
    ["import pickle", "def f():\n    from h5py import File", "import IPython.display", "import sqlite3"],
)
def test_a_library_out_of_place_is_found(source):
    assert list(misplaced_imports("pyplant.store.journal", ast.parse(source)))


PURE = [module for module in MODULES if module.startswith(("pyplant.engine", "pyplant.fingerprint"))]
ENGINE = [module for module in MODULES if module.startswith("pyplant.engine")]
BELOW_THE_ENGINE = ("pyplant.engine", "pyplant.errors", "pyplant.ingredient")


def test_no_side_effects_below_the_store():
    assert PURE
    assert found_in(PURE, lambda module: impurities(module, parsed(module))) == {}


def strangers(module, tree):
    """What the engine imports of the package that does not belong to it."""
    return [
        name
        for name in imports(tree, module)
        if name.startswith("pyplant") and not name.startswith(BELOW_THE_ENGINE)
    ]


def test_the_engine_stands_alone():
    assert ENGINE
    assert found_in(ENGINE, lambda module: strangers(module, parsed(module))) == {}


def test_a_stranger_in_the_engine_is_found():
    assert strangers("pyplant.engine.trace", ast.parse("from pyplant.config.views import is_value"))


def mutable_state(namespace):
    """What a module could remember from one call to the next."""
    for name, value in namespace.items():
        if isinstance(value, list | dict | set | bytearray) or hasattr(value, "cache_clear"):
            if not (name.startswith("__") and name.endswith("__")):
                yield name


def test_the_engine_remembers_nothing():
    assert found_in(ENGINE, lambda module: mutable_state(vars(importlib.import_module(module)))) == {}


@pytest.mark.parametrize("value", [{}, [], set(), functools.cache(len)])
def test_mutable_state_is_found(value):
    assert list(mutable_state({"_kept": value, "__all__": []})) == ["_kept"]


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "def f():\n    import numpy as np",
        "x = open('f')",
        "from os import path",
        "import inspect",
        "import importlib.util",
    ],
)
def test_an_impurity_is_found(source):
    assert list(impurities("pyplant.engine.trace", ast.parse(source)))


@pytest.mark.parametrize("module", PURITY_EXCEPTIONS)
def test_no_exception_outlives_its_use(module):
    used = {name.partition(".")[0] for name in imports(parsed(module), module)}
    assert PURITY_EXCEPTIONS[module] <= used


# The signing key lies outside of any plant, input files belong to the user, and /proc to the system.
NOT_IN_PLANTS = {"pyplant.store.keys", "pyplant.store.inputs", "pyplant.store.processes"}
STORE = {module for module in MODULES if module.startswith("pyplant.store.")}


def test_only_the_seam_touches_the_disk():
    assert NOT_IN_PLANTS < STORE
    modules = STORE - NOT_IN_PLANTS - {"pyplant.store.files", "pyplant.store.read_only_files"}
    assert found_in(modules, lambda module: disk_calls(module, parsed(module))) == {}


@pytest.mark.parametrize(
    "source",
    [
        "open('x')",
        "path.write_text('a')",
        "os.fsync(3)",
        "os.replace('a', 'b')",
        "Path('x').unlink()",
        "import shutil",
        "def f():\n    from tempfile import mkdtemp",
    ],
)
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


def test_modules_and_functions_stay_small():
    assert found_in(MODULES, lambda module: sprawl(MODULES[module].read_text(encoding="utf-8"))) == {}


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n" * 521,
        "def f():\n" + "    x = 1\n" * 51,
        "class C:\n    async def f(self):\n" + "        x = 1\n" * 51,
    ],
)
def test_sprawl_is_found(source):
    assert list(sprawl(source))


def sprawl(text):
    """What is too long: the module, or the code of a function."""
    lines = len(text.splitlines())
    if lines > 520:
        yield f"the module has {lines} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("__init__"):
            body = [
                statement
                for statement in node.body
                if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant)
            ]
            length = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
            if length > 50:
                yield f"{node.name} has {length} lines"


def test_every_module_says_what_it_is():
    assert [module for module in MODULES if not ast.get_docstring(parsed(module))] == []


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
