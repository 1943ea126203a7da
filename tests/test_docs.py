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
    assert named == rooms


def test_the_citation_names_the_version_of_the_package():
    import pyplant

    assert f"\nversion: {pyplant.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
