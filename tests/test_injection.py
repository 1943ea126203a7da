"""Names and texts from anywhere are shown as text and do nothing: figure R25, where there is no browser."""

import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from pyplant.engine.verdict import ReasonKind
from pyplant.notebook.graph import svg
from pyplant.reports.explain import Cause
from pyplant.reports.graph import draw, tree
from pyplant.reports.report import Explanation, Outcome, Overview, Plan, ReactorEntry, RunReport, Status
from tests.injection import CONTROLS, TEXTS
from tests.svg import svg_in

EVERYTHING = [*TEXTS, *CONTROLS]


def reports(text):
    """A report of each kind that says nothing but a text."""
    cause = Cause(ReasonKind.CODE, text, text, diff=f"-{text}\n+{text}")
    entry = ReactorEntry(text, Outcome.FAILED, (cause,), error=text)
    return [
        RunReport(text, (entry,), 1.0),
        Overview(text, 1, 1, Status((entry,), text)),
        Plan(text, (entry,)),
        Explanation(entry),
    ]


class Page(HTMLParser):
    """What a browser would make of HTML: its elements, their attributes, its text."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.attributes, self.text = set(), set(), ""
        self._in_style = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._in_style = tag == "style"

    def handle_endtag(self, tag):
        self._in_style = False

    def handle_data(self, data):
        if not self._in_style:
            self.text += data


def test_there_are_enough_texts():
    assert len(set(TEXTS)) >= 100
    assert all(text.isprintable() for text in TEXTS)
    assert not any(text.isprintable() for text in CONTROLS)


@pytest.mark.parametrize("text", EVERYTHING)
def test_reports_are_made_of_their_own_elements(text):
    for report in reports(text):
        page = Page(report._repr_html_())
        assert page.elements <= {"div", "style", "span", "pre", "table", "tbody", "tr", "td"}
        assert page.attributes <= {
            "class", "title", "style", "aria-hidden", "aria-label", "role", "tabindex", "colspan",
        }  # fmt: skip
        assert all(character.isprintable() or character == "\n" for character in page.text)
        if text in TEXTS:
            assert text in page.text


@pytest.mark.parametrize("text", EVERYTHING)
def test_pictures_are_made_of_their_own_elements(text):
    status = Status((ReactorEntry(text, Outcome.NEW), ReactorEntry("b", Outcome.NEW)), text)
    html = svg.graph_html(status, {"b": {text: [text]}})
    page, drawn = Page(html), Page(svg_in(html))
    assert page.elements <= {"details", "div", "img", "style", "summary"}
    assert page.attributes <= {"class", "style", "src", "alt", "width", "open"}
    assert drawn.elements <= {"svg", "style", "g", "title", "rect", "text", "path"}
    assert not {name for name in drawn.attributes if name.startswith("on") or name in ("href", "src")}
    ElementTree.fromstring(svg_in(html))
    if text in TEXTS:
        assert text in drawn.text


@pytest.mark.parametrize("text", EVERYTHING)
def test_what_a_terminal_gets_moves_nothing(text):
    status = Status((ReactorEntry(text, Outcome.NEW), ReactorEntry("b", Outcome.NEW)), text)
    for said in [*(report.text() for report in reports(text)), tree(status, {"b": {text: [text]}})]:
        assert all(character.isprintable() or character == "\n" for character in said)


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's dot is not installed")
def test_names_come_out_of_a_drawing_as_they_went_in():
    names = [text for text in TEXTS if len(text) < 100]
    edges = {after: {before: ["x"]} for before, after in zip(names, names[1:], strict=False)}
    drawing = draw(Status(tuple(ReactorEntry(name, Outcome.NEW) for name in names), ""), edges).source
    made = subprocess.run(
        ["dot", "-Tsvg"], input=drawing, capture_output=True, text=True, check=True, timeout=60
    )
    svg = ElementTree.fromstring(made.stdout)
    shown = []
    for group in svg.iter("{http://www.w3.org/2000/svg}g"):
        if group.get("class") == "node":
            (text,) = group.iter("{http://www.w3.org/2000/svg}text")
            shown.append(text.text.replace("\xa0", " ").split(" ", 1)[1])
    assert shown == names
