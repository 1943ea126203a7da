"""Folders of values that need no plant."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import pyplant
from pyplant import Plant, ReactorFunc
from pyplant.errors import DamagedError, MissingIngredientError, PlantDirError
from pyplant.specs.array import ArraySpec
from pyplant.store import keys
from pyplant.store.objects import hash_bytes


@ReactorFunc
def send_some(pipe):
    pipe.send("number", 3)
    pipe.send("big/../array", np.arange(10000.0))
    pipe.send("thing", {1: {2, 3}})


@pytest.fixture
def exported(tmp_path):
    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor(send_some)
        return plant.export(["number", "big/../array", "thing"], tmp_path / "out")


def test_exported_values_come_back_without_the_plant(exported):
    values = pyplant.load_ingredients(exported)
    assert values["number"] == 3
    assert values["thing"] == {1: {2, 3}}
    np.testing.assert_array_equal(values["big/../array"], np.arange(10000.0))


def test_names_never_become_paths(exported):
    assert sorted(path.parent for path in exported.iterdir()) == [exported] * 4


@pytest.mark.parametrize("name", ["ingredients.json", "notes.txt", "001-number.bin"])
def test_a_folder_with_other_files_is_refused(name, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("[]")
    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor(send_some)
        with pytest.raises(PlantDirError, match=f"holds other files .{name}."):
            plant.export("number", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_an_earlier_export_is_replaced(exported, tmp_path):
    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor(send_some)
        plant.export(["thing", "number"], exported)
    assert pyplant.load_ingredients(exported) == {"thing": {1: {2, 3}}, "number": 3}
    assert sorted(path.name for path in exported.iterdir()) == [
        "001-thing.bin",
        "002-number.bin",
        "ingredients.json",
    ]


def test_an_export_that_fails_leaves_the_earlier_one(exported, tmp_path, monkeypatch):
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    monkeypatch.setattr("pyplant.portable.hash_file", lambda path: 1 / 0)
    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor(send_some)
        with pytest.raises(ZeroDivisionError):
            plant.export(["thing"], exported)
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before


def test_an_export_of_nothing_is_refused(tmp_path):
    with (
        Plant(tmp_path / "plant", progress=False) as plant,
        pytest.raises(MissingIngredientError, match="got none"),
    ):
        plant.export([], tmp_path / "given")
    assert not (tmp_path / "given").exists()


def test_damage_is_noticed(exported):
    victim = next(path for path in exported.iterdir() if "array" in path.name)
    content = bytearray(victim.read_bytes())
    content[500] ^= 1
    victim.write_bytes(content)
    with pytest.raises(DamagedError, match="array"):
        pyplant.load_ingredients(exported)


def test_a_folder_that_was_not_exported_is_refused(tmp_path):
    with pytest.raises(MissingIngredientError, match="no exported ingredients"):
        pyplant.load_ingredients(tmp_path)


def test_a_manifest_cannot_point_outside_the_folder(exported):
    manifest = json.loads((exported / "ingredients.json").read_text())
    (exported.parent / "secret.bin").write_bytes(b"3")
    manifest["ingredients"][0]["file"] = "../secret.bin"
    (exported / "ingredients.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedError):
        pyplant.load_ingredients(exported)


def test_a_pickle_is_loaded_as_it_was_when_it_was_verified(exported, monkeypatch):
    victim = next(path for path in exported.iterdir() if "thing" in path.name)
    read_bytes = Path.read_bytes

    def replaced(self):
        content = read_bytes(self)
        if self == victim:
            victim.write_bytes(b"replaced by another user who may write to the folder")
        return content

    monkeypatch.setattr(Path, "read_bytes", replaced)
    monkeypatch.setattr("pyplant.portable.hash_file", lambda path: hash_bytes(replaced(path)))
    assert pyplant.load_ingredients(exported)["thing"] == {1: {2, 3}}


def test_an_object_that_changes_while_it_is_exported_is_not_signed(tmp_path, monkeypatch):
    copyfile = shutil.copyfile

    def another_file(source, target):
        copyfile(source, target)
        Path(target).write_bytes(b"of another user who may write to the plant")

    monkeypatch.setattr(shutil, "copyfile", another_file)
    with Plant(tmp_path / "plant") as plant:
        plant.add_reactor(send_some)
        with pytest.raises(DamagedError, match="changed while it was copied"):
            plant.export(["big/../array"], tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_values_of_another_user_are_checked(exported, monkeypatch):
    monkeypatch.setattr("pyplant.portable.signing_key", lambda: b"another user's key".ljust(32))
    checked = []
    monkeypatch.setattr(ArraySpec, "validate", lambda self, buffer, metadata: checked.append(len(buffer)))
    pyplant.load_ingredients(exported, trust=True)
    assert len(checked) == 1
    monkeypatch.undo()
    assert pyplant.load_ingredients(exported)["number"] == 3


def test_pickles_of_another_user_need_trust(exported, monkeypatch):
    monkeypatch.setattr("pyplant.portable.signing_key", lambda: b"another user's key".ljust(32))
    with pytest.warns(pyplant.errors.DamageWarning, match="trust=True"), pytest.raises(DamagedError):
        pyplant.load_ingredients(exported)
    assert pyplant.load_ingredients(exported, trust=True)["thing"] == {1: {2, 3}}
    assert keys.signing_key
