"""The notebooks, executed as their readers do."""

import itertools
import json
import shutil

import pytest

from tests.conftest import ROOT

nbformat = pytest.importorskip("nbformat")
rig = pytest.importorskip("tests.notebook.rig")

pytestmark = pytest.mark.slow

FOLDER = ROOT / "notebooks"
_EDIT_OF_THE_TABLE = 'Path("names.csv").write_text("digit,name\\n0,zero\\n1,one\\n2,two\\n3,three\\n")'
_NOTE = "without declaring it, so it counts as an input"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))


def cells(name):
    notebook = nbformat.read(FOLDER / name, as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def execute(name, folder):
    """What each code cell put out, by its first line."""
    texts = cells(name)
    return dict(zip([text.partition("\n")[0] for text in texts], rig.execute(texts, folder), strict=True))


def _kinds(ran):
    """The kinds of a cell's own outputs: without notes, and without the line about the run and the place where it was."""
    kinds = [
        kind
        for kind, output in zip(ran.kinds, ran.outputs, strict=True)
        if kind != "stderr" and output.text and not (output.text.startswith("✓ ") or _NOTE in output.text)
    ]
    return [kind for kind, _ in itertools.groupby(kinds)]


@pytest.mark.timeout(900)
def test_the_quickstart_shows_what_it_says_and_remembers_it(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    first = execute("01-quickstart.ipynb", tmp_path)
    told = first["%%reactor read_names -o names"]
    assert f"reads names.csv {_NOTE}" in told.text
    assert not told.stderr
    looked = first[_EDIT_OF_THE_TABLE].text
    assert "file names.csv changed, read in line 4 of its cell" in " ".join(looked.split())
    assert "2 cached" not in looked
    assert first['plant.get("longest_name")'].text.endswith("'three'")
    assert "1,797 images of 8 by 8 pixels" in first["%%reactor load_images -o images labels"].text
    assert "image/png" in first["%%reactor report -i accuracy wrong"].kinds
    assert "/ 16" in first['plant.explain("evaluate")'].text  # the diff of the edit
    assert "4 ran, 3 cached" in first['run = plant.run_reactor("report")'].text  # the accuracy came out equal
    assert "data:image/svg+xml" in first["plant.show_graph()"].html

    again = execute("01-quickstart.ipynb", tmp_path)
    remembered = {line: ran for line, ran in again.items() if line.startswith("%%reactor")}
    assert len(remembered) == 11
    for line, ran in remembered.items():
        assert ran.text.lstrip("\n").startswith(f"✓ {line.split()[1]}: cached"), line
        assert _kinds(ran) == _kinds(first[line]), line
    # What the texts say of a second execution.
    assert "3 reactors: 3 cached" in again[_EDIT_OF_THE_TABLE].text
    assert "evaluate is up to date" in again['plant.explain("evaluate")'].text
    assert "stale" not in again["plant.status()"].text
    assert "7 cached" in again['run = plant.run_reactor("report")'].text


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_an_array_larger_than_memory(tmp_path):
    pytest.importorskip("matplotlib")
    try:
        ran = execute("02-larger-than-memory.ipynb", tmp_path)
    finally:
        shutil.rmtree(tmp_path / "waves.plant", ignore_errors=True)
    assert "times the memory allowed" in ran['heights = plant.get("heights")'].text
    assert "image/png" in ran["%%reactor picture -i pattern energy"].kinds
    assert "0 would run" in ran['plant.plan("picture")'].text


@pytest.mark.nightly
@pytest.mark.timeout(900)
def test_many_cores_and_a_cluster(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    pytest.importorskip("distributed")
    shutil.copy(FOLDER / "digits.py", tmp_path)
    ran = execute("03-many-cores-and-clusters.ipynb", tmp_path)
    run = ran['run = plant.run_reactor("report")']
    assert "8 ran" in run.text
    assert "of the test images read correctly" in run.stdout
    assert "8 configurations, 1 cached, 7 ran" in ran["table = plant.sweep("].text
    assert "image/png" in ran["import matplotlib.pyplot as plt"].kinds
    assert "0 would run" in ran['on_cluster.plan("evaluate")'].text
    (wider,) = (cell for line, cell in ran.items() if line.startswith("wider"))
    assert "9 configurations, 4 cached, 5 ran" in wider.text


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_are_kept_without_outputs(name):
    notebook = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}


def test_there_are_notebooks():
    assert len(NAMES) >= 3
