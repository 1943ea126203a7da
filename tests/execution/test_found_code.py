"""Code that parameters name."""

import importlib
import sys

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.execution.found_code import named_code


@ReactorFunc
def scaled(pipe, config):
    module, _, name = config["target"].replace(":", ".").rpartition(".")
    pipe.send("scaled", getattr(importlib.import_module(module), name)(3))


@ReactorFunc
def unscaled(pipe, config):
    pipe.send("scaled", len(config["target"]))


@pytest.fixture
def edit(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def edit(number):
        text = f"def by(x): return x * {number}\nclass By:\n def __new__(cls, x): return by(x)\n"
        (tmp_path / "scaling_steps.py").write_text(text, encoding="utf-8")
        sys.modules.pop("scaling_steps", None)
        importlib.invalidate_caches()

    edit(2)
    yield edit
    sys.modules.pop("scaling_steps", None)


def result(tmp_path, reactor, target):
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.add_reactor(reactor)
        plant.set_config({"target": target})
        ran = plant.run_reactor(reactor).ran
        return plant.get("scaled"), bool(ran)


@pytest.mark.parametrize("target", ["scaling_steps.by", "scaling_steps:by", "scaling_steps.By"])
def test_an_edit_of_code_that_a_parameter_names_reruns_the_reactor(tmp_path, edit, target):
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        assert result(tmp_path, scaled, target) == (6, True)
        sys.modules.pop("scaling_steps")  # as in a new process
        assert result(tmp_path, scaled, target) == (6, False)
        edit(5)
        assert result(tmp_path, scaled, target) == (15, True)
        edit(2)
        assert result(tmp_path, scaled, target) == (6, False)
    finally:
        sys.dont_write_bytecode = before


def test_nothing_is_imported_because_a_parameter_names_it(tmp_path, edit):
    assert result(tmp_path, unscaled, "scaling_steps.by") == (16, True)
    assert "scaling_steps" not in sys.modules
    edit(5)
    assert result(tmp_path, unscaled, "scaling_steps.by") == (16, False)


@pytest.mark.parametrize(
    "name", ["json.dumps", "scaling_steps.absent", "os.path.join", "absent.name", "scaling_steps"]
)
def test_what_is_no_code_of_the_user_is_not_found(edit, name):
    assert named_code(name, load=True) is None


def test_a_stored_trace_cannot_make_a_module_be_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "planted_module.py").write_text("def run():\n    return 1\n")
    with Plant(tmp_path / "plant", progress=False) as plant:
        plant.set_config({"target": "another.run"})
        context = plant._session.context()
        assert context.subreactor("planted_module.run") is None
        assert "planted_module" not in sys.modules
        # Negative control: the user's own configuration names it, as the reactor will.
        plant.set_config({"target": "planted_module:run"})
        assert plant._session.context().subreactor("planted_module.run") is not None
    sys.modules.pop("planted_module")


@ReactorFunc
def built(pipe, config):
    part = dict(config["target"])
    module, _, name = part["layers"][0]["_target_"].rpartition(".")
    pipe.send("scaled", getattr(importlib.import_module(module), name)(3))


@pytest.mark.parametrize("as_omegaconf", [False, True])
def test_so_does_an_edit_of_code_that_a_part_of_the_configuration_names(
    tmp_path, edit, as_omegaconf, monkeypatch
):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    target = {"layers": [{"_target_": "scaling_steps.by"}]}
    if as_omegaconf:
        target = pytest.importorskip("omegaconf").OmegaConf.create(target)
    importlib.import_module("scaling_steps")  # so that it is not imported while the reactor runs
    assert result(tmp_path, built, target) == (6, True)
    sys.modules.pop("scaling_steps")  # as in a new process
    assert result(tmp_path, built, target) == (6, False)
    edit(5)
    assert result(tmp_path, built, target) == (15, True)
