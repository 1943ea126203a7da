"""The palette of everything that is displayed."""

import re

import pytest

from pyplant.notebook.graph.widget import GraphWidget
from pyplant.reports.theme import DARK, GRAPH, LIGHT, PICTURE, REPORT
from tests.conftest import ROOT
from tests.svg import contrast

SIGNS = ("live", "warn", "bad", "good", "new")
SOURCES = [path for kind in ("py", "css", "js") for path in sorted((ROOT / "pyplant").rglob(f"*.{kind}"))]


def test_colours_are_defined_in_one_module():
    assert len(SOURCES) > 100
    found = {
        path.name for path in SOURCES if re.search(r"#[0-9a-fA-F]{6}\b", path.read_text(encoding="utf-8"))
    }
    assert found == {"theme.py"}


def test_both_pages_have_the_same_colours():
    assert LIGHT.keys() == DARK.keys()


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", [*SIGNS, "fg", "muted"])
def test_text_has_enough_contrast(colours, name):
    """WCAG 2 requires a ratio of at least 4.5 to 1 for text."""
    assert contrast(colours[name], colours["page"]) >= 4.5


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_lines_have_enough_contrast(colours):
    """WCAG 2 requires a ratio of at least 3 to 1 for graphics."""
    assert contrast(colours["line"], colours["page"]) >= 3


@pytest.mark.parametrize("sheet", [GRAPH, PICTURE, REPORT, str(GraphWidget._css)])
def test_style_sheets_use_only_defined_colours(sheet):
    used = set(re.findall(r"var\(--pp-(\w+)", sheet))
    assert used <= LIGHT.keys()
    assert set(re.findall(r"--pp-(\w+):", sheet)) <= LIGHT.keys()
