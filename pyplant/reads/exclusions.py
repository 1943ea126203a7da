"""Which paths are no inputs: the interpreter, installed packages, devices, plants, and caches of libraries.

They change with an installation or with the machine and not with the user's work, and code counts elsewhere.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache, lru_cache

from pyplant.fingerprint.distribution import installation_folders, may_hold_installed_files
from pyplant.fingerprint.origin import is_own_file

__all__ = ["is_excluded", "is_in_dot_folder", "is_in_plant", "is_source_of_module"]

_CACHES = (
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "HF_HOME",
    "TORCH_HOME",
    "MPLCONFIGDIR",
)
_SYSTEM = (
    "/proc",
    "/sys",
    "/dev",
    "/run",
    # Programs, which commands name.
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share",
    "/lib",
    "/lib64",
    "/etc/ssl",
    "/etc/fonts",
    # Folders of fonts, which libraries that draw list when they are first used.
    "/usr/X11",
    "/usr/X11R6",
    "/usr/local/share/fonts",
    "/opt/local/share/fonts",
    "/System",
    "/Library/Fonts",
    "/Network/Library/Fonts",
)
_SHARED_MEMORY = "/dev/shm/"  # noqa: S108 - a disk in memory, on which users keep files


@cache
def _prefixes() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = [
        paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib", "include") if name in paths
    ]
    # A prefix of the system, such as /usr, also holds what users install and keep there.
    folders += [
        prefix for prefix in {sys.prefix, sys.base_prefix} if prefix not in ("/usr", "/usr/local", "/")
    ]
    return tuple(_with_separator([*folders, *map(os.path.realpath, folders), *_SYSTEM]))


def _with_separator(folders: Iterable[str]) -> Iterable[str]:
    return (folder.rstrip(os.sep) + os.sep for folder in dict.fromkeys(folders))


def is_excluded(path: str) -> bool:
    """Return whether an absolute path never is an input. This is asked for each event, so most of it is per folder."""
    folder = path.rpartition(os.sep)[0]
    return (
        _is_excluded_folder(folder)
        or _is_of_system(path.rstrip(os.sep) + os.sep)
        or path.endswith("__pycache__")
        or (may_hold_installed_files(folder) and bool(installation_folders(path)))
    )


def _is_of_system(path: str) -> bool:
    return path.startswith(_prefixes()) and not path.startswith(_SHARED_MEMORY)


@lru_cache(maxsize=10_000)
def _is_excluded_folder(folder: str) -> bool:
    inside = folder + os.sep
    return (
        "__pycache__" in inside
        or ".dist-info" + os.sep in inside
        or ".egg-info" + os.sep in inside
        or is_own_file(inside)
    )


def is_in_dot_folder(path: str) -> bool:
    """Return whether a path is in a folder for caches and settings of libraries."""
    for name in _CACHES:
        folder = os.environ.get(name)
        if folder and path.startswith(folder.rstrip(os.sep) + os.sep):
            return True
    home = os.path.expanduser("~")
    if not path.startswith(home.rstrip(os.sep) + os.sep + "."):
        return False
    # A project may live in a dot folder, as a temporary one does for some users; the working directory is not a cache.
    top = os.path.join(home, path[len(home) + 1 :].partition(os.sep)[0]) + os.sep
    return not (os.getcwd() + os.sep).startswith(top)


def is_source_of_module(path: str) -> bool:
    """Return whether a file is the source of a module of this process, which counts as code."""
    if not path.endswith((".py", ".ipynb")):
        return False
    files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return path in files or os.path.realpath(path) in {
        os.path.realpath(file) for file in files if type(file) is str
    }


def is_in_plant(path: str, known: dict[str, bool], *, is_folder: bool = True) -> bool:
    """Return whether a path is a plant or in one.

    Parameters
    ----------
    path
        An absolute path.
    known
        Answers for folders that were asked before in this execution.
    is_folder
        Whether the path may be a folder, and so a plant itself.
    """
    folder = path if is_folder else os.path.dirname(path)
    if folder not in known:
        above = os.path.dirname(folder)
        known[folder] = _is_plant(folder) or (above != folder and is_in_plant(above, known))
    return known[folder]


def _is_plant(folder: str) -> bool:
    parts = (os.path.join(folder, name) for name in ("FORMAT", "journal", "objects"))
    return all(map(os.path.exists, parts))
