"""The graph as a picture."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from pyplant.engine.verdict import ReasonKind
from pyplant.notebook.graph.folding import Fold, Folding, without_folds
from pyplant.notebook.graph.geometry import box_label, compute_geometry
from pyplant.notebook.graph.layered_layout import Layout, arrange
from pyplant.notebook.graph.svg import geometry_html, graph_html
from pyplant.reports.explain import Cause
from pyplant.reports.report import ICONS, Outcome, ReactorEntry, Status
from pyplant.reports.theme import LIGHT
from tests.svg import contrast, svg_in

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a\x1b[31m\u202eb", "]]>", "&lt;"]


def picture(*entries, edges=None, **options):
    return graph_html(Status(entries), edges or {}, **options)


def svg(html):
    return ElementTree.fromstring(svg_in(html))


def texts(html):
    return "".join(svg(html).itertext())


@pytest.mark.parametrize("outcome", Outcome)
def test_each_status_has_its_icon_and_its_class(outcome):
    html = picture(ReactorEntry("a", outcome))
    assert ICONS[outcome] in texts(html)
    assert f"pp-{outcome.value}" in svg_in(html)


def test_outlines_differ_without_colour():
    html = picture(ReactorEntry("a", Outcome.STALE))
    rules = re.findall(r"\.pp-(stale|new|running|waiting|failed|uncached) rect\{([^}]*)\}", svg_in(html))
    shapes = {re.sub(r"stroke:var\([^)]*\);?", "", rule) for _, rule in rules}
    assert len(rules) == 6
    assert len(shapes) >= 5  # running and failed are both thick, and have icons


def test_a_node_shows_time_size_and_reasons():
    cause = Cause(ReasonKind.PARAMETER, "x", "parameter 'x' changed: 1 → 2")
    entry = ReactorEntry("a", Outcome.STALE, (cause,), seconds=41.0, size=3_500_000, finished=1.0)
    assert "41.0 s · 3.5 MB" in texts(picture(entry))
    assert "a: stale; parameter 'x' changed: 1 → 2" in texts(picture(entry))


def test_an_edge_names_its_ingredients():
    html = picture(
        ReactorEntry("a", Outcome.NEW), ReactorEntry("b", Outcome.NEW), edges={"b": {"a": ["x", "y"]}}
    )
    assert "a → b: x, y" in texts(html)
    assert svg_in(html).count("pp-edge") == 2  # the rule, and the edge


def test_a_large_graph_is_folded():
    entries = [ReactorEntry(f"r{n}", Outcome.CACHED) for n in range(100)]
    entries[50] = ReactorEntry("r50", Outcome.STALE)
    html = picture(*entries, edges={f"r{n + 1}": {f"r{n}": ["x"]} for n in range(99)})
    assert "r50: stale" in texts(html)
    assert "49 cached, folded" in texts(html)
    assert "48 cached → r49: x" in texts(html) or "49 cached → r49: x" in texts(html)
    assert "r3:" not in texts(html)


def test_a_small_graph_is_not_folded():
    assert "folded" not in picture(*(ReactorEntry(f"r{n}", Outcome.CACHED) for n in range(60)))
    assert "folded" in picture(*(ReactorEntry(f"r{n}", Outcome.CACHED) for n in range(61)))


def test_a_given_folding_is_drawn():
    geometry = compute_geometry("abc", {}, Folding((0,), (Fold((1, 2), "group"),)), arrange)
    html = geometry_html(Status(tuple(ReactorEntry(name, Outcome.NEW) for name in "abc")), geometry)
    assert "2 new, folded: group" in texts(html)
    assert "b: new" not in texts(html)


def test_a_large_graph_shows_times_as_well():
    entries = [ReactorEntry(f"r{n}", Outcome.CACHED, seconds=1.0, finished=1.0) for n in range(61)]
    geometry = compute_geometry([entry.name for entry in entries], {}, without_folds(61), arrange)
    assert texts(geometry_html(Status(tuple(entries)), geometry)).count("1.0 s") == 61


def test_it_has_the_given_id():
    status, geometry = (
        Status((ReactorEntry("a", Outcome.NEW),)),
        compute_geometry("a", {}, without_folds(1), arrange),
    )
    assert geometry_html(status, geometry, "here").startswith('<div class="pp-graph" id="here"')
    assert "id=" not in geometry_html(status, geometry)


def test_without_its_style_sheet_no_shape_is_black():
    html = picture(ReactorEntry("a", Outcome.NEW), ReactorEntry("b", Outcome.NEW), edges={"b": {"a": ["x"]}})
    shapes = [element for element in svg(html).iter() if element.tag.endswith(("rect", "path"))]
    assert shapes
    assert all(shape.get("fill") in ("none", LIGHT["line"], LIGHT["page"]) for shape in shapes)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name):
    html = picture(
        ReactorEntry(name, Outcome.NEW), ReactorEntry("b", Outcome.NEW), edges={"b": {name: [name]}}
    )
    tags = {element.tag.rpartition("}")[2] for element in svg(html).iter()}
    assert tags == {"svg", "style", "g", "title", "rect", "text", "path"}
    assert "<script" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_long_names_are_shortened_and_complete_in_the_tooltip():
    name = "x" * 100 + "_v2"
    html = picture(ReactorEntry(name, Outcome.NEW))
    assert f">{'x' * 14}…{'x' * 10}_v2<" in svg_in(html)
    assert f"{name}: new" in texts(html)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("очистка_данных", "очистка_данных"),
        ("画" * 14, "画" * 14),
        ("画" * 15, "画" * 7 + "…" + "画" * 6),
        ("e\u0301" * 28, "e\u0301" * 28),
        ("a" * 29, "a" * 14 + "…" + "a" * 13),
    ],
)
def test_labels_are_cut_by_their_width(name, label):
    assert box_label(name) == label


def test_another_layout_function_can_be_given():
    def arranger(sizes, edges):
        return Layout([(50.0, 50.0)] * len(sizes), [[(0.0, 0.0), (9.0, 9.0)]] * len(edges), (123.0, 45.0))

    assert 'width="123"' in picture(ReactorEntry("a", Outcome.NEW), arranger=arranger)


def test_a_plant_without_reactors_gives_an_empty_picture():
    assert "No reactors are defined." in picture()


def test_front_ends_that_remove_elements_show_no_stray_text():
    """Front ends remove <svg> and <style> from untrusted outputs and leave their text."""
    html = picture(
        ReactorEntry("load", Outcome.NEW), ReactorEntry("b", Outcome.CACHED), edges={"b": {"load": ["x"]}}
    )
    assert "<svg" not in html
    left = re.sub(r"<style>.*?</style>", "", html)
    assert re.sub(r"<[^>]*>", "", left) == "2 reactors: 1 new, 1 cached"
    assert re.search(r'alt="([^"]*)"', html)[1] == "Graph of reactors. load (new) → b; b (cached)"


def test_the_text_alternative_of_a_large_graph_is_limited():
    entries = [ReactorEntry(f"r{n}", Outcome.STALE) for n in range(1000)]
    alternative = re.search(r'alt="([^"]*)"', picture(*entries))[1]
    assert "r59 (stale)" in alternative
    assert re.search(r"; and \d+ more$", alternative)
    assert len(alternative) < 4000


def test_a_picture_has_a_background_in_both_themes():
    """An <img> does not see the theme of the page: text would be light on light."""
    shown = svg_in(picture(ReactorEntry("a", Outcome.NEW)))
    assert "@media(prefers-color-scheme:dark)" in shown
    light, dark = re.findall(r"--pp-page:(#\w+);--pp-fg:(#\w+)", shown)
    for page, text in (light, dark):
        assert contrast(text, page) > 7
