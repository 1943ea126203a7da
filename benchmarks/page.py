"""What a person feels of a large graph in JupyterLab: the first picture, frames during a run, keys, memory."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness import OURS, Effort, Row
from benchmarks.notebook import jupyter_lab

_REACTORS = """
import time
from concurrent.futures import ThreadPoolExecutor
from pyplant import Plant, ReactorFunc

def make(number, senders):
    @ReactorFunc(name=f"step_{{number}}")
    def step(pipe):
        for sender in senders:
            yield pipe.receive(f"out_{{sender}}")
        time.sleep({seconds})
        pipe.send(f"out_{{number}}", number)

width = round({size} ** 0.5)
for number in range({size}):
    make(number, [number - width, number - width - number % 3][: 2 if number >= width + 2 else number // width])
plant = Plant("steps-{size}.plant", executor=ThreadPoolExecutor(20))
"""
_RUN = "plant.get(*[f'out_{{number}}' for number in range({size})]);"
_FIRST_PICTURE = """async ([cell]) => {
    const content = jupyterapp.shell.currentWidget.content;
    content.activeCellIndex = cell;
    content.deselectAll();
    const began = performance.now();
    jupyterapp.commands.execute("notebook:run-cell");
    for (;;) {
        await new Promise(requestAnimationFrame);
        const picture = content.widgets[cell].node.querySelector(".jp-OutputArea-output :is(img, .pg-node)");
        if (picture?.getBoundingClientRect().width > 0 && picture.complete !== false)
            return performance.now() - began;
    }
}"""
_FRAMES = """async ([seconds]) => {
    const began = performance.now();
    let frames = 0;
    while (performance.now() - began < 1000 * seconds) {
        await new Promise(requestAnimationFrame);
        frames += 1;
    }
    return {frames: frames / seconds, running: document.querySelectorAll(".pg-node.pg-running").length};
}"""
_KEY = """async ([text]) => {
    const field = document.querySelector(".pyplant-graph input[type=search]");
    const began = performance.now();
    field.value = text;
    field.dispatchEvent(new Event("input", {bubbles: true}));
    await new Promise(requestAnimationFrame);
    await new Promise((painted) => setTimeout(painted));
    return performance.now() - began;
}"""


_SIZES = {150: 250, 400: 500}  # reactors, and milliseconds to the first picture


def page(folder: Path, effort: Effort, sizes: Mapping[int, int] = _SIZES) -> Iterator[Row]:
    """Graphs in JupyterLab of which 20 reactors run at once."""
    from tests.browser.graph import Graph

    for size, target in sizes.items():
        with jupyter_lab(folder / f"{size}") as open_notebook:
            text, run = _REACTORS.format(size=size, seconds=0.3), _RUN.format(size=size)
            notebook = open_notebook("page", text, "plant.show_graph()", run)
            first = []
            for _ in range(effort.runs):
                notebook.restart()
                notebook.run(0)
                first.append(notebook.page.evaluate(_FIRST_PICTURE, [1]))
                notebook.wait_until_idle()
            name = f"the first picture of {size} reactors, from the call on"
            yield Row(name, {OURS: statistics.median(first)}, unit="ms", target=target)
            graph = Graph(notebook, 1)
            graph.nodes.first.wait_for()
            notebook.run(2, wait=False)
            graph.root.locator(".pg-node.pg-running").first.wait_for()
            notebook.cell(1).scroll_into_view_if_needed()
            seen = notebook.page.evaluate(_FRAMES, [3])
            yield Row(
                f"a frame of {size} reactors while 20 run",
                {OURS: 1000 / seen["frames"]},
                unit="ms",
                target=20,
                notes=(f"{seen['running']} of those that run are on the picture at the end",),
            )
            notebook.wait_for_cell(2)
            keys = [notebook.page.evaluate(_KEY, ["step_2"[:length]]) for length in range(1, 7)]
            yield Row(f"a key in the filter of {size} reactors", {OURS: max(keys)}, unit="ms", target=50)
            yield Row(f"the page with {size} reactors", {OURS: _heap(notebook.page)}, unit="MB", target=35)


def _heap(page: Any) -> float:
    """Return the memory of the page's objects in megabytes."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1e6
