"""Progress in a terminal: an event listener that draws on standard error with rich."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any, Literal, NamedTuple, cast

from pyplant import _streams
from pyplant._formatting import clean, format_seconds
from pyplant.errors import ConfigError
from pyplant.events import (
    Dispatcher,
    Event,
    ProgressAdvanced,
    ReactorBlocked,
    ReactorCached,
    ReactorFailed,
    ReactorFinished,
    ReactorStarted,
    RunFinished,
    RunStarted,
)

__all__ = ["TerminalProgress", "add_progress", "is_terminal"]

_DELAY = 0.3  # seconds before the first drawing, so that short runs draw nothing


def is_terminal() -> bool:
    """Return whether standard error is a terminal, and this process is not a notebook kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return _streams.is_terminal(sys.stderr) and not hasattr(shell, "kernel")


def add_progress(listeners: Dispatcher, progress: bool | Literal["auto"]) -> None:  # noqa: FBT001 - public values
    """Add a listener that draws progress: if ``True``, or if ``"auto"`` and standard error is a terminal.

    Raises
    ------
    pyplant.errors.ConfigError
        If ``progress`` has another value.
    """
    if progress not in (True, False, "auto"):
        message = f"progress is True, False or 'auto', not {progress!r}."
        raise ConfigError(message)
    if progress is True or (progress == "auto" and is_terminal()):
        listeners.add(TerminalProgress())


class _Bar(NamedTuple):
    label: str
    done: int | None = None
    total: int | None = None


class TerminalProgress:
    """Draws a bar for each running reactor, and a line for each finished one.

    The display opens after a delay. Lines from before are buffered and drawn when it opens. A timer opens
    it, since a first reactor that takes hours emits no event.
    """

    def __init__(self) -> None:
        self._live: Any = None
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()
        self._bars: dict[tuple[str, str], Any] = {}
        self._pending: list[str] = []
        self._current: dict[tuple[str, str], _Bar] = {}

    def __call__(self, event: Event) -> None:
        """Handle an event."""
        with self._lock:
            self._handle(event)

    def _handle(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._start_timer()
            case ReactorStarted(reactor=name):
                self._remove(name)
                self._draw(name, "", _Bar(name))
            case ReactorBlocked(reactor=name, owner=owner, since=since, stopped=stopped):
                ago = format_seconds(max(0.0, time.time() - since))
                state = " (stopped)" if stopped else ""
                self._draw(name, "blocked", _Bar(f"{name}: computed by {owner}{state}, for {ago}"))
            case ProgressAdvanced(reactor=name, description=text, done=done, total=total):
                self._draw(name, text, _Bar(f"{name}: {text}" if text else name, done, total))
            case ReactorCached(reactor=name):
                self._remove(name)
            case ReactorFinished(reactor=name, seconds=seconds):
                self._finish(name, f"[green]●[/] {_escaped(name)}  [dim]{format_seconds(seconds)}[/]")
            case ReactorFailed(reactor=name):
                self._finish(name, f"[red]✗[/] {_escaped(name)}")
            case RunFinished(report=report):
                self._close_display(report)

    def _start_timer(self) -> None:
        self._pending.clear()
        self._current.clear()
        self._timer = threading.Timer(_DELAY, self._open_display)
        self._timer.daemon = True
        self._timer.start()

    def _open_display(self) -> None:
        """Open the display; called by the timer."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        with self._lock:
            if self._timer is None or self._live is not None:
                return  # the run has ended, or the display is open
            self._live = Progress(
                TextColumn("[blue]▶[/] {task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(file=cast("Any", _streams.TolerantStream(sys.stderr)), stderr=True),
                transient=True,
            )
            self._live.start()
            for line in self._pending:
                self._live.console.print(line, highlight=False)
            for (name, text), bar in self._current.items():
                self._draw(name, text, bar)

    def _draw(self, name: str, text: str, bar: _Bar) -> None:
        self._current[name, text] = bar
        if self._live is None:
            return
        if (name, text) not in self._bars:
            self._bars[name, text] = self._live.add_task("", total=None, count="")
        count = "" if bar.done is None else f"{bar.done}/{bar.total}" if bar.total else str(bar.done)
        self._live.update(
            self._bars[name, text],
            description=_escaped(bar.label),
            completed=bar.done or 0,
            total=bar.total,
            count=count,
        )

    def _remove(self, name: str) -> None:
        for key in [key for key in self._current if key[0] == name]:
            del self._current[key]
            if key in self._bars:
                self._live.remove_task(self._bars.pop(key))

    def _finish(self, name: str, line: str) -> None:
        self._remove(name)
        if self._live is None:
            self._pending.append(line)
        else:
            self._live.console.print(line, highlight=False)

    def _close_display(self, report: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        live, self._live, self._timer = self._live, None, None
        self._bars.clear()
        if live is not None:
            live.stop()
            live.console.print(f"[dim]{_escaped(report.title())}[/]", highlight=False)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(clean(text))
