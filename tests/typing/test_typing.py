"""PyPlant's annotations, seen from code that uses it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

USE = Path(__file__).with_name("public_use.py").read_text(encoding="utf-8")


@pytest.fixture
def complaints(tmp_path):
    """What mypy has to say of a text, in its strictest mode."""

    def check(source):
        script = tmp_path / "use.py"
        script.write_text(source, encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--cache-dir",
            str(tmp_path / "cache"),
            str(script),
        ]
        process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert process.returncode in {0, 1}, process.stderr
        return process.stdout if process.returncode else ""

    return check


def test_public_use_is_well_typed(complaints):
    assert complaints(USE) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("names: tuple[str, ...]", "names: int"),
        ('progress="auto"', "progres=True"),
        ("plot, force=True", "plot, 3"),
        ('pipe.send("x", config', "pipe.send(7, config"),
    ],
)
def test_wrong_use_is_not(complaints, right, wrong):
    assert right in USE
    assert "use.py:" in complaints(USE.replace(right, wrong))
