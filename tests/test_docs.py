"""The documentation's parts that are code: the picture of the package."""

import importlib.util
import re

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def house():
    pytest.importorskip("sphinx")
    spec = importlib.util.spec_from_file_location("house", ROOT / "docs" / "_ext" / "house.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_shows_every_folder_of_the_package(house):
    rooms, arrows = house.house()
    folders = {f"{path.parent.name}/" for path in (ROOT / "pyplant").glob("*/__init__.py")}
    assert folders <= set(rooms)
    assert arrows["plant", "execution/"] > 0
    assert not arrows["engine/", "plant"]


def test_the_picture_names_every_room(house):
    rooms, _ = house.house()
    named = re.findall(r"<text[^>]*>([^<]+)</text>", house.draw())
    assert sorted(named) == rooms


def test_an_arrow_that_a_longer_path_implies_is_left_out(house):
    edges = {("a", "b"), ("b", "c"), ("a", "c"), ("a", "d"), ("d", "c")}
    assert house.reduced(edges) == edges - {("a", "c")}


def test_modules_that_import_only_each_other_are_drawn_apart(house):
    rooms, arrows = house.house()
    shared = house.shared(rooms, arrows)
    assert {"errors", "events", "ingredient"} <= shared
    assert not shared & {"plant", "_definitions", "engine/"}


def test_the_reference_has_every_public_name():
    import pyplant

    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in [*pyplant.__all__, "load_ingredients", "events", "errors", "testing"]:
        assert re.search(rf":: pyplant\.{name}\n", text), name


def test_the_reference_has_what_methods_of_plants_return():
    import pyplant

    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    lines = (ROOT / "pyplant" / "plant.py").read_text(encoding="utf-8")
    modules = dict(
        re.findall(r"^    from (pyplant\.(?:reports|store)\.\w+) import (.+)$", lines, re.MULTILINE)
    )
    assert len(modules) >= 4
    returned = {
        method.__annotations__.get("return") for method in vars(pyplant.Plant).values() if callable(method)
    }
    for module, names in modules.items():
        for name in returned & set(names.split(", ")):
            assert f":: {module}.{name}\n" in text or f":: {module}\n" in text, name


def test_the_citation_names_the_version_of_the_package():
    import pyplant

    assert f"\nversion: {pyplant.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
