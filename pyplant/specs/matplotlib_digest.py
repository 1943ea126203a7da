"""Digests of Matplotlib's figures and axes, which hold identities of objects and what drawing left; and their loading."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes

__all__ = ["figures_stay_closed"]

# The objects that are to be informed of changes, by identity, and the state of caches.
_BOOKKEEPING = frozenset(["_parents", "_invalid", "_inverted", "_mtx"])


@contextmanager
def figures_stay_closed() -> Iterator[None]:
    """Let no figure that is unpickled meanwhile count as open in pyplot, which would show it at the end of a cell."""
    before = dict(_open_figures())
    inline = sys.modules.get("matplotlib_inline.backend_inline")
    drawn = (list(inline.show._to_draw), inline.show._draw_called) if inline is not None else ([], False)  # noqa: SLF001
    yield
    opened = _open_figures()
    if opened != before:
        opened.clear()
        opened.update(before)
        inline = sys.modules.get("matplotlib_inline.backend_inline")
        if inline is not None:
            inline.show._to_draw, inline.show._draw_called = drawn  # noqa: SLF001


def _open_figures() -> Any:
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    return {} if helpers is None else helpers.Gcf.figs


@encodes("matplotlib.*.TransformNode+")
def _encode_transform(value: Any, encoder: Encoder) -> None:
    encoder.tag("transform")
    encoder.code(type(value))
    has_values = type(value).__name__ == "Affine2D"  # for others the matrix is a cache
    hidden = _BOOKKEEPING - {"_mtx"} if has_values else _BOOKKEEPING
    encoder.attributes({name: own for name, own in vars(value).items() if name not in hidden})


@encodes("matplotlib.*.CallbackRegistry")
def _encode_callbacks(value: Any, encoder: Encoder) -> None:
    """Encode what is called after events by its class: figures restore it, and no event comes in a reactor."""
    encoder.code(type(value))


@encodes("matplotlib.*.Grouper")
def _encode_grouper(value: Any, encoder: Encoder) -> None:
    """Encode which axes are joined, by their order."""
    encoder.tag("grouper")
    encoder.item([list(group) for group in value])


@encodes("matplotlib.*.Colormap+")
def _encode_colormap(value: Any, encoder: Encoder) -> None:
    """Encode a colormap with its table of colours, which is made when it is first used."""
    if not getattr(value, "_isinit", True):
        value._init()  # noqa: SLF001
    encoder.reduced(value)
