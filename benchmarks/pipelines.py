"""The same pipelines in the words of each library.

A pipeline is a module with a function ``run()`` that returns the last value. The script
beside it loads the libraries first, and counts from before the import of the module.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

LIBRARIES = {
    "pyplant": "import pyplant\nfrom pyplant import plant\nfrom pyplant.reports import report\nfrom pyplant.execution import run",
    "joblib": "import joblib, numpy",
    "hamilton": "from hamilton import driver\nfrom hamilton.caching import adapter",
    "pipefunc": "import pipefunc, cloudpickle, networkx",
    "numpy": "import numpy",
    "h5py": "import h5py, numpy",
}

_SCRIPT = """
import json, sys, time
sys.setrecursionlimit(100_000)
{libraries}
began = time.perf_counter()
import pipeline
value = pipeline.run()
print(json.dumps({{"seconds": time.perf_counter() - began, "value": value}}))
"""


def write(folder: Path, library: str, module: str) -> Path:
    """A folder with a pipeline and its script, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pipeline.py").write_text(module)
    script = folder / "main.py"
    script.write_text(_SCRIPT.format(libraries=LIBRARIES[library]))
    return script


# ---------------------------------------------------------------------- a chain of steps


def chain(library: str, length: int, *, imports: str = "", step: str = "{x} + 1") -> str:
    """The module of a chain in which each step takes the value of the one before."""
    return _CHAINS[library](length, imports, step)


def _pyplant(length: int, imports: str, step: str) -> str:
    steps = [
        f"@ReactorFunc\ndef step_{n}(pipe):\n"
        f"    x = yield pipe.receive('x{n - 1}')\n    pipe.send('x{n}', {step.format(x='x', n=n)})\n"
        for n in range(1, length)
    ]
    return (
        f"from pyplant import Plant, ReactorFunc\n{imports}\n\n"
        "@ReactorFunc\ndef step_0(pipe):\n    pipe.send('x0', 0)\n\n"
        + "\n".join(steps)
        + f"\n\ndef run():\n    with Plant('plant', progress=False) as plant:\n        return plant.get('x{length - 1}')\n"
    )


def _joblib(length: int, imports: str, step: str) -> str:
    steps = [
        f"@memory.cache\ndef step_{n}(x):\n    return {step.format(x='x', n=n)}\n" for n in range(1, length)
    ]
    calls = "\n".join(f"    x = step_{n}(x)" for n in range(1, length))
    return (
        f"from joblib import Memory\n{imports}\nmemory = Memory('cache', verbose=0)\n\n"
        + "\n".join(steps)
        + f"\n\ndef run():\n    x = 0\n{calls}\n    return x\n"
    )


def _hamilton(length: int, imports: str, step: str) -> str:
    steps = [
        f"def x{n}(x{n - 1}: int) -> int:\n    return {step.format(x=f'x{n - 1}', n=n)}\n"
        for n in range(1, length)
    ]
    return (
        f"import sys\nfrom hamilton import driver\n{imports}\n\ndef x0() -> int:\n    return 0\n\n"
        + "\n".join(steps)
        + "\n\ndef run() -> int:\n    module = sys.modules[__name__]\n"
        "    built = driver.Builder().with_modules(module).with_cache(path='cache').build()\n"
        f"    return built.execute(['x{length - 1}'])['x{length - 1}']\n"
    )


def _pipefunc(length: int, imports: str, step: str) -> str:
    steps = [
        f"@pipefunc(output_name='x{n}', cache=True)\ndef step_{n}(x{n - 1}):\n"
        f"    return {step.format(x=f'x{n - 1}', n=n)}\n"
        for n in range(1, length)
    ]
    names = ", ".join(f"step_{n}" for n in range(1, length))
    return (
        f"from pipefunc import Pipeline, pipefunc\n{imports}\n\n"
        + "\n".join(steps)
        + f"\n\ndef run():\n    pipeline = Pipeline([{names}], cache_type='disk', cache_kwargs={{'cache_dir': 'cache'}})\n"
        f"    return pipeline('x{length - 1}', x0=0)\n"
    )


def _numpy(length: int, imports: str, step: str) -> str:
    """A file for each value, and nothing that tells whether it is still right."""
    return (
        f"import os\nimport numpy as np\n{imports}\n\ndef run():\n    os.makedirs('cache', exist_ok=True)\n    x = 0\n"
        f"    for n in range(1, {length}):\n        path = f'cache/{{n}}.npy'\n"
        "        if os.path.exists(path):\n            x = int(np.load(path))\n            continue\n"
        f"        x = {step.format(x='x', n='n')}\n        np.save(path, x)\n    return x\n"
    )


def _h5py(length: int, imports: str, step: str) -> str:
    """A dataset for each value, in one file."""
    return (
        f"import h5py\n{imports}\n\ndef run():\n    x = 0\n    with h5py.File('cache.h5', 'a') as file:\n"
        f"        for n in range(1, {length}):\n            name = f'x{{n}}'\n"
        "            if name in file:\n                x = int(file[name][()])\n                continue\n"
        f"            x = {step.format(x='x', n='n')}\n            file[name] = x\n            file.flush()\n    return x\n"
    )


_CHAINS: dict[str, Callable[[int, str, str], str]] = {
    "pyplant": _pyplant,
    "joblib": _joblib,
    "hamilton": _hamilton,
    "pipefunc": _pipefunc,
    "numpy": _numpy,
    "h5py": _h5py,
}


# ---------------------------------------------------------------------- a shared library


def library(functions: int) -> str:
    """A module of functions; each but the first calls an earlier one, the last reaches many."""
    lines = ["def f0(x):\n    return x + 1\n"]
    lines += [
        f"def f{n}(x):\n    return f{n - 1 if n % 10 else n // 2}(x) if x < 0 else f{n // 2}(x)\n"
        for n in range(1, functions)
    ]
    table = ", ".join(f"f{n}" for n in range(functions))
    return "\n".join(lines) + f"\nALL = [{table}]\n\ndef apply(n, x):\n    return ALL[n % len(ALL)](x)\n"
