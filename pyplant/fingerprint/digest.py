"""Canonical encoding of values: equal values give equal bytes, different values do not.

The rules
---------
- Every item has a tag for its type and the length of what follows. So ``1``, ``1.0``, ``True`` and
  ``"1"`` differ, and no two different sequences have the same concatenation. ``repr``, ``str`` and addresses
  are not used.
- Sets are encoded in the order of their items' digests. Mappings keep their order, since code can
  depend on it. Attributes of objects are sorted by name, since their order is rarely visible.
- All other objects are decomposed by ``copyreg`` and ``__reduce_ex__``. Classes and functions in a
  value count by their *code*. They are not encoded here but returned as :attr:`Encoding.edges`, in
  the order in which they are met, since code may refer back to the value
  (:mod:`pyplant.fingerprint.fingerprint` resolves them).
- An object that cannot be decomposed (a lock, a connection, a generator) counts by its class and is
  listed in :attr:`Encoding.opaque`, and so does an object that raises while it is read. The encoder
  itself raises nothing.
- Objects may compute attributes on access, so only their types are asked
  (:mod:`pyplant.fingerprint.attributes`).
- An object may decompose into new objects without end. So below each object that is no container and
  no dataclass, at most :data:`MAX_OBJECTS` such objects count, to a depth of :data:`MAX_DEPTH`, and
  the others count by their class. Objects are visited level by level, so that the limit cuts at a
  distance from that object, whatever the order of sets.

Libraries register encoders for their types with :func:`encodes`, by name, so that they need not be
imported. Dispatch by type follows the idea of dask's ``normalize_token``; to refuse values without
comparable content is the idea of its ``ensure-deterministic`` option.
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
    object_state,
    pickling_methods,
    qualname_of,
    static_attribute,
)
from pyplant.fingerprint.canonical import Code, ValueNode, canonical
from pyplant.fingerprint.hashing import DIGEST_BYTES, digest_bytes
from pyplant.fingerprint.installed_names import holds_itself, installed_name
from pyplant.fingerprint.mocks import is_mock_class, mock_content
from pyplant.fingerprint.reductions import OF_WRAPPERS, hides_content, limited_items, without_caches, wrapped
from pyplant.fingerprint.scalars import SCALARS, tag_bytes

__all__ = [
    "CODE_TYPES",
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
"""The number of objects that count below one that is no container and no dataclass."""
MAX_DEPTH = 10_000
"""The depth to which such objects count."""


class Encoding(NamedTuple):
    """A value in canonical form.

    Attributes
    ----------
    data
        Its bytes, with a number in place of each function, class and module.
    edges
        These functions, classes and modules, in the order of their numbers.
    opaque
        Names of the classes of parts that could not be decomposed.
    attribute_digests
        Digests of the attributes of its objects (:mod:`pyplant.fingerprint.attribute_digests`), if asked for.
    """

    data: bytes
    edges: tuple[Any, ...] = ()
    opaque: tuple[str, ...] = ()
    attribute_digests: Mapping[str, str] | None = None

    def is_same(self, other: Encoding) -> bool:
        """Return whether two encodings are equal. Code is compared by identity, since ``==`` may run user code."""
        return (
            self.data == other.data
            and self.opaque == other.opaque
            and len(self.edges) == len(other.edges)
            and all(map(is_, self.edges, other.edges))
        )


_Handler = Callable[[Any, "Encoder"], None]
# Encoders by the names they were registered for, and a cache of the choice for each type.
_by_name: dict[str, _Handler] = {}
_by_type: dict[type, _Handler | None] = {}


def encodes(*type_names: str) -> Callable[[_Handler], _Handler]:
    """Register an encoder for types by their names (``"module.qualname"``).

    ``"package.*.qualname"`` matches any module of a package, since libraries move classes between
    their private modules. ``"module.qualname+"`` matches the subclasses of a type, unless they have
    an encoder of their own.

    The encoder is called as ``handler(value, encoder)`` and describes the value by
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
    max_objects: int | None = None,
    as_held: bool = False,
) -> Encoding:
    """Encode ``value``; never raises for what cannot be encoded, see :attr:`Encoding.opaque`.

    Parameters
    ----------
    value
        Any object.
    name
        Returns a text that distinguishes functions and classes, by which those in a set are ordered:
        their digests, or the best key that is known.
    excluded
        Attributes to leave out, as ``"module.Class.attribute"``.
    with_attributes
        Also compute :attr:`Encoding.attribute_digests`.
    max_objects
        Begin no further level of the value after this number of objects.
    as_held
        Take objects of the user's classes apart by what they hold, even if they choose to pickle less.
    """
    encoder = Encoder(excluded, as_held=as_held)
    encoder.item(value)
    encoding = encoder.result(name, max_objects)
    return encoding._replace(attribute_digests=encoder.attribute_digests()) if with_attributes else encoding


class Encoder:
    """Collects the nodes of one value.

    A value is a graph: containers and objects are nodes (:class:`~pyplant.fingerprint.canonical.ValueNode`)
    that hold their own bytes and refer to others. :meth:`item` does not recurse but queues the new node, so
    values of any depth can be encoded, a shared part is visited once, and cycles end.
    """

    __slots__ = (
        "_below",
        "_current",
        "_excluded",
        "_index",
        "_nodes",
        "_opaque",
        "_pending",
        "_places",
        "as_held",
    )

    def __init__(self, excluded: frozenset[str] = frozenset(), *, as_held: bool = False) -> None:
        self._excluded = excluded
        self.as_held = as_held
        self._places: AttributePlaces = {}
        # The root node holds the one item that is encoded; it is no object itself.
        self._current = ValueNode(None)
        self._nodes = [self._current]
        self._index: dict[int, int] = {}
        self._pending: list[ValueNode] = []
        self._opaque: list[str] = []
        self._below: dict[int, int] = {}

    def result(self, name: Callable[[Any], str] | None = None, max_objects: int | None = None) -> Encoding:
        """Visit all queued nodes and return the encoding; see :func:`encode`."""
        while level := self._pending:  # level by level: what is cut off does not depend on the order of sets
            if max_objects is not None and len(self._nodes) > max_objects:
                break
            self._pending = []
            cut = self._cut(level)
            for node in level:
                self._current = node
                if node.above in cut and _is_counted(type(node.obj)):
                    self.opaque_item(node.obj, "beyond the limit of objects or depth")
                else:
                    self._take_apart(node)
        data, edges = canonical(self._nodes, digest_bytes, name or _plain_name)
        return Encoding(data, edges, tuple(sorted(self._opaque)))

    def attribute_digests(self) -> dict[str, str]:
        """Return the digests of the attributes of what was collected."""
        return attribute_digests(self._nodes, self._places, digest_bytes, _plain_name)

    # ---------------------------------------------------------------- for handlers

    def tag(self, name: str) -> None:
        """Add a name that says what follows."""
        self._current.parts.append(tag_bytes(name))

    def data(self, data: bytes) -> None:
        """Add bytes, with their length."""
        self._current.parts.append(b"%d:%s" % (len(data), data))

    def buffer(self, data: bytes | memoryview) -> None:
        """Add a large buffer by its digest, which saves a copy."""
        self.data(digest_bytes(data).encode())

    def code(self, obj: Any) -> None:
        """Add a function, class or module, which counts by its code."""
        self._current.parts.append(Code(obj))

    def item(self, value: Any) -> None:
        """Add any value."""
        # Scalars go into the bytes of the current node, so that a scalar alone, as most parameters are,
        # needs no graph.
        scalar = SCALARS.get(type(value))
        if scalar is not None:
            tag, to_bytes = scalar
            data = to_bytes(value)
            self._current.parts.append(b"%s%d:%s" % (tag, len(data), data))
        elif issubclass(type(value), CODE_TYPES):
            self.code(value)
        else:
            self._current.parts.append(self._node(value))

    def opaque_item(self, value: Any, why: str = "") -> None:
        """Add a value that cannot be decomposed, by its class."""
        cls = type(value)
        self._opaque.append(f"{module_of(cls)}.{qualname_of(cls)}" + (f" ({why})" if why else ""))
        self._current.parts.append(b"?")
        self.code(cls)

    # ---------------------------------------------------------------- containers

    def _node(self, value: Any) -> int:
        """Return the number of the node of a value; a new node is queued."""
        index = self._index.get(id(value))
        if index is None:
            index = self._index[id(value)] = len(self._nodes)
            node = ValueNode(value)  # the reference keeps the id from being reused
            current = self._current
            node.above, node.depth = current.above, current.depth
            # Limits count from the outermost opaque object: containers pass on what they are in.
            if _is_counted(type(current.obj)):
                node.above, node.depth = current.above or id(current), current.depth + 1
            self._nodes.append(node)
            self._pending.append(node)
        else:
            self._nodes[index].shared = True
        return index

    def _cut(self, level: list[ValueNode]) -> set[int]:
        """Return the objects below which this level would exceed the limits."""
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
            # What was added before the error depends on where it was raised, so all of it goes.
            node.parts.clear()
            self._places.pop(self._index[id(node.obj)], None)
            node.unordered = False
            self.opaque_item(node.obj)

    def _dispatch(self, value: Any, cls: type) -> None:
        if cls is list or cls is tuple:
            self._sequence(b"l" if cls is list else b"t", value)
        elif cls is dict:  # keys and values in turn, in the order that code sees
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
            self.attributes({key: own for key, own in vars(value).items() if key not in OF_WRAPPERS})
        elif cls is types.MappingProxyType:
            self._sequence(b"p", [part for pair in value.items() for part in pair])
        elif issubclass(cls, _CACHES):
            self._weak_container(value, cls)
        else:
            handler = _handler_for(cls)
            if handler is not None:
                with suppress(Exception):  # the library may be too new for its encoder
                    handler(value, self)
                    return
                self._current.parts.clear()
            self.reduced(value)

    def _weak_container(self, value: Any, cls: type) -> None:
        """Add a weak container: by its content if code names it, which keeps the items elsewhere.

        Within an object it is a cache, whose content depends on what the garbage collector left.
        """
        self.tag("cache")
        if self.as_held and not self._current.above:
            self.item(set(value) if cls is weakref.WeakSet else dict(value))

    def _sequence(self, tag: bytes, items: Collection[Any]) -> None:
        self._current.parts.append(b"%s%d:" % (tag, len(items)))
        for item in items:
            self.item(item)

    # ---------------------------------------------------------------- everything else

    def reduced(self, value: Any) -> None:
        """Decompose an object as pickling would."""
        cls = type(value)
        made_up = has_dynamic_attributes(cls)
        # What a library holds under a name counts by the name: ufuncs, random generators, objects that invent attributes.
        if not issubclass(cls, _EXTENSIBLE) and self._installed(value):
            return
        if callable(value) and self._wrapper(value, cls):
            return
        try:
            reduced: Any = self._state_without_getattr(value, cls) if made_up else None
            if reduced is None and self.as_held and hides_content(cls):
                content, attributes = object_state(value)
                reduced = copyreg.__newobj__, (cls, content), attributes  # type: ignore[attr-defined]
            if reduced is None:
                # For exceptions tblib, which distributed imports, registers a reducer that adds the traceback.
                reducer = None if issubclass(cls, BaseException) else copyreg.dispatch_table.get(cls)
                reduced = reducer(value) if reducer is not None else cls.__reduce_ex__(value, 4)  # type: ignore[call-arg]
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - a class may refuse to be pickled in any way it likes
            self._proxy(value, cls)
            return
        if type(reduced) is str and not holds_itself(value, reduced):
            self.opaque_item(value)  # the reduction is a name under which the object cannot be found
            return
        if type(reduced) is str and is_fully_readable(
            cls
        ):  # the user's object, since none of a library comes here
            reduced = copyreg.__newobj__, (cls, object_state(value)[0]), object_state(value)[1]  # type: ignore[attr-defined]
        self.tag("object")
        self.code(cls)
        if type(reduced) is str:  # the name of a global: a singleton
            self.tag(reduced)
            return
        func, args, *rest = reduced  # (callable, arguments, state, list items, dict items), as in pickle
        state, items, pairs = (*rest[:3], None, None, None)[:3]
        self.item(func)
        self.item(args)
        self._state(state)
        self.item(None if items is None else limited_items(items, value, list))
        self.item(None if pairs is None else list(map(list, limited_items(pairs, value, dict))))

    def _installed(self, value: Any) -> bool:
        """Add an object of an installed module by its name; return whether it is one."""
        name = installed_name(value)
        if name:
            self.tag("installed")
            self.tag(name)
        return bool(name)

    def _state_without_getattr(self, value: Any, cls: type) -> tuple[Any, ...] | None:
        """Return the reduction of an object that computes attributes; ``None`` if its class defines how to pickle it.

        ``__reduce_ex__`` would look up attributes such as ``__getstate__`` on the object, which it invents.
        """
        # With pickling methods of its own a class says what counts, so it is reduced in the usual way.
        own = pickling_methods(cls)
        if cls in copyreg.dispatch_table or own - {"__getstate__"} or not is_fully_readable(cls):
            return None
        content, attributes = object_state(value)
        state = class_entry(cls, "__getstate__")(value) if own else attributes
        return copyreg.__newobj__, (cls, content), state  # type: ignore[attr-defined]

    def _proxy(self, value: Any, cls: type) -> None:
        """Add an object that cannot be reduced: by the object it wraps if it is a proxy, else by its class."""
        # A lazy proxy counts by its factory: to read its content would create the content.
        lazily = static_attribute(value, "__factory__")
        content = static_attribute(value, "__wrapped__") if lazily is MISSING else lazily
        if content is MISSING:
            self.opaque_item(value)
            return
        self.tag("proxy")
        self.code(cls)
        self.item(content)

    def _wrapper(self, value: Any, cls: type) -> bool:
        """Add a callable object by the function that it wraps; return whether it wraps one."""
        found = wrapped(value, cls)
        if found is None:
            return False
        function, attributes = found
        self.tag("wrapper")
        self.code(cls)
        self.code(function)
        if attributes is not None:
            self.attributes(attributes)
        return True

    def _state(self, state: Any) -> None:
        """Add the state of an object as pickle has it: attributes, or a pair of attributes and slots."""
        if type(state) is tuple and len(state) == 2 and type(state[1]) is dict:  # noqa: PLR2004
            self.attributes(state[0])
            if self._without_excluded(state[1]) is not None:
                self.attributes(state[1])
        else:
            self.attributes(state)

    def _without_excluded(self, state: Any) -> Any:
        """Return the attributes without excluded ones; ``None``, as in pickle, if there are none."""
        if type(state) is not dict:
            return state
        state = without_caches(state, type(self._current.obj), as_held=self.as_held)
        if not self._excluded:
            return state
        cls = class_name(type(self._current.obj))
        return {key: state[key] for key in state if f"{cls}.{key}" not in self._excluded} or None

    def attributes(self, state: Any, *, ordered: bool = False) -> None:
        """Add attributes, sorted by name; ``ordered`` for objects that are used like a dictionary."""
        if ordered and sorted(state) != list(state):
            # The order is one more attribute, so that it can be excluded like any other.
            state = {**state, "(order)": tuple(state)}
        state = self._without_excluded(state)
        if state is not None and not (type(state) is dict and all(type(key) is str for key in state)):
            self.item(state)
            return
        # The places are noted for attribute_digests(), which cuts the parts of a node by attribute.
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
            # Not cached: each mock has its own class, which the cache would keep alive.
            return _encode_mock
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
    """Return whether objects of a class count towards the limits: no container, array, frame or dataclass."""
    return not (
        cls in _BUILTINS
        or issubclass(cls, _EXTENSIBLE)
        or _handler_for(cls) is not None
        or class_entry(cls, "__dataclass_fields__") is not MISSING
    )


_CACHES = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)
_BUILTINS = frozenset([list, dict, tuple, set, frozenset, bytearray, type(None), types.MappingProxyType])
_EXTENSIBLE = (list, dict, tuple, set, frozenset, str, bytes, int, float, complex, Enum)
CODE_TYPES = (types.FunctionType, type, types.ModuleType, types.BuiltinFunctionType)
"""Types whose objects count by their code."""
