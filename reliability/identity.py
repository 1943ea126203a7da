"""What counts as changed: stale .pyc files, input files, aliasing, stable fingerprints."""

from __future__ import annotations

import importlib
import json
import mmap
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pyplant import Plant, ReactorFunc
from pyplant.fingerprint.digest import digest_bytes
from reliability.bench import Lab, figure
from reliability.sabotage import ACTIVE
from reliability.trial import forked, noted_starts
from tests.conftest import ROOT

MODULE = textwrap.dedent(
    """
    from pyplant import ReactorFunc

    def helper():
        return {number}

    @ReactorFunc
    def poisoned(pipe):
        pipe.send("number", helper())
    """
)


def session(folder: Path, steps: Callable[[Any], None], *, cached: bool = False) -> tuple[int, bool]:
    """Import the module, call a function and ask for the value; return it, and whether anything ran."""
    sys.dont_write_bytecode = False
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    module = importlib.import_module("poisoned_module")
    steps(module)
    with Plant(folder / "plant", progress=False) as plant:
        plant.add_reactor(module.poisoned)
        ran = noted_starts(plant)
        return plant.get("number"), bool(ran)


def write_module(folder: Path, number: int, *, keep_time: bool = False) -> None:
    """Write the module so that its helper returns a number."""
    path = folder / "poisoned_module.py"
    before = path.stat() if path.exists() else None
    path.write_text(MODULE.format(number=number))
    if keep_time and before is not None:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def nothing(module: Any) -> None:
    """Do nothing."""


@figure(
    "R14",
    "a module is edited after its import, reloaded, edited within the tick of its .pyc, turned back",
    bar="the old function's result is never served for the new source",
    control="source is taken from the file as it is",
    short=8,
    full=200,
)
def poison(lab: Lab) -> Iterator[str]:
    """One trial is one way to edit."""
    for trial in range(lab.trials):
        folder = lab.folder / f"{trial}"
        folder.mkdir()
        first, second = lab.random.sample(range(10, 99), 2)
        write_module(folder, first)
        yield WAYS[trial % len(WAYS)](folder, first, second)


def edited_before_the_run(folder: Path, first: int, second: int) -> str:
    """The first session runs old code; the next one imports the new."""
    forked(lambda: session(folder, lambda _: write_module(folder, second)))
    os.utime(folder / "poisoned_module.py", (1, 1))  # else Python uses the old .pyc
    found = forked(lambda: session(folder, nothing))
    return found.error or ("" if found.value == (second, True) else f"edited, not reloaded: {found.value}")


def reloaded(folder: Path, first: int, second: int) -> str:
    """The module is edited and reloaded between two runs."""

    def edit(module: Any) -> None:
        with Plant(folder / "plant", progress=False) as plant:
            plant.add_reactor(module.poisoned)
            assert plant.get("number") == first
        time.sleep(0.01)
        write_module(folder, second)
        os.utime(folder / "poisoned_module.py", (1, 1))  # a time that certainly differs
        importlib.reload(module)

    found = forked(lambda: session(folder, edit))
    return found.error or ("" if found.value == (second, True) else f"reloaded: {found.value}")


def within_a_tick(folder: Path, first: int, second: int) -> str:
    """Python itself uses the old .pyc; when it is deleted, the new code must run."""
    forked(lambda: session(folder, nothing))
    write_module(folder, second, keep_time=True)
    forked(lambda: session(folder, nothing))
    for path in (folder / "__pycache__").glob("*"):
        path.unlink()
    found = forked(lambda: session(folder, nothing))
    return found.error or ("" if found.value[0] == second else f"same time and size: {found.value}")


def turned_back(folder: Path, first: int, second: int) -> str:
    """Edit while the session runs old code, and undo the edit afterwards."""
    forked(lambda: session(folder, lambda _: write_module(folder, second)))
    os.utime(folder / "poisoned_module.py", (1, 1))
    found = forked(lambda: session(folder, nothing))
    if found.error or found.value[0] != second:
        return found.error or f"turned: {found.value}"
    write_module(folder, first)
    os.utime(folder / "poisoned_module.py", (2, 2))
    found = forked(lambda: session(folder, nothing))
    return found.error or ("" if found.value == (first, False) else f"turned back: {found.value}")


WAYS = (edited_before_the_run, reloaded, within_a_tick, turned_back)


# ---------------------------------------------------------------------- input files


@ReactorFunc
def reads(pipe):
    """Send the content of a file."""
    path = pipe.input_file(pipe.read_config("path"))
    content = Path(path).read_bytes()
    if pipe.read_config_unregistered("edit"):
        Path(path).write_bytes(content[::-1])
    pipe.send("content", content)


def content_of(folder: Path, *, edit: bool = False) -> bytes:
    """Ask for the content of the file."""
    with Plant(folder / "plant", progress=False) as plant:
        plant.add_reactor(reads)
        plant.set_config({"path": str(folder / "input"), "edit": edit})
        return bytes(plant.get("content"))


def overwrite(path: Path, content: bytes) -> None:
    """Overwrite with the same size and a new time."""
    path.write_bytes(content)


def restore_time(path: Path, content: bytes) -> None:
    """Overwrite with the same size and restore the time."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def through_a_map(path: Path, content: bytes) -> None:
    """Write through a memory map."""
    with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as view:
        view[:] = content


def another_file(path: Path, content: bytes) -> None:
    """Replace the file by another one with the same time."""
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(content)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)


def another_target(path: Path, content: bytes) -> None:
    """Replace the file by a link to another one."""
    other = path.with_name("target")
    other.write_bytes(content)
    path.unlink()
    path.symlink_to(other)


EDITS = (overwrite, restore_time, through_a_map, another_file, another_target)


@figure(
    "R15",
    "input files: same size, restored time, memory map, replaced, link retargeted, edited during the run",
    bar="0 stale",
    control="files are judged by their time",
    short=12,
    full=600,
)
def input_files(lab: Lab) -> Iterator[str]:
    """Each edit right after a run, and long after."""
    for trial in range(lab.trials):
        folder = lab.folder / f"{trial}"
        folder.mkdir()
        path, old, new = folder / "input", lab.random.randbytes(500), lab.random.randbytes(500)
        path.write_bytes(old)
        kind = trial % (len(EDITS) + 1)
        if kind == len(EDITS):
            forked(lambda folder=folder: content_of(folder, edit=True))
            name, new = "edited during the run", old[::-1]
        else:
            if trial % 2:  # an old file is not hashed again
                os.utime(path, (1, 1))
                time.sleep(0.01)
            forked(lambda folder=folder: content_of(folder))
            EDITS[kind](path, new)
            name = EDITS[kind].__name__
        found = forked(lambda folder=folder: content_of(folder))
        yield found.error or ("" if found.value == new else f"{name}: stale")


# ---------------------------------------------------------------------- aliasing


@ReactorFunc
def makes(pipe):
    """Sends values that can be changed."""
    pipe.send("array", np.arange(2000.0))
    pipe.send("list", [[1, 2], {"a": [3]}])
    pipe.send("object", {("k", 1): bytearray(b"abc"), "set": {1, 2}})


def spoiler(number: int) -> Any:
    """A reactor that logs its input and then changes it."""

    @ReactorFunc(name=f"spoils_{number}")
    def spoils(pipe):
        pipe.read_config("again")
        array, items, thing = yield pipe.receive("array", "list", "object")
        seen = [digest_bytes(array.tobytes()), repr(items), repr(sorted(map(repr, thing.items())))]
        array[number] = -1
        items[1]["a"].append(number)
        items.clear()
        thing[("k", 1)].extend(b"x" * number)
        thing.clear()
        pipe.send(f"seen_{number}", seen)

    return spoils


SPOILERS = [spoiler(number) for number in range(1, 4)]


@figure(
    "R16",
    "three reactors spoil what they receive, in a fresh run and in one where it is cached",
    bar="all of them receive the same",
    control="values are shared",
    short=4,
    full=50,
)
def aliasing(lab: Lab) -> Iterator[str]:
    """The input must be the same in both runs."""

    def see(root: Path, again: int) -> list[Any]:
        with Plant(root, progress=False) as plant:
            plant.add_reactor([makes, *SPOILERS])
            plant.set_config({"again": again})
            return list(plant.get("seen_1", "seen_2", "seen_3"))

    for trial in range(lab.trials):
        root = lab.folder / f"{trial}"
        both = [forked(lambda root=root, again=again: see(root, again)) for again in (0, 1)]
        seen = [one for ended in both for one in ended.value or []]
        error = next((ended.error for ended in both if ended.error), "")
        yield error or ("" if all(one == seen[0] for one in seen) else "they received different values")


# ---------------------------------------------------------------------- stable fingerprints

PIPELINE = textwrap.dedent(
    """
    import json, sys
    from contextlib import ExitStack
    from pathlib import Path
    from pyplant import Plant, ReactorFunc, SubreactorFunc
    from pyplant.events import ReactorStarted
    from reliability.sabotage import sabotaged

    NAMES = {"alpha", "beta", "gamma", "delta"}
    TABLE = {name: {len(name), name} for name in sorted(NAMES)}  # the order of a dict is part of its digest

    class Model:
        kinds = frozenset({"one", "two", "three"})

        def score(self, name):
            return name in self.kinds or name in {"x", "y", "z"}

    def helper(name):
        return [key for key in sorted(TABLE) if name in TABLE[key]]

    @ReactorFunc
    def first(pipe):
        pipe.send("bag", {"names": NAMES, "model": Model().score("one"), "pairs": {(1, "a"), (2, "b")}})

    @ReactorFunc
    def second(pipe):
        bag = yield pipe.receive("bag")
        pipe.send("found", {name: helper(name) for name in bag["names"]})

    if __name__ == "__main__":
        ran = []
        with ExitStack() as stack:
            for name in sys.argv[2:]:
                stack.enter_context(sabotaged(name))
            with Plant(sys.argv[1], progress=False) as plant:
                plant.add_event_listener(
                    lambda event: ran.append(event.reactor) if isinstance(event, ReactorStarted) else None
                )
                plant.get("found")
        print(json.dumps(ran))
    """
)


def without_meaning(lab: Lab, source: str) -> str:
    """Return the same program with other comments, blank lines and order of definitions."""
    lines = source.splitlines()
    for _ in range(5):
        place = lab.random.randrange(len(lines))
        indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
        lines.insert(place, lab.random.choice(["", f"{indent}# {lab.random.random()}"]))
    return "\n".join(lines) + "\n"


@figure(
    "R17",
    "the same pipeline under other hash seeds, with other comments, in other files",
    bar="0 needless executions",
    control="sets count in their order",
    short=12,
    full=100,
)
def stable_fingerprints(lab: Lab) -> Iterator[str]:
    """Every trial is a process of its own on one plant."""
    for trial in range(lab.trials + 1):
        script = lab.folder / f"pipeline_{trial}.py"
        script.write_text(PIPELINE if trial == 0 else without_meaning(lab, PIPELINE))
        environment = {**os.environ, "PYTHONHASHSEED": str(trial), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, str(script), str(lab.folder / "plant"), *ACTIVE],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
        if done.returncode:
            yield done.stderr[-500:]
        elif trial:
            ran = json.loads(done.stdout)
            yield ran and f"seed {trial}: {', '.join(ran)} ran"
