"""Digests of Matplotlib's figures and axes, which hold identities of objects and what drawing left."""

from __future__ import annotations

from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes

__all__: list[str] = []

# The objects that are to be informed of changes, by identity, and the state of caches.
_BOOKKEEPING = frozenset(["_parents", "_invalid", "_inverted", "_mtx"])


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
