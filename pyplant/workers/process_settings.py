"""Settings of the program that its workers adopt, so that reactors compute there what they compute here.

They are read each time when a reactor is submitted, since programs change them between runs, and written in the worker
twice: those that imports may depend on before modules are imported, and all of them before the reactor starts, since
what was imported may have changed them. A worker in a thread of the program has the settings of the process anyway;
it adopts only those that belong to a thread.

A setting of a library is read only if the program has imported the library. If it is what every process starts with, a
worker that has not imported the library does not import it for that.
"""

from __future__ import annotations

import importlib
import locale
import logging
import operator
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple

from pyplant.execution.nesting import apply_multiprocessing_settings, multiprocessing_settings
from pyplant.fingerprint.origin import find
from pyplant.workers.library_options import LIBRARY_OPTIONS
from pyplant.workers.pickling import dumps, loads
from pyplant.workers.worker_environment import is_own_worker

__all__ = ["SETTINGS", "Setting", "read_settings", "write_settings"]


class Setting(NamedTuple):
    """A setting of a process or a thread.

    Attributes
    ----------
    read, write
        Return it in this process, and set it. The value can be compared and pickled.
    library
        The module that it belongs to; it is set after the modules of the program are imported.
    of_thread
        Whether each thread has its own.
    own_workers
        Whether only workers adopt it that PyPlant starts.
    is_initial
        Whether a value is what a new worker has.
    """

    read: Callable[[], Any]
    write: Callable[[Any], Any]
    library: str = ""
    of_thread: bool = False
    own_workers: bool = False
    is_initial: Callable[[Any], bool] = operator.not_


def read_settings(*, of_thread: bool = False) -> dict[str, bytes]:
    """Return the settings of this process, or only those of this thread, each of them pickled.

    Those that cannot be read or pickled are left out.
    """
    read: dict[str, bytes] = {}
    for name, setting in SETTINGS.items():
        if (setting.of_thread or not of_thread) and (not setting.library or setting.library in sys.modules):
            with suppress(Exception):  # a formatter of the user, say, which has no name
                read[name] = dumps(setting.read())
    return read


def write_settings(settings: Mapping[str, bytes], *, before_imports: bool, own_worker: bool) -> None:
    """Adopt the settings of a program.

    Parameters
    ----------
    settings
        What :func:`read_settings` returned there.
    before_imports
        Whether to leave out settings of libraries.
    own_worker
        Whether PyPlant has started this process, or it is that of the program.
    """
    for name, data in settings.items():
        setting = SETTINGS[name]
        if (before_imports and setting.library) or (setting.own_workers and not own_worker):
            continue
        with suppress(Exception):  # another machine may lack the directory or the locale, or forbid a limit
            value = _loaded(data)
            if setting.library and setting.library not in sys.modules and setting.is_initial(value):
                continue
            if setting.library:
                importlib.import_module(setting.library)
            if not _has(setting, value):
                setting.write(value)


def _has(setting: Setting, value: Any) -> bool:
    try:
        return bool(setting.read() == value)
    except Exception:  # noqa: BLE001 - such as a working directory that was removed
        return False


@lru_cache(maxsize=100)
def _loaded(data: bytes) -> Any:
    return loads(data)


# ---------------------------------------------------------------------- the process


def _add_paths(paths: list[str]) -> None:
    sys.path += [path for path in paths if path not in sys.path]


def _set_paths(paths: list[str]) -> None:
    sys.path[:] = paths


class _Filter(NamedTuple):
    """A filter of warnings, with the name of its category: to unpickle the class would import its module."""

    action: str
    message: Any
    category: tuple[str, str]
    module: Any
    line: int


def _warning_filters() -> list[_Filter]:
    return [
        _Filter(
            action, message, (category.__module__, str(getattr(category, "__qualname__", ""))), module, line
        )
        for action, message, category, module, line in tuple(warnings.filters)
    ]


def _set_warning_filters(filters: list[_Filter]) -> None:
    found = [(*one[:2], find(sys.modules.get(one.category[0]), one.category[1]), *one[3:]) for one in filters]
    warnings.resetwarnings()  # so that what was shown or ignored before is not remembered
    warnings.filters[:] = [one for one in found if one[2] is not None]  # type: ignore[index]


_OF_POOLS = ("distributed",)
"""Libraries whose loggers in a worker are the business of the pool."""


def _logging_levels() -> tuple[int, dict[str, int]]:
    """Return the level below which nothing is logged, and those of all loggers by name."""
    loggers = logging.root.manager.loggerDict
    levels = {name: one.level for name, one in tuple(loggers.items()) if isinstance(one, logging.Logger)}
    levels[""] = logging.root.level
    return logging.root.manager.disable, {
        name: level for name, level in levels.items() if name.partition(".")[0] not in _OF_POOLS
    }


def _set_logging_levels(wanted: tuple[int, dict[str, int]]) -> None:
    disabled, levels = wanted
    logging.disable(disabled)
    present = _logging_levels()[1]
    for name, level in levels.items():
        if present.get(name, logging.NOTSET) != level:
            logging.getLogger(name).setLevel(level)


def _resource_limits() -> dict[str, int]:
    resource: Any = importlib.import_module("resource")  # not on Windows
    return {
        name: resource.getrlimit(getattr(resource, name))[0]
        for name in dir(resource)
        if name[:7] == "RLIMIT_"
    }


def _set_resource_limits(limits: dict[str, int]) -> None:
    resource: Any = importlib.import_module("resource")
    present = _resource_limits()
    for name, limit in limits.items():
        if limit != present.get(name, limit):
            with suppress(ValueError, OSError):  # it is above the hard limit
                kind = getattr(resource, name)
                resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))


# ---------------------------------------------------------------------- libraries


def _decimal_context() -> Any:
    return sys.modules["decimal"].getcontext()


def _set_decimal_context(context: Any) -> None:
    sys.modules["decimal"].setcontext(context.copy())  # reactors may change it


def _torch_threads() -> int:
    return int(sys.modules["torch"].get_num_threads())


def _set_torch_threads(threads: int) -> None:
    sys.modules["torch"].set_num_threads(min(threads, _share_of_cores()))


def _share_of_cores() -> int:
    """Return the number of threads that this process should have at most, which is unknown in the program."""
    return int(os.environ["OMP_NUM_THREADS"]) if is_own_worker() else sys.maxsize


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "working directory": Setting(os.getcwd, os.chdir),
        "module search path": Setting(lambda: list(sys.path), _add_paths),
        "its order": Setting(lambda: list(sys.path), _set_paths, own_workers=True),
        "multiprocessing": Setting(multiprocessing_settings, apply_multiprocessing_settings),
        "recursion limit": Setting(sys.getrecursionlimit, sys.setrecursionlimit),
        "digits of integers": Setting(sys.get_int_max_str_digits, sys.set_int_max_str_digits),
        "warnings": Setting(_warning_filters, _set_warning_filters),
        "logging levels": Setting(_logging_levels, _set_logging_levels),
        "locale": Setting(partial(locale.setlocale, locale.LC_ALL), partial(locale.setlocale, locale.LC_ALL)),
        "time zone": Setting(lambda: (time.tzname, time.timezone), lambda _: time.tzset(), own_workers=True),
        "resource limits": Setting(_resource_limits, _set_resource_limits, "resource", own_workers=True),
        "decimal context": Setting(_decimal_context, _set_decimal_context, "decimal", of_thread=True),
        "torch threads": Setting(
            _torch_threads,
            _set_torch_threads,
            "torch",
            of_thread=True,
            own_workers=True,
            is_initial=lambda threads: threads >= _share_of_cores(),
        ),
        **{
            name: Setting(options.changed, options.adopt, options.library, of_thread=options.of_thread)
            for name, options in LIBRARY_OPTIONS.items()
        },
    }
)
"""What workers adopt, by name."""
