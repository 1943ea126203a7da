"""Layouts by Graphviz, and the fallback to the layout of our own."""

import logging
import shutil
import subprocess
import sys
import textwrap

import pytest

from pyplant.notebook.graph import graphviz_layout, layered_layout
from pyplant.notebook.graph.graphviz_layout import arrange
from pyplant.notebook.graph.layered_layout import Layout
from tests.notebook.graph.test_layered_layout import overlapping, pipeline

SIZE = (80.0, 24.0)
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")


@pytest.fixture(autouse=True)
def nothing_remembered():
    graphviz_layout._arrange.cache_clear()
    yield
    graphviz_layout._arrange.cache_clear()


@pytest.fixture
def commands(monkeypatch):
    """Records the programs that are started."""
    started = []
    run = subprocess.run

    def note(command, **options):
        started.append(command)
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", note)
    return started


def without_dot(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)


def bindings(monkeypatch, folder, draw):
    """Install Python bindings of Graphviz with the given code for drawing."""
    without_dot(monkeypatch)
    (folder / "pygraphviz.py").write_text(
        textwrap.dedent(f"""
        import subprocess
        class AGraph:
            def __init__(self, string):
                self.text = string
            def draw(self, format, prog):
                assert (format, prog) == ("plain", "dot")
                {draw}
        """)
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.syspath_prepend(str(folder))


# ---------------------------------------------------------------------- with Graphviz


@needs_dot
@pytest.mark.parametrize("count", [1, 5, 60])
def test_graphviz_lays_out_from_left_to_right_without_overlaps(count, commands):
    edges = pipeline(count)
    placed = arrange([SIZE] * count, edges)
    assert commands
    assert overlapping(placed, [SIZE] * count) == []
    for (source, target), route in zip(edges, placed.routes):
        assert placed.centres[source][0] < placed.centres[target][0]
        (x, y), (u, v) = placed.centres[source], placed.centres[target]
        assert route[0] == pytest.approx((x + SIZE[0] / 2, y), abs=1)
        assert route[-1] == pytest.approx((u - SIZE[0] / 2, v), abs=1)
    for x, y in [*placed.centres, *(point for route in placed.routes for point in route)]:
        assert -1 <= x <= placed.size[0] + 1
        assert -1 <= y <= placed.size[1] + 1


@needs_dot
def test_cycles_and_self_loops_have_routes():
    placed = arrange([SIZE] * 3, [(0, 1), (1, 2), (2, 0), (1, 1)])
    assert all(len(route) >= 2 for route in placed.routes)


@needs_dot
def test_equal_graphs_are_laid_out_once(commands):
    first = arrange([SIZE] * 3, [(0, 1), (1, 2)])
    assert arrange([(80.0, 24.0)] * 3, ((0, 1), (1, 2))) is first
    assert len(commands) == 1
    arrange([SIZE] * 3, [(0, 1), (0, 2)])
    assert len(commands) == 2


def test_large_and_dense_graphs_are_not_given_to_graphviz(commands):
    arrange([SIZE] * 151, pipeline(151))
    arrange([SIZE] * 40, [(a, b) for a in range(40) for b in range(a)])
    assert commands == []


# ---------------------------------------------------------------------- without


def test_an_empty_graph_starts_no_program(commands):
    assert arrange([], []) == Layout([], [], (0.0, 0.0))
    assert commands == []


def test_without_graphviz_the_built_in_layout_is_used(monkeypatch):
    without_dot(monkeypatch)
    monkeypatch.setattr(graphviz_layout.importlib.util, "find_spec", lambda name: None)
    edges = pipeline(20)
    assert arrange([SIZE] * 20, edges) == layered_layout.arrange([SIZE] * 20, edges)


@needs_dot
def test_bindings_run_in_a_separate_process(monkeypatch, tmp_path, commands):
    edges = pipeline(20)
    expected = arrange([SIZE] * 20, edges)
    graphviz_layout._arrange.cache_clear()
    dot = shutil.which("dot")
    bindings(
        monkeypatch,
        tmp_path,
        f"return subprocess.run([{dot!r}, '-Tplain'], input=self.text.encode(), capture_output=True).stdout",
    )
    assert arrange([SIZE] * 20, edges) == expected
    assert commands[-1][0] == sys.executable
    assert "pygraphviz" not in sys.modules


@pytest.mark.parametrize(
    "draw",
    [
        "import os; os.abort()",
        "raise ValueError(1)",
        "return b'graph 1 2 3'",
        "return b'nonsense'",
        "return b''",
        "return b'graph 1 2 3\\\\nnode n0 1'",
        "return b'\\xff\\xfe'",
        "import time; time.sleep(600)",
    ],
)
def test_after_any_failure_the_built_in_layout_is_used(monkeypatch, tmp_path, draw, caplog):
    caplog.set_level(logging.INFO, "pyplant")
    monkeypatch.setattr(graphviz_layout, "_TIMEOUT", 2.0 if "sleep" not in draw else 0.5)
    bindings(monkeypatch, tmp_path, draw)
    assert arrange([SIZE] * 3, [(0, 1), (1, 2)]) == layered_layout.arrange([SIZE] * 3, [(0, 1), (1, 2)])
    assert "built-in" in caplog.text
    assert caplog.records[0].levelno == logging.INFO


def test_a_program_that_cannot_be_started_is_ignored(monkeypatch, tmp_path):
    broken = tmp_path / "dot"
    broken.write_text("")
    monkeypatch.setattr(shutil, "which", lambda name: str(broken))
    assert arrange([SIZE] * 2, [(0, 1)]) == layered_layout.arrange([SIZE] * 2, [(0, 1)])
