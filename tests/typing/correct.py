"""Public use of PyPlant as strict type checkers must accept it. It is checked, never run."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, assert_type

from pyplant import (
    ConfigBase,
    Ingredient,
    Pipework,
    Plant,
    ReactorFunc,
    SubreactorFunc,
    load_ingredients,
    specs,
)
from pyplant.events import Event, ReactorFinished
from pyplant.reactor import Reactor


class Config(ConfigBase):
    def __init__(self) -> None:
        self.color = "red"
        self.width = 3
        self.mark_auxiliary(["color"])


@ReactorFunc
def load(pipe: Pipework, config: Config) -> None:
    pipe.send("x", config.color.upper(), Ingredient.Type.simple)
    pipe.send("rows", list(range(config.width)), specs.ListSpec)


@ReactorFunc(cache=False)
def plot(pipe: Pipework) -> Generator[Any, Any, None]:
    x = yield pipe.receive("x")
    for row in pipe.progress([1, 2, 3], "rows"):
        print(x, row)


@ReactorFunc()
def with_defaults(pipe: Pipework, config: Config | None = None, *, power: int = 2) -> None:
    pipe.send("power", power)


@SubreactorFunc
def both(pipe: Pipework) -> Generator[Any, Any, tuple[str, list[int]]]:
    x, rows = yield pipe.receive("x", "rows")
    return x, rows


@SubreactorFunc(name="half")
def halved(pipe: Pipework, value: float) -> float:
    return value / 2


@ReactorFunc(name="summed")
def total(pipe: Pipework) -> Generator[Any, Any, None]:
    _, rows = yield from both(pipe)
    assert_type(rows, list[int])
    assert_type((yield from halved(pipe, 3)), float)
    field = pipe.allocate("field", specs.HdfArraySpec, shape=(len(rows),), dtype="f4")
    field[:] = rows
    pipe.send("field", field)
    scratch = pipe.allocate_temp("scratch", Ingredient.Type.array, shape=3)
    scratch[0] = len(rows)
    path = pipe.allocate("report", Ingredient.Type.file, suffix=".txt")
    pipe.send("report", path.strip())
    with open(pipe.input_file("input.txt")) as stream:
        pipe.send("text", stream.read())


def factory(n: int) -> Reactor[[Pipework], None]:
    @ReactorFunc(name=f"day {n}", resources={"GPU": 1, "memory": "20 GB"})
    def day(pipe: Pipework) -> None:
        pipe.send(f"day {n}", n)

    return day


def ordinary_decorator(function: Callable[[Pipework], Iterator[Any]]) -> Callable[[Pipework], Iterator[Any]]:
    return function


@ReactorFunc
@ordinary_decorator
def decorated(pipe: Pipework) -> Iterator[Any]:
    yield pipe.receive("x")


def listener(event: Event) -> None:
    if isinstance(event, ReactorFinished):
        print(event.reactor, event.seconds)


with Plant("plant", max_size="1 GB", trust=False, progress="auto") as plant:
    plant.set_config(Config())
    plant.mark_params_as_auxiliary(["color"])
    plant.add_reactor([load, total], plot, *[factory(n) for n in range(3)])
    plant.add_event_listener(listener)
    names: tuple[str, ...] = plant.run_reactor(plot, force=True).ran
    value = plant.get("x")
    plant.export(["x"], "folder")
    print(plant.status(), plant.explain(plot), plant.plan("load"), plant.history(load), value)

with (
    Plant("plant", executor=2, resources={"GPU": 2, "memory": "60 GB"}),
    Plant("other", executor=ThreadPoolExecutor()),
):
    pass

values = load_ingredients("folder")
