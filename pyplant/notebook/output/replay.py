"""Shows recorded outputs again, as the same kinds of messages.

A Jupyter server drops text that arrives too fast, and long outputs make pages slow. A stretch of text
that is long, or consists of many pieces of alternating streams, therefore becomes one collapsible
display.
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

_MAX_LINES = 1_000
_MAX_CHARACTERS = 200_000
_MAX_PIECES = 100  # each piece is a message, and the server limits messages too
_SHOWN_LINES = 20  # lines from each end, in front ends that show no HTML
_MAX_LINE = 1_000  # characters of one such line

_ESCAPE_CODE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_PRE_STYLE = "margin:2px 0;max-height:40em;overflow:auto;white-space:pre-wrap;word-break:break-all"
_SUMMARY_STYLE = "cursor:pointer;font:12px/1.4 system-ui,-apple-system,'Segoe UI',sans-serif"
_ERROR_STYLE = f"background:var(--jp-rendermime-error-background,{LIGHT['bad']}22)"


def replay(shell: Any, events: Sequence[Any]) -> None:
    """Show recorded outputs, in order.

    Parameters
    ----------
    shell
        The ``InteractiveShell`` to show them in.
    events
        What :meth:`pyplant.notebook.output.recorder.OutputRecording.finish` returned.
    """
    try:
        outputs = [event for event in events if _is_valid(event)]
        for kind, group in groupby(outputs, key=lambda output: output["output_type"]):
            if kind == "stream":
                _show_text(shell, list(group))
            else:
                for output in group:
                    _show_display(shell, output)
    except Exception:  # noqa: BLE001 - a replay that fails must not fail the run
        logger().warning("Recorded output cannot be shown.", exc_info=True)


def _is_valid(event: Any) -> bool:
    if not isinstance(event, dict):
        return False
    if event.get("output_type") == "stream":
        return event.get("name") in {"stdout", "stderr"} and isinstance(event.get("text"), str)
    mappings = isinstance(event.get("data"), dict) and isinstance(event.get("metadata"), dict)
    return event.get("output_type") == "display_data" and mappings


def _show_display(shell: Any, output: Output) -> None:
    # A new id: updates of the original display, which may still be live, must not change this one.
    options = {"transient": {"display_id": uuid.uuid4().hex}} if "transient" in output else {}
    shell.display_pub.publish(output["data"], output["metadata"], **options)


def _show_text(shell: Any, outputs: Sequence[Output]) -> None:
    characters = sum(len(output["text"]) for output in outputs)
    lines = sum(output["text"].count("\n") for output in outputs)
    if characters > _MAX_CHARACTERS or lines > _MAX_LINES or len(outputs) > _MAX_PIECES:
        summary = f"{counted(lines, 'line')} of output ({format_size(characters)})"
        data = {"text/plain": _abbreviated(outputs, summary), "text/html": _collapsible(outputs, summary)}
        shell.display_pub.publish(data, {})
        return
    for output in outputs:
        stream = getattr(sys, output["name"])
        stream.write(output["text"])
        stream.flush()  # the streams have separate buffers; without this their order would be lost


def _collapsible(outputs: Sequence[Output], summary: str) -> str:
    text = "".join(_html_pieces(outputs))
    return f'<details><summary style="{_SUMMARY_STYLE}">{summary}</summary><pre style="{_PRE_STYLE}">{text}</pre></details>'


def _html_pieces(outputs: Sequence[Output]) -> Iterator[str]:
    for output in outputs:
        text = html.escape(_ESCAPE_CODE.sub("", output["text"]))
        yield text if output["name"] == "stdout" else f'<span style="{_ERROR_STYLE}">{text}</span>'


def _abbreviated(outputs: Sequence[Output], summary: str) -> str:
    lines = "".join(output["text"] for output in outputs).splitlines()
    if len(lines) > 2 * _SHOWN_LINES:
        lines = [*lines[:_SHOWN_LINES], f"[... {summary} ...]", *lines[-_SHOWN_LINES:]]
    return "\n".join(line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]} [...]" for line in lines)
