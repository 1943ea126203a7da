"""The audit hook: tells the execution that runs in a thread what the interpreter opens, lists and changes in it.

Python raises audit events (PEP 578) in the thread that acts, before the operation. A hook stays for the life of the
process, so it is installed once, before the first reactor runs, and does nothing while no reactor runs in its thread.
It calls the handler that an attribute of :mod:`sys` holds, so a reloaded module replaces the handler and not the hook.
"""

from __future__ import annotations

import glob
import os
import sys
import threading
from collections.abc import Callable
from importlib.util import source_from_cache
from types import FrameType, MappingProxyType
from typing import Any

from pyplant.fingerprint.origin import is_user_file
from pyplant.reads import asked_paths, environment, module_searches
from pyplant.reads.argument_paths import database_files, paths_in_command, variables_in_command
from pyplant.reads.descriptors import below_descriptor, possible_paths, without_descriptor
from pyplant.reads.places import is_import, responsible
from pyplant.reads.recorder import ReadRecorder

__all__ = ["install", "listening_recorder", "report", "started_process"]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_IMPORT_SUFFIXES = (".py", ".pyc", ".pyd", ".so", ".pth", ".zip", ".egg")
_RANDOM = ("/dev/urandom", "/dev/random")
_LOCAL = ("localhost", "127.", "::1", "0.0.0.0")  # noqa: S104 - compared, not bound

_HOLDER = "_pyplant_audit_handler"

_busy = threading.local()
_installed: list[Callable[[], ReadRecorder | None]] = []


def install(find: Callable[[], ReadRecorder | None]) -> None:
    """Install the hook, if this was not done before.

    Parameters
    ----------
    find
        Returns the recorder of the execution that this thread works for; ``None`` if there is none.
    """
    if _installed:
        return
    _installed.append(find)
    is_first = _HOLDER not in vars(sys)
    vars(sys)[_HOLDER] = _hook
    if is_first:
        sys.addaudithook(_audit)
    environment.watch(_variable_read, _variable_set, _environment_copied, listening_recorder)
    asked_paths.watch(listening_recorder, report)
    module_searches.watch(listening_recorder, report)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _HANDLERS:
        vars(sys)[_HOLDER](event, arguments)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    handler, recorder = _HANDLERS.get(event), listening_recorder()
    if handler is not None and recorder is not None:
        report(handler, recorder, sys._getframe(2), *arguments)  # noqa: SLF001 - documented in sys


def listening_recorder() -> ReadRecorder | None:
    """Return the recorder that this thread reports to now, if there is one."""
    recorder = _installed[0]()
    return None if recorder is None or recorder.is_paused or getattr(_busy, "is_busy", False) else recorder


def report(handle: Callable[..., None], *arguments: Any) -> None:
    """Call what records an event; what it opens itself is not recorded."""
    _busy.is_busy = True  # what follows opens files itself
    try:
        handle(*arguments)
    except Exception:  # noqa: BLE001, S110 - an error here would become one of the operation
        pass
    finally:
        _busy.is_busy = False


def _variable_read(name: str, frame: FrameType) -> None:
    recorder = listening_recorder()
    if recorder is not None:
        report(recorder.asked_for_variable, name, frame)


def _environment_copied(frame: FrameType) -> None:
    recorder = listening_recorder()
    if recorder is not None:
        report(
            recorder.note, "copies the environment, of which the variables count that the code names", frame
        )


def _variable_set(name: str) -> None:
    recorder = listening_recorder()
    if recorder is not None:
        report(recorder.set_variable, name)


# ---------------------------------------------------------------------- events


def _open(recorder: ReadRecorder, frame: FrameType, path: Any, mode: Any, flags: int) -> None:
    if type(path) is int:
        return
    # Only os.open() has no mode, and takes a descriptor that the path is relative to.
    for possible in [path] if mode is not None else possible_paths(path):
        _opens(recorder, frame, possible, flags)


def _opens(recorder: ReadRecorder, frame: FrameType, path: Any, flags: int) -> None:
    if path in _RANDOM:
        recorder.note(f"uses randomness of the system ({path})", frame, is_direct=True)
    is_for_both = flags & os.O_RDWR and not flags & (os.O_TRUNC | os.O_EXCL)
    if is_for_both and (not flags & os.O_CREAT or os.path.isfile(path)):
        recorder.opened(path, frame, may_be_written=True)
    elif flags & _WRITES:
        if not os.path.isdir(path):  # temporary files are announced by their folder first
            recorder.wrote(path)
    elif not (is_import(frame) and os.fsdecode(path).endswith(_IMPORT_SUFFIXES)):
        recorder.opened(path, frame)
    else:
        _import_opens(recorder, os.fsdecode(path))


def _import_opens(recorder: ReadRecorder, path: str) -> None:
    """Note the source of a module that is loaded by its path, or executed, and does not stay in ``sys.modules``."""
    if path.endswith(".pyc"):
        try:
            path = source_from_cache(path)
        except ValueError:  # not in a folder for compiled files
            return
    if path.endswith(".py") and is_user_file(path):
        recorder.imported(os.path.basename(path), path)


def _listdir(recorder: ReadRecorder, frame: FrameType, path: Any) -> None:
    if not is_import(frame):
        recorder.listed(without_descriptor(path), frame)


def _scandir(recorder: ReadRecorder, frame: FrameType, path: Any) -> None:
    module, name = frame.f_globals.get("__name__"), frame.f_code.co_name
    if module == "glob" or (module == "pathlib" and name == "_scandir" and not _is_walk(frame.f_back)):
        return  # the event of the pattern came before
    if not is_import(frame):
        path = without_descriptor(path)
        recorder.listed(path, frame)
        asked_paths.entries_asked(recorder, path, frame)


def _is_walk(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_code.co_name in ("walk", "_walk")


def _glob(
    recorder: ReadRecorder,
    frame: FrameType,
    pattern: Any,
    recursive: Any,
    root: Any = None,
    folder: Any = None,
) -> None:
    text = os.fsdecode(pattern)
    if root is not None:
        text = os.path.join(glob.escape(os.fsdecode(root)), text)
    if folder is not None:
        text = os.path.join(glob.escape(str(without_descriptor(folder))), text)
    recorder.matched(text if recursive else text.replace("**", "*"), frame)


def _path_glob(recorder: ReadRecorder, frame: FrameType, path: Any, pattern: Any) -> None:
    recorder.matched(os.path.join(glob.escape(os.fspath(path)), os.fspath(pattern)), frame)


def _path_rglob(recorder: ReadRecorder, frame: FrameType, path: Any, pattern: Any) -> None:
    recorder.matched(os.path.join(glob.escape(os.fspath(path)), "**", os.fspath(pattern)), frame)


def _sqlite(recorder: ReadRecorder, frame: FrameType, database: Any) -> None:
    name = os.fsdecode(database) if isinstance(database, str | bytes | os.PathLike) else ""
    for path in database_files(name):
        recorder.opened(path, frame, may_be_written=True, may_be_touched=path.endswith("-wal"))


def _makes(recorder: ReadRecorder, frame: FrameType, path: Any, _mode: Any, folder: Any) -> None:
    path = below_descriptor(path, folder)
    if not os.path.lexists(path):
        recorder.wrote(path, tree=True)


def _changes_directory(recorder: ReadRecorder, frame: FrameType, path: Any) -> None:
    place, _ = responsible(frame)
    if place and type(path) is not int and not os.path.isabs(path):
        recorder.asked_for_directory(place, frame)


def _makes_temporary(recorder: ReadRecorder, frame: FrameType, path: Any) -> None:
    recorder.wrote(path, tree=True)


def _removes(recorder: ReadRecorder, frame: FrameType, path: Any, folder: Any = None) -> None:
    recorder.wrote(below_descriptor(path, folder), tree=True)


def _truncates(recorder: ReadRecorder, frame: FrameType, path: Any, _length: Any) -> None:
    recorder.wrote(without_descriptor(path))


def _copies(recorder: ReadRecorder, frame: FrameType, source: Any, path: Any) -> None:
    recorder.wrote(path, tree=os.path.isdir(source))


def _links(
    recorder: ReadRecorder, frame: FrameType, source: Any, path: Any, folder: Any, other: Any = None
) -> None:
    recorder.wrote(below_descriptor(path, folder if other is None else other), tree=os.path.isdir(source))


def _moves(
    recorder: ReadRecorder, frame: FrameType, source: Any, target: Any, folder: Any = None, other: Any = None
) -> None:
    source = below_descriptor(source, folder)
    is_folder = os.path.isdir(source)
    recorder.wrote(source, tree=is_folder)
    recorder.wrote(below_descriptor(target, other), tree=is_folder)


def _starts_process(recorder: ReadRecorder, frame: FrameType, command: Any = "", *arguments: Any) -> None:
    recorder.writes_unseen = True
    words = arguments[0] if arguments else [command]
    # The last two are only of subprocess.Popen; without an environment of its own a process has that of this one.
    folder, variables = arguments[1:3] if len(arguments) > 2 else (None, None)  # noqa: PLR2004
    for name in variables_in_command(words) if variables is None else ():
        recorder.asked_for_variable(name, frame)
    for path in paths_in_command(words, folder):
        if os.path.isdir(path):
            recorder.listed(path, frame, may_be_written=True)
        else:
            recorder.opened(path, frame, may_be_written=True)
    shown = os.path.basename(os.fsdecode(command)) if isinstance(command, str | bytes | os.PathLike) else ""
    if not shown and arguments and isinstance(arguments[0], list | tuple) and arguments[0]:
        shown = os.path.basename(str(arguments[0][0]))
    recorder.note(
        f"starts a process (subprocess{': ' + shown if shown else ''}), whose reads are not followed", frame
    )


def _forks(recorder: ReadRecorder, frame: FrameType, *_: Any) -> None:
    recorder.writes_unseen = True
    recorder.note("forks a process, whose reads are not followed", frame)


def started_process(frame: FrameType) -> None:
    """Note that a process is started of which no event tells, as :mod:`multiprocessing` does without a fork."""
    recorder = listening_recorder()
    if recorder is not None:
        report(_starts_python, recorder, frame)


def _starts_python(recorder: ReadRecorder, frame: FrameType) -> None:
    recorder.writes_unseen = True
    recorder.note("starts a process (multiprocessing), whose reads are not followed", frame)


def _loads_library(recorder: ReadRecorder, frame: FrameType, name: Any) -> None:
    if isinstance(name, str | bytes | os.PathLike) and os.path.basename(name) != name:
        recorder.writes_unseen = True
        recorder.opened(name, frame)
        recorder.note(
            f"calls a library in C ({os.path.basename(os.fsdecode(name))}), whose reads are not followed",
            frame,
            is_direct=True,
        )


def _connects(recorder: ReadRecorder, frame: FrameType, _: Any, address: Any) -> None:
    if isinstance(address, tuple):
        _note_network(recorder, frame, address[0])


def _resolves(recorder: ReadRecorder, frame: FrameType, host: Any, *_: Any) -> None:
    if host:
        _note_network(recorder, frame, host)


def _note_network(recorder: ReadRecorder, frame: FrameType, host: Any) -> None:
    # Libraries reach their own processes on this machine so.
    is_local = str(host).startswith(_LOCAL)
    recorder.note(f"uses the network ({host})", frame, is_direct=is_local)


def _asks(recorder: ReadRecorder, frame: FrameType, *_: Any) -> None:
    recorder.note("asks for input()", frame)


_HANDLERS: MappingProxyType[str, Callable[..., None]] = MappingProxyType(
    {
        "open": _open,
        "os.listdir": _listdir,
        "os.scandir": _scandir,
        "glob.glob/2": _glob,
        "pathlib.Path.glob": _path_glob,
        "pathlib.Path.rglob": _path_rglob,
        "sqlite3.connect": _sqlite,
        "os.chdir": _changes_directory,
        "os.mkdir": _makes,
        "tempfile.mkdtemp": _makes_temporary,
        "os.remove": _removes,
        "os.rmdir": _removes,
        "shutil.rmtree": _removes,
        "os.truncate": _truncates,
        "os.rename": _moves,
        "shutil.move": _moves,
        "os.link": _links,
        "os.symlink": _links,
        "shutil.copytree": _copies,
        "subprocess.Popen": _starts_process,
        "os.system": _starts_process,
        "os.posix_spawn": _starts_process,
        "os.fork": _forks,
        "os.forkpty": _forks,
        "socket.connect": _connects,
        "socket.getaddrinfo": _resolves,
        "builtins.input": _asks,
        "ctypes.dlopen": _loads_library,
    }
)
