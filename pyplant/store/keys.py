"""The user's signing key, stored outside all plants where that is possible.

How it works
------------
- Loading a pickle runs code, and a plant may come from another user. A pickled value is therefore loaded only if the
  line of the journal that names it is sealed (:mod:`pyplant.store.seals`) with a key of this user. A key in the plant
  would be copied with it and prove nothing, so the key is in the user's data directory.
- Services and containers often have no writable home directory, or another one in each process. Then these are tried: the
  home directory in the user database, ``$XDG_STATE_HOME`` and ``$XDG_CONFIG_HOME``.
- The last resort is a file in the plant, if no other user can write to the plant. The key is derived from the content of
  the file, its inode number and the time of its last change. The author of an archive cannot know the latter two, so the
  file in a copied or unpacked plant gives another key.
- Without any of these, the key is random for the process, and other processes compute pickled values again.
- Seals of further keys count if they lie in ``trusted-keys`` beside the key, under any names: former keys of this user,
  or keys of a team. Nothing is signed with them.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

__all__ = ["PLANT_KEY", "Keyring", "forget_keys", "keyring", "signing_key"]

PLANT_KEY = "key"
"""Name of the file in the plant directory that the key of last resort is derived from."""

_KEY_BYTES = 32
_MAX_WAIT = 1.0  # seconds to wait for another process that is writing the key
_POLL = 0.01  # seconds between two looks at its file
_MAX_TRIES = 5
_WRITABLE_BY_OTHERS = 0o022
# Without following a link, and without waiting for the other end of a pipe, in place of the key.
_OPEN_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)


class Keyring(NamedTuple):
    """The keys of this user for one plant.

    Attributes
    ----------
    signing
        Seals what this process writes.
    others
        Further keys whose seals are accepted.
    trouble
        Why the key is in no permanent place, and what to do; empty if it is in one.
    """

    signing: bytes
    others: tuple[bytes, ...] = ()
    trouble: str = ""


def keyring(root: Path, *, may_create: bool) -> Keyring:
    """Return the keys for the plant in ``root``.

    Parameters
    ----------
    root
        The plant directory.
    may_create
        Whether to create a key in the plant if there is no other place for one.
    """
    # A key in the plant counts also after the user got a home directory: it sealed the lines before that.
    key, trouble = _user_key()
    plant_key = _plant_key(root, create=False)
    if key:
        return Keyring(key, ((plant_key,) if plant_key else ()) + _trusted_keys())
    if plant_key:
        return Keyring(plant_key)
    remedy = "Set XDG_DATA_HOME to a directory that you alone can write to."
    plant_key = _plant_key(root, create=True) if may_create else None
    if plant_key:
        where = "It is stored in the plant, and is not valid in a copy of the plant."
        return Keyring(plant_key, (), f"{trouble} {where} {remedy}")
    key = _key_in_temporary_home()
    if key:
        return Keyring(key)
    return Keyring(
        _process_key(), (), f"{trouble} Other processes will compute pickled values again. {remedy}"
    )


@cache
def signing_key() -> bytes:
    """Return the key outside all plants, created on first use; a random one if it cannot be stored."""
    return _user_key()[0] or _key_in_temporary_home() or _process_key()


def forget_keys() -> None:
    """Clear the caches of this module, so that keys are looked for as in a new process."""
    for function in (signing_key, _user_key, _trusted_keys, _key_in_temporary_home, _process_key):
        function.cache_clear()


@cache
def _process_key() -> bytes:
    return os.urandom(_KEY_BYTES)


@cache
def _user_key() -> tuple[bytes, str]:
    """Return the key outside all plants and ``""``, or ``b""`` and why there is none."""
    explicit, homes, permanent = _directories()
    troubles: list[str] = []
    # A key in ``$HOME`` is used, but at first none is created there: a service may have another ``$HOME`` in each
    # process, and could not load what another one has stored.
    key = _first_key(explicit, troubles, create=True) or _first_key(homes, [], create=False)
    key = key or _first_key(permanent, troubles, create=True)
    trouble = troubles[0] if troubles else "there is no home directory"
    return key, "" if key else f"The key that signs pickled values cannot be stored at its place ({trouble})."


@cache
def _trusted_keys() -> tuple[bytes, ...]:
    """Return the keys in the first directory of trusted keys; one that another user could have written is left out."""
    explicit, homes, _ = _directories()
    found: list[bytes] = []
    for directory in [*explicit, *homes]:
        folder = directory / "pyplant" / "trusted-keys"
        with suppress(OSError):
            if os.name == "posix" and _is_of_others(folder.stat()):
                continue
            for name in sorted(os.listdir(folder)):
                with suppress(OSError):
                    key = _read(folder / name)
                    found += [] if key is None else [key[0]]
            break
    return tuple(found)


@cache
def _key_in_temporary_home() -> bytes:
    """Return the key in ``$HOME``, which may be another directory in the next process."""
    return _first_key(_directories()[1], [], create=True)


def _directories() -> tuple[list[Path], list[Path], list[Path]]:
    """Return the directory that the user has set, directories to search, and permanent ones to create the key in."""
    if os.name == "nt":
        local = os.environ.get("LOCALAPPDATA")
        return (
            ([Path(local)] if local else []),
            [],
            ([] if local else _data_directories([os.path.expanduser("~")])),
        )
    # A relative path would name another directory after each change of the working directory.
    explicit, *further = (
        [Path(os.environ[name])] if Path(os.environ.get(name, "")).is_absolute() else []
        for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")
    )
    home = os.environ.get("HOME", "")
    own = _data_directories(_home_of_user())
    permanent = [*own, *further[0], *further[1]]
    return explicit, [*_data_directories([home]), *permanent], permanent


def _home_of_user() -> list[str]:
    """Return the home directory in the user database, which is the same in every process."""
    try:
        import pwd

        return [pwd.getpwuid(os.geteuid()).pw_dir]
    except (ImportError, KeyError):
        return []


def _data_directories(names: Iterable[str]) -> list[Path]:
    """Return the data directories in home directories; ``/`` is the home of users without one."""
    return [Path(name) / ".local" / "share" for name in names if Path(name).is_absolute() and name.strip("/")]


def _first_key(directories: Iterable[Path], troubles: list[str], *, create: bool) -> bytes:
    """Return the first key in these directories, or ``b""``."""
    for directory in directories:
        path = directory / "pyplant" / "signing-key"
        try:
            # Users of services often have a home directory that does not exist; it is not created for them.
            if directory.parts[-2:] == (".local", "share") and not directory.parent.parent.is_dir():
                raise FileNotFoundError(errno.ENOENT, "there is no such home directory")
            key = _read(path) or (_create(path) if create else None)
        except OSError as error:
            troubles.append(f"{directory}: {error.strerror or error}")
            continue
        if key is not None:
            return key[0]
    return b""


def _plant_key(root: Path, *, create: bool) -> bytes | None:
    """Return the key of last resort; ``None`` if there is none, or if another user could have written it."""
    if os.name != "posix":
        return None
    path = root / PLANT_KEY
    try:
        info = root.stat()  # follows a link: users may link to their plant
        if info.st_uid != os.geteuid() or info.st_mode & _WRITABLE_BY_OTHERS:
            return None
        if create:
            _remove_exposed(path)
        found = _read(path)
        # Tested also if there is a key: other users may derive it, and may have got the permission to write since.
        if (found is None and not create) or _others_write_journal(root):
            return None
        content, info = found or _create(path)
    except OSError:
        return None
    if _is_exposed(info):
        return None
    return blake3(content + f"{info.st_ino} {info.st_ctime_ns}".encode()).digest()


def _is_exposed(info: os.stat_result) -> bool:
    """Return whether other users can read or write a file, or it has other names."""
    return bool(info.st_mode & 0o077) or info.st_nlink > 1


def _remove_exposed(path: Path) -> None:
    """Delete a key that is not secret any more, since it is readable to other users or has another name."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, _OPEN_FLAGS)
        with os.fdopen(descriptor, "rb", buffering=0):
            if _is_exposed(os.fstat(descriptor)):
                _remove(path, descriptor)


def _others_write_journal(root: Path) -> bool:
    """Return whether other users may write lines of the journal.

    Inode number and times of a file are not secret on a machine. If the author of an archive has an account where
    another user unpacked it, they can derive the key, and must not be able to add lines.
    """
    directory = root / "journal"
    for path in [directory, *directory.iterdir()] if directory.exists() else []:
        with suppress(FileNotFoundError):  # another process merges the journal
            if _is_of_others(path.stat()):
                return True
    return False


def _is_of_others(info: os.stat_result) -> bool:
    """Return whether another user may write to a file or directory."""
    return info.st_uid not in (os.geteuid(), 0) or bool(info.st_mode & _WRITABLE_BY_OTHERS)


def _create(path: Path) -> tuple[bytes, os.stat_result]:
    """Create a key unless another process creates it.

    A process holds the lock on the file while it writes the key, and also while it deletes a file without a complete
    key. So a key that another process has begun to sign with is never deleted. Where locks are missing, the waiting
    time makes that improbable.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for _ in range(_MAX_TRIES):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            _wait_for_key(path)
        else:
            with os.fdopen(descriptor, "wb", buffering=0) as stream:
                if not _lock(descriptor):
                    continue  # another process takes the empty file for one of a crashed process
                try:
                    stream.write(os.urandom(_KEY_BYTES))
                    # Values that are sealed with a key that a power cut loses would have to be computed again.
                    os.fsync(descriptor)
                except OSError:
                    if _is_named(descriptor, path):
                        path.unlink()  # the disk may be full; other processes would wait for the rest of the key
                    raise
        found = _read(path)
        if found is not None:
            return found
    raise OSError(errno.EIO, "the key cannot be written", str(path))


def _wait_for_key(path: Path) -> None:
    """Wait for the key that another process is writing; delete the file if it stays incomplete."""
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb", buffering=0):  # while it is open, its inode number is not reused
        end = time.monotonic() + _MAX_WAIT
        while not _is_whole(descriptor) and _is_named(descriptor, path):
            if time.monotonic() < end:
                time.sleep(_POLL)
                continue
            _remove(path, descriptor)
            return


def _remove(path: Path, descriptor: int) -> None:
    """Delete an open file without a valid key, unless a process is writing it or another file has its name."""
    if not _lock(descriptor):
        return
    is_useless = not _is_whole(descriptor) or _is_exposed(os.fstat(descriptor))
    if is_useless and _is_named(descriptor, path):
        path.unlink()


def _lock(descriptor: int) -> bool:
    """Lock a file; return ``False`` if another process has the lock, and ``True`` if the system has no locks."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def _is_whole(descriptor: int) -> bool:
    return os.fstat(descriptor).st_size == _KEY_BYTES


def _is_named(descriptor: int, path: Path) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read(path: Path) -> tuple[bytes, os.stat_result] | None:
    """Return the key and the status of its file; ``None`` if there is none or it is incomplete.

    Raises
    ------
    PermissionError
        If another user owns the file or can write to it.
    OSError
        If it cannot be read.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(descriptor, "rb", buffering=0):
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        # One byte more than a key shows that a file is too long.
        key = os.read(descriptor, _KEY_BYTES + 1) if is_file else b""
        # The status is read after the key, since writing the key is the last change of the file: read before, it could
        # have the times of the empty file that another process has just created.
        info = os.fstat(descriptor)
    if os.name == "posix" and (
        not is_file or info.st_uid != os.geteuid() or info.st_mode & _WRITABLE_BY_OTHERS
    ):
        raise PermissionError(errno.EPERM, "the key there is not a file of this user alone", str(path))
    return (key, info) if len(key) == _KEY_BYTES else None
