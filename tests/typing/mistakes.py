"""Mistakes that type checkers must report: each line that ends in ``# error``, and no other."""

from collections.abc import Generator
from typing import Any

from pyplant import ConfigBase, Ingredient, Pipework, Plant, ReactorFunc, SubreactorFunc, specs


class Config(ConfigBase):
    width: int = 3


@SubreactorFunc
def smoothed(pipe: Pipework, width: int) -> Generator[Any, Any, list[float]]:
    data = yield pipe.receive("data")
    return [float(value) * width for value in data]


@SubreactorFunc
def counted(pipe: Pipework, unit: str = "m") -> int:
    return len(unit)


def undecorated(pipe: Pipework) -> None:
    pipe.send("x", 1)


def three(a: int, b: int, c: int) -> None: ...


def none() -> None: ...


def number(n: int) -> None: ...


def pair(n: int, config: Config) -> None: ...


ReactorFunc(three)  # error
ReactorFunc(none)  # error
ReactorFunc(number)  # error
ReactorFunc(pair)  # error
ReactorFunc(cache=True)(three)  # error
ReactorFunc(cahce=False)(undecorated)  # error
ReactorFunc(cache="no")(undecorated)  # error
ReactorFunc(resources="GPU")(undecorated)  # error
ReactorFunc(3)  # error
SubreactorFunc(3)  # error


@ReactorFunc
def arguments_of_subreactors(pipe: Pipework) -> Generator[Any, Any, None]:
    yield from smoothed(pipe, "three")  # error
    yield from smoothed(pipe, 3, 4)  # error
    yield from smoothed(pipe)  # error
    yield from smoothed(pipe, with_=3)  # error
    yield from counted(pipe, unit=3)  # error


@ReactorFunc
def results_of_subreactors(pipe: Pipework) -> Generator[Any, Any, None]:
    values = yield from smoothed(pipe, 3)
    values.upper()  # error
    count = yield from counted(pipe)
    count.append(1)  # error


@ReactorFunc
def forgotten_yield(pipe: Pipework) -> None:
    x = pipe.receive("x")
    x + 1  # error
    x[0]  # error
    len(x)  # error
    x.mean()  # error
    x()  # error


@ReactorFunc
def forgotten_yield_from(pipe: Pipework) -> None:
    values = smoothed(pipe, 3)
    values[0]  # error
    values + [1.0]  # error
    counted(pipe) + 1  # error


@ReactorFunc
def sends(pipe: Pipework, config: Config) -> None:
    pipe.send("y", 1, 42)  # error
    pipe.send(7, "y")  # error
    pipe.send("y")  # error
    pipe.sent("y", 1)  # error
    pipe.send("z", config.widht)  # error


@ReactorFunc
def allocates(pipe: Pipework) -> None:
    pipe.allocate("a", Ingredient.Type.array)  # error
    pipe.allocate("b", Ingredient.Type.array, shape="3")  # error
    pipe.allocate("c", Ingredient.Type.table)  # error
    pipe.allocate("d", 42)  # error
    pipe.allocate("e", Ingredient.Type.file, suffix=".txt").write("text")  # error
    pipe.allocate("f", Ingredient.Type.array, shape=(3,)).wirte("text")  # error
    pipe.allocate_temp("g", specs.FileSpec, suffix=".txt").shape  # error


@ReactorFunc
def asks(pipe: Pipework) -> Generator[Any, Any, None]:
    yield pipe.receive(3)  # error
    yield pipe.recieve("x")  # error
    pipe.read_config(3)  # error
    pipe.input_file(3)  # error
    pipe.progress(3)  # error


Plant("p", progress="sometimes")  # error
Plant("p", executor="many")  # error
Plant("p", max_size=1.5)  # error
Plant("p", resources=["GPU"])  # error
Plant("p", resources={"GPU": None})  # error
Plant("p", trsut=True)  # error
with Plant("p") as plant:
    plant.run_reactor(undecorated)  # error
    plant.run_reactor(smoothed)  # error
    plant.run_reactor(sends, True)  # error
    plant.run_reactor(sends).rann  # error
    plant.add_reactor(undecorated)  # error
    plant.add_reactor([undecorated])  # error
    plant.explain(undecorated)  # error
    plant.plan(undecorated)  # error
    plant.history(undecorated)  # error
    plant.invalidate(undecorated)  # error
    plant.remove_reactor(undecorated)  # error
    plant.get(3)  # error
    plant.fetch_ingredient(3)  # error
    plant.set_config(3)  # error
    plant.add_event_listener(none)  # error
    plant.export("x")  # error
