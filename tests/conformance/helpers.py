"""Helpers of conformance tests: batches of scripts, and modules made from text."""

import importlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Runs scripts one after another as if each were `python script.py` in its own folder, and
# prints for each what it printed, or how it failed. The plants have nothing in common, so
# one process may stand for the fresh process of each of them.
_BATCH = """
import contextlib, importlib, io, json, os, runpy, sys, traceback

from pyplant import Plant, _definitions

jobs, executor = json.loads(sys.argv[1]), sys.argv[2]
stack = contextlib.ExitStack()
if executor:
    from tests.laws.executors import pool

    pool, begin = stack.enter_context(pool(executor)), Plant.__init__
    Plant.__init__ = lambda *args, **options: begin(*args, executor=pool, **options)
builtin_modules = set(sys.modules)
results = []
for folder, script in jobs:
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.argv[:] = [script]
    importlib.invalidate_caches()
    out = io.StringIO()
    error = ""
    with contextlib.redirect_stdout(out):
        try:
            runpy.run_path(os.path.join(folder, script), run_name="__main__")
        except BaseException:
            error = traceback.format_exc()
    results.append([out.getvalue(), error])
    sys.path.remove(folder)
    _definitions._declared.clear()
    _definitions._repeated.clear()
    for name in set(sys.modules) - builtin_modules:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(folder):
            del sys.modules[name]
stack.close()
print(json.dumps(results))
"""


def environment(**variables):
    """The environment of a process under test."""
    base = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    base.pop("COVERAGE_PROCESS_START", None)
    return {**base, **variables}


def run_batch(jobs, python=sys.executable, timeout=250, executor="", **variables):
    """Return what scripts print (or how they fail), each run in its folder, all in one new process.

    Parameters
    ----------
    jobs
        Pairs of a folder and a script in it.
    executor
        Where reactors run, all of them on the same: "threads", "processes" or "dask"; else one after another.
    """
    jobs = [(str(folder), script) for folder, script in jobs]
    process = subprocess.run(
        [python, "-c", _BATCH, json.dumps(jobs), executor],
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if process.returncode != 0:
        pytest.fail(f"the batch ended with {process.returncode}:\n{process.stderr}")
    return [error or out for out, error in json.loads(process.stdout.splitlines()[-1])]


def write_files(folder, files):
    """Write texts to files below a folder, without the indentation of the test around them."""
    for name, text in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")


@pytest.fixture
def module_at(tmp_path, monkeypatch):
    """Make a module from a text, imported again or only edited on disk."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = []

    def make(name, text, *, load=True):
        write_files(folder, {f"{name}.py": text})
        importlib.invalidate_caches()
        made.append(name)
        return importlib.import_module(name) if load else None

    yield make
    for name in made:
        sys.modules.pop(name, None)
