"""The widget of the live graph: three traits, drawn by the front end in ``static/``."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import anywidget
import traitlets

from pyplant.errors import logger
from pyplant.reports.theme import WIDGET

__all__ = ["GraphWidget"]

_STATIC = files("pyplant.notebook") / "static"
# In the order of their imports: each module comes after those that it imports.
_MODULES = (
    "status",
    "format",
    "geometry",
    "keys",
    "dom",
    "state",
    "link",
    "canvas",
    "panel",
    "table",
    "view",
    "graph",
)
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default )", re.MULTILINE)
_COMMENT = re.compile(r"^ *(?://.*|/\*[\s\S]*?\*/)\n", re.MULTILINE)
_INDENTATION = re.compile(r"^ +", re.MULTILINE)  # a sixth of the text, which each saved widget contains


def _joined_modules() -> str:
    """Join the modules into one, which anywidget requires.

    A widget has no address from which the browser could load further modules. Top-level names are unique
    in all modules (a test checks this), so their texts can be joined without imports and exports. Comments
    are left out, since each saved notebook with a widget holds the text: a sixth of it.
    """
    texts = ((_STATIC / f"{name}.js").read_text(encoding="utf-8") for name in _MODULES)
    return "\n".join(
        _INDENTATION.sub("", _EXPORT.sub("", _IMPORT.sub("", _COMMENT.sub("", text)))) for text in texts
    )


class GraphWidget(anywidget.AnyWidget):
    """The widget of one call of ``show_graph``.

    Parameters
    ----------
    on_request
        Called with each message of the front end.
    traits
        The first values of ``graph``, ``state`` and ``details``.

    Attributes
    ----------
    on_request
        As the parameter.
    is_open
        Whether the front end still shows the widget.
    """

    _esm = _joined_modules()
    _css = f"{WIDGET}\n{(_STATIC / 'graph.css').read_text(encoding='utf-8')}"
    graph = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    details = traitlets.Dict().tag(sync=True)

    def __init__(self, on_request: Callable[[dict[str, Any]], None], **traits: dict[str, Any]) -> None:
        super().__init__(**traits)
        self.on_request = on_request
        self.is_open = True
        self.on_msg(self._on_message)
        on_close = getattr(self.comm, "on_close", None)
        if on_close is not None:
            on_close(self._on_close)

    def update_traits(self, traits: dict[str, Any]) -> None:
        """Set traits and send them in one message, so that the front end never sees half of a change.

        Parameters
        ----------
        traits
            The new values by name.
        """
        with self.hold_sync():
            for name, value in traits.items():
                setattr(self, name, value)

    def send_state(self, key: Any = None) -> None:
        """Send traits, without the search for binary buffers: there are none, and it would double the time."""
        state = self.get_state(key=key)
        if state:
            self._send({"method": "update", "state": state, "buffer_paths": []})

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        try:
            if isinstance(content, dict):
                self.on_request(content)
        except Exception:  # noqa: BLE001 - a traceback would appear in the cell that is running
            logger().exception("A request of the graph failed.")

    def _on_close(self, _message: Any) -> None:
        self.is_open = False

    def close(self) -> None:
        """Remove the widget from the page."""
        self.is_open = False
        super().close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.graph.get('plant', 'a plant')}>"
