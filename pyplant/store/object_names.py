"""Names of objects: the digest of the content, and suffixes that tell programs what it is."""

from __future__ import annotations

import re

from pyplant.fingerprint.hashing import DIGEST_BYTES

__all__ = ["is_object_name", "safe_suffix"]

_SUFFIX = re.compile(r"(\.[a-z0-9]{1,12}){0,3}")
_NAME = re.compile(rf"[0-9a-f]{{{2 * DIGEST_BYTES}}}{_SUFFIX.pattern}")


def is_object_name(name: str) -> bool:
    """Return whether an object can have this name."""
    return _NAME.fullmatch(name) is not None


def safe_suffix(suffix: str) -> str:
    """Return a suffix of a file name if it consists of letters and digits, else ``""``."""
    return suffix if _SUFFIX.fullmatch(suffix) else ""
