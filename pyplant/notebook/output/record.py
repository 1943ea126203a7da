"""What a reactor showed, as one ordered list of outputs in the notebook format.

A record applies to recorded output what a front end does with live output:

* Consecutive writes to one stream are one output. They are collected as chunks and joined at the
  end: appending to a string each time takes time quadratic in its length.
* A carriage return moves to the start of the line, and the text after it overwrites the line.
* An update changes every display with its id, in place.
* Clearing removes all outputs, at once or when the next output comes.

The size of a record is bounded: it keeps the first and the last half megabyte of text and the first
20 MB of displays, and a note replaces what is omitted. Text is compacted every few megabytes, so a
reactor may print for days.
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

__all__ = ["Output", "OutputRecord", "apply_carriage_returns"]

Output = dict[str, Any]
"""One output in the notebook format (``output_type`` and so on)."""

_MAX_TEXT = 1_000_000  # characters of a record, half of them from each end
_MAX_TAIL = 4_000  # characters of the last lines
_MAX_BUFFERED = 4 * _MAX_TEXT  # characters that are collected before they are compacted
_MAX_DISPLAYS = 20_000_000  # bytes of all displays of a record
_LINE_SEARCH = 10_000  # characters; a cut moves back by up to this many to the end of a line
_WIDGET = "application/vnd.jupyter.widget-view+json"

_CURSOR_MOVE = re.compile(r"\x1b\[\d*(?:;\d*)?[A-HJSTfsu]")  # moves the cursor to another line or column
_ERASE = re.compile(r"\x1b\[[0-2]?K")
_ESCAPE_CODE = re.compile(r"\x1b\[[0-9;]*[a-zA-Z]")


class _Text:
    """Consecutive text of one stream."""

    __slots__ = ("chunks", "stream")

    def __init__(self, stream: str, text: str) -> None:
        self.stream = stream
        self.chunks = [text]

    def joined(self) -> str:
        if len(self.chunks) > 1:
            self.chunks[:] = ["".join(self.chunks)]
        return self.chunks[0]


class _Omission:
    """Stands in the place of omitted text and counts it."""

    __slots__ = ("characters", "lines", "stream")

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.characters = self.lines = 0

    def add(self, text: str) -> None:
        self.characters += len(text)
        self.lines += text.count("\n")

    def __str__(self) -> str:
        return f"[{counted(self.lines, 'line')} ({format_size(self.characters)}) shown here, not recorded]\n"


class _Display:
    """A display with its current content."""

    __slots__ = ("data", "id", "metadata", "size", "view")

    def __init__(self, display_id: str | None) -> None:
        self.id = display_id
        self.size = 0

    def show(self, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        self.data = {str(kind): _as_json(value) for kind, value in data.items()}
        self.metadata = _as_json(dict(metadata))
        # A widget needs its model, which ends with the kernel; its text is recorded instead.
        self.view = self.data.pop(_WIDGET, None)
        self.size = sum(
            len(value) if isinstance(value, str) else len(json.dumps(value)) for value in self.data.values()
        )

    def omit(self) -> None:
        kinds = ", ".join(kind for kind in self.data if kind != "text/plain") or "text/plain"
        note = f"[{kinds}, {format_size(self.size)}, was shown here and is not recorded]"
        self.data, self.metadata, self.view, self.size = {"text/plain": note}, {}, None, 0


# One lock for all records, since it is held for microseconds only. Reentrant, because the garbage
# collector may run here and the finalizer of an object may print.
_lock = threading.RLock()


class OutputRecord:
    """The outputs of one execution; thread-safe."""

    __slots__ = ("_by_id", "_characters", "_clear_on_next", "_displayed_bytes", "_events")

    def __init__(self) -> None:
        self._clear_on_next = False
        self._clear()

    def write(self, stream: str, text: str) -> None:
        """Add text that was written to ``stdout`` or ``stderr``."""
        if not text:  # it would part the text of the other stream in two
            return
        with _lock:
            events = self._open_events()
            last = events[-1] if events else None
            if isinstance(last, _Text) and last.stream == stream:
                last.chunks.append(text)
            else:
                events.append(_Text(stream, text))
            self._characters += len(text)
            if self._characters > _MAX_BUFFERED:
                self._compact()

    def display(
        self, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str | None = None
    ) -> None:
        """Add a display; earlier displays with the same id get its content."""
        with _lock:
            shown = _Display(display_id)
            self._open_events().append(shown)
            if display_id is None:
                self._set_content(shown, data, metadata)
            else:
                self._by_id.setdefault(display_id, []).append(shown)
                self.update(data, metadata, display_id)

    def update(self, data: Mapping[str, Any], metadata: Mapping[str, Any], display_id: str | None) -> None:
        """Change the displays with an id; an id displayed by other code is ignored."""
        with _lock:
            for shown in self._by_id.get(display_id, ()):
                self._set_content(shown, data, metadata)

    def clear(self, *, wait: bool) -> None:
        """Remove all outputs; with ``wait`` only when the next output comes."""
        with _lock:
            self._clear_on_next = wait
            if not wait:
                self._clear()

    def outputs(self) -> list[Output]:
        """Return the outputs in order."""
        if not self._events:  # the common case, without the lock
            return []
        with _lock:
            self._compact()
            outputs: list[Output] = []
            for event in self._events:
                if isinstance(event, _Display):
                    outputs.extend(_display_output(event))
                    continue
                text = str(event) if isinstance(event, _Omission) else event.joined()
                last = outputs[-1] if outputs else {}
                if last.get("name") == event.stream:
                    last["text"] += text  # the widget between them was closed and has no output
                else:
                    outputs.append({"output_type": "stream", "name": event.stream, "text": text})
            # Only now, since a line may go on in the text after a closed widget.
            for output in outputs:
                if "text" in output:
                    output["text"] = apply_carriage_returns(output["text"])
            return [output for output in outputs if output.get("text") != ""]

    def tail(self, count: int) -> str:
        """Return the last lines of text."""
        if not self._events:
            return ""
        with _lock:
            texts = [event.joined() for event in self._events[-count:] if isinstance(event, _Text)]
        lines = apply_carriage_returns("".join(texts)[-_MAX_TAIL:]).splitlines()
        return "\n".join(lines[-count:])

    def _clear(self) -> None:
        self._events: list[_Text | _Omission | _Display] = []
        self._by_id: dict[str | None, list[_Display]] = {}
        self._characters = self._displayed_bytes = 0

    def _open_events(self) -> list[_Text | _Omission | _Display]:
        if self._clear_on_next:
            self._clear_on_next = False
            self._clear()
        return self._events

    def _set_content(self, shown: _Display, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        self._displayed_bytes -= shown.size  # of its former content, if this is an update
        shown.show(data, metadata)
        if self._displayed_bytes + shown.size > _MAX_DISPLAYS:
            shown.omit()
        self._displayed_bytes += shown.size

    def _compact(self) -> None:
        for event in self._events:
            if isinstance(event, _Text):
                event.chunks = [apply_carriage_returns(event.joined(), is_partial=True)]
        self._events = _omit_middle(self._events)
        self._characters = sum(len(event.joined()) for event in self._events if isinstance(event, _Text))


def apply_carriage_returns(text: str, *, is_partial: bool = False) -> str:
    r"""Return the text that a terminal shows after lines were overwritten with ``\r``.

    Parameters
    ----------
    text
        The text as it was written.
    is_partial
        Whether other text may precede and follow. The text then keeps a ``\r`` that it begins with,
        and the last line its last ``\r``, since the cursor is at the position after it.
    """
    text = text.replace("\r\n", "\n")
    if "\r" not in text:
        return text
    if is_partial and text.startswith("\r"):
        return "\r" + apply_carriage_returns(text.lstrip("\r"), is_partial=True)
    lines = text.split("\n")
    last = lines.pop()
    if is_partial and "\r" in last:
        before, _, after = last.rpartition("\r")
        last = f"{_visible_line(before)}\r{after}"
    else:
        last = _visible_line(last)
    return "\n".join([*map(_visible_line, lines), last])


def _visible_line(line: str) -> str:
    if "\r" not in line or _CURSOR_MOVE.search(line):
        return line  # left to the front end, which handles such codes in live output too
    visible, *rewrites = line.split("\r")
    for text in rewrites:
        if _ERASE.search(text):
            visible = _ERASE.sub("", text)
        elif text:
            # Codes take no columns; those of the old text are dropped.
            length = len(_ESCAPE_CODE.sub("", text))
            visible = text if length >= len(visible) else text + _ESCAPE_CODE.sub("", visible)[length:]
    return visible


def _omit_middle(events: list[_Text | _Omission | _Display]) -> list[_Text | _Omission | _Display]:
    """Omit the middle of the text if it is too long.

    Displays stay where they are. Text that an earlier call omitted stays omitted: the new omission
    begins at the same place and counts both.
    """
    total = sum(len(event.joined()) for event in events if isinstance(event, _Text))
    if total <= _MAX_TEXT:
        return events
    head_end, tail_start = _MAX_TEXT // 2, total - _MAX_TEXT // 2  # the text in between is omitted
    result: list[_Text | _Omission | _Display] = []
    omission: _Omission | None = None
    offset = 0
    for event in events:
        if isinstance(event, _Omission):
            omission = event
            result.append(omission)
            head_end = offset
        if not isinstance(event, _Text):
            if event is not omission:
                result.append(event)
            continue
        text = event.joined()
        first = _cut_position(text, min(max(head_end - offset, 0), len(text)))
        second = _cut_position(text, min(max(tail_start - offset, first), len(text)))
        offset += len(text)
        if first == second:
            result.append(event)
            continue
        result.extend([_Text(event.stream, text[:first])] if first else [])
        if omission is None:
            omission = _Omission(event.stream)
            result.append(omission)
        omission.add(text[first:second])
        result.extend([_Text(event.stream, text[second:])] if second < len(text) else [])
    return result


def _cut_position(text: str, position: int) -> int:
    """Return where to cut near a position: after the end of a line if one is close."""
    if position in {0, len(text)}:
        return position
    return text.rfind("\n", max(position - _LINE_SEARCH, 0), position) + 1 or position


def _display_output(shown: _Display) -> Iterable[Output]:
    data = shown.data
    if shown.view is not None:
        text = _widget_text(shown.view, data.get("text/plain", ""))
        if not text:
            return
        data = {**data, "text/plain": f"{text} (interactive, not replayed)"}
    output = {"output_type": "display_data", "data": data, "metadata": shown.metadata}
    if shown.id is not None:
        output["transient"] = {"display_id": shown.id}
    yield output


def _widget_text(view: Any, text: str) -> str:
    """Return the current text of a widget; ``""`` if it was closed and is no longer visible.

    The text that was recorded with the display is outdated: a progress bar was at 0 % then.
    """
    widgets = getattr(sys.modules.get("ipywidgets.widgets.widget"), "_instances", None)
    if widgets is None or not isinstance(view, dict):
        return text or "widget"
    try:
        widget = widgets.get(view.get("model_id"))
        return "" if widget is None else repr(widget)
    except Exception:  # noqa: BLE001 - code of other libraries; the recorded text is used instead
        return text or "widget"


def _as_json(value: Any) -> Any:
    """Convert a value to what JSON can hold."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")  # the notebook format of pictures
    try:
        return json.loads(json.dumps(value, default=str))
    except (TypeError, ValueError):
        return str(value)
