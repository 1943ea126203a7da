"""Models of pydantic: what an edit changes, and that nothing else does."""

import subprocess
import sys

import pytest

from pyplant.fingerprint.fingerprint import Fingerprinter
from tests.conftest import ROOT
from tests.fingerprint.helpers import load

pytest.importorskip("pydantic")

SOURCE = """
    from typing import Annotated, Generic, TypeVar
    import pydantic
    from pydantic.dataclasses import dataclass

    def default(): return [1]

    class Inner(pydantic.BaseModel):
        a: int = 1

    class Base(pydantic.BaseModel):
        b: int = 2

        @pydantic.field_validator("b")
        @classmethod
        def positive(cls, value): return abs(value)

    class Model(Base):
        model_config = pydantic.ConfigDict(extra="allow")
        x: int = 3
        inner: Inner = Inner()
        values: Annotated[list[int], pydantic.Field(max_length=4, default_factory=default)]
        _hidden: int = pydantic.PrivateAttr(default=5)

        @pydantic.field_validator("x")
        @classmethod
        def check(cls, value): return value + 6

        @pydantic.model_validator(mode="after")
        def whole(self): return self

        @pydantic.field_serializer("x")
        def shown(self, value): return value + 7

        @pydantic.computed_field
        @property
        def double(self) -> int: return 8 * self.x

        def method(self): return 9

    T = TypeVar("T")

    class Of(pydantic.BaseModel, Generic[T]):
        item: T

    class Recursive(pydantic.BaseModel):
        child: "Recursive | None" = None

    class Root(pydantic.RootModel[list[int]]):
        pass

    @dataclass(config={"strict": False})
    class Data:
        y: int = 10

    ADAPTER = pydantic.TypeAdapter(list[Inner])

    @pydantic.validate_call(config={"strict": False})
    def call(z: int): return z

    INSTANCE = Model(x=11)

    def main():
        return Model(), Of[int], Recursive(), Root([1]), Data(), ADAPTER, call(1), INSTANCE
"""
EDITS = {
    "default of a field": ("x: int = 3", "x: int = 4"),
    "type of a field": ("x: int = 3", "x: float = 3"),
    "constraint": ("max_length=4", "max_length=5"),
    "default factory": ("return [1]", "return [2]"),
    "private attribute": ("default=5", "default=6"),
    "configuration": ('extra="allow"', 'extra="ignore"'),
    "validator": ("value + 6", "value + 7"),
    "mode of a validator": ('field_validator("x")', 'field_validator("x", mode="before")'),
    "validator of a base": ("abs(value)", "-abs(value)"),
    "validator of the model": ("return self\n", "return self or 1\n"),
    "serializer": ("value + 7", "value + 8"),
    "computed field": ("8 * self.x", "9 * self.x"),
    "method": ("return 9", "return 10"),
    "model inside": ("a: int = 1", "a: int = 2"),
    "argument of a generic model": ("Of[int]", "Of[float]"),
    "item of a generic model": ("item: T", "item: T | None"),
    "recursive model": ("Recursive | None", "list[Recursive] | None"),
    "root model": ("RootModel[list[int]]", "RootModel[list[float]]"),
    "dataclass": ("y: int = 10", "y: int = 11"),
    "configuration of a dataclass": (
        '@dataclass(config={"strict": False})',
        '@dataclass(config={"strict": True})',
    ),
    "type of an adapter": ("TypeAdapter(list[Inner])", "TypeAdapter(set[Inner])"),
    "annotation of a validated function": ("z: int", "z: float"),
    "body of a validated function": ("return z", "return -z"),
    "configuration of a validated function": (
        'call(config={"strict": False})',
        'call(config={"strict": True})',
    ),
    "instance": ("x=11", "x=12"),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return Fingerprinter().fingerprint(load(tmp_path_factory.mktemp("model"), SOURCE).main)


@pytest.mark.parametrize("edit", EDITS)
def test_every_edit_of_a_model_changes_its_digest(tmp_path, original, edit):
    old, new = EDITS[edit]
    assert SOURCE.count(old) == 1
    assert (
        Fingerprinter().fingerprint(load(tmp_path, SOURCE.replace(old, new)).main).digest != original.digest
    )


def test_a_model_is_digested_completely(original):
    assert not {note.text for note in original.notes if note.kind == "opaque"}


@pytest.mark.slow
def test_a_model_has_the_same_digest_in_every_process(tmp_path):
    path = tmp_path / "models.py"
    program = (
        "import sys; from pathlib import Path; from tests.fingerprint.helpers import load; import tests.specs.helpers;"
        "import pyplant.specs; from pyplant.fingerprint.fingerprint import Fingerprinter;"
        "m = load(Path(sys.argv[1]), Path(sys.argv[2]).read_text()); keep = [bytearray(10**int(sys.argv[3]))];"
        "f = Fingerprinter(); print(f.fingerprint(m.main).digest, f.digest([m.Model(x=3), m.Of[int](item=1)])[0])"
    )
    path.write_text(SOURCE, encoding="utf-8")
    found = set()
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        command = [sys.executable, "-c", program, str(tmp_path / str(number)), str(path), str(number + 3)]
        found.add(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    assert len(found) == 1


def test_using_a_model_does_not_change_its_digest(tmp_path):
    module = load(tmp_path, SOURCE)
    fingerprinter = Fingerprinter()
    before = fingerprinter.fingerprint(module.main).digest
    module.main()
    module.INSTANCE.x = module.INSTANCE.x
    module.Model.model_json_schema()
    fingerprinter.begin_generation()
    assert fingerprinter.fingerprint(module.main).digest == before
