"""The graph of reactors, for Graphviz and as text."""

import re
import shutil

import pytest

from pyplant.reports.graph import draw, tree
from pyplant.reports.report import Outcome, ReactorEntry, Status
from tests.svg import svg_in

STATUS = Status(
    (
        ReactorEntry("load", Outcome.CACHED),
        ReactorEntry("features", Outcome.STALE),
        ReactorEntry("plot: final", Outcome.NEW, certain=False),
    )
)
EDGES = {
    "load": {},
    "features": {"load": ["data", "labels"]},
    "plot: final": {"features": ["f"], "load": ["data"]},
}


def test_every_reactor_is_in_the_tree_once_and_repeats_are_marked():
    text = tree(STATUS, EDGES)
    assert text.splitlines()[1].endswith("plot: final")
    assert "← data, labels" in text


def test_a_cycle_does_not_make_the_tree_endless():
    circle = {"load": {"features": ["f"]}, "features": {"load": ["d"]}, "plot: final": {}}
    text = tree(STATUS, circle)
    assert "(see above)" in text
    assert "features" in text


def test_a_long_chain_needs_no_recursion():
    entries = tuple(ReactorEntry(f"r{n}", Outcome.CACHED) for n in range(3000))
    edges = {f"r{n}": {f"r{n - 1}": ["x"]} if n else {} for n in range(3000)}
    assert "r0" in tree(Status(entries), edges)


def test_the_digraph_has_nodes_edges_and_states():
    source = draw(STATUS, EDGES).source
    assert "✓ load" in source
    assert "data, labels" in source
    assert "dashed" in source


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's dot is not installed")
def test_the_digraph_renders():
    assert b"<svg" in draw(STATUS, EDGES).pipe("svg")


def test_hostile_names_are_escaped():
    name = 'a"]; b [label="<b>\\N'
    source = draw(Status((ReactorEntry(name, Outcome.NEW),)), {}).source
    assert '"]; b [' not in source.replace('\\"', "")


def test_many_ingredients_on_one_edge_are_counted():
    edges = {"features": {"load": [f"x{n}" for n in range(9)]}}
    assert "x0, x1, x2 and 6 more" in tree(STATUS, edges)


class TestInNotebooks:
    @pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's dot is not installed")
    def test_it_is_shown_by_front_ends_that_remove_svg(self):
        bundle = draw(STATUS, EDGES)._repr_mimebundle_()
        assert "<svg" in svg_in(bundle["text/html"])
        assert bundle["text/html"].startswith("<img ")
        assert re.search(r'alt="[^"]*load', bundle["text/html"])
        assert bundle["image/svg+xml"].lstrip().startswith("<?xml")
        assert bundle["text/plain"] == tree(STATUS, EDGES)

    def test_without_dot_it_is_shown_as_text(self, monkeypatch):
        monkeypatch.setenv("PATH", "")
        assert draw(STATUS, EDGES)._repr_mimebundle_() == {"text/plain": tree(STATUS, EDGES)}

    def test_a_front_end_may_request_some_mime_types(self, monkeypatch):
        monkeypatch.setenv("PATH", "")
        drawn = draw(STATUS, EDGES)
        assert drawn._repr_mimebundle_(include={"text/html"}) == {}
        assert drawn._repr_mimebundle_(exclude={"text/plain"}) == {}


def test_the_text_of_a_chain_grows_with_its_length():
    def chain(length):
        entries = tuple(ReactorEntry(f"r{n:04}", Outcome.CACHED) for n in range(length))
        edges = {f"r{n:04}": {f"r{n - 1:04}": ["x"]} if n else {} for n in range(length)}
        return tree(Status(entries), edges)

    assert len(chain(2000)) < 2.1 * len(chain(1000))
    assert "[1999] " in chain(2000).splitlines()[-1]
