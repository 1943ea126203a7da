"""The graph while the kernel is busy: states, Stop, lost messages."""

import pytest

from tests.browser.graph import Graph
from tests.browser.lab import wait_for_text
from tests.notebook.kernels import CURRENT, EACH_VERSION

expect = pytest.importorskip("playwright.sync_api").expect

BEGIN = "%load_ext pyplant\nfrom pyplant import *\n%plant {name}.plant"
# Each reactor continues when a file exists, so that tests decide how long it runs.
PIPELINE = """
import pathlib, time

def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.01)

@ReactorFunc
def load(pipe):
    wait_for({prefix!r} + "load")
    pipe.send("data", [1, 2, 3])

@ReactorFunc
def train(pipe):
    data = yield pipe.receive("data")
    for number in pipe.progress(range(4), "rounds"):
        wait_for({prefix!r} + f"round{{number}}")
    pipe.send("model", sum(data))

@ReactorFunc
def report(pipe):
    model = yield pipe.receive("model")
    wait_for({prefix!r} + "report")
    pipe.send("text", f"<{{model}}>")
"""


@pytest.fixture
def pipeline(open_notebook, request):
    """A notebook that shows the graph of three reactors in cell 2, and runs them in cell 3."""

    def start(kernel=CURRENT, **cells):
        prefix = f"{request.node.name.partition('[')[0]}-{kernel}-"
        run = cells.get("run", "plant.run_reactor('report');")
        text = PIPELINE.format(prefix=prefix)
        notebook = open_notebook(
            BEGIN.format(name=prefix), text, "plant.show_graph()", run, "print('next')", kernel=kernel
        )
        notebook.go = lambda name: (notebook.path.parent / (prefix + name)).touch()
        for cell in (0, 1, 2):
            notebook.run(cell)
        return notebook, Graph(notebook, 2)

    return start


@pytest.mark.parametrize("kernel", EACH_VERSION, ids=str)
def test_each_state_is_shown_while_the_kernel_is_busy(pipeline, kernel):
    notebook, graph = pipeline(kernel)
    for name in ("load", "train", "report"):
        graph.wait(name, "new")
    graph.watch()
    notebook.run(3, wait=False)
    graph.wait("load", "running")
    graph.stop.wait_for()
    notebook.go("load")
    graph.wait("train", "running")
    graph.wait("load", "ran")
    notebook.go("round0")
    graph.node("train").get_by_text("1/4").wait_for()
    for number in (1, 2, 3):
        notebook.go(f"round{number}")
    graph.wait("report", "running")
    graph.wait("train", "ran")
    assert notebook.is_running(3)
    notebook.go("report")
    notebook.wait_for_cell(3)
    graph.wait("report", "ran", "cached")
    graph.stop.wait_for(state="hidden")
    seen = graph.transitions()
    for name in ("load", "train", "report"):
        states = [(status, kernel) for who, status, kernel in seen if who == name]
        assert states[0][0] == "new"
        assert ("running", "busy") in states
    assert ("load", "ran", "busy") in seen
    assert ("train", "ran", "busy") in seen


def test_a_failed_reactor_is_shown_with_its_error(pipeline):
    notebook, graph = pipeline()
    notebook.run(1, notebook.sources()[1].replace("sum(data)", "sum(data) / 0"))
    for name in ("load", "round0", "round1", "round2", "round3"):
        notebook.go(name)
    notebook.run(3)
    graph.wait("train", "failed")
    wait_for_text(graph.open("train"), "ZeroDivisionError")


# ---------------------------------------------------------------------- Stop


def test_stop_interrupts_a_blocked_kernel(pipeline):
    notebook, graph = pipeline()
    notebook.run(3, wait=False)
    graph.wait("load", "running")
    graph.stop.click()
    # `make bench` measures how fast it is.
    notebook.wait_for_cell(3)
    wait_for_text(notebook.output(3), "KeyboardInterrupt")
    graph.stop.wait_for(state="hidden")
    notebook.run(4)
    wait_for_text(notebook.output(4), "next", alone=True)
    notebook.go("load")
    notebook.run(3, "plant.get('data')")
    wait_for_text(notebook.output(3), "[1, 2, 3]")


def test_a_click_on_stop_after_the_run_is_ignored(pipeline):
    notebook, graph = pipeline(run="plant.get('data');")
    notebook.go("load")
    notebook.run(3)
    graph.wait("load", "ran", "cached")
    text = "print('began', flush=True)\nwait_for('late')\nprint('ended')"
    notebook.run(4, text, wait=False)
    notebook.output(4).get_by_text("began").wait_for()
    graph.stop.evaluate("button => button.click()")
    (notebook.path.parent / "late").touch()
    notebook.wait_for_cell(4)
    wait_for_text(notebook.output(4), "began", "ended", alone=True)


@pytest.mark.parametrize("kernel", EACH_VERSION, ids=str)
def test_a_late_stop_does_not_interrupt_the_next_run(pipeline, kernel):
    """Without access to the server the widget asks the kernel, which may read the message late."""
    notebook, graph = pipeline(kernel, run="plant.get('data');")
    notebook.page.route("**/interrupt", lambda route: route.fulfill(status=403))
    try:
        notebook.run(3, wait=False)
        graph.wait("load", "running")
        graph.stop.click()
        # A kernel that reads it at once ends the run, and the graph shows that.
        notebook.page.wait_for_function(
            "root => root.innerText.includes('press ■') || root.querySelector('.pg-stop').hidden",
            arg=graph.root.element_handle(),
        )
        notebook.go("load")
        notebook.wait_for_cell(3)
        notebook.run(4, "plant.get('data'), 'next run'")
        wait_for_text(notebook.output(4), "next run")
        assert "KeyboardInterrupt" not in str(notebook.outputs(4))
    finally:
        notebook.page.unroute("**/interrupt")


# ---------------------------------------------------------------------- lost messages


def test_the_graph_recovers_after_dropped_messages(pipeline):
    notebook, graph = pipeline(run="plant.run_reactor('flood');")
    flood = (
        "@ReactorFunc\ndef flood(pipe):\n"
        "    for number in range(300):\n        print('x' * 100_000)\n"
        "    pipe.send('flooded', 1)\n    wait_for('flooded')"
    )
    notebook.run(1, notebook.sources()[1] + "\n" + flood)
    notebook.run(2)
    graph = Graph(notebook, 2)
    graph.watch()
    notebook.run(3, wait=False)
    notebook.output(3).get_by_text("data rate exceeded").first.wait_for()
    (notebook.path.parent / "flooded").touch()
    notebook.wait_for_cell(3)
    graph.wait("flood", "ran", "cached")
    graph.root.get_by_text("1 ran").or_(graph.root.get_by_text("1 cached")).first.wait_for()


# ---------------------------------------------------------------------- the line about the run

PRINTS = """
%%reactor prints -o lines
import pathlib, time
def wait_for(name):
    while not pathlib.Path(name).exists():
        time.sleep(0.01)
wait_for("print")
for lines in range(200):
    print("line", lines)
wait_for("end")
"""


def test_the_line_about_a_run_stays_in_view_above_long_prints(open_notebook):
    notebook = open_notebook(BEGIN.format(name="prints"), PRINTS)
    notebook.run(0)
    notebook.run(1, wait=False)
    line = notebook.output(1).locator(".pyplant-running")
    line.wait_for()
    (notebook.path.parent / "print").touch()
    prints = notebook.output(1).get_by_text("line 199")
    prints.wait_for(state="attached")
    notebook.page.evaluate("() => { document.querySelector('.jp-WindowedPanel-outer').scrollTop = 1500; }")
    assert prints.evaluate("element => element.getBoundingClientRect().top") < 0
    expect(line).to_be_in_viewport()
    (notebook.path.parent / "end").touch()
    notebook.wait_for_cell(1)
    wait_for_text(notebook.output(1), "line 199", "1 ran")
    expect(line).to_have_count(0)


# ---------------------------------------------------------------------- explanations


def test_the_panel_explains_an_edit(pipeline):
    notebook, graph = pipeline()
    for name in ("load", "round0", "round1", "round2", "round3", "report"):
        notebook.go(name)
    notebook.run(3)
    graph.wait("report", "ran", "cached")
    notebook.run(1, notebook.sources()[1].replace("[1, 2, 3]", "[1, 2, 4]"))
    graph.settle(4)
    graph.wait("load", "stale")
    graph.wait("train", "stale")
    panel = graph.open("load")
    panel.get_by_text("Why", exact=True).wait_for()
    diff = panel.locator(".pg-diff")
    wait_for_text(diff, '-    pipe.send("data", [1, 2, 3])', '+    pipe.send("data", [1, 2, 4])')
    wait_for_text(graph.open("train"), "data")
    notebook.run(3)
    graph.wait("load", "ran", "cached")


def test_a_reactor_that_a_cell_defines_appears_in_the_graph(pipeline):
    notebook, graph = pipeline()
    expect(graph.nodes).to_have_count(3)
    notebook.run(1, notebook.sources()[1] + "\n@ReactorFunc\ndef later(pipe):\n    pipe.send('more', 1)")
    graph.settle(4)
    graph.wait("later", "new")
    expect(graph.nodes).to_have_count(4)


def test_two_views_of_one_graph_are_both_updated(pipeline):
    notebook, graph = pipeline(run="plant.get('data');")
    notebook.command("notebook:create-output-view", 2)
    views = notebook.page.locator(".pyplant-graph")
    expect(views).to_have_count(2)
    notebook.page.evaluate(
        "() => jupyterapp.shell.activateById([...jupyterapp.shell.widgets('main')].find(w => w.context).id)"
    )
    notebook.go("load")
    notebook.run(3)
    for number in (0, 1):
        views.nth(number).locator(".pg-node.pg-ran, .pg-node.pg-cached").first.wait_for(state="attached")


# ---------------------------------------------------------------------- the panel, and after the kernel


def test_reactors_are_run_by_buttons_and_the_graph_of_a_restarted_kernel_looks_dead(pipeline):
    notebook, graph = pipeline()
    for name in ("load", "round0", "round1", "round2", "round3", "report"):
        notebook.go(name)
    graph.root.get_by_role("button", name="Run all stale").click()
    graph.wait("report", "ran", "cached")
    panel = graph.open("load")
    panel.get_by_text(f"by {notebook.path.name} on ").wait_for()
    panel.get_by_role("button", name="Preview").click()
    panel.get_by_text("list of 3 items").wait_for()
    assert "list of 3 items" not in str(notebook.save())
    notebook.restart()
    graph.root.get_by_text("of a kernel that has ended").wait_for()
    expect(panel.get_by_role("button", name="Preview")).to_be_hidden()
    notebook.run(0)
    notebook.run(2)
    again = Graph(notebook, 2)
    again.root.get_by_text("3 reactors kept in the plant; none is defined here yet").wait_for()
    expect(again.nodes).to_have_count(3)
