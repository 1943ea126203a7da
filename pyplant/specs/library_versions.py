"""Versions of libraries whose objects cannot be compared before a certain one, since they do not tell what they hold."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from pyplant.fingerprint.digest import Encoder

__all__ = ["OLDEST", "is_older", "refuse_older"]

OLDEST = {"dask": (2024, 11), "keras": (3, 4), "polars": (1, 33)}
"""The oldest versions; ``pyproject.toml`` asks for them as well, but a library may be installed for other reasons."""


@cache
def is_older(library: str) -> bool:
    """Return whether an installed library is older than the oldest version that tells what its objects hold."""
    from importlib import metadata  # slow to load

    numbers = re.findall(r"\d+", metadata.version(library))
    return tuple(map(int, numbers[:2])) < OLDEST[library]


def refuse_older(library: str, value: Any, encoder: Encoder) -> bool:
    """Let an object of a library that is too old count by its class, and return whether it does; a warning says so."""
    if not is_older(library):
        return False
    version = ".".join(map(str, OLDEST[library]))
    encoder.opaque_item(value, f"{library} {version} or later is needed to compare it")
    return True
