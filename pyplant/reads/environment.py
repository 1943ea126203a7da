"""Reads of environment variables: which code made them, and digests of the values.

``os.environ`` encodes the name of a variable before each access, with a function that is one of its attributes. This
function is replaced once by one that does the same and tells the running reactor. A read counts if user code asks for
one variable (``os.environ["X"]``, ``os.getenv("X")``, ``"X" in os.environ``, ``os.path.expandvars``). What libraries
read on their own account does not, and a copy of the whole environment, as for a new process, neither.
"""

from __future__ import annotations

import dis
import fnmatch
import os
import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from pyplant.fingerprint.origin import is_user_file
from pyplant.store.seals import Seals

__all__ = ["counts", "digest", "is_asked_by_libraries", "is_secret", "present_variables", "watch"]

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
# Read by compiled code, which has no frame of its own, whenever the user's code calls it.
_OF_COMPILED_LIBRARIES = ("PYARROW_*", "ARROW_*")


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


def is_asked_by_libraries(name: str) -> bool:
    """Return whether a library probably asked for a variable, although user code seems to have done it."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _OF_COMPILED_LIBRARIES)


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


def watch(read: Callable[[str, FrameType], None], changed: Callable[[str], None]) -> None:
    """Call ``read`` with the name and the asking frame of each counted read, and ``changed`` with each name that is set."""
    for environ in (os.environ, os.environb) if os.supports_bytes_environ else (os.environ,):
        encode: Any = environ.encodekey
        encode = getattr(encode, "__wrapped__", encode)  # this module was reloaded

        def watched(key: Any, _encode: Any = encode) -> Any:
            encoded = _encode(key)
            frame = sys._getframe(1)  # noqa: SLF001 - documented in sys
            if frame.f_code.co_name in _CHANGES:
                changed(os.fsdecode(key))
            elif (asking := _asking_frame(frame)) is not None:
                read(os.fsdecode(key), asking)
            return encoded

        watched.__wrapped__ = encode  # type: ignore[attr-defined] # as functools.wraps() does
        environ.encodekey = watched


def _asking_frame(access: FrameType) -> FrameType | None:
    """Return the frame of user code that asks for one variable; ``None`` if it is another access."""
    frame = access.f_back
    if frame is None or access.f_code.co_name != "__getitem__":
        return None
    if frame.f_globals.get("__name__") in _BETWEEN:
        while frame is not None and frame.f_globals.get("__name__") in _BETWEEN:
            if frame.f_code.co_name not in _ACCESSORS:
                return None  # a copy, or an iteration over all
            frame = frame.f_back
    elif not _is_subscript(frame.f_code, frame.f_lasti):
        return None  # ``dict(os.environ)`` and ``{**os.environ}`` ask for each name
    return frame if frame is not None and is_user_file(frame.f_code.co_filename) else None


def _is_subscript(code: CodeType, offset: int) -> bool:
    # An instruction that was specialised, because it ran often, is left at the end of its cache.
    while offset > 0 and dis.opname[code.co_code[offset]] == "CACHE":
        offset -= 2
    name = dis.opname[code.co_code[offset]]
    return name in {"BINARY_SUBSCR", "BINARY_OP"}  # the latter from Python 3.14 on
