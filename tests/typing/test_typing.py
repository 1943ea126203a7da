"""PyPlant's annotations, as type checkers see them from code that uses it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

HERE = Path(__file__).parent
CORRECT = HERE / "correct.py"
MISTAKES = HERE / "mistakes.py"

PLANTED = {
    number
    for number, line in enumerate(MISTAKES.read_text(encoding="utf-8").splitlines(), 1)
    if line.endswith("# error")
}


def _mypy(folder):
    options = ["--strict", "--no-pretty", "--cache-dir", str(folder / "cache")]
    return [sys.executable, "-m", "mypy", *options]


def _pyright(folder):
    # The checker of editors. This distribution brings its own interpreter of JavaScript, so nothing is downloaded.
    settings = {"typeCheckingMode": "standard", "include": [], "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    options = ["--project", str(folder / "pyrightconfig.json"), "--pythonpath", sys.executable]
    return [sys.executable, "-m", "basedpyright", "--level", "error", *options]


@pytest.fixture(scope="module", params=[_mypy, _pyright], ids=["mypy", "pyright"])
def reported(request, tmp_path_factory):
    """What a checker reports for both files: the file, the line, the message."""
    folder = tmp_path_factory.mktemp("typing")
    command = [*request.param(folder), str(CORRECT), str(MISTAKES)]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = re.findall(r"(\w+)\.py:(\d+)(?::\d+ -|:) error: (.*)", process.stdout)
    assert found, process.stdout + process.stderr
    return [(name, int(line), message) for name, line, message in found]


def test_correct_use_is_accepted(reported):
    assert [finding for finding in reported if finding[0] != "mistakes"] == []


def test_every_mistake_is_reported_and_nothing_else(reported):
    assert len(PLANTED) > 50
    assert {line for name, line, _ in reported if name == "mistakes"} == PLANTED
