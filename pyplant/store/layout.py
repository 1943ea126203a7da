"""The plant directory: creates it, recognises it and refuses other directories.

A directory is a plant if it holds an intact ``FORMAT``, which is written last. A directory without it is completed if it is
empty, or if only ``FORMAT`` was lost; any other file in it is a reason to refuse, since it may be a user's data.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyplant._formatting import clean
from pyplant.errors import DamageWarning, FormatError, PlantDirError, StoreError, warn
from pyplant.fingerprint.digest import digest_bytes
from pyplant.store.files import Files, unique_name
from pyplant.store.keys import PLANT_KEY
from pyplant.store.scratch import scratch_name

__all__ = ["FORMAT", "PARTS", "check_plant", "is_unwritable", "open_plant", "plant_id"]

FORMAT = 1
"""Version of the layout of a plant directory and of all files in it."""

_FILES = frozenset({"FORMAT", "CACHEDIR.TAG", PLANT_KEY})
_DIRECTORIES = frozenset({"objects", "journal", "claims", "leases", "tmp", "quarantine"})
PARTS = _FILES | _DIRECTORIES
"""Names of the files and directories in a plant directory."""
_CACHEDIR_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# This directory holds results that PyPlant can compute again.\n"
)
_WORLD_WRITABLE, _GROUP_WRITABLE = 0o002, 0o020
_MAX_FORMAT_BYTES = 4096
_MAX_TRIES = 10


def open_plant(files: Files, root: Path) -> None:
    """Create a plant in ``root``, or check that this process can use the one that is there.

    Raises
    ------
    pyplant.errors.PlantDirError
        If it is a file, is not writable, belongs to another user or holds other files.
    pyplant.errors.FormatError
        If a later version created it. Nothing is written then.
    """
    try:
        if root.exists():
            if not root.is_dir():
                message = f"{root} is a file; a plant needs a directory of its own."
                raise PlantDirError(message)
            _check_owner(files, root)
        if not _is_ready(files, root):
            _create_plant(files, root)
    except StoreError:
        raise
    except PermissionError as error:
        message = f"The plant directory {root} is not writable: {error.strerror}. Choose another one."
        raise PlantDirError(message) from error
    except OSError as error:
        message = f"The plant directory {root} cannot be used: {error.strerror or error}. Choose another one."
        raise PlantDirError(message) from error


def check_plant(files: Files, root: Path, *, of_anybody: bool = False) -> None:
    """Check that ``root`` is a plant that this process can read; write nothing.

    Parameters
    ----------
    files
        The disk.
    root
        The directory.
    of_anybody
        Whether it may belong to another user. Nothing that could run code is loaded from it then.

    Raises
    ------
    pyplant.errors.PlantDirError
        If it is none, or belongs to another user.
    pyplant.errors.FormatError
        If a later version created it.
    """
    try:
        names = set(files.names(root))
        version = _version(files, root) if "FORMAT" in names else None
        if version is None:
            message = f"There is no plant in {root}."
            raise PlantDirError(message)
        if not of_anybody:
            _check_owner(files, root)
        _check_version(root, version)
        _check_parts(files, root, names, of_anybody=of_anybody)
    except StoreError:
        raise
    except OSError as error:
        message = f"The plant directory {root} cannot be read: {error.strerror or error}."
        raise PlantDirError(message) from error


def is_unwritable(root: Path) -> bool:
    """Return whether there is a plant that this process may read but not write."""
    # os.path, since a method of Path raises where this process may not look.
    parts = [root, *(root / name for name in ("objects", "journal") if os.path.isdir(root / name))]
    return os.path.isfile(root / "FORMAT") and not all(os.access(part, os.W_OK | os.X_OK) for part in parts)


def _is_ready(files: Files, root: Path) -> bool:
    """Return whether the directory is a plant of this version; ``False`` if the plant must be created."""
    # A process writes FORMAT before it writes a journal. Looking for the journal first makes sure that a plant that
    # another process creates right now is not taken for one that has lost its FORMAT.
    has_journal = any(name.endswith(".log") for name in files.names(root / "journal"))
    names = set(files.names(root))
    version = _version(files, root) if "FORMAT" in names else None
    if version is not None:
        # Nothing else is checked or written in a plant of a later version, whose layout this one does not know.
        _check_version(root, version)
        _check_writable(root)
        _check_parts(files, root, names)
        return True
    # A journal proves that the directory is a plant. Without one, other files are a user's data: a mistyped path must
    # not turn a project into a plant.
    foreign = sorted(names - PARTS)
    if foreign and not has_journal:
        message = f"{root} holds other files ({clean(', '.join(foreign[:3]))}); a plant needs a directory of its own."
        raise PlantDirError(message)
    if has_journal or "FORMAT" in names:
        warn(
            DamageWarning,
            f"{root / 'FORMAT'} was damaged or missing and is written again; the journal is unchanged.",
        )
    return False


def _check_owner(files: Files, root: Path) -> None:
    owner, mode = files.owner_and_mode(root)
    # Root is accepted: it can change the files of every user anyway. So is a directory that a group may write to, since
    # its members share the plant on purpose; seals keep their pickles from being loaded.
    if owner not in (files.own_user(), 0):
        message = (
            f"The plant directory {root} belongs to user {owner}. Loading what another user stored could "
            f"run their code; copy the directory, or choose another one."
        )
        raise PlantDirError(message)
    if mode & _WORLD_WRITABLE:
        raise PlantDirError(_exposed(root, mode))


def _exposed(path: Path, mode: int) -> str:
    return (
        f"Every user may write to the plant directory {path} (mode {mode:o}), so its content cannot be "
        f"trusted. Run: chmod o-w {path}"
    )


def _check_writable(root: Path) -> None:
    if not os.access(root, os.W_OK | os.X_OK):
        message = f"The plant directory {root} is not writable. Choose another one."
        raise PlantDirError(message) from PermissionError(errno.EACCES, "not writable", str(root))


def _check_parts(files: Files, root: Path, names: set[str], *, of_anybody: bool = False) -> None:
    """Refuse parts that are no directories, and those that other users own or may write to.

    In a plant that a group shares its members own parts. What they store is hashed each time it is used.
    """
    is_shared = of_anybody or bool(files.owner_and_mode(root)[1] & _GROUP_WRITABLE)
    for name in sorted(names & _DIRECTORIES):
        if not files.is_directory(root / name):
            message = (
                f"{root / name} is a link or a file, not a directory of the plant. It is not followed or "
                f"changed; remove it, or choose another plant directory."
            )
            raise PlantDirError(message)
        owner, mode = files.owner_and_mode(root / name)
        if not of_anybody and mode & _WORLD_WRITABLE:
            raise PlantDirError(_exposed(root / name, mode))
        if not is_shared and owner not in (files.own_user(), 0):
            message = f"{root / name} belongs to user {owner}, so its content cannot be trusted. Remove it."
            raise PlantDirError(message)


def plant_id(files: Files, root: Path) -> str:
    """Return the identity of a plant, which is random and part of every seal; ``""`` if it has none.

    Raises
    ------
    OSError
        If it cannot be read. An empty identity instead would give every line of this process an invalid seal.
    """
    try:
        return str(json.loads(_body(files, root / "FORMAT") or "{}").get("id", ""))
    except (ValueError, AttributeError):
        return ""


def _body(files: Files, path: Path) -> str | None:
    """Return the text in ``FORMAT``; ``None`` if it is damaged."""
    try:
        check, _, body = files.read(path, limit=_MAX_FORMAT_BYTES).decode().strip().partition(" ")
    except ValueError:
        return None
    return body if digest_bytes(body.encode())[:16] == check else None


def _version(files: Files, root: Path) -> Any:
    """Return the version in ``FORMAT``; ``None`` if it is damaged, or being replaced by another process."""
    path = root / "FORMAT"
    body = _body(files, path) if _is_intact(files, path) else None
    if body is None:
        return None
    try:
        found = json.loads(body)["format"]
    except (ValueError, KeyError, TypeError):
        found = None
    return body if found is None else found  # an intact FORMAT in a notation of a later version


def _check_version(root: Path, version: Any) -> None:
    if version != FORMAT:
        message = (
            f"The plant {root} has format {clean(str(version))}, and this version of PyPlant knows format {FORMAT}. "
            f"Upgrade PyPlant, or choose another directory; nothing was changed."
        )
        raise FormatError(message)


def _create_plant(files: Files, root: Path) -> None:
    if not root.is_dir():
        files.make_directory(root)
    for part in ("objects", "journal", "tmp"):
        files.make_directory(root / part)
    # The tag makes backup programs skip the plant. FORMAT comes last: where it is, the rest is complete.
    # Both are written to scratch and renamed: another process that creates the plant now finds whole files or none.
    tag = root / "tmp" / scratch_name(os.getpid())
    files.create_synced(tag, _CACHEDIR_TAG)
    files.rename(tag, root / "CACHEDIR.TAG")
    _create_format(files, root)
    files.sync_directory(root)


def _create_format(files: Files, root: Path) -> None:
    """Write ``FORMAT`` unless another process writes it meanwhile, since a plant must have one identity.

    ``link`` gives the finished file its name only if the name is free, in one step. Where hard links are missing, another
    process may write ``FORMAT`` between our check and our renaming, and goes on with an identity that is then replaced.
    What it stores until it opens the plant again does not count as stored by this user.
    """
    path, temporary = root / "FORMAT", root / "tmp" / scratch_name(os.getpid())
    # The identity is random, so that a line copied from another plant of the same user has no valid seal.
    body = json.dumps({"format": FORMAT, "id": unique_name(32), "digest": "blake3-160"})
    files.create_synced(temporary, f"{digest_bytes(body.encode())[:16]} {body}\n".encode())
    for _ in range(_MAX_TRIES):
        try:
            files.link(temporary, path)
        except FileExistsError:
            if not _is_intact(files, path):
                _remove_damaged(files, root)
                continue
        except OSError:  # no hard links; for any other reason renaming fails as well
            if not _is_intact(files, path):
                files.rename(temporary, path)
        files.unlink(temporary)
        return
    raise OSError(errno.EBUSY, "other processes remove its FORMAT", str(root))


def _remove_damaged(files: Files, root: Path) -> None:
    """Remove a damaged ``FORMAT``, but not an intact one that another process has written meanwhile."""
    path, aside = root / "FORMAT", root / "tmp" / scratch_name(os.getpid())
    with suppress(FileNotFoundError):
        files.rename(path, aside)
        if _is_intact(files, aside):
            # A link, which unlike a renaming fails if a third process has written FORMAT by now.
            with suppress(FileExistsError):
                files.link(aside, path)
        files.unlink(aside)


def _is_intact(files: Files, path: Path) -> bool:
    """Return whether a ``FORMAT`` exists and is not damaged."""
    try:
        return _body(files, path) is not None
    except FileNotFoundError:
        return False
