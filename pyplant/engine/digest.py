"""Canonical encoding of values: equal values give equal bytes, different ones do not.

The rules
---------
- Every item carries a tag for its type and the length of what follows, so that ``1``,
  ``1.0``, ``True`` and ``"1"`` differ and nothing collides by concatenation. No ``repr``,
  no ``str``, no addresses.
- Sets are encoded in the order of their items' encodings. Mappings keep their order: a
  program can see it. Attributes of objects are sorted by name, since it cannot.
- Whatever else is taken apart by ``copyreg`` and ``__reduce_ex__``, recursively; the
  classes and functions found on the way count by their *code*. They are not encoded here
  but handed out as :attr:`Encoding.edges`, in the order met, because code may refer back
  to the value (see :mod:`pyplant.engine.fingerprint`, which resolves them).
- What cannot be taken apart (a lock, a connection, a generator) counts by its class and is
  listed in :attr:`Encoding.opaque`.

Libraries teach the encoder their types with :func:`encodes`, by name, without being
imported. Dispatch by type follows the idea of dask's ``normalize_token``; refusing what
cannot be told apart, that of its ``ensure-deterministic`` option.
"""

from __future__ import annotations

import copyreg
import functools
import struct
import sys
import types
import weakref
from collections.abc import Callable, Collection
from enum import Enum
from typing import Any, NamedTuple

from pyplant.engine.canonical import Code, Node, canonical
from pyplant.engine.hashing import DIGEST_BYTES, digest_bytes
from pyplant.engine.origin import is_user_module, package_name

__all__ = ["DIGEST_BYTES", "Encoder", "Encoding", "digest_bytes", "encode", "encodes"]


class Encoding(NamedTuple):
    """A value in canonical form.

    Attributes
    ----------
    data
        Its bytes, with a marker wherever a function, class or module stands.
    edges
        Those functions, classes and modules, in the order of their markers.
    opaque
        Names of the classes of parts that could not be taken apart.
    """

    data: bytes
    edges: tuple[Any, ...] = ()
    opaque: tuple[str, ...] = ()


_Handler = Callable[[Any, "Encoder"], None]
_by_name: dict[str, _Handler] = {}
_by_type: dict[type, _Handler | None] = {}


def encodes(*type_names: str) -> Callable[[_Handler], _Handler]:
    """Register an encoder for the types called so (``"module.qualname"``).

    ``"package.*.qualname"`` is that name in any module of a package: libraries move classes
    between their private modules.

    The encoder is called as ``handler(value, encoder)`` and describes the value through
    :meth:`Encoder.tag`, :meth:`Encoder.data` and :meth:`Encoder.item`.
    """

    def register(handler: _Handler) -> _Handler:
        for name in type_names:
            _by_name[name] = handler
        _by_type.clear()
        return handler

    return register


def encode(value: Any, name: Callable[[Any], str] | None = None) -> Encoding:
    """Encode ``value``; never raises for what cannot be encoded, see :attr:`Encoding.opaque`.

    Parameters
    ----------
    value
        Anything.
    name
        Tells functions and classes apart, which gives those in a set an order; as good as
        their digests, or as near as can be known.
    """
    encoder = Encoder()
    encoder.item(value)
    return encoder.result(name)


class Encoder:
    """Collects the canonical form of one value.

    A value is a graph: containers and objects are nodes (:class:`~pyplant.engine.canonical.Node`)
    that hold their own bytes and refer to others. Nothing recurses, so depth does not
    matter; a part that is shared is looked at once, and cycles come to an end.
    """

    __slots__ = ("_current", "_index", "_nodes", "_opaque", "_pending")

    def __init__(self) -> None:
        self._current = Node(None)
        self._nodes = [self._current]
        self._index: dict[int, int] = {}
        self._pending: list[Node] = []
        self._opaque: list[str] = []

    def result(self, name: Callable[[Any], str] | None = None) -> Encoding:
        """What was collected; see :func:`encode`."""
        while self._pending:
            self._current = node = self._pending.pop()
            self._dispatch(node.obj, type(node.obj))
        data, edges = canonical(self._nodes, digest_bytes, name or _plain_name)
        return Encoding(data, edges, tuple(sorted(self._opaque)))

    # ---------------------------------------------------------------- for handlers

    def tag(self, name: str) -> None:
        """Name what follows."""
        self.data(name.encode())

    def data(self, data: bytes) -> None:
        """Add bytes, with their length."""
        self._current.parts.append(b"%d:%s" % (len(data), data))

    def buffer(self, data: bytes | memoryview) -> None:
        """Add a big buffer by its digest, so that it is not copied."""
        self.data(digest_bytes(data).encode())

    def code(self, obj: Any) -> None:
        """Add a function, class or module, which counts by its code."""
        self._current.parts.append(Code(obj))

    def item(self, value: Any) -> None:
        """Add any value."""
        scalar = _SCALARS.get(type(value))
        if scalar is not None:
            tag, to_bytes = scalar
            data = to_bytes(value)
            self._current.parts.append(b"%s%d:%s" % (tag, len(data), data))
        elif isinstance(value, _CODE):
            self.code(value)
        else:
            self._current.parts.append(self._node(value))

    def opaque_item(self, value: Any, why: str = "") -> None:
        """Add a value that cannot be taken apart: by its class."""
        cls = type(value)
        self._opaque.append(f"{cls.__module__}.{cls.__qualname__}" + (f" ({why})" if why else ""))
        self._current.parts.append(b"?")
        self.code(cls)

    # ---------------------------------------------------------------- containers

    def _node(self, value: Any) -> int:
        """The number of the node of a value, which is looked at later."""
        index = self._index.get(id(value))
        if index is None:
            index = self._index[id(value)] = len(self._nodes)
            node = Node(value)  # holding the value keeps its id from being used again
            self._nodes.append(node)
            self._pending.append(node)
        return index

    def _dispatch(self, value: Any, cls: type) -> None:
        if cls is list or cls is tuple:
            self._sequence(b"l" if cls is list else b"t", value)
        elif cls is dict:
            self._sequence(b"d", [part for pair in value.items() for part in pair])
        elif cls is set or cls is frozenset:
            self._current.unordered = True
            self._sequence(b"s" if cls is set else b"f", value)
        elif isinstance(value, Enum):
            self.tag("enum")
            self.code(cls)
            self.item(value.name)
            self.item(value.value)
        elif cls is types.MethodType:
            self._sequence(b"m", [value.__func__, value.__self__])
        elif cls is functools.partial:
            self._sequence(b"o", [value.func, value.args, value.keywords])
            self._attributes({key: own for key, own in vars(value).items() if key not in _OF_WRAPPERS})
        elif cls is types.MappingProxyType:
            self._sequence(b"p", [part for pair in value.items() for part in pair])
        elif issubclass(cls, _CACHES):
            self.tag("cache")
        else:
            handler = _handler_for(cls)
            if handler is None:
                self._reduced(value)
            else:
                handler(value, self)

    def _sequence(self, tag: bytes, items: Collection[Any]) -> None:
        self._current.parts.append(b"%s%d:" % (tag, len(items)))
        for item in items:
            self.item(item)

    # ---------------------------------------------------------------- everything else

    def _reduced(self, value: Any) -> None:
        cls = type(value)
        if callable(value) and self._wrapper(value, cls):
            return
        try:
            reducer = copyreg.dispatch_table.get(cls)
            reduced = reducer(value) if reducer is not None else value.__reduce_ex__(4)
        except Exception:  # noqa: BLE001 - a class may refuse to be pickled in any way it likes
            self.opaque_item(value)
            return
        if isinstance(reduced, str) and not _is_global(value, reduced):
            self.opaque_item(value)  # a name that says nothing
            return
        self.tag("object")
        self.code(cls)
        if isinstance(reduced, str):  # the name of a global: a singleton
            self.tag(reduced)
            return
        func, args, *rest = reduced
        state, items, pairs = (*rest[:3], None, None, None)[:3]
        self.item(func)
        self.item(args)
        self._state(state)
        self.item(None if items is None else list(items))
        self.item(None if pairs is None else [list(pair) for pair in pairs])

    def _wrapper(self, value: Any, cls: type) -> bool:
        """Callables that are no functions: installed ones by name, wrappers by what they wrap."""
        name = _installed_name(value)
        if name is not None:
            self.tag("installed")
            self.tag(name)
            return True
        if isinstance(value, functools.partial):
            return False
        for attribute in ("__wrapped__", "py_func"):  # functools and its like; numba
            try:
                wrapped = getattr(value, attribute, None)
            except Exception:  # noqa: BLE001 - a class may do anything in __getattr__
                return False
            if isinstance(wrapped, types.FunctionType):
                self.tag("wrapper")
                self.code(cls)
                self.code(wrapped)
                if attribute == "__wrapped__":
                    own = getattr(value, "__dict__", {})
                    self._attributes({key: own[key] for key in own if key not in _OF_WRAPPERS})
                return True
        return False

    def _state(self, state: Any) -> None:
        """The attributes of an object, sorted: their order is an accident."""
        if type(state) is tuple and len(state) == 2 and type(state[1]) is dict:  # noqa: PLR2004
            self._attributes(state[0])  # (__dict__, slots)
            self._attributes(state[1])
        else:
            self._attributes(state)

    def _attributes(self, state: Any) -> None:
        if type(state) is dict and all(type(key) is str for key in state):
            self._sequence(b"a", [part for key in sorted(state) for part in (key, state[key])])
        else:
            self.item(state)


def _plain_name(obj: Any) -> str:
    return str(getattr(obj, "__qualname__", None) or getattr(obj, "__name__", type(obj).__name__))


@encodes(
    *(
        f"{module}.{system}Path"
        for module in ("pathlib", "pathlib._local")
        for system in ("Posix", "Windows")
    ),
    *(
        f"{module}.Pure{system}Path"
        for module in ("pathlib", "pathlib._local")
        for system in ("Posix", "Windows")
    ),
)
def _encode_path(path: Any, encoder: Encoder) -> None:
    """A path by its text; its class lives in another module from Python 3.13 on."""
    encoder.tag(type(path).__qualname__)
    encoder.item(str(path))


def _is_global(value: Any, name: str) -> bool:
    """Whether some module has an object under the name that it gives itself."""
    names = {
        getattr(value, "__module__", None),
        type(value).__module__,
        type(value).__module__.partition(".")[0],
    }
    for module in filter(None, map(sys.modules.get, filter(None, names))):
        found: Any = module
        for step in name.split("."):
            found = getattr(found, step, None)
        if found is value:
            return True
    return False


def _installed_name(value: Any) -> str | None:
    """The name of a callable that an installed module defines, such as a NumPy ufunc."""
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not (isinstance(module, str) and isinstance(name, str)):
        return None
    home = sys.modules.get(module)
    if home is None or getattr(home, name, None) is not value or is_user_module(home):
        return None
    return f"{package_name(module)}:{name}"


def _handler_for(cls: type) -> _Handler | None:
    try:
        return _by_type[cls]
    except KeyError:
        name = f"{cls.__module__}.{cls.__qualname__}"
        anywhere = f"{cls.__module__.partition('.')[0]}.*.{cls.__qualname__}"
        handler = _by_type[cls] = _by_name.get(name) or _by_name.get(anywhere)
        return handler


def _int_bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)


_CACHES = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)
_OF_WRAPPERS = frozenset({*functools.WRAPPER_ASSIGNMENTS, "__wrapped__", "__dict__", "__type_params__"})
_CODE = (types.FunctionType, type, types.ModuleType, types.BuiltinFunctionType)

_SCALARS: dict[type, tuple[bytes, Callable[[Any], bytes]]] = {
    type(None): (b"N", lambda _: b""),
    type(...): (b"E", lambda _: b""),
    type(NotImplemented): (b"X", lambda _: b""),
    bool: (b"B", lambda v: b"1" if v else b"0"),
    int: (b"I", _int_bytes),
    float: (b"F", struct.Struct("<d").pack),
    complex: (b"C", lambda v: struct.pack("<dd", v.real, v.imag)),
    str: (b"S", lambda v: v.encode("utf-8", "surrogatepass")),
    bytes: (b"Y", lambda v: v),
    bytearray: (b"A", bytes),
}
