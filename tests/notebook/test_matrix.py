"""The notebook layer on every kernel that counts: six combinations of ipykernel and IPython, three of them at night."""

import pytest

from tests.notebook.kernels import MOSTLY_AT_NIGHT
from tests.notebook.rig import SHOWS, NotebookKernel, began


@pytest.fixture(scope="module", params=MOSTLY_AT_NIGHT, ids=str)
def kernel(request, tmp_path_factory):
    request.param.need()
    kernel = NotebookKernel(tmp_path_factory.mktemp("kernel"), request.param)
    yield kernel
    kernel.close()


def body(ran, begins="first"):
    """The outputs of the body itself; what is told above them is left out."""
    places = [i for i, output in enumerate(ran.outputs) if output.text.strip() == begins]
    assert len(places) == 1, ran.text
    return ran.kinds[places[0] :], [
        output.text for output in ran.outputs[places[0] :] if "png" not in str(output)
    ]


def test_a_cell_is_replayed_after_a_restart_in_order_and_with_its_figure(notebook):
    cell = notebook.add(SHOWS)
    ran = notebook.run(cell).fine
    kinds, texts = body(ran)
    assert kinds == ["stdout", "image/png", "stderr", "stdout", "text/plain"]
    assert notebook.seen() == "shows"
    notebook.restart()
    replayed = notebook.run(cell).fine
    assert notebook.seen() == "nothing"
    assert "cached" in replayed.outputs[0].text
    assert body(replayed) == (kinds, texts)
    assert notebook.look("print(x)").fine.text == "5"


def test_a_traceback_names_the_cell_and_the_line(notebook):
    ran = notebook.run(notebook.add("%%reactor fails -o x\n\ny = 1\nx = y / 0"))
    assert ran.error.name == "ZeroDivisionError"
    assert f"Cell In[{ran.number}], line 4" in ran.error.traceback
    assert "----> 4 x = y / 0" in ran.error.traceback
    assert "pyplant" not in ran.error.traceback.replace("pyplant-tests", "")


def test_a_notebook_continues_after_an_interrupt(notebook):
    slow = "%%reactor slow -o x\nimport time\nprint('began', flush=True)\nwhile True:\n    time.sleep(0.01)\nx = 1"
    cell = notebook.add(slow)
    ran = notebook.run(cell, interrupt_when=began)
    assert ran.error.name == "KeyboardInterrupt"
    assert "fails" not in ran.text
    notebook.run(cell, "%%reactor slow -o x\nx = 2").fine
    assert notebook.look("print(x)").fine.text == "2"


WAITS = """
%%reactor waits -o y
import pathlib, time
print("began", flush=True)
while not pathlib.Path(PATH).exists():
    time.sleep(0.01)
y = 1
"""


def state_of(widget, name):
    """How the graph shows a reactor."""
    for ident, node in widget.state["graph"]["nodes"].items():
        if node["name"] == name:
            return widget.state["state"]["nodes"].get(ident, {}).get("o")
    return None


def test_the_graph_is_live_while_the_kernel_is_busy(notebook, tmp_path):
    notebook.new("%%reactor a -o x --no-run\nx = 1")
    cell = notebook.add(WAITS.replace("PATH", repr(str(tmp_path / "go"))))
    notebook.run(cell, notebook.cells[cell].replace("-o y", "-o y --no-run")).fine
    notebook.new("plant.show_graph()")
    widget = notebook.kernel.widgets[-1]
    assert state_of(widget, "waits") == "new"
    notebook.cells[cell] = notebook.cells[cell].replace(" --no-run", "")
    ran = notebook.begin_run(cell)
    notebook.kernel.wait(lambda: state_of(widget, "waits") == "running")
    assert not ran.done
    (tmp_path / "go").touch()
    notebook.kernel.finish(ran).fine
    notebook.kernel.wait(lambda: state_of(widget, "waits") in {"ran", "cached"})


@pytest.mark.parametrize("subshell", [False, True], ids=["main", "subshell"])
def test_a_late_stop_request_is_ignored(notebook, tmp_path, subshell):
    if subshell and not notebook.kernel.has_subshells():
        pytest.skip("this kernel has no subshells")
    cell = notebook.add(WAITS.replace("PATH", repr(str(tmp_path / "go"))))
    notebook.new("plant.show_graph()")
    widget = notebook.kernel.widgets[-1]
    (tmp_path / "go").touch()
    notebook.run(cell).fine
    runs = [update["state"]["run"] for update in widget.updates if update.get("state", {}).get("run")]
    assert runs
    (tmp_path / "go").unlink()
    ran = notebook.begin_run(cell, notebook.cells[cell] + "\ny + 1")
    notebook.kernel.wait(lambda: began(ran))
    notebook.kernel.send(widget, {"kind": "stop", "run": runs[0]}, subshell=subshell)
    (tmp_path / "go").touch()
    notebook.kernel.finish(ran).fine
    assert ran.outputs[-1].text == "2"
