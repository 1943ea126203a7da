"""A module that a cell imports."""

from pyplant import ReactorFunc


@ReactorFunc
def from_a_module(pipe):
    pipe.send("of_a_module", 1)
