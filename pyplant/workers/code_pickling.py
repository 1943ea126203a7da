"""User code and values that workers cannot import, on their way to a worker.

How it works
------------
Functions and classes of modules that workers import (:mod:`pyplant.workers.user_modules`) travel by name. What is
left is ``__main__``, cells, modules without source, functions that were made at run time, and values that the
program has set in its modules since they were imported.

These travel variable by variable. A *part* is the pickle of the value of one variable. A function in it holds its
code and names its namespace; the variables that its code reads are not inside it, but are listed as *needed*. So
each variable is pickled once in a run, however many functions use it, and a worker unpickles it once. An object that
is the value of another variable (a base class, say) is a reference to that variable. Variables whose objects refer to
one another in a circle are one part.

Parts are written into files, *bundles*, in a folder of the run. A request to a worker names the bundles with their
digests, which are checked before anything is unpickled.

In a worker the variables go into the module of their name, so what the worker pickles itself refers to them by name,
and their fingerprints are the same as in the program.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from functools import cache
from importlib import import_module
from pathlib import Path
from types import CellType, CodeType, FunctionType, MemberDescriptorType, ModuleType
from typing import Any, ClassVar

from pyplant._definitions import Definition
from pyplant._formatting import error_text
from pyplant.errors import RunError
from pyplant.fingerprint.attributes import module_of
from pyplant.fingerprint.bytecode import read_names
from pyplant.fingerprint.components import components
from pyplant.fingerprint.digest import digest_bytes
from pyplant.fingerprint.origin import is_user_module
from pyplant.specs.array_subclass import reduce_array
from pyplant.store.files import Files
from pyplant.workers import sent_code
from pyplant.workers.messages import MODULES, Bundle, PackedObject, PackedVariables, SentModules, Variable
from pyplant.workers.pickling import dumps
from pyplant.workers.reducers import REMADE, Cached, remake
from pyplant.workers.user_modules import capture_user_module, capture_user_modules
from pyplant.workers.variables import Namespace, SameValue, holders, home, module_of_namespace, value_of

__all__ = ["CodePickler"]

_PROTOCOL = 5
_KEPT = ("function", "name", "module", "defining_file", "qualname", "cache", "is_generator", "config_name")
"""What a worker needs of a definition; the rest belongs to the process it was made in."""
_FUNCTION_STATE = ("__qualname__", "__module__", "__defaults__", "__kwdefaults__", "__doc__")
_MACHINERY = frozenset(
    ("__builtins__", "__cached__", "__doc__", "__file__", "__loader__", "__name__", "__package__", "__spec__")
)
"""What the import system puts into modules; other such names (``__version__``, ``__getattr__``) are the user's."""
_LARGE = 1 << 20  # bytes; larger parts have bundles of their own, which only those read that need them
_registry_lock = threading.RLock()  # cloudpickle has one list for the process


_CONTAINERS = (dict, list, set, bytearray)


class CodePickler:
    """Pickles reactors and configurations for the workers of one run.

    Parameters
    ----------
    folder
        Where to write; it is made here.
    files
        The disk.
    is_importable
        Whether workers may import a user module of this name.
    """

    def __init__(self, folder: Path, files: Files, is_importable: Callable[[str], bool]) -> None:
        self.modules = {
            name: module for name, module in capture_user_modules().items() if is_importable(name)
        }
        """The modules that workers import first, or when code refers to them."""
        self._is_importable = is_importable
        self._folder = folder
        self._process = os.getpid()
        self.replaced: dict[Variable, None] = {}
        """Variables of imported modules whose values differ from those that a worker gets by importing."""
        self._files = files
        self._parts: dict[Variable, PackedVariables] = {}
        self._bundle_of: dict[Variable, int] = {}
        self._bundles: list[Bundle] = []
        self._definitions: dict[Definition, PackedObject] = {}
        # Of objects in modules, by id. A variable may get another object since; place_of() compares.
        self._places: dict[int, Variable] = {}
        self._looked_into: set[str] = set()
        self._cells: dict[str, dict[int, list[Variable]]] = {}  # variables by the id of a cell, by module
        files.make_directory(folder)
        content = dumps(self.modules)
        self._create(MODULES, content)
        self.sent_modules = SentModules(str(folder), digest_bytes(content))
        """Where workers find ``modules``."""

    def close(self) -> None:
        """Remove the folder. Do nothing in a forked child."""
        if os.getpid() == self._process:
            self._files.remove_tree(self._folder)

    def definition(self, definition: Definition) -> PackedObject:
        """Return a packed reactor, the same each time.

        Raises
        ------
        pyplant.errors.RunError
            If something that its code uses cannot be pickled.
        """
        if definition not in self._definitions:
            try:
                self._definitions[definition] = self.pack(definition)
            except Exception as error:
                message = (
                    f"Reactor {definition.name!r} cannot be sent to a worker: {error_text(error)}. Something "
                    f"that its code uses cannot be pickled; make it inside the reactor, or use executor=None."
                )
                raise RunError(message) from error
        packed = self._definitions[definition]
        return packed._replace(needs=(*packed.needs, *self.replaced)) if self.replaced else packed

    def pack(self, obj: Any) -> PackedObject:
        """Pickle an object, and write the parts that it needs and that are not written yet.

        Raises
        ------
        Exception
            Whatever pickling raises.
        """
        data, needs = self._dump(obj, frozenset())
        return PackedObject(data, tuple(needs), self._bundles_for(needs))

    def replace(self, variables: Iterable[Variable]) -> bool:
        """Send the values that these variables of imported modules have now; return whether any is new."""
        wanted = dict.fromkeys(holder for variable in variables for holder in holders(variable))
        candidates = [variable for variable in wanted if variable not in self.replaced]
        self.replaced.update(dict.fromkeys(candidates))  # first, since they may refer to each other
        new = [variable for variable in candidates if self._can_be_sent(variable)]
        for variable in candidates:
            if variable not in new:
                del self.replaced[variable]
        if not new:
            return False
        self._definitions = {
            definition: packed._replace(bundles=self._bundles_for((*packed.needs, *self.replaced)))
            for definition, packed in self._definitions.items()
        }
        return True

    def _can_be_sent(self, variable: Variable) -> bool:
        """Return whether the value of a variable can be pickled; it is packed if it can.

        A variable that the program has deleted is deleted in workers.
        """
        if variable.module not in sys.modules:
            return False
        # What was packed before refers to the old value by name, and the name has the new value soon.
        before = self._parts.pop(variable, None)
        try:
            self._write_parts([variable])
        except Exception:  # noqa: BLE001 - the error for the reactor says what differs
            if before is not None:
                self._parts[variable] = before
            return False
        return True

    def _bundles_for(self, needs: Iterable[Variable]) -> tuple[Bundle, ...]:
        reached = self._write_parts(needs)
        return tuple(
            self._bundles[number] for number in sorted({self._bundle_of[variable] for variable in reached})
        )

    # ------------------------------------------------------------------ parts

    def _write_parts(self, needs: Iterable[Variable]) -> list[Variable]:
        """Pack the parts that are needed, directly or by other parts; return all that are reached."""
        reached: dict[Variable, None] = {}
        new: dict[Variable, PackedVariables] = {}
        stack = [(variable, False) for variable in needs]
        try:
            while stack:
                variable, is_optional = stack.pop()
                if variable in reached:
                    continue
                if variable.name == sent_code.ALL:
                    names = vars(sys.modules[variable.module]).keys() - _MACHINERY
                    stack += [(Variable(variable.module, name), True) for name in sorted(names)]
                elif variable not in self._parts:
                    try:
                        self._pack_variable(variable, new)
                    except Exception:
                        if not is_optional:
                            raise
                        continue  # code that uses it in the worker gets the error
                reached[variable] = None
                if variable in self._parts:
                    stack += [(needed, is_optional) for needed in self._parts[variable].needs]
        finally:  # also after an error: other reactors may need what was packed
            parts = {id(part): part for part in new.values()}.values()
            for part in parts:
                if len(part.data) > _LARGE:
                    self._write([part])
            small = [part for part in parts if len(part.data) <= _LARGE]
            if small:
                self._write(small)
        return [variable for variable in reached if variable in self._parts]

    def _pack_variable(self, variable: Variable, new: dict[Variable, PackedVariables]) -> None:
        """Pack a variable, and those that it refers to in a circle together with it."""
        alone: dict[Variable, tuple[bytes, dict[Variable, None], dict[Variable, None]]] = {}

        def referred(one: Variable) -> list[Variable]:
            if one in self._parts:
                return []
            if one not in alone:
                alone[one] = self._dump_variables((one,))
            return [*alone[one][2], *self._sharing(one)]

        for group in components(variable, referred):
            if any(one in self._parts for one in group):
                continue
            variables = tuple(group)
            data, needs, _ = alone[group[0]] if len(group) == 1 else self._dump_variables(variables)
            part = PackedVariables(variables, data, tuple(name for name in needs if name not in group))
            for one in group:
                self._parts[one] = new[one] = part

    def _sharing(self, variable: Variable) -> list[Variable]:
        """Return the variables with functions that share a variable of a closure with this one."""
        if variable.module not in self._cells:
            cells = self._cells[variable.module] = {}
            for name, value in tuple(vars(sys.modules[variable.module]).items()):
                for cell in (value.__closure__ or ()) if isinstance(value, FunctionType) else ():
                    cells.setdefault(id(cell), []).append(Variable(variable.module, name))
        value = value_of(variable)
        closure = (value.__closure__ or ()) if isinstance(value, FunctionType) else ()
        return [other for cell in closure for other in self._cells[variable.module].get(id(cell), ())]

    def _dump_variables(
        self, variables: tuple[Variable, ...]
    ) -> tuple[bytes, dict[Variable, None], dict[Variable, None]]:
        values = tuple(
            self._found_elsewhere(variable, variables) or value_of(variable) for variable in variables
        )
        referred: dict[Variable, None] = {}
        data, needs = self._dump(values, frozenset(variables), referred)
        return data, needs, referred

    def _found_elsewhere(self, variable: Variable, together: tuple[Variable, ...]) -> SameValue | None:
        """Return the place of a container that another variable holds, too; pickle does not ask for builtin types."""
        value = value_of(variable)
        place = self.place_of(value) if type(value) in _CONTAINERS else None
        if place is None or place in together or not self.travels(place):
            return None
        return SameValue(place)

    def _write(self, parts: list[PackedVariables]) -> None:
        content = dumps(parts)
        number = len(self._bundles)
        self._create(str(number), content)
        self._bundles.append(Bundle(number, digest_bytes(content)))
        for part in parts:
            self._bundle_of.update(dict.fromkeys(part.variables, number))

    def _create(self, name: str, content: bytes) -> None:
        stream = self._files.create(self._folder / name)
        try:
            stream.write(content)
        finally:
            stream.close()

    def _dump(
        self, obj: Any, roots: frozenset[Variable], referred: dict[Variable, None] | None = None
    ) -> tuple[bytes, dict[Variable, None]]:
        """Pickle an object; returns what it needs. The values of ``roots`` are pickled and not referred to."""
        stream = io.BytesIO()
        pickler = _pickler()(stream, _PROTOCOL)
        pickler.code, pickler.roots, pickler.needs = self, roots, {}
        pickler.referred = {} if referred is None else referred
        with _registered({module for module, _ in roots}):
            pickler.dump(obj)
        return stream.getvalue(), pickler.needs

    # ------------------------------------------------------------------ asked by the pickler

    def travels(self, variable: Variable) -> bool:
        """Return whether the value of a variable is sent, because a worker does not get it by importing."""
        return variable in self.replaced or not self.is_imported(variable.module)

    def place_of(self, obj: Any) -> Variable | None:
        """Return the variable of a module that an object is the value of.

        Code compares such objects by identity, as it does with ``dataclasses.MISSING`` or an ``object()`` of its own.
        """
        module = module_of(type(obj))
        if module.partition(".")[0] == "pyplant":
            return None  # settings of the run, and specs; to look into all modules of a project takes milliseconds
        if not self._places:
            for name in capture_user_modules():
                self._add_places(name)
            self._add_places("__main__")
        # Objects of installed packages are looked up in the module of their class: all modules are too many.
        if module not in self._looked_into and module != "builtins":
            self._add_places(module)
        found = self._places.get(id(obj))
        return None if found is None or vars(sys.modules[found.module]).get(found.name) is not obj else found

    def _add_places(self, module: str) -> None:
        self._looked_into.add(module)
        members = vars(sys.modules[module]) if type(sys.modules.get(module)) is ModuleType else {}
        for name, value in tuple(members.items()):
            self._places.setdefault(id(value), Variable(module, name))

    def is_imported(self, module: str) -> bool:
        """Return whether workers import a module."""
        if module == "__main__":
            return False
        if capture_user_module(module) is not None:
            return self._is_importable(module)
        return not is_user_module(sys.modules[module])


@contextmanager
def _registered(modules: set[str]) -> Iterator[None]:
    """Have cloudpickle pickle what these modules define; it knows no other way to be told."""
    import cloudpickle

    with _registry_lock:
        known = cloudpickle.list_registry_pickle_by_value()
        added = [sys.modules[name] for name in sorted(modules - known - {"__main__"})]
        for module in added:
            cloudpickle.register_pickle_by_value(module)
        try:
            yield
        finally:
            for module in added:
                cloudpickle.unregister_pickle_by_value(module)


@cache
def _pickler() -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle has no types
        dispatch_table: ClassVar = ChainMap(
            {**REMADE, CellType: _reduce_cell}, cloudpickle.Pickler.dispatch_table
        )
        code: CodePickler
        roots: frozenset[Variable]
        needs: dict[Variable, None]
        referred: dict[Variable, None]

        def reducer_override(self, obj: Any) -> Any:
            reduced = _reduce(self, obj)
            if reduced is not None:
                return reduced
            reduced = super().reducer_override(obj)
            # Builtin types are reduced to two items, their name.
            is_by_value = isinstance(obj, type) and isinstance(reduced, tuple) and len(reduced) > 2  # noqa: PLR2004
            return _completed(obj, reduced) if is_by_value else reduced

    return Pickler


def _reduce(pickler: Any, obj: Any) -> Any:
    """Reduce an object for the worker; ``None`` if cloudpickle does."""
    if isinstance(obj, CodeType):
        return _code, (*pickler.dispatch_table[CodeType](obj)[:2], obj.co_filename)
    if isinstance(obj, Definition):
        return _definition, ({name: getattr(obj, name) for name in _KEPT},)
    if isinstance(obj, Namespace):
        return sent_code.namespace, (obj.module,)
    if isinstance(obj, SameValue):
        return _reduce_to_variable(pickler, obj.place, obj.place.name)
    if isinstance(obj, ModuleType):
        is_loaded = sys.modules.get(obj.__name__) is obj  # cloudpickle pickles the variables of others
        return _reduce_module(pickler, obj) if is_loaded and is_user_module(obj) else None
    if isinstance(obj, type | FunctionType | Cached):
        return _reduce_code(pickler, obj)
    place = pickler.code.place_of(obj)
    if place is not None and place not in pickler.roots:
        return _reduce_to_variable(pickler, place, place.name)
    array = reduce_array(obj)
    return remake(obj) if array is NotImplemented else array


def _reduce_to_variable(pickler: Any, variable: Variable, qualname: str) -> tuple[Any, ...]:
    """Reduce an object to a reference to the variable that it is found in."""
    if pickler.code.travels(variable):
        pickler.referred[variable] = pickler.needs[variable] = None
    return sent_code.variable, (*variable, qualname)


def _reduce_module(pickler: Any, module: ModuleType) -> tuple[Any, ...]:
    name = module.__name__
    if pickler.code.is_imported(name):
        return import_module, (name,)
    pickler.needs[Variable(name, sent_code.ALL)] = None
    return sent_code.module, (name,)


def _reduce_code(pickler: Any, obj: Any) -> Any:
    """Reduce a class or function: to its name if it can be imported, to its variable if that is sent."""
    found_in = home(obj)
    if found_in is not None and found_in not in pickler.roots:
        if not pickler.code.travels(found_in):
            return NotImplemented  # pickle takes its name
        return _reduce_to_variable(pickler, found_in, obj.__qualname__)
    reduced = remake(obj)
    if reduced is None and isinstance(obj, FunctionType):
        return _reduce_function(pickler, obj)
    return reduced


def _reduce_function(pickler: Any, function: FunctionType) -> tuple[Any, ...] | None:
    """Reduce a function to its code; the variables that it reads are needed, and not part of it."""
    module = module_of_namespace(function)
    if module is None:
        return None
    if not pickler.code.is_imported(module):
        read, rebound = read_names(function.__code__)
        present = [name for name in sorted(read | rebound) if name in function.__globals__]
        pickler.needs.update(dict.fromkeys(Variable(module, name) for name in present))
    made = (function.__code__, Namespace(module), function.__name__, None, function.__closure__)
    own = {name: getattr(function, name) for name in _FUNCTION_STATE}
    with suppress(Exception):  # since Python 3.14 they are evaluated now, and may raise
        own["__annotations__"] = function.__annotations__
    return FunctionType, made, (vars(function), own), None, None, _set_function_state


def _completed(cls: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """Add what cloudpickle leaves out of a class: the full name, by which its objects are pickled, and slots."""
    if issubclass(cls, Enum):
        return reduced
    # cloudpickle makes a class from its bases and first entries, and fills it by its state: it may refer to itself.
    make, (kind, name, bases, entries, *more), (members, slots), *rest = reduced
    if own_slots := vars(cls).get("__slots__"):
        entries = {**entries, "__slots__": own_slots}
        members = {key: value for key, value in members.items() if type(value) is not MemberDescriptorType}
        members.pop("__slots__", None)
    if cls.__qualname__ != cls.__name__:
        members = {"__qualname__": cls.__qualname__, **members}
    return make, (kind, name, bases, entries, *more), (members, slots), *rest


def _code(make: Callable[..., CodeType], arguments: tuple[Any, ...], filename: str) -> CodeType:
    """Make code that knows where it stood, which cloudpickle leaves out, for tracebacks."""
    return make(*arguments).replace(co_filename=filename)


def _definition(kept: dict[str, Any]) -> Definition:
    return Definition(**kept, execution=None)


def _set_function_state(function: FunctionType, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    attributes, own = state
    vars(function).update(attributes)
    for name, value in own.items():
        setattr(function, name, value)


def _reduce_cell(cell: CellType) -> tuple[Any, ...]:
    """Reduce a variable of a closure, such that functions that share it share it in the worker."""
    try:
        content = cell.cell_contents
    except ValueError:
        return CellType, ()
    # As state, since the content may be the function that has this cell.
    return CellType, (), (content,), None, None, _fill_cell


def _fill_cell(cell: CellType, state: tuple[Any]) -> None:
    cell.cell_contents = state[0]
