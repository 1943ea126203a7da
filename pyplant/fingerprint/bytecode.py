"""Code objects: their identity without positions, and the names they look up.

The code object is what runs, so it is the truth about a function. Its digest covers the
instructions, the constants with their types, the names and the exception table, of nested
code too; never file, line, own name or docstring. It depends on the Python version, so it
only *finds* and *verifies* the source (:mod:`pyplant.fingerprint.source`), and identifies code
that has none.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from opcode import opmap
from types import CodeType

from pyplant.fingerprint.hashing import digest_bytes
from pyplant.fingerprint.hints import CONFIG_NAMES, NAMED_CALLS, Hint, NameKind

__all__ = ["code_digest", "nested", "read_names", "scan"]

_HAS_DOCSTRING = 0x4000000  # a flag since 3.14; before, a docstring is the first constant
_FUNCTION_LIKE = 0x2  # CO_NEWLOCALS: not a class body, not a module
_PRINTABLE = 4000  # bits; Python refuses to print much longer integers in decimal
_DIGESTS: dict[int, tuple[CodeType, str]] = {}

_EXTENDED_ARG = opmap["EXTENDED_ARG"]
_LOAD_GLOBAL = opmap["LOAD_GLOBAL"]
_BY_NAME = {opmap[name] for name in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS") if name in opmap}
_CONSTANTS = {"LOAD_CONST", "LOAD_SMALL_INT"}
_WITHOUT_EFFECT = {"CACHE", "EXTENDED_ARG", "KW_NAMES", "NOP", "RESUME", "SWAP"}
_REBINDS = {opmap["STORE_GLOBAL"], opmap["DELETE_GLOBAL"]}


def code_digest(code: CodeType) -> str:
    """The digest of a code object, positions and docstrings aside."""
    known = _DIGESTS.get(id(code))
    if known is not None:
        return known[1]
    head = (
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags & ~_HAS_DOCSTRING,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_exceptiontable,
    )
    constants = code.co_consts[1:] if _has_docstring(code) else code.co_consts
    text = f"{head} {_shown(constants)}"
    digest = digest_bytes(code.co_code, text.encode("utf-8", "surrogatepass"))
    _DIGESTS[id(code)] = (code, digest)  # holding the code keeps its id from being used again
    return digest


def _shown(constant: object) -> str:
    """A constant as text: its type shows, and sets have an order."""
    if constant is None or type(constant) is str:  # most are
        return repr(constant)
    if isinstance(constant, CodeType):
        return f"code {code_digest(constant)}"
    if isinstance(constant, tuple):
        return f"({','.join(map(_shown, constant))})"
    if isinstance(constant, frozenset):
        return f"{{{','.join(sorted(map(_shown, constant)))}}}"
    if isinstance(constant, int) and constant.bit_length() > _PRINTABLE:
        return hex(constant)
    return repr(constant)


def _has_docstring(code: CodeType) -> bool:
    if sys.version_info >= (3, 14):
        return bool(code.co_flags & _HAS_DOCSTRING)
    return (
        bool(code.co_flags & _FUNCTION_LIKE)
        and not code.co_name.startswith("<")
        and bool(code.co_consts)
        and isinstance(code.co_consts[0], str)
    )


def nested(code: CodeType) -> Iterator[CodeType]:
    """The code object and all code objects inside it."""
    stack = [code]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(c for c in current.co_consts if isinstance(c, CodeType))


def _arguments(code: CodeType) -> Iterator[tuple[int, int]]:
    raw, extended = code.co_code, 0
    for index in range(0, len(raw), 2):
        opcode, argument = raw[index], raw[index + 1] | extended
        extended = argument << 8 if opcode == _EXTENDED_ARG else 0
        yield opcode, argument


def read_names(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """The global names that the code, nested code included, reads; and those it rebinds."""
    read: set[str] = set()
    rebound: set[str] = set()
    for part in nested(code):
        names = part.co_names
        for opcode, argument in _arguments(part):
            if opcode == _LOAD_GLOBAL:
                read.add(names[argument >> 1])
            elif opcode in _BY_NAME:
                read.add(names[argument])
            elif opcode in _REBINDS:
                rebound.add(names[argument])
    return frozenset(read), frozenset(rebound)


def scan(code: CodeType) -> tuple[frozenset[tuple[str, ...]], frozenset[Hint]]:
    """References and hints of code without source, from its instructions.

    Only names are resolved; the instructions are never interpreted, so that a new opcode
    of a later Python costs precision and nothing else.
    """
    references: set[tuple[str, ...]] = set()
    hints: set[Hint] = set()
    for part in nested(code):
        chain: list[str] = []
        constants: list[object] = []
        first = part.co_varnames[0] if part.co_argcount else ""
        instructions = list(dis.get_instructions(part))
        for index, instruction in enumerate(instructions):
            name, value = instruction.opname, instruction.argval
            if value == "__class__" or (value == "type" and name in {"LOAD_GLOBAL", "LOAD_NAME"}):
                hints.add(Hint("class", certain=True, kind=NameKind.DYNAMIC, text=()))
            if name in {"LOAD_ATTR", "LOAD_METHOD"} and chain:
                chain.append(str(value))
                continue
            if name in {"CACHE", "PUSH_NULL", "PRECALL", "COPY", "SWAP", "EXTENDED_ARG", "NOP"}:
                continue
            if chain and chain[0] in {"l", "more"}:
                if chain[0] == "l" or name == "LOAD_CONST":
                    is_name = name == "LOAD_CONST" and _is_passed(instructions[index + 1 :])
                    _hint(chain, first, value if is_name else None, hints)
                if name == "LOAD_CONST" and chain[-1] == "receive":
                    chain[0] = "more"  # the next constant is a name as well
                    continue
            elif chain:
                references.add(tuple(chain))
            if name == "IMPORT_NAME":
                references.update(_imported(str(value), *constants))
            constants = [*constants[-1:], value] if name in _CONSTANTS else constants
            chain = _start(name, value)
    return frozenset(references), frozenset(hints)


def _is_passed(following: list[dis.Instruction]) -> bool:
    """Whether a constant reaches a call as it is: what takes it from the stack is the call."""
    height = 0  # of the stack above the constant
    for instruction in following:
        name = instruction.opname
        if name in _WITHOUT_EFFECT:
            continue
        if name in {"LOAD_ATTR", "LOAD_METHOD"} and height == 0:
            return False
        height += dis.stack_effect(instruction.opcode, instruction.arg, jump=False)
        if height <= 0 and "JUMP" not in name and not name.startswith(("POP", "STORE")):
            return name.startswith(("CALL", "PRECALL"))
    return False


def _imported(module: str, level: object = 0, names: object = None) -> Iterator[tuple[str, ...]]:
    """What an import may bring: the constants before it are its dots and the names it takes."""
    base = "." * (level if type(level) is int else 0) + module
    if isinstance(names, tuple) and "*" not in names:
        yield from (("m", base, str(name)) for name in names)
        return
    yield ("m", base)
    if names is None and "." in module:  # without "as", it binds the package
        yield ("m", module.partition(".")[0])


def _start(name: str, value: object) -> list[str]:
    if name in {"LOAD_GLOBAL", "LOAD_NAME"}:
        return ["g", str(value)]
    if name.startswith("LOAD_FAST") and isinstance(value, str):
        return ["l", value]
    return []


def _hint(chain: list[str], first: str, value: object, hints: set[Hint]) -> None:
    if chain[1] in CONFIG_NAMES and len(chain) > 2:  # noqa: PLR2004 - marker, variable
        hints.add(Hint("config", certain=True, kind=NameKind.LITERAL, text=tuple(chain[2:])))
        return
    if len(chain) != 3:  # noqa: PLR2004 - marker, variable, method
        return
    _, variable, method = chain
    if method in NAMED_CALLS and variable in {first, "pipe"}:
        known = isinstance(value, str)
        kind, text = (NameKind.LITERAL, (str(value),)) if known else (NameKind.DYNAMIC, ())
        hints.add(Hint(method, variable == "pipe", kind, text))
