"""The plant directory: making it, recognising it, refusing what is not one."""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyplant.errors import DamageWarning, FormatError, PlantDirError, StoreError, warn
from pyplant.fingerprint.digest import digest_bytes
from pyplant.store.files import Files, unique_name
from pyplant.store.keys import PLANT_KEY

__all__ = ["FORMAT", "PARTS", "check_plant", "open_plant", "plant_id"]

FORMAT = 1
"""Version of everything below a plant directory."""

_FILES = frozenset({"FORMAT", "CACHEDIR.TAG", PLANT_KEY})
_DIRECTORIES = frozenset({"objects", "journal", "claims", "leases", "tmp", "quarantine"})
PARTS = _FILES | _DIRECTORIES
"""What a plant directory holds."""
_CACHEDIR_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This directory holds results that PyPlant can compute again.\n"
)
_ANYBODY_MAY_WRITE = 0o002
_LONGEST = 4096  # bytes of FORMAT
_MOST_TRIES = 10


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
        if root.exists():
            if not root.is_dir():
                message = f"{root} is a file; a plant needs a directory of its own."
                raise PlantDirError(message)
            _check_owner(files, root)
        if not _is_ready(files, root):
            _make(files, root)
    except StoreError:
        raise
    except PermissionError as error:
        message = f"The plant directory {root} is not writable: {error.strerror}. Choose another one."
        raise PlantDirError(message) from error
    except OSError as error:
        message = f"The plant directory {root} cannot be used: {error.strerror or error}. Choose another one."
        raise PlantDirError(message) from error


def check_plant(files: Files, root: Path) -> None:
    """Make sure that ``root`` is a plant directory that this version may read; write nothing.

    Raises
    ------
    pyplant.errors.PlantDirError
        If it is none, or somebody else's.
    pyplant.errors.FormatError
        If a later version made it.
    """
    try:
        names = set(files.names(root))
        version = _version(files, root) if "FORMAT" in names else None
        if version is None:
            message = f"There is no plant in {root}."
            raise PlantDirError(message)
        _check_owner(files, root)
        _check_version(root, version)
        _check_parts(files, root, names)
    except StoreError:
        raise
    except OSError as error:
        message = f"The plant directory {root} cannot be read: {error.strerror or error}."
        raise PlantDirError(message) from error


def _is_ready(files: Files, root: Path) -> bool:
    """Whether the directory is a plant of this version; ``False`` if it is to become one."""
    # Whoever writes a journal has written FORMAT before: seen in this order, one that is
    # being made by another process is never taken for one whose FORMAT was lost.
    has_journal = any(name.endswith(".log") for name in files.names(root / "journal"))
    names = set(files.names(root))
    version = _version(files, root) if "FORMAT" in names else None
    if version is not None:
        _check_version(root, version)
        _check_writable(root)
        _check_parts(files, root, names)
        return True
    strange = sorted(names - PARTS)
    if strange and not has_journal:
        message = (
            f"{root} holds other files ({', '.join(strange[:3])}); a plant needs a directory of its own."
        )
        raise PlantDirError(message)
    if has_journal or "FORMAT" in names:
        warn(
            DamageWarning,
            f"{root / 'FORMAT'} was damaged or missing and is written anew; the journal is as it was.",
        )
    return False


def _check_owner(files: Files, root: Path) -> None:
    owner, mode = files.owner_and_mode(root)
    if owner not in (files.own_user(), 0):
        message = (
            f"The plant directory {root} belongs to user {owner}. Loading what somebody else stored could "
            f"run their code; copy the directory, or choose another one."
        )
        raise PlantDirError(message)
    if mode & _ANYBODY_MAY_WRITE:
        message = (
            f"Anybody may write to the plant directory {root} (mode {mode:o}), so its content cannot be "
            f"trusted. Run: chmod o-w {root}"
        )
        raise PlantDirError(message)


def _check_writable(root: Path) -> None:
    if not os.access(root, os.W_OK | os.X_OK):
        message = f"The plant directory {root} is not writable. Choose another one."
        raise PlantDirError(message)


def _check_parts(files: Files, root: Path, names: set[str]) -> None:
    for name in sorted(names & _DIRECTORIES):
        if not files.is_directory(root / name):
            message = (
                f"{root / name} is no directory of the plant, but a link or a file. What it leads to is left "
                f"alone; remove it, or choose another plant directory."
            )
            raise PlantDirError(message)


def plant_id(files: Files, root: Path) -> str:
    """What tells this plant from others, also where they are copies of one another's files; ``""`` if nothing does.

    Raises
    ------
    OSError
        If it cannot be read. What would be written with another identity would not count as written by this user.
    """
    try:
        return str(json.loads(_body(files, root / "FORMAT") or "{}").get("id", ""))
    except (ValueError, AttributeError):
        return ""


def _body(files: Files, path: Path) -> str | None:
    """The text in ``FORMAT``; ``None`` if it is damaged."""
    try:
        check, _, body = files.read(path, limit=_LONGEST).decode().strip().partition(" ")
    except ValueError:
        return None
    return body if digest_bytes(body.encode())[:16] == check else None


def _version(files: Files, root: Path) -> Any:
    """What ``FORMAT`` says; ``None`` if it is damaged, or being replaced by another process."""
    path = root / "FORMAT"
    body = _body(files, path) if _is_intact(files, path) else None
    if body is None:
        return None
    try:
        found = json.loads(body)["format"]
    except (ValueError, KeyError, TypeError):
        found = None
    return body if found is None else found  # intact, and of a kind that nobody here knows


def _check_version(root: Path, version: Any) -> None:
    if version != FORMAT:
        message = (
            f"The plant {root} has format {version}, and this version of PyPlant knows format {FORMAT}. "
            f"Upgrade PyPlant, or choose another directory; nothing was changed."
        )
        raise FormatError(message)


def _make(files: Files, root: Path) -> None:
    if not root.is_dir():
        files.make_directory(root)
    for part in ("objects", "journal", "tmp"):
        files.make_directory(root / part)
    tag = root / "tmp" / f"CACHEDIR.TAG-{unique_name(8)}"
    files.create_synced(tag, _CACHEDIR_TAG)
    files.rename(tag, root / "CACHEDIR.TAG")
    _make_format(files, root)
    files.sync_directory(root)


def _make_format(files: Files, root: Path) -> None:
    """Write ``FORMAT``, unless another process does meanwhile: a plant has one identity.

    A hard link gives the finished file its name only if that is free. Where there are no hard links, a process that
    writes ``FORMAT`` between the check and the renaming makes another identity; what it stores until the plant is
    opened again does not count as stored by this user then.
    """
    path, temporary = root / "FORMAT", root / "tmp" / f"FORMAT-{unique_name(8)}"
    body = json.dumps({"format": FORMAT, "id": unique_name(32), "digest": "blake3-160"})
    files.create_synced(temporary, f"{digest_bytes(body.encode())[:16]} {body}\n".encode())
    for _ in range(_MOST_TRIES):
        try:
            files.link(temporary, path)
        except FileExistsError:
            if not _is_intact(files, path):
                _remove_damaged(files, root)
                continue
        except OSError:  # no hard links; whatever else it is, renaming fails as well
            if not _is_intact(files, path):
                files.rename(temporary, path)
        files.unlink(temporary)
        return
    raise OSError(errno.EBUSY, "other processes remove its FORMAT", str(root))


def _remove_damaged(files: Files, root: Path) -> None:
    """Remove a damaged ``FORMAT``, but not the intact one that another process has put in its place meanwhile."""
    path, aside = root / "FORMAT", root / "tmp" / f"FORMAT-{unique_name(8)}"
    with suppress(FileNotFoundError):
        files.rename(path, aside)
        if _is_intact(files, aside):
            with suppress(FileExistsError):
                files.link(aside, path)
        files.unlink(aside)


def _is_intact(files: Files, path: Path) -> bool:
    """Whether there is a ``FORMAT`` here, not damaged."""
    try:
        return _body(files, path) is not None
    except FileNotFoundError:
        return False
