"""Progress in a terminal: one listener among others, drawn with rich on standard error."""

from __future__ import annotations

import sys
import time
from typing import Any

from pyplant.errors import ConfigError
from pyplant.events import (
    Dispatcher,
    Event,
    ProgressAdvanced,
    ReactorCached,
    ReactorFailed,
    ReactorFinished,
    ReactorStarted,
    RunFinished,
    RunStarted,
)
from pyplant.report import clean, format_seconds

__all__ = ["TerminalProgress", "follow", "is_terminal"]

_QUIET = 0.3  # seconds before anything is drawn: short runs leave the terminal alone


def is_terminal() -> bool:
    """Whether somebody watches standard error, outside of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return sys.stderr.isatty() and not hasattr(shell, "kernel")


def follow(listeners: Dispatcher, progress: bool | str) -> None:  # noqa: FBT001 - public values
    """Draw progress from now on: if ``True``, or if ``"auto"`` and somebody watches.

    Raises
    ------
    pyplant.errors.ConfigError
        If ``progress`` is something else.
    """
    if progress not in (True, False, "auto"):
        message = f"progress is True, False or 'auto', not {progress!r}."
        raise ConfigError(message)
    if progress is True or (progress == "auto" and is_terminal()):
        listeners.add(TerminalProgress())


class TerminalProgress:
    """Draws the reactors that run, and a line for each that has finished."""

    def __init__(self) -> None:
        self._live: Any = None
        self._bars: dict[tuple[str, str], Any] = {}
        self._began = 0.0
        self._cached = 0
        self._pending: list[str] = []

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case RunStarted():
                self._began, self._cached = time.monotonic(), 0
                self._pending.clear()
            case ReactorStarted(reactor=name):
                self._bar(name, "", total=None)
            case ProgressAdvanced(reactor=name, description=text, done=done, total=total):
                self._advance(name, text, done, total)
            case ReactorCached():
                self._cached += 1
            case ReactorFinished(reactor=name, seconds=seconds):
                self._end(name, f"[green]●[/] {_escaped(name)}  [dim]{format_seconds(seconds)}[/]")
            case ReactorFailed(reactor=name):
                self._end(name, f"[red]✗[/] {_escaped(name)}")
            case RunFinished(report=report):
                self._close(report)

    def _open(self) -> Any:
        """The display, once a run has taken long enough to need one."""
        if self._live is None and time.monotonic() - self._began > _QUIET:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

            self._live = Progress(
                TextColumn("[blue]▶[/] {task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._live.start()
            for line in self._pending:
                self._live.console.print(line, highlight=False)
            self._pending.clear()
        return self._live

    def _bar(self, name: str, text: str, total: int | None) -> Any:
        live = self._open()
        if live is None:
            return None
        if (name, text) not in self._bars:
            label = _escaped(f"{name}: {text}" if text else name)
            self._bars[name, text] = live.add_task(label, total=total, count="")
        return self._bars[name, text]

    def _advance(self, name: str, text: str, done: int, total: int | None) -> None:
        bar = self._bar(name, text, total)
        if bar is not None:
            self._live.update(
                bar, completed=done, total=total, count=f"{done}/{total}" if total else str(done)
            )

    def _end(self, name: str, line: str) -> None:
        live = self._open()
        if live is None:
            self._pending.append(line)
            return
        for key in [key for key in self._bars if key[0] == name]:
            live.remove_task(self._bars.pop(key))
        live.console.print(line, highlight=False)

    def _close(self, report: Any) -> None:
        live, self._live = self._live, None
        self._bars.clear()
        if live is not None:
            live.stop()
            live.console.print(f"[dim]{_escaped(report.title())}[/]", highlight=False)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(clean(text))
