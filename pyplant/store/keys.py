"""The user's signing key, kept outside every plant.

Loading a pickle runs code. A plant may come from somebody else, so a pickled value is
loaded only if it carries a signature that this user's key made. A key inside the plant
would travel with it and prove nothing.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

__all__ = ["signing_key"]

_LENGTH = 32


def _directory() -> Path:
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "pyplant"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "pyplant"


@cache
def signing_key() -> bytes:
    """The key, made on first use. Without a home to keep it in, it lives as long as the process."""
    try:
        path = _directory() / "signing-key"
        return _read(path) or _make(path)
    except (OSError, RuntimeError):  # pathlib says RuntimeError where there is no home
        return os.urandom(_LENGTH)


def _make(path: Path) -> bytes:
    key = os.urandom(_LENGTH)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(key)
            os.fsync(descriptor)
        os.link(temporary, path)  # the first process to come here wins
    except FileExistsError:
        if _read(path) is None:  # damaged: nobody can sign with it any more
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return _read(path) or key


def _read(path: Path) -> bytes | None:
    """The key; ``None`` if there is none, or none that is whole."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return None
    return key if len(key) == _LENGTH else None
