"""The parameters of a plant: their values, marks as auxiliary, and variations in sweeps.

Parameters are looked up by name, those of nested configurations with dots. A reactor may also read
things that are no parameters, such as the set of names. They have recorded names, which
:mod:`pyplant.config.views` lists.

Two kinds of names occur here. The user writes ``"model.depth"``; if the configuration has a key of that
very name, the key is meant. A *recorded* name is one path, with the special signs in it quoted.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from pyplant._missing import MISSING
from pyplant.config.classes import (
    AUXILIARY,
    ConfigBase,
    ConfigReader,
    NestedDict,
    attributes,
    child,
    class_attribute,
    code_value,
    find_code,
    is_nested,
    missing_parameter_error,
    name_list,
    own_parameters,
    quoted,
    unquoted,
)
from pyplant.config.views import (
    ALL_NAMES,
    CLASS_SUFFIX,
    DIR_NAMES,
    KIND,
    dir_names,
    names_of,
    nested_kind,
    value_for_reactor,
    view_of,
)
from pyplant.errors import ConfigError

__all__ = ["Parameters"]


class Parameters:
    """The configuration of a plant, and the parameters marked as auxiliary.

    Attributes
    ----------
    source
        The configuration; empty until one is set.
    is_set
        Whether one was set.
    mark_count
        The number of calls that marked parameters as auxiliary.
    """

    def __init__(self) -> None:
        self.source: dict[str, Any] | ConfigBase = {}
        self.is_set = False
        self.mark_count = 0
        self._marked: set[str] = set()

    def set(self, config: Mapping[str, Any] | ConfigBase) -> None:
        """Use this configuration from now on; later runs notice changes inside it.

        Raises
        ------
        pyplant.errors.ConfigError
            If it is neither a mapping with text keys nor a ``ConfigBase`` object.
        """
        if isinstance(config, type) and issubclass(config, ConfigBase):
            message = f"set_config needs an object: write set_config({config.__name__}())."
            raise ConfigError(message)
        if not isinstance(config, ConfigBase | Mapping):
            message = (
                f"A configuration is a dict or a ConfigBase object, not {type(config).__name__}. Derive its class from "
                f"ConfigBase, or give its parameters as a dict: set_config(vars(config)) for most objects."
            )
            raise ConfigError(message)
        if not isinstance(config, ConfigBase):
            strange = [key for key in config if not isinstance(key, str)]
            if strange:
                message = f"Parameter names are strings; {strange[0]!r} is {type(strange[0]).__name__}."
                raise ConfigError(message)
        # Not copied: changes that the user makes in place count from the next run on.
        self.source = config if isinstance(config, ConfigBase | dict) else dict(config)
        self.is_set = True

    def snapshot(self) -> Parameters:
        """Return a copy of the configuration as it is now, for one run; values are shared."""
        # Marks are shared and not copied: to mark a parameter takes effect at once. Values are shared, since they may be
        # large; reactors get copies of them (private_copy).
        other = Parameters()
        other._marked, other.is_set = self._marked, self.is_set
        other.source = _snapshot(self.source, {}, dict)
        return other

    def view(self, reader: ConfigReader) -> Any:
        """Return the view of the configuration for a reactor."""
        return view_of(self.source, reader)

    # ------------------------------------------------------------------ looking up

    def lookup(self, name: str) -> Any:
        """Return the value that a reactor would read under this recorded name, else :data:`MISSING`.

        See :mod:`pyplant.config.views` for recorded names that are no parameters.
        """
        # KIND has no owner before it, since the whole configuration has no name.
        if name == KIND:
            return nested_kind(self.source)
        # Signs in keys are quoted in recorded names, so each dot is a step.
        above, _, last = name.rpartition(".")
        return self._look_up_in(self._find_recorded(above), last, f"{above}." if above else "")

    def _find_recorded(self, name: str) -> Any:
        """Return the value under a recorded name; the whole configuration if the name is empty."""
        found: Any = self.source
        for part in name.split(".") if name else ():
            found = child(found, unquoted(part))
        return found

    def classes_below(self, name: str) -> list[type]:
        """Return the classes of the object whose method this name records, and of its nested configurations."""
        above = name.rpartition(".")[0]
        prefix = f"{unquoted(above)}." if above else ""
        parts = {"": self._find_recorded(above)} | {
            part: value for part, value in self.parts().items() if part.startswith(prefix)
        }
        return [type(value) for value in parts.values() if isinstance(value, ConfigBase)]

    def object_prefix(self, name: str) -> str | None:
        """Return the prefix of names read from the object that this read returned; ``None`` if it returned none."""
        above = "" if name == KIND else name
        if not isinstance(self.source, ConfigBase) and not above:
            return None
        if name.endswith((")", "?")) and name != KIND:
            return None
        return (f"{above}." if above else "") if isinstance(self._find_recorded(above), ConfigBase) else None

    def _look_up_in(self, owner: Any, last: str, prefix: str) -> Any:
        is_object = isinstance(owner, ConfigBase)
        # An object that is a value: a reactor reads it as a whole, and a sweep may vary a field of it.
        if not is_nested(owner) and owner is not self.source:
            return _value_or_kind(owner, unquoted(last))
        if last == ALL_NAMES:
            return self._without_auxiliary(names_of(owner, is_top=not prefix), prefix)
        if last == DIR_NAMES:
            return self._without_auxiliary(dir_names(owner), prefix) if is_object else MISSING
        if last.endswith(CLASS_SUFFIX):
            return (
                class_attribute(type(owner), last.removesuffix(CLASS_SUFFIX).rstrip())
                if is_object
                else MISSING
            )
        if last.endswith("?"):
            return MISSING if child(owner, unquoted(last[:-1])) is MISSING else True
        if last.endswith("()"):
            kind = find_code(owner, unquoted(last[:-2])) if is_object else None
            return MISSING if kind is None else code_value(kind, type(owner))
        return _value_or_kind(owner, unquoted(last))

    def _without_auxiliary(self, names: Iterable[str], prefix: str) -> list[str]:
        # Else adding an auxiliary parameter would rerun each reactor that iterates over the configuration.
        return [name for name in names if not self.is_auxiliary(prefix + quoted(name))]

    def value(self, name: str) -> Any:
        """Return the value of a parameter or nested configuration, else :data:`MISSING`."""
        if self._is_key(name):
            return self.source[name]
        found: Any = self.source
        for part in name.split("."):
            found = child(found, part)
        return found

    def read(self, name: str, reader: ConfigReader) -> Any:
        """Read a parameter or nested configuration for a reactor; :data:`MISSING` if there is none."""
        # A dictionary may have the key "a.b" as well as a nested "a" with "b"; the key is what the user set.
        value, is_key = self.value(name), self._is_key(name)
        if is_key and "." in name:
            return reader.read(quoted(name), value)
        if "." in name and not isinstance(self.source, ConfigBase):
            reader.absent(quoted(name))  # a key of this name would take precedence, so its absence counts
        if value is MISSING:
            # Absence is a dependency: the reactor may run differently once there is such a parameter.
            reader.absent(self.recorded(name))
            return value
        return value_for_reactor(value, reader, self.recorded(name))

    def recorded(self, name: str) -> str:
        """Return the recorded name of a parameter, given the name that the user writes."""
        return quoted(name) if self._is_key(name) else _dotted(name)

    def _is_key(self, name: str) -> bool:
        return not isinstance(self.source, ConfigBase) and name in self.source

    def names(self) -> list[str]:
        """Return the names of all parameters, nested ones with dots."""
        return sorted(name for name, _, is_leaf in self._walk() if is_leaf)

    def parts(self) -> dict[str, Any]:
        """Return all nested configurations, by name."""
        return {name: value for name, value, is_leaf in self._walk() if not is_leaf}

    def _walk(self) -> Iterator[tuple[str, Any, bool]]:
        """Yield all names and values, and whether each is a parameter; cycles are entered once."""
        # The identities are those of the way down only: one part in two places has two names, and both count.
        stack: list[tuple[str, Any, frozenset[int]]] = [("", self.source, frozenset({id(self.source)}))]
        while stack:
            prefix, owner, above = stack.pop()
            for name in names_of(owner):
                value = owner[name] if isinstance(owner, dict) else child(owner, name)
                is_leaf = not is_nested(value) or ("." in name and not prefix)
                if is_leaf or id(value) not in above:
                    yield prefix + name, value, is_leaf
                if not is_leaf and id(value) not in above:
                    stack.append((f"{prefix}{name}.", value, above | {id(value)}))

    # ------------------------------------------------------------------ other values

    def varied(self, values: Mapping[str, Any], read: Collection[str] = ()) -> Parameters:
        """Return a copy in which some parameters have other values; nothing of this one is changed.

        Parameters
        ----------
        values
            The values by name; names of nested parameters have dots.
        read
            Parameters that code reads, though the configuration may not have them.

        Raises
        ------
        pyplant.errors.MissingParameterError
            If the configuration has no such parameter and no code reads it.
        pyplant.errors.ConfigError
            If a method or property computes the parameter, or if it is an attribute of a class.
        """
        self.check(values, read)
        other = Parameters()
        other._marked = self._marked
        other.source, other.is_set = self.source, True
        # A part is set after the whole that contains it, which would replace it.
        for name, value in sorted(values.items(), key=lambda item: item[0].count(".")):
            path = [name] if self._is_key(name) else name.split(".")
            other.source = _replaced(other.source, path, value, name)
        return other

    def check(self, names: Iterable[str], read: Collection[str] = ()) -> None:
        """Refuse names of unknown parameters; see :meth:`varied`."""
        for name in names:
            if name not in read and self.value(name) is MISSING:
                raise missing_parameter_error(name, self.known(read))

    def known(self, read: Collection[str] = ()) -> list[str]:
        """Return the names of all parameters and nested configurations, and of parameters that code reads."""
        return sorted({*self.names(), *self.parts(), *read})

    # ------------------------------------------------------------------ auxiliary parameters

    def mark_auxiliary(self, names: Iterable[str]) -> None:
        """Mark parameters whose change must not rerun anything."""
        self._marked.update(name_list(names))
        self.mark_count += 1

    def is_auxiliary(self, name: str) -> bool:
        """Return whether a recorded name is marked, on the plant or in the configuration object."""
        return bool(self.covering_mark(name))

    def covering_mark(self, name: str) -> str:
        """Return the mark that covers a recorded name, or ``""``.

        A mark on a nested configuration covers all of it.
        """
        if self._marked and unquoted(name) in self._marked:
            return unquoted(name)
        config: Any = self.source
        if not self._marked and not isinstance(config, ConfigBase) and "." not in name:
            return ""  # as in most configurations
        # First the marks of the plant, then those of each configuration object on the way to the parameter.
        # What is not a value is covered by the mark on what it is about: the code of an auxiliary method, for example.
        name = _parameter_of(name)
        found = _covering_mark(self._marked, name)
        above = ""
        while not found and name and (config is self.source or is_nested(config)):
            if isinstance(config, ConfigBase):
                own = _covering_mark(attributes(config).get(AUXILIARY, ()), name)
                found = own and above + own
            head, _, name = name.partition(".")
            above = f"{above}{unquoted(head)}."
            config = child(config, unquoted(head)) if name else None
        return found

    def marks(self) -> dict[str, None]:
        """Return all marked names, those in nested configurations with dots, in a stable order."""
        found = dict.fromkeys(sorted(self._marked))
        for prefix, config in {"": self.source, **self.parts()}.items():
            if isinstance(config, ConfigBase):
                own = sorted(attributes(config).get(AUXILIARY, ()))
                found.update((f"{prefix}.{name}".lstrip("."), None) for name in own)
        return found


def _parameter_of(name: str) -> str:
    """Return the parameter or nested configuration that a recorded name is about."""
    if name[-1:] not in (")", "?"):
        return name
    for listed in (ALL_NAMES, DIR_NAMES, CLASS_SUFFIX):
        if name.endswith(listed):
            return name[: -len(listed)].rstrip().removesuffix(".")
    return name.removesuffix("()").removesuffix("?")


def _covering_mark(marks: Collection[str], name: str) -> str:
    """Return the mark on a parameter, or on a nested configuration that contains it, or ``""``."""
    if not marks:
        return ""
    while name and unquoted(name) not in marks:
        name = name.rpartition(".")[0]
    return unquoted(name)


def _dotted(name: str) -> str:
    return name if name.isidentifier() else ".".join(map(quoted, name.split(".")))


def _value_or_kind(owner: Any, key: str) -> Any:
    value = child(owner, key)
    return nested_kind(value) if is_nested(value) and "." not in key else value


def _snapshot(config: Any, made: dict[int, Any], dict_type: type[dict[str, Any]] = NestedDict) -> Any:
    """Copy a configuration and its nested ones; ``made`` has the copies so far, by identity."""
    if id(config) in made:  # a configuration may contain itself, or one part in two places
        return made[id(config)]
    if isinstance(config, ConfigBase):
        # Entered before its parts are copied, which may contain it.
        found = made[id(config)] = copy.copy(config)
        for name, value in own_parameters(config).items():
            if is_nested(value):
                object.__setattr__(found, name, _snapshot(value, made))
        return found
    names = made[id(config)] = dict_type()
    for name, value in config.items():
        is_entered = is_nested(value) and (dict_type is NestedDict or "." not in name)
        names[name] = _snapshot(value, made) if is_entered else value
    return names


def _replaced(owner: Any, path: list[str], value: Any, full: str) -> Any:
    """Copy a configuration along a path, with another value at its end; all else is shared."""
    first, *rest = path
    if isinstance(owner, type):
        above = full.removesuffix("." + ".".join(path))
        message = (
            f"{full!r} cannot be varied: {above!r} is the class {owner.__name__}, whose attributes all configurations "
            f"share. Make it an object: {above} = {owner.__name__}()."
        )
        raise ConfigError(message)
    if isinstance(owner, ConfigBase) and find_code(owner, first) is not None:
        message = f"{full!r} is computed by the configuration's class; vary what it is computed from."
        raise ConfigError(message)
    if rest:
        # A part that does not exist is created: code may read it although the configuration does not have it yet.
        inner = child(owner, first)
        value = _replaced({} if inner is MISSING else inner, rest, value, full)
    if not isinstance(owner, ConfigBase | Mapping) and child(owner, first) is MISSING:
        raise missing_parameter_error(full, ())
    if isinstance(owner, Mapping):
        made = copy.copy(owner) if isinstance(owner, dict) else dict(owner)
        made[first] = value
        return made
    made = copy.copy(owner)  # object.__setattr__ below, since frozen dataclasses refuse setattr()
    object.__setattr__(made, first, value)
    return made
