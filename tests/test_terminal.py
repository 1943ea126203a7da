"""Progress in a terminal."""

import io
import sys

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import ConfigError
from pyplant.events import (
    ProgressAdvanced,
    ReactorCached,
    ReactorFailed,
    ReactorFinished,
    ReactorStarted,
    RunFinished,
    RunStarted,
)
from pyplant.report import RunReport
from pyplant.terminal import TerminalProgress, is_terminal


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def use_terminal(monkeypatch):
    """Not a fixture: pytest sets standard error anew when the test begins."""
    stream = _Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def play(progress, *events):
    progress(RunStarted(("plot",)))
    for event in events:
        progress(event)
    progress(RunFinished(RunReport("plot", (), 0.5)))


def test_short_runs_leave_the_terminal_alone(monkeypatch):
    terminal = use_terminal(monkeypatch)
    play(TerminalProgress(), ReactorStarted("a"), ReactorFinished("a", 0.01))
    assert terminal.getvalue() == ""


def test_long_runs_show_reactors_bars_and_failures(monkeypatch):
    terminal = use_terminal(monkeypatch)
    monkeypatch.setattr("pyplant.terminal._QUIET", -1)
    play(
        TerminalProgress(),
        ReactorStarted("load[data]"),
        ProgressAdvanced("load[data]", "reading", 1, 4),
        ReactorFinished("load[data]", 2.0),
        ReactorCached("old", 3.0),
        ReactorStarted("bad"),
        ReactorFailed("bad", ValueError("boom")),
    )
    shown = terminal.getvalue()
    assert "load[data]" in shown
    assert "✗" in shown
    assert "plot: nothing to do" in shown


def test_a_pipe_is_no_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not is_terminal()


def test_a_plant_is_silent_where_nobody_watches(tmp_path, capsys):
    @ReactorFunc
    def quiet(pipe):
        pipe.send("x", 1)

    with Plant(tmp_path / "plant", progress="auto") as plant:
        plant.add_reactor(quiet)
        plant.run_reactor(quiet)
    assert capsys.readouterr() == ("", "")


def test_progress_takes_only_its_three_values(tmp_path):
    with pytest.raises(ConfigError, match="'auto'"):
        Plant(tmp_path / "plant", progress="yes")
