"""Configuration: what users set, and the views through which reactors read it.

A reactor never sees the configuration itself. It gets a view that reports every read, so
that the dependency is known, and that hands out private copies, so that nothing leaks
back. For a :class:`ConfigBase` the view is an instance of the user's own class: methods,
properties and ``isinstance`` work, and what they read is tracked as well.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from pyplant.errors import ConfigChangedError, ConfigError, MissingParameterError, near_misses

__all__ = ["MISSING", "ConfigBase", "ConfigReader", "ConfigValue", "Parameters", "private_copy"]

_READER = "_pyplant_reader"
_PREFIX = "_pyplant_prefix"
_AUXILIARY = "_pyplant_auxiliary"
_OWN = frozenset({_READER, _PREFIX, _AUXILIARY, "mark_auxiliary"})


class _Missing(Enum):
    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


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
        vars(self).setdefault(_AUXILIARY, set()).update(name_list(names))

    if not TYPE_CHECKING:  # type checkers must see the attributes that users declare

        def __getattribute__(self, name):
            """Report the read when this object is a reactor's view."""
            get = object.__getattribute__
            attributes = get(self, "__dict__")
            reader = attributes.get(_READER)
            if reader is None or name in _OWN or (name.startswith("__") and name != "__dict__"):
                return get(self, name)
            if name == "__dict__":
                return {key: getattr(self, key) for key in own_parameters(self)}
            return _tracked(self, name, reader, attributes[_PREFIX])

        def __setattr__(self, name, value):
            """Refuse changes when this object is a reactor's view."""
            _refuse_change(self, name)
            object.__setattr__(self, name, value)

        def __delattr__(self, name):
            """Refuse changes when this object is a reactor's view."""
            _refuse_change(self, name)
            object.__delattr__(self, name)


def _refuse_change(config: ConfigBase, name: str) -> None:
    if _READER in object.__getattribute__(config, "__dict__"):
        raise _changed(name)


def _changed(name: str) -> ConfigChangedError:
    return ConfigChangedError(
        f"A reactor tried to change parameter {name!r}; inside reactors the configuration is read-only. "
        f"Send the value as an ingredient, or change the configuration before the run."
    )


def _tracked(config: ConfigBase, name: str, reader: ConfigReader, prefix: str) -> Any:
    kind = _class_attribute(type(config), name)
    if isinstance(kind, types.FunctionType | classmethod | staticmethod | property):
        # Methods see this view as self; their code counts as a parameter of its own.
        function = kind.fget if isinstance(kind, property) else getattr(kind, "__func__", kind)
        reader.read(f"{prefix}{name}()", function)
        return object.__getattribute__(config, name)
    try:
        value = object.__getattribute__(config, name)
    except AttributeError:
        reader.absent(prefix + name)
        raise missing_parameter(prefix + name, own_parameters(config)) from None
    if isinstance(value, ConfigBase):
        return view_of(value, reader, f"{prefix}{name}.")
    return reader.read(prefix + name, value)


def _class_attribute(cls: type, name: str) -> Any:
    for base in cls.__mro__:
        if name in vars(base):
            return vars(base)[name]
    return MISSING


def missing_parameter(name: str, known: Iterable[str]) -> MissingParameterError:
    """The error for a parameter that is not there, with near misses."""
    close = near_misses(name.rpartition(".")[2], known)
    hint = (
        f" Did you mean {' or '.join(map(repr, close))}?" if close else " Set it with plant.set_config(...)."
    )
    return MissingParameterError(f"The configuration has no parameter {name!r}.{hint}")


def own_parameters(config: ConfigBase) -> dict[str, Any]:
    """The parameters of a configuration, those of nested ones not unfolded."""
    found: dict[str, Any] = {}
    for base in reversed(type(config).__mro__):
        if base not in (object, ConfigBase):
            for name, value in vars(base).items():
                callable_kind = isinstance(value, types.FunctionType | classmethod | staticmethod | property)
                if not (callable_kind or name.startswith(("__", "_abc_"))):
                    found[name] = value
    attributes = object.__getattribute__(config, "__dict__")
    found.update((name, value) for name, value in attributes.items() if name not in _OWN)
    return found


def view_of(config: Any, reader: ConfigReader, prefix: str = "") -> Any:
    """The view of a configuration that reports to ``reader``."""
    if isinstance(config, ConfigBase):
        view = copy.copy(config)
        attributes = object.__getattribute__(view, "__dict__")
        attributes[_PREFIX], attributes[_READER] = prefix, reader
        return view
    return _DictView(config, reader)


class _DictView(Mapping[str, Any]):
    """A ``dict`` configuration as a reactor sees it: by item and by attribute."""

    __slots__ = ("_reader", "_values")

    def __init__(self, values: Mapping[str, Any], reader: ConfigReader) -> None:
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_reader", reader)

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            self._reader.absent(name)
            raise missing_parameter(name, self._values)
        return self._reader.read(name, self._values[name])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in self._values:
            raise AttributeError(name)
        return self[name]

    def __contains__(self, name: object) -> bool:
        if name in self._values:
            self._reader.read(str(name), self._values[str(name)])
            return True
        self._reader.absent(str(name))
        return False

    def __iter__(self) -> Iterator[str]:
        names = sorted(self._values)
        self._reader.read("*", names)
        return iter(names)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __setattr__(self, name: str, value: Any) -> None:
        raise _changed(name)

    def __setitem__(self, name: str, value: Any) -> None:
        raise _changed(name)

    def __repr__(self) -> str:
        return f"<config with {len(self._values)} parameters>"


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

    def mark_auxiliary(self, names: Iterable[str]) -> None:
        """Mark parameters whose change must not rerun anything."""
        self._marked.update(name_list(names))

    def is_auxiliary(self, name: str) -> bool:
        """Whether ``name`` is marked, on the plant or in its configuration object."""
        if name in self._marked:
            return True
        config: Any = self.source
        rest = name
        while isinstance(config, ConfigBase):
            attributes = object.__getattribute__(config, "__dict__")
            if rest in attributes.get(_AUXILIARY, ()):
                return True
            head, _, rest = rest.partition(".")
            config = attributes.get(head)
        return False

    def lookup(self, name: str) -> Any:
        """The value of a parameter, :data:`MISSING` if there is none.

        ``"a.b"`` is ``b`` of the nested configuration ``a``, ``"total()"`` the code of a
        method or property, ``"*"`` the sorted names of a ``dict`` configuration.
        """
        config = self.source
        if not isinstance(config, ConfigBase):
            return sorted(config) if name == "*" else config.get(name, MISSING)
        value: Any = config
        for step in name.removesuffix("()").split("."):
            if not isinstance(value, ConfigBase):
                return MISSING
            if name.endswith("()") and (found := _class_attribute(type(value), step)) is not MISSING:
                function = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
                value = function
            else:
                value = own_parameters(value).get(step, MISSING)
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
