"""The command line: ``pyplant``, or ``python -m pyplant``.

Commands on a plant directory (:mod:`~pyplant.cli.stored`) read the stored results and run no user
code. Commands on a script (:mod:`~pyplant.cli.running`) import it and use the reactors that it defines,
as running the script would.
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


class _OrderedGroup(click.Group):
    """A group that lists its commands in the order of their registration, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_OrderedGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 success; 1 a reactor failed, or damage was found; 2 wrong usage; "
    "3 the plant could not be read or written; 130 interrupted.",
)
@click.version_option(pyplant.__version__, prog_name="pyplant", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show where in PyPlant an error comes from.")
def cli(debug: bool) -> None:  # noqa: FBT001 - click passes flags by position
    """Inspect a plant, and bring the reactors of a script up to date."""
    del debug  # main reads it


for command in (*running.COMMANDS, *stored.COMMANDS):
    cli.add_command(command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute one command.

    Parameters
    ----------
    arguments
        The arguments after ``pyplant``; by default those of the process.

    Returns
    -------
    code
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    warnings.showwarning = _show_warning
    output = sys.stdout
    try:
        code = cli.main(given, prog_name="pyplant", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        if sys.stderr is not None:  # click reads the encoding of standard error
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        for line in getattr(error.__cause__ or error, "__notes__", ()):
            note(line)
        note("interrupted; finished results are kept.")
        return INTERRUPTED
    except BrokenPipeError:
        return _end_of_closed_pipe()
    except SystemExit:
        if sys.stdout is output:
            raise
        sys.stdout = output  # click has replaced it since its reader has closed it
        return _end_of_closed_pipe()
    except (PlantError, OSError) as error:
        if "--debug" in given:
            raise
        note(f"error: {error}")
        # A directory that is none of a plant is wrong usage, one that the system refuses to read is not.
        is_usage = isinstance(error, PlantDirError) and not isinstance(error.__cause__, OSError)
        of_store = isinstance(error, OSError) and not is_usage
        return STORE_FAILED if of_store else WRONG_USAGE
    return code or 0


def _end_of_closed_pipe() -> int:
    """The reader of the output closed it, as head does: write nothing more, also not at the exit of the process."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())  # type: ignore[union-attr]
    return 0


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Show warnings of PyPlant as one line, without the source line, which would be one of PyPlant."""
    if issubclass(category, PlantWarning):
        note(f"warning: {message}")
    else:
        _previous_showwarning(message, category, filename, lineno, file, line)


_previous_showwarning: Any = warnings.showwarning
