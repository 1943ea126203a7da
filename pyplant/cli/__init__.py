"""The command line: ``pyplant``, or ``python -m pyplant``.

Commands on a plant directory (:mod:`~pyplant.cli.stored`) read what is kept and run no
code of anybody. Commands on a script (:mod:`~pyplant.cli.running`) import it and use the
reactors that it defines, just as running it would.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TextIO

import click

import pyplant
from pyplant.cli import running, stored
from pyplant.cli.output import note
from pyplant.errors import PlantDirError, PlantError, PlantWarning

__all__ = ["main"]

WRONG_USAGE, STORE_FAILED, INTERRUPTED = 2, 3, 130


class _InOrder(click.Group):
    """Lists commands in the order in which people need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 all is well; 1 a reactor failed, or damage was found; 2 wrong usage; "
    "3 the plant could not be read or written; 130 interrupted.",
)
@click.version_option(pyplant.__version__, prog_name="pyplant", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show where in PyPlant an error comes from.")
def cli(debug: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Look at what a plant keeps, and bring the reactors of a script up to date."""
    del debug  # main looks at it


for command in (*running.COMMANDS, *stored.COMMANDS):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command.

    Parameters
    ----------
    arguments
        What follows ``pyplant``; by default what the process was given.

    Returns
    -------
    code
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    warnings.showwarning = _show_warning
    try:
        code = cli.main(given, prog_name="pyplant", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        if sys.stderr is not None:  # click would ask it for its encoding
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        for line in getattr(error.__cause__ or error, "__notes__", ()):
            note(line)
        note("interrupted; what had finished is kept.")
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (PlantError, OSError) as error:
        if "--debug" in given:
            raise
        note(f"error: {error}")
        of_store = isinstance(error, OSError) and not isinstance(error, PlantDirError)
        return STORE_FAILED if of_store else WRONG_USAGE
    return code or 0


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show warnings of the plant as a line; the place they point at is in here."""
    if issubclass(category, PlantWarning):
        note(f"warning: {message}")
    else:
        _shown_before(message, category, filename, lineno, file, line)


_shown_before: Any = warnings.showwarning
