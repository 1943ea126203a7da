"""Digests of lazy frames and data sets that name files, which a compiled library reads when their rows are asked for.

No event tells of such a read, and the receiver's code does not name the file. So the digest of the value covers the files.
Their sender named them, and is run again when one of them changes.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Any

from pyplant.fingerprint.digest import Encoder, encodes
from pyplant.fingerprint.hashing import DIGEST_BYTES, hasher

__all__ = ["scanned_files"]

_LARGE = 64_000_000  # bytes from which a file counts by its size and time
_CHUNK = 1 << 22  # bytes


def scanned_files(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return the digests of local files by name.

    Parameters
    ----------
    names
        Paths of files, folders or patterns; addresses and paths that lead nowhere are left out.
    """
    return [(path, _digest(path)) for name in names for path in sorted(_expanded(name))]


def _expanded(name: str) -> Iterator[str]:
    path = name.removeprefix("file://")
    for found in [path] if os.path.exists(path) else glob.glob(path, recursive=True):
        if not os.path.isdir(found):
            yield found
        for folder, _, files in os.walk(found):
            yield from (os.path.join(folder, file) for file in files)


def _digest(path: str) -> str:
    try:
        info = os.stat(path)
        if not stat.S_ISREG(info.st_mode):
            return "special"
        if info.st_size > _LARGE:
            return f"{info.st_size} {info.st_mtime_ns}"
        whole = hasher()
        with open(path, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                whole.update(chunk)
    except OSError as error:
        return type(error).__name__
    return str(whole.hexdigest(length=DIGEST_BYTES))


@encodes("pyarrow.*.Dataset+")
def _encode_dataset(value: Any, encoder: Encoder) -> None:
    encoder.reduced(value)
    if type(getattr(value, "filesystem", None)).__name__ == "LocalFileSystem":
        encoder.item(scanned_files(value.files))
