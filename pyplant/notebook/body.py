"""The body of a ``%%reactor`` cell becomes a function ``NAME(pipe, config)``.

The syntax tree of the body is put into that of a function; what ``-i`` receives goes
before it, what ``-o`` sends behind it::

    def NAME(.pipe, config, *, .show):
        pipe = .pipe
        a, b = yield .pipe.receive("a", "b")        # -i a b
        ...                                         # the body; its last expression is shown
        .pipe.send("x", x)                          # -o x

Nobody can type the names with a dot, so a body may rebind ``pipe``. The code object gets
the file name, the line numbers and the name of the cell itself, so that tracebacks point
into the cell, as they do for any other.
"""

from __future__ import annotations

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

__all__ = ["Body", "CellSyntaxError", "make_function", "notebook_names", "read_body", "refuse_missing_inputs"]

_PIPE, _SHOW = ".pipe", ".show"
_HISTORY = re.compile(r"_+|_i+|_i?\d+|In|Out|_oh|_ih|_dh")
_SECOND_MAGIC = "a cell can have one cell magic, in its first line; leave this one out"
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class CellSyntaxError(SyntaxError):
    """The body of a cell is no Python; the text and the line are those of the cell."""


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a cell, parsed.

    Attributes
    ----------
    header
        The first line of the cell as the user wrote it.
    text
        What stands below it, as the user wrote it.
    tree
        Its syntax tree, with the line numbers of the cell.
    filename
        What IPython calls the cell.
    lines
        All lines of the cell as the user wrote them.
    is_quiet
        Whether a semicolon at the end silences the last expression.
    flags
        The ``from __future__`` imports that count in the notebook.
    """

    header: str
    text: str
    tree: ast.Module
    filename: str
    lines: tuple[str, ...]
    is_quiet: bool
    flags: int


def read_body(shell: Any, raw_cell: str, text: str, number: int) -> Body:
    """Parse the body of the cell that is being executed.

    Parameters
    ----------
    shell
        The IPython shell; its line magics and ``!`` work in a body.
    raw_cell
        The whole cell.
    text
        What stands below its first line.
    number
        What the notebook counts, as in ``In [3]``.

    Raises
    ------
    CellSyntaxError, pyplant.errors.DefinitionError
        If the body cannot be that of a function.
    """
    head = _head(raw_cell)
    blank = re.match(r"(?:[ \t]*\n)*", text)
    gap = blank.group().count("\n") if blank else 0
    transformed = shell.transform_cell(text)
    above = "".join(f"# {line}\n" if line.strip() else "\n" for line in head) + "\n" * gap
    filename = _filename(shell, raw_cell, number)
    source = above + transformed
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    lines = (*head, *text.splitlines())
    if len(lines) > len(head) + gap:
        _refuse_cell_magic(len(head) + gap + 1, lines)
    try:
        tree = ast.parse(source, filename)
    except SyntaxError as error:
        _refuse_cell_magic(error.lineno or 0, lines)
        raise CellSyntaxError(error.msg, (filename, *_place(error))) from None
    body = Body(head[-1], text, tree, filename, lines, _ends_quietly(transformed), shell.compile.flags)
    _Checker(body).visit(tree)
    return body


def _head(raw_cell: str) -> list[str]:
    """The lines down to that of the magic."""
    lines = raw_cell.splitlines()
    for number, line in enumerate(lines):
        if line.lstrip().startswith("%%"):
            return lines[: number + 1]
    return ["%%reactor"]


def _filename(shell: Any, raw_cell: str, number: int) -> str:
    """What IPython calls the cell that is being executed."""
    compiler = shell.compile
    transformed = shell.transform_cell(raw_cell)
    return str(compiler.get_code_name(raw_cell, transformed, number))


def _place(error: SyntaxError) -> tuple[Any, ...]:
    return error.lineno, error.offset, error.text, error.end_lineno, error.end_offset


def _ends_quietly(text: str) -> bool:
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type not in {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER}:
                last = token.string
    except (tokenize.TokenError, IndentationError):
        return False
    return last == ";"


def _refuse_cell_magic(number: int, lines: Sequence[str]) -> None:
    line = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    if line.startswith("%%"):
        _refuse(number, line, _SECOND_MAGIC)


def _refuse(number: int, line: str, why: str) -> NoReturn:
    message = f"Line {number} of the cell, {line.strip()!r}: {why}."
    raise DefinitionError(message)


class _Checker(ast.NodeVisitor):
    """Refuses what works at the top of a cell and cannot work in a function."""

    def __init__(self, body: Body) -> None:
        self._lines = body.lines

    def _refuse(self, node: ast.stmt | ast.expr, why: str) -> NoReturn:
        _refuse(node.lineno, self._lines[node.lineno - 1], why)

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Return):
            self._refuse(
                node, "the body of a reactor ends at its last line; use if and else instead of return"
            )
        if isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) or _is_async_comprehension(node):
            self._refuse(node, "reactors do not await; run it with asyncio.run in a function of your own")  # type: ignore[arg-type]
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            self._refuse(node, "name what you import, or import * in an ordinary cell above")
        if isinstance(node, ast.Call):
            magic, line = _line_magic(node)
            if magic.startswith("%"):
                self._refuse(node, _SECOND_MAGIC)
            if magic == "time" and _assigns(line):
                self._refuse(node, "%time keeps what it assigns to itself; assign in a line of its own")
        if not isinstance(node, _SCOPES):  # these have rules of their own
            self.generic_visit(node)


def _is_async_comprehension(node: ast.AST) -> bool:
    return isinstance(node, _COMPREHENSIONS) and any(part.is_async for part in node.generators)


def _line_magic(call: ast.Call) -> tuple[str, str]:
    """The name and the line of a line magic, as IPython writes it."""
    if getattr(call.func, "attr", "") != "run_line_magic":
        return "", ""
    arguments = [str(part.value) for part in call.args if isinstance(part, ast.Constant)]
    return (arguments[0], arguments[1]) if len(arguments) == 2 else ("", "")  # noqa: PLR2004 - name and line


def _assigns(text: str) -> bool:
    try:
        statements = ast.parse(text).body
    except SyntaxError:
        return False
    return any(isinstance(part, ast.Assign | ast.AugAssign | ast.AnnAssign) for part in statements)


# ---------------------------------------------------------------------- the function


def make_function(
    name: str, body: Body, inputs: Sequence[str], outputs: Sequence[str], namespace: dict[str, Any], show: Any
) -> FunctionType:
    """The function that a body is.

    Parameters
    ----------
    name
        Of the reactor.
    body
        The parsed body.
    inputs, outputs
        Names of ingredients, and of the variables that hold them.
    namespace
        The globals: those of the notebook.
    show
        Called with the value of the last expression.

    Raises
    ------
    pyplant.errors.DefinitionError
        If an output is never assigned, or a name cannot be used so.
    """
    for option, names in (("-i", inputs), ("-o", outputs)):
        for variable in names:
            _check_name(option, variable)
    for variable in dict.fromkeys(inputs):
        if variable in outputs:
            message = (
                f"-i {variable} -o {variable}: a reactor cannot send what it receives. Assign the result to "
                f"another name and send that."
            )
            raise DefinitionError(message)
    node = _definition(name, body, inputs, outputs)
    module = ast.Module([node], type_ignores=[])
    try:
        compiled = compile(module, body.filename, "exec", body.flags, dont_inherit=True)
    except SyntaxError as error:
        raise CellSyntaxError(error.msg, (body.filename, *_place(error))) from None
    code = next(part for part in compiled.co_consts if isinstance(part, CodeType))
    _refuse_unassigned(outputs, code)
    _refuse_history(code)
    # IPython shows the lines of code called so in full.
    code = code.replace(co_name="<module>", co_qualname="<module>")
    function = FunctionType(code, namespace, name)
    function.__qualname__ = name
    function.__kwdefaults__ = {_SHOW: show}
    sources.give(code, node, f"{body.header}\n{body.text}")
    return function


def _check_name(option: str, name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        message = f"{option} {name}: this is no name of a variable."
        raise DefinitionError(message)
    if _HISTORY.fullmatch(name):
        message = f"{option} {name}: the notebook uses this name itself; choose another."
        raise DefinitionError(message)


def _definition(name: str, body: Body, inputs: Sequence[str], outputs: Sequence[str]) -> ast.FunctionDef:
    before = [ast.Assign([ast.Name("pipe", ast.Store())], ast.Name(_PIPE, ast.Load()))]
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
    line = max(1, body.tree.body[0].lineno - 1) if body.tree.body else 1
    for node in (*before, *after):
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
    if hasattr(made, "type_params"):
        made.type_params = []
    return ast.fix_missing_locations(made)


def _call(method: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name(_PIPE, ast.Load()), method, ast.Load()), list(arguments), [])


def _refuse_unassigned(outputs: Sequence[str], code: CodeType) -> None:
    own = {*code.co_varnames, *code.co_cellvars}
    for variable in outputs:
        if variable not in own:
            message = f"-o {variable}: the cell never assigns {variable!r}. Assign it, or leave it out of -o."
            raise DefinitionError(message)


def _refuse_history(code: CodeType) -> None:
    for name in sorted(_free_names(code)):
        if _HISTORY.fullmatch(name):
            message = f"The cell reads {name!r}, which the notebook sets after every cell. Give the value a name of its own."
            raise DefinitionError(message)


def _free_names(code: CodeType) -> Iterator[str]:
    """Names that a body and the functions in it look up in the notebook."""
    for part in nested(code):
        for instruction in _instructions(part):
            if instruction.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
                yield str(instruction.argval)


def _instructions(code: CodeType) -> Iterator[Any]:
    import dis

    return iter(dis.get_instructions(code))


def refuse_missing_inputs(
    function: FunctionType, header: str, inputs: Sequence[str], sent: frozenset[str], bound: frozenset[str]
) -> None:
    """Refuse a body that reads an ingredient from the notebook instead of receiving it.

    It would have no edge to whoever sends it, and go stale in silence.

    Parameters
    ----------
    function
        What the body has become.
    header
        The first line of the cell.
    inputs
        What it receives.
    sent
        The names that other reactors send.
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
        is_code = isinstance(value, ModuleType | FunctionType | type) and name not in bound
        if name in sent and not is_code and not hasattr(builtins, name):
            missing.append(name)
    if missing:
        listed = " and ".join(repr(name) for name in missing)
        message = (
            f"The cell reads {listed}, which a reactor sends, without receiving it: it would not notice a change. "
            f"Write:  {_with_inputs(header, inputs, missing)}"
        )
        raise DefinitionError(message)


def notebook_names(function: FunctionType, namespace: dict[str, Any]) -> set[str]:
    """The variables of the notebook that a function reads, and the notebook's functions that it uses."""
    found: set[str] = set()
    waiting = [function]
    seen: set[int] = set()
    while waiting:
        current = waiting.pop()
        if id(current) in seen or current.__globals__ is not namespace:
            continue
        seen.add(id(current))
        names = set(_free_names(current.__code__))
        found |= names
        waiting += [value for name in names if isinstance(value := namespace.get(name), FunctionType)]
    return found


def _with_inputs(header: str, inputs: Sequence[str], missing: Sequence[str]) -> str:
    wanted = f"-i {' '.join([*inputs, *missing])}"
    if not inputs:
        magic, _, rest = header.strip().partition(" ")
        name, _, options = rest.strip().partition(" ")
        return " ".join(filter(None, [magic, name, wanted, options.strip()]))
    return re.sub(r"-i(\s+|=)[^-]*", f"{wanted} ", header.strip()).strip()
