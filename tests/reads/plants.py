"""A plant with one reactor that reads, and files for it."""

import pathlib

from pyplant import Plant, ReactorFunc
from pyplant.engine.trace import DependencyKind


def plant_with(read, directory="plant", **options):
    @ReactorFunc
    def reads(pipe):
        pipe.send("value", read())

    plant = Plant(directory, progress=False, **options)
    plant.add_reactor(reads)
    return plant


def dependencies(plant, reactor="reads"):
    """What the last execution of a reactor depended on, besides the working directory of relative paths."""
    trace = plant._warehouse.ledger.last(plant._session.registry.find(reactor).full_name)
    return [read for read in trace.dependencies if read.kind is not DependencyKind.WORKING_DIRECTORY]


def notes(plant):
    return "\n".join(plant.explain("reads").not_followed)


def write(path, value=1):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(str(value))


def read_text(path):
    with open(path) as stream:
        return stream.read()
