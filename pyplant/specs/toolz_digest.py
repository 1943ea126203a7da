"""Digests of curried functions of toolz: of the function itself, since their pickles name a decorated one only."""

from __future__ import annotations

from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes

__all__: list[str] = []


@encodes("toolz.functoolz.curry", "cytoolz.functoolz.curry")
def _encode_curried(curried: Any, encoder: Encoder) -> None:
    encoder.tag("curry")
    encoder.item([curried.func, curried.args, curried.keywords])
