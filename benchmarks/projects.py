"""Projects as people have them: packages of many modules, and the scripts that run them on two processes."""

from __future__ import annotations

from pathlib import Path

SECONDS = 0.02  # that each module of the large package works
_HELPERS = 60
_FUNCTIONS = 6  # in each module of the large package

# ---------------------------------------------------------------------- a package of many modules


def large_package(folder: Path, modules: int) -> None:
    """Write a package with 50 lines in each module, and reactors of which each uses one of them."""
    package = folder / "house"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "helpers.py").write_text(_helpers(_HELPERS))
    for n in range(modules):
        (package / f"m{n}.py").write_text(_module(n))
    names = ", ".join(f"m{n}" for n in range(modules))
    (package / "everything.py").write_text(f"from house import {names}\nMODULES = [{names}]\n")
    (folder / "reactors.py").write_text(_reactors(modules))


def _helpers(count: int) -> str:
    """A module in six layers; each function calls three of the layer below."""
    lines, wide = [], count // 6
    for n in range(count):
        below = [] if n < wide else [(n // wide - 1) * wide + (n * 7 + k) % wide for k in range(3)]
        value = " + ".join(["x", str(n), *(f"h{b}(x % {b + 2})" for b in below)])
        lines.append(f"def h{n}(x):\n    return ({value}) % 1_000_003\n")
    return "\n".join(lines)


def _module(number: int) -> str:
    uses = ["from house import helpers"] * (number % 2) + [f"from house import m{number // 2}"] * (number > 0)
    lines = [f'"""Module {number}."""', "import time", *uses, f"SCALE = {number}", ""]
    for n in range(_FUNCTIONS):
        called = (f"f{n - 1}(x)",) if n else (f"m{number // 2}.f0(x)",) if number else ("x",)
        lines += [
            f"def f{n}(x):",
            f'    """Step {n}."""',
            f"    y = SCALE + {n}",
            f"    return {called[0]} + y",
            "",
        ]
    lines += [f"class Model{number}:", "    class Part:", "        def __init__(self, size):"]
    lines += ["            self.size = size", "", "    @staticmethod", "    def scaled(x):"]
    lines += ["        return x * SCALE", "", "    def total(self, x):"]
    lines += ["        return self.scaled(x) + self.Part(x).size", "", "def work(x):"]
    lines += [
        f"    time.sleep({SECONDS})",
        "    value = Model%d().total(x) + f%d(x)" % (number, _FUNCTIONS - 1),
    ]
    lines += [
        f"    return value + helpers.h{_HELPERS - 1 - number % 10}(x)" if number % 2 else "    return value"
    ]
    return "\n".join(lines) + "\n"


def _reactors(count: int) -> str:
    lines = ["import os, time", "from pyplant import ReactorFunc", "from house.everything import *", ""]
    lines += [f"from house import {', '.join(f'm{n}' for n in range(count))}", ""]
    for n in range(count):
        lines += ["@ReactorFunc", f"def make_{n}(pipe):", f"    pipe.send('value {n}', m{n}.work({n}))", ""]
    names = ", ".join(f"'value {n}'" for n in range(count))
    lines += ["@ReactorFunc", "def make_total(pipe):", f"    values = yield pipe.receive({names})"]
    lines += ["    pipe.send('total', sum(values))", ""]
    return "\n".join(lines)


MEETING = """
import os, time

def meet(folder, name):
    # Returns when two workers are here, so that both have started.
    open(os.path.join(folder, name), "w").close()
    while len(os.listdir(folder)) < 2:
        time.sleep(0.002)
    return 1
"""
"""A module with a function that is called in each of two workers."""

PACKAGE = {
    "pyplant": """
import json, os, sys, tempfile, time
from pathlib import Path
import house.everything, meeting
import loky.process_executor  # libraries are loaded, on all sides
from pyplant import Plant, ReactorFunc
from pyplant.execution import session
from pyplant.workers import parallel_executor
from pyplant.workers.pools import LocalPool

if sys.argv[1] != "start":  # the time is that of the pool, and not of many fingerprints
    import reactors

@ReactorFunc
def first(pipe, config):
    pipe.send("first", meeting.meet(config["folder"], "first"))

@ReactorFunc
def second(pipe, config):
    pipe.send("second", meeting.meet(config["folder"], "second"))

class Sent:
    # The bytes that each request brings: itself, and what the run has written for workers since the last one.
    def __init__(self):
        self.requests, self._files = [], 0
        submit = LocalPool.submit

        def counting(pool, request, packed, *rest):
            folders = [Path(request.modules.folder), Path(request.folder) / "context"]
            files = [path for folder in folders for path in ([folder] if folder.is_file() else folder.iterdir())]
            size = sum(path.stat().st_size for path in files)
            self.requests.append(len(packed) + size - self._files)
            self._files = size
            return submit(pool, request, packed, *rest)

        LocalPool.submit = counting

def main(what):
    plant_dir = f"plant-{time.time_ns()}"
    began = time.perf_counter()
    with Plant(plant_dir, executor=2, progress=False) as plant:
        plant.set_config({"folder": tempfile.mkdtemp(dir=".")})
        assert sum(plant.get("first", "second")) == 2
        if what == "start":
            return {"seconds": time.perf_counter() - began}
        sent = Sent() if what == "bytes" else None
        began = time.perf_counter()
        total = plant.get("total")
        seconds = time.perf_counter() - began
    if sent is not None:
        return {"bytes": max(sent.requests[1:]), "first": sent.requests[0]}
    return {"seconds": seconds, "value": total}

if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
""",
    "joblib": """
import json, sys, tempfile, time
import joblib, meeting
from house.everything import MODULES

if __name__ == "__main__":
    folder = tempfile.mkdtemp(dir=".")
    with joblib.Parallel(n_jobs=2, batch_size=1) as parallel:
        parallel(joblib.delayed(meeting.meet)(folder, str(n)) for n in range(2))
        parallel(joblib.delayed(module.f0)(0) for module in MODULES)  # they are imported
        began = time.perf_counter()
        total = sum(parallel(joblib.delayed(module.work)(n) for n, module in enumerate(MODULES)))
        print(json.dumps({"seconds": time.perf_counter() - began, "value": total}))
""",
    "loky": """
import importlib, json, sys, tempfile, time
from loky.process_executor import ProcessPoolExecutor
import meeting, house.everything

def begin(folder, name):
    importlib.import_module("house.everything")
    return meeting.meet(folder, name)

if __name__ == "__main__":
    folder = tempfile.mkdtemp(dir=".")
    began = time.perf_counter()
    with ProcessPoolExecutor(2) as executor:
        futures = [executor.submit(begin, folder, str(n)) for n in range(2)]
        assert sum(future.result() for future in futures) == 2
        print(json.dumps({"seconds": time.perf_counter() - began}))
""",
}
"""Each side of the comparisons with a large package."""

# ---------------------------------------------------------------------- numbers

NUMERIC = """
import json, os, sys, time
import numpy as np
from pyplant import Plant, ReactorFunc

SIZE = int(sys.argv[3])

for number in range(8):
    @ReactorFunc(name=f"product {number}")
    def product(pipe, number=number):
        a = np.random.default_rng(number).random((SIZE, SIZE))
        for _ in range(8):
            a = a @ a
            a /= a.max()
        pipe.send(f"product {number}", a)

    @ReactorFunc(name=f"waves {number}")
    def waves(pipe, number=number):
        x = np.linspace(0, number + 1, SIZE * SIZE)
        for _ in range(15):
            x = np.sort(np.sin(x) + np.sqrt(x))
        pipe.send(f"waves {number}", x)

def main(what, executor):
    names = [f"{what} {number}" for number in range(8)]
    with Plant(f"plant-{time.time_ns()}", executor=executor, progress=False) as plant:
        began = time.perf_counter()
        values = plant.get(*names)
        return {"seconds": time.perf_counter() - began, "value": float(sum(value.sum() for value in values))}

if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]) or None)))
"""
"""Reactors that compute with arrays; products use all cores also in one process."""

# ---------------------------------------------------------------------- a study


def study(folder: Path, rounds: int) -> None:
    """Write a small study as it grows in years: a package, helpers that half of it uses, a library in C."""
    package = folder / "study"
    package.mkdir(parents=True, exist_ok=True)
    for name, text in _STUDY.items():
        (package / name).write_text(text)
    (package / "settings.py").write_text(f"ROUNDS = {1000 * rounds}\n")
    (package / "helpers.py").write_text(_helpers(200))
    for n in range(_STAGES):
        uses = "from study.helpers import " + ", ".join(f"h{k}" for k in range(n, 200, 13)) if n % 2 else ""
        called = " + ".join(f"h{k}(x)" for k in range(n, 200, 13)) if n % 2 else "x"
        (package / f"stage{n}.py").write_text(_STAGE.format(n=n, uses=uses, called=called))
    (folder / "main.py").write_text(_STUDY_SCRIPT.format(stages=_STAGES))


_STAGES = 8  # modules; each has five reactors

_STUDY = {
    "__init__.py": "",
    "native.py": """
import ctypes, ctypes.util

LIBM = ctypes.CDLL(ctypes.util.find_library("m"))
LIBM.cbrt.argtypes, LIBM.cbrt.restype = [ctypes.c_double], ctypes.c_double

def cube_roots(count, start):
    total = 0.0
    for n in range(count):
        total += LIBM.cbrt(start + n)
    return total
""",
    "trainer.py": """
from study import native
from study.settings import ROUNDS

class Trainer:
    class Settings:
        rate, rounds = 0.5, ROUNDS

        @classmethod
        def default(cls):
            return cls()

    class History:
        def __init__(self, losses):
            self.losses = losses

        class Summary:
            def __init__(self, last, best):
                self.last, self.best = last, best

        def summary(self):
            return self.Summary(self.losses[-1], min(self.losses))

    def __init__(self, seed):
        self.seed, self.settings = seed, self.Settings.default()

    @staticmethod
    def loss(step, value):
        return value / (step + 1)

    def train(self):
        value, losses = native.cube_roots(self.settings.rounds, self.seed), []
        for step in range(20):
            value = self.settings.rate * value + step
            losses.append(self.loss(step, value))
        return self.History(losses)
""",
}

_STAGE = """
import numpy as np
from pyplant import ReactorFunc
from study import native
from study.settings import ROUNDS
from study.trainer import Trainer
{uses}

def prepared(x):
    return {called}

@ReactorFunc
def load_{n}(pipe):
    pipe.send("data {n}", np.arange(100_000) + prepared({n}))

@ReactorFunc
def features_{n}(pipe):
    data = yield pipe.receive("data {n}")
    pipe.send("features {n}", np.sort(np.sin(data)) + native.cube_roots(ROUNDS // 3, {n}))

@ReactorFunc
def train_{n}(pipe):
    features = yield pipe.receive("features {n}")
    history = Trainer({n} + int(features.size)).train()
    pipe.send("history {n}", history)

@ReactorFunc
def check_{n}(pipe):
    data = yield pipe.receive("data {n}")
    pipe.send("check {n}", native.cube_roots(ROUNDS // 2, int(data[0])))

@ReactorFunc
def report_{n}(pipe):
    history, check = yield pipe.receive("history {n}", "check {n}")
    summary = history.summary()
    pipe.send("report {n}", (type(summary).__qualname__, summary.best, check, prepared({n})))
"""

_STUDY_SCRIPT = """
import importlib, json, sys, time
from pyplant import Plant
for n in range({stages}):
    importlib.import_module(f"study.stage{{n}}")

def main(executor):
    began = time.perf_counter()
    with Plant(f"plant-{{time.time_ns()}}", executor=executor, progress=False) as plant:
        reports = plant.get(*(f"report {{n}}" for n in range({stages})))
    seconds = time.perf_counter() - began
    assert {{report[0] for report in reports}} == {{"Trainer.History.Summary"}}
    return {{"seconds": seconds, "value": sum(sum(report[1:]) for report in reports)}}

if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]) or None)))
"""
