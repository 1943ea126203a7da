"""The magics ``%plant`` and ``%%reactor``: they parse their line and delegate to the console."""

# mypy: disable-error-code="misc,untyped-decorator"
# IPython has no types.
from __future__ import annotations

import argparse
import ast
import re
import unicodedata
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any, NoReturn

from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand

from pyplant._definitions import declare, define
from pyplant.errors import DefinitionError
from pyplant.notebook.body import Body, make_function, read_body, refuse_missing_inputs
from pyplant.notebook.console import Console, show
from pyplant.plant import session_of
from pyplant.reactor import ReactorFunc

__all__ = ["OPTIONS", "PlantMagics"]

_DECORATOR_NAME = ".ReactorFunc"  # the dot keeps it apart from all names that a cell can contain


class _Parser(argparse.ArgumentParser):
    """An argument parser that raises instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        text = f"{self.prog}: {message}. {' '.join(self.format_usage().split())}"
        raise DefinitionError(text)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise _HelpShownError


class _HelpShownError(Exception):
    """Raised after ``--help`` was printed."""


def _reactor_parser() -> _Parser:
    parser = _Parser(
        prog="%%reactor",
        description="Run this cell as a reactor, and reuse its result until something it depends on changes. "
        "Without NAME every function of the cell whose first parameter is called pipe becomes a reactor.",
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="the name of the reactor")
    parser.add_argument(
        "-i", nargs="+", action="extend", default=[], metavar="X", help="ingredients to receive"
    )
    parser.add_argument(
        "-o",
        nargs="+",
        action="extend",
        default=[],
        metavar="Y",
        help="variables to send as ingredients, and to bind in the notebook",
    )
    parser.add_argument("--plant", metavar="P", help="the variable that holds the plant (default: plant)")
    parser.add_argument("--no-run", action="store_true", help="only define the reactor")
    parser.add_argument("--force", action="store_true", help="run even if it is up to date")
    parser.add_argument(
        "--no-replay", action="store_true", help="do not replay the recorded output of a cached reactor"
    )
    parser.add_argument("--no-cache", action="store_true", help="run every time, and keep no result")
    return parser


_REACTOR = _reactor_parser()
OPTIONS = ("-i", "-o", "--plant", "--no-run", "--force", "--no-replay", "--no-cache")
"""The options of ``%%reactor``, for completion."""


@magics_class
class PlantMagics(Magics):
    """The magics of PyPlant.

    Parameters
    ----------
    console
        The console of the notebook.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console.shell)
        self._console = console

    @no_var_expand
    @line_magic
    def plant(self, line: str) -> None:
        """Open a plant and bind it to ``plant``: ``%plant DIRECTORY``.

        A relative directory is relative to the folder of the notebook. Opening a directory again
        returns the same plant. Without a directory it says which plant is open, or opens that beside the notebook.
        """
        directory = _unquoted(line.strip())
        with self._console.concise_errors():
            if directory:
                self._console.shell.user_ns["plant"] = self._console.open_plant(directory)
            else:
                plant = self._console.find_plant(None)
                self._console.notify(f"The plant of this notebook: {plant.directory}")

    @no_var_expand
    @line_cell_magic
    def reactor(self, line: str, cell: str | None = None) -> None:
        """Run a cell as a reactor: ``%%reactor NAME [-i a b] [-o x y] [--plant p] [--no-run] ...``.

        ``%%reactor --help`` lists the options.
        """
        with self._console.concise_errors():
            if cell is None:
                message = (
                    "%%reactor is a cell magic: write it with two percent signs in the first line of a cell."
                )
                raise DefinitionError(message)
            try:
                options = _REACTOR.parse_args(_words(line))
            except _HelpShownError:
                return
            options.i, options.o = _names(options.i), _names(options.o)
            if options.name is None:
                self._define_functions(options, cell)
            else:
                self._define_named(options, cell)

    def _read(self, text: str) -> Body:
        cells = self._console.cells
        number = cells.running.number if cells.running is not None else 0
        return read_body(self._console.shell, cells.raw_cell, text, number)

    def _define_named(self, options: argparse.Namespace, text: str) -> None:
        """Define the body as the reactor NAME and run it if it is stale."""
        console, name = self._console, unicodedata.normalize("NFKC", options.name)
        if not name.isidentifier():
            message = f"%%reactor {name}: the name of a reactor must be a valid variable name; try {_identifier(name)}."
            raise DefinitionError(message)
        body = self._read(text)
        function = make_function(name, body, options.i, options.o, console.shell.user_ns, show)
        plant = console.find_plant(options.plant)
        sent_by_others = session_of(plant).sent_by_others(f"__main__::{name}")
        refuse_missing_inputs(function, body.header, options.i, sent_by_others, console.bound_names())
        definition = define(function, cache=not options.no_cache)
        function.__dict__["__pyplant_reactor__"] = definition
        declare(definition)
        console.remember_locals(definition, function)
        if not options.no_run:
            console.run_cell_reactor(
                plant, definition, tuple(options.o), force=options.force, replay=not options.no_replay
            )

    def _define_functions(self, options: argparse.Namespace, text: str) -> None:
        """Define every function of the cell that takes a pipe as a reactor; run the rest as an ordinary cell."""
        if options.i or options.o or options.force or options.no_replay:
            message = (
                "%%reactor without a name takes --plant, --no-run and --no-cache only; the functions in the cell "
                "receive and send. To make the cell itself a reactor, write its name: %%reactor NAME -i a -o x"
            )
            raise DefinitionError(message)
        body = self._read(text)
        reactors = [
            node for node in body.tree.body if isinstance(node, ast.FunctionDef) and _takes_pipe(node)
        ]
        if not reactors:
            message = "No function in this cell has a first parameter called pipe. Name the cell instead: %%reactor NAME"
            raise DefinitionError(message)
        for node in reactors:
            node.decorator_list.insert(0, ast.copy_location(ast.Name(_DECORATOR_NAME, ast.Load()), node))
        namespace = self._console.shell.user_ns
        namespace[_DECORATOR_NAME] = _decorator(cache=not options.no_cache)
        try:
            _execute(body.tree, body.filename, namespace, body.flags, is_quiet=body.is_quiet)
        finally:
            namespace.pop(_DECORATOR_NAME, None)


def _decorator(*, cache: bool) -> Callable[[Any], Any]:
    """Return a decorator that leaves reactors and what is no function alone.

    It is applied above the decorators in the cell, so a function may be a reactor already.
    """

    def decorate(function: Any) -> Any:
        is_reactor = "__pyplant_reactor__" in getattr(function, "__dict__", {})
        return (
            function
            if is_reactor or not isinstance(function, FunctionType)
            else ReactorFunc(cache=cache)(function)
        )

    return decorate


def _execute(
    tree: ast.Module, filename: str, namespace: dict[str, Any], flags: int, *, is_quiet: bool
) -> None:
    """Run an ordinary cell and display its last expression, as IPython does."""
    last = tree.body[-1]
    shown: list[ast.stmt] = [last] if isinstance(last, ast.Expr) and not is_quiet else []
    statements = tree.body[: len(tree.body) - len(shown)]
    exec(compile(ast.Module(statements, []), filename, "exec", flags, dont_inherit=True), namespace)  # noqa: S102 - a cell of the user
    if shown:
        exec(compile(ast.Interactive(shown), filename, "single", flags, dont_inherit=True), namespace)  # noqa: S102 - likewise


def _takes_pipe(node: ast.FunctionDef) -> bool:
    parameters = [*node.args.posonlyargs, *node.args.args]
    if not parameters:
        return False
    annotation = ast.unparse(parameters[0].annotation) if parameters[0].annotation else ""
    return parameters[0].arg == "pipe" or annotation.strip("'\"").rpartition(".")[2] == "Pipework"


def _words(line: str) -> list[str]:
    """Split a line into arguments; a comment at the end is dropped."""
    import shlex

    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        message = f"%%reactor {line}: {error}."
        raise DefinitionError(message) from None


def _names(words: Sequence[str]) -> list[str]:
    # Normalised, as Python does with names in code.
    return [unicodedata.normalize("NFKC", name) for word in words for name in word.split(",") if name]


def _identifier(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_") or "my_reactor"


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
