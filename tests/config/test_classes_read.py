"""Reads of the class of a configuration, which bypass the view."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

SCRIPT = """
import dataclasses, inspect, json, sys, attrs
from typing import get_type_hints
from pyplant import *

class Model(ConfigBase):
    LIMIT = @
    @classmethod
    def make(cls): return @ * 100

class Base(ConfigBase):
    BASE = @
    def up(self): return type(self).BASE

def limit(thing): return type(thing).LIMIT
def deeper(thing): return limit(thing)

class Config(Base):
    LIMIT = @
    OTHER = 0
    KIND = Model
    def __init__(self): self.model, self.x = Model(), 5
    @classmethod
    def make(cls): return cls.LIMIT
    @staticmethod
    def fixed(): return @
    @property
    def computed(self): return type(self).LIMIT
    @property
    def inherited(self): return super().BASE
    def by_helper(self): return deeper(self)
    def of_part(self): return type(self.model).LIMIT
    def up(self): return super().up()

@dataclasses.dataclass
class Data(ConfigBase):
    a: int = @
    b: int = dataclasses.field(default=1, metadata={"m": @})

@attrs.define(slots=False)
class Attrs(ConfigBase):
    a: int = @

REACTORS

if __name__ == "__main__":
    with Plant(sys.argv[1], progress=False, executor=eval(sys.argv[2])) as plant:
        found = {}
        for reactor, made in ALL:
            plant.set_config(made)
            ran = bool(plant.run_reactor(reactor).ran)
            found[reactor.__name__] = [repr(plant.get(reactor.__name__)), ran]
        print(json.dumps(found))
"""

SEEN = {
    "attribute of type()": "type(config).LIMIT",
    "attribute of __class__": "config.__class__.LIMIT",
    "class in a variable": "[cls.LIMIT for cls in [type(config)]]",
    "getattr of the class": "getattr(type(config), 'LIMIT')",
    "getattr with a computed name": "getattr(type(config), 'LIM' + 'IT')",
    "getattr for the class": "getattr(config, '__class__').LIMIT",
    "__dict__ of the class": "type(config).__dict__['LIMIT']",
    "vars of the class": "vars(type(config))['LIMIT']",
    "bases": "[vars(base).get('BASE') for base in type(config).__mro__]",
    "an inherited attribute": "type(config).BASE",
    "members of the class": "[value for name, value in inspect.getmembers(type(config)) if name == 'LIMIT']",
    "members of the object": "[value for name, value in inspect.getmembers(config) if name == 'LIMIT']",
    "static attribute": "inspect.getattr_static(type(config), 'LIMIT')",
    "class method": "config.make()",
    "class method of the class": "type(config).make()",
    "static method of the class": "type(config).fixed()",
    "property": "config.computed",
    "property of a base": "config.inherited",
    "method of a base": "config.up()",
    "method by helpers": "config.by_helper()",
    "method on a part": "config.of_part()",
    "helpers": "deeper(config)",
    "class of a part": "type(config.model).LIMIT",
    "class method of a part": "type(config.model).make()",
    "a class as value": "config.KIND.LIMIT",
    "a new object": "type(config)().LIMIT",
}
OF_DATA = {
    "fields": "[field.default for field in dataclasses.fields(config)]",
    "fields of the class": "[field.default for field in dataclasses.fields(type(config))]",
    "metadata": "[dict(field.metadata) for field in dataclasses.fields(config)]",
    "asdict": "dataclasses.asdict(config)",
}
OF_ATTRS = {
    "attrs": "[field.default for field in attrs.fields(type(config))]",
    "dict": "attrs.asdict(config)",
}
OTHERS = [
    "type(config).LIMIT",
    "config.x",
    "type(config).__name__",
    "f'{type(config)}'",
    "type(config) is int",
]
CASES = {
    **{f"object, {name}": (see, "Config()") for name, see in SEEN.items()},
    **{f"dataclass, {name}": (see, "Data(a=7)") for name, see in OF_DATA.items()},
    **{f"attrs, {name}": (see, "Attrs(a=7)") for name, see in OF_ATTRS.items()},
}
NUMBERS = {name: f"asks{number}" for number, name in enumerate(CASES)}


def ran(folder, plant, cases, value="1", executor="None", other="0"):
    """Run a script; return what each reactor got, and whether it ran."""
    reactors = [
        f"def see_{name}(config):\n    return {see}\n"
        f"@ReactorFunc\ndef {name}(pipe, config):\n    pipe.send({name!r}, see_{name}(config))\n"
        for name, (see, _) in cases.items()
    ]
    every = ", ".join(f"({name}, {made})" for name, (_, made) in cases.items())
    text = (
        SCRIPT.replace("= @", f"= {value}")
        .replace("return @", f"return {value}")
        .replace(": @}", f": {value}}}")
    )
    text = text.replace("OTHER = 0", f"OTHER = {other}").replace("ALL", f"[{every}]")
    (folder / "script.py").write_text(text.replace("REACTORS", "\n".join(reactors)))
    done = subprocess.run(
        [sys.executable, "-B", "-W", "ignore", folder / "script.py", folder / plant, executor],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    cases = {NUMBERS[name]: case for name, case in CASES.items()}
    kinds = [("plant", "1"), ("plant", "1"), ("plant", "2"), ("fresh", "2")]
    return [ran(folder, plant, cases, value) for plant, value in kinds]


@pytest.mark.parametrize("name", CASES)
def test_a_read_attribute_of_a_class_counts(runs, name):
    first, again, edited, fresh = (run[NUMBERS[name]] for run in runs)
    assert again == [first[0], False]
    assert edited == fresh


@pytest.mark.slow
def test_a_read_attribute_of_a_class_counts_in_workers(tmp_path):
    cases = {"asks": ("[type(config).LIMIT, type(config.model).make()]", "Config()")}
    ran(tmp_path, "plant", cases, executor="1")
    assert ran(tmp_path, "plant", cases, executor="1")["asks"][1] is False
    assert ran(tmp_path, "plant", cases, "2", executor="1")["asks"][0] == "[2, 200]"


def test_other_attributes_of_the_class_do_not_count(tmp_path):
    cases = {f"asks{number}": (see, "Config()") for number, see in enumerate(OTHERS)}
    ran(tmp_path, "plant", cases)
    assert not any(again for _, again in ran(tmp_path, "plant", cases, other="1").values())
