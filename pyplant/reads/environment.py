"""Reads of environment variables: which code made them, and digests of the values.

``os.environ`` encodes the name of a variable before each access, with a function that is one of its attributes. This
function is replaced once by one that does the same and tells the running reactor. A read counts if user code asks for
one variable (``os.environ["X"]``, ``os.getenv("X")``, ``"X" in os.environ``, ``os.path.expandvars``). What libraries
read on their own account does not, and a copy of the whole environment, as for a new process, neither; but of these the
variables count that the user's code names, as in ``dict(os.environ)["X"]`` and ``click.option(envvar="X")``. Where code
goes through all names and knows how some begin (``name.startswith("APP_")``), which names begin so counts as well.

A variable that a reactor changes counts by what it was before, in this process, while it stays as the reactor left it and until
a reactor reads it: what a reactor does is no change of the user.
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

__all__ = [
    "counts",
    "digest",
    "forget_before",
    "is_secret",
    "keep_before",
    "present_value",
    "present_variables",
    "watch",
]

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
_ALL = "*"  # ends the beginning of names

_left: dict[str, tuple[bytes | None, bytes | None]] = {}
"""What variables were before reactors changed them, and how these left them."""


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
    """Return the keyed digest of the present value, so that a reader of the plant cannot try out values.

    Of the beginning of names (``APP_*``), it is that of the names.
    """
    if name.endswith(_ALL):
        names = sorted(filter(counts, _names_like(name)))
        return seals.secret_digest("\0".join(names).encode("utf-8", "surrogatepass"))
    value = _counted_value(name)
    if value is None:
        return "unset"
    return "set" if is_secret(name) else seals.secret_digest(value)


def present_value(name: str) -> bytes | None:
    """Return the value of a variable as bytes."""
    if os.supports_bytes_environ:
        return os.environb.get(os.fsencode(name))
    value = os.environ.get(name)
    return None if value is None else value.encode("utf-8", "surrogatepass")


def keep_before(name: str, before: bytes | None) -> None:
    """Let a variable that a reactor changed count by its value before that."""
    _left[name] = before, present_value(name)


def forget_before(name: str) -> None:
    """Let a variable that a reactor reads count by what it reads."""
    for changed in [changed for changed in tuple(_left) if _is_meant(changed, name)]:
        _left.pop(changed, None)  # another thread may have done so


def _counted_value(name: str) -> bytes | None:
    present = present_value(name)
    before, left = _left.get(name, (present, present))
    return before if present == left else present


def _is_meant(name: str, asked: str) -> bool:
    return name.startswith(asked[:-1]) if asked.endswith(_ALL) else name == asked


def _names_like(pattern: str) -> set[str]:
    names = {*present_variables(), *_left}
    return {name for name in names if _is_meant(name, pattern) and _counted_value(name) is not None}


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
        decode: Any = environ.decodekey
        decode = getattr(decode, "__wrapped__", decode)

        def decoded(key: Any, _decode: Any = decode) -> Any:
            frame = sys._getframe(1)  # noqa: SLF001 - documented in sys
            if frame.f_code.co_name == "__iter__" and is_listening():
                _asked_for_all(frame.f_back, read)
            return _decode(key)

        decoded.__wrapped__ = decode  # type: ignore[attr-defined] # as functools.wraps() does
        environ.decodekey = decoded


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


def _asked_for_all(frame: FrameType | None, read: Callable[[str, FrameType], None]) -> None:
    """Tell of the beginnings of names that the user's code contains, if it or a library goes through all names."""
    while frame is not None and not is_own_file(frame.f_code.co_filename):
        if is_user_file(frame.f_code.co_filename):
            for word in _words(frame.f_code):
                if word.endswith("_"):
                    read(word + _ALL, frame)
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
