"""What a reactor showed, as one ordered list: outputs in the form of the notebook format.

The rules, all of them what a front end does with live output:

* Writes to one stream that follow one another are one output. They are collected as lists
  and joined at the end: adding to a text again and again takes time quadratic in its length.
* A carriage return goes back to the start of the line, and what follows overwrites it.
* An update changes what was displayed under its id, where that stands.
* Cleared output is gone, at once or when the next output comes.

A record is bounded. Of text the first and the last half megabyte stay, of displays the
first 20 MB; a line says what is not there. While text comes in it is squeezed every few
megabytes, so that a reactor may print for days.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from pyplant._formatting import counted, format_size

__all__ = ["Output", "OutputRecord", "collapsed"]

Output = dict[str, Any]
"""One output, as the notebook format has it (``output_type`` and so on)."""

_TEXT = 1_000_000  # characters that are kept, half of them from each end
_RAW = 4 * _TEXT  # characters that are held before they are squeezed
_DISPLAYS = 20_000_000  # bytes of what was displayed
_LINE = 10_000  # characters by which a cut may move to be at the end of a line
_WIDGET = "application/vnd.jupyter.widget-view+json"

_MOVES = re.compile(r"\x1b\[\d*(?:;\d*)?[A-HJSTfsu]")  # the cursor goes elsewhere
_ERASES = re.compile(r"\x1b\[[0-2]?K")
_CODES = re.compile(r"\x1b\[[0-9;]*[a-zA-Z]")


class _Text:
    """What was written to a stream."""

    __slots__ = ("chunks", "stream")

    def __init__(self, stream: str, text: str) -> None:
        self.stream = stream
        self.chunks = [text]

    def joined(self) -> str:
        if len(self.chunks) > 1:
            self.chunks[:] = ["".join(self.chunks)]
        return self.chunks[0]


class _Gap:
    """Text that is not kept."""

    __slots__ = ("characters", "lines", "stream")

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.characters = self.lines = 0

    def add(self, text: str) -> None:
        self.characters += len(text)
        self.lines += text.count("\n")

    def __str__(self) -> str:
        return f"[{counted(self.lines, 'line')} ({format_size(self.characters)}) shown here, not kept]\n"


class _Display:
    """What was displayed, as it looks now."""

    __slots__ = ("data", "id", "metadata", "size", "view")

    def __init__(self, display_id: str | None) -> None:
        self.id = display_id
        self.size = 0

    def show(self, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        self.data = {str(kind): _plain(value) for kind, value in data.items()}
        self.metadata = _plain(dict(metadata))
        self.view = self.data.pop(_WIDGET, None)
        self.size = sum(
            len(value) if isinstance(value, str) else len(json.dumps(value)) for value in self.data.values()
        )

    def leave_out(self) -> None:
        kinds = ", ".join(kind for kind in self.data if kind != "text/plain") or "text/plain"
        note = f"[{kinds}, {format_size(self.size)}, was shown here and is not kept]"
        self.data, self.metadata, self.view, self.size = {"text/plain": note}, {}, None, 0


# Held for moments, so one is enough for all records. Its owner may take it again: an object that
# dies in the midst of this may print.
_lock = threading.RLock()


class OutputRecord:
    """What one execution showed. Any thread may add to it."""

    __slots__ = ("_by_id", "_characters", "_clear_next", "_displayed", "_events")

    def __init__(self) -> None:
        self._clear_next = False
        self._clear()

    def write(self, stream: str, text: str) -> None:
        """Add text that was written to ``stdout`` or ``stderr``."""
        with _lock:
            events = self._next()
            last = events[-1] if events else None
            if isinstance(last, _Text) and last.stream == stream:
                last.chunks.append(text)
            else:
                events.append(_Text(stream, text))
            self._characters += len(text)
            if self._characters > _RAW:
                self._squeeze()

    def display(
        self, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str | None = None
    ) -> None:
        """Add what was displayed; whatever has the same id looks like that from now on."""
        with _lock:
            shown = _Display(display_id)
            self._next().append(shown)
            if display_id is None:
                self._show(shown, data, metadata)
            else:
                self._by_id.setdefault(display_id, []).append(shown)
                self.update(data, metadata, display_id)

    def update(self, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str | None) -> None:
        """Change what was displayed under an id; it does nothing if that was elsewhere."""
        with _lock:
            for shown in self._by_id.get(display_id, ()):
                self._show(shown, data, metadata)

    def clear(self, *, wait: bool) -> None:
        """Forget everything, when the next output comes if ``wait`` is true."""
        with _lock:
            self._clear_next = wait
            if not wait:
                self._clear()

    def outputs(self) -> list[Output]:
        """What was shown, in order."""
        if not self._events:  # most often
            return []
        with _lock:
            self._squeeze()
            outputs: list[Output] = []
            for event in self._events:
                if isinstance(event, _Display):
                    outputs.extend(_display_output(event))
                    continue
                text = str(event) if isinstance(event, _Gap) else collapsed(event.joined())
                last = outputs[-1] if outputs else {}
                if last.get("name") == event.stream:
                    last["text"] += text  # rarely: what stood between was left out
                elif text:
                    outputs.append({"output_type": "stream", "name": event.stream, "text": text})
            return outputs

    def _clear(self) -> None:
        self._events: list[_Text | _Gap | _Display] = []
        self._by_id: dict[str | None, list[_Display]] = {}
        self._characters = self._displayed = 0

    def _next(self) -> list[_Text | _Gap | _Display]:
        if self._clear_next:
            self._clear_next = False
            self._clear()
        return self._events

    def _show(self, shown: _Display, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        self._displayed -= shown.size
        shown.show(data, metadata)
        if self._displayed + shown.size > _DISPLAYS:
            shown.leave_out()
        self._displayed += shown.size

    def _squeeze(self) -> None:
        for event in self._events:
            if isinstance(event, _Text):
                event.chunks = [collapsed(event.joined(), goes_on=True)]
        self._events = _without_middle(self._events)
        self._characters = sum(len(event.joined()) for event in self._events if isinstance(event, _Text))


def collapsed(text: str, *, goes_on: bool = False) -> str:
    r"""Text as a terminal would show it once everything is written.

    Parameters
    ----------
    text
        With lines that are written over and over, after a ``\r``.
    goes_on
        More may follow: the last line still says where the next letter goes.
    """
    text = text.replace("\r\n", "\n")
    if "\r" not in text:
        return text
    lines = text.split("\n")
    last = lines.pop()
    if goes_on and "\r" in last:
        before, _, after = last.rpartition("\r")
        last = f"{_overwritten(before)}\r{after}"
    else:
        last = _overwritten(last)
    return "\n".join([*map(_overwritten, lines), last])


def _overwritten(line: str) -> str:
    if "\r" not in line or _MOVES.search(line):
        return line  # a front end makes of it what it makes of it live
    shown, *rest = line.split("\r")
    for text in rest:
        if _ERASES.search(text):
            shown = _ERASES.sub("", text)
        elif text:
            length = len(_CODES.sub("", text))
            shown = text if length >= len(shown) else text + _CODES.sub("", shown)[length:]
    return shown


def _without_middle(events: list[_Text | _Gap | _Display]) -> list[_Text | _Gap | _Display]:
    """The same with the middle of the text left out, if there is more than may be kept."""
    total = sum(len(event.joined()) for event in events if isinstance(event, _Text))
    if total <= _TEXT:
        return events
    begins, ends = _TEXT // 2, total - _TEXT // 2  # what is between goes
    kept: list[_Text | _Gap | _Display] = []
    gap: _Gap | None = None
    at = 0
    for event in events:
        if isinstance(event, _Gap):
            gap = event  # text was left out before: from here on
            kept.append(gap)
            begins = at
        if not isinstance(event, _Text):
            if event is not gap:
                kept.append(event)
            continue
        text = event.joined()
        first = _cut(text, min(max(begins - at, 0), len(text)))
        second = _cut(text, min(max(ends - at, first), len(text)))
        at += len(text)
        if first == second:
            kept.append(event)
            continue
        kept.extend([_Text(event.stream, text[:first])] if first else [])
        if gap is None:
            gap = _Gap(event.stream)
            kept.append(gap)
        gap.add(text[first:second])
        kept.extend([_Text(event.stream, text[second:])] if second < len(text) else [])
    return kept


def _cut(text: str, place: int) -> int:
    """Where to cut near a place: after a line if one ends there."""
    if place in {0, len(text)}:
        return place
    return text.rfind("\n", max(place - _LINE, 0), place) + 1 or place


def _display_output(shown: _Display) -> Iterable[Output]:
    data = shown.data
    if shown.view is not None:
        text = _text_of_widget(shown.view, data.get("text/plain", ""))
        if not text:
            return
        data = {**data, "text/plain": f"{text} (interactive, not replayed)"}
    output = {"output_type": "display_data", "data": data, "metadata": shown.metadata}
    if shown.id is not None:
        output["transient"] = {"display_id": shown.id}
    yield output


def _text_of_widget(view: Any, text: str) -> str:
    """What a widget says now; nothing if it was closed, and is not to be seen any more.

    Its text when it was displayed is out of date: of a progress bar, 0 %.
    """
    widgets = getattr(sys.modules.get("ipywidgets.widgets.widget"), "_instances", None)
    if widgets is None or not isinstance(view, dict):
        return text or "widget"
    try:
        widget = widgets.get(view.get("model_id"))
        return "" if widget is None else repr(widget)
    except Exception:  # noqa: BLE001 - an object of others; how it was displayed will do
        return text or "widget"


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")  # what front ends expect of pictures
    try:
        return json.loads(json.dumps(value, default=str))
    except (TypeError, ValueError):
        return str(value)
