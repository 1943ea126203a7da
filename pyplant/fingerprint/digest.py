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
  to the value (see :mod:`pyplant.fingerprint.fingerprint`, which resolves them).
- What cannot be taken apart (a lock, a connection, a generator) counts by its class and is
  listed in :attr:`Encoding.opaque`. Nothing that a class does when it is looked at is an
  error: what fails counts by its class too.
- Objects may make up their attributes, so types are asked and never instances
  (:mod:`pyplant.fingerprint.attributes`). What an object says of itself may grow without end:
  below each object that is no container and no dataclass, :data:`MAX_OBJECTS` such objects
  count, to a depth of :data:`MAX_DEPTH`, and the others by their class. The distance from that
  object decides which, so that the order of sets does not matter.

Libraries teach the encoder their types with :func:`encodes`, by name, without being
imported. Dispatch by type follows the idea of dask's ``normalize_token``; refusing what
cannot be told apart, that of its ``ensure-deterministic`` option.
"""

from __future__ import annotations

import copyreg
import functools
import types
import weakref
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from enum import Enum
from operator import is_
from typing import Any, NamedTuple

from pyplant._missing import MISSING
from pyplant.fingerprint.attribute_digests import AttributePlaces, attribute_digests, class_name
from pyplant.fingerprint.attributes import (
    class_entry,
    has_dynamic_attributes,
    is_fully_readable,
    module_of,
    mro,
    namespace,
    object_state,
    pickling_methods,
    qualname_of,
    static_attribute,
)
from pyplant.fingerprint.canonical import Code, ValueNode, canonical
from pyplant.fingerprint.hashing import DIGEST_BYTES, digest_bytes
from pyplant.fingerprint.installed_names import holds_itself, installed_name
from pyplant.fingerprint.mocks import is_mock_class, mock_content
from pyplant.fingerprint.scalars import SCALARS

__all__ = [
    "DIGEST_BYTES",
    "MAX_DEPTH",
    "MAX_OBJECTS",
    "Encoder",
    "Encoding",
    "digest_bytes",
    "encode",
    "encodes",
]


MAX_OBJECTS = 50_000
"""So many objects are looked at below one that is no container and no dataclass."""
MAX_DEPTH = 10_000
"""So many such objects are looked at one within the other."""
ORDERING_OBJECTS = 100
"""So many objects tell functions of a set apart: their digests decide later, this only their order."""


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
    attribute_digests
        Digests of the attributes of its objects (:mod:`pyplant.fingerprint.attribute_digests`), if asked for.
    """

    data: bytes
    edges: tuple[Any, ...] = ()
    opaque: tuple[str, ...] = ()
    attribute_digests: Mapping[str, str] | None = None

    def is_same(self, other: Encoding) -> bool:
        """Whether two encodings are equal; the code in them is not asked, it may answer anything."""
        return (
            self.data == other.data
            and self.opaque == other.opaque
            and len(self.edges) == len(other.edges)
            and all(map(is_, self.edges, other.edges))
        )


_Handler = Callable[[Any, "Encoder"], None]
_by_name: dict[str, _Handler] = {}
_by_type: dict[type, _Handler | None] = {}


def encodes(*type_names: str) -> Callable[[_Handler], _Handler]:
    """Register an encoder for the types called so (``"module.qualname"``).

    ``"package.*.qualname"`` is that name in any module of a package: libraries move classes
    between their private modules. ``"module.qualname+"`` are its subclasses, whose own names
    come first.

    The encoder is called as ``handler(value, encoder)`` and describes the value through
    :meth:`Encoder.tag`, :meth:`Encoder.data` and :meth:`Encoder.item`.
    """

    def register(handler: _Handler) -> _Handler:
        for name in type_names:
            _by_name[name] = handler
        _by_type.clear()
        return handler

    return register


def encode(
    value: Any,
    name: Callable[[Any], str] | None = None,
    excluded: frozenset[str] = frozenset(),
    *,
    with_attributes: bool = False,
    roughly: bool = False,
) -> Encoding:
    """Encode ``value``; never raises for what cannot be encoded, see :attr:`Encoding.opaque`.

    Parameters
    ----------
    value
        Anything.
    name
        Tells functions and classes apart, which gives those in a set an order; as good as
        their digests, or as near as can be known.
    excluded
        Attributes that do not count, by class and name.
    with_attributes
        Tell the attribute_digests too.
    roughly
        Look at the levels nearest to the value only, until they are :data:`ORDERING_OBJECTS` objects.
    """
    encoder = Encoder(excluded)
    encoder.item(value)
    encoding = encoder.result(name, ORDERING_OBJECTS if roughly else None)
    return encoding._replace(attribute_digests=encoder.attribute_digests()) if with_attributes else encoding


class Encoder:
    """Collects the canonical form of one value.

    A value is a graph: containers and objects are nodes (:class:`~pyplant.fingerprint.canonical.ValueNode`)
    that hold their own bytes and refer to others. Nothing recurses, so depth does not
    matter; a part that is shared is looked at once, and cycles come to an end.
    """

    __slots__ = ("_below", "_current", "_excluded", "_index", "_nodes", "_opaque", "_pending", "_places")

    def __init__(self, excluded: frozenset[str] = frozenset()) -> None:
        self._excluded = excluded
        self._places: AttributePlaces = {}
        self._current = ValueNode(None)
        self._nodes = [self._current]
        self._index: dict[int, int] = {}
        self._pending: list[ValueNode] = []
        self._opaque: list[str] = []
        self._below: dict[int, int] = {}

    def result(self, name: Callable[[Any], str] | None = None, most: int | None = None) -> Encoding:
        """What was collected; see :func:`encode`. No level is begun beyond ``most`` objects."""
        while level := self._pending:  # level by level: what is cut does not depend on an order
            if most is not None and len(self._nodes) > most:
                break
            self._pending = []
            cut = self._cut(level)
            for node in level:
                self._current = node
                if node.above in cut and _is_counted(type(node.obj)):
                    self.opaque_item(node.obj, "beyond the objects and the depth that are looked at")
                else:
                    self._take_apart(node)
        data, edges = canonical(self._nodes, digest_bytes, name or _plain_name)
        return Encoding(data, edges, tuple(sorted(self._opaque)))

    def attribute_digests(self) -> dict[str, str]:
        """The attribute_digests of what was collected."""
        return attribute_digests(self._nodes, self._places, digest_bytes, _plain_name)

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
        scalar = SCALARS.get(type(value))
        if scalar is not None:
            tag, to_bytes = scalar
            data = to_bytes(value)
            self._current.parts.append(b"%s%d:%s" % (tag, len(data), data))
        elif issubclass(type(value), _CODE):
            self.code(value)
        else:
            self._current.parts.append(self._node(value))

    def opaque_item(self, value: Any, why: str = "") -> None:
        """Add a value that cannot be taken apart: by its class."""
        cls = type(value)
        self._opaque.append(f"{module_of(cls)}.{qualname_of(cls)}" + (f" ({why})" if why else ""))
        self._current.parts.append(b"?")
        self.code(cls)

    # ---------------------------------------------------------------- containers

    def _node(self, value: Any) -> int:
        """The number of the node of a value, which is looked at later."""
        index = self._index.get(id(value))
        if index is None:
            index = self._index[id(value)] = len(self._nodes)
            node = ValueNode(value)  # holding the value keeps its id from being used again
            current = self._current
            node.above, node.depth = current.above, current.depth
            if _is_counted(type(current.obj)):
                node.above, node.depth = current.above or id(current), current.depth + 1
            self._nodes.append(node)
            self._pending.append(node)
        else:
            self._nodes[index].shared = True
        return index

    def _cut(self, level: list[ValueNode]) -> set[int]:
        """The objects below which too much was found to look at what this level adds."""
        below, cut = self._below, set()
        for node in level:
            if node.above and _is_counted(type(node.obj)):
                below[node.above] = below.get(node.above, 0) + 1
                if below[node.above] > MAX_OBJECTS or node.depth > MAX_DEPTH:
                    cut.add(node.above)
        return cut

    def _take_apart(self, node: ValueNode) -> None:
        try:
            self._dispatch(node.obj, type(node.obj))
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - a class may do anything when it is looked at
            node.parts.clear()
            self._places.pop(self._index[id(node.obj)], None)
            node.unordered = False
            self.opaque_item(node.obj)

    def _dispatch(self, value: Any, cls: type) -> None:
        if cls is list or cls is tuple:
            self._sequence(b"l" if cls is list else b"t", value)
        elif cls is dict:
            self._sequence(b"d", [part for pair in value.items() for part in pair])
        elif cls is set or cls is frozenset:
            self._current.unordered = True
            self._sequence(b"s" if cls is set else b"f", value)
        elif cls is bytearray:
            self._current.parts.append(b"A%d:%s" % (len(value), value))
        elif issubclass(cls, Enum):
            self.tag("enum")
            self.code(cls)
            self.item(value.name)
            self.item(value.value)
        elif cls is types.MethodType:
            if not self._installed(value):
                self._sequence(b"m", [value.__func__, value.__self__])
        elif cls is functools.partial:
            self._sequence(b"o", [value.func, value.args, value.keywords])
            self.attributes({key: own for key, own in vars(value).items() if key not in _OF_WRAPPERS})
        elif cls is types.MappingProxyType:
            self._sequence(b"p", [part for pair in value.items() for part in pair])
        elif issubclass(cls, _CACHES):
            self.tag("cache")
        else:
            handler = _handler_for(cls)
            if handler is not None:
                with suppress(Exception):  # it may not know a version of its library
                    handler(value, self)
                    return
                self._current.parts.clear()
            self.reduced(value)

    def _sequence(self, tag: bytes, items: Collection[Any]) -> None:
        self._current.parts.append(b"%s%d:" % (tag, len(items)))
        for item in items:
            self.item(item)

    # ---------------------------------------------------------------- everything else

    def reduced(self, value: Any) -> None:
        """Take an object apart as pickling would."""
        cls = type(value)
        made_up = has_dynamic_attributes(cls)
        if (made_up or callable(value)) and self._installed(value):
            return
        if callable(value) and self._wrapper(value, cls):
            return
        try:
            reduced: Any = self._state_without_getattr(value, cls) if made_up else None
            if reduced is None:
                # Of exceptions, tblib (which distributed imports) would pickle the traceback as well.
                reducer = None if issubclass(cls, BaseException) else copyreg.dispatch_table.get(cls)
                reduced = reducer(value) if reducer is not None else cls.__reduce_ex__(value, 4)  # type: ignore[call-arg]
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - a class may refuse to be pickled in any way it likes
            self._proxy(value, cls)
            return
        if type(reduced) is str and not holds_itself(value, reduced):
            self.opaque_item(value)  # a name that says nothing
            return
        self.tag("object")
        self.code(cls)
        if type(reduced) is str:  # the name of a global: a singleton
            self.tag(reduced)
            return
        func, args, *rest = reduced
        state, items, pairs = (*rest[:3], None, None, None)[:3]
        self.item(func)
        self.item(args)
        self._state(state)
        self.item(None if items is None else list(items))
        self.item(None if pairs is None else [list(pair) for pair in pairs])

    def _installed(self, value: Any) -> bool:
        name = installed_name(value)
        if name:
            self.tag("installed")
            self.tag(name)
        return bool(name)

    def _state_without_getattr(self, value: Any, cls: type) -> tuple[Any, ...] | None:
        """What an object that makes up attributes holds; ``None`` if its class says how to pickle it.

        To be pickled it would be asked for attributes, and answer.
        """
        own = pickling_methods(cls)
        if cls in copyreg.dispatch_table or own - {"__getstate__"} or not is_fully_readable(cls):
            return None
        content, attributes = object_state(value)
        state = class_entry(cls, "__getstate__")(value) if own else attributes
        return copyreg.__newobj__, (cls, content), state  # type: ignore[attr-defined]

    def _proxy(self, value: Any, cls: type) -> None:
        """An object without is_fully_readable content: by what it stands for, if it tells, else by its class."""
        lazily = static_attribute(value, "__factory__")  # of a lazy proxy, which would be filled by a look
        content = static_attribute(value, "__wrapped__") if lazily is MISSING else lazily
        if content is MISSING:
            self.opaque_item(value)
            return
        self.tag("proxy")
        self.code(cls)
        self.item(content)

    def _wrapper(self, value: Any, cls: type) -> bool:
        """Callables that are no functions, by the function they wrap."""
        if issubclass(cls, functools.partial) or class_entry(cls, "__factory__") is not MISSING:
            return False
        for attribute in ("__wrapped__", "py_func"):  # functools and its like; numba
            wrapped = static_attribute(value, attribute)
            if type(wrapped) is types.FunctionType:
                self.tag("wrapper")
                self.code(cls)
                self.code(wrapped)
                if attribute == "__wrapped__":
                    own = namespace(value) or {}
                    wrapper = static_attribute(
                        value, "_self_wrapper"
                    )  # of wrapt's decorators: the code around it
                    kept = {} if wrapper is MISSING else {"_self_wrapper": wrapper}
                    self.attributes(kept | {key: own[key] for key in own if key not in _OF_WRAPPERS})
                return True
        return False

    def _state(self, state: Any) -> None:
        """The attributes of an object, sorted: their order is an accident."""
        if type(state) is tuple and len(state) == 2 and type(state[1]) is dict:  # noqa: PLR2004
            self.attributes(state[0])  # (__dict__, slots)
            if self._without_excluded(state[1]) is not None:
                self.attributes(state[1])
        else:
            self.attributes(state)

    def _without_excluded(self, state: Any) -> Any:
        """The attributes without those that are left out; ``None``, as for pickle, if there are none."""
        if not self._excluded or type(state) is not dict:
            return state
        cls = class_name(type(self._current.obj))
        return {key: state[key] for key in state if f"{cls}.{key}" not in self._excluded} or None

    def attributes(self, state: Any, *, ordered: bool = False) -> None:
        """Add the attributes of an object; their order is an accident unless it is used like a dictionary."""
        if ordered and sorted(state) != list(state):
            state = {**state, "(order)": tuple(state)}  # an attribute more: it can be left out like any other
        state = self._without_excluded(state)
        if state is not None and not (type(state) is dict and all(type(key) is str for key in state)):
            self.item(state)
            return
        names = sorted(state or ())
        places = self._places.setdefault(self._index[id(self._current.obj)], [])
        places.append((len(self._current.parts) + 1, names))
        if state is None:
            self.item(None)
        else:
            self._sequence(b"a", [part for key in names for part in (key, state[key])])


def _plain_name(obj: Any) -> str:
    return str(getattr(obj, "__qualname__", None) or getattr(obj, "__name__", type(obj).__name__))


def _handler_for(cls: type) -> _Handler | None:
    try:
        return _by_type[cls]
    except KeyError:
        if is_mock_class(cls):
            return _encode_mock  # each mock has a class of its own, which is not to be kept for that
        names = [*_names(cls), *(f"{name}+" for base in mro(cls)[1:] for name in _names(base))]
        handler = _by_type[cls] = next((_by_name[name] for name in names if name in _by_name), None)
        return handler


def _names(cls: type) -> tuple[str, str]:
    module, name = module_of(cls), qualname_of(cls)
    return f"{module}.{name}", f"{module.partition('.')[0]}.*.{name}"


def _encode_mock(mock: Any, encoder: Encoder) -> None:
    encoder.tag("mock")
    encoder.item(mock_content(mock))


def _is_counted(cls: type) -> bool:
    """Whether an object of the class is opaque: no container, array, frame or dataclass."""
    return not (
        cls in _BUILTINS
        or issubclass(cls, _EXTENSIBLE)
        or _handler_for(cls) is not None
        or class_entry(cls, "__dataclass_fields__") is not MISSING
    )


_CACHES = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)
_OF_WRAPPERS = frozenset({*functools.WRAPPER_ASSIGNMENTS, "__wrapped__", "__dict__", "__type_params__"})
_BUILTINS = frozenset([list, dict, tuple, set, frozenset, bytearray, type(None), types.MappingProxyType])
_EXTENSIBLE = (list, dict, tuple, set, frozenset, str, bytes, int, float, complex, Enum)
_CODE = (types.FunctionType, type, types.ModuleType, types.BuiltinFunctionType)
