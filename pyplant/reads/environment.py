"""Reads of environment variables: which code made them, and digests of the values.

``os.environ`` encodes the name of a variable before each access, with a function that is one of its attributes. This
function is replaced once by one that does the same and tells the running reactor. A read counts if user code asks for
one variable (``os.environ["X"]``, ``os.getenv("X")``, ``"X" in os.environ``, ``os.path.expandvars``). What libraries
read on their own account does not, and a copy of the whole environment, as for a new process, neither; but of these the
variables count that the user's code names, as in ``dict(os.environ)["X"]`` and ``click.option(envvar="X")``.
"""

from __future__ import annotations

import dis
import fnmatch
import os
import re
import sys
from collections.abc import Callable
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from pyplant.fingerprint.bytecode import nested
from pyplant.fingerprint.origin import is_own_file, is_user_file
from pyplant.store.seals import Seals

__all__ = ["counts", "digest", "is_secret", "present_variables", "watch"]

_SECRET = ("*TOKEN*", "*SECRET*", "*KEY*", "*PASSWORD*", "*PASSWD*", "*CREDENTIAL*")
# Set for each worker, process or session, and not by the user for the program.
_NOT_COUNTED = (
    *("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"),
    *(
        "OMP_*",
        "MKL_*",
        "OPENBLAS_*",
        "NUMEXPR_*",
        "VECLIB_*",
        "BLIS_*",
        "GOTO_*",
        "KMP_*",
        "NUMBA_NUM_THREADS",
    ),
    *("RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "TOKENIZERS_PARALLELISM"),
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT"),
    *("SLURM_*", "PBS_*", "LSB_*", "SGE_*", "OMPI_*", "PMI_*", "PMIX_*", "HYDRA_*", "DASK_*", "PYPLANT_*"),
    *("JPY_*", "JUPYTER_*", "IPY*", "PYTEST_*", "PYTHON*", "VIRTUAL_ENV", "CONDA_*"),
    *(
        "HOME",
        "PATH",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "TMPDIR",
        "TEMP",
        "TMP",
        "TERM",
        "DISPLAY",
        "WAYLAND_DISPLAY",
        "_",
    ),
    *("USER", "LOGNAME", "USERNAME", "HOSTNAME", "SSH_*", "XDG_*", "DBUS_*", "COLUMNS", "LINES"),
)
_ACCESSORS = frozenset({"get", "__contains__", "getenv", "getenvb", "setdefault", "pop", "expandvars"})
_CHANGES = frozenset({"__setitem__", "__delitem__"})
_BETWEEN = frozenset({"os", "collections.abc", "_collections_abc", "posixpath", "ntpath"})
_ASKING = (_ACCESSORS | {"environ", "environb"}) - {"pop"}
"""Names in code that asks for a variable."""
_LOOKUPS = frozenset({"BINARY_SUBSCR", "BINARY_OP", "CONTAINS_OP"})  # BINARY_OP from Python 3.14 on
_WORD = re.compile(r"\w{2,}")


def present_variables() -> dict[str, str]:
    """Return all variables. ``dict(os.environ)`` asks for each one, which takes ten times as long."""
    environ: Any = os.environ
    data = getattr(environ, "_data", None)
    if data is None:  # a test replaced it by another mapping
        return dict(environ)
    return {environ.decodekey(key): environ.decodevalue(value) for key, value in data.items()}


def counts(name: str) -> bool:
    """Return whether a variable can be an input; some are set for each worker or session."""
    return not any(fnmatch.fnmatchcase(name, pattern) for pattern in _NOT_COUNTED)


def is_secret(name: str) -> bool:
    """Return whether a variable probably holds a secret; it counts by its presence only."""
    return any(fnmatch.fnmatchcase(name.upper(), pattern) for pattern in _SECRET)


def digest(name: str, seals: Seals) -> str:
    """Return the keyed digest of the present value, so that a reader of the plant cannot try out values."""
    value = os.environb.get(os.fsencode(name)) if os.supports_bytes_environ else os.environ.get(name)
    if value is None:
        return "unset"
    if is_secret(name):
        return "set"
    return seals.secret_digest(value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass"))


def watch(
    read: Callable[[str, FrameType], None],
    changed: Callable[[str], None],
    copied: Callable[[FrameType], None],
    is_listening: Callable[[], object],
) -> None:
    """Tell from now on how the environment is used.

    Parameters
    ----------
    read
        Called with the name and the asking frame of each read that counts.
    changed
        Called with each name that is set or removed.
    copied
        Called with the frame of user code that reads all variables, once for each of them.
    is_listening
        Returns whether anybody wants to know; most code that reads variables is no reactor's.
    """
    for environ in (os.environ, os.environb) if os.supports_bytes_environ else (os.environ,):
        encode: Any = environ.encodekey
        encode = getattr(encode, "__wrapped__", encode)  # this module was reloaded

        def watched(key: Any, _encode: Any = encode) -> Any:
            encoded = _encode(key)
            frame = sys._getframe(1)  # noqa: SLF001 - documented in sys
            if not is_listening():
                return encoded
            if frame.f_code.co_name in _CHANGES:
                changed(os.fsdecode(key))
            elif frame.f_code.co_name == "__getitem__" and frame.f_back is not None:
                _asked(os.fsdecode(key), frame.f_back, read, copied)
            return encoded

        watched.__wrapped__ = encode  # type: ignore[attr-defined] # as functools.wraps() does
        environ.encodekey = watched


def _asked(
    name: str,
    caller: FrameType,
    read: Callable[[str, FrameType], None],
    copied: Callable[[FrameType], None],
) -> None:
    frame: FrameType | None = caller
    is_for_one = _is_between(caller) or _operation(caller) in _LOOKUPS
    while frame is not None and _is_between(frame):
        is_for_one = is_for_one and frame.f_code.co_name in _ACCESSORS
        frame = frame.f_back
    if frame is not None and is_user_file(frame.f_code.co_filename):
        # Compiled code has no frame of its own, so user code that calls it seems to ask.
        if is_for_one and (_operation(frame) in _LOOKUPS or not _ASKING.isdisjoint(frame.f_code.co_names)):
            read(name, frame)
            return
        if not is_for_one and not _is_named(frame, name):
            copied(frame)
    # Of a copy, and of what libraries ask for, the variables count that the user's code names.
    while frame is not None and not is_own_file(frame.f_code.co_filename):
        if is_user_file(frame.f_code.co_filename) and _is_named(frame, name):
            read(name, frame)
            return
        frame = frame.f_back


def _is_between(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") in _BETWEEN


def _is_named(frame: FrameType, name: str) -> bool:
    """Return whether a text in the code of a frame contains the name of a variable, or its beginning (``"APP_"``)."""
    words = _words(frame.f_code)
    return name in words or any(name.startswith(word) for word in words if word.endswith("_"))


@lru_cache(maxsize=1_000)
def _words(code: CodeType) -> frozenset[str]:
    constants = [constant for part in nested(code) for constant in part.co_consts]
    texts = [item for constant in constants for item in (constant if type(constant) is tuple else [constant])]
    return frozenset(word for text in texts if type(text) is str for word in _WORD.findall(text))


def _operation(frame: FrameType) -> str:
    """Return the name of the instruction that a frame executes."""
    code, offset = frame.f_code, frame.f_lasti
    # An instruction that was specialised, because it ran often, is left at the end of its cache.
    while offset > 0 and dis.opname[code.co_code[offset]] == "CACHE":
        offset -= 2
    return dis.opname[code.co_code[offset]]
