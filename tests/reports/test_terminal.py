"""Progress in a terminal."""

import io
import sys
import time

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.errors import ConfigError
from pyplant.events import (
    ProgressAdvanced,
    ReactorBlocked,
    ReactorCached,
    ReactorFailed,
    ReactorFinished,
    ReactorStarted,
    RunFinished,
    RunStarted,
)
from pyplant.reports.report import RunReport
from pyplant.reports.terminal import TerminalProgress, is_terminal


class _Terminal(io.StringIO):
    def isatty(self):
        return True


def use_terminal(monkeypatch):
    """Not a fixture: pytest replaces standard error again when the test starts."""
    stream = _Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    return stream


def play(progress, *events):
    progress(RunStarted(("plot",)))
    for event in events:
        progress(event)
    progress(RunFinished(RunReport("plot", (), 0.5)))


def test_short_runs_draw_nothing(monkeypatch):
    terminal = use_terminal(monkeypatch)
    play(TerminalProgress(), ReactorStarted("a"), ReactorFinished("a", 0.01))
    assert terminal.getvalue() == ""


def shown_after(terminal, text, seconds=10.0):
    """Wait until ``text`` was drawn, and return everything drawn so far."""
    deadline = time.monotonic() + seconds
    while text not in terminal.getvalue() and time.monotonic() < deadline:
        time.sleep(0.01)
    return terminal.getvalue()


def test_long_runs_show_reactors_bars_and_failures(monkeypatch):
    terminal = use_terminal(monkeypatch)
    monkeypatch.setattr("pyplant.reports.terminal._DELAY", 0.01)
    progress = TerminalProgress()
    progress(RunStarted(("plot",)))
    progress(ReactorStarted("early"))
    progress(ReactorFinished("early", 1.0))
    progress(ReactorStarted("load[data]"))
    assert "early" in shown_after(terminal, "load[data]")  # nothing else happened
    progress(ProgressAdvanced("load[data]", "reading", 1, 4))
    shown_after(terminal, "reading")
    progress(ReactorFinished("load[data]", 2.0))
    progress(ReactorCached("old", 3.0))
    progress(ReactorStarted("bad"))
    progress(ReactorFailed("bad", ValueError("boom")))
    progress(RunFinished(RunReport("plot", (), 0.5)))
    shown = terminal.getvalue()
    assert "1/4" in shown
    assert "✗" in shown
    assert "plot: nothing to do" in shown


def test_the_computing_process_is_shown_until_the_result_is_ready(monkeypatch):
    terminal = use_terminal(monkeypatch)
    monkeypatch.setattr("pyplant.reports.terminal._DELAY", 0.01)
    progress = TerminalProgress()
    progress(RunStarted(("plot",)))
    progress(ReactorBlocked("load", "kernel 4711 on host a", time.time() - 180))
    assert "kernel 4711" in shown_after(terminal, "for 3")
    progress(ReactorCached("load", 3.0))
    assert not progress._current
    progress(RunFinished(RunReport("plot", (), 0.5)))


def test_a_pipe_is_not_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not is_terminal()


def test_a_plant_is_silent_without_a_terminal(tmp_path, capsys):
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


def test_a_display_is_opened_once(monkeypatch):
    monkeypatch.setattr("pyplant.reports.terminal._DELAY", 60.0)
    progress = TerminalProgress()
    progress(RunStarted(("a",)))
    progress._open_display()
    live = progress._live
    progress._open_display()
    assert progress._live is live
    progress(RunFinished(RunReport("a", (), 0.0)))
