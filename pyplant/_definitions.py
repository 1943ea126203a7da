"""Definitions of reactors and calls of subreactors, and the registry of definitions in the process.

The decorators are in :mod:`pyplant.reactor`.

Theory of operation
-------------------
A decorated function carries its definition in an attribute (:data:`MARK`), and the process has a registry
of all definitions. Two definitions with the same file and qualified name are one reactor, and the newer
one replaces the older. This is what notebooks and reloaded modules need: a cell that is executed again, or
a module that is imported again, defines its reactors again. Reactors that the last execution of a module
did not define no longer count, which the module's ``__spec__`` tells: each execution has a new one.

A reactor that is defined within a function while a test of pytest runs counts during that test only. A factory that
a fixture calls for several tests defines its reactors for all of them (:mod:`pyplant.pytest_plugin`).

Within *one* execution of a module, a second definition of the same reactor is an error, since a loop
or a copied function would lose all but the last one. The error is raised when a plant asks for the
definitions, not when the function is decorated: that would stop the import of the module.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import math
import os.path
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from numbers import Real
from types import FunctionType, ModuleType
from typing import Any, Generic, Literal, Protocol, TypeVar

from pyplant._formatting import parse_size
from pyplant._test_scope import counts_now, scope_now
from pyplant.engine.commands import Unyielded
from pyplant.errors import (
    ConfigError,
    DefinitionError,
    NotAReactorError,
    method_as_reactor_message,
    not_a_function_message,
)
from pyplant.fingerprint.origin import follow_file
from pyplant.fingerprint.source import Sources

__all__ = [
    "MARK",
    "CellExecution",
    "Definition",
    "SubreactorCall",
    "TaskObserver",
    "active_observer",
    "all_definitions",
    "capture",
    "check_tracking",
    "current_definitions",
    "declare",
    "define",
    "definition_of",
    "forget_test",
    "newest",
    "orphans",
    "resource_amounts",
    "sources",
    "withdraw",
]

_T_co = TypeVar("_T_co", covariant=True)

MARK = "__pyplant_reactor__"
"""The attribute of a function that holds its definition."""

sources = Sources()
"""The source texts of the modules of decorated functions, read when the functions were defined."""


@dataclass(frozen=True, slots=True, eq=False)
class CellExecution:
    """One execution of a notebook cell.

    Attributes
    ----------
    ident
        Identifies the cell while the notebook is open; ``""`` if the front end sends no identity.
    number
        The execution count, as in ``In [3]``.
    """

    ident: str
    number: int

    @property
    def label(self) -> str:
        """The name of the execution in messages."""
        return f"cell [{self.number}]"


running_cell: CellExecution | None = None
"""The notebook cell that is being executed, if any; set by the notebook layer."""


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """A declared reactor.

    Attributes
    ----------
    function
        The function itself.
    name
        Its name in messages and for lookups.
    module
        The module it is defined in.
    defining_file, qualname
        Its file (``"__main__"`` in a notebook) and its name there, which identify the reactor.
    cache
        Whether a run may use results of earlier executions.
    is_generator, config_name
        Whether it is a generator, and the name of its parameter for the configuration, ``""`` if it
        has none.
    execution
        Identifies the execution of its module, by the module's ``__spec__`` at that time.
    cell
        The execution of the notebook cell that defined it.
    resources
        The amounts that it needs while it runs; ``memory`` in bytes.
    track_reads
        What happens with reads that it does not declare; ``None``: what the plant says.
    test
        The test, or node of pytest's collection, for which it counts; ``""`` if it counts for all.
    """

    function: Callable[..., Any]
    name: str
    module: str
    defining_file: str
    qualname: str
    cache: bool
    is_generator: bool
    config_name: str
    execution: object
    resources: Mapping[str, float] = field(default_factory=dict)
    cell: CellExecution | None = None
    track_reads: bool | Literal["note"] | None = None
    test: str = ""

    @property
    def takes_config(self) -> bool:
        """Whether it takes the configuration."""
        return bool(self.config_name)

    @property
    def place(self) -> str:
        """Its cell or file, for messages."""
        return self.cell.label if self.cell is not None else os.path.basename(self.defining_file)

    @property
    def key(self) -> str:
        """Identifies the reactor among those of the process."""
        return f"{self.defining_file}::{self.qualname}"

    @property
    def full_name(self) -> str:
        """The name with its module."""
        return f"{self.module}.{self.name}"

    @property
    def full_names(self) -> list[str]:
        """The full name, and the one under which its module runs as a script, or is imported if it runs as one now."""
        if self.module != "__main__":
            return [self.full_name, f"__main__.{self.name}"]
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        module = spec.name if spec is not None else os.path.splitext(os.path.basename(self.defining_file))[0]
        return [self.full_name, f"{module}.{self.name}"]

    @property
    def is_current(self) -> bool:
        """Whether it was defined by the latest execution of its module."""
        # A module that was removed from sys.modules was not executed again, so its reactors still count.
        module = sys.modules.get(self.module)
        if module is None:
            return True
        return getattr(module, "__spec__", None) is self.execution and not self._is_removed(module)

    def _is_removed(self, module: ModuleType) -> bool:
        """Return whether its name is gone from where it was defined.

        ``%autoreload`` may patch a module without another execution, and ``%run`` clears the namespace of a script.
        """
        if not hasattr(builtins, "__IPYTHON__") or not self.qualname.isidentifier():
            return False
        namespace = vars(module)
        if self.module == "__main__":
            namespace = getattr(self.function, "__globals__", {})
            if self.defining_file == "__main__" or namespace.get("__name__", "__main__") != "__main__":
                return False
        return self.qualname not in namespace


_declared: dict[str, Definition] = {}
_repeated: dict[str, list[Definition]] = {}
orphans: set[Definition] = set()
"""Reactors whose cell was deleted. They count until another one has their name or sends what they send."""


def current_definitions() -> Iterator[Definition]:
    """Yield the definitions that count, in order of definition.

    Raises
    ------
    pyplant.errors.DefinitionError
        If one execution of a module defined a reactor twice.
    """
    for key, definition in tuple(_declared.items()):
        if counts_now(definition.test) and definition.is_current:
            if key in _repeated:
                raise _repetition(definition)
            yield definition


def all_definitions() -> list[Definition]:
    """Return all registered definitions, including outdated ones and those that are defined twice."""
    return list(_declared.values())


def newest(definition: Definition) -> Definition:
    """Return the newest definition of the reactor that ``definition`` defines."""
    latest = _declared.get(definition.key)
    return latest if latest is not None and latest.is_current else definition


def withdraw(definition: Definition) -> bool:
    """Remove a definition from the registry; return whether it was the newest one of its reactor."""
    orphans.discard(definition)
    if _declared.get(definition.key) is not definition:
        return False
    del _declared[definition.key]
    _repeated.pop(definition.key, None)
    return True


def forget_test(test: str) -> None:
    """Remove the definitions that count for one test."""
    for definition in [each for each in _declared.values() if each.test == test]:
        withdraw(definition)


def declare(definition: Definition) -> None:
    """Register a definition, which replaces earlier ones of the same reactor."""
    key = definition.key
    # Removed first, so that the new definition is the last in the order of definition.
    earlier = _declared.pop(key, None)
    _repeated.pop(key, None)
    if earlier is not None:
        orphans.discard(earlier)
    # With the same function it is declared again, as when a cell that failed is restored.
    if (
        earlier is not None
        and earlier.function is not definition.function
        and _same_execution(earlier, definition)
    ):
        _repeated[key] = [earlier, definition]
    _declared[key] = definition


def _same_execution(earlier: Definition, later: Definition) -> bool:
    """Return whether one execution of a module or cell created both definitions, as a loop does."""
    if "<locals>" in later.qualname or later.cell is not earlier.cell:
        return False
    if later.cell is None and (hasattr(builtins, "__IPYTHON__") or later.defining_file == "__main__"):
        # The function was entered again, or %autoreload defined it again without a new execution of the module.
        return False
    same_globals = getattr(earlier.function, "__globals__", 0) is getattr(later.function, "__globals__", 1)
    return same_globals and earlier.execution is later.execution


def _repetition(definition: Definition) -> DefinitionError:
    where = definition.defining_file if definition.cell is None else definition.place.capitalize()
    return DefinitionError(
        f"{where} defines reactor {definition.name!r} more than once, so only the last one "
        f"would count. Give each its own name: @ReactorFunc(name=...)."
    )


def definition_of(function: Any) -> Definition:
    """Return the definition of a decorated function.

    Raises
    ------
    pyplant.errors.NotAReactorError
        If it is not decorated with ``@ReactorFunc``.
    """
    definition = getattr(function, "__dict__", {}).get(MARK)
    if isinstance(definition, Definition):
        if definition.function is not function and isinstance(function, FunctionType):
            # %autoreload copies the attributes of the new function to the old one, this mark included.
            return define(
                function,
                definition.name,
                cache=definition.cache,
                resources=definition.resources,
                track_reads=definition.track_reads,
            )
        return definition
    shown = getattr(function, "__qualname__", None) or repr(function)
    if isinstance(function, FunctionType) and hasattr(function, "__pyplant_subreactor__"):
        advice = (
            "It is a subreactor: call it from a reactor with 'yield from', or decorate it with @ReactorFunc."
        )
    elif callable(function):
        advice = "Decorate it with @ReactorFunc."
    else:
        advice = "Pass the decorated function, or its name."
    message = f"{shown} is not a reactor. {advice}"
    raise NotAReactorError(message)


def define(
    function: Callable[..., Any],
    name: str | None = None,
    *,
    cache: bool = True,
    resources: Mapping[str, float | str] | None = None,
    track_reads: bool | Literal["note"] | None = None,
) -> Definition:
    """Create the definition of a function, without registering it.

    Raises
    ------
    pyplant.errors.DefinitionError
        If the function cannot be called as a reactor.
    """
    if not isinstance(function, FunctionType):
        raise NotAReactorError(not_a_function_message(function))
    config_name = _check_signature(function)
    # The file of the module and not of the code, which has the name of a cell or of a decorator's file.
    module = sys.modules.get(function.__module__)
    filename = getattr(module, "__file__", None)
    execution = capture(function)
    qualname = (
        function.__qualname__ if name in (None, function.__name__) else f"{function.__qualname__}[{name}]"
    )
    return Definition(
        function=function,
        name=name or function.__name__,
        module=function.__module__,
        defining_file=_real_path(filename) if filename else function.__module__,
        qualname=qualname,
        cache=cache,
        is_generator=_is_generator(function),
        config_name=config_name,
        execution=execution,
        resources=_amounts(name or function.__name__, resources or {}),
        cell=running_cell if function.__module__ == "__main__" else None,
        track_reads=check_tracking(track_reads, may_be_none=True),
        test=scope_now(function.__qualname__),
    )


def check_tracking(value: Any, *, may_be_none: bool = False) -> Any:
    """Return a value of ``track_reads`` if it is one.

    Raises
    ------
    pyplant.errors.ConfigError
        If it is not.
    """
    if value is True or value is False or value == "note" or (may_be_none and value is None):
        return value
    message = f"track_reads is {value!r}; it is True, False, or 'note' to name reads without comparing them."
    raise ConfigError(message)


def resource_amounts(resources: Mapping[str, float | str]) -> dict[str, float]:
    """Return resources with their amounts as numbers; ``memory`` may be a text such as ``"60 GB"``.

    Raises
    ------
    ValueError
        If an amount is not a number from 0, or no size.
    """
    amounts: dict[str, float] = {}
    for name, amount in resources.items():
        if name == "memory":
            try:
                amounts[name] = parse_size(amount)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        elif isinstance(amount, Real) and not isinstance(amount, bool) and 0 <= amount < math.inf:
            amounts[name] = amount if isinstance(amount, int) else float(amount)
        else:
            message = (
                f"{name!r} is {amount!r}, which is not an amount. Write a number, as in {{{name!r}: 1}}."
            )
            raise ValueError(message)
    return amounts


def _amounts(reactor: str, resources: Mapping[str, float | str]) -> dict[str, float]:
    try:
        return resource_amounts(resources)
    except (ValueError, AttributeError) as error:
        message = f"Reactor {reactor!r}: resources={resources!r} cannot be used: {error}"
        raise DefinitionError(message) from None


def capture(function: FunctionType) -> object:
    """Read the source text of a function's module, and return the execution of the module."""
    # By __module__ and not by __globals__, since a wrapper has the globals of the decorator's module.
    execution = getattr(sys.modules.get(function.__module__), "__spec__", None)
    sources.capture(function.__code__.co_filename, function.__globals__, execution)
    _follow(function)
    return execution


def _follow(function: FunctionType) -> None:
    """Make the installed distribution of a function user code."""
    inner = inspect.unwrap(function) if "__wrapped__" in function.__dict__ else function
    code = getattr(inner, "__code__", function.__code__)
    filename = code.co_filename
    if filename.startswith("<"):
        filename = getattr(sys.modules.get(function.__module__), "__file__", None) or filename
    follow_file(filename)


# A module that is imported through a link and without it defines one reactor. Cached: to resolve a path asks the disk.
_real_path = functools.cache(os.path.realpath)


def _is_generator(function: FunctionType) -> bool:
    if function.__code__.co_flags & inspect.CO_GENERATOR:
        return True
    return hasattr(function, "__wrapped__") and inspect.isgeneratorfunction(inspect.unwrap(function))


def _check_signature(function: FunctionType) -> str:
    """Return the name of the parameter for the configuration, if any; refuse functions that no plant can call."""
    is_async_generator = function.__code__.co_flags & inspect.CO_ASYNC_GENERATOR
    if is_async_generator or inspect.iscoroutinefunction(function):
        message = f"Reactor {function.__qualname__!r} is async; reactors are plain functions or generators."
        raise DefinitionError(message)
    inner = function
    if function.__code__.co_flags & inspect.CO_VARARGS:  # a wrapper that passes its arguments on
        unwrapped = inspect.unwrap(function)
        inner = unwrapped if isinstance(unwrapped, FunctionType) else function
    code = inner.__code__
    positional = code.co_varnames[: code.co_argcount]
    if positional[:1] in (("self",), ("cls",)) or positional[1:2] == ("pipe",):
        raise DefinitionError(method_as_reactor_message(function.__qualname__, positional[0]))
    needed = code.co_argcount - len(inner.__defaults__ or ())
    needed_by_keyword = code.co_kwonlyargcount - len(inner.__kwdefaults__ or ())
    takes_any = bool(code.co_flags & inspect.CO_VARARGS)
    if needed > 2 or needed_by_keyword > 0 or not (positional or takes_any):  # noqa: PLR2004 - pipe and config
        message = (
            f"Reactor {function.__qualname__!r} has the signature {inspect.signature(function)}; a reactor takes "
            f"(pipe) or (pipe, config). Other values are received: x = yield pipe.receive('x')."
        )
        raise DefinitionError(message)
    # A second parameter with a default is one of the function's own, as in def reactor(pipe, n=3).
    return positional[1] if needed > 1 else ""


# ---------------------------------------------------------------------- subreactors


class TaskObserver(Protocol):
    """Receives what a running reactor does outside of its pipework."""

    def must_be_yielded(self, item: Unyielded) -> None:
        """The reactor created a command that it must yield."""

    def subreactor_entered(self, call: SubreactorCall[Any]) -> None:
        """The reactor entered a subreactor."""

    def subreactor_left(self, name: str) -> None:
        """The subreactor returned."""


active_observer: ContextVar[TaskObserver | None] = ContextVar("pyplant_active_reactor", default=None)
"""The observer of the reactor that executes in this context, if any."""


class SubreactorCall(Unyielded, Generic[_T_co]):
    """A call of a subreactor, which ``yield from`` enters."""

    __slots__ = ("_arguments", "_keywords", "function", "name")

    def __init__(self, function: Callable[..., Any], name: str, arguments: Any, keywords: Any) -> None:
        self.function = function
        self.name = name
        self._arguments = arguments
        self._keywords = keywords
        observer = active_observer.get()
        if observer is not None:
            observer.must_be_yielded(self)

    def __iter__(self) -> Generator[Any, Any, _T_co]:
        observer = active_observer.get()
        if observer is not None:
            observer.subreactor_entered(self)
        result = self.function(*self._arguments, **self._keywords)
        if inspect.isgenerator(result):
            result = yield from result
        if observer is not None:
            observer.subreactor_left(self.name)
        returned: _T_co = result
        return returned

    def hint(self) -> str:
        """Return a message that says what is wrong and what to write instead."""
        return (
            f"Subreactor {self.name!r} was called without 'yield from', so it has not run. "
            f"Write:  value = yield from {self.name}(...)"
        )

    def __repr__(self) -> str:
        return f"<subreactor {self.name}, not entered yet>"
