"""A plant with one reactor that reads."""

from pyplant import Plant, ReactorFunc


def plant_with(read, **options):
    @ReactorFunc
    def reads(pipe):
        pipe.send("value", read())

    plant = Plant("plant", progress=False, **options)
    plant.add_reactor(reads)
    return plant
