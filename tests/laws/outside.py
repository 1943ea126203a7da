"""What lies outside a plant: files, a folder, a link and a variable that change between steps.

Reactors read it without saying so, in each of :data:`WAYS`. The oracle gives its modules stand-ins for ``open``, ``os`` and
``glob`` that do the same and note what was read.
"""

from __future__ import annotations

import builtins
import glob
import os
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.laws.pipelines import Step

VARIABLE = "LAWS_VARIABLE"
CHANGES: dict[str, tuple[str | None, ...]] = {
    "w0.txt": ("1", "2", "33", None),
    "w1.txt": ("1", "2", None),
    "in/a.txt": ("1", None),
    "in/b.dat": ("1", None),
    "flag": ("", None),
    "link": ("w0.txt", "w1.txt", "nowhere"),
    VARIABLE: ("1", "2", None),
}
"""What there may be under each name: the content of a file, the target of the link, the value of the variable."""

World = dict[str, "str | None"]
Note = Callable[[str, str, Any], None]


def first_world() -> World:
    """The outside that a pipeline begins with."""
    return {name: values[0] for name, values in CHANGES.items()}


def put(folder: Path, world: World) -> None:
    """Make the outside what it shall be; what is so already is not touched."""
    for name, value in world.items():
        path = folder / name
        if name == VARIABLE:
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        elif name == "link":
            if not (path.is_symlink() and os.readlink(path) == value):
                path.unlink(missing_ok=True)
                path.symlink_to(str(value))
        elif value is None:
            path.unlink(missing_ok=True)
        elif not (path.exists() and path.read_text() == value):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value)
    (folder / "in").mkdir(exist_ok=True)


def remove() -> None:
    """Take the variable away; the rest goes with its folder."""
    os.environ.pop(VARIABLE, None)


def _opened(path: str) -> list[str]:
    return [
        "try:",
        f"    with open({path!r}) as stream:",
        "        n = mix(n, stream.read())",
        "except OSError:",
        '    n = mix(n, "absent")',
    ]


WAYS: tuple[Callable[[str], list[str]], ...] = (
    lambda folder: _opened(f"{folder}/w0.txt"),
    lambda folder: _opened(f"{folder}/link"),
    lambda folder: [f"n = mix(n, sorted(os.listdir({folder + '/in'!r})))"],
    lambda folder: [f"n = mix(n, len(glob.glob({folder + '/in/*.txt'!r})))"],
    lambda folder: [f"n = mix(n, os.path.exists({folder + '/flag'!r}))"],
    lambda _: [f'n = mix(n, os.environ.get("{VARIABLE}", "unset"))'],
)
"""How reactors read: a file, through a link, a folder, a pattern, whether there is a file, a variable."""


def lines(step: Step, folder: str) -> list[str]:
    """The lines of a reactor that read in one way."""
    return WAYS[step.a % len(WAYS)](folder)


def stand_ins(folder: Path, note: Note) -> tuple[Callable[..., Any], dict[str, types.ModuleType]]:
    """Return what oracles use in place of ``open``, and of modules by name."""

    def is_outside(path: Any) -> bool:
        return str(path).startswith(f"{folder}/")

    def opened(path: Any, *arguments: Any, **options: Any) -> Any:
        if is_outside(path):
            note("open", Path(path).name, Path(path).read_text() if Path(path).exists() else None)
        return builtins.open(path, *arguments, **options)

    def listed(path: Any) -> list[str]:
        found = os.listdir(path)
        note("list", Path(path).name, sorted(found))
        return found

    def matched(pattern: str) -> list[str]:
        found = glob.glob(pattern)
        note("match", Path(pattern).name, sorted(found))
        return found

    def exists(path: Any) -> bool:
        found = os.path.exists(path)
        if is_outside(path):
            note("exists", Path(path).name, found)
        return found

    def get(name: str, default: str | None = None) -> str | None:
        note("variable", name, os.environ.get(name))
        return os.environ.get(name, default)

    fake_os, fake_glob = types.ModuleType("os"), types.ModuleType("glob")
    vars(fake_os).update(
        listdir=listed,
        path=types.SimpleNamespace(exists=exists),
        environ=types.SimpleNamespace(get=get),
    )
    vars(fake_glob).update(glob=matched)
    return opened, {"os": fake_os, "glob": fake_glob}
