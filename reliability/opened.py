"""Files that code merely opens, without declaring them: what PyPlant notices, and what other libraries do."""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import measure, write_script
from pyplant import Plant, ReactorFunc
from reliability.bench import Lab, figure
from reliability.identity import EDITS
from reliability.trial import forked

__all__ = ["merely_opened"]

_END = """
print(json.dumps({"value": value}))
"""
PEERS = {
    "joblib": """
import json
import joblib

@joblib.Memory("cache", verbose=0).cache
def load():
    with open("input", "rb") as stream:
        return stream.read().hex()

value = load()
""",
    "hamilton": """
import json, sys
from hamilton import driver

def load() -> str:
    with open("input", "rb") as stream:
        return stream.read().hex()

if __name__ == "__main__":
    import main as module
    built = driver.Builder().with_modules(module).with_cache(path="cache").build()
    value = built.execute(["load"])["load"]
else:
    value = ""
""",
    "pipefunc": """
import json
from pipefunc import Pipeline, pipefunc

@pipefunc(output_name="load", cache=True)
def load_file(number):
    with open("input", "rb") as stream:
        return stream.read().hex()

pipeline = Pipeline([load_file], cache_type="disk", cache_kwargs={"cache_dir": "cache"})
value = pipeline("load", number=0)
""",
}
"""Scripts that do the same with other libraries."""


@ReactorFunc
def opens(pipe):
    """Send the content of a file that it opens."""
    with open("input", "rb") as stream:
        pipe.send("content", stream.read())


def content_of(folder: Path) -> bytes:
    """Ask for the content of the file."""
    os.chdir(folder)
    with Plant(folder / "plant", progress=False) as plant:
        plant.add_reactor(opens)
        return bytes(plant.get("content"))


@figure(
    "R32",
    "files that were merely opened: same size, restored time, memory map, replaced, link retargeted",
    bar="0 stale",
    control="opened files are not recorded",
    short=10,
    full=500,
)
def merely_opened(lab: Lab) -> Iterator[str]:
    """Each edit right after a run, and long after; other libraries are asked once each."""
    for trial in range(lab.trials):
        folder = lab.folder / f"{trial}"
        folder.mkdir()
        path, old, new = folder / "input", lab.random.randbytes(500), lab.random.randbytes(500)
        path.write_bytes(old)
        if trial % 2:  # an old file is not hashed again
            os.utime(path, (1, 1))
            time.sleep(0.01)
        edit = EDITS[trial % len(EDITS)]
        forked(lambda folder=folder: content_of(folder))
        edit(path, new)
        found = forked(lambda folder=folder: content_of(folder))
        yield found.error or ("" if found.value == new else f"{edit.__name__}: stale")
    if lab.full:
        stale = [name for name in PEERS if importlib.util.find_spec(name) and _is_stale(lab.folder, name)]
        lab.notes.append(f"stale with {', '.join(stale)}" if stale else "other libraries are not installed")


def _is_stale(folder: Path, library: str) -> bool:
    """Return whether a library serves the old content of a file that was edited."""
    script = write_script(folder / library, PEERS[library] + _END)
    path = script.parent / "input"
    path.write_bytes(b"old")
    before = measure(script)["value"]
    path.write_bytes(b"new and longer")
    return measure(script)["value"] == before
