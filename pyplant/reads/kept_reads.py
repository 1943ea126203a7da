"""Reads whose results code keeps: ``if _table is None: _table = read(path)`` reads a file once in a process.

Every later execution uses what is kept, and no event tells of it. So at each read of an execution the things are looked at
in which the user's functions on the stack can keep something: global names, objects that globals and closures
lead to, and the object of a method. If one of them differs when the execution has ended, the reads below these functions are
remembered with it, and later executions whose code leads to it depend on them. A read that was not kept costs a
needless run at worst; numbers that only count do not count.

Nothing is kept alive for this: local objects are forgotten with the execution that made them.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dis import opmap
from functools import lru_cache, partial
from itertools import islice
from types import CodeType, FrameType, FunctionType, GeneratorType, MappingProxyType, MethodType, ModuleType
from typing import Any, NamedTuple
from weakref import ref

from pyplant.fingerprint.attributes import attributes_of, class_namespace, namespace
from pyplant.fingerprint.bytecode import nested, opcodes, read_names
from pyplant.fingerprint.graph_node import values_held_by
from pyplant.fingerprint.origin import is_user_file, is_user_module, is_users_function
from pyplant.reads.function_caches import CACHED_FUNCTION
from pyplant.reads.places import is_of_pyplant

__all__ = ["KeptReads", "reads_kept_for", "reads_kept_in"]

_MAX_ITEMS = 100  # of an object that are looked at
_MAX_KEEPERS = 10_000  # in one execution
_MAX_DEPTH = 3  # of objects in one another
_MAX_BYTES = 1_000_000  # of an array that is looked at
_CONTAINERS: tuple[Any, ...] = (dict, list, tuple, set, frozenset, deque)
_NUMBERS = (int, float, complex)
_PLAIN = (type(None), str, bytes, range, slice, type(...), ModuleType, *_NUMBERS)
_OBJECTS_OF_METHODS = frozenset({"self", "cls"})
_STORE_ATTR, _STORE_GLOBAL = opmap["STORE_ATTR"], opmap["STORE_GLOBAL"]
_OWN_REFERENCES = 2  # that sys.getrefcount() counts if only this module refers to an object


class _Memory(NamedTuple):
    """Something that code keeps, by a call that returns the object in which, or the namespace; and the reads."""

    owner: Callable[[], Any]
    reads: dict[Hashable, Any]


_memories: dict[Hashable, _Memory] = {}
"""By the identity of the owner, and the name if one is bound."""


class _Keeper:
    """Something in which an execution may keep what it reads."""

    def __init__(self, owner: Any, name: str = "") -> None:
        self.key = _key(owner, name)
        self.reads: set[Hashable] = set()
        self._name = name
        self._before = _look(owner, name)
        self.owner: Callable[[], Any]
        """Returns the object or namespace; ``None`` if it is gone."""
        try:
            self.owner = ref(owner)
        except TypeError:  # a builtin container, which a global or a closure leads to
            self.owner = lambda: owner

    def has_changed(self) -> bool:
        """Return whether something else is in it than before."""
        owner = self.owner()
        return owner is not None and _look(owner, self._name) != self._before


class _Function(NamedTuple):
    """A function on the stack: in what it may keep something, and which of its variables lead to more."""

    code: CodeType
    keepers: list[_Keeper]
    variables: tuple[str, ...]
    is_of_pyplant: bool


class KeptReads:
    """Which reads of one execution its code may keep, and where."""

    def __init__(self) -> None:
        _forget_unused()
        self._keepers: dict[Hashable, _Keeper] = {}
        self._functions: dict[int, _Function] = {}  # by the identity of their code, whose hash takes long
        self._thread = threading.get_ident()
        self._cached: dict[CodeType, _Keeper] = {}

    def watch(self, cached: Iterable[Any]) -> None:
        """Note from now on what functions with cached results keep."""
        for function in cached:
            self._cached[function.__wrapped__.__code__] = self._keeper(function)

    def note(self, reads: Sequence[Hashable], frame: FrameType | None) -> None:
        """Note that the functions on the stack may keep reads."""
        self._note(reads, frame)
        if threading.get_ident() != self._thread:  # the reactor waits for a thread that it started
            self._note(reads, sys._current_frames().get(self._thread))  # noqa: SLF001 - documented in sys

    def _note(self, reads: Sequence[Hashable], frame: FrameType | None) -> None:
        while frame is not None:
            function = self._functions.get(id(frame.f_code)) or self._function(frame)
            if function.is_of_pyplant:
                return
            for keeper in function.keepers:
                keeper.reads.update(reads)
            for keeper in self._local_keepers(function, frame) if function.variables else ():
                keeper.reads.update(reads)
            frame = frame.f_back

    def finish(self, reads: Mapping[Hashable, Any]) -> None:
        """Remember where something was kept, with those of its reads that counted."""
        for keeper in self._keepers.values():
            kept = {read: reads[read] for read in keeper.reads if read in reads}
            if kept and keeper.has_changed():
                memory = _memories.get(keeper.key)
                if memory is None or memory.owner() is not keeper.owner():
                    memory = _memories[keeper.key] = _Memory(keeper.owner, {})
                memory.reads.update(kept)
        self._keepers.clear()
        self._functions.clear()

    def _function(self, frame: FrameType) -> _Function:
        """Return what is known of the function of a frame."""
        code, scope = frame.f_code, frame.f_globals
        keepers: list[_Keeper] = []
        variables: tuple[str, ...] = ()
        if is_user_file(code.co_filename):
            if code in self._cached:
                keepers.append(self._cached[code])
            keepers += (self._keeper(*bound) for bound in _bound_by(code, scope))
            keepers += map(self._keeper, filter(_may_keep, _named_by(code, scope)))
            is_method = code.co_argcount and code.co_varnames[0] in _OBJECTS_OF_METHODS
            variables = (*code.co_freevars, *code.co_varnames[:1]) if is_method else code.co_freevars
        function = _Function(code, keepers, variables, is_of_pyplant(frame))
        self._functions[id(code)] = function
        return function

    def _local_keepers(self, function: _Function, frame: FrameType) -> Iterator[_Keeper]:
        values = frame.f_locals
        for name in function.variables:
            value = values.get(name)
            if _may_keep(value):
                yield self._keeper(value)
            for scope, bound in _named_in(value, function.code):
                yield self._keeper(scope, bound)
                if _may_keep(scope[bound]):
                    yield self._keeper(scope[bound])

    def _keeper(self, owner: Any, name: str = "") -> _Keeper:
        key = _key(owner, name)
        keeper = self._keepers.get(key)
        if keeper is None or keeper.owner() is None:  # another object may have had its place in memory
            keeper = _Keeper(owner, name)
            if len(self._keepers) < _MAX_KEEPERS:
                self._keepers[key] = keeper
        return keeper


def reads_kept_in(obj: Any) -> list[Any]:
    """Return the reads whose results are kept in an object."""
    memory = _memories.get(_key(obj, ""))
    return [] if memory is None or memory.owner() is not obj else list(memory.reads.values())


def reads_kept_for(objects: Iterable[Any]) -> dict[Hashable, Any]:
    """Return the reads whose results are kept where functions, classes and other objects lead to."""
    found: dict[Hashable, Any] = {}
    if not _memories:
        return found
    _forget_unused()
    seen: set[int] = set()
    for obj in objects:
        values = [obj]
        if is_users_function(obj):
            code, scope = obj.__code__, obj.__globals__
            variables = [*_read_by(code, scope)]
            for held in values_held_by(obj):
                variables += _named_in(held, code)
            for key in (id(scope), *(_key(*variable) for variable in variables)):
                found |= _memories[key].reads if key in _memories else {}
            values += [space.get(name) for space, name in variables]
            values += _items(obj)
        for value in values:
            for memory in _memories_in(value, seen):
                found |= memory.reads
    return found


def _memories_in(value: Any, seen: set[int], depth: int = 0) -> Iterator[_Memory]:
    if id(value) in seen or not _may_keep(value):
        return
    seen.add(id(value))
    memory = _memories.get(id(value))
    if memory is not None and memory.owner() is value:
        yield memory
    if depth < _MAX_DEPTH and type(value) is not FunctionType:  # all functions are asked for
        for item in islice(_items(value), _MAX_ITEMS):
            yield from _memories_in(item, seen, depth + 1)


def _forget_unused() -> None:
    """Forget what is gone or only this module refers to, and caches that were cleared."""
    for key, memory in list(_memories.items()):
        if _is_unused(memory.owner):
            del _memories[key]


def _is_unused(owner: Callable[[], Any]) -> bool:
    if not isinstance(owner, ref):
        return sys.getrefcount(owner()) <= _OWN_REFERENCES
    obj = owner()
    return obj is None or (type(obj) is CACHED_FUNCTION and not obj.cache_info().currsize)


def _key(owner: Any, name: str) -> Hashable:
    return (id(owner), name) if name else id(owner)


def _may_keep(value: Any) -> bool:
    return not issubclass(type(value), _PLAIN)


def _look(owner: Any, name: str) -> Hashable:
    """Return what differs if an object has other content, or another object is bound to a name."""
    if name:
        return _look_at(owner.get(name))
    if type(owner) is CACHED_FUNCTION:
        return owner.cache_info().misses  # type: ignore[no-any-return] # an int
    if hasattr(type(owner), "__array_interface__"):
        return hash(owner.tobytes()) if owner.nbytes <= _MAX_BYTES else None
    size = _size(owner)
    return tuple(map(_look_at, _items(owner))) if size <= _MAX_ITEMS else size


def _look_at(value: Any) -> Hashable:
    cls = type(value)
    if issubclass(cls, _NUMBERS):
        return cls, 0  # most count something, such as calls
    return id(value), _size(value)


def _size(value: Any) -> int:
    cls = type(value)
    base = _container_base(cls)
    if base is not None:
        return base.__len__(value)  # type: ignore[no-any-return] # an int
    return sum(1 for _ in _items(value)) if cls in _PARTS else len(namespace(value) or ())


def _container_base(cls: type) -> Any:
    """Return the builtin container that a class is or extends, ``None`` if there is none."""
    return next((base for base in _CONTAINERS if issubclass(cls, base)), None)


def _items(value: Any) -> Iterator[Any]:
    """Yield what an object refers to: the items of a container, the variables of a closure, and attributes."""
    cls = type(value)
    if issubclass(cls, _PLAIN):
        return
    if cls in _PARTS:
        yield from _PARTS[cls](value)
    elif issubclass(cls, type):
        yield from class_namespace(value).values()
    elif issubclass(cls, threading.local):
        yield from threading.local.__getattribute__(value, "__dict__").values()
    else:
        base = _container_base(cls)
        if base is not None:
            yield from dict.values(value) if base is dict else base.__iter__(value)
        if cls is not base:
            yield from attributes_of(value).values()


def _named_by(code: CodeType, scope: dict[str, Any]) -> Iterator[Any]:
    """Yield the values of the global variables that code reads, all of them if it asks so, and the defaults of its function."""
    for owner, name in _read_by(code, scope):
        yield owner.get(name)
    if "globals" in _names(code).all:
        yield scope
    function = scope.get(code.co_name)
    if type(function) is FunctionType and function.__code__ is code:
        yield from values_held_by(function)


def _read_by(code: CodeType, scope: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the variables that code reads, each as a namespace and a name: of its own module, and of others that it names."""
    names = _names(code)
    for name in names.all:
        yield scope, name
        yield from _named_in(scope.get(name), code)


def _named_in(module: Any, code: CodeType) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the variables of a user's module whose names are in code, each as a namespace and a name."""
    if type(module) is ModuleType and is_user_module(module):
        names = vars(module)
        yield from ((names, name) for name in _names(code).all if name in names)


def _bound_by(code: CodeType, scope: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the variables that code binds."""
    names = _names(code)
    yield from ((scope, name) for name in names.bound)
    yield from (
        (owner, name) for owner, name in _read_by(code, scope) if owner is not scope and name in names.set
    )


_PARTS: Mapping[type, Callable[[Any], Iterable[Any]]] = MappingProxyType(
    {
        FunctionType: lambda function: (*vars(function).values(), *values_held_by(function)),
        MethodType: lambda method: (method.__self__, method.__func__),
        partial: lambda call: (call.func, *call.args, *call.keywords.values()),
        ContextVar: lambda variable: (variable.get(None),),
        GeneratorType: lambda steps: () if steps.gi_frame is None else steps.gi_frame.f_locals.values(),
    }
)


class _CodeNames(NamedTuple):
    """The names in code: of the global variables that it binds, of the attributes that it sets, and all."""

    bound: frozenset[str]
    set: frozenset[str]
    all: frozenset[str]


@lru_cache(maxsize=4096)
def _names(code: CodeType) -> _CodeNames:
    parts = list(nested(code))
    names = frozenset(name for part in parts for name in part.co_names)
    used = b"".join(map(opcodes, parts))
    return _CodeNames(
        read_names(code)[1] if _STORE_GLOBAL in used else frozenset(),
        names if _STORE_ATTR in used else frozenset(),
        names,
    )
