"""The plant directory: making it, recognising it, refusing what is not one."""

from __future__ import annotations

import json
import os
import uuid
import warnings
from pathlib import Path

from pyplant.engine.digest import digest_bytes
from pyplant.errors import DamageWarning, FormatError, PlantDirError
from pyplant.store.files import Files

__all__ = ["FORMAT", "open_plant"]

FORMAT = 1
"""Version of everything below a plant directory."""

_PARTS = frozenset({"FORMAT", "CACHEDIR.TAG", "objects", "journal", "claims", "leases", "tmp", "quarantine"})
_CACHEDIR_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This directory holds results that PyPlant can compute again.\n"
)
_ANYBODY_MAY_WRITE = 0o002


def open_plant(files: Files, root: Path) -> None:
    """Make sure that ``root`` is a plant directory of this version that is ours to use.

    Raises
    ------
    pyplant.errors.PlantDirError
        If it is a file, not writable, somebody else's, or full of other things.
    pyplant.errors.FormatError
        If a later version made it. Nothing was written.
    """
    try:
        if root.exists() and not root.is_dir():
            message = f"{root} is a file; a plant needs a directory of its own."
            raise PlantDirError(message)
        names = set(files.names(root))
        if names:
            _check_owner(files, root)
            _check_names(root, names)
        if "FORMAT" in names and _known_format(files, root):
            _check_writable(root)
            return
        _make(files, root)
    except PermissionError as error:
        message = f"The plant directory {root} is not writable: {error.strerror}. Choose another one."
        raise PlantDirError(message) from error
    except (FileNotFoundError, NotADirectoryError, FileExistsError) as error:
        message = f"The plant directory {root} cannot be made: {error.strerror}."
        raise PlantDirError(message) from error


def _check_owner(files: Files, root: Path) -> None:
    owner, mode = files.owner_and_mode(root)
    if owner not in (files.own_user(), 0):
        message = (
            f"The plant directory {root} belongs to user {owner}. Loading what somebody else stored could run "
            f"their code; copy the directory, or choose another one."
        )
        raise PlantDirError(message)
    if mode & _ANYBODY_MAY_WRITE:
        message = (
            f"Anybody may write to the plant directory {root} (mode {mode:o}), so its content cannot be "
            f"trusted. Run: chmod o-w {root}"
        )
        raise PlantDirError(message)


def _check_names(root: Path, names: set[str]) -> None:
    if "FORMAT" in names or {"journal", "CACHEDIR.TAG"} & names:
        return
    strange = sorted(names - _PARTS)
    if strange:
        message = f"{root} holds other files ({', '.join(strange[:3])}); a plant needs a directory of its own."
        raise PlantDirError(message)


def _check_writable(root: Path) -> None:
    if not os.access(root, os.W_OK | os.X_OK):
        message = f"The plant directory {root} is not writable. Choose another one."
        raise PlantDirError(message)


def _known_format(files: Files, root: Path) -> bool:
    """Whether the format is ours; ``False`` if the file is damaged and must be made again."""
    try:
        check, _, body = files.read(root / "FORMAT").decode().strip().partition(" ")
        if digest_bytes(body.encode())[:16] != check:
            raise ValueError(check)
        version = json.loads(body)["format"]
    except (ValueError, KeyError, TypeError):
        warnings.warn(
            f"{root / 'FORMAT'} was damaged and is written anew; the journal is intact.", DamageWarning, stacklevel=5
        )
        return False
    if version != FORMAT:
        message = (
            f"The plant {root} has format {version}, and this version of PyPlant knows format {FORMAT}. "
            f"Upgrade PyPlant, or choose another directory; nothing was changed."
        )
        raise FormatError(message)
    return True


def _make(files: Files, root: Path) -> None:
    for part in ("", "objects", "journal", "tmp"):
        files.make_directory(root / part)
    body = json.dumps({"format": FORMAT, "id": uuid.uuid4().hex, "digest": "blake3-160"})
    contents = {
        "CACHEDIR.TAG": _CACHEDIR_TAG,
        "FORMAT": f"{digest_bytes(body.encode())[:16]} {body}\n".encode(),
    }
    for name, content in contents.items():
        temporary = root / "tmp" / f"{name}-{uuid.uuid4().hex[:8]}"
        writer = files.create(temporary)
        writer.write(content)
        writer.sync()
        writer.close()
        files.rename(temporary, root / name)
    files.sync_directory(root)
