"""Configuration: what users set, and the views through which reactors read it.

A reactor never sees the configuration itself. It gets a view that reports every read, so
that the dependency is known, and that hands out private copies, so that nothing leaks
back. For a :class:`ConfigBase` the view is an instance of the user's own class: methods,
properties and ``isinstance`` work, and what they read is tracked as well.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pyplant.errors import ConfigChangedError, ConfigError, MissingParameterError, near_misses

__all__ = ["MISSING", "ConfigBase", "ConfigReader", "ConfigValue", "Parameters", "private_copy"]

_VIEW = "_pyplant_view"
_AUXILIARY = "_pyplant_auxiliary"
_OWN = frozenset({_VIEW, _AUXILIARY, "mark_auxiliary"})
# What they do shows in the values; the code of other special methods counts.
_CONSTRUCTION = frozenset({"__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__"})


class _Missing(Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


ALL_NAMES = "(all names)"
"""Stands for the names of all parameters, which a reactor reads by iterating over them."""

MISSING = _Missing.MISSING
"""Stands for a parameter that is not there; ``None`` is a value like any other."""


class ConfigReader(Protocol):
    """Told of every read of the configuration."""

    def read(self, name: str, value: Any) -> Any:
        """A parameter was read; returns what the reactor gets."""

    def absent(self, name: str) -> None:
        """A parameter was asked for that is not there."""


class ConfigValue:
    """Base class for structured parameters: equal when class and fields are equal.

    Examples
    --------
    >>> class Window(ConfigValue):
    ...     def __init__(self, width, overlap=0):
    ...         self.width, self.overlap = width, overlap
    >>> Window(5) == Window(5), Window(5) == Window(6)
    (True, False)
    """

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted(vars(self)))))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"


class ConfigBase:
    """Base class of configurations; declare the parameters as attributes.

    Attributes may be set in the constructor (calling ``super().__init__()`` is not
    needed) or on the class, and may themselves be ``ConfigBase`` objects: a reactor then
    depends on the leaf it reads, such as ``"model.depth"``.

    Examples
    --------
    >>> class MyConfig(ConfigBase):
    ...     def __init__(self):
    ...         self.color = "red"
    ...         self.log_level = "info"
    ...         self.mark_auxiliary(["log_level"])
    """

    def mark_auxiliary(self, names: Iterable[str]) -> None:
        """Mark parameters whose change must not rerun anything.

        Parameters
        ----------
        names
            Their names; those of a nested configuration with a dot.

        Raises
        ------
        pyplant.errors.ConfigError
            If a single string is given.
        """
        given = name_list(names)
        for name in given:
            _refuse_change(self, name)
        _attributes(self).setdefault(_AUXILIARY, set()).update(given)

    if not TYPE_CHECKING:  # type checkers must see the attributes that users declare

        def __getattribute__(self, name):
            """Report the read when this object is a reactor's view."""
            view = object.__getattribute__(self, "__dict__").get(_VIEW)
            if view is None or name in _OWN or (name.startswith("__") and name != "__dict__"):
                return object.__getattribute__(self, name)
            if name == "__dict__":
                return {key: getattr(self, key) for key in own_parameters(view.config)}
            return _tracked(self, name, view)

        def __setattr__(self, name, value):
            """Refuse changes when this object is a reactor's view."""
            _refuse_change(self, name)
            object.__setattr__(self, name, value)

        def __delattr__(self, name):
            """Refuse changes when this object is a reactor's view."""
            _refuse_change(self, name)
            object.__delattr__(self, name)


class _View(NamedTuple):
    """What makes a ``ConfigBase`` object a view: whom it shows, and whom it tells."""

    config: ConfigBase
    reader: ConfigReader
    prefix: str


def _attributes(config: ConfigBase) -> dict[str, Any]:
    found: dict[str, Any] = object.__getattribute__(config, "__dict__")
    return found


def _refuse_change(config: ConfigBase, name: str) -> None:
    if _VIEW in _attributes(config):
        raise _changed(name)


def _changed(name: str) -> ConfigChangedError:
    return ConfigChangedError(
        f"A reactor tried to change parameter {name!r}; inside reactors the configuration is read-only. "
        f"Send the value as an ingredient, or change the configuration before the run."
    )


def _tracked(self: ConfigBase, name: str, view: _View) -> Any:
    """What a reactor gets as ``config.name``."""
    config, reader, prefix = view
    kind = _code_behind(config, name)
    if kind is not None:
        # It sees the view as self, so what it reads is noted; its code counts as a parameter too.
        reader.read(f"{prefix}{name}()", _code_value(kind, type(config)))
        return kind.func(self) if isinstance(kind, cached_property) else object.__getattribute__(self, name)
    value = _value_behind(config, name)
    if value is MISSING:
        reader.absent(prefix + name)
        raise missing_parameter(prefix + name, own_parameters(config))
    if isinstance(value, ConfigBase):
        return view_of(value, reader, f"{prefix}{name}.")
    return reader.read(prefix + name, value)


_CODE = (types.FunctionType, classmethod, staticmethod, property, cached_property)


def _code_behind(config: ConfigBase, name: str) -> Any:
    """The method or property that ``config.name`` would run, if any."""
    for base in type(config).__mro__:
        kind = vars(base).get(name, MISSING)
        if kind is not MISSING:
            if not isinstance(kind, _CODE):
                return None
            computed = isinstance(kind, property | cached_property)
            return kind if computed or name not in _attributes(config) else None
    return None


def _value_behind(config: ConfigBase, name: str) -> Any:
    """The value of an attribute: of the object, a slot, a descriptor or the class."""
    try:
        return object.__getattribute__(config, name)
    except AttributeError:
        return MISSING


def _code_value(kind: Any, cls: type) -> Any:
    """What stands for the code of a method: the function, with the class where it looks at that."""
    function: Any
    if isinstance(kind, property):
        function = kind.fget
    elif isinstance(kind, cached_property):
        function = kind.func
    else:
        function = getattr(kind, "__func__", kind)
    names = getattr(getattr(function, "__code__", None), "co_names", ())
    sees_class = isinstance(kind, classmethod) or "type" in names or "__class__" in names
    return types.MethodType(function, cls) if sees_class else function


def missing_parameter(name: str, known: Iterable[str]) -> MissingParameterError:
    """The error for a parameter that is not there, with near misses."""
    known = list(known)
    close = near_misses(name.rpartition(".")[2], known) or near_misses(name, known)
    hint = (
        f" Did you mean {' or '.join(map(repr, close))}?" if close else " Set it with plant.set_config(...)."
    )
    return MissingParameterError(f"The configuration has no parameter {name!r}.{hint}")


def own_parameters(config: ConfigBase) -> dict[str, Any]:
    """The parameters of a configuration, those of nested ones not unfolded."""
    names: dict[str, None] = {}
    for base in reversed(type(config).__mro__):
        if base not in (object, ConfigBase):
            names.update((name, None) for name in vars(base) if not name.startswith(("__", "_abc_")))
    names.update((name, None) for name in _attributes(config) if name not in _OWN)
    values = {name: _value_behind(config, name) for name in names if _code_behind(config, name) is None}
    return {name: value for name, value in values.items() if value is not MISSING}


def view_of(config: Any, reader: ConfigReader, prefix: str = "") -> Any:
    """The view of a configuration that reports to ``reader``."""
    if not isinstance(config, ConfigBase):
        return _DictView(config, reader)
    view = object.__new__(type(config))
    _attributes(view)[_VIEW] = _View(copy.copy(config), reader, prefix)
    for name in _special_methods(type(config)):
        reader.read(f"{prefix}{name}()", _code_value(_code_behind(config, name), type(config)))
    return view


def _special_methods(cls: type) -> list[str]:
    """Special methods that users wrote: Python runs them without looking them up on the view."""
    return sorted(
        {
            name
            for base in cls.__mro__
            if base not in (object, ConfigBase)
            for name, value in vars(base).items()
            if name.startswith("__") and name not in _CONSTRUCTION and _is_written(value)
        }
    )


def _is_written(value: object) -> bool:
    """Whether a function has source; what dataclasses make follows from the fields."""
    while isinstance(value, types.FunctionType) and hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return isinstance(value, types.FunctionType) and value.__code__.co_filename != "<string>"


class _DictView(Mapping[str, Any]):
    """A ``dict`` configuration as a reactor sees it: by item and by attribute."""

    __slots__ = ("_reader", "_values")

    def __init__(self, values: Mapping[str, Any], reader: ConfigReader) -> None:
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_reader", reader)

    def __getitem__(self, name: str) -> Any:
        values, reader = _behind(self)
        if name not in values:
            reader.absent(name)
            raise missing_parameter(name, values)
        return reader.read(name, values[name])

    def __getattribute__(self, name: str) -> Any:
        """A parameter, also one that is called like a method of a ``dict``."""
        values, _ = _behind(self)
        if name not in values and (name.startswith("__") or name in ("get", "items", "keys", "values")):
            return object.__getattribute__(self, name)
        if name not in values and name in _CHANGES:
            return lambda *args, **kwargs: _refuse(name, *args, **kwargs)
        return self[name]

    def __contains__(self, name: object) -> bool:
        values, reader = _behind(self)
        if name in values:
            reader.read(str(name), values[str(name)])
            return True
        reader.absent(str(name))
        return False

    def __iter__(self) -> Iterator[str]:
        values, reader = _behind(self)
        names = sorted(values)
        reader.read(ALL_NAMES, names)
        return iter(names)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __setattr__(self, name: str, value: Any) -> None:
        raise _changed(name)

    __setitem__ = __setattr__

    def __delattr__(self, name: str) -> None:
        raise _changed(name)

    __delitem__ = __delattr__

    def __repr__(self) -> str:
        return f"<config with {len(_behind(self)[0])} parameters>"


_CHANGES = frozenset({"clear", "pop", "popitem", "setdefault", "update"})


def _refuse(change: str, *args: Any, **kwargs: Any) -> None:
    names = [*args[:1], *kwargs]
    first = names[0] if names else change
    raise _changed(next(iter(first), change) if isinstance(first, Mapping) else str(first))


def _behind(view: _DictView) -> tuple[Mapping[str, Any], ConfigReader]:
    get = object.__getattribute__
    return get(view, "_values"), get(view, "_reader")


class Parameters:
    """The configuration of a plant: a snapshot of what the user set, and what is auxiliary."""

    def __init__(self) -> None:
        self.source: dict[str, Any] | ConfigBase = {}
        self._marked: set[str] = set()

    def set(self, config: Mapping[str, Any] | ConfigBase) -> None:
        """Use this configuration from now on.

        Raises
        ------
        pyplant.errors.ConfigError
            If it is neither a mapping with text keys nor a ``ConfigBase`` object.
        """
        if isinstance(config, ConfigBase):
            self.source = config
            return
        if isinstance(config, type) and issubclass(config, ConfigBase):
            message = f"set_config needs an object: write set_config({config.__name__}())."
            raise ConfigError(message)
        if not isinstance(config, Mapping):
            message = f"A configuration is a dict or a ConfigBase object, not {type(config).__name__}."
            raise ConfigError(message)
        strange = [key for key in config if not isinstance(key, str)]
        if strange:
            message = f"Parameter names are strings; {strange[0]!r} is {type(strange[0]).__name__}."
            raise ConfigError(message)
        self.source = dict(config)

    def varied(self, values: Mapping[str, Any]) -> Parameters:
        """A copy in which some parameters have other values; nested ones are named with a dot.

        Raises
        ------
        pyplant.errors.MissingParameterError
            If the configuration is an object and has no such parameter.
        """
        other = Parameters()
        other._marked = self._marked
        if not isinstance(self.source, ConfigBase):
            other.source = {**self.source, **values}
            return other
        other.source = config = copy.deepcopy(self.source)
        known = self.names()
        for name, value in values.items():
            if name not in known:
                raise missing_parameter(name, known)
            *path, last = name.split(".")
            owner: Any = config
            for step in path:
                owner = _value_behind(owner, step)
            object.__setattr__(owner, last, value)
        return other

    def mark_auxiliary(self, names: Iterable[str]) -> None:
        """Mark parameters whose change must not rerun anything."""
        self._marked.update(name_list(names))

    def is_auxiliary(self, name: str) -> bool:
        """Whether ``name`` is marked, on the plant or in its configuration object.

        Marking a nested configuration marks all of it.
        """
        name = name.removesuffix("()")
        config: Any = self.source
        if not isinstance(config, ConfigBase):
            return name in self._marked
        if _covers(self._marked, name):
            return True
        while isinstance(config, ConfigBase):
            if _covers(_attributes(config).get(_AUXILIARY, ()), name):
                return True
            head, _, name = name.partition(".")
            config = _value_behind(config, head) if name else None
        return False

    def lookup(self, name: str) -> Any:
        """The value of a parameter, :data:`MISSING` if there is none.

        ``"a.b"`` is ``b`` of the nested configuration ``a``, ``"total()"`` the code of a
        method or property, :data:`ALL_NAMES` the sorted names of a ``dict`` configuration.
        """
        config: Any = self.source
        if not isinstance(config, ConfigBase):
            return sorted(config) if name == ALL_NAMES else config.get(name, MISSING)
        *path, last = name.removesuffix("()").split(".")
        for step in path:
            config = _value_behind(config, step)
            if not isinstance(config, ConfigBase):
                return MISSING
        code = _code_behind(config, last)
        if name.endswith("()"):
            return MISSING if code is None else _code_value(code, type(config))
        value = MISSING if code is not None else _value_behind(config, last)
        return MISSING if isinstance(value, ConfigBase) else value

    def names(self) -> list[str]:
        """All parameters, nested ones with a dot."""
        if not isinstance(self.source, ConfigBase):
            return sorted(self.source)
        names: list[str] = []
        stack: list[tuple[str, ConfigBase]] = [("", self.source)]
        while stack:
            prefix, config = stack.pop()
            for name, value in own_parameters(config).items():
                if isinstance(value, ConfigBase):
                    stack.append((f"{prefix}{name}.", value))
                else:
                    names.append(prefix + name)
        return sorted(names)

    def view(self, reader: ConfigReader) -> Any:
        """A reactor's view of the configuration."""
        return view_of(self.source, reader)


def _covers(marks: Collection[str], name: str) -> bool:
    """Whether a parameter or a nested configuration that holds it is marked."""
    while name and name not in marks:
        name = name.rpartition(".")[0]
    return bool(name)


def name_list(names: Iterable[str]) -> list[str]:
    """A list of names, a single string being a likely slip."""
    if isinstance(names, str):
        message = f"Give a list of parameter names: [{names!r}]."
        raise ConfigError(message)
    return list(names)


_IMMUTABLE: tuple[type, ...] = (type(None), bool, int, float, complex, str, bytes, type, types.FunctionType)


def private_copy(value: Any, copier: Callable[[Any], Any] = copy.deepcopy) -> Any:
    """A copy that its receiver may change; what cannot be copied is handed out as it is."""
    if isinstance(value, _IMMUTABLE):
        return value
    try:
        return copier(value)
    except Exception:  # noqa: BLE001 - a user's __deepcopy__ may raise anything
        return value
