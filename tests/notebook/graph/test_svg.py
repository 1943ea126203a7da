"""The graph as a picture."""

import re
import xml.etree.ElementTree as ElementTree

import pytest

from pyplant.engine.verdict import ReasonKind
from pyplant.notebook.graph.folding import Fold, Folding, unfolded
from pyplant.notebook.graph.geometry import compose
from pyplant.notebook.graph.layered_layout import Layout, arrange
from pyplant.notebook.graph.svg import draw, paint
from pyplant.reports.explain import Cause
from pyplant.reports.report import ICONS, Outcome, ReactorEntry, Status
from pyplant.reports.theme import LIGHT
from tests.svg import contrast, svg_in

HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a\x1b[31m\u202eb", "]]>", "&lt;"]


def picture(*entries, edges=None, **options):
    return draw(Status(entries), edges or {}, **options)


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


def test_a_node_says_what_it_took_and_why_it_would_run():
    cause = Cause(ReasonKind.PARAMETER, "x", "parameter 'x' changed: 1 → 2")
    entry = ReactorEntry("a", Outcome.STALE, (cause,), seconds=41.0, size=3_500_000, finished=1.0)
    assert "41.0 s · 3.5 MB" in texts(picture(entry))
    assert "a: stale; parameter 'x' changed: 1 → 2" in texts(picture(entry))


def test_an_edge_names_what_flows():
    html = picture(
        ReactorEntry("a", Outcome.NEW), ReactorEntry("b", Outcome.NEW), edges={"b": {"a": ["x", "y"]}}
    )
    assert "a → b: x, y" in texts(html)
    assert svg_in(html).count("pp-edge") == 2  # the rule, and the edge


def test_of_a_large_graph_it_shows_what_is_not_cached_and_folds_the_rest():
    entries = [ReactorEntry(f"r{n}", Outcome.CACHED) for n in range(100)]
    entries[50] = ReactorEntry("r50", Outcome.STALE)
    html = picture(*entries, edges={f"r{n + 1}": {f"r{n}": ["x"]} for n in range(99)})
    assert "r50: stale" in texts(html)
    assert "49 cached, folded" in texts(html)
    assert "48 cached → r49: x" in texts(html) or "49 cached → r49: x" in texts(html)
    assert "r3:" not in texts(html)


def test_as_many_as_can_be_read_are_not_folded():
    assert "folded" not in picture(*(ReactorEntry(f"r{n}", Outcome.CACHED) for n in range(60)))
    assert "folded" in picture(*(ReactorEntry(f"r{n}", Outcome.CACHED) for n in range(61)))


def test_what_to_fold_can_be_said():
    scene = compose("abc", {}, Folding((0,), (Fold((1, 2), "group"),)), arrange)
    html = paint(Status(tuple(ReactorEntry(name, Outcome.NEW) for name in "abc")), scene)
    assert "2 new, folded: group" in texts(html)
    assert "b: new" not in texts(html)


def test_where_nothing_is_folded_and_there_is_much_to_see_times_are_left_out():
    entries = [ReactorEntry(f"r{n}", Outcome.CACHED, seconds=1.0, finished=1.0) for n in range(61)]
    scene = compose([entry.name for entry in entries], {}, unfolded(61), arrange)
    assert "1.0 s" not in texts(paint(Status(tuple(entries)), scene))
    assert "1.0 s" in texts(picture(*entries[:60]))


def test_it_has_the_identity_it_is_given():
    status, scene = Status((ReactorEntry("a", Outcome.NEW),)), compose("a", {}, unfolded(1), arrange)
    assert paint(status, scene, "here").startswith('<div class="pp-graph" id="here"')
    assert "id=" not in paint(status, scene)


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


def test_long_names_are_shortened_and_whole_in_the_tip():
    name = "x" * 100
    html = picture(ReactorEntry(name, Outcome.NEW))
    assert f"{'x' * 27}…" in texts(html)
    assert f"{name}: new" in texts(html)


def test_it_can_be_laid_out_by_others():
    def arranger(sizes, edges):
        return Layout([(50.0, 50.0)] * len(sizes), [[(0.0, 0.0), (9.0, 9.0)]] * len(edges), (123.0, 45.0))

    assert 'width="123"' in picture(ReactorEntry("a", Outcome.NEW), arranger=arranger)


def test_no_reactors_make_an_empty_picture():
    assert "No reactors are defined." in picture()


def test_nothing_but_text_is_left_for_those_who_take_out_elements():
    """Front ends take <svg> and <style> out of what they do not trust, and keep the text of an <svg>."""
    html = picture(
        ReactorEntry("load", Outcome.NEW), ReactorEntry("b", Outcome.CACHED), edges={"b": {"load": ["x"]}}
    )
    assert "<svg" not in html
    left = re.sub(r"<style>.*?</style>", "", html)
    assert re.sub(r"<[^>]*>", "", left) == "2 reactors: 1 new, 1 cached"
    assert re.search(r'alt="([^"]*)"', html)[1] == "Graph of reactors. load (new) → b; b (cached)"


def test_the_text_alternative_of_a_large_graph_ends():
    entries = [ReactorEntry(f"r{n}", Outcome.STALE) for n in range(1000)]
    alternative = re.search(r'alt="([^"]*)"', picture(*entries))[1]
    assert "r59 (stale)" in alternative
    assert re.search(r"; and \d+ more$", alternative)
    assert len(alternative) < 4000


def test_a_picture_has_a_page_of_its_own_light_and_dark():
    """Nothing in an <img> sees the theme of the page around it: texts would be light on light."""
    shown = svg_in(picture(ReactorEntry("a", Outcome.NEW)))
    assert "@media(prefers-color-scheme:dark)" in shown
    light, dark = re.findall(r"--pp-page:(#\w+);--pp-fg:(#\w+)", shown)
    for page, text in (light, dark):
        assert contrast(text, page) > 7
