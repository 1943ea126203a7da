"""The user's signing key, kept outside every plant where that is possible.

Loading a pickle runs code. A plant may come from another user, so a pickled value is loaded only if the line of the
journal that names it is sealed (:mod:`pyplant.store.seals`) with a key of this user. A key that travels with a plant
would prove nothing, so the key lies in the user's data directory.

Services and containers often have no home directory that can be written to, or another one in each process. Then the
key is looked for in the home directory of the user database, in ``$XDG_STATE_HOME`` and in ``$XDG_CONFIG_HOME``. The
last resort is a file in the plant, if no other user can write to the plant. The key is then derived from the content
of that file, its inode number and the time of its last change, which no author of an archive can know: a plant that
was copied or unpacked has no valid key in it.
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
"""Name of the file with the key of last resort, in the plant directory."""

_LENGTH = 32
_WAIT = 1.0  # seconds in which another process completes the key that it is writing
_POLL = 0.01
_MOST_TRIES = 5
_WRITABLE_BY_OTHERS = 0o022
_READING = (
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
        Why the key is not where it should be, and what to do; empty if nothing is wrong.
    """

    signing: bytes
    others: tuple[bytes, ...] = ()
    trouble: str = ""


def keyring(root: Path, *, may_create: bool) -> Keyring:
    """The keys for the plant in ``root``.

    Parameters
    ----------
    root
        The plant directory.
    may_create
        Whether a key may be created in the plant if there is no other place for one.
    """
    key, trouble = _user_key()
    planted = _plant_key(root, make=False)
    if key:
        return Keyring(key, (planted,) if planted else ())
    if planted:
        return Keyring(planted)
    remedy = "Set XDG_DATA_HOME to a directory that you alone can write to."
    planted = _plant_key(root, make=True) if may_create else None
    if planted:
        where = "It is kept in the plant, and is not valid in a copy of the plant."
        return Keyring(planted, (), f"{trouble} {where} {remedy}")
    key = _key_in_foreign_home()
    if key:
        return Keyring(key)
    return Keyring(
        _process_key(), (), f"{trouble} Other processes will compute pickled values again. {remedy}"
    )


@cache
def signing_key() -> bytes:
    """The key outside of all plants, made on first use; without a place to keep it, one for this process."""
    return _user_key()[0] or _key_in_foreign_home() or _process_key()


def forget_keys() -> None:
    """Look for the keys again, as a new process does."""
    for function in (signing_key, _user_key, _key_in_foreign_home, _process_key):
        function.cache_clear()


@cache
def _process_key() -> bytes:
    return os.urandom(_LENGTH)


@cache
def _user_key() -> tuple[bytes, str]:
    """The key outside of all plants; else an empty one, and the reason."""
    explicit, homes, lasting = _directories()
    troubles: list[str] = []
    key = _found(explicit, troubles, make=True) or _found(homes, [], make=False)
    key = key or _found(lasting, troubles, make=True)
    trouble = troubles[0] if troubles else "there is no home directory"
    return key, "" if key else f"The key that signs pickled values cannot be kept at its place ({trouble})."


@cache
def _key_in_foreign_home() -> bytes:
    """The key in a home directory that may be another one in the next process."""
    return _found(_directories()[1], [], make=True)


def _directories() -> tuple[list[Path], list[Path], list[Path]]:
    """Where the key may be: as the user says; where it is looked for; and where it is made, for it lasts there."""
    if os.name == "nt":
        local = os.environ.get("LOCALAPPDATA")
        return ([Path(local)] if local else []), [], ([] if local else _homes([os.path.expanduser("~")]))
    explicit, *further = (
        [Path(os.environ[name])] if Path(os.environ.get(name, "")).is_absolute() else []
        for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")
    )
    home = os.environ.get("HOME", "")
    own = _homes(_home_of_user())
    lasting = [*own, *further[0], *further[1]]
    return explicit, [*_homes([home]), *lasting], lasting


def _home_of_user() -> list[str]:
    """The home directory in the user database, which is the same in every process."""
    try:
        import pwd

        return [pwd.getpwuid(os.geteuid()).pw_dir]
    except (ImportError, KeyError):
        return []


def _homes(names: Iterable[str]) -> list[Path]:
    """The data directories in home directories; the root directory stands for none."""
    return [Path(name) / ".local" / "share" for name in names if Path(name).is_absolute() and name.strip("/")]


def _found(directories: Iterable[Path], troubles: list[str], *, make: bool) -> bytes:
    """The first key in these directories; empty if there is none."""
    for directory in directories:
        path = directory / "pyplant" / "signing-key"
        try:
            if directory.parts[-2:] == (".local", "share") and not directory.parent.parent.is_dir():
                raise FileNotFoundError(errno.ENOENT, "there is no such home directory")
            key = _read(path) or (_make(path) if make else None)
        except OSError as error:
            troubles.append(f"{directory}: {error.strerror or error}")
            continue
        if key is not None:
            return key[0]
    return b""


def _plant_key(root: Path, *, make: bool) -> bytes | None:
    """The key of last resort; ``None`` if there is none, or if another user could have put it there."""
    if os.name != "posix":
        return None
    path = root / PLANT_KEY
    try:
        info = root.stat()  # a link may lead to the plant
        if info.st_uid != os.geteuid() or info.st_mode & _WRITABLE_BY_OTHERS:
            return None
        if make:
            _remove_exposed(path)
        found = _read(path)
        if (found is None and not make) or _others_write_journal(root):
            return None
        content, info = found or _make(path)
    except OSError:
        return None
    if _is_exposed(info):
        return None
    return blake3(content + f"{info.st_ino} {info.st_ctime_ns}".encode()).digest()


def _is_exposed(info: os.stat_result) -> bool:
    """Whether other users can read or write a file, or it has other names."""
    return bool(info.st_mode & 0o077) or info.st_nlink > 1


def _remove_exposed(path: Path) -> None:
    """Delete a key that is of no use any more, because it was made readable to others or linked to another place."""
    with suppress(FileNotFoundError):
        descriptor = os.open(path, _READING)
        with os.fdopen(descriptor, "rb", buffering=0):
            if _is_exposed(os.fstat(descriptor)):
                _remove(path, descriptor)


def _others_write_journal(root: Path) -> bool:
    """Whether other users may write lines of the journal.

    The author of an archive knows the key in it as soon as they can look at what another user of the same machine
    unpacked: the inode number and the times of a file are no secret. They must not be able to add lines then.
    """
    directory = root / "journal"
    for path in [directory, *directory.iterdir()] if directory.exists() else []:
        with suppress(FileNotFoundError):  # it was merged into another one
            info = path.stat()
            if info.st_uid not in (os.geteuid(), 0) or info.st_mode & _WRITABLE_BY_OTHERS:
                return True
    return False


def _make(path: Path) -> tuple[bytes, os.stat_result]:
    """Create a key, unless another process does.

    A process that writes a key has the lock on its file, and so has one that deletes a file without a whole key. So no
    process deletes the key that another has begun to sign with. Where there are no locks, both are only improbable.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for _ in range(_MOST_TRIES):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            _wait_for_key(path)
        else:
            with os.fdopen(descriptor, "wb", buffering=0) as stream:
                if not _lock(descriptor):
                    continue  # another process takes the empty file for one that was cut short
                try:
                    stream.write(os.urandom(_LENGTH))
                    os.fsync(descriptor)
                except OSError:
                    if _is_named(descriptor, path):
                        path.unlink()  # the disk may be full: no process has to wait for the rest of the key
                    raise
        found = _read(path)
        if found is not None:
            return found
    raise OSError(errno.EIO, "the key cannot be written", str(path))


def _wait_for_key(path: Path) -> None:
    """Wait for the key that another process is writing; delete its file if it was cut short."""
    try:
        descriptor = os.open(path, _READING)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb", buffering=0):  # while it is open, no other file has its inode number
        end = time.monotonic() + _WAIT
        while not _is_whole(descriptor) and _is_named(descriptor, path):
            if time.monotonic() < end:
                time.sleep(_POLL)
                continue
            _remove(path, descriptor)
            return


def _remove(path: Path, descriptor: int) -> None:
    """Delete an open file that holds no useful key, unless a process is writing it, or another file has its name."""
    if not _lock(descriptor):
        return
    is_useless = not _is_whole(descriptor) or _is_exposed(os.fstat(descriptor))
    if is_useless and _is_named(descriptor, path):
        path.unlink()


def _lock(descriptor: int) -> bool:
    """Take the kernel's lock on a file; ``False`` if another process has it. A system without locks gives it to all."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def _is_whole(descriptor: int) -> bool:
    return os.fstat(descriptor).st_size == _LENGTH


def _is_named(descriptor: int, path: Path) -> bool:
    """Whether a path still leads to an open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _read(path: Path) -> tuple[bytes, os.stat_result] | None:
    """The key and what the file is; ``None`` if there is none, or none that is whole.

    Raises
    ------
    PermissionError
        If it is not a file of this user that this user alone can write to.
    OSError
        If it cannot be read.
    """
    try:
        descriptor = os.open(path, _READING)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with os.fdopen(descriptor, "rb", buffering=0):
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        key = os.read(descriptor, _LENGTH + 1) if is_file else b""
        # After the key: writing it is the last change of its file. Times that were taken before may be those of the
        # empty file that another process has just created.
        info = os.fstat(descriptor)
    if os.name == "posix" and (
        not is_file or info.st_uid != os.geteuid() or info.st_mode & _WRITABLE_BY_OTHERS
    ):
        raise PermissionError(errno.EPERM, "the key there is not a file of this user alone", str(path))
    return (key, info) if len(key) == _LENGTH else None
