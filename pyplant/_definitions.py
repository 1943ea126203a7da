"""Definitions: what is known of a function that was declared to be a reactor or a subreactor.

The decorators are in :mod:`pyplant.reactor`.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import os.path
import sys
from collections.abc import Callable, Generator, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Generic, Protocol, TypeVar

from pyplant.engine.commands import Unyielded
from pyplant.errors import (
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
    "current_definitions",
    "declare",
    "define",
    "definition_of",
    "newest",
    "orphans",
    "sources",
    "withdraw",
]

_T_co = TypeVar("_T_co", covariant=True)

MARK = "__pyplant_reactor__"
"""The attribute of a function that holds its definition."""

sources = Sources()
"""The texts that decorated functions were defined in, taken when they were defined."""


@dataclass(frozen=True, slots=True, eq=False)
class CellExecution:
    """One execution of a cell of a notebook.

    Attributes
    ----------
    ident
        Identifies the cell as long as the notebook lives; ``""`` if the front end does not tell.
    number
        What the notebook counts, as in ``In [3]``.
    """

    ident: str
    number: int

    @property
    def label(self) -> str:
        """What people call it."""
        return f"cell [{self.number}]"


running_cell: CellExecution | None = None
"""The cell that is being executed right now; set by the notebook, where there is one."""


@dataclass(frozen=True, slots=True, eq=False)
class Definition:
    """A reactor as it was declared.

    Attributes
    ----------
    function
        The function itself.
    name
        What people call it.
    module
        The module it is defined in.
    defining_file, qualname
        Its file (``"__main__"`` in a notebook) and its name there: two definitions that
        agree in both are one reactor, the newer one.
    cache
        Whether its results may be served from traces.
    is_generator, config_name
        How it is called: the second name is that of the parameter for the configuration, ``""`` if it
        takes none.
    execution
        Identifies the execution of its module; a module that was executed again no longer
        has the reactors of the time before.
    cell
        The cell of a notebook whose execution defined it.
    resources
        Passed to the executor.
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
    resources: dict[str, Any] = field(default_factory=dict)
    cell: CellExecution | None = None

    @property
    def takes_config(self) -> bool:
        """Whether it is called with the configuration."""
        return bool(self.config_name)

    @property
    def place(self) -> str:
        """Where people find it: a cell, or a file."""
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
    def is_current(self) -> bool:
        """Whether its module has not been executed again since without defining it."""
        module = sys.modules.get(self.module)
        return module is None or getattr(module, "__spec__", None) is self.execution


_declared: dict[str, Definition] = {}
_repeated: dict[str, list[Definition]] = {}
orphans: set[Definition] = set()
"""Reactors whose cell was deleted: they serve until another takes their name, or sends what they send."""


def current_definitions() -> Iterator[Definition]:
    """All reactors of the process, in order of definition; what was redefined is gone."""
    for key, definition in tuple(_declared.items()):
        if definition.is_current:
            if key in _repeated:
                raise _repetition(definition)
            yield definition


def all_definitions() -> list[Definition]:
    """All definitions that may count, those that are wrong included."""
    return list(_declared.values())


def newest(definition: Definition) -> Definition:
    """The newest definition of the same reactor."""
    latest = _declared.get(definition.key)
    return latest if latest is not None and latest.is_current else definition


def withdraw(definition: Definition) -> bool:
    """Forget a definition; whether it was the one that counts."""
    orphans.discard(definition)
    if _declared.get(definition.key) is not definition:
        return False
    del _declared[definition.key]
    _repeated.pop(definition.key, None)
    return True


def declare(definition: Definition) -> None:
    """Let a definition count from now on, in the place of earlier ones of the same reactor."""
    key = definition.key
    earlier = _declared.pop(key, None)
    _repeated.pop(key, None)
    if earlier is not None:
        orphans.discard(earlier)
    if (
        earlier is not None
        and earlier.function is not definition.function
        and _same_execution(earlier, definition)
    ):
        _repeated[key] = [earlier, definition]
    _declared[key] = definition


def _same_execution(earlier: Definition, later: Definition) -> bool:
    """Whether one run of a module defined both, as a loop does; cells are run again at will."""
    if "<locals>" in later.qualname or later.cell is not earlier.cell:
        return False
    if later.cell is None and (hasattr(builtins, "__IPYTHON__") or later.defining_file == "__main__"):
        # Typed in once more, or defined again by %autoreload, which leaves the rest of a module be.
        return False
    same_globals = getattr(earlier.function, "__globals__", 0) is getattr(later.function, "__globals__", 1)
    return same_globals and earlier.execution is later.execution


def _repetition(definition: Definition) -> DefinitionError:
    where = definition.defining_file if definition.cell is None else definition.place.capitalize()
    return DefinitionError(
        f"{where} defines reactor {definition.name!r} more than once in one go, so only the last "
        f"would count. Give each its own name: @ReactorFunc(name=...)."
    )


def definition_of(function: Any) -> Definition:
    """The definition of a decorated function.

    Raises
    ------
    pyplant.errors.NotAReactorError
        If it is not decorated with ``@ReactorFunc``.
    """
    definition = getattr(function, "__dict__", {}).get(MARK)
    if isinstance(definition, Definition):
        if definition.function is not function and isinstance(function, FunctionType):
            # %autoreload patches the old function object in place, this mark included.
            return define(function, definition.name, cache=definition.cache, resources=definition.resources)
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
    resources: dict[str, Any] | None = None,
) -> Definition:
    """The definition of a function, which is not declared by this.

    Raises
    ------
    pyplant.errors.DefinitionError
        If the function cannot be called as a reactor.
    """
    if not isinstance(function, FunctionType):
        raise NotAReactorError(not_a_function_message(function))
    config_name = _check_signature(function)
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
        resources=resources or {},
        cell=running_cell if function.__module__ == "__main__" else None,
    )


def capture(function: FunctionType) -> object:
    """Take the text that a function stands in; returns the execution of its module."""
    # Of the module it is defined in; a decorator's wrapper has the globals of another one.
    execution = getattr(sys.modules.get(function.__module__), "__spec__", None)
    sources.capture(function.__code__.co_filename, function.__globals__, execution)
    _follow(function)
    return execution


def _follow(function: FunctionType) -> None:
    """Let the distribution that holds a function be user code, wherever it is installed."""
    inner = inspect.unwrap(function) if "__wrapped__" in function.__dict__ else function
    code = getattr(inner, "__code__", function.__code__)
    filename = code.co_filename
    if filename.startswith("<"):
        filename = getattr(sys.modules.get(function.__module__), "__file__", None) or filename
    follow_file(filename)


_real_path = functools.cache(os.path.realpath)


def _is_generator(function: FunctionType) -> bool:
    if function.__code__.co_flags & inspect.CO_GENERATOR:
        return True
    return hasattr(function, "__wrapped__") and inspect.isgeneratorfunction(inspect.unwrap(function))


def _check_signature(function: FunctionType) -> str:
    """The name of the parameter that is the configuration, if any; refuses what no plant can call."""
    is_async_generator = function.__code__.co_flags & inspect.CO_ASYNC_GENERATOR
    if is_async_generator or inspect.iscoroutinefunction(function):
        message = f"Reactor {function.__qualname__!r} is async; reactors are plain functions or generators."
        raise DefinitionError(message)
    inner = function
    if function.__code__.co_flags & inspect.CO_VARARGS:  # a wrapper that hands on what it gets
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
    return positional[1] if needed > 1 else ""


# ---------------------------------------------------------------------- subreactors


class TaskObserver(Protocol):
    """What a running reactor tells of itself to the one who runs it."""

    def must_be_yielded(self, item: Unyielded) -> None:
        """Something was made that must be yielded before it is of use."""

    def subreactor_entered(self, call: SubreactorCall[Any]) -> None:
        """A subreactor begins."""

    def subreactor_left(self, name: str) -> None:
        """A subreactor returned."""


active_observer: ContextVar[TaskObserver | None] = ContextVar("pyplant_active_reactor", default=None)
"""The reactor that is being stepped right now, if any."""


class SubreactorCall(Unyielded, Generic[_T_co]):
    """A subreactor that was called but not entered: ``yield from`` enters it."""

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
        """What happened and what to write instead."""
        return (
            f"Subreactor {self.name!r} was called without 'yield from', so it has not run. "
            f"Write:  value = yield from {self.name}(...)"
        )

    def __repr__(self) -> str:
        return f"<subreactor {self.name}, not entered yet>"
