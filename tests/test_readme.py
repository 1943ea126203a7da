"""The README's code runs, from top to bottom, in one session."""

import os
import re
import shlex
import shutil
import subprocess
import sys

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


TRANSCRIPT = re.compile(r"^```\n(\$ .*?)^```$", re.DOTALL | re.MULTILINE)
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    *(f"docs/{name}.md" for name in ("api", "architecture", "index", "workers")),
]


def commands(text):
    """The commands of the transcripts in a text, with the output that is shown."""
    for block in TRANSCRIPT.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def without_times(text):
    """A text as it would be at another time, on one line."""
    return re.sub(r"<?\d[\d.,]* (ms|s|min)\b", "TIME", " ".join(text.split()))


def test_all_transcripts_happen(tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    shutil.copy(ROOT / "notebooks" / "digits.py", tmp_path)
    found = list(commands(README))
    assert len(found) >= 4
    for command, output in found:
        program, *arguments = shlex.split(command)
        assert program == "pyplant"
        done = subprocess.run(
            [sys.executable, "-m", "pyplant", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=True,
        )
        if output:
            assert without_times(done.stdout) == without_times(output), command


def test_transcripts_and_code_are_in_the_readme_only():
    for page in PAGES[1:]:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert not list(commands(text)), page
        assert not re.findall(
            r"^[ \t]*(?:```|~~~)[ ]*(?:py|ipython|bash|sh\b|console)", text, re.MULTILINE
        ), page


def test_a_transcript_that_cannot_happen_is_found():
    shown = "a would run\n  it took 3.1 s\n"
    assert without_times(shown) == without_times("a would run\n  it took 250 ms")
    assert without_times(shown) != without_times("a is up to date\n  it took 3.1 s")


def test_the_first_example_needs_a_main_guard_for_the_command_line(tmp_path):
    (tmp_path / "first.py").write_text(BLOCK.findall(README)[0], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pyplant", "status", "first.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "while first.py is imported" in done.stderr
    assert "if __name__ == '__main__':" in done.stderr


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
