"""What is measured in notebooks: in kernels, and where a page counts in JupyterLab with a browser.

The cells are in :mod:`benchmarks.scripts`. Kernel, page and this process are on one
machine and share its clock.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import scripts
from benchmarks.harness import OURS, Effort, Row, measure, medians, quickest, write_script

REACTORS = 200  # of the graph that is watched
_LARGE = 500  # reactors of the graph that is laid out
_TURNS = 5  # times as many as other runs, for a tenth is less than what they differ by
_QUICKEST = "processor time of all threads of the kernel, since a page that draws needs some too; the least of many turns"


# ---------------------------------------------------------------------- where it is measured


@contextmanager
def jupyter_lab(folder: Path) -> Iterator[Callable[..., Any]]:
    """JupyterLab in Chromium; makes notebooks of cells, each with a kernel of its own."""
    from tests.browser.lab import OpenNotebook, lab_in_browser

    with lab_in_browser(folder, viewport={"width": 1280, "height": 900}) as (lab, page):
        yield lambda name, *cells: OpenNotebook(lab, page, lab.write(name, cells)).open()
        lab.forget()


@contextmanager
def kernel_in(folder: Path) -> Iterator[Any]:
    """A kernel that works in a folder."""
    from tests.notebook.rig import NotebookKernel

    kernel = NotebookKernel(folder)
    try:
        yield kernel
    finally:
        kernel.close()


def _printed(notebook: Any, cell: int, text: str) -> Any:
    """What a cell prints last, which is JSON."""
    notebook.run(cell, text)
    outputs = notebook.outputs(cell)
    if not outputs or outputs[-1].get("name") != "stdout":
        message = f"{text}\nput out {outputs}"
        raise RuntimeError(message)
    return json.loads("".join(outputs[-1]["text"]).splitlines()[-1])


# ---------------------------------------------------------------------- from event to page


class Moment(NamedTuple):
    """A reactor is known to have, or is shown with, a status."""

    name: str
    status: str
    time: float


_SHOWS = {"running": {"running", "ran", "cached"}, "ran": {"ran", "cached"}}
"""By what happened: the statuses that show it, or something later."""


def delays(events: Sequence[Moment], shown: Sequence[Moment]) -> list[tuple[str, float]]:
    """For each event what happened, and the seconds until the page showed that, or something later."""
    found = []
    for name, status, happened in events:
        seen = [m.time for m in shown if m.name == name and m.status in _SHOWS[status] and m.time >= happened]
        if not seen:
            message = f"{name} was never seen to be {status}"
            raise RuntimeError(message)
        found.append((status, min(seen) - happened))
    return found


def live(folder: Path, effort: Effort) -> Iterator[Row]:
    """From the event in the kernel, which goes on computing, to the node in the page."""
    from tests.browser.graph import Graph

    cells = (scripts.WATCHED.format(count=REACTORS), "plant.show_graph()", "")
    with jupyter_lab(folder) as open_notebook:
        notebook = open_notebook("live", *cells)
        notebook.run(0)
        notebook.run(1)
        graph = Graph(notebook, 1)
        graph.root.get_by_role("button", name="All", exact=True).click()
        notebook.page.wait_for_function(
            "count => document.querySelectorAll('.pg-node').length === count", arg=REACTORS
        )
        notebook.page.evaluate(_NOTE)
        events = [Moment(*event) for event in _printed(notebook, 2, f"run({effort.cells})")]
        graph.wait(events[-1].name, "ran", "cached")
        shown = [
            Moment(name, status, milliseconds / 1000)
            for name, status, milliseconds in notebook.page.evaluate("() => window.shown")
        ]
    found = delays(events, shown)
    seconds = [delay for _, delay in found]
    yield Row(
        f"from an event to the changed node, {REACTORS} nodes in JupyterLab, kernel busy",
        {
            OURS: statistics.median(seconds),
            "begins": statistics.median(delay for status, delay in found if status == "running"),
            "ends": statistics.median(delay for status, delay in found if status == "ran"),
            "19 of 20": statistics.quantiles(seconds, n=20, method="inclusive")[-1],
        },
        target=0.15,
        notes=(f"{len(found)} events; 19 of 20 are seen within the last figure",),
    )


_NOTE = """() => {
    const root = document.querySelector(".pyplant-graph"), last = new Map();
    window.shown = [];
    const look = (nodes) => {
        const now = Date.now();
        for (const node of nodes) {
            const [name, status] = node.getAttribute("aria-label").split(", ");
            if (last.get(name) === status) continue;
            last.set(name, status);
            window.shown.push([name, status, now]);
        }
    };
    look(root.querySelectorAll(".pg-node"));
    const changed = (changes) => look(new Set(
        changes.map((change) => (change.target.parentElement ?? change.target).closest(".pg-node"))
            .concat(changes.map((change) => change.target.closest?.(".pg-node")))
            .filter((node) => node?.hasAttribute("aria-label"))));
    new MutationObserver(changed).observe(
        root, {subtree: true, childList: true, characterData: true, attributes: true});
}"""


# ---------------------------------------------------------------------- what it costs a run


def widget(folder: Path, effort: Effort) -> Iterator[Row]:
    """A run whose graph is shown, and the same run without."""
    from tests.browser.graph import Graph

    with jupyter_lab(folder) as open_notebook:
        notebook = open_notebook("widget", scripts.TRIVIAL.format(count=effort.steps), "", "")
        notebook.run(0)

        def run(opening: str, *, shown: bool) -> float:
            notebook.run(1, opening)
            if shown:
                Graph(notebook, 1).nodes.first.wait_for()
            return float(_printed(notebook, 2, "print(json.dumps(run()))")["seconds"])

        sides = {
            OURS: lambda: run("begin()\nplant.show_graph()", shown=True),
            # A graph judges what it shows, and the run need not read that code again.
            "no graph": lambda: run("begin()\nplant.status();", shown=False),
        }
        yield Row(
            f"{effort.steps:,} trivial reactors with their graph shown in JupyterLab",
            quickest(sides, _TURNS * effort.runs),
            against="no graph",
            target=1.1,
            notes=(_QUICKEST,),
        )


def recorder(folder: Path, effort: Effort) -> Iterator[Row]:
    """A run whose reactors are recorded, and the same run without any front end, as in a script."""
    with kernel_in(folder) as kernel:
        kernel.cell(scripts.TRIVIAL.format(count=effort.steps))
        own: dict[bool, list[float]] = {True: [], False: []}

        def run(*, recorded: bool) -> float:
            kernel.cell("begin()\nplant.status();")
            figures = json.loads(kernel.cell(f"print(json.dumps(run({recorded=})))"))
            own[recorded].append(1000 * figures["own"])
            return float(figures["seconds"])

        sides = {OURS: lambda: run(recorded=True), "not recorded": lambda: run(recorded=False)}
        figures = quickest(sides, _TURNS * effort.runs)
        said = f"a reactor says of itself that it took {min(own[True]):.2f} ms, not recorded {min(own[False]):.2f}"
        yield Row(
            f"{effort.steps:,} trivial reactors, recorded",
            figures,
            against="not recorded",
            target=1.1,
            notes=(_QUICKEST, said),
        )
        yield Row(
            f"how often {effort.steps:,} trivial reactors wait for the recorder",
            {OURS: float(waits(kernel, "run()"))},
            unit="times",
            target=0,
        )


def waits(kernel: Any, work: str) -> int:
    """How often the notebook layer waits or sleeps while some work is done in a kernel of trivial reactors."""
    kernel.cell("begin()\nplant.status();")
    kernel.cell(scripts.WAITS)
    printed = kernel.cell(f"with waiting() as waits:\n    {work}\nprint(len(waits))")
    return int(printed.splitlines()[-1])


# ---------------------------------------------------------------------- the graph itself


def layout(folder: Path, effort: Effort) -> Iterator[Row]:
    """Places for the nodes of a large graph, and the size of the module that draws it."""
    script = write_script(folder, scripts.LAYOUT)
    figures = medians(
        {
            shape: lambda shape=shape: measure(script, shape, _LARGE)["seconds"]
            for shape in ("stages", "chain", "star", "random")
        },
        effort.runs,
    )
    yield Row(
        f"layout of {_LARGE} nodes in each of four shapes",
        {OURS: max(figures.values()), **figures},
        target=0.5,
        notes=("the slowest counts",),
    )
    if shutil.which("dot"):
        most = medians({OURS: lambda: measure(script, "stages", 150)["seconds"]}, effort.runs)
        yield Row("layout of 150 nodes, the most that Graphviz is asked for", most)
    from pyplant.notebook.graph.widget import GraphWidget  # needs ipywidgets, which other rows do not

    size = len(str(GraphWidget._esm).encode())
    yield Row("the ES module of the graph", {OURS: size / 1000}, unit="kB", target=60)


# ---------------------------------------------------------------------- cells that remember


def cached(folder: Path, effort: Effort) -> Iterator[Row]:
    """From the request to run a cell that is up to date to its first output."""
    count = 10
    with kernel_in(folder) as kernel:
        first = ["%load_ext pyplant\n%plant some.plant", *scripts.reactor_cells(count)]
        for number, text in enumerate(first):
            kernel.run(text, cell=f"cell-{number}").fine

        def seconds(number: int) -> float:
            began = time.perf_counter()
            ran = kernel.begin(first[number], cell=f"cell-{number}")
            kernel.wait(lambda: ran.outputs)
            took = time.perf_counter() - began
            output = kernel.finish(ran).fine.text
            if "cached" not in output or "shown by" not in output:
                message = f"it was not cached, or not shown again: {output}"
                raise RuntimeError(message)
            return took

        times = [seconds(1 + number % count) for number in range(effort.cells)]
        yield Row(
            "from the request of a cached cell to its first output",
            {OURS: statistics.median(times), "slowest": max(times)},
            target=0.05,
            notes=(f"{len(times)} times",),
        )
        restarted = []
        for _ in range(effort.runs):
            kernel.restart()
            kernel.run(first[0], cell="cell-0").fine
            restarted.append(seconds(1))
        yield Row("the same, the first after a restart", {OURS: statistics.median(restarted)})


def replay(folder: Path, effort: Effort) -> Iterator[Row]:
    """What a page shows again of a large output, against what the plant keeps of it."""
    del effort
    with jupyter_lab(folder) as open_notebook:
        notebook = open_notebook("replay", scripts.KEPT, "", "")
        notebook.run(0)
        for what, text in scripts.FLOODS.items():
            notebook.run(1, text)
            kept = notebook.path.parent / "kept.json"
            notebook.run(2, f"write_kept({what!r}, {kept.name!r})")
            notebook.run(1)
            outputs = notebook.outputs(1)
            if "cached" not in str(outputs[0]):
                message = f"{what} was not cached: {str(outputs)[:200]}"
                raise RuntimeError(message)
            there = json.loads(kept.read_text())
            yield Row(
                f"bytes lost of 6 MB of {what} shown again in JupyterLab, of what was kept",
                {OURS: float(lost(there, outputs[1:]))},
                unit="B",
                target=0,
                notes=(f"{sum(_pieces(there).values()) / 1e6:.2f} MB were kept",),
            )


def lost(kept: Sequence[Any], shown: Sequence[Any]) -> int:
    """How many bytes of recorded outputs are not among those shown."""
    return sum((_pieces(kept) - _pieces(shown)).values())


def _pieces(outputs: Sequence[Any]) -> Counter[str]:
    """What outputs consist of, lines and data of displays, each with the bytes that it takes."""
    pieces: Counter[str] = Counter()
    for output in outputs:
        if output["output_type"] == "stream":
            pieces.update(_lines("".join(output["text"])))
            continue
        for kind, value in output["data"].items():
            text = value if isinstance(value, str) else json.dumps(value)
            folded = re.fullmatch(r"<details>.*?<pre [^>]*>(.*)</pre></details>", text, re.DOTALL)
            if folded is not None and kind == "text/html":
                pieces.update(_lines(html.unescape(folded[1])))
            else:
                pieces.update({f"{kind} {text}": len(text.encode())})
    return pieces


def _lines(text: str) -> Counter[str]:
    lines: Counter[str] = Counter()
    for line in text.splitlines(keepends=True):
        lines[line] += len(line.encode())
    return lines
