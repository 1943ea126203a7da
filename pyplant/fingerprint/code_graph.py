"""The content of one node of the graph: what a function, class, module or value consists of.

A :class:`~pyplant.fingerprint.graph_node.GraphNode` is local: what it refers to appears as edges, not
as content, so that code may be mutually recursive. :mod:`pyplant.fingerprint.fingerprint` joins
the nodes into one digest.

What counts
-----------
- A function: its part (:mod:`pyplant.fingerprint.source`), its default values, its closure,
  its attributes, the function that it wraps, and every global and imported name that it mentions.
- A class: its bases and what its body defines, annotations included. Generated methods and what the
  interpreter adds do not count.
- Names, docstrings and annotations of functions: only if code reads them
  (:mod:`pyplant.fingerprint.metadata`).
- A module that is used as a value, and not only by its attributes: everything it defines.
- Any other value: its canonical encoding (:mod:`pyplant.fingerprint.digest`).
- Installed code: its name. If an installed function wraps a user's function, the latter is followed.

Names in ``state`` (they change while reactors run) are left out.

How names are followed
----------------------
A reference is a chain such as ``numpy.linalg.norm``. It is followed through user modules to the object
at its end, so that a function depends on ``helpers.f`` and not on all of ``helpers``. It stops at the
first object that is not a user module. Every namespace entry on the way is watched, absent entries included:
a name that is defined later would change what the code does.
"""

from __future__ import annotations

import builtins
import enum
import types
import weakref
from collections.abc import Callable
from functools import partial
from types import CellType, FunctionType, ModuleType
from typing import Any

from pyplant._missing import MISSING, NOTHING
from pyplant.engine.trace import Note
from pyplant.errors import PlantError
from pyplant.fingerprint.assignments import is_assigned, package_of
from pyplant.fingerprint.attributes import module_of, qualname_of, safe_getattr, static_attribute
from pyplant.fingerprint.class_members import (
    members,
    names_in_annotations,
    registrations,
    users_registered,
    watched_names,
)
from pyplant.fingerprint.digest import digest_bytes, encode
from pyplant.fingerprint.enum_members import enum_watches
from pyplant.fingerprint.expressions import UNKNOWN
from pyplant.fingerprint.found_names import OF_SHELL, add_any_global, add_found_by_alias, names_in_texts
from pyplant.fingerprint.graph_node import (
    CodeReference,
    GraphNode,
    Leaf,
    NodeKind,
    Watch,
    cell_content,
    shorten,
    unchanged_test,
)
from pyplant.fingerprint.held_objects import encoded_with_test
from pyplant.fingerprint.hints import CONFIG_NAMES, resolved
from pyplant.fingerprint.installed_names import installed_name, is_users_class
from pyplant.fingerprint.metadata import kind_read, metadata
from pyplant.fingerprint.mocks import mock_behind
from pyplant.fingerprint.node_scope import SCALAR_TYPES, NodeScope, PartialValue, StateNames, is_immutable
from pyplant.fingerprint.origin import (
    LOADED,
    absolute_name,
    import_user_module,
    is_installed_module,
    is_own_file,
    is_user_module,
    is_users_function,
    leads_to_user_code,
    package_name,
)
from pyplant.fingerprint.past_values import PastValue
from pyplant.fingerprint.patches import (
    accessors,
    add_assigned,
    add_assigned_to,
    add_patches,
    is_only_installed,
    users_part,
)
from pyplant.fingerprint.source import CodePart

__all__ = ["NodeBuilder"]


_SHELLS = frozenset(["IPython", "ipykernel"])
# What the import system keeps in a module.
_IGNORED_IN_MODULE = frozenset(
    [
        *("__name__", "__doc__", "__file__", "__cached__", "__loader__", "__spec__", "__package__"),
        *("__builtins__", "__annotations__", "__path__", "__warningregistry__"),
    ]
)
_WEAK = (weakref.WeakKeyDictionary, weakref.WeakValueDictionary, weakref.WeakSet)
_ORDERING_OBJECTS = 100  # in the key of a function in a set; the key only has to order the set
_CALLED_BY_PLANT = frozenset(["__pyplant_reactor__", "__pyplant_wrapped__"])
"""Marks of reactors, and of functions that reactors wrap.

The plant passes the pipework and the configuration only, so their other parameters have their defaults.
"""


class NodeBuilder:
    """Builds the graph node of an object.

    Parameters
    ----------
    part
        Returns the part of a code object, given the globals of its function.
    state
        Pairs of owner and name to leave out.
    version
        Returns the version of an installed package if it counts besides the name, else ``""``.
    """

    def __init__(
        self,
        part: Callable[[types.CodeType, dict[str, Any]], CodePart],
        state: set[tuple[str, str]],
        version: Callable[[str], str],
    ) -> None:
        self._part = part
        self._state = StateNames(state)
        self._version = version
        self._follows_code = True
        self._ordering_keys: dict[int, tuple[Any, str]] = {}

    def __call__(self, obj: Any) -> GraphNode:
        """Build the node of any object; an object that raises when it is read counts by its class."""
        try:
            return self._build(obj)
        except (KeyboardInterrupt, PlantError):
            raise
        except BaseException:  # noqa: BLE001 - a class may raise anything when it is read
            name = f"{module_of(type(obj))}.{qualname_of(type(obj))}"
            notes = frozenset([Note("opaque", name)])
            return GraphNode(NodeKind.VALUE, name, b"unreadable:" + name.encode(), notes=notes)

    def _build(self, obj: Any) -> GraphNode:
        cls = type(obj)  # not isinstance(), which asks the object for its class
        if cls is FunctionType:
            # create_autospec() makes functions whose answers are those of a mock.
            mock = mock_behind(obj)
            return self._function(obj) if mock is None else self._value(mock)
        if issubclass(cls, type):
            return self._class(obj)
        if issubclass(cls, ModuleType):
            return self._module(obj)
        if cls is PastValue and not self._follows_code:
            return self._value(obj.value)
        if cls is PastValue:
            return obj.content() or self._build(obj.value)
        if cls is PartialValue:
            return self._value(obj.value, obj.parts)
        return self._value(obj)

    def _ordering_key(self, obj: Any) -> str:
        """Return a key that orders code in a set by content, since its digest is not known at this point."""
        known = self._ordering_keys.get(id(obj))
        if known is not None:
            return known[1]
        self._follows_code = False  # the code may lead to sets of code, and back to this one
        try:
            node = self(obj)
            parts, names = [node.local], [node.local]
            for edge in node.edges:
                target = edge.target
                said = target.text.encode() if type(target) is Leaf else self(target).local
                parts.append(edge.counted.encode() + b"=" + said)
                # First without values, which reactors may change, and which may lead back to this set.
                names.append(parts[-1] if type(target) is Leaf else edge.counted.encode())
        finally:
            self._follows_code = True
        found = digest_bytes(*names) + digest_bytes(*parts)
        self._ordering_keys[id(obj)] = (obj, found)
        return found

    def forget_values(self) -> None:
        """Drop what was concluded from values, which may have changed."""
        self._ordering_keys.clear()

    # ------------------------------------------------------------------ functions

    def _function(self, function: FunctionType) -> GraphNode:
        code, name = function.__code__, f"{function.__module__}.{function.__qualname__}"
        user = is_users_function(function)
        if not user and is_only_installed(function):
            return GraphNode(
                NodeKind.FUNCTION, name, b"installed:" + self._installed_leaf(function).text.encode()
            )
        if user:
            # The part comes without globals, default values and closure: those are edges.
            part = self._part(code, function.__globals__)
            local = b"function:" + part.digest.encode()
        else:
            part = None
            # By its code object: functools.wraps gives a function the name and module of what it wraps.
            package = package_name(function.__globals__.get("__name__"))
            local = f"installed:{package}{self._version(package)}:{code.co_qualname}".encode()
        # Wrapper and wrapped function have one name but different variables, so state needs both names.
        wrapper = code.co_qualname != function.__qualname__
        scope = NodeScope(self._state, f"{name} ({code.co_qualname})" if wrapper else name)
        if part is not None:
            self._add_mentions(scope, function, part)
        # The closure of an installed function counts, since a decorator keeps the user's function there.
        if function.__closure__ and not is_own_file(code.co_filename):
            for variable, cell in zip(code.co_freevars, function.__closure__, strict=False):
                # A weak dictionary of a library is a cache, such as that of functools.singledispatch.
                if user or not issubclass(type(cell_content(cell)), _WEAK):
                    self._cell(scope, variable, cell)
        # Attributes count, since code may read them; PyPlant's own marks do not change what a function does.
        for key in tuple(function.__dict__):
            if not key.startswith("__pyplant"):
                scope.add(f"attribute {key}", scope.watch(function.__dict__, key))
        if part is not None:
            add_found_by_alias(scope, function.__module__, function.__globals__)
        notes = scope.notes
        if part is not None and not part.verified and not code.co_filename.startswith("<"):
            notes = {*notes, Note("source", f"{name}: its file no longer holds the code that runs")}
        return GraphNode(
            NodeKind.FUNCTION,
            name,
            local,
            scope.sorted_edges(),
            scope.watches(),
            unchanged_test(function),
            resolved(part.hints, self._constant_lookup(function, part)) if part is not None else frozenset(),
            frozenset(notes) or NOTHING,
            part.text if part is not None else "",
            reads=NOTHING
            if part is None
            else frozenset(text for kind, text, *_ in part.references if kind == "d") or NOTHING,
        )

    def _add_mentions(self, scope: NodeScope, function: FunctionType, part: CodePart) -> None:
        for space, name, accessor in accessors(function.__code__):
            scope.watch(space, name)
            scope.add(f"accessor {name}", accessor)
        scope.numbered = {
            " ".join(["g", *chain]): (number, use, chain) for number, (use, *chain) in enumerate(part.names)
        }
        for reference in part.references:
            self._reference(scope, function, reference, part)
        for found in names_in_texts(function, part, scope):
            self._reference(scope, function, ("g", found), part)
        add_assigned(scope, function)
        scope.add_names_left_out()
        # Default values are objects that the decorator line created, so they count as objects and not as text.
        for index, value in enumerate(function.__defaults__ or ()):
            scope.add(f"default {index}", value)
        keyword_defaults = function.__kwdefaults__ or {}
        for key in sorted(keyword_defaults):
            scope.add(f"default {key}", scope.watch(keyword_defaults, key))

    def _constant_lookup(self, function: FunctionType, part: CodePart) -> Callable[[str], Any]:
        """Return a lookup for the values that variables of a function have in every call."""
        code = function.__code__
        cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=False))

        def lookup(name: str) -> Any:
            if name in part.rebound or f"nonlocal {name}" in part.rebound:
                found = UNKNOWN
            elif name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
                found = _default(function, name) if _CALLED_BY_PLANT & function.__dict__.keys() else UNKNOWN
            elif name in cells:
                found = cell_content(cells[name])
            elif (function.__module__, name) in self._state.pairs:
                found = UNKNOWN
            else:
                found = function.__globals__.get(name, UNKNOWN)
            return UNKNOWN if found is MISSING else found

        return lookup

    def _cell(self, scope: NodeScope, variable: str, cell: CellType) -> None:
        """Add a closure variable."""
        content = cell_content(cell)
        if content is MISSING:  # the outer function assigns the variable later
            return
        scope.add(f"closure {variable}", content, variable)

    def _reference(
        self, scope: NodeScope, function: FunctionType, reference: tuple[str, ...], part: CodePart
    ) -> None:
        """Add the object that a reference in the text of a function leads to."""
        kind, root, *chain = reference
        label = " ".join(reference)
        if kind == "d":
            return
        if kind == "w":
            add_any_global(scope, function.__module__, function.__globals__)
            return
        if kind == "m":
            self._imported(scope, label, root, chain, function.__globals__.get("__package__"))
            return
        namespace = function.__globals__
        value = scope.watch(namespace, root)
        if value is MISSING:
            known = hasattr(builtins, root)
            # User code may add to the builtins, and replace some.
            patch = scope.watch(vars(builtins), root)
            patch = users_part(patch) if not is_assigned(builtins, root) else patch
            leaf = Leaf(f"builtin {root}" if known else f"undefined {root}")
            scope.add(label, leaf if patch is MISSING else patch, root, function.__module__, chain)
        # Otherwise a function would have one fingerprint in a notebook and another one in a script.
        elif root in OF_SHELL and package_of(value) in _SHELLS:
            scope.add(label, Leaf(f"builtin {root}"), rest=chain)
        else:
            self._follow_attributes(scope, label, value, chain, owner=function.__module__, name=root)

    def _imported(
        self, scope: NodeScope, label: str, name: str, chain: list[str], package: str | None
    ) -> None:
        """Follow an import inside a function. An installed module counts by name, whether loaded or not."""
        # Whether the module is loaded is watched as well: an import that failed may succeed later.
        module = import_user_module(name, package)
        scope.watch(LOADED, absolute_name(name, package))
        if module is None or not leads_to_user_code(module):
            scope.packages.add(package_name(name))
            add_patches(scope, module, chain)
            scope.add(label, Leaf(f"import {name}{self._version(package_name(name))}"))
        elif chain != [""]:
            self._follow_attributes(scope, label, module, chain)

    def _follow_attributes(
        self, scope: NodeScope, label: str, value: Any, chain: list[str], owner: str = "", name: str = ""
    ) -> None:
        """Follow a chain of attributes through user modules, and add the object at its end."""
        rest: list[str] = []
        for index, attribute in enumerate(chain):
            if not leads_to_user_code(value):
                rest = chain[index:]
                add_patches(scope, value, rest)
                break
            owner, name = value.__name__, attribute
            found = scope.watch(vars(value), attribute)
            # The namespace first, then a submodule that is not imported yet, then the module's __getattr__.
            submodule = f"{value.__name__}.{attribute}"
            if found is MISSING:
                found = import_user_module(submodule, None) or MISSING
            # An installed module in a namespace package counts by name, whether it is loaded or not.
            if is_installed_module(found, submodule):
                leaf = Leaf(f"import {submodule}{self._version(package_name(submodule))}")
                scope.add(label, leaf, rest=chain[index + 1 :])
                return
            if found is MISSING:
                found = safe_getattr(value, attribute, MISSING)
            if found is MISSING:
                scope.add(label, Leaf(f"undefined {attribute}"), name, owner)
                return
            value = found
        scope.packages.add(package_of(value))
        scope.add(label, value, name, owner, rest)
        if chain and kind_read(chain[-1]):  # f.__doc__
            for kind, text in metadata(value, frozenset([kind_read(chain[-1])])):
                scope.add(f"{label} {kind}", Leaf(text))

    def _installed_leaf(self, obj: Any) -> Leaf:
        """Return a leaf for an object of an installed package, by package and name."""
        package, _, name = installed_name(obj).partition(":")
        if not name:
            module, name = static_attribute(obj, "__module__"), static_attribute(obj, "__qualname__")
            package = package_name(module if type(module) is str else "")
            name = name if type(name) is str else qualname_of(type(obj))
        return Leaf(f"{package}{self._version(package)}:{name}")

    # ------------------------------------------------------------------ classes

    def _class(self, cls: type) -> GraphNode:
        name = f"{module_of(cls)}.{qualname_of(cls)}"
        if not is_users_class(cls):
            package = package_name(module_of(cls))
            text = f"installed:{package}{self._version(package)}:{qualname_of(cls)}"
            names = users_registered(cls)
            local = "\0".join([text, *names]).encode()
            return GraphNode(NodeKind.CLASS, name, local, unchanged=lambda: users_registered(cls) == names)
        scope = NodeScope(self._state, name)
        # Bases by index, since their order decides the method resolution order.
        for index, base in enumerate(cls.__bases__):
            scope.add(f"base {index}", base)
        # The metaclass counts unless it is the usual one, which would only add an edge to each class.
        if type(cls) is not type:
            scope.add("metaclass", type(cls))
        for key, value in members(cls):
            scope.add(f"member {key}", value, key)
        add_found_by_alias(scope, module_of(cls), vars(LOADED.get(module_of(cls), cls)))
        registered = registrations(cls)
        if registered != ([], None):
            scope.add("registrations", list(registered))
        # All names are watched, and not those of members(): their values are computed from several entries.
        names = watched_names(cls)
        scope.watching.append(Watch.of(vars(cls), names))
        if issubclass(cls, enum.Enum):
            scope.watching += enum_watches(cls)
        self._names_in_annotations(scope, cls)
        bases = cls.__bases__
        return GraphNode(
            NodeKind.CLASS,
            name,
            b"class",
            scope.sorted_edges(),
            scope.watches(),
            lambda: (
                cls.__bases__ is bases and watched_names(cls) == names and registrations(cls) == registered
            ),
            notes=frozenset(scope.notes),
        )

    def _names_in_annotations(self, scope: NodeScope, cls: type) -> None:
        """Add what the annotations of a class refer to if they are texts, which libraries evaluate in the module."""
        module = LOADED.get(module_of(cls))
        names = names_in_annotations(cls) if issubclass(type(module), ModuleType) else ()
        for root, *chain in names:
            value = scope.watch(vars(module), root)
            label = " ".join(["annotation", root, *chain])
            if value is not MISSING:
                self._follow_attributes(scope, label, value, chain, module_of(cls), root)

    # ------------------------------------------------------------------ modules and values

    def _module(self, module: ModuleType) -> GraphNode:
        name = module.__name__
        if not is_user_module(module):
            text = f"module {name}{self._version(package_name(name))}"
            scope = NodeScope(self._state, name)
            add_assigned_to(scope, module)
            return GraphNode(NodeKind.MODULE, name, text.encode(), scope.sorted_edges(), scope.watches())
        scope = NodeScope(self._state, name)
        # The module may be passed on and read by getattr, so any member may be used.
        names = vars(module).keys() - _IGNORED_IN_MODULE
        for key in names:
            scope.add(f"member {key}", scope.watch(vars(module), key), key)
        return GraphNode(
            NodeKind.MODULE,
            name,
            b"module",
            scope.sorted_edges(),
            scope.watches(),
            lambda: vars(module).keys() - _IGNORED_IN_MODULE == names,
            notes=frozenset(scope.notes),
        )

    def _value(self, value: Any, excluded_parts: frozenset[str] = frozenset()) -> GraphNode:
        cls = type(value)
        name = qualname_of(cls)
        if issubclass(cls, types.BuiltinFunctionType) or (installed_name(value) and not _is_content(cls)):
            return self._installed_value(value, name)
        # Within an ordering key, a few levels of the value are enough, and code in it is not followed.
        if not self._follows_code:
            return GraphNode(NodeKind.VALUE, name, encode(value, max_objects=_ORDERING_OBJECTS).data)
        # First the text, since a library's ``__repr__`` may store what it computes in the object.
        text = shorten(value)
        encoding, unchanged = encoded_with_test(
            value, partial(encode, value, self._ordering_key, excluded_parts, as_held=True)
        )
        edges = tuple(CodeReference(f"{i:06}", "", "", target) for i, target in enumerate(encoding.edges))
        return GraphNode(
            NodeKind.VALUE,
            name,
            encoding.data,
            edges,
            (),
            None if is_immutable(value) else unchanged,
            notes=frozenset(Note("opaque", text) for text in encoding.opaque),
            text=text,
            attribute_digests=encoding.attribute_digests,
        )

    def _installed_value(self, value: Any, name: str) -> GraphNode:
        """Return an object of an installed module, or a method in C: by name, and by the object it is bound to."""
        bound = (
            static_attribute(value, "__self__")
            if issubclass(type(value), types.BuiltinFunctionType)
            else None
        )
        free = (
            bound is None or bound is MISSING or issubclass(type(bound), ModuleType) or installed_name(value)
        )
        edges = () if free else (CodeReference("self", "", "", bound),)
        return GraphNode(
            NodeKind.VALUE, name, b"installed:" + self._installed_leaf(value).text.encode(), edges
        )


def _is_content(cls: type) -> bool:
    """Return whether objects of a class are data, which counts by content even in an installed module."""
    return issubclass(cls, (list, dict, set, frozenset, tuple, bytearray)) or cls in SCALAR_TYPES


def _default(function: FunctionType, name: str) -> Any:
    """Return the default of a parameter that the plant does not pass, else :data:`UNKNOWN`."""
    code, defaults = function.__code__, function.__defaults__ or ()
    if name in (function.__kwdefaults__ or {}):
        return (function.__kwdefaults__ or {})[name]
    # Defaults belong to the last positional parameters.
    positional = code.co_varnames[: code.co_argcount]
    index = positional.index(name) - (code.co_argcount - len(defaults)) if name in positional else -1
    is_passed = name in positional[:1] or (name in positional[:2] and name in CONFIG_NAMES)
    return defaults[index] if index >= 0 and not is_passed else UNKNOWN
