"""``await`` in the body of a ``%%reactor`` cell.

A reactor is a generator, which cannot await. So each statement at the top of the body that awaits becomes the body of a
coroutine, which the reactor yields to its pipe. The variables that the statement binds are those of the reactor::

    async def .part():
        nonlocal page
        page = await download(address)
    yield .pipe.run(.part())
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from types import CodeType

__all__ = ["NEW_SCOPES", "with_coroutines"]

_PART = ".part"
NEW_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
"""Parts of a body whose statements are not those of the reactor."""
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def with_coroutines(statements: Sequence[ast.stmt], call: Callable[..., ast.Call]) -> list[ast.stmt]:
    """Return the statements of a body, those that await as coroutines.

    Parameters
    ----------
    statements
        The body.
    call
        Makes a call of a method of the pipe, given its name and arguments.

    Raises
    ------
    SyntaxError
        If a statement both awaits and yields; with the place of the ``yield``.
    """
    made: list[ast.stmt] = []
    for statement in statements:
        if _find(statement, _awaits) is None:
            made.append(statement)
            continue
        yielding = _find(statement, lambda node: isinstance(node, ast.Yield | ast.YieldFrom))
        if yielding is not None:
            message = "a statement cannot both await and yield; yield in a statement of its own"
            raise SyntaxError(message, (None, yielding.lineno, yielding.col_offset, None))
        made += [ast.copy_location(part, statement) for part in _as_coroutine(statement, call)]
    return made


def _as_coroutine(statement: ast.stmt, call: Callable[..., ast.Call]) -> list[ast.stmt]:
    names = _bound_names(statement)
    # An assignment that never runs makes the names variables of the reactor, which `nonlocal` requires.
    targets: list[ast.expr] = [ast.Name(name, ast.Store()) for name in names]
    declared: list[ast.stmt] = [
        ast.If(ast.Constant(True), [ast.Pass()], [ast.Assign(targets, ast.Constant(None))])
    ]
    coroutine = _coroutine([ast.Nonlocal(names), statement] if names else [statement])
    run = ast.Expr(ast.Yield(call("run", ast.Call(ast.Name(_PART, ast.Load()), [], []))))
    return [*(declared if names else []), coroutine, run]


def _coroutine(body: list[ast.stmt]) -> ast.AsyncFunctionDef:
    none = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    made = ast.AsyncFunctionDef(_PART, none, body, [])
    if hasattr(made, "type_params"):  # required since Python 3.12
        made.type_params = []
    return ast.copy_location(made, body[-1])


def _bound_names(statement: ast.stmt) -> list[str]:
    """Return the variables that a statement binds in its own scope."""
    module = ast.fix_missing_locations(ast.Module([_coroutine([statement])], type_ignores=[]))
    compiled = compile(module, "<body>", "exec", dont_inherit=True)
    code = next(part for part in compiled.co_consts if isinstance(part, CodeType))
    return sorted({*code.co_varnames, *code.co_cellvars})


def _awaits(node: ast.AST) -> bool:
    return isinstance(node, ast.Await | ast.AsyncFor | ast.AsyncWith) or (
        isinstance(node, _COMPREHENSIONS) and any(part.is_async for part in node.generators)
    )


def _find(node: ast.AST, condition: Callable[[ast.AST], bool]) -> ast.expr | ast.stmt | None:
    """Return the first part of a statement that meets a condition, functions in it aside; ``None`` if none does."""
    if condition(node) and isinstance(node, ast.expr | ast.stmt):
        return node
    if isinstance(node, NEW_SCOPES):
        return None
    found = (_find(child, condition) for child in ast.iter_child_nodes(node))
    return next((part for part in found if part is not None), None)
