"""The origin of code: the user, an installed package, or Python."""

import importlib
import importlib.util
import json
import os
import re
import sys
import types
import wave

import numpy as np
import pytest

import pyplant
from pyplant.fingerprint import origin
from pyplant.fingerprint.origin import (
    import_user_module,
    is_own_file,
    is_user_file,
    is_user_module,
    is_user_object,
    leads_to_user_code,
    package_name,
)
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        (json.__file__, False),
        (np.__file__, False),
        (pyplant.__file__, False),
        ("<frozen importlib._bootstrap>", False),
        ("<stdin>", True),
        ("<ipython-input-1-abc>", True),
        ("/home/me/project/main.py", True),
        ("/home/me/pyplant/main.py", True),
        ("/home/me/dist-packages/main.py", False),
        ("/home/me/site-packages.py", True),
    ],
)
def test_files_are_user_code_unless_they_are_installed(filename, expected):
    assert is_user_file(filename) is expected


def test_a_link_to_an_installed_file_is_not_user_code(tmp_path):
    link = tmp_path / "link.py"
    link.symlink_to(json.__file__)
    assert not is_user_file(str(link))


def test_a_dependency_is_no_user_code_wherever_it_is(tmp_path, monkeypatch):
    copied, mine = str(tmp_path / "libs.zip" / "cloudpickle"), str(tmp_path / "libs.zip" / "cloudpickles")
    module = types.ModuleType("cloudpickle")
    module.__file__ = os.path.join(copied, "__init__.py")
    module.__spec__ = importlib.util.spec_from_file_location(
        "cloudpickle", module.__file__, submodule_search_locations=[copied]
    )
    monkeypatch.setitem(sys.modules, "cloudpickle", module)
    assert not is_user_file(os.path.join(copied, "cloudpickle.py"))
    assert not is_user_module(module)
    assert is_user_file(os.path.join(mine, "cloudpickle.py"))
    monkeypatch.delitem(sys.modules, "cloudpickle")
    assert is_user_file(os.path.join(copied, "control.py"))


def test_the_list_of_dependencies_is_complete():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    base = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1]
    names = set(re.findall(r'"([\w-]+)', base)) - {"ipython"} | {"IPython"}
    assert set(origin._DEPENDENCIES) == names | {"dask", "distributed"}


def test_the_tests_are_user_code_and_pyplant_is_not():
    assert is_user_file(__file__)
    assert not is_own_file(__file__)
    assert is_own_file(is_user_file.__wrapped__.__code__.co_filename)


def test_the_file_of_a_module_decides_whether_it_is_user_code():
    assert is_user_module(sys.modules[__name__])
    assert is_user_module(types.ModuleType("__main__"))
    assert not is_user_module(json)
    assert not is_user_module(sys)


def test_a_module_made_in_memory_is_user_code():
    assert is_user_module(types.ModuleType("made_in_memory"))


class _Operators(types.ModuleType):
    __file__ = "_operators.py"


class _Anything(types.ModuleType):
    def __getattr__(self, name):
        return "operators.py"


class _Property(types.ModuleType):
    @property
    def __file__(self):
        raise RuntimeError


@pytest.mark.parametrize("kind", [_Operators, _Anything, _Property])
def test_a_module_has_the_file_that_its_own_dictionary_names(kind):
    assert not is_user_module(kind("numpy.operators"))
    assert not leads_to_user_code(kind("numpy.operators"))
    assert is_user_module(kind("made_just_now"))


def test_finding_the_origin_of_a_lazy_module_does_not_load_it(tmp_path):
    (tmp_path / "loaded_late.py").write_text("raise RuntimeError")
    spec = importlib.util.spec_from_file_location("loaded_late", tmp_path / "loaded_late.py")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert is_user_module(module)


def test_the_folder_of_a_namespace_package_decides_whether_it_is_user_code(tmp_path, monkeypatch):
    (tmp_path / "space").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert is_user_module(importlib.import_module("space"))


def test_the_module_of_an_object_decides_whether_it_is_user_code():
    class Mine:
        pass

    assert is_user_object(Mine)
    assert not is_user_object(int)
    assert not is_user_object(json.JSONDecoder)
    assert not is_user_object(1)
    Mine.__module__ = "not_loaded"
    assert is_user_object(Mine)
    Mine.__module__ = "wave.sub"
    assert not is_user_object(Mine)


def test_an_object_of_a_submodule_that_is_not_imported_is_not_user_code(monkeypatch):
    monkeypatch.delitem(sys.modules, "numpy.rec", raising=False)  # its module, from NumPy 2 on
    assert not is_user_object(np.recarray)


def test_a_package_counts_by_its_first_name():
    assert package_name("numpy.linalg._umath") == "numpy"
    assert package_name(None) == ""


def test_an_installed_module_is_not_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "wave")
    assert import_user_module("wave", None) is None
    assert "wave" not in sys.modules


def test_a_module_that_is_loaded_is_returned():
    assert import_user_module("wave", None) is wave


def test_a_user_module_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "fresh_module.py").write_text("x = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert import_user_module("fresh_module", None).x == 1


def test_a_module_of_the_same_package_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "fresh_package").mkdir()
    (tmp_path / "fresh_package" / "__init__.py").write_text("")
    (tmp_path / "fresh_package" / "sub.py").write_text("x = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert import_user_module(".sub", "fresh_package").x == 1


@pytest.mark.parametrize(
    ("name", "package"), [("no_such_module", None), (".sub", None), ("...sub", "a"), ("", "a")]
)
def test_a_module_that_does_not_exist_is_none(name, package):
    assert import_user_module(name, package) is None


def test_a_user_module_that_raises_is_none(tmp_path, monkeypatch):
    (tmp_path / "raising_module.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert import_user_module("raising_module", None) is None


def test_a_user_module_that_exits_does_not_end_the_process(tmp_path, monkeypatch):
    (tmp_path / "exiting_module.py").write_text("raise SystemExit(1)")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert import_user_module("exiting_module", None) is None
