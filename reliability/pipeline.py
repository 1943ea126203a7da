"""The pipeline of the trials: one ingredient of every kind, small enough to run thousands of times."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from pyplant import Ingredient, Plant, ReactorFunc, specs
from reliability.bench import LOG

NAMES = ("numbers", "count", "cube", "bag", "note", "total")


class Bag:
    """A value that has to be pickled."""

    def __init__(self, content: dict[str, float]) -> None:
        self.content = content


def log(name: str) -> None:
    """Append to a file outside the plant that a reactor runs; appended text survives a kill."""
    path = os.environ.get(LOG)
    if path:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, f"{name}\n".encode())
        os.close(descriptor)


@ReactorFunc
def numbers(pipe):
    log("numbers")
    scale = pipe.read_config("scale")
    pipe.send("numbers", np.arange(1000.0) * scale)
    pipe.send("count", 1000)


@ReactorFunc
def cube(pipe):
    values = yield pipe.receive("numbers")
    log("cube")
    data = pipe.allocate("cube", specs.HdfArraySpec, shape=(10, 100), dtype="f8")
    data[...] = values.reshape(10, 100) + 1
    pipe.send("cube", data)


@ReactorFunc
def bag(pipe):
    scale = pipe.read_config("scale")
    log("bag")
    pipe.send("bag", Bag({f"key {number}": number * scale for number in range(300)}))


@ReactorFunc
def note(pipe):
    count = yield pipe.receive("count")
    scale = pipe.read_config("scale")
    log("note")
    path = pipe.allocate("note", Ingredient.Type.file, suffix=".txt")
    Path(path).write_text(f"{count} numbers times {scale}\n" * 200)
    pipe.send("note", path)


@ReactorFunc
def total(pipe):
    values, data, held, text = yield pipe.receive("numbers", "cube", "bag", "note")
    log("total")
    pipe.send(
        "total", [float(values.sum()), float(data[...].sum()), len(held.content), len(Path(text).read_text())]
    )


REACTORS = [numbers, cube, bag, note, total]


def open_plant(root: Path, scale: float = 1, **options: Any) -> Plant:
    """Return a plant with the reactors."""
    plant = Plant(root, progress=False, **options)
    plant.add_reactor(REACTORS)
    plant.set_config({"scale": scale})
    return plant


def expected(scale: float = 1) -> dict[str, Any]:
    """Return the expected values, computed without PyPlant."""
    values = np.arange(1000.0) * scale
    content = {f"key {number}": number * scale for number in range(300)}
    text = f"1000 numbers times {scale}\n" * 200
    sums = [float(values.sum()), float((values + 1).sum()), len(content), len(text)]
    return {
        "numbers": plain(values),
        "count": 1000,
        "cube": plain((values + 1).reshape(10, 100)),
        "bag": content,
        "note": text,
        "total": sums,
    }


def plain(value: Any) -> Any:
    """Return a value in a form that can be compared and printed."""
    if isinstance(value, Bag):
        return value.content
    if isinstance(value, Path) or (isinstance(value, str) and os.path.isfile(value)):
        return Path(value).read_text()
    if hasattr(value, "shape"):
        array = np.asarray(value[...])
        return [str(array.dtype), list(array.shape), array.tobytes().hex()]
    return value


def difference(values: dict[str, Any], scale: float = 1) -> str:
    """Return the names of wrong values."""
    right = expected(scale)
    return ", ".join(name for name in values if plain(values[name]) != right[name])
