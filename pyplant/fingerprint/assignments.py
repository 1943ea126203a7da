"""Attributes of installed modules and classes that user code assigns, by the packages that they belong to.

``json.JSONEncoder.default = f`` and ``PIL.Image.MAX_IMAGE_PIXELS = None`` change what a whole package does, also where no
code names the attribute: :func:`json.dumps` calls the method. So what is assigned counts for all code that refers to the
package, and a method for all code that mentions its name. The names come from the text of the loaded user modules and
cells, and the values from the classes and modules themselves. So a text that only looks like an assignment does no harm.

Statements that change installed code otherwise are read from the same texts (:mod:`pyplant.fingerprint.module_effects`).

Of ``sys`` only the attributes count that code names: its others belong to the process.
"""

from __future__ import annotations

import functools
import itertools
import linecache
import re
import sys
import sysconfig
import types
from collections.abc import Collection, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from pyplant._missing import MISSING
from pyplant.fingerprint.attributes import (
    class_namespace,
    module_of,
    namespace,
    qualname_of,
    static_attribute,
)
from pyplant.fingerprint.installed_names import is_users_class
from pyplant.fingerprint.module_effects import Effect, effects_in
from pyplant.fingerprint.origin import (
    LOADED,
    find,
    followed,
    is_own_file,
    is_user_module,
    leads_to_user_code,
    package_name,
)

__all__ = [
    "Attribute",
    "AttributeName",
    "adopt_attributes",
    "assigned_attributes",
    "assigned_effects",
    "attribute_names",
    "entries",
    "is_assigned",
    "is_assigned_name",
    "package_of",
    "refresh",
]

_NAME = r"[^\W\d]\w*"
_ASSIGNMENT = re.compile(rf"^[ \t]*({_NAME}(?:\.{_NAME})+)[ \t]*(?::[^=\n]+)?=(?!=)", re.MULTILINE)
_SETATTR = re.compile(rf"setattr\(\s*({_NAME}(?:\.{_NAME})*)\s*,\s*[\"']({_NAME})[\"']")
_ONLY_IF_NAMED = frozenset(["builtins", "sys"])
_OF_PROCESS = frozenset(["displayhook", "path", "stderr", "stdin", "stdout"])
_USUAL_PLACES = tuple(map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")))
_SCALARS = (type(None), bool, int, float, complex, str, bytes)
_CALLABLES = (
    *(types.FunctionType, types.BuiltinFunctionType, type, functools.partial, type(functools.cache(len))),
    *(staticmethod, classmethod, property, types.MethodType),
)


class AttributeName(NamedTuple):
    """An attribute of an installed module or class, by the names of its module, of its class, and its own."""

    module: str
    class_name: str
    name: str


class Attribute(NamedTuple):
    """An attribute of an installed module or class.

    Attributes
    ----------
    holder
        The module or class.
    name
        The name of the attribute.
    """

    holder: Any
    name: str

    @property
    def owner(self) -> str:
        """The full name of the holder."""
        is_class = issubclass(type(self.holder), type)
        return f"{module_of(self.holder)}.{qualname_of(self.holder)}" if is_class else self.holder.__name__

    @property
    def package(self) -> str:
        """The package that the holder belongs to."""
        return package_of(self.holder)

    @property
    def label(self) -> str:
        """A name that does not change if the package moves the holder to another of its modules."""
        return f"{self.package} {self.owner.rpartition('.')[2]}.{self.name}"

    def is_used_by(self, packages: Collection[str], names: Collection[str]) -> bool:
        """Return whether code uses the attribute, given the packages that it refers to and all names in it."""
        if self.package in packages and self.counts_for_package:
            return True
        return self.name in names and issubclass(type(self.holder), type)

    @property
    def counts_for_package(self) -> bool:
        """Whether the attribute counts for all code that refers to its package."""
        return self.package not in _ONLY_IF_NAMED

    def value(self) -> Any:
        """Return the present value if it is code, a number or a text, else :data:`MISSING`."""
        value = entries(self.holder).get(self.name, MISSING)
        counts = isinstance(value, _SCALARS) or issubclass(type(value), _CALLABLES)
        return value if counts or is_users_class(type(value)) else MISSING

    def is_original(self, value: Any) -> bool:
        """Return whether a function or class is what the package has under this name without the user.

        It may come from compiled code that names no module, or from another module of the standard library (``os.stat``
        from ``posix``). Otherwise it would count in a process that has read the text of a test that replaces it.
        """
        value = value.__func__ if type(value) is types.MethodType else value
        full = (
            qualname_of(value) if issubclass(type(value), type) else static_attribute(value, "__qualname__")
        )
        name = full.rpartition(".")[2] if type(full) is str else ""
        source = package_of(value)
        is_own = source in ("", "builtins", self.package) or {source, self.package} <= sys.stdlib_module_names
        return name == self.name and is_own


_all: list[Attribute] = []
_effects: dict[str, Mapping[Any, Effect]] = {}  # by module, ``"In"`` for cells, and by what they set
_sorted_effects: tuple[Effect, ...] = ()
_seen: dict[str, tuple[Any, Any]] = {}  # the user modules that were read, with their execution (``__spec__``)
_last = ""  # the module that was loaded last, at the last look
_cells = 0
_of_program: tuple[AttributeName, ...] | None = None  # in a worker
_version = 0  # changes with _all


def assigned_attributes() -> Sequence[Attribute]:
    """Return the attributes of installed code that user code assigns."""
    return _all


def assigned_effects() -> tuple[Effect, ...]:
    """Return the statements of user modules and cells that change installed code."""
    return _sorted_effects


def attribute_names() -> tuple[AttributeName, ...]:
    """Return the names of all of them, for a worker."""
    refresh()
    return tuple(
        AttributeName(module_of(holder), qualname_of(holder), name)
        if issubclass(type(holder), type)
        else AttributeName(holder.__name__, "", name)
        for holder, name in _all
    )


def adopt_attributes(names: tuple[AttributeName, ...], effects: tuple[Effect, ...]) -> None:
    """Let those of a program count, and read no text: a worker has other modules loaded, and fingerprints must be the same."""
    global _of_program, _sorted_effects, _version
    if names != _of_program or effects != _sorted_effects:
        _of_program, _sorted_effects = names, effects
        _all.clear()
        _version += 1


def is_assigned(holder: Any, name: str) -> bool:
    """Return whether user code assigns an attribute of a module or class, and its value counts where it is named."""
    if holder is sys and name in _OF_PROCESS:
        return False
    return _is_known(holder, name)


def is_assigned_name(owner: str, name: str) -> bool:
    """Return whether user code assigns the attribute with this name of its holder and of its own."""
    return any(each.owner == owner and each.name == name for each in _all)


def entries(holder: Any) -> Mapping[str, Any]:
    """Return the namespace of a module or class; an empty one for other objects."""
    if issubclass(type(holder), type):
        found: Mapping[str, Any] = class_namespace(holder)
        return found
    return (namespace(holder) or {}) if issubclass(type(holder), ModuleType) else {}


def package_of(value: Any) -> str:
    """Return the package of a module, class or function, or of the class of another object."""
    if issubclass(type(value), ModuleType):
        return package_name(value.__name__)
    if issubclass(type(value), type):
        return package_name(module_of(value))
    if type(value) is types.MethodType:
        value = value.__func__
    name = static_attribute(value, "__module__")
    if type(name) is not str and type(value) is types.BuiltinMethodType:  # random.random, of an object
        value = value.__self__
    return package_name(name if type(name) is str else module_of(type(value)))


def refresh() -> int:
    """Read the text of user modules and cells that were loaded or executed again since the last call.

    Returns
    -------
    version
        Another number if other attributes count than at the last call.
    """
    if _of_program is None:
        _read_texts()
    else:
        for module, class_name, name in _of_program:
            holder = find(LOADED.get(module), class_name) if class_name else LOADED.get(module)
            if holder is not None:  # else its library is not loaded yet
                _add(holder, name)
    return _version


def _read_texts() -> None:
    global _last, _cells
    main = entries(LOADED.get("__main__"))
    cells = main.get("In")
    if type(cells) is list:  # of a notebook
        for text in cells[_cells:]:
            _read(text, main)
            if type(text) is str:
                later = {each.key: each for each in effects_in(text, "__main__", main)}
                earlier = _effects.get("In", {})
                _set_effects("In", {key: earlier[key] for key in earlier if key not in later} | later)
        _cells = len(cells)
    loaded = tuple(LOADED)  # in one step, since other threads import meanwhile
    names = {*_seen, *(itertools.takewhile(_last.__ne__, reversed(loaded)))}
    _last = loaded[-1]
    for name in names:
        module = LOADED.get(name)
        own = vars(module) if type(module) is ModuleType else entries(module)
        filename, spec = own.get("__file__"), own.get("__spec__")
        known, known_spec = _seen.get(name, (None, None))
        is_known = known is module and known_spec is spec
        if type(filename) is not str or is_known or _is_in_usual_place(filename):
            continue
        if module is not None and is_user_module(module):
            _seen[name] = module, spec
            linecache.checkcache(filename)  # it may have the text from before a reload
            text = "".join(linecache.getlines(filename, dict(own)))
            _read(text, own)
            _set_effects(name, dict(enumerate(effects_in(text, name, own))))


def _is_in_usual_place(filename: str) -> bool:
    """Return whether a file is where installed code usually is, which takes no look at the disk."""
    return is_own_file(filename) or (filename.startswith(_USUAL_PLACES) and not followed())


def _read(text: Any, variables: Mapping[str, Any]) -> None:
    if type(text) is not str:
        return
    chains = [*_ASSIGNMENT.findall(text), *map(".".join, _SETATTR.findall(text))]
    for chain in dict.fromkeys(chains):
        root, *steps, name = chain.split(".")
        holder = variables.get(root, LOADED.get(root))
        for step in steps:
            holder = entries(holder).get(step, MISSING)
        if _is_installed(holder):
            _add(holder, name)


def _set_effects(source: str, effects: Mapping[Any, Effect]) -> None:
    global _sorted_effects, _version
    _effects[source] = effects
    # In the order of execution within a module; the order of modules does not depend on who imports which first.
    found = tuple(dict.fromkeys(each for name in sorted(_effects) for each in _effects[name].values()))
    if found != _sorted_effects:
        _sorted_effects = found
        _version += 1


def _add(holder: Any, name: str) -> None:
    global _version
    if not _is_known(holder, name):
        _all.append(Attribute(holder, name))
        _version += 1


def _is_known(holder: Any, name: str) -> bool:
    return any(each.holder is holder and each.name == name for each in _all)


def _is_installed(holder: Any) -> bool:
    if issubclass(type(holder), type | ModuleType) and package_of(holder) == "pyplant":
        return False
    if issubclass(type(holder), type):
        return not is_users_class(holder)
    return issubclass(type(holder), ModuleType) and not leads_to_user_code(holder)
