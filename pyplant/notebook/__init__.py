"""The notebook layer: what people see and write in Jupyter. The core knows nothing of it.

``import pyplant`` in IPython attaches it: cells are followed, output is recorded and the
graph is live. ``%load_ext pyplant`` adds the magics.
"""

from __future__ import annotations

from typing import Any

__all__ = ["attach", "detach", "load_extension", "unload_extension"]

_console: Any = None


def attach(shell: Any) -> Any:
    """Follow the cells of a shell; the console that does so. Once is enough."""
    global _console
    if _console is None:
        from pyplant.notebook.console import Console

        _console = Console(shell)
        _console.install()
    return _console


def detach() -> None:
    """Leave the shell as it was."""
    global _console
    console, _console = _console, None
    if console is not None:
        console.uninstall()


def load_extension(shell: Any) -> None:
    """What ``%load_ext pyplant`` does."""
    from pyplant.notebook.completion import complete_options
    from pyplant.notebook.magics import PlantMagics

    shell.register_magics(PlantMagics(attach(shell)))
    complete_options(shell, on=True)


def unload_extension(shell: Any) -> None:
    """What ``%unload_ext pyplant`` does: everything is as before it was loaded, and as before the import."""
    from pyplant.notebook.completion import complete_options

    for kind, name in (("line", "plant"), ("line", "reactor"), ("cell", "reactor")):
        shell.magics_manager.magics[kind].pop(name, None)
    complete_options(shell, on=False)
    detach()
