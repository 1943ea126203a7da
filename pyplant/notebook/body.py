"""Turns the body of a ``%%reactor`` cell into a function ``NAME(pipe, config)``.

Theory of operation. :func:`read_body` lets IPython translate magics and ``!``, and parses the result
with as many lines above it as stand above it in the cell, so all line numbers are those of the cell. It
refuses syntax that works at the top of a cell but not in a function. :func:`make_function` then puts the
syntax tree of the body into that of a function; what ``-i`` receives goes before it, what ``-o`` sends
after it::

    def NAME(.pipe, config, *, .show):
        pipe = .pipe
        a, b = yield .pipe.receive("a", "b")        # -i a b
        ...                                         # the body; its last expression is shown
        .pipe.send("x", x)                          # -o x

Names with a dot cannot be typed, so a body may rebind ``pipe``. Trees are combined instead of text,
because indenting text would change multi-line strings. The code object gets the file name and the code
name of an ordinary cell, so that tracebacks and IPython's ``%%debug`` show the lines of the cell.

Variables that the body assigns are local; all others are globals of the notebook. That makes a mistake
easy: reading the variable of an ingredient instead of receiving it. :func:`refuse_missing_inputs` looks
for it.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import io
import keyword
import linecache
import re
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any, NoReturn

from pyplant._definitions import sources
from pyplant.errors import DefinitionError
from pyplant.fingerprint.bytecode import nested
from pyplant.notebook.awaiting import NEW_SCOPES, with_coroutines

__all__ = ["Body", "CellSyntaxError", "make_function", "notebook_names", "read_body", "refuse_missing_inputs"]

_PIPE, _SHOW = ".pipe", ".show"
# Variables in which IPython keeps inputs and outputs; it sets them after every cell.
_HISTORY_NAME = re.compile(r"_+|_i+|_i?\d+|In|Out|_oh|_ih|_dh")
_SECOND_MAGIC = "a cell can have one cell magic, in its first line; leave this one out"


class CellSyntaxError(SyntaxError):
    """The body of a cell is not valid Python; the error has the text and the line of the cell."""


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a cell, parsed.

    Attributes
    ----------
    header
        The line of the magic, as the user wrote it.
    text
        The lines below it, as the user wrote them.
    tree
        Their syntax tree, with the line numbers of the cell.
    filename
        The file name that IPython gives the cell.
    lines
        All lines of the cell, as the user wrote them.
    is_quiet
        Whether a semicolon at the end suppresses the last expression.
    flags
        Compiler flags of the ``from __future__`` imports of the notebook.
    """

    header: str
    text: str
    tree: ast.Module
    filename: str
    lines: tuple[str, ...]
    is_quiet: bool
    flags: int


def read_body(shell: Any, raw_cell: str, text: str, number: int) -> Body:
    """Parse the body of the running cell.

    Parameters
    ----------
    shell
        The IPython shell, which translates line magics and ``!``.
    raw_cell
        The whole cell.
    text
        The lines below that of the magic.
    number
        The number of the cell, as in ``In [3]``.

    Raises
    ------
    CellSyntaxError, pyplant.errors.DefinitionError
        If the body cannot be the body of a function.
    """
    head = _leading_lines(raw_cell)
    # IPython drops blank lines at the start of a body, which would shift the line numbers.
    blank = re.match(r"(?:[ \t]*\n)*", text)
    gap = blank.group().count("\n") if blank else 0
    transformed = shell.transform_cell(text)
    above = "".join(f"# {line}\n" if line.strip() else "\n" for line in head) + "\n" * gap
    filename = _filename(shell, raw_cell, number)
    source = above + transformed
    # IPython has cached the translated cell, which is one call of the magic; tracebacks must show the body.
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    lines = (*head, *text.splitlines())
    if len(lines) > len(head) + gap:
        _refuse_cell_magic(len(head) + gap + 1, lines)
    try:
        tree = ast.parse(source, filename)
    except SyntaxError as error:
        # IPython translates only the first cell magic; Python then finds a syntax error in the line of the second.
        _refuse_cell_magic(error.lineno or 0, lines)
        raise CellSyntaxError(error.msg, (filename, *_position(error))) from None
    flags = shell.compile.flags | _take_future_imports(tree)
    body = Body(head[-1], text, tree, filename, lines, _ends_quietly(transformed), flags)
    _Checker(body).visit(tree)
    return body


def _take_future_imports(tree: ast.Module) -> int:
    """Remove the ``from __future__`` imports at the start of a body, where no function can have them; return their flags."""
    flags = 0
    while tree.body and isinstance(first := tree.body[0], ast.ImportFrom) and first.module == "__future__":
        names = [alias.name for alias in first.names]
        if not set(names) <= set(__future__.all_feature_names):
            break  # the compiler reports unknown features
        for name in names:
            flags |= getattr(__future__, name).compiler_flag
        del tree.body[0]
    return flags


def _leading_lines(raw_cell: str) -> list[str]:
    """Return the lines down to that of the magic; comments, and magics such as ``%%time``, may stand above it."""
    lines = raw_cell.splitlines()
    for number, line in enumerate(lines):
        if line.lstrip().startswith("%%reactor"):
            return lines[: number + 1]
    return ["%%reactor"]


def _filename(shell: Any, raw_cell: str, number: int) -> str:
    """Return the file name that IPython gives the running cell."""
    compiler = shell.compile
    transformed = shell.transform_cell(raw_cell)
    return str(compiler.get_code_name(raw_cell, transformed, number))


def _position(error: SyntaxError) -> tuple[Any, ...]:
    return error.lineno, error.offset, error.text, error.end_lineno, error.end_offset


def _ends_quietly(text: str) -> bool:
    """Return whether the last token, comments aside, is a semicolon."""
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type not in {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}:
                last = token.string
    except (tokenize.TokenError, IndentationError):
        return False
    return last == ";"


def _refuse_cell_magic(number: int, lines: Sequence[str]) -> None:
    """Refuse a second cell magic, which Python reports as a mere syntax error."""
    line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    if line.startswith("%%"):
        _refuse_line(number, line, _SECOND_MAGIC)


def _refuse_line(number: int, line: str, why: str) -> NoReturn:
    message = f"Line {number} of the cell, {line.strip()!r}: {why}."
    raise DefinitionError(message)


class _Checker(ast.NodeVisitor):
    """Refuses syntax that works at the top of a cell but not in the body of a reactor."""

    def __init__(self, body: Body) -> None:
        self._lines = body.lines

    def _refuse(self, node: ast.stmt | ast.expr, why: str) -> NoReturn:
        _refuse_line(node.lineno, self._lines[node.lineno - 1], why)

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Return):
            self._refuse(
                node, "the body of a reactor ends at its last line; use if and else instead of return"
            )
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            self._refuse(node, "name what you import, or import * in an ordinary cell above")
        if isinstance(node, ast.Call):  # IPython has translated magics to calls
            magic, line = _line_magic(node)
            if magic.startswith("%"):
                self._refuse(node, _SECOND_MAGIC)
            if magic == "time" and _is_assignment(line):
                self._refuse(
                    node, "%time executes the line in a namespace of its own; assign in a separate line"
                )
        if not isinstance(node, NEW_SCOPES):  # `return` is allowed in nested functions
            self.generic_visit(node)


def _line_magic(call: ast.Call) -> tuple[str, str]:
    """Return the name and the line of a translated line magic; empty for other calls."""
    if getattr(call.func, "attr", "") != "run_line_magic":
        return "", ""
    arguments = [str(part.value) for part in call.args if isinstance(part, ast.Constant)]
    return (arguments[0], arguments[1]) if len(arguments) == 2 else ("", "")  # noqa: PLR2004 - name and line


def _is_assignment(text: str) -> bool:
    try:
        statements = ast.parse(text).body
    except SyntaxError:
        return False
    return any(isinstance(part, ast.Assign | ast.AugAssign | ast.AnnAssign) for part in statements)


# ---------------------------------------------------------------------- the function


def make_function(
    name: str, body: Body, inputs: Sequence[str], outputs: Sequence[str], namespace: dict[str, Any], show: Any
) -> FunctionType:
    """Make the function of a reactor from the body of a cell.

    Parameters
    ----------
    name
        The name of the reactor.
    body
        The parsed body.
    inputs, outputs
        Names of ingredients; the variables that hold them have the same names.
    namespace
        The globals of the notebook.
    show
        Called with the value of the last expression.

    Raises
    ------
    pyplant.errors.DefinitionError
        If the body never assigns an output, or a name is not a valid variable.
    """
    for option, names in (("-i", inputs), ("-o", outputs)):
        for variable in names:
            _check_name(option, variable)
    for variable in dict.fromkeys(inputs):
        if variable in outputs:  # the reactor would wait for itself
            message = (
                f"-i {variable} -o {variable}: a reactor cannot send what it receives. Assign the result to "
                f"another name and send that."
            )
            raise DefinitionError(message)
    try:
        node = _definition(name, body, inputs, outputs)
        module = ast.Module([node], type_ignores=[])
        # Else the future imports of this module would count for the cell.
        compiled = compile(module, body.filename, "exec", body.flags, dont_inherit=True)
    except SyntaxError as error:
        raise CellSyntaxError(error.msg, (body.filename, *_position(error))) from None
    # The code of the function is taken from that of the module, which is never executed: a `def` would bind the name in
    # the notebook, also if the cell is refused below.
    code = next(part for part in compiled.co_consts if isinstance(part, CodeType))
    _refuse_unassigned(outputs, code)
    _refuse_history_names(code)
    # IPython shows frames with this name as those of a cell.
    code = code.replace(co_name="<module>", co_qualname="<module>")
    function = FunctionType(code, namespace, name)
    function.__qualname__ = name
    function.__kwdefaults__ = {_SHOW: show}
    # `inspect` cannot find the source of code with this name; the fingerprint finds it here.
    sources.give(code, node, f"{body.header}\n{body.text}")
    return function


def _check_name(option: str, name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        message = f"{option} {name}: this is not a valid variable name."
        raise DefinitionError(message)
    if _HISTORY_NAME.fullmatch(name):
        message = f"{option} {name}: the notebook uses this name itself; choose another."
        raise DefinitionError(message)


def _definition(name: str, body: Body, inputs: Sequence[str], outputs: Sequence[str]) -> ast.FunctionDef:
    before = [ast.Assign([ast.Name("pipe", ast.Store())], ast.Name(_PIPE, ast.Load()))]
    # One receive for all, so that their senders may run in parallel.
    if inputs:
        targets: list[ast.expr] = [ast.Name(variable, ast.Store()) for variable in inputs]
        target = targets[0] if len(targets) == 1 else ast.Tuple(targets, ast.Store())
        before.append(ast.Assign([target], ast.Yield(_call("receive", *map(ast.Constant, inputs)))))
    after: list[ast.stmt] = [
        ast.Expr(_call("send", ast.Constant(variable), ast.Name(variable, ast.Load())))
        for variable in outputs
    ]
    statements: list[ast.stmt] = list(body.tree.body)
    if statements and isinstance(statements[-1], ast.Expr) and not body.is_quiet:
        last = statements[-1]
        shown = ast.Expr(ast.Call(ast.Name(_SHOW, ast.Load()), [last.value], []))
        statements[-1] = ast.copy_location(shown, last)
    statements = with_coroutines(statements, _call)
    # Errors of receiving and sending are shown at the line of the magic, which has the options.
    line = max(1, len(body.lines) - len(body.text.splitlines()))
    for node in (*before, *after):  # their children get it from `fix_missing_locations`
        ast.copy_location(node, ast.Expr(ast.Constant(None), lineno=line, col_offset=0))
        node.end_lineno, node.end_col_offset = line, 0
    arguments = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(_PIPE), ast.arg("config")],
        kwonlyargs=[ast.arg(_SHOW)],
        kw_defaults=[None],
        defaults=[],
    )
    made = ast.FunctionDef(name, arguments, [*before, *statements, *after], [], lineno=1, col_offset=0)
    if hasattr(made, "type_params"):  # required since Python 3.12
        made.type_params = []
    return ast.fix_missing_locations(made)


def _call(method: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name(_PIPE, ast.Load()), method, ast.Load()), list(arguments), [])


def _refuse_unassigned(outputs: Sequence[str], code: CodeType) -> None:
    own = {*code.co_varnames, *code.co_cellvars}  # the latter are used by functions in the body
    for variable in outputs:
        if variable not in own:
            message = f"-o {variable}: the cell never assigns {variable!r}. Assign it, or leave it out of -o."
            raise DefinitionError(message)


def _refuse_history_names(code: CodeType) -> None:
    for name in sorted(_free_names(code)):
        if _HISTORY_NAME.fullmatch(name):
            message = f"The cell reads {name!r}, which the notebook sets after every cell. Give the value a name of its own."
            raise DefinitionError(message)


def _free_names(code: CodeType) -> Iterator[str]:
    """Yield the globals that a code object and the functions in it read."""
    for part in nested(code):
        for instruction in _instructions(part):
            # From the instructions: co_names lists attributes and imported names as well.
            if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:  # the latter in bodies of classes
                yield str(instruction.argval)


def _instructions(code: CodeType) -> Iterator[Any]:
    import dis

    return iter(dis.get_instructions(code))


def refuse_missing_inputs(
    function: FunctionType, header: str, inputs: Sequence[str], sent: frozenset[str], bound: frozenset[str]
) -> None:
    """Refuse a body that reads an ingredient from a global variable instead of receiving it.

    It would not depend on the sender, and would not become stale when the ingredient changes.

    Parameters
    ----------
    function
        The function of the body.
    header
        The line of the magic.
    inputs
        The ingredients that it receives.
    sent
        The ingredients that other reactors send.
    bound
        The variables of the notebook that hold ingredients.

    Raises
    ------
    pyplant.errors.DefinitionError
        With the corrected first line.
    """
    missing = []
    for name in dict.fromkeys(_free_names(function.__code__)):
        value = function.__globals__.get(name)
        # A module or function of that name is meant as such, unless the notebook bound an ingredient to it.
        is_code = isinstance(value, ModuleType | FunctionType | type) and name not in bound
        # A name such as `input` is more likely the function than the ingredient.
        if name in sent and not is_code and not hasattr(builtins, name):
            missing.append(name)
    if missing:
        listed = " and ".join(repr(name) for name in missing)
        message = (
            f"The cell reads {listed}, which a reactor sends, without receiving it, so it would not run again when that changes. "
            f"Write:  {_header_with_inputs(header, inputs, missing)}"
        )
        raise DefinitionError(message)


def notebook_names(function: FunctionType, namespace: dict[str, Any]) -> set[str]:
    """Return the globals of the notebook that a function reads, directly or through other functions of it."""
    found: set[str] = set()
    waiting = [function]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        # Functions of modules have their own globals, and cannot read those of the notebook.
        if id(current) in seen or current.__globals__ is not namespace:
            continue
        seen.add(id(current))
        names = set(_free_names(current.__code__))
        found |= names
        waiting += [value for name in names if isinstance(value := namespace.get(name), FunctionType)]
    return found


def _header_with_inputs(header: str, inputs: Sequence[str], missing: Sequence[str]) -> str:
    wanted = f"-i {' '.join([*inputs, *missing])}"
    if not inputs:
        magic, _, rest = header.strip().partition(" ")
        name, _, options = rest.strip().partition(" ")
        return " ".join(filter(None, [magic, name, wanted, options.strip()]))
    return re.sub(r"-i(\s+|=)[^-]*", f"{wanted} ", header.strip()).strip()
