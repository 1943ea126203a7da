"""The live graph as a widget: three traits that the front end (``static/``) shows."""

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
# Each module stands behind those that it imports.
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
    "view",
    "graph",
)
_IMPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default )", re.MULTILINE)


def _joined() -> str:
    """Join the modules into the one that anywidget takes.

    An imported module would need an address, which a widget has in no front end. Names at the top level
    are unique in all modules, so the texts can stand one behind the other without imports and exports.
    """
    texts = ((_STATIC / f"{name}.js").read_text(encoding="utf-8") for name in _MODULES)
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


class GraphWidget(anywidget.AnyWidget):
    """One live view of a plant.

    Parameters
    ----------
    hear
        Takes what the front end says.
    traits
        The first values of ``graph``, ``state`` and ``details``.

    Attributes
    ----------
    is_open
        Whether there is somebody to tell.
    """

    _esm = _joined()
    _css = f"{WIDGET}\n{(_STATIC / 'graph.css').read_text(encoding='utf-8')}"
    graph = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    details = traitlets.Dict().tag(sync=True)

    def __init__(self, hear: Callable[[dict[str, Any]], None], **traits: dict[str, Any]) -> None:
        super().__init__(**traits)
        self._hear = hear
        self.is_open = True
        self.on_msg(self._on_message)
        on_close = getattr(self.comm, "on_close", None)
        if on_close is not None:
            on_close(self._on_close)

    def tell(self, traits: dict[str, Any]) -> None:
        """Send new values, all in one message.

        Parameters
        ----------
        traits
            By name.
        """
        with self.hold_sync():
            for name, value in traits.items():
                setattr(self, name, value)

    def send_state(self, key: Any = None) -> None:
        """Send traits; there are no buffers in them, and to search for some would double the time."""
        state = self.get_state(key=key)
        if state:
            self._send({"method": "update", "state": state, "buffer_paths": []})

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        try:
            if isinstance(content, dict):
                self._hear(content)
        except Exception:  # noqa: BLE001 - a traceback would go into whatever cell is running
            logger().exception("The graph could not do what was asked of it.")

    def _on_close(self, _message: Any) -> None:
        self.is_open = False

    def close(self) -> None:
        """Take it from the page."""
        self.is_open = False
        super().close()

    def __repr__(self) -> str:
        """What an untrusted notebook shows instead."""
        about = self.state.get("title", "")
        return f"PyPlant graph of {self.graph.get('plant', 'a plant')}: {about}"
