"""The notebook layer: magics, recorded output and the live graph. The core does not depend on it.

``import pyplant`` in IPython attaches it: from then on it notes which cell defines which reactor,
records output, and keeps graphs up to date. ``%load_ext pyplant`` adds the magics.
"""

from __future__ import annotations

from typing import Any

__all__ = ["attach", "detach", "load_extension", "unload_extension"]

_console: Any = None


def attach(shell: Any) -> Any:
    """Install the console in a shell and return it; further calls return the same console."""
    global _console
    if _console is None:
        from pyplant.notebook.console import Console

        _console = Console(shell)
        _console.install()
    return _console


def detach() -> None:
    """Remove the console from the shell."""
    global _console
    console, _console = _console, None
    if console is not None:
        console.uninstall()


def load_extension(shell: Any) -> None:
    """Add the magics, as ``%load_ext pyplant`` does."""
    from pyplant.notebook.completion import complete_options
    from pyplant.notebook.magics import PlantMagics

    shell.register_magics(PlantMagics(attach(shell)))
    complete_options(shell, on=True)


def unload_extension(shell: Any) -> None:
    """Remove the magics and the console, as ``%unload_ext pyplant`` does."""
    from pyplant.notebook.completion import complete_options

    for kind, name in (("line", "plant"), ("line", "reactor"), ("cell", "reactor")):
        shell.magics_manager.magics[kind].pop(name, None)
    complete_options(shell, on=False)
    detach()
