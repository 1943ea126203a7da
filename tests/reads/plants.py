"""A plant with one reactor that reads, and files for it."""

import pathlib

from pyplant import Plant, ReactorFunc


def plant_with(read, directory="plant", **options):
    @ReactorFunc
    def reads(pipe):
        pipe.send("value", read())

    plant = Plant(directory, progress=False, **options)
    plant.add_reactor(reads)
    return plant


def notes(plant):
    return "\n".join(plant.explain("reads").not_followed)


def write(path, value=1):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(str(value))


def read_text(path):
    with open(path) as stream:
        return stream.read()
