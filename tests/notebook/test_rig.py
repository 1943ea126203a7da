"""The rig itself: what a notebook would show is what tests see."""

import pytest

from tests.notebook.kernels import MOSTLY_AT_NIGHT
from tests.notebook.rig import Notebook, NotebookKernel, began


def test_outputs_keep_their_order_and_streams_are_joined(kernel):
    ran = kernel.run("""
        import sys
        from IPython.display import display, HTML
        print("one", flush=True)
        print("two", file=sys.stderr, flush=True)
        print("three"); print("four", flush=True)
        display(HTML("<b>five</b>"))
        "six"
    """)
    assert ran.kinds == ["stdout", "stderr", "stdout", "text/html", "text/plain"]
    assert [output.text for output in ran.outputs][2] == "three\nfour\n"
    assert ran.outputs[-1].kind == "result"


def test_a_display_that_is_updated_from_another_cell(kernel):
    first = kernel.run("handle = display('old', display_id=True)")
    kernel.run("handle.update('new')")
    assert first.text == "'new'"


def test_output_that_is_cleared(kernel):
    assert kernel.run("from IPython.display import clear_output\nprint(1); clear_output()").outputs == []
    ran = kernel.run("print(1); clear_output(wait=True); print(2)")
    assert ran.text == "2"


def test_an_error_has_the_text_of_the_notebook(kernel):
    ran = kernel.run("x = 1\n1 / 0")
    assert ran.error.text == "ZeroDivisionError: division by zero"
    assert "line 2" in ran.error.traceback
    assert "\x1b" not in ran.error.traceback


def test_a_cell_that_is_interrupted(kernel):
    text = "import time\nprint('began', flush=True)\nwhile True:\n    time.sleep(0.01)"
    ran = kernel.run(text, interrupt_when=began)
    assert ran.error.name == "KeyboardInterrupt"


TELL = """
def tell(info):
    print(info.cell_id, get_ipython().kernel.get_parent()["metadata"]["deletedCells"])
get_ipython().events.register("pre_run_cell", tell)
"""


def test_the_kernel_receives_cell_identifiers(tmp_path):
    kernel = NotebookKernel(tmp_path)
    try:
        notebook = Notebook(kernel)
        tell = notebook.new(TELL)
        first, second = notebook.add("1"), notebook.add("2")
        assert f"{first} []" in notebook.run(first).stdout
        notebook.delete(tell)
        assert f"{second} ['{tell}']" in notebook.run(second).stdout
        assert f"{second} []" in notebook.run(second).stdout
        merged = notebook.merge(first, second)
        assert f"{merged} []" in notebook.run(merged).stdout
        assert "looks []" in notebook.look("3").stdout
    finally:
        kernel.close()


@pytest.mark.parametrize("subshell", [False, True])
def test_comms_can_be_used_in_both_directions(kernel, subshell):
    kernel.run("""
        import ipywidgets
        from traitlets import Dict
        class Graph(ipywidgets.Widget):
            graph = Dict({"version": 1}).tag(sync=True)
        widget = Graph()
        widget.on_msg(lambda widget, content, buffers: setattr(widget, "graph", content))
    """).fine
    widget = kernel.widgets[-1]
    assert widget.state["graph"] == {"version": 1}
    kernel.send(widget, {"version": 2}, subshell=subshell)
    kernel.wait(lambda: widget.state["graph"] == {"version": 2})


@pytest.mark.parametrize("versions", MOSTLY_AT_NIGHT, ids=str)
def test_a_kernel_of_the_matrix_has_the_given_versions(versions, tmp_path):
    versions.need()
    kernel = NotebookKernel(tmp_path, versions)
    try:
        told = kernel.run("import IPython, ipykernel\nprint(ipykernel.__version__, IPython.__version__)").fine
        ipykernel, ipython = told.stdout.split()
        assert versions.ipykernel in {"", ipykernel}
        assert versions.ipython in {"", ipython}
    finally:
        kernel.close()
