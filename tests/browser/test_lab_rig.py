"""The test tools for JupyterLab themselves."""

import pytest

from tests.browser.lab import axe, wait_for_text
from tests.notebook.kernels import MATRIX


def test_a_cell_is_run_and_its_outputs_are_read(open_notebook):
    notebook = open_notebook("print('hello')\n1 + 1")
    notebook.run(0)
    wait_for_text(notebook.output(0), "hello", "[1]:", "2", alone=True)
    assert notebook.printed(0) == "hello\n"
    assert [output["output_type"] for output in notebook.outputs(0)] == ["stream", "execute_result"]


def test_a_cell_is_watched_while_it_runs(open_notebook):
    notebook = open_notebook("import time\nprint('began', flush=True)\nwhile True:\n    time.sleep(0.01)")
    notebook.run(0, wait=False)
    notebook.output(0).get_by_text("began").wait_for()
    assert notebook.is_running(0)
    notebook.interrupt()
    notebook.wait_for_cell(0)
    wait_for_text(notebook.output(0), "KeyboardInterrupt")


def test_a_restarted_kernel_has_no_variables(open_notebook):
    notebook = open_notebook("x = 1", "x")
    notebook.run(0)
    notebook.restart()
    notebook.run(1)
    wait_for_text(notebook.output(1), "NameError")


def test_cells_are_edited_deleted_and_brought_back(open_notebook):
    notebook = open_notebook("1", "2", "3")
    notebook.run(0, "1 + 10")
    wait_for_text(notebook.output(0), "11")
    notebook.command("notebook:delete-cell", 1)
    assert notebook.sources() == ["1 + 10", "3"]
    notebook.command("notebook:undo-cell-action")
    assert notebook.sources() == ["1 + 10", "2", "3"]
    notebook.command("notebook:merge-cells", 0, also=1)
    assert notebook.sources() == ["1 + 10\n\n2", "3"]


def test_a_notebook_is_saved_and_opened_without_a_kernel(open_notebook):
    notebook = open_notebook("print('kept')")
    notebook.run(0)
    assert notebook.save().cells[0].outputs[0].text == "kept\n"
    notebook.close()
    notebook.lab.forget()
    notebook.open(kernel=False)
    wait_for_text(notebook.output(0), "kept", alone=True)
    assert notebook.lab.ask("api/sessions") == []


def test_light_and_dark(open_notebook):
    notebook = open_notebook("1")
    background = "getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor"
    light = notebook.page.evaluate(background)
    notebook.dark()
    notebook.page.wait_for_function(f"light => {background} !== light", arg=light)
    notebook.dark(False)
    notebook.page.wait_for_function(f"light => {background} === light", arg=light)


def test_requests_that_leave_the_machine_are_seen(page, outside):
    with page.expect_event("requestfailed"):
        page.set_content("<img src='http://example.invalid/x.png'>")
    assert outside == ["http://example.invalid/x.png"]
    outside.clear()


def test_axe_finds_violations(page):
    page.set_content("<main><img src='data:,'><p>fine</p></main>")
    assert "image-alt" in axe(page, "main")
    page.set_content("<main><img src='data:,' alt='nothing'><p>fine</p></main>")
    assert axe(page, "main") == {}


@pytest.mark.parametrize("kernel", MATRIX[:1], ids=str)
def test_kernels_of_the_matrix_run(open_notebook, kernel):
    notebook = open_notebook(
        "import ipykernel, IPython\nipykernel.__version__, IPython.__version__", kernel=kernel
    )
    notebook.run(0)
    wait_for_text(notebook.output(0), f"('{kernel.ipykernel}', '{kernel.ipython}')")
