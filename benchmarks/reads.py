"""What it costs to notice files that reactors open without declaring them.

All sides do the same work in the same run; the plant of ``without`` has ``track_reads=False``.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import OURS, Effort, Row, Side, measure, quickest, write_script

__all__ = ["MANY_FILES", "ONE_FILE_EACH", "reads"]

_SETTLED = 2.5  # seconds after which the times of a file tell whether it changed
_HUGE = 2_000_000_000  # bytes

ONE_FILE_EACH = """
import json, sys, time
from pyplant import Plant, ReactorFunc

count, tracks = int(sys.argv[1]), sys.argv[2] == "pyplant"
for number in range(count):
    exec(f'''
@ReactorFunc
def read{number}(pipe):
    with open("data/{number}") as stream:
        pipe.send("text{number}", stream.read())
''')
names = [f"text{number}" for number in range(count)]
began = time.perf_counter()
with Plant(sys.argv[2], progress=False, track_reads=tracks) as plant:
    values = plant.get(*names)
print(json.dumps({"seconds": time.perf_counter() - began, "value": sum(map(int, values))}))
"""

MANY_FILES = """
import json, sys, time
from blake3 import blake3
from pyplant import Plant, ReactorFunc

count, side = int(sys.argv[1]), sys.argv[2]

def total():
    found = 0
    for number in range(count):
        with open(f"data/{number}") as stream:
            found += int(stream.read(20))
    return found

@ReactorFunc
def read(pipe, config):
    count = config.count
    found = 0
    for number in range(count):
        with open(f"data/{number}") as stream:
            found += int(stream.read(20))
    pipe.send("total", found)

began = time.perf_counter()
if side == "open and hash":
    value = total()
    for number in range(count):
        with open(f"data/{number}", "rb") as stream:
            blake3(stream.read()).hexdigest()
else:
    with Plant(side, progress=False, track_reads=side == "pyplant") as plant:
        plant.set_config({"count": count})
        value = plant.get("total")
print(json.dumps({"seconds": time.perf_counter() - began, "value": value}))
"""


def reads(folder: Path, effort: Effort) -> Iterator[Row]:
    """Many reactors with one file each, one reactor with many files, and one file of 2 GB."""
    yield from _one_file_each(folder / "each", effort)
    yield from _many_files(folder / "many", effort)
    yield _huge_file(folder / "huge", effort)


def _one_file_each(folder: Path, effort: Effort) -> Iterator[Row]:
    script = write_script(folder, ONE_FILE_EACH)
    _write_files(folder, effort.steps)
    for cold in (True, False):
        sides = {name: _side(script, effort.steps, name, cold=cold) for name in (OURS, "without")}
        yield Row(
            f"{effort.steps:,} reactors that read one file each, {'cold' if cold else 'nothing to do'}",
            quickest(sides, 2 * effort.runs),
            against="without",
            target=1.15,
        )


def _many_files(folder: Path, effort: Effort) -> Iterator[Row]:
    count = 10 * effort.long
    script = write_script(folder, MANY_FILES)
    _write_files(folder, count)
    sides = {name: _side(script, count, name, cold=True) for name in (OURS, "open and hash")}
    yield Row(
        f"a reactor that reads {count:,} files, cold",
        quickest(sides, effort.runs),
        against="open and hash",
        target=1.2,
    )
    warm = quickest({OURS: _side(script, count, OURS, cold=False)}, effort.runs)
    yield Row(f"a reactor that read {count:,} files, nothing to do", warm, target=2e-5 * count)


def _huge_file(folder: Path, effort: Effort) -> Row:
    script = write_script(folder, MANY_FILES)
    (folder / "data").mkdir()
    with (folder / "data" / "0").open("wb") as stream:
        stream.write(b"1".ljust(20))
        stream.truncate(_HUGE)  # takes no room
    sides = {name: _side(script, 1, name, cold=True) for name in (OURS, "without")}
    return Row(
        "a reactor that opens an undeclared file of 2 GB, cold",
        quickest(sides, effort.runs),
        against="without",
        target=1.5,
    )


def _write_files(folder: Path, count: int) -> None:
    (folder / "data").mkdir()
    for number in range(count):
        (folder / "data" / str(number)).write_text(str(number))
    time.sleep(_SETTLED)


def _side(script: Path, count: int, name: str, *, cold: bool) -> Side:
    def side() -> float:
        plant = script.parent / name
        if cold:
            shutil.rmtree(plant, ignore_errors=True)
        figures = measure(script, count, name)
        if figures["value"] != (count * (count - 1) // 2 if count > 1 else 1):
            message = f"{script}: {figures['value']} with {name}"
            raise RuntimeError(message)
        return figures["seconds"]

    if not cold:
        side()  # the first may be cold
    return side
