"""Notebooks that are run from top to bottom by a program, which tells the kernel nothing of cells."""

import json
import subprocess
import sys

import nbformat
import pytest

from tests.conformance.helpers import environment
from tests.notebook.rig import SETUP, NotebookKernel, PlantNotebook, began, execute
from tests.svg import svg_in

BEGIN = ["%load_ext pyplant", "%plant my.plant", SETUP]


def run(folder, *cells, **options):
    """Run a notebook whose plant is ready; what the cells after the first ones put out."""
    return execute([*BEGIN, *cells], folder, **options)[len(BEGIN) :]


# ---------------------------------------------------------------------- magics


def test_a_cell_is_cached_in_the_next_run_of_the_notebook(tmp_path):
    cells = ["%%reactor numbers -o xs\nprint('computing')\nxs = [1, 2, 3]\nsum(xs)", "print(seen(), xs)"]
    first, looked = run(tmp_path, *cells)
    assert first.kinds == ["stdout", "text/plain"]
    assert looked.text == "numbers [1, 2, 3]"
    again, looked = run(tmp_path, *cells)
    assert again.kinds[1:] == first.kinds
    assert "cached" in again.outputs[0].text
    assert again.text.endswith("computing\n6")
    assert looked.text == "nothing [1, 2, 3]"


def test_a_plant_is_made_beside_the_notebook_if_none_was_opened(tmp_path):
    told, *_ = execute(["%load_ext pyplant", "%%reactor numbers -o xs\nxs = [1]", "xs"], tmp_path)[1:]
    assert len([output for output in told.outputs if output.text.strip()]) == 1
    assert [path.name for path in tmp_path.glob("*.plant")]


def test_options_of_the_magics(tmp_path):
    forced = "%%reactor numbers -o xs --force\nprint('computing')\nxs = 1"
    cells = [
        forced.replace(" --force", " --no-run"),
        "print(seen())",
        forced,
        forced,
        "print(seen())",
        forced.replace(" --force", " --no-replay"),
        "print(seen())",
    ]
    defined, seen, _, again, forced_seen, silent, silent_seen = run(tmp_path, *cells)
    assert defined.outputs == []
    assert seen.text == "nothing"
    assert "computing" in again.text
    assert forced_seen.text == "numbers,numbers"
    assert "computing" not in silent.text
    assert silent_seen.text == "nothing"


def test_a_wrong_option_shows_one_line_and_the_kernel_continues(tmp_path):
    wrong, right = run(tmp_path, "%%reactor numbers --nonsense\nx = 1", "print('here')", allow_errors=True)
    assert "--nonsense" in wrong.text
    assert "Traceback" not in wrong.text
    assert len(wrong.text.splitlines()) <= 3
    assert right.text == "here"


# ---------------------------------------------------------------------- names


def test_a_later_definition_counts_from_there_on(tmp_path):
    cells = ["%%reactor numbers -o xs\nxs = 1", "look('xs')", "%%reactor numbers -o xs\nxs = 2", "look('xs')"]
    _, first, _, second = run(tmp_path, *cells)
    assert first.text == "numbers 1"
    assert second.text == "numbers 2"


def test_a_later_definition_with_other_outputs_leaves_no_old_one(tmp_path):
    cells = ["%%reactor numbers -o xs\nxs = 1", "%%reactor numbers -o ys\nys = 2", "look('xs')"]
    *_, ghost = run(tmp_path, *cells, allow_errors=True)
    assert ghost.error is not None
    assert "xs" in ghost.error.value


def test_two_senders_of_one_ingredient_are_an_error_when_it_is_demanded(tmp_path):
    cells = [
        "%%reactor numbers -o xs --no-run\nxs = 1",
        "%%reactor others -o xs --no-run\nxs = 2",
        "look('xs')",
        "plant.remove_reactor('others')\nlook('xs')",
    ]
    first, second, conflict, solved = run(tmp_path, *cells, allow_errors=True)
    assert first.outputs == second.outputs == []
    assert "'numbers' (cell [4])" in conflict.error.value
    assert "'others' (cell [5])" in conflict.error.value
    assert solved.text == "numbers 1"


def test_decorated_reactors(tmp_path):
    text = "@ReactorFunc\ndef numbers(pipe):\n    print('computing')\n    pipe.send('xs', 1)"
    defined, first, again, second = run(tmp_path, text, "look('xs')", text.replace("1)", "2)"), "look('xs')")
    assert defined.outputs == again.outputs == []
    assert first.text.splitlines()[-1] == "numbers 1"
    assert second.text.splitlines()[-1] == "numbers 2"


# ---------------------------------------------------------------------- interrupts


def test_a_notebook_continues_after_an_interrupted_cell(tmp_path):
    text = """
        %%reactor numbers -o xs
        import os, pathlib, signal, time
        path = pathlib.Path("interrupted")
        if not path.exists():
            path.touch()
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(60)
        xs = 1
    """
    cells = ["%%reactor other -o ys\nys = 5", text, "print(seen(), ys)", text, "print(seen(), xs)"]
    _, interrupted, kept, _, done = run(tmp_path, *cells, allow_errors=True)
    assert interrupted.error.name == "KeyboardInterrupt"
    assert kept.text == "numbers,other 5"
    assert done.text == "numbers 1"


# ---------------------------------------------------------------------- two notebooks


def test_a_notebook_uses_results_of_another_notebook(tmp_path):
    cells = ["%%reactor numbers -o xs\nprint('computing')\nxs = [1, 2, 3]", "print(seen())"]
    run(tmp_path, *cells)
    replayed, looked = run(tmp_path, "1 + 1", *cells)[1:]
    assert "computing" in replayed.text
    assert looked.text == "nothing"


SLOW = """
%%reactor slow -o x
import pathlib, time
print("began", flush=True)
while not pathlib.Path(PATH).exists():
    time.sleep(0.01)
x = 5
"""


def test_two_concurrent_notebooks_compute_a_result_once(tmp_path):
    text = SLOW.replace("PATH", repr(str(tmp_path / "go")))
    kernels = [NotebookKernel(tmp_path / name) for name in ("one", "two")]
    try:
        first, second = [PlantNotebook(kernel, tmp_path / "both.plant") for kernel in kernels]
        computing = first.begin_run(first.add(text))
        kernels[0].wait(lambda: began(computing))
        waiting = second.begin_run(second.add(text))
        (tmp_path / "go").touch()
        kernels[0].finish(computing).fine
        kernels[1].finish(waiting).fine
        assert first.seen() == "slow"
        assert second.seen() == "nothing"
        assert "began" in waiting.text
        assert second.look("print(x)").fine.text == "5"
    finally:
        for kernel in kernels:
            kernel.close()


# ---------------------------------------------------------------------- programs that run notebooks


@pytest.fixture
def written(tmp_path):
    """A notebook with a graph in its last cell."""
    notebook = nbformat.v4.new_notebook()
    cells = [
        "%load_ext pyplant",
        "%plant my.plant",
        "%%reactor numbers -o xs\nxs = [1, 2, 3]",
        "%%reactor total -i xs -o whole\nwhole = sum(xs)",
        "plant.show_graph()",
    ]
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    return tmp_path


def call(folder, *arguments):
    process = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment(IPYTHONDIR=str(folder / "ipython"), JUPYTER_RUNTIME_DIR=str(folder / "runtime")),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert process.returncode == 0, process.stderr


def test_papermill_leaves_a_picture_of_the_graph(written):
    call(written, "papermill", "in.ipynb", "out.ipynb", "--no-progress-bar")
    shown = json.dumps(nbformat.read(written / "out.ipynb", as_version=4).cells[-1].outputs)
    assert "data:image/svg+xml" in shown
    assert "numbers" in shown
    assert "total" in shown


def test_nbconvert_leaves_a_picture_of_the_graph(written):
    call(written, "nbconvert", "--execute", "--to", "html", "in.ipynb")
    page = (written / "in.html").read_text(encoding="utf-8")
    assert "numbers (" in page
    assert ">numbers<" in svg_in(page)
