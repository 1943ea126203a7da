"""The variables that were sent to this worker (:mod:`pyplant.workers.code_pickling`).

One :class:`SentCode` holds those of one run. Its parts are unpickled when a reactor needs them, and their values
go into the module that they are variables of.
"""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Iterable
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from pyplant._fork import after_fork_in_child
from pyplant._formatting import error_text
from pyplant._missing import MISSING
from pyplant.errors import PlantDirError, WorkerError
from pyplant.fingerprint.digest import digest_bytes
from pyplant.fingerprint.origin import find
from pyplant.store.files import Files
from pyplant.workers.messages import Bundle, PackedObject, PackedVariables, Variable
from pyplant.workers.pickling import loads

__all__ = ["ALL", "SentCode", "module", "namespace", "read_sent_file", "variable"]


ALL = "*"
"""Stands for all variables of a module, in place of a name."""

_lock = threading.RLock()  # reentrant, since a pickle may require further variables


def read_sent_file(path: Path, digest: str) -> bytes:
    """Read a file that the run wrote for its workers.

    Unpickling runs code, and other users may be able to write to the folder. So the content must have the
    digest that came with the request.

    Raises
    ------
    FileNotFoundError
        If the run is over.
    pyplant.errors.PlantDirError
        If the content is another one.
    """
    content = Files().read(path)
    if digest_bytes(content) != digest:
        message = f"{path} is not what the run wrote there"
        raise PlantDirError(message)
    return content


class SentCode:
    """The variables of one run.

    Parameters
    ----------
    folder
        Where their bundles are.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._parts: dict[Variable, PackedVariables] = {}
        self._bundles: set[Bundle] = set()
        self._loaded: dict[Variable, None] = {}
        self._modules: set[str] = set()  # modules of which variables were sent

    def has_module(self, name: str) -> bool:
        """Return whether variables of this module were sent."""
        return name in self._modules

    def read(self, bundles: Iterable[Bundle]) -> None:
        """Read bundles that were not read before.

        Raises
        ------
        FileNotFoundError
            If the run is over.
        pyplant.errors.PlantDirError
            If a bundle is not what the run wrote.
        """
        with _lock:
            for bundle in bundles:
                if bundle not in self._bundles:
                    self._read(bundle)

    def load(self, packed: PackedObject, *, again: bool = False) -> Any:
        """Unpickle an object, after the variables that it needs.

        Parameters
        ----------
        packed
            The object.
        again
            Whether variables that were unpickled before are unpickled again, since reactors may have changed them.
        """
        with _lock:  # or another thread of this worker would find a variable missing that is being unpickled
            if again:
                self._loaded.clear()
            _serve(self)
            self.require(packed.needs)
            return pickle.loads(packed.data)  # noqa: S301 - it comes from the process that sends this worker its tasks

    def _read(self, bundle: Bundle) -> None:
        path = Path(self.folder) / str(bundle.number)
        parts: list[PackedVariables] = loads(read_sent_file(path, bundle.digest))
        # A variable that is sent again is in a later bundle.
        self._parts.update((variable, part) for part in parts for variable in part.variables)
        for part in parts:
            for variable in part.variables:
                self._loaded.pop(variable, None)
                self._modules.add(variable.module)
        self._bundles.add(bundle)

    def require(self, variables: Iterable[Variable]) -> None:
        """Unpickle variables and those that they need, unless it was done before."""
        stack = list(variables)
        while stack:
            wanted = stack.pop()
            if wanted.name == ALL:
                stack += [other for other in self._parts if other.module == wanted.module]
            part = self._parts.get(wanted)
            if wanted in self._loaded or part is None:
                continue
            # Before they are unpickled: a pickle of them may ask for them again (variable()).
            self._loaded.update(dict.fromkeys(part.variables))
            values = _unpickled(part)
            for variable, value in zip(part.variables, values, strict=True):
                if value is MISSING:
                    vars(module(variable.module)).pop(variable.name, None)
                else:
                    vars(module(variable.module))[variable.name] = value
            stack.extend(part.needs)


def _unpickled(part: PackedVariables) -> tuple[Any, ...]:
    try:
        values: tuple[Any, ...] = pickle.loads(part.data)  # noqa: S301 - as above
    except WorkerError:  # of another variable, which this one refers to
        raise
    except Exception as error:
        names = ", ".join(f"{variable.module}.{variable.name}" for variable in part.variables)
        message = (
            f"{names} cannot be made again in a worker: {error_text(error)}. Make it inside the reactor, or use "
            f"executor=None."
        )
        raise WorkerError(message) from error
    return values


_served: SentCode | None = None


@after_fork_in_child
def _after_fork() -> None:
    global _served, _lock
    _served, _lock = None, threading.RLock()


def _serve(code: SentCode) -> None:
    """Unpickle for a run from now on; attempts of different runs do not overlap in a process."""
    global _served
    _served = code


# ---------------------------------------------------------------------- called by pickles


def module(name: str) -> ModuleType:
    """Return the module of this name; one whose variables were sent is made here."""
    found = sys.modules.get(name)
    if found is not None:
        return found
    if _served is None or not _served.has_module(name):
        return import_module(name)
    found = sys.modules[name] = ModuleType(name)
    found.__spec__ = ModuleSpec(name, None)
    package, _, last = name.rpartition(".")
    if package:
        outer = vars(module(package))
        outer.setdefault("__path__", [])
        outer.setdefault(last, found)
    return found


def namespace(name: str) -> dict[str, Any]:
    """Return the variables of a module."""
    return vars(module(name))


def variable(module_name: str, name: str, qualname: str) -> Any:
    """Return user code by its name, unpickling its variable if that was not done yet."""
    if _served is not None:
        _served.require([Variable(module_name, name)])
    found = find(module(module_name), qualname)
    if found is None and name not in vars(module(module_name)):
        message = (
            f"{module_name}.{name} is not there in the worker; it was made after its module was imported."
        )
        raise AttributeError(message)
    return found
