"""The short form of every figure: nothing fails, and its negative control does."""

import os
import subprocess
import sys

import pytest

from reliability import crashes
from reliability.disks import LoggedFiles
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

SHORT = ["E1", "R3", "R5", "R7", "R14", "R15", "R16", "R22", "R23", "R24", "R26", "R27", "R32", "R36"]
LONG = [
    "R1",
    "R2",
    "R6",
    "R8",
    "R9",
    "R10",
    "R12",
    "R17",
    "R18",
    "R19",
    "R20",
    "R29",
    "R30",
    "R31",
    "R33",
    "R34",
    "R35",
]
FIGURES = [*SHORT, *(pytest.param(ident, marks=pytest.mark.nightly) for ident in LONG)]


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


class TestHardLinks:
    """What a crash may leave of a file that was written, linked to its final name, and deleted under the first."""

    OPERATIONS = (
        ("name", "first", 1),
        ("write", 1, b"content"),
        ("sync", 1),
        ("link", "first", "last", 1),
        ("unlink", "first"),
    )

    @staticmethod
    def states(*operations):
        model = crashes.Model({}, {})
        for operation in operations:
            model.apply(operation)
        return [dict(state) for state in model.states()]

    def test_each_name_may_be_lost_or_kept(self):
        states = self.states(*self.OPERATIONS)
        whole = b"content"
        for state in ({}, {"first": whole}, {"last": whole}, {"first": whole, "last": whole}):
            assert state in states

    def test_once_the_directory_is_synced_the_last_name_is_certain(self):
        assert self.states(*self.OPERATIONS, ("sync directory", ".")) == [{"last": b"content"}]

    def test_the_sync_of_another_directory_makes_nothing_certain(self):
        states = self.states(("name", "a/first", 1), ("link", "a/first", "last", 1), ("sync directory", "a"))
        assert {} in states

    def test_both_names_show_one_content(self):
        operations = ("name", "first", 1), ("write", 1, b"content"), ("link", "first", "last", 1)
        assert all(len(set(state.values())) <= 1 for state in self.states(*operations))

    def test_the_recorded_disk_knows_them(self, tmp_path):
        files = LoggedFiles(tmp_path)
        files.create_synced(tmp_path / "first", b"content")
        files.link(tmp_path / "first", tmp_path / "last")
        files.unlink(tmp_path / "first")
        assert self.states(*files.log, ("sync directory", ".")) == [{"last": b"content"}]
