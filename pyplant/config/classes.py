"""Base classes of configurations, and the rules that say what is a parameter.

:mod:`pyplant.config.views` has what reactors see of a configuration, and
:mod:`pyplant.config.parameters` how a plant looks up, varies and marks parameters.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from pyplant._missing import MISSING
from pyplant.errors import ConfigChangedError, ConfigError, MissingParameterError, near_misses

__all__ = ["ConfigBase", "ConfigDict", "ConfigReader", "ConfigValue", "NestedDict", "private_copy"]

VIEW = "_pyplant_view"
"""The attribute by which a ``ConfigBase`` object is a view; it holds the view's state."""
AUXILIARY = "_pyplant_auxiliary"
# These are of the base class, not of the user: they are no parameters, and reading them is not recorded.
_OWN = frozenset({VIEW, AUXILIARY, "mark_auxiliary"})
# The effect of these methods shows in the values. The code of all other special methods counts.
_CONSTRUCTION = frozenset({"__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__"})
_MOST_NAMES = 1000  # a nested dict with more keys is taken for a table and counts as one value


class ConfigReader(Protocol):
    """Receives every read of a configuration."""

    views: dict[str, Any]
    """The views of nested configurations that were made, by name."""

    def read(self, name: str, value: Any) -> Any:
        """Record that a parameter was read, and return what the reactor gets."""

    def absent(self, name: str) -> None:
        """Record that a reactor asked for a parameter that does not exist."""


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
        # The names alone, since values may be unhashable. Equal objects have equal names.
        return hash((type(self), tuple(sorted(vars(self)))))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"


class ConfigBase:
    """Base class of configurations; declare the parameters as attributes.

    Attributes may be set in the constructor (calling ``super().__init__()`` is not
    needed) or on the class, and may themselves be ``ConfigBase`` objects or dictionaries: a
    reactor then depends on the leaf it reads, such as ``"model.depth"``.

    Parameters
    ----------
    dictionary
        Initial parameters by name.

    Examples
    --------
    >>> class MyConfig(ConfigBase):
    ...     def __init__(self):
    ...         self.color = "red"
    ...         self.log_level = "info"
    ...         self.mark_auxiliary(["log_level"])
    """

    def __init__(self, dictionary: Mapping[str, Any] | None = None) -> None:
        for name, value in (dictionary or {}).items():
            setattr(self, name, value)

    def mark_auxiliary(self, names: Iterable[str]) -> None:
        """Mark parameters whose change must not rerun anything.

        Parameters
        ----------
        names
            Their names; those in a nested configuration with dots.

        Raises
        ------
        pyplant.errors.ConfigError
            If a single string is given.
        """
        given = name_list(names)
        for name in given:
            _refuse_change(self, name)
        attributes(self).setdefault(AUXILIARY, set()).update(given)

    def __getitem__(self, name: str) -> Any:
        """Return the parameter of this name, as in a ``dict``."""
        # Methods are attributes but no items; a dict has none either.
        shown = _shown_config(self)
        if not isinstance(name, str) or find_code(shown, name) is not None:
            raise missing_parameter_error(str(name), own_parameters(shown))
        try:
            return getattr(self, name)
        except MissingParameterError:
            raise
        except AttributeError:
            raise missing_parameter_error(name, own_parameters(shown)) from None

    def __contains__(self, name: object) -> bool:
        view = attributes(self).get(VIEW)
        if view is not None:
            return bool(view.contains(name))
        return isinstance(name, str) and name in own_parameters(self)

    __iter__ = None  # otherwise Python iterates over self[0], self[1], ...

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copy and pickle a view as a plain configuration."""
        view = attributes(self).get(VIEW)
        return super().__reduce_ex__(protocol) if view is None else view.plain(self).__reduce_ex__(protocol)

    def __dir__(self) -> Iterable[str]:
        view = attributes(self).get(VIEW)
        return super().__dir__() if view is None else view.dir_names()

    if not TYPE_CHECKING:  # type checkers must see the attributes that users declare

        def __getattribute__(self, name):
            """Report the read if this object is a reactor's view."""
            view = object.__getattribute__(self, "__dict__").get(VIEW)
            if view is None or name in _OWN:
                return object.__getattribute__(self, name)
            return view.attribute(self, name)

        def __setattr__(self, name, value):
            """Refuse changes when this object is a reactor's view."""
            _refuse_change(self, name)
            object.__setattr__(self, name, value)

        def __delattr__(self, name):
            """Refuse changes when this object is a reactor's view."""
            _refuse_change(self, name)
            object.__delattr__(self, name)


class ConfigDict(dict[str, Any]):
    """A plain copy of a ``dict`` configuration, with parameters also as attributes, like the view."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # Python and pickle probe for many special names
        try:
            return self[name]
        except KeyError:
            raise missing_parameter_error(name, self) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


class NestedDict(dict[str, Any]):
    """A nested dictionary of a snapshot, whose keys were looked at."""


def attributes(config: ConfigBase) -> dict[str, Any]:
    """Return the attributes of a configuration object, without a report of the read."""
    found: dict[str, Any] = object.__getattribute__(config, "__dict__")
    return found


def _shown_config(config: ConfigBase) -> ConfigBase:
    """Return the configuration that a view shows; a plain configuration itself."""
    view = attributes(config).get(VIEW)
    shown: ConfigBase = config if view is None else view.config
    return shown


def _refuse_change(config: ConfigBase, name: str) -> None:
    view = attributes(config).get(VIEW)
    if view is not None:
        raise read_only_error(view.prefix + name)


def read_only_error(name: str) -> ConfigChangedError:
    """Return the error for a reactor that tries to change a parameter."""
    return ConfigChangedError(
        f"A reactor tried to change parameter {name!r}; inside reactors the configuration is read-only. "
        f"Work on a copy (copy.deepcopy makes a plain one), send the value as an ingredient, or change the "
        f"configuration before the run."
    )


# ---------------------------------------------------------------------- what is a parameter

_CODE = (types.FunctionType, classmethod, staticmethod, property, cached_property)


def find_code(config: ConfigBase, name: str) -> Any:
    """Return the method or property that ``config.name`` evaluates to or runs, if any."""
    for base in type(config).__mro__:
        kind = vars(base).get(name, MISSING)
        if kind is not MISSING:
            if not isinstance(kind, _CODE):
                return None
            # A cached_property stores its value in the object, under its own name, and is computed all the same. A
            # function is not called if the object has an attribute of its name, which Python finds first.
            computed = isinstance(kind, property | cached_property)
            return kind if computed or name not in attributes(config) else None
    return None


def stored_value(config: ConfigBase, name: str) -> Any:
    """Return the value of an attribute, whether stored in the object, a slot, a descriptor or the class."""
    try:
        return object.__getattribute__(config, name)
    except AttributeError:
        return MISSING


def code_value(kind: Any, cls: type) -> Any:
    """Return the value that counts for a method: its function, with the class if the code looks at the class."""
    function: Any
    # The getter alone: inside reactors, where nothing can be set, the setter never runs.
    if isinstance(kind, property):
        function = kind.fget
    elif isinstance(kind, cached_property):
        function = kind.func
    else:
        function = getattr(kind, "__func__", kind)
    code = getattr(function, "__code__", None)
    names = () if code is None else (*code.co_names, *code.co_freevars)  # super() has a variable __class__
    sees_class = isinstance(kind, classmethod) or "type" in names or "__class__" in names
    return types.MethodType(function, cls) if sees_class else function


def missing_parameter_error(name: str, known: Iterable[str]) -> MissingParameterError:
    """Return the error for a parameter that does not exist, with similar names."""
    known = list(known)
    last = name.rpartition(".")[2]
    by_last = {full.rpartition(".")[2]: full for full in known}
    close = (
        near_misses(last, known)
        or [by_last[step] for step in near_misses(last, by_last)]
        or near_misses(name, known)
    )
    hint = (
        f" Did you mean {' or '.join(map(repr, close))}?" if close else " Set it with plant.set_config(...)."
    )
    return MissingParameterError(f"The configuration has no parameter {name!r}.{hint}")


def class_attribute(cls: type, name: str) -> Any:
    """Return the value that counts for an attribute of a class, or for the whole class if ``name`` is empty."""
    if not name:
        return cls
    for base in cls.__mro__:
        if name in vars(base):
            kind = vars(base)[name]
            return code_value(kind, cls) if isinstance(kind, _CODE) else kind
    return MISSING


def own_parameters(config: ConfigBase) -> dict[str, Any]:
    """Return the parameters of a configuration object; a nested configuration is one value."""
    # In the order in which the user wrote them, those of base classes first.
    names: dict[str, None] = {}
    for base in reversed(type(config).__mro__):
        if base not in (object, ConfigBase):
            names.update((name, None) for name in vars(base) if not name.startswith(("__", "_abc_")))
    names.update((name, None) for name in attributes(config) if name not in _OWN)
    values = {name: stored_value(config, name) for name in names if find_code(config, name) is None}
    return {name: value for name, value in values.items() if value is not MISSING}


def is_nested(value: Any) -> bool:
    """Return whether a value is a nested configuration, whose values are parameters of their own.

    A dictionary is one if it has few keys and each can be part of a dotted name.
    """
    # Exact types: a subclass may compute its items, or have more state than them.
    if type(value) is NestedDict:
        return True
    if type(value) in (dict, ConfigDict):
        return len(value) <= _MOST_NAMES and all(map(_can_be_step, value))
    return isinstance(value, ConfigBase)


def _can_be_step(key: Any) -> bool:
    return type(key) is str and key != "" and "." not in key and key[-1] not in "?)"


_QUOTED = str.maketrans({sign: f"%{ord(sign):02X}" for sign in "%.?)"})


def quoted(key: Any) -> str:
    """Quote a key or attribute for a recorded name, in which ``.``, ``?`` and ``)`` have a meaning."""
    text = str.__str__(key) if isinstance(key, str) else str(key)
    return text if text.isidentifier() else text.translate(_QUOTED)


def unquoted(name: str) -> str:
    """Undo :func:`quoted`, for a whole recorded name or one step of it."""
    if "%" not in name:
        return name
    for sign in ".?)%":  # "%" last, since the result may look like another quoted sign
        name = name.replace(f"%{ord(sign):02X}", sign)
    return name


def child(owner: Any, name: str) -> Any:
    """Return the value under a name in a configuration, mapping or object, else :data:`MISSING`."""
    if isinstance(owner, ConfigBase):
        return MISSING if find_code(owner, name) is not None else stored_value(owner, name)
    if isinstance(owner, Mapping):
        return owner.get(name, MISSING) if name in owner else MISSING
    # Fields of slotted classes are in no __dict__. Other attributes, such as properties, are not stored in the object.
    is_field = name in getattr(type(owner), "__dataclass_fields__", ()) or any(
        field.name == name for field in getattr(type(owner), "__attrs_attrs__", ())
    )
    if is_field or name in (getattr(owner, "__dict__", None) or ()):
        return getattr(owner, name, MISSING)
    return MISSING


def special_methods(cls: type) -> list[str]:
    """Return the special methods that the user wrote. Python calls them without a lookup on the view."""
    return sorted({name for name, value in _special(cls) if is_written(value)})


def _special(cls: type) -> Iterable[tuple[str, Any]]:
    return [
        (name, value)
        for base in cls.__mro__
        if base not in (object, ConfigBase)
        for name, value in vars(base).items()
        if name.startswith("__") and name not in _CONSTRUCTION
    ]


def is_written(value: object) -> bool:
    """Return whether the user wrote a function. Methods generated by dataclasses and attrs follow from the fields."""
    if getattr(value, "__module__", None) == "dataclasses":  # ``__replace__``, new in Python 3.13
        return False
    filename = getattr(innermost_code(value), "co_filename", "<string>")
    return filename != "<string>" and not filename.startswith("<attrs generated ")


def innermost_code(value: object) -> types.CodeType | None:
    """Return the code of a function inside its wrappers; ``None`` for other objects."""
    while isinstance(value, types.FunctionType) and hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return value.__code__ if isinstance(value, types.FunctionType) else None


def generated_code(cls: type) -> frozenset[types.CodeType]:
    """Return the code of the special methods that were generated from the fields of a class."""
    found = (innermost_code(value) for _, value in _special(cls) if not is_written(value))
    return frozenset(code for code in found if code is not None)


# ---------------------------------------------------------------------- helpers


def name_list(names: Iterable[str]) -> list[str]:
    """Return a list of names; a single string is refused as a likely mistake."""
    if isinstance(names, str):
        message = f"Give a list of names: [{names!r}]."
        raise ConfigError(message)
    return list(names)


_IMMUTABLE: tuple[type, ...] = (type(None), bool, int, float, complex, str, bytes, type, types.FunctionType)


def private_copy(value: Any, copier: Callable[[Any], Any] = copy.deepcopy) -> Any:
    """Return a copy that the receiver may change; an object that cannot be copied is returned as it is."""
    if isinstance(value, _IMMUTABLE):
        return value
    # Also a value that cannot be copied must reach the reactor: it may only read it.
    try:
        return copier(value)
    except Exception:  # noqa: BLE001 - a user's __deepcopy__ may raise anything
        return value
