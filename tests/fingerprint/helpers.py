"""Modules made from text, and fingerprints of their functions."""

import itertools
import linecache
import sys
import textwrap
import types

from pyplant.fingerprint.fingerprint import Fingerprinter

_numbers = itertools.count()


def write(folder, source, name="code"):
    """Write a source file under a new name, and return its path."""
    path = folder / f"version_{next(_numbers)}" / f"{name}.py"
    path.parent.mkdir()
    path.write_text(textwrap.dedent(source), encoding="utf-8")
    return path


def run(source, path, name="code"):
    """Execute ``source`` as the module ``name`` whose file is ``path``."""
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    exec(compile(textwrap.dedent(source), str(path), "exec", dont_inherit=True), vars(module))
    return module


def load(folder, source, name="code"):
    """Load a module from a new file."""
    return run(source, write(folder, source, name), name)


def without_source(folder, source, name="code"):
    """Load a module whose source cannot be found."""
    return run(source, folder / "gone" / f"{name}.py", name)


def again(module, source):
    """Execute more code in a module, as a notebook does with another cell."""
    name = f"<cell {next(_numbers)}>"
    text = textwrap.dedent(source)
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    exec(compile(text, name, "exec", dont_inherit=True), vars(module))


def taken(module, name="main"):
    """The fingerprint of a function of a module, by a new fingerprinter."""
    return Fingerprinter().fingerprint(getattr(module, name))
