"""The short form of every figure: nothing fails, and its negative control does."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

FIGURES = [
    *("E1", "R1", "R2", "R3", "R5", "R6", "R7", "R8", "R9", "R10", "R12", "R14", "R15", "R16", "R17"),
    *("R18", "R19", "R20", "R22", "R23", "R24", "R26", "R27", "R29", "R30", "R31"),
]


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork, /proc and signals as on Linux")
@pytest.mark.parametrize("ident", FIGURES)
def test_figure(ident):
    # A process of its own: trials fork, and threads of the test runner do not survive that.
    done = subprocess.run(
        [sys.executable, "-m", "reliability", ident],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    if "skipped:" in done.stdout:
        pytest.skip(done.stdout.partition("skipped:")[2].partition("|")[0].strip())
