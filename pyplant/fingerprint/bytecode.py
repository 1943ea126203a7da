"""Code objects: their digests, and the names they read.

The code object is what runs, so it decides which source text belongs to a function. Its digest
covers instructions, constants with their types, names and the exception table, also of nested code.
It does not cover file, line, the code's own name and its docstring, which do not change what the code does.

The digest depends on the Python version. It therefore identifies only code without source; for all
other code it is used to *find* and *verify* the source (:mod:`pyplant.fingerprint.source`).
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator, Mapping
from opcode import opmap
from types import CodeType, MappingProxyType

from pyplant.fingerprint.hashing import digest_bytes
from pyplant.fingerprint.hints import CONFIG_NAMES, NAMED_CALLS, Hint, NameKind
from pyplant.fingerprint.metadata import kind_read

__all__ = ["code_digest", "nested", "opcodes", "read_names", "scan"]

_HAS_DOCSTRING = 0x4000000  # a flag since 3.14; before, a docstring is the first constant
_FUNCTION_LIKE = 0x2  # CO_NEWLOCALS: not a class body, not a module
_PRINTABLE = 4000  # bits; Python refuses to convert much longer integers to decimal
_DIGESTS: dict[int, tuple[CodeType, str]] = {}

_EXTENDED_ARG = opmap["EXTENDED_ARG"]
_LOAD_GLOBAL = opmap["LOAD_GLOBAL"]
_BY_NAME = {opmap[name] for name in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS") if name in opmap}
_READS = {"LOAD_ATTR", "LOAD_METHOD", "LOAD_GLOBAL", "IMPORT_FROM", "LOAD_CONST"}
_CONSTANTS = {"LOAD_CONST", "LOAD_SMALL_INT"}
_WITHOUT_EFFECT = {"CACHE", "EXTENDED_ARG", "KW_NAMES", "NOP", "RESUME", "SWAP"}
_REBINDS = {opmap["STORE_GLOBAL"], opmap["DELETE_GLOBAL"]}


def code_digest(code: CodeType) -> str:
    """Return the digest of a code object, positions and docstrings aside."""
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
    text = f"{head} {_constant_text(constants)}"
    digest = digest_bytes(code.co_code, text.encode("utf-8", "surrogatepass"))
    _DIGESTS[id(code)] = (code, digest)  # the reference keeps the id from being reused
    return digest


_OF_NAMESPACES: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "vars": (("d", "order"),),
        "__dict__": (("d", "order"),),
        "__globals__": (("w", ""),),
        "f_globals": (("w", ""),),
    }
)
"""References for the names by which code reads a namespace as a whole, as :mod:`pyplant.fingerprint.syntax` finds them."""


def _constant_text(constant: object) -> str:
    """Return a constant as text that shows its type; the items of sets are sorted."""
    if constant is None or type(constant) is str:  # most constants are
        return repr(constant)
    if isinstance(constant, CodeType):
        return f"code {code_digest(constant)}"
    if isinstance(constant, tuple):
        return f"({','.join(map(_constant_text, constant))})"
    if isinstance(constant, frozenset):
        return f"{{{','.join(sorted(map(_constant_text, constant)))}}}"
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
    """Yield the code object and all code objects inside it."""
    stack = [code]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(c for c in current.co_consts if isinstance(c, CodeType))


def opcodes(code: CodeType) -> bytes:
    """Return the number of each instruction of a code object, without its argument."""
    return code.co_code[::2]


def _arguments(code: CodeType) -> Iterator[tuple[int, int]]:
    # An instruction has two bytes. Larger arguments have their upper bytes in EXTENDED_ARG instructions before it.
    raw, extended = code.co_code, 0
    for index in range(0, len(raw), 2):
        opcode, argument = raw[index], raw[index + 1] | extended
        extended = argument << 8 if opcode == _EXTENDED_ARG else 0
        yield opcode, argument


def read_names(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Return the global names that the code and its nested code read, and those that they rebind."""
    read: set[str] = set()
    rebound: set[str] = set()
    for part in nested(code):
        names = part.co_names
        for opcode, argument in _arguments(part):
            if opcode == _LOAD_GLOBAL:
                read.add(names[argument >> 1])  # the lowest bit says whether a NULL is pushed for a call
            elif opcode in _BY_NAME:
                read.add(names[argument])
            elif opcode in _REBINDS:
                rebound.add(names[argument])
    return frozenset(read), frozenset(rebound)


def scan(code: CodeType) -> tuple[frozenset[tuple[str, ...]], frozenset[Hint]]:
    """Find references and hints in the instructions of code without source.

    A chain ``g a b`` is a global ``a`` with its attribute ``b``; ``l x send`` is the same for a local
    variable. The instructions are matched by name and not interpreted, so an unknown opcode of a later
    Python version costs precision, but never correctness: code without source counts by its bytes.
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
            if name in _READS and isinstance(value, str):
                kind = kind_read(value) or kind_read(value, by_function=name != "LOAD_CONST")
                references.update([("d", kind)] if kind else ())
                references.update(_OF_NAMESPACES.get(value, ()))
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
    """Return whether a constant is an argument of a call: the instruction that pops it is the call."""
    height = 0  # of the stack above the constant
    # An instruction that pops the constant and is no call computes with it, as in `"x_" + name`.
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
    """Yield the references of an import. The constants before the instruction are its level and its names."""
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
