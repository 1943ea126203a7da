"""The data types of the graph of code and values; see :mod:`pyplant.fingerprint.code_graph`."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from operator import is_
from types import CellType, FunctionType
from typing import Any, NamedTuple

from pyplant._missing import MISSING
from pyplant.engine.trace import Note
from pyplant.fingerprint.attributes import class_entry, object_state, qualname_of, static_attribute
from pyplant.fingerprint.hashing import digest_bytes
from pyplant.fingerprint.hints import Hint
from pyplant.fingerprint.origin import is_user_object, is_users_function

__all__ = [
    "CodeReference",
    "GraphNode",
    "Leaf",
    "NodeKind",
    "Watch",
    "cell_content",
    "shorten",
    "unchanged_test",
    "values_held_by",
]

_SHORT = 200
_MAX_BITS = 4000  # Python refuses to write longer integers in decimal
_MOST_LINES = 50
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class NodeKind(enum.Enum):
    """What a node stands for."""

    FUNCTION = "function"
    CLASS = "class"
    MODULE = "module"
    VALUE = "value"


class Leaf(NamedTuple):
    """A target that counts by a text alone, such as an installed function or a scalar.

    Attributes
    ----------
    text
        The text that counts.
    display
        The text to show, if it differs.
    """

    text: str
    display: str = ""

    def shown(self) -> str:
        """Return the form of the leaf in a record: a digest and a readable text."""
        return f"={digest_bytes(self.text.encode())[:16]}:{self.display or self.text}"

    @staticmethod
    def is_value(shown: str) -> bool:
        """Return whether a leaf in a record is a value, and not a builtin, undefined or imported name."""
        # Only the text tells: a leaf in a record has lost its object.
        sign, _, text = shown.partition(":")
        return sign.startswith("=") and not text.startswith(("builtin ", "undefined ", "import "))


class CodeReference(NamedTuple):
    """An edge of the graph.

    Attributes
    ----------
    label
        Unique within its node.
    owner, name
        The scope of the reference and its name there, which together identify state.
    target
        A :class:`Leaf`, or the object itself.
    key
        What counts in place of the label, if the name in the label does not count.
    """

    label: str
    owner: str
    name: str
    target: Any
    key: str = ""

    @property
    def counted(self) -> str:
        """What counts of the edge besides its target."""
        return self.key or self.label


class Watch(NamedTuple):
    """Names in a namespace with the objects they stood for: a cheap test for changes.

    The references keep the objects alive, so that no new object gets the identity of an old one.
    """

    namespace: Mapping[str, Any]
    names: tuple[str, ...]
    objects: tuple[Any, ...]

    @classmethod
    def of(cls, namespace: Mapping[str, Any], names: tuple[str, ...]) -> Watch:
        """Watch ``names``, which may be absent from the namespace."""
        return cls(namespace, names, tuple(map(namespace.get, names, repeat(MISSING))))

    def is_unchanged(self) -> bool:
        """Return whether every name still stands for the same object."""
        # By identity, since ``==`` could run user code, and without a loop in Python: each run asks every node.
        return all(map(is_, map(self.namespace.get, self.names, repeat(MISSING)), self.objects))


class GraphNode(NamedTuple):
    """One node of the graph of code and values.

    Attributes
    ----------
    kind, name
        What it stands for, and its name in messages.
    local
        The bytes of its own content, without what it refers to.
    edges
        What it refers to, in the order of what counts of them.
    watches, unchanged
        Tests for changes: the node is valid while all watches and ``unchanged`` hold.
    hints, notes
        The names of ingredients and parameters in it, and what its content does not cover.
    text
        Its source, or a short text of its value, for messages.
    attribute_digests
        For a value, see :mod:`pyplant.fingerprint.attribute_digests`.
    reads
        The kinds of metadata of code that it may read; see :mod:`pyplant.fingerprint.metadata`.
    """

    kind: NodeKind
    name: str
    local: bytes
    edges: tuple[CodeReference, ...] = ()
    watches: tuple[Watch, ...] = ()
    unchanged: Callable[[], bool] | None = None
    hints: frozenset[Hint] = frozenset()
    notes: frozenset[Note] = frozenset()
    text: str = ""
    attribute_digests: Mapping[str, str] | None = None
    reads: frozenset[str] = frozenset()


def unchanged_test(function: FunctionType) -> Callable[[], bool]:
    """Return a test for changes of the function object; watches cover the names that its code mentions."""
    code, own_keys = function.__code__, len(function.__dict__)
    cells = tuple(map(cell_content, function.__closure__ or ()))
    defaults, kwdefaults = function.__defaults__, function.__kwdefaults__

    def unchanged() -> bool:
        return (
            function.__code__ is code
            and function.__defaults__ is defaults
            and function.__kwdefaults__ is kwdefaults
            and len(function.__dict__) == own_keys
            and (not cells or all(map(is_, map(cell_content, function.__closure__ or ()), cells)))
        )

    return unchanged


def cell_content(cell: CellType) -> Any:
    """Return the content of a closure variable, or :data:`MISSING` if it has none yet."""
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return MISSING


def values_held_by(function: Callable[..., Any]) -> Iterator[Any]:
    """Yield the closure variables of a function that are bound, and the defaults of its parameters."""
    contents = map(cell_content, getattr(function, "__closure__", None) or ())
    yield from (content for content in contents if content is not MISSING)
    yield from getattr(function, "__defaults__", None) or ()
    yield from (getattr(function, "__kwdefaults__", None) or {}).values()


def shorten(value: Any) -> str:
    """Return a short text of a value for messages; it does not identify the value.

    It has no addresses and no lines. Of an object of a user's class it names the attributes that ``repr`` hides.
    """
    cls = type(value)
    # The text of a large array would take long to make.
    try:
        if _is_array(cls) and not _is_numpy_scalar(cls):
            number = value.item() if value.shape == () else None
            is_number = isinstance(number, int | float | complex)
            return repr(number) if is_number else f"<{qualname_of(cls)} {value.dtype} {value.shape}>"
        if issubclass(cls, list | dict | set | tuple | frozenset) and len(value) > _SHORT:
            return f"<{qualname_of(cls)} of {len(value)}>"
        if cls is int and value.bit_length() > _MAX_BITS:
            return f"<int of {value.bit_length():,} bits>"
        text = _joined(_pieces(value))
        hidden = _hidden_attributes(value, text)
        if hidden:
            text = f"{text} with {_joined(_named(hidden))}"
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - a user's __repr__ may raise anything
        text = f"<{qualname_of(cls)} object>"
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


def _joined(pieces: Iterator[str]) -> str:
    """Return a text of a little more than the greatest length, in one line and without addresses."""
    text = ""
    for piece in pieces:
        text += _ADDRESS.sub("", " ".join(piece.split("\n")[:_MOST_LINES]) if "\n" in piece else piece)
        if len(text) > _SHORT:
            break
    return text


def _hidden_attributes(value: Any, text: str) -> dict[str, Any]:
    """Return those attributes of an object of a user's class that its text does not name."""
    if not is_user_object(type(value)) or isinstance(value, type | FunctionType | enum.Enum | BaseException):
        return {}
    return {name: own for name, own in object_state(value)[1].items() if f"{name}=" not in text}


def _named(attributes: Mapping[str, Any]) -> Iterator[str]:
    for number, (name, own) in enumerate(attributes.items()):
        yield f"{', ' if number else ''}{name}="
        yield from _pieces(own)


def _pieces(value: Any) -> Iterator[str]:
    """Yield the text of a value as ``repr`` writes it.

    Only as much is made as the caller takes: ``repr`` repeats a shared part wherever it occurs, so the text of
    a few lists that contain each other can fill the memory.
    """
    cls = type(value)
    if issubclass(cls, str | bytes):
        yield repr(value[: _SHORT + 1])
    elif _is_numpy_scalar(cls):
        yield str(value)  # its repr names the type: np.float64(0.5)
    elif cls in (list, tuple):
        yield "[" if cls is list else "("
        for number, item in enumerate(value):
            yield ", " if number else ""
            yield from _pieces(item)
        yield "]" if cls is list else ",)" if len(value) == 1 else ")"
    elif cls is dict:
        yield "{"
        for number, (key, item) in enumerate(value.items()):
            yield ", " if number else ""
            yield from _pieces(key)
            yield ": "
            yield from _pieces(item)
        yield "}"
    elif _has_generated_repr(cls):
        yield f"{qualname_of(cls)}("
        for number, field in enumerate(field for field in dataclasses.fields(cls) if field.repr):
            yield f"{', ' if number else ''}{field.name}="
            yield from _pieces(static_attribute(value, field.name))
        yield ")"
    elif is_user_object(cls) and _shows_attributes(cls):
        content, attributes = object_state(value)
        yield f"{qualname_of(cls)}("
        if content is not None:
            yield from _pieces(content)
            yield ", " if attributes else ""
        yield from _named(attributes)
        yield ")"
    else:
        yield repr(value)


def _shows_attributes(cls: type) -> bool:
    """Return whether the text of an object has its attributes, and not what ``repr`` returns.

    A ``__repr__`` of the user is not called: to look at a value must run none of their code, which may print, take long, or
    store something in the object.
    """
    method = class_entry(cls, "__repr__")
    return method is object.__repr__ or is_users_function(method)


def _has_generated_repr(cls: type) -> bool:
    """Return whether :mod:`dataclasses` wrote the ``__repr__`` of a class."""
    return class_entry(cls, "__dataclass_fields__") is not MISSING and hasattr(
        class_entry(cls, "__repr__"), "__wrapped__"
    )


def _is_numpy_scalar(cls: type) -> bool:
    return any(base.__name__ == "generic" and base.__module__ == "numpy" for base in cls.__mro__)


def _is_array(cls: type) -> bool:
    return not is_user_object(cls) and all(
        class_entry(cls, name) is not MISSING for name in ("shape", "dtype")
    )
