"""Names of installed libraries as globals of a reactor: do they have digests, the same in each process, at once?"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from pyplant.fingerprint.fingerprint import Fingerprinter
from reliability.bench import Lab, figure
from reliability.sabotage import ACTIVE, sabotaged
from tests.conftest import ROOT

COMMON = "collections datetime decimal functools io itertools json logging math numpy os.path pathlib random re typing"
"""Libraries that are always there."""
OTHERS = """
    IPython PIL.Image abc aiohttp anywidget ast asyncio attr attrs blake3 bs4 click cloudpickle contextlib copy csv dask
    dask.array dask.dataframe dataclasses distributed duckdb enum fractions graphviz h5py hamilton hashlib heapq httpx hypothesis
    inspect ipywidgets jax jax.numpy jinja2 joblib keras lightgbm loky matplotlib matplotlib.pyplot multiprocessing nbformat
    networkx numpy.linalg numpy.random omegaconf operator os pandas pickle pipefunc polars psutil pyarrow pyarrow.dataset
    pydantic pytest requests rich rich.console safetensors scipy scipy.optimize scipy.signal scipy.sparse scipy.stats secrets
    shutil sklearn sklearn.linear_model sklearn.metrics sklearn.model_selection sklearn.preprocessing socket sqlalchemy sqlite3
    statistics statsmodels.api string struct subprocess sympy sys tempfile threading time torch torch.nn torch.nn.functional
    torch.optim tornado tqdm traitlets types unittest.mock urllib.request uuid warnings weakref wrapt xarray yaml zarr zipfile
"""
_OF_THE_PROCESS = frozenset(
    # torch seeds its generator with another number in each process.
    ["sys.argv", "sys.modules", "sys.orig_argv", "sys.path_importer_cache", "torch.default_generator"]
)
_LONGEST = 0.05  # seconds


def digests(libraries: list[str]) -> dict[str, tuple[str, float]]:
    """Return for each public name of libraries its digest, or the error, and the seconds that it took."""
    warnings.simplefilter("ignore")
    found: dict[str, tuple[str, float]] = {}
    for library in libraries:
        try:
            module = importlib.import_module(library)
        except ImportError:
            continue
        for name in dir(module):
            full = f"{library}.{name}"
            if name.startswith("_") or full in _OF_THE_PROCESS:
                continue
            try:
                value = getattr(module, name)
            except Exception:  # noqa: BLE001 - a library that is not there, or is old
                continue
            found[full] = min((_digest(value) for _ in range(2)), key=lambda each: each[1])
    return found


def _digest(value: Any) -> tuple[str, float]:
    fingerprinter = Fingerprinter()
    began = time.perf_counter()
    try:
        digest = fingerprinter.digest(value)[0]
    except Exception as error:  # noqa: BLE001 - counted
        digest = f"{type(error).__name__}: {error}"
    return digest, time.perf_counter() - began


@figure(
    "R36",
    "every public name of installed libraries is a global of a reactor, in processes with other hash seeds",
    bar="each has a digest, which is the same in each process and takes less than 50 ms",
    control="objects of libraries count by content",
    short=500,
    full=10_000,
)
def names(lab: Lab) -> Iterator[str]:
    """One trial is one name; their number is that of the names that the libraries have. Seconds count at night only."""
    libraries = [*COMMON.split(), *(OTHERS.split() if lab.full else ())]
    one, two = (_in_new_process(libraries, seed) for seed in (1, 2))
    lab.notes.append(f"{len({name.rpartition('.')[0] for name in one})} libraries")
    for name, (digest, seconds) in one.items():
        other, again = two.get(name, ("missing", 0.0))
        if " " in digest:
            yield f"{name}: {digest}"
        elif digest != other:
            yield f"{name}: another digest in another process"
        elif lab.full and min(seconds, again) > _LONGEST:
            yield f"{name}: {min(seconds, again):.3f} s"
        else:
            yield ""


def _in_new_process(libraries: list[str], seed: int) -> dict[str, tuple[str, float]]:
    done = subprocess.run(
        [sys.executable, "-m", "reliability.names", json.dumps([libraries, ACTIVE])],
        env={**os.environ, "PYTHONHASHSEED": str(seed), "MPLBACKEND": "Agg"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, tuple[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print the digests that another process compares."""
    libraries, controls = json.loads(sys.argv[1])
    with ExitStack() as stack:
        for control in controls:
            stack.enter_context(sabotaged(control))
        print(json.dumps(digests(libraries)))


if __name__ == "__main__":
    main()
