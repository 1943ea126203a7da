"""Shows again what a reactor showed, by the messages that it was shown with.

A Jupyter server drops text that comes too fast, and pages become slow with long outputs. So a
stretch of text that is long, or goes to and fro between the two streams, becomes one display
that opens on a click.
"""

from __future__ import annotations

import html
import re
import sys
import uuid
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from pyplant._formatting import counted, format_size
from pyplant.errors import logger
from pyplant.notebook.output.record import Output
from pyplant.reports.theme import LIGHT

__all__ = ["replay"]

_LINES = 1_000
_CHARACTERS = 200_000
_PIECES = 100  # each is a message, and the server counts these too
_ENDS = 20  # lines from each end of folded text, where it cannot be opened
_LINE = 1_000  # characters of each of them

_CODES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_PRE = "margin:2px 0;max-height:40em;overflow:auto;white-space:pre-wrap;word-break:break-all"
_SUMMARY = "cursor:pointer;font:12px/1.4 system-ui,-apple-system,'Segoe UI',sans-serif"
_ERRORS = f"background:var(--jp-rendermime-error-background,{LIGHT['bad']}22)"


def replay(shell: Any, events: Sequence[Any]) -> None:
    """Show outputs again, in order.

    Parameters
    ----------
    shell
        The ``InteractiveShell`` to show them in.
    events
        What :meth:`pyplant.notebook.output.recorder.OutputRecording.finish` returned.
    """
    try:
        outputs = [event for event in events if _is_sound(event)]
        for kind, group in groupby(outputs, key=lambda output: output["output_type"]):
            if kind == "stream":
                _show_text(shell, list(group))
            else:
                for output in group:
                    _show_display(shell, output)
    except Exception:  # noqa: BLE001 - what the reactor sent is there, whether or not this works
        logger().warning("Recorded output cannot be shown.", exc_info=True)


def _is_sound(event: Any) -> bool:
    if not isinstance(event, dict):
        return False
    if event.get("output_type") == "stream":
        return event.get("name") in {"stdout", "stderr"} and isinstance(event.get("text"), str)
    mappings = isinstance(event.get("data"), dict) and isinstance(event.get("metadata"), dict)
    return event.get("output_type") == "display_data" and mappings


def _show_display(shell: Any, output: Output) -> None:
    # An id of its own: an update of the one that was displayed back then must not reach this one.
    options = {"transient": {"display_id": uuid.uuid4().hex}} if "transient" in output else {}
    shell.display_pub.publish(output["data"], output["metadata"], **options)


def _show_text(shell: Any, outputs: Sequence[Output]) -> None:
    characters = sum(len(output["text"]) for output in outputs)
    lines = sum(output["text"].count("\n") for output in outputs)
    if characters > _CHARACTERS or lines > _LINES or len(outputs) > _PIECES:
        summary = f"{counted(lines, 'line')} of output ({format_size(characters)})"
        data = {"text/plain": _in_short(outputs, summary), "text/html": _folded(outputs, summary)}
        shell.display_pub.publish(data, {})
        return
    for output in outputs:
        stream = getattr(sys, output["name"])
        stream.write(output["text"])
        stream.flush()  # each stream has a buffer of its own; without this, one overtakes the other


def _folded(outputs: Sequence[Output], summary: str) -> str:
    text = "".join(_pieces(outputs))
    return (
        f'<details><summary style="{_SUMMARY}">{summary}</summary><pre style="{_PRE}">{text}</pre></details>'
    )


def _pieces(outputs: Sequence[Output]) -> Iterator[str]:
    for output in outputs:
        text = html.escape(_CODES.sub("", output["text"]))
        yield text if output["name"] == "stdout" else f'<span style="{_ERRORS}">{text}</span>'


def _in_short(outputs: Sequence[Output], summary: str) -> str:
    lines = "".join(output["text"] for output in outputs).splitlines()
    if len(lines) > 2 * _ENDS:
        lines = [*lines[:_ENDS], f"[... {summary} ...]", *lines[-_ENDS:]]
    return "\n".join(line if len(line) <= _LINE else f"{line[:_LINE]} [...]" for line in lines)
