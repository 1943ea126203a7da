"""Graphs of 5, 60 and 500 reactors, light and dark; the pictures are in ``build/screenshots``."""

import re

import pytest

from tests.browser.graph import Graph
from tests.browser.lab import axe, wait_for_text

expect = pytest.importorskip("playwright.sync_api").expect

BEGIN = "%load_ext pyplant\nfrom pyplant import *\n%plant {name}.plant"
MAKE = """
plant.set_config({{"depth": 2}})
stages = ["load", "clean", "split", "train", "report"]

def make(number, senders):
    stage = stages[min(4, number * 5 // {size})]

    @ReactorFunc(name=f"{{stage}}_{{number}}")
    def step(pipe):
        depth = pipe.read_config("depth") if number == {edited} else 0
        for sender in senders:
            yield pipe.receive(f"out_{{sender}}")
        pipe.send(f"out_{{number}}", number + depth)

for number in range({size}):
    width = max(1, round({size} ** 0.5) // 2)
    make(number, sorted({{max(0, number - width), max(0, number - width - number % 3)}} - {{number}}))
"""
RUN = "plant.get(*[f'out_{{number}}' for number in range({size})]);"


@pytest.fixture
def graph_of(open_notebook, request):
    """A notebook with a graph of a given size, cached except for an edited reactor and its receivers.

    With it come the graph, and the name of the edited reactor.
    """

    def start(size):
        edited = size - 2 - size // 10
        name = f"{'train' if edited * 5 // size == 3 else 'report'}_{edited}"
        notebook = open_notebook(
            BEGIN.format(name=f"sizes-{size}-{request.node.name.partition('[')[0]}"),
            MAKE.format(size=size, edited=edited),
            RUN.format(size=size),
            "plant.set_config({'depth': 3})",
            "plant.show_graph()",
        )
        for cell in range(5):
            notebook.run(cell)
        graph = Graph(notebook, 4)
        graph.wait(name, "stale")
        return notebook, graph, name

    return start


@pytest.mark.parametrize("size", [5, 60, 500])
def test_a_graph_light_and_dark_is_drawn_and_accessible(graph_of, screenshot, size):
    notebook, graph, edited = graph_of(size)
    if size <= 60:
        expect(graph.nodes).to_have_count(size)
    else:
        graph.root.locator(".pg-chip:visible").filter(has_text=re.compile(r"\d cached")).wait_for()
        assert 1 < graph.nodes.count() < 60
    for theme in ("light", "dark"):
        notebook.dark(theme == "dark")
        screenshot(graph.root, f"graph-{size}-{theme}")
        panel = graph.open(edited)
        wait_for_text(panel, edited)
        screenshot(graph.root, f"graph-{size}-{theme}-panel")
        assert axe(notebook.page, ".pyplant-graph") == {}
        panel.get_by_label("Close").click()
        panel.wait_for(state="hidden")


def test_a_large_graph_can_be_shown_completely(graph_of, screenshot):
    notebook, graph, _ = graph_of(500)
    graph.root.get_by_role("button", name="All", exact=True).click()
    expect(graph.nodes).to_have_count(500)
    screenshot(graph.root, "graph-500-all")


def test_a_group_of_a_large_graph_can_be_unfolded(graph_of):
    _, graph, _ = graph_of(500)
    before = graph.nodes.count()
    graph.root.locator(".pg-is-fold").first.click()
    graph.page.wait_for_function("count => document.querySelectorAll('.pg-node').length > count", arg=before)
