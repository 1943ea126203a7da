"""One palette for all that is shown."""

import re

import pytest

from pyplant.notebook.graph.widget import GraphWidget
from pyplant.reports.theme import DARK, GRAPH, LIGHT, PICTURE, REPORT
from tests.conftest import ROOT
from tests.svg import contrast

SIGNS = ("live", "warn", "bad", "good", "new")
SOURCES = [path for kind in ("py", "css", "js") for path in sorted((ROOT / "pyplant").rglob(f"*.{kind}"))]


def test_colours_stand_in_one_module():
    assert len(SOURCES) > 100
    found = {
        path.name for path in SOURCES if re.search(r"#[0-9a-fA-F]{6}\b", path.read_text(encoding="utf-8"))
    }
    assert found == {"theme.py"}


def test_both_pages_have_the_same_colours():
    assert LIGHT.keys() == DARK.keys()


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", [*SIGNS, "fg", "muted"])
def test_what_is_read_stands_out(colours, name):
    """At least 4.5 to 1, as WCAG 2 asks for text."""
    assert contrast(colours[name], colours["page"]) >= 4.5


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_lines_can_be_seen(colours):
    """At least 3 to 1, as WCAG 2 asks for what is not text."""
    assert contrast(colours["line"], colours["page"]) >= 3


@pytest.mark.parametrize("sheet", [GRAPH, PICTURE, REPORT, str(GraphWidget._css)])
def test_style_sheets_use_no_colour_that_is_not_there(sheet):
    used = set(re.findall(r"var\(--pp-(\w+)", sheet))
    assert used <= LIGHT.keys()
    assert set(re.findall(r"--pp-(\w+):", sheet)) <= LIGHT.keys()
