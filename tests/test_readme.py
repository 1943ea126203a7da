"""The README's code runs, from top to bottom, in one session."""

import re

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CELL = re.compile(r"^```ipython\n(.*?)^```$", re.DOTALL | re.MULTILINE)
README = (ROOT / "README.md").read_text(encoding="utf-8")


def run(text, folder, run_script):
    source = "\n".join(BLOCK.findall(text))
    return run_script(source, name="readme.py")


def test_all_blocks_run(tmp_path, run_script):
    shown = run(README, tmp_path, run_script).stdout
    assert "a blue plot of 10 points" in shown
    assert "parameter 'window' changed: 3 → 5" in shown


def test_there_are_blocks():
    assert len(BLOCK.findall(README)) >= 5
    assert len(CELL.findall(README)) >= 2


def test_all_cells_run_and_remember(tmp_path):
    rig = pytest.importorskip("tests.notebook.rig")
    cells = CELL.findall(README)
    _, *ran = rig.execute(["%load_ext pyplant", *cells, *cells], tmp_path)
    first, again = ran[: len(cells)], ran[len(cells) :]
    assert any("image/png" in outcome.kinds for outcome in first)
    for before, after in zip(first, again, strict=True):
        assert after.outputs[0].text.startswith("✓ ")
        # A new plant says so.
        assert after.kinds[1:] == [kind for kind in before.kinds if kind != "text/html"]


def test_no_block_of_python_is_left_out():
    assert left_out(README) == []


@pytest.mark.parametrize("fence", ["```python no-run", "```py", "``` python", "~~~python"])
def test_a_block_that_is_left_out_is_found(fence):
    assert left_out(f"{README}\n{fence}\nx = 1\n{fence[:3]}\n")


def left_out(text):
    """First lines of the blocks that look like Python and would not run."""
    fences = re.findall(r"^[ \t]*(?:```|~~~)[ ]*py.*$", text, re.MULTILINE)
    return [fence for fence in fences if fence.strip() != "```python" or fence != fence.lstrip()]


def test_the_figures_are_those_that_were_measured():
    measured = (ROOT / "reliability/FIGURES.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| (R\d+) \|.*\| ([\d,]+) \| (\d+) \|$", README, re.MULTILINE)
    assert len(quoted) >= 5
    for ident, trials, failures in quoted:
        row = next(line for line in measured.splitlines() if line.startswith(f"| {ident} |"))
        assert [cell.strip() for cell in row.split("|")][4:6] == [trials, failures], ident


def test_a_wrong_block_fails(tmp_path, run_script):
    with pytest.raises(pytest.fail.Exception):
        run(README + "\n```python\nassert 1 == 2\n```\n", tmp_path, run_script)


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)\)|src(?:set)?=\"([^\":]+)\"", text):
        target = "".join(target)
        assert (ROOT / target).exists(), target
