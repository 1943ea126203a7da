"""Public use of PyPlant as a strict type checker must accept it. It is checked, never run."""

from collections.abc import Generator
from typing import Any

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


class Config(ConfigBase):
    def __init__(self) -> None:
        self.color = "red"
        self.width = 3
        self.mark_auxiliary(["color"])


@ReactorFunc
def load(pipe: Pipework, config: Config) -> None:
    pipe.send("x", config.color.upper(), Ingredient.Type.simple)
    pipe.send("rows", list(range(config.width)))


@ReactorFunc(cache=False)
def plot(pipe: Pipework) -> Generator[Any, Any, None]:
    x = yield pipe.receive("x")
    rows, *_ = yield pipe.receive(["rows", "x"])
    print(x, rows)


@SubreactorFunc
def both(pipe: Pipework) -> Generator[Any, Any, Any]:
    x, rows = yield pipe.receive("x", "rows")
    return x, rows


@ReactorFunc(name="summed")
def total(pipe: Pipework) -> Generator[Any, Any, None]:
    _, rows = yield from both(pipe)
    field = pipe.allocate("field", specs.HdfArraySpec, shape=(len(rows),), dtype="f4")
    pipe.send("field", field)


with Plant("plant", max_size="1 GB", trust=False, progress="auto") as plant:
    plant.set_config(Config())
    plant.mark_params_as_auxiliary(["color"])
    plant.add_reactor([load, total], plot)
    names: tuple[str, ...] = plant.run_reactor(plot, force=True).ran
    value = plant.get("x")
    values_of_list: list[Any] = plant.get(["x"])
    several = plant.get("x", "rows")
    plant.export(["x"], "folder")
    print(plant.status(), plant.explain(plot), plant.plan("load"), plant.history(load), value, several)

values = load_ingredients("folder")
