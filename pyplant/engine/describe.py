"""What one function, class, module or value consists of, and what it refers to.

A :class:`Description` is local: the things referred to appear as edges, not as content,
so that code may be mutually recursive. :mod:`pyplant.engine.fingerprint` joins the
descriptions into one digest.

What counts
-----------
- A function: its part (:mod:`pyplant.engine.source`), its default values, its closure,
  what it wraps, and every global and imported name that it mentions.
- A class: its bases and what its body defines. Not: annotations, docstrings, generated
  methods, and what the interpreter writes into it.
- A module that is used otherwise than by attribute: everything it defines.
- Anything else: its canonical encoding (:mod:`pyplant.engine.digest`).
- Installed code: its name; but what an installed wrapper wraps is followed.

Names in ``state`` (they change while reactors run) are left out.
"""

from __future__ import annotations

import builtins
import enum
import types
from collections.abc import Callable, Mapping
from itertools import repeat
from operator import is_
from types import CellType, FunctionType, ModuleType
from typing import Any, NamedTuple

from pyplant.engine.digest import digest_bytes, encode
from pyplant.engine.hints import Hint, resolved
from pyplant.engine.members import MISSING, members, watched_names
from pyplant.engine.origin import (
    LOADED,
    absolute_name,
    import_user_module,
    is_own_file,
    is_user_file,
    is_user_module,
    is_user_object,
    package_name,
)
from pyplant.engine.source import CodePart

__all__ = ["Describer", "Description", "Edge", "Kind", "Leaf", "Note", "Watch"]


class Kind(enum.Enum):
    """What a description is of."""

    FUNCTION = "function"
    CLASS = "class"
    MODULE = "module"
    VALUE = "value"


class Leaf(NamedTuple):
    """Something that counts by a text alone: an installed function, a scalar.

    Attributes
    ----------
    text
        What counts.
    display
        What people see of it, where that differs.
    """

    text: str
    display: str = ""

    def shown(self) -> str:
        """The leaf as it stands in a record: a digest, and a text for people."""
        return f"={digest_bytes(self.text.encode())[:16]}:{self.display or self.text}"


class Edge(NamedTuple):
    """A reference to something else.

    Attributes
    ----------
    label
        Unique within its description; decides the order.
    owner, name
        The scope the reference was found in and its name there: what a state is called by.
    target
        A :class:`Leaf`, or the object itself.
    """

    label: str
    owner: str
    name: str
    target: Any


class Note(NamedTuple):
    """Something the fingerprint does not follow; kept with the trace and shown."""

    kind: str
    text: str


class Watch(NamedTuple):
    """Names in a namespace, and the objects they stood for: a cheap test for change.

    The objects are held, so that none is taken for another that got its address.
    """

    namespace: Mapping[str, Any]
    names: tuple[str, ...]
    objects: tuple[Any, ...]

    @classmethod
    def of(cls, namespace: Mapping[str, Any], names: tuple[str, ...]) -> Watch:
        """Watch ``names`` (also absent ones) as they are now."""
        return cls(namespace, names, tuple(map(namespace.get, names, repeat(MISSING))))

    def holds(self) -> bool:
        """Whether every name still stands for the same object."""
        return all(map(is_, map(self.namespace.get, self.names, repeat(MISSING)), self.objects))


class Description(NamedTuple):
    """One node of the graph of code and values."""

    kind: Kind
    name: str
    local: bytes
    edges: tuple[Edge, ...] = ()
    watches: tuple[Watch, ...] = ()
    unchanged: Callable[[], bool] | None = None
    hints: frozenset[Hint] = frozenset()
    notes: frozenset[Note] = frozenset()
    text: str = ""


_OF_SHELL = frozenset(["open", "get_ipython", "exit", "quit", "display"])
"""Names that IPython puts into the namespace of a notebook: builtins, as far as code is concerned."""
_SHELLS = frozenset(["IPython", "ipykernel"])
_IGNORED_IN_MODULE = frozenset(
    [
        "__name__",
        "__doc__",
        "__file__",
        "__cached__",
        "__loader__",
        "__spec__",
        "__package__",
        "__builtins__",
        "__annotations__",
        "__path__",
        "__warningregistry__",
    ]
)
_SCALARS = (type(None), bool, int, float, complex, str, bytes, type(...))
_SHORT = 200


class Describer:
    """Describes objects, given the parts of code and the names known as state.

    Parameters
    ----------
    part
        Finds the part of a code object, given the globals of its function.
    state
        Pairs ``(owner, name)`` to leave out.
    version
        Gives the version of an installed package to count besides its name, or ``""``.
    """

    def __init__(
        self,
        part: Callable[[types.CodeType, dict[str, Any]], CodePart],
        state: set[tuple[str, str]],
        version: Callable[[str], str],
    ) -> None:
        self._part = part
        self._state = state
        self._version = version

    def __call__(self, obj: Any) -> Description:
        """Describe any object."""
        if isinstance(obj, FunctionType):
            return self._function(obj)
        if isinstance(obj, type):
            return self._class(obj)
        if isinstance(obj, ModuleType):
            return self._module(obj)
        return self._value(obj)

    def _distinctly(self, obj: Any) -> str:
        """Tells code in a set apart by what it says and refers to, before its digest is known."""
        description = self(obj)
        parts = [description.local]
        for edge in description.edges:
            target = edge.target
            if type(target) is Leaf:
                said = target.text.encode()
            elif isinstance(target, FunctionType | type | ModuleType):
                said = self(target).local
            else:
                said = encode(target).data
            parts.append(edge.label.encode() + b"=" + said)
        return digest_bytes(*parts)

    # ------------------------------------------------------------------ functions

    def _function(self, function: FunctionType) -> Description:
        code, name = function.__code__, f"{function.__module__}.{function.__qualname__}"
        user = is_user_file(code.co_filename)
        if user:
            part = self._part(code, function.__globals__)
            local = b"function:" + part.digest.encode()
        else:
            part = None
            # Not its own name and module: functools.wraps gives it those of what it wraps.
            package = package_name(function.__globals__.get("__name__"))
            local = f"installed:{package}{self._version(package)}:{code.co_qualname}".encode()
        scope = _Scope(self, name)
        if part is not None:
            self._mentions(scope, function, part)
        rebound = part.rebound if part is not None else frozenset()
        if function.__closure__ and not is_own_file(code.co_filename):
            for variable, cell in zip(code.co_freevars, function.__closure__, strict=False):
                self._cell(scope, variable, cell, rebound)
        for key in tuple(function.__dict__):
            if not key.startswith("__pyplant"):
                scope.add(f"attribute {key}", scope.watch(function.__dict__, key))
        own_keys = len(function.__dict__)
        cells = tuple(map(_contents, function.__closure__ or ()))
        defaults, kwdefaults = function.__defaults__, function.__kwdefaults__

        def unchanged() -> bool:
            return (
                function.__code__ is code
                and function.__defaults__ is defaults
                and function.__kwdefaults__ is kwdefaults
                and len(function.__dict__) == own_keys
                and (not cells or all(map(is_, map(_contents, function.__closure__ or ()), cells)))
            )

        notes = scope.notes
        if part is not None and not part.verified and not code.co_filename.startswith("<"):
            notes = {*notes, Note("source", f"{name}: its file no longer holds the code that runs")}
        return Description(
            Kind.FUNCTION,
            name,
            local,
            scope.finished(),
            scope.watches(),
            unchanged,
            resolved(part.hints, function.__globals__) if part is not None else frozenset(),
            frozenset(notes),
            part.text if part is not None else "",
        )

    def _mentions(self, scope: _Scope, function: FunctionType, part: CodePart) -> None:
        for reference in part.references:
            self._reference(scope, function, reference, part)
        for index, value in enumerate(function.__defaults__ or ()):
            scope.add(f"default {index}", value)
        keyword_defaults = function.__kwdefaults__ or {}
        for key in sorted(keyword_defaults):
            scope.add(f"default {key}", scope.watch(keyword_defaults, key))

    def _cell(self, scope: _Scope, variable: str, cell: CellType, rebound: frozenset[str]) -> None:
        content = _contents(cell)
        if content is MISSING:
            return
        if f"nonlocal {variable}" in rebound:
            scope.note("state", f"{scope.owner}: {variable!r} is rebound by the function itself")
        else:
            scope.add(f"closure {variable}", content, variable)

    def _reference(
        self, scope: _Scope, function: FunctionType, reference: tuple[str, ...], part: CodePart
    ) -> None:
        kind, root, *chain = reference
        label = " ".join(reference)
        if kind == "m":
            self._imported(scope, label, root, chain, function.__globals__.get("__package__"))
            return
        if root in part.rebound:
            scope.note("state", f"{function.__module__}: {root!r} is rebound by {function.__qualname__}()")
            return
        namespace = function.__globals__
        value = scope.watch(namespace, root)
        if value is MISSING:
            known = hasattr(builtins, root)
            scope.add(label, Leaf(f"builtin {root}" if known else f"undefined {root}"))
        elif root in _OF_SHELL and _package_of(value) in _SHELLS:
            scope.add(label, Leaf(f"builtin {root}"))
        else:
            self._follow(scope, label, value, chain, owner=function.__module__, name=root)

    def _imported(self, scope: _Scope, label: str, name: str, chain: list[str], package: str | None) -> None:
        """Follow an import inside the function; installed modules count alike, loaded or not."""
        module = import_user_module(name, package)
        scope.watch(LOADED, absolute_name(name, package))
        if module is None or not is_user_module(module):
            scope.add(label, Leaf(f"import {name}{self._version(package_name(name))}"))
        elif chain != [""]:
            self._follow(scope, label, module, chain)

    def _follow(
        self, scope: _Scope, label: str, value: Any, chain: list[str], owner: str = "", name: str = ""
    ) -> None:
        """Follow a chain of attributes through user modules, to what it names in the end."""
        for attribute in chain:
            if not isinstance(value, ModuleType) or not is_user_module(value):
                break
            owner, name = value.__name__, attribute
            found = scope.watch(vars(value), attribute)
            if found is MISSING:
                found = import_user_module(f"{value.__name__}.{attribute}", None) or MISSING
            if found is MISSING:
                found = getattr(value, attribute, MISSING)
            if found is MISSING:
                scope.add(label, Leaf(f"undefined {attribute}"))
                return
            value = found
        scope.add(label, value, name, owner)

    def _installed(self, obj: Any) -> Leaf:
        package = package_name(getattr(obj, "__module__", None))
        return Leaf(f"{package}{self._version(package)}:{getattr(obj, '__qualname__', type(obj).__name__)}")

    # ------------------------------------------------------------------ classes

    def _class(self, cls: type) -> Description:
        name = f"{cls.__module__}.{cls.__qualname__}"
        if not is_user_object(cls):
            return Description(Kind.CLASS, name, b"installed:" + self._installed(cls).text.encode())
        scope = _Scope(self, name)
        for index, base in enumerate(cls.__bases__):
            scope.add(f"base {index}", base)
        if type(cls) is not type:
            scope.add("metaclass", type(cls))
        for key, value in members(cls):
            scope.add(f"member {key}", value, key)
        names = watched_names(cls)
        scope.watching.append(Watch.of(vars(cls), names))
        bases = cls.__bases__
        return Description(
            Kind.CLASS,
            name,
            b"class",
            scope.finished(),
            scope.watches(),
            lambda: cls.__bases__ is bases and watched_names(cls) == names,
            notes=frozenset(scope.notes),
        )

    # ------------------------------------------------------------------ modules and values

    def _module(self, module: ModuleType) -> Description:
        name = module.__name__
        if not is_user_module(module):
            text = f"module {name}{self._version(package_name(name))}"
            return Description(Kind.MODULE, name, text.encode())
        scope = _Scope(self, name)
        names = vars(module).keys() - _IGNORED_IN_MODULE
        for key in names:
            scope.add(f"member {key}", scope.watch(vars(module), key), key)
        return Description(
            Kind.MODULE,
            name,
            b"module",
            scope.finished(),
            scope.watches(),
            lambda: vars(module).keys() - _IGNORED_IN_MODULE == names,
            notes=frozenset(scope.notes),
        )

    def _value(self, value: Any) -> Description:
        encoding = encode(value, self._distinctly)
        edges = tuple(Edge(f"{i:06}", "", "", target) for i, target in enumerate(encoding.edges))
        name = type(value).__qualname__
        if isinstance(value, types.BuiltinFunctionType):
            bound = value.__self__
            edges = () if isinstance(bound, ModuleType) or bound is None else (Edge("self", "", "", bound),)
            return Description(Kind.VALUE, name, b"installed:" + self._installed(value).text.encode(), edges)
        notes = frozenset(Note("opaque", text) for text in encoding.opaque)
        return Description(
            Kind.VALUE,
            name,
            encoding.data,
            edges,
            (),
            None if _immutable(value) else lambda: encode(value, self._distinctly) == encoding,
            notes=notes,
            text=shorten(value),
        )


def shorten(value: Any) -> str:
    """A short text for people; never identifies anything."""
    if isinstance(value, str | bytes):
        value = value[: _SHORT + 1]
    shape = getattr(value, "shape", None)
    if shape is not None and hasattr(value, "dtype"):
        return f"<{type(value).__name__} {value.dtype} {shape}>"
    if isinstance(value, list | dict | set | tuple | frozenset) and len(value) > _SHORT:
        return f"<{type(value).__name__} of {len(value)}>"
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's __repr__ may raise anything
        text = object.__repr__(value)
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


class _Scope:
    """Collects the edges, watches and notes of one description."""

    def __init__(self, describer: Describer, owner: str) -> None:
        self.owner = owner
        self.notes: set[Note] = set()
        self.watching: list[Watch] = []
        self._describer = describer
        self._edges: dict[str, Edge] = {}
        self._watched: dict[int, tuple[Mapping[str, Any], set[str]]] = {}

    def watch(self, namespace: Mapping[str, Any], name: str) -> Any:
        self._watched.setdefault(id(namespace), (namespace, set()))[1].add(name)
        return namespace.get(name, MISSING)

    def add(self, label: str, target: Any, name: str = "", owner: str = "") -> None:
        owner = owner or self.owner
        if (owner, name) in self._describer._state:
            self.note("state", f"{owner}: {name!r} changes while reactors run")
            return
        if type(target) in _SCALARS:
            target = Leaf("value " + encode(target).data.hex(), shorten(target))
        self._edges[label] = Edge(label, owner, name, target)

    def note(self, kind: str, text: str) -> None:
        self.notes.add(Note(kind, text))

    def finished(self) -> tuple[Edge, ...]:
        return tuple(self._edges[label] for label in sorted(self._edges)) if self._edges else ()

    def watches(self) -> tuple[Watch, ...]:
        groups = (Watch.of(namespace, tuple(sorted(names))) for namespace, names in self._watched.values())
        return (*self.watching, *groups)


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return MISSING


def _immutable(value: Any) -> bool:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, tuple | frozenset):
            stack.extend(item)
        elif type(item) not in _SCALARS and not isinstance(item, enum.Enum):
            return False
    return True


def _package_of(value: Any) -> str:
    module = getattr(value, "__module__", None) or type(value).__module__
    return package_name(module)
