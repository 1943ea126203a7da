"""Views: the object that a reactor gets as its configuration.

Theory of operation
-------------------
A reactor does not get the configuration itself. It gets a view that reports every read, which is
then a dependency, and that returns private copies, so that the reactor cannot change the configuration.

For a :class:`~pyplant.config.classes.ConfigBase` the view is an instance of the user's own class, made
without a call of the constructor. So methods, properties and ``isinstance`` work. A method gets the view as
``self``, so what it reads is reported as well, and its code counts like a parameter. Code that does not
read attributes on the view is covered separately: special methods count when the view is made, and
generated methods (``__eq__`` of a dataclass) count as a read of all names when they read one.

For a dictionary the view is a ``dict`` that can also be read by attribute. It contains a stand-in in
place of the values, since libraries read a ``dict`` in C without calling its methods.

Recorded names
--------------
``a.b``           the parameter ``b`` of the nested configuration ``a``: its value
``a``             for a nested configuration: its kind, :func:`nested_kind`
``(kind)``        the kind of the whole configuration, :data:`KIND`
``a.b?``          whether it exists (``"b" in config.a``)
``a.b()``         the code of a method or property
``a.(all names)`` the names of the parameters of ``a``, :data:`ALL_NAMES`
``a.(dir)``       the same with methods and properties, :data:`DIR_NAMES`
``a.b (class)``   the attribute ``b`` of the class of ``a``, :data:`CLASS_SUFFIX`; the whole class without ``b``

Keys may contain any sign. Signs with a meaning are quoted as in URLs
(:func:`~pyplant.config.classes.quoted`), so the key ``"a.b"`` is recorded as ``a%2Eb``.

Operations on all parameters (iteration, ``len``, ``vars``, ``asdict``, ``repr``, ``==``, copying,
pickling) read :data:`ALL_NAMES` and each value, so that added and removed parameters count as well.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from contextlib import suppress
from functools import cached_property, lru_cache
from types import CodeType
from typing import Any, NamedTuple

from pyplant._missing import MISSING
from pyplant.config.classes import (
    VIEW,
    ConfigBase,
    ConfigDict,
    ConfigReader,
    attributes,
    code_value,
    find_code,
    generated_code,
    is_nested,
    missing_parameter_error,
    own_parameters,
    quoted,
    read_only_error,
    special_methods,
    stored_value,
    unquoted,
)

__all__ = [
    "ALL_NAMES",
    "CLASS_SUFFIX",
    "DIR_NAMES",
    "KIND",
    "described",
    "is_value",
    "is_view",
    "names_of",
    "nested_kind",
    "plain",
    "shown_in_words",
    "value_for_reactor",
    "view_of",
]

ALL_NAMES = "(all names)"
"""Recorded name of the names of all parameters, in their order."""

KIND = "(kind)"
"""Recorded name of the kind of the whole configuration, :func:`nested_kind`."""

DIR_NAMES = "(dir)"
"""Recorded name of the names of all attributes of a configuration object, methods included."""

CLASS_SUFFIX = "(class)"
"""Suffix of the recorded name of an attribute of the class of a configuration."""

# Bounded, since the cache keeps classes alive: a notebook defines a class again with each run of its cell.
_generated: Callable[[type], frozenset[CodeType]] = lru_cache(maxsize=256)(generated_code)
# Attributes of classes and objects that list the parameters.
_LISTS = frozenset(
    {"__dataclass_fields__", "__annotations__", "__match_args__", "__slots__", "__attrs_attrs__"}
)


# A text and not the class itself: the class would count with all its code, although a reactor may read one parameter.
def nested_kind(value: Any) -> str:
    """What a nested configuration is, apart from its parameters: a ``dict``, or an object of some classes."""
    if not isinstance(value, ConfigBase):
        return "(nested dict)"
    classes = [cls.__qualname__ for cls in type(value).__mro__ if cls not in (object, ConfigBase)]
    return f"(nested {', '.join(classes) or 'ConfigBase'})"


def is_value(name: str, shown: str) -> bool:
    """Return whether a recorded name with its shown text is the value of a parameter."""
    return not name.endswith((")", "?")) and not shown.startswith("'(nested ")


def shown_in_words(shown: str) -> str:
    """Return the text of a value as messages show it: of a nested configuration its classes, as they are written."""
    return shown.removeprefix("'(nested ").removesuffix(")'") if shown.startswith("'(nested ") else shown


def described(name: str) -> str:
    """Return a recorded name in words, for messages."""
    if name == KIND:
        return "the class of the configuration"
    if name.endswith(CLASS_SUFFIX):
        owner, _, attribute = name.removesuffix(CLASS_SUFFIX).rpartition(".")
        whose = f"the class of {f'{unquoted(owner)!r}' if owner else 'the configuration'}"
        return f"{attribute.rstrip()!r} of {whose}" if attribute else f"the content of {whose}"
    for listed in (ALL_NAMES, DIR_NAMES):
        if name.endswith(listed):
            owner = name[: -len(listed)].removesuffix(".")
            return f"the set of parameters of {unquoted(owner)!r}" if owner else "the set of parameters"
    return f"parameter {unquoted(name.removesuffix('?'))!r}"


def names_of(config: Any, *, is_top: bool = False) -> list[str]:
    """Return the names of the parameters of a configuration, in its own order.

    The names of the outermost dictionary are sorted: users build it in any order. That of a nested one may matter.
    """
    if isinstance(config, ConfigBase):
        return list(own_parameters(config))
    return sorted(config) if is_top else list(config)


def dir_names(config: ConfigBase) -> list[str]:
    """Return the names of all attributes of a configuration object, methods included and special names left out."""
    return sorted(name for name in {*dir(type(config)), *own_parameters(config)} if not name.startswith("__"))


def view_of(config: Any, reader: ConfigReader, prefix: str = "") -> Any:
    """Make a view of a configuration that reports to ``reader``, with ``prefix`` before each name."""
    if not isinstance(config, ConfigBase):
        return _dict_view(config, reader, prefix)
    view = object.__new__(type(config))  # without __init__, which may have effects and required arguments
    # A copy, so that the reactor sees one state, whatever is set on the configuration meanwhile.
    attributes(view)[VIEW] = _ObjectView(copy.copy(config), reader, prefix)
    # Python looks special methods up on the class, past the view, so their code counts from the start.
    for name in special_methods(type(config)):
        reader.read(f"{prefix}{name}()", code_value(find_code(config, name), type(config)))
    return view


def is_view(value: Any) -> bool:
    """Return whether a value is a reactor's view of a configuration."""
    return type(value) is _DictView or (isinstance(value, ConfigBase) and VIEW in attributes(value))


def plain(value: Any) -> Any:
    """Return a plain configuration from a view, which reads all of it; other values are returned as they are."""
    if type(value) is _DictView:
        return ConfigDict((name, plain(value[name])) for name in value)
    if not is_view(value):
        return value
    return attributes(value)[VIEW].plain(value)


def value_for_reactor(value: Any, reader: ConfigReader, name: str) -> Any:
    """What a reactor gets for a value: a view of a nested configuration, else what the reader returns."""
    if not is_nested(value):
        return reader.read(name, value)
    reader.read(name, nested_kind(value))
    # The same object each time, as in the configuration: code compares them by identity.
    if name not in reader.views:
        reader.views[name] = view_of(value, reader, f"{name}.")
    return reader.views[name]


def _contains(names: Mapping[str, Any], name: object, reader: ConfigReader, prefix: str) -> bool:
    if name in names:
        reader.read(f"{prefix}{quoted(name)}?", True)
        return True
    reader.absent(prefix + quoted(name))
    return False


class _ObjectView(NamedTuple):
    """The state that makes a ``ConfigBase`` object a view: the configuration, the reader and the prefix."""

    config: ConfigBase
    reader: ConfigReader
    prefix: str

    def attribute(self, shown: ConfigBase, name: str) -> Any:
        """Return the value of ``config.name`` for a reactor."""
        config, reader, prefix = self
        # A generated method reads the fields that existed when it was generated, so all names count.
        # The method that reads this attribute is two frames up.
        if sys._getframe(2).f_code in _generated(type(config)):  # noqa: SLF001 - documented in sys
            self.names()
        if name.startswith("__"):
            return self._special(shown, name)
        kind = find_code(config, name)
        if kind is not None:
            # It gets the view as self, which reports what it reads. Its code counts like a parameter.
            reader.read(f"{prefix}{quoted(name)}()", code_value(kind, type(config)))
            computes = isinstance(kind, cached_property)
            return kind.func(shown) if computes else object.__getattribute__(shown, name)
        value = stored_value(config, name)
        if value is MISSING:
            # Absence is a dependency: code may catch the error, and run differently once the parameter exists.
            reader.absent(prefix + quoted(name))
            raise missing_parameter_error(prefix + name, own_parameters(config))
        return value_for_reactor(value, reader, prefix + quoted(name))

    def _special(self, shown: ConfigBase, name: str) -> Any:
        if name == "__dict__":
            return {key: getattr(shown, key) for key in self.names()}
        cls = type(self.config)
        # These attributes let libraries such as dataclasses list the fields, so all names count.
        if name in _LISTS or (name == "__class__" and hasattr(cls, "__attrs_attrs__")):
            self.names()  # attrs reads the fields from the class of an object
            listing = "__attrs_attrs__" if name == "__class__" else name
            # Fields have defaults and metadata, which count too.
            self.reader.read(f"{self.prefix}{listing} {CLASS_SUFFIX}", None)
        return object.__getattribute__(shown, name)

    def names(self) -> list[str]:
        """Return the names of all parameters, reported as a read."""
        names = names_of(self.config)
        self.reader.read(self.prefix + ALL_NAMES, names)
        return names

    def dir_names(self) -> list[str]:
        """Return the result of ``dir``, reported as a read."""
        names = dir_names(self.config)
        self.reader.read(self.prefix + DIR_NAMES, names)
        return sorted({*dir(type(self.config)), *names})

    def contains(self, name: object) -> bool:
        """Return whether there is a parameter of this name, reported as a read."""
        return _contains(own_parameters(self.config), name, self.reader, self.prefix)

    def plain(self, shown: ConfigBase) -> ConfigBase:
        """Return a copy of the configuration, which reads all of it."""
        # Read through the view, so that each value is reported and nested configurations become plain too.
        made = copy.copy(self.config)
        for name in self.names():
            value = plain(getattr(shown, name))
            with suppress(AttributeError, TypeError):  # a descriptor that cannot be set
                object.__setattr__(made, name, value)
        return made


class _Unread:
    """The stand-in in a ``dict`` view, for code in C that bypasses the methods of the view."""

    def __repr__(self) -> str:
        return "<parameters, read through the view>"


_UNREAD = {"": _Unread()}
_METHODS = frozenset({"copy", "get", "items", "keys", "values"})
_CHANGES = frozenset({"clear", "pop", "popitem", "setdefault", "update"})


class _DictView(dict[str, Any]):
    """A dictionary that a reactor reads by item or by attribute.

    It is a ``dict``, since libraries require one. Code in C that bypasses its methods finds a stand-in
    and fails. With the values in it, such a read would be an unnoticed dependency.
    """

    __slots__ = ("_prefix", "_reader", "_values")

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make a plain dictionary, for code that copies with ``type(config)(config)``."""
        return dict(*args, **kwargs)

    def __getitem__(self, name: str) -> Any:
        values, reader, prefix = _view_state(self)
        if name not in values:
            reader.absent(prefix + quoted(name))
            raise missing_parameter_error(f"{prefix}{name}", values)
        value = values[name]
        # A key with a dot is one value, even if that is a nested dictionary: the names of its parameters, as users write
        # them, would be ambiguous.
        if not prefix and "." in name:
            return reader.read(quoted(name), value)
        return value_for_reactor(value, reader, prefix + quoted(name))

    def __getattribute__(self, name: str) -> Any:
        """Return a parameter. In a nested dictionary the methods of ``dict`` take precedence."""
        # In the outermost dictionary parameters take precedence, since configurations have names such as `values`.
        values, _, prefix = _view_state(self)
        is_method = name.startswith("__") or name in _METHODS
        if is_method and (prefix or name not in values):
            return object.__getattribute__(self, name)
        if name in _CHANGES and (prefix or name not in values):
            return lambda *args, **kwargs: _refuse(prefix, name, *args, **kwargs)
        return self[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the parameter of this name, else ``default``."""
        try:
            return self[name]
        except KeyError:
            return default

    def keys(self) -> Any:
        """Return the names of all parameters."""
        return KeysView(self)

    def items(self) -> Any:
        """Return all parameters with their names."""
        return ItemsView(self)

    def values(self) -> Any:
        """Return all parameters."""
        return ValuesView(self)

    def copy(self) -> Any:
        """Return a plain copy of all parameters."""
        return plain(self)

    def __contains__(self, name: object) -> bool:
        values, reader, prefix = _view_state(self)
        return _contains(values, name, reader, prefix)

    def __iter__(self) -> Iterator[str]:
        values, reader, prefix = _view_state(self)
        names = names_of(values, is_top=not prefix)
        reader.read(prefix + ALL_NAMES, names)
        return iter(names)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self))

    # Through __iter__, which reports the read. The stored dictionary has one item, the stand-in.
    def __len__(self) -> int:
        return len(list(iter(self)))

    def __eq__(self, other: object) -> bool:
        return bool(plain(self) == plain(other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # as for any dict

    def __or__(self, other: Any) -> Any:
        return plain(self) | plain(other)

    def __ror__(self, other: Any) -> Any:
        return other | plain(self)

    def __ior__(self, other: Any) -> Any:
        _refuse(_view_state(self)[2], "update", other)

    def __setattr__(self, name: str, value: Any) -> None:
        raise read_only_error(_view_state(self)[2] + name)

    def __setitem__(self, name: str, value: Any) -> None:
        raise read_only_error(_view_state(self)[2] + name)

    def __delattr__(self, name: str) -> None:
        raise read_only_error(_view_state(self)[2] + name)

    def __delitem__(self, name: str) -> None:
        raise read_only_error(_view_state(self)[2] + name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return ConfigDict, (dict(plain(self)),)

    def __repr__(self) -> str:
        return repr(dict(plain(self)))


def _dict_view(values: Mapping[str, Any], reader: ConfigReader, prefix: str) -> _DictView:
    # The state goes into slots by object.__setattr__, since the view's own __setattr__ refuses changes.
    view = dict.__new__(_DictView)
    dict.update(view, _UNREAD)  # even if it is empty: C code must not take the view for an empty dict
    object.__setattr__(view, "_values", values)
    object.__setattr__(view, "_reader", reader)
    object.__setattr__(view, "_prefix", prefix)
    return view


def _refuse(prefix: str, change: str, *args: Any, **kwargs: Any) -> None:
    names = [*args[:1], *kwargs]
    first = names[0] if names else change
    raise read_only_error(prefix + (next(iter(first), change) if isinstance(first, Mapping) else str(first)))


def _view_state(view: _DictView) -> tuple[Mapping[str, Any], ConfigReader, str]:
    get = object.__getattribute__
    return get(view, "_values"), get(view, "_reader"), get(view, "_prefix")
