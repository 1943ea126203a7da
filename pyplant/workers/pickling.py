"""User code on its way to a worker.

What a worker runs must be what was fingerprinted. Were functions of user modules pickled by
name, as pickle does, a worker would import these modules itself: perhaps an older version
that it has loaded already, perhaps a newer one from the disk, perhaps none. So all user
code travels by value, whether it comes from a cell, from ``__main__`` or from a module;
installed packages travel by name.

Where a worker has unpacked user classes and functions, it puts them where their names say,
into modules made for the purpose: what it pickles itself then refers to them by name, and
their fingerprints are the same as here.

Only code that runs knows which modules it imports and which its pickles name. So a worker
imports no module that the user's process has loaded: it stops with :class:`ModuleNotSent`, is sent
the module as it is there, and starts again. A module travels with those of its contents
that can be pickled.
"""

from __future__ import annotations

import importlib
import io
import pickle
import sys
import threading
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from pyplant._definitions import Definition
from pyplant._fork import after_fork_in_child
from pyplant._formatting import error_text
from pyplant.errors import RunError
from pyplant.fingerprint.origin import find, is_user_module
from pyplant.specs.array_subclass import reduce_array
from pyplant.store.files import unique_name
from pyplant.workers.reducers import REMADE, Cached, remake

__all__ = [
    "CodePickler",
    "ModuleNotSent",
    "dumps",
    "expect_modules",
    "loads",
    "number_of",
    "requesting_modules",
    "unpack",
    "using_code",
]

_PROTOCOL = 5
_KEPT = ("function", "name", "module", "defining_file", "qualname", "cache", "is_generator", "config_name")
"""What a worker needs of a definition; the rest belongs to the process it was made in."""
_ASKED_FOR = frozenset(("__all__", "__version__", "__author__"))
"""Such names that only users of a module ask for."""
_MACHINERY = frozenset(("__builtins__", "__cached__", "__loader__", "__name__", "__package__", "__spec__"))
"""What the import system puts into modules; other such names (``__version__``, ``__getattr__``) are the user's."""


class CodePickler:
    """Pickles objects with all user code they need, for the length of a run.

    From the first one on, all of cloudpickle takes user modules by value, until this is
    closed: it knows no other way to be told.
    """

    def __init__(self) -> None:
        self.functions: list[FunctionType] = []
        """The subreactors that were packed; their number here is what a worker knows them by."""
        self.code = unique_name()
        """Tells workers the code of this run apart from that of others."""
        self._looked_at = 0
        self._users: dict[str, None] = {}
        self._registered: list[ModuleType] = []
        self._definitions: dict[Definition, bytes] = {}
        self._modules: dict[str, bytes] = {}

    def definition(self, definition: Definition) -> bytes:
        """Return a packed reactor, the same each time.

        Raises
        ------
        pyplant.errors.RunError
            If something that its code uses cannot be pickled.
        """
        if definition not in self._definitions:
            try:
                self._definitions[definition] = self.pack(definition)
            except Exception as error:
                message = (
                    f"Reactor {definition.name!r} cannot be sent to a worker: {error_text(error)}. Something "
                    f"that its code uses cannot be pickled; make it inside the reactor, or use executor=None."
                )
                raise RunError(message) from error
        return self._definitions[definition]

    def module(self, name: str) -> bytes:
        """Return a packed module of the user's, as far as it can be packed; the same each time."""
        if name not in self._modules:
            self._modules[name] = self.pack(sys.modules[name])
        return self._modules[name]

    def pack(self, obj: Any) -> bytes:
        """Pickle an object.

        Raises
        ------
        Exception
            Whatever pickling it raises.
        """
        self._register()
        return _dump(obj, self.functions, frozenset())

    def _register(self) -> None:
        # Called for each object that is packed; there is something new only after an import.
        if len(sys.modules) == self._looked_at:
            return
        import cloudpickle

        known = cloudpickle.list_registry_pickle_by_value()
        for name, module in list(sys.modules.items()):
            # An entry may be another object than a module, or a module under a second name; cloudpickle knows
            # modules by their own names.
            is_itself = issubclass(type(module), ModuleType) and vars(module).get("__name__") == name
            if is_itself and _is_by_value(module):
                self._users[name] = None
                if name not in known:
                    cloudpickle.register_pickle_by_value(module)
                    self._registered.append(module)
        self._looked_at = len(sys.modules)

    def names(self) -> tuple[str, ...]:
        """Return the names of all user modules that are loaded, but for ``__main__``."""
        self._register()
        return tuple(self._users)

    def close(self) -> None:
        """Leave cloudpickle as it was."""
        import cloudpickle

        for module in self._registered:
            if module.__name__ in cloudpickle.list_registry_pickle_by_value():
                cloudpickle.unregister_pickle_by_value(module)
        self._registered.clear()


def unpack(data: bytes | memoryview) -> Any:
    """Return the pickled object; install each user function and class under its qualified name."""
    obj, homes, numbers = pickle.loads(data)  # noqa: S301 - it comes from the process that sends this worker its tasks
    _numbers.update((function, number) for number, function in numbers.items())
    for (module, qualname), found in homes.items():
        _settle(_module(module), qualname, found)
    return obj


def dumps(obj: Any) -> bytes:
    """Pickle a record of our own. What of it is the user's goes as cloudpickle sees fit."""
    try:
        return pickle.dumps(obj, _PROTOCOL)
    except Exception:  # noqa: BLE001 - a class or function that has no name to be found by
        import cloudpickle

        return bytes(cloudpickle.dumps(obj, _PROTOCOL))


def loads(data: bytes) -> Any:
    """Undo :func:`dumps`."""
    return pickle.loads(data)  # noqa: S301 - from the other end of a pool of the user's


def number_of(function: Any) -> Any:
    """Return the number of a subreactor that was sent, else the function itself."""
    return _numbers.get(function, function)


_numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


def _dump(obj: Any, functions: list[FunctionType], within: frozenset[str]) -> bytes:
    stream = io.BytesIO()
    pickler = _pickler()(stream, _PROTOCOL)
    pickler.homes, pickler.numbers, pickler.functions, pickler.within = {}, {}, functions, within
    # Homes and numbers are found while the object is pickled, which comes first.
    pickler.dump((obj, pickler.homes, pickler.numbers))
    return stream.getvalue()


@cache
def _pickler() -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle has no types
        dispatch_table: ClassVar = ChainMap(REMADE, cloudpickle.Pickler.dispatch_table)
        homes: dict[tuple[str, str], Any]
        numbers: dict[int, FunctionType]
        functions: list[FunctionType]
        within: frozenset[str]

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, CodeType):
                return _code, (*self.dispatch_table[CodeType](obj)[:2], obj.co_filename)
            if isinstance(obj, Definition):
                return _definition, ({name: getattr(obj, name) for name in _KEPT},)
            if isinstance(obj, ModuleType) and _is_by_value(obj):
                return partial(_module, is_package=hasattr(obj, "__path__")), (
                    obj.__name__,
                    _contents(obj, self.functions, self.within),
                )
            # The worker installs these under their names, so that what it pickles itself refers to them by name.
            if isinstance(obj, type | FunctionType | Cached) and _is_at_home(obj):
                self.homes[obj.__module__, obj.__qualname__] = obj
            subreactor = vars(obj).get("__pyplant_subreactor__") if isinstance(obj, FunctionType) else None
            if subreactor is not None:
                self.numbers[len(self.functions)] = subreactor
                self.functions.append(subreactor)
            array = reduce_array(obj)
            if array is not NotImplemented:
                return array
            reduced = remake(obj) or super().reducer_override(obj)
            if isinstance(obj, type) and isinstance(reduced, tuple) and obj.__qualname__ != obj.__name__:
                return _with_qualname(obj, reduced)
            return reduced

    return Pickler


def _with_qualname(cls: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a nested class that knows its full name, which cloudpickle leaves out: its objects are pickled by it."""
    make, arguments, (members, slots), *rest = reduced
    return make, arguments, ({"__qualname__": cls.__qualname__, **members}, slots), *rest


def _code(make: Callable[..., CodeType], arguments: tuple[Any, ...], filename: str) -> CodeType:
    """Code that knows where it stood, which cloudpickle leaves out, for tracebacks."""
    return make(*arguments).replace(co_filename=filename)


def _definition(kept: dict[str, Any]) -> Definition:
    return Definition(**kept, execution=None)


def _is_by_value(module: ModuleType) -> bool:
    return module.__name__ != "__main__" and is_user_module(module)


def _is_at_home(obj: Any) -> bool:
    """Return whether user code is what its module and name say it is."""
    module = sys.modules.get(obj.__module__ or "")
    return module is not None and is_user_module(module) and find(module, obj.__qualname__) is obj


def _contents(
    module: ModuleType, functions: list[FunctionType], within: frozenset[str]
) -> dict[str, bytes] | None:
    """What of a module can be pickled. Each part alone, so that nothing fails for what is not used."""
    if module.__name__ in within:
        return None  # it is being packed further out
    contents: dict[str, bytes] = {}
    for name, value in list(vars(module).items()):
        if name in _MACHINERY:
            continue
        try:
            contents[name] = _dump(value, functions, within | {module.__name__})
        except Exception:  # noqa: BLE001, S112 - code that uses it in the worker gets the error
            continue
    if type(module) is not ModuleType:  # a module may change its class, to have properties
        with suppress(Exception):
            contents["__class__"] = _dump(type(module), functions, within | {module.__name__})
    return contents


# ---------------------------------------------------------------------- in the worker


class ModuleNotSent(BaseException):
    """A module of the user's is to be used in a worker, and was not sent along."""

    def __init__(self, module: str) -> None:
        super().__init__(module)
        self.module = module


class _Sent(ModuleType):
    """A user module in a worker: what was sent of it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return import_module, (self.__name__,)  # in values that a reactor sends

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name not in _ASKED_FOR:
            raise AttributeError(name)  # Python looks whether it is there
        # Another thread may be unpacking the module. Requested again, it is unpacked only after that thread is done.
        is_complete = vars(self)["__pyplant_whole__"] in (True, threading.get_ident())
        if not is_complete and _finder.is_watching:
            raise ModuleNotSent(self.__name__)
        message = (
            f"{self.__name__}.{name} is not there in the worker: it cannot be pickled, or was made after the "
            f"run had begun. Make it inside the reactor."
        )
        raise AttributeError(message)


class _Finder:
    """Keeps workers from importing what is to be sent to them.

    Attributes
    ----------
    names
        The user modules of the run whose code is here.
    code, users
        Which code that is, and how many attempts use it.
    """

    def __init__(self) -> None:
        self.reset()

    @property
    def is_watching(self) -> bool:
        """Whether an attempt is being made."""
        return self._attempts > 0

    def reset(self) -> None:
        """Let everything be imported, as at first."""
        self.names: frozenset[str] = frozenset()
        self.code = ""
        self.users = 0
        self._attempts = 0

    def watch(self, change: int) -> None:
        """Attempts begin, or end."""
        with _guard:
            self._attempts += change

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        del path, target
        if name in self.names and self.is_watching:
            raise ModuleNotSent(name)


_guard = threading.Condition()
_unpacking = threading.RLock()  # held while modules are created and filled; threads of a worker share them
_finder = _Finder()


@after_fork_in_child
def _after_fork() -> None:
    """Reset the state of a forked child, which executes no task and may import anything."""
    global _guard, _unpacking  # another thread of the parent may have had them
    _guard, _unpacking = threading.Condition(), threading.RLock()
    _finder.reset()


@contextmanager
def using_code(code: str) -> Iterator[None]:
    """Have the user modules of one run in this process meanwhile.

    Threads that work for the same code share its modules. One that comes with other code waits until
    nobody uses those that are here: modules have one place in a process.
    """
    with _guard:
        _guard.wait_for(lambda: not _finder.users or _finder.code == code)
        _finder.users += 1
        if _finder.code != code:
            for name in _finder.names:
                sys.modules.pop(name, None)
            _finder.code, _finder.names = code, frozenset()
    try:
        yield
    finally:
        with _guard:
            _finder.users -= 1
            _guard.notify_all()


def expect_modules(names: Iterable[str]) -> None:
    """Forget user modules that were imported before; these are sent when they are wanted."""
    with _guard:
        _expect(names)


def _expect(names: Iterable[str]) -> None:
    new = frozenset(names) - _finder.names  # other threads may use the rest already
    _finder.names |= new
    for name in new:
        sys.modules.pop(name, None)
    if new and _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


@contextmanager
def requesting_modules() -> Iterator[None]:
    """Ask for modules meanwhile; what pickles records afterwards makes do with what is there."""
    _finder.watch(1)
    try:
        yield
    finally:
        _finder.watch(-1)


def _module(name: str, contents: dict[str, bytes] | None = None, *, is_package: bool = False) -> ModuleType:
    """Return the module of that name in this process, with these contents."""
    with _unpacking:
        module = sys.modules.get(name)
        if module is None:
            module = _create_module(name)
        if contents is not None and vars(module).get("__pyplant_whole__", True) is False:
            if is_package:
                vars(module)["__path__"] = []
            _fill(module, contents)
        return module


def _create_module(name: str) -> ModuleType:
    module = sys.modules[name] = _Sent(name)
    vars(module)["__pyplant_whole__"] = False
    package, _, last = name.rpartition(".")
    if package:
        if package not in _finder.names:
            with suppress(Exception):  # a namespace that is shared with installed packages
                importlib.import_module(package)
        outer = vars(_module(package))
        outer.setdefault("__path__", [])
        outer.setdefault(last, module)
    return module


def _fill(module: ModuleType, contents: dict[str, bytes]) -> None:
    """Unpack the contents of a module, which counts as whole for this thread already: its parts refer to it."""
    vars(module)["__pyplant_whole__"] = threading.get_ident()
    is_whole = False
    try:
        for attribute, data in contents.items():
            if attribute == "__class__":
                module.__class__ = unpack(data)
            else:
                vars(module)[attribute] = unpack(data)
        is_whole = True
    finally:  # after an error, such as another module that is needed first, the next attempt unpacks all of it
        vars(module)["__pyplant_whole__"] = is_whole


def _settle(module: ModuleType, qualname: str, found: Any) -> None:
    """Put user code where its name says."""
    *outer, name = qualname.split(".")
    place: Any = module
    for step in outer:
        place = vars(place).get(step)
        if place is None:
            return
    there = vars(place).get(name)
    if isinstance(there, staticmethod):
        if there.__func__ is found:
            return
        found = type(there)(found)
    if there is not found:
        with suppress(AttributeError, TypeError):
            setattr(place, name, found)
