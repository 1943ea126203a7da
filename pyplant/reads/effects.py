"""What a reactor changes around it that a hit does not change again: options of libraries, the environment, globals.

The names in the code of the reactor itself tell; explanations list them.
"""

from __future__ import annotations

import dis
import functools
import inspect
from collections.abc import Callable, Iterator
from opcode import opmap
from types import CodeType
from typing import Any

from pyplant.engine.trace import Note
from pyplant.fingerprint.bytecode import nested, opcodes
from pyplant.reads.places import code_place

__all__ = ["unrepeated_effects"]

_CALLS = {
    "chdir": "changes the working directory",
    "putenv": "sets an environment variable",
    "set_option": "sets an option of a library",
    "set_options": "sets an option of a library",
    "set_printoptions": "sets an option of a library",
    "set_string_function": "sets an option of a library",
    "seterr": "sets an option of a library",
    "setlocale": "sets the locale",
    "basicConfig": "sets up logging",
    "rcParams": "sets an option of a library",
    "set_theme": "sets an option of a library",
}
_VARIABLES = "environ"
_MAGIC = "run_line_magic"
_MAGICS = frozenset(["cd", "config", "env", "load_ext", "matplotlib", "pylab", "set_env"])
_STORES = frozenset(["STORE_SUBSCR", "DELETE_SUBSCR"])
_READS = frozenset(["LOAD_ATTR", "LOAD_METHOD", "LOAD_GLOBAL", "IMPORT_FROM"])
_SIGNS = frozenset([*_CALLS, _VARIABLES, _MAGIC])
_STORE_GLOBAL = opmap["STORE_GLOBAL"]


def unrepeated_effects(reactor: Callable[..., Any]) -> frozenset[Note]:
    """Return a note for each change that the code of a reactor makes around it."""
    code = getattr(inspect.unwrap(reactor), "__code__", None)
    return frozenset() if code is None else _effects(code)


@functools.lru_cache(maxsize=1024)  # the same for each execution
def _effects(code: CodeType) -> frozenset[Note]:
    return frozenset(
        Note(
            "outside",
            f"{what}, which a hit does not repeat, {code_place(part.co_qualname, part.co_filename, line)}",
        )
        for part in nested(code)
        if _may_have_effects(part)
        for what, line in _effects_of_part(part)
    )


def _may_have_effects(code: CodeType) -> bool:
    """Return whether to look at the instructions, which would take a twelfth of a run of trivial reactors."""
    return (
        not _SIGNS.isdisjoint(code.co_names)
        or not _SIGNS.isdisjoint(code.co_consts)
        or _STORE_GLOBAL in opcodes(code)
    )


def _effects_of_part(code: CodeType) -> Iterator[tuple[str, int]]:
    line, names = code.co_firstlineno, list[str]()  # names: those on the line
    for instruction in dis.get_instructions(code):
        where = instruction.positions
        if where is not None and where.lineno is not None and where.lineno != line:
            line, names = where.lineno, []
        name = instruction.argval if isinstance(instruction.argval, str) else ""
        if instruction.opname == "STORE_GLOBAL":
            yield f"sets the global variable {name!r}", line
        elif instruction.opname in _STORES and _VARIABLES in names:
            yield "sets an environment variable", line
        elif instruction.opname == "LOAD_CONST":
            if names[-1:] == [_MAGIC] and name in _MAGICS:
                yield f"executes %{name}", line
            names.append(name)
        elif instruction.opname in _READS:
            names.append(name)
            if name in _CALLS:
                yield f"{_CALLS[name]} ({name})", line
