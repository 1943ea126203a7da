"""The decorators that declare reactors and subreactors, and their types for editors and type checkers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Mapping
from types import FunctionType
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, overload

from pyplant._definitions import MARK, Definition, SubreactorCall, capture, declare, define
from pyplant.errors import NotAReactorError
from pyplant.pipework import Pipework

__all__ = ["Reactor", "ReactorFunc", "Subreactor", "SubreactorFunc"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)
_Config = TypeVar("_Config")


class Reactor(Protocol[_P, _T_co]):
    """The type of a decorated function: the function itself, marked as a reactor."""

    __name__: str
    __pyplant_reactor__: Definition

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _T_co:
        """Call the function."""


class _ReactorDecorator(Protocol):
    @overload
    def __call__(self, function: Callable[[Pipework], _T], /) -> Reactor[[Pipework], _T]: ...
    @overload
    def __call__(
        self, function: Callable[[Pipework, _Config], _T], /
    ) -> Reactor[[Pipework, _Config], _T]: ...


@overload
def ReactorFunc(function: Callable[[Pipework], _T], /) -> Reactor[[Pipework], _T]: ...
@overload
def ReactorFunc(function: Callable[[Pipework, _Config], _T], /) -> Reactor[[Pipework, _Config], _T]: ...
@overload
def ReactorFunc(
    *,
    name: str | None = None,
    cache: bool = True,
    resources: Mapping[str, float | str] | None = None,
    track_reads: bool | Literal["note"] | None = None,
) -> _ReactorDecorator: ...


def ReactorFunc(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    cache: bool = True,
    resources: Mapping[str, float | str] | None = None,
    track_reads: bool | Literal["note"] | None = None,
) -> Any:
    """Declare a function to be a reactor.

    The function takes a :class:`~pyplant.Pipework` and optionally the configuration: ``f(pipe)`` or
    ``f(pipe, config)``. A second parameter without a default is the configuration, whatever its name;
    ingredients are not parameters but received. A reactor that receives ingredients is a generator,
    others may be plain functions. The decorator returns the function itself.

    Parameters
    ----------
    name
        The name of the reactor, if a factory or a loop makes several of one function.
    cache
        ``False`` to execute the reactor in every run that needs it.
    resources
        What it needs while it runs, such as ``{"GPU": 1, "memory": "20 GB"}``. Names and amounts are free, except
        that ``memory`` is in bytes or such a text. Reactors run at the same time only if ``Plant(resources=...)``,
        or a worker of Dask, has enough for all of them.
    track_reads
        What happens with files, folders and environment variables that its code reads without declaring them, if
        this differs from ``Plant(track_reads=...)``.

    Raises
    ------
    pyplant.errors.DefinitionError
        If the function cannot be called as a reactor.

    Examples
    --------
    >>> @ReactorFunc
    ... def double(pipe):
    ...     numbers = yield pipe.receive("numbers")
    ...     pipe.send("doubled", [2 * n for n in numbers])
    """

    def decorate(target: Callable[..., Any]) -> Callable[..., Any]:
        definition = define(target, name, cache=cache, resources=resources, track_reads=track_reads)
        target.__dict__[MARK] = definition
        # The plant calls the wrapped functions too, so their other parameters have their defaults.
        inner = getattr(target, "__wrapped__", None)
        while isinstance(inner, FunctionType) and "__pyplant_wrapped__" not in inner.__dict__:
            inner.__dict__["__pyplant_wrapped__"] = True
            inner = getattr(inner, "__wrapped__", None)
        declare(definition)
        return target

    return decorate if function is None else decorate(function)


Subreactor = Callable[_P, SubreactorCall[_T]]
"""The type of a decorated function: it has the same parameters, and ``yield from`` gives its result."""


class _SubreactorDecorator(Protocol):
    @overload
    def __call__(self, function: Callable[_P, Generator[Any, Any, _T]], /) -> Subreactor[_P, _T]: ...
    @overload
    def __call__(self, function: Callable[_P, _T], /) -> Subreactor[_P, _T]: ...


@overload
def SubreactorFunc(function: Callable[_P, Generator[Any, Any, _T]], /) -> Subreactor[_P, _T]: ...
@overload
def SubreactorFunc(function: Callable[_P, _T], /) -> Subreactor[_P, _T]: ...
@overload
def SubreactorFunc(*, name: str | None = None) -> _SubreactorDecorator: ...


def SubreactorFunc(function: Callable[..., Any] | None = None, /, *, name: str | None = None) -> Any:
    """Declare a function to be a subreactor: a procedure that reactors share.

    It is called as ``value = yield from f(...)``. It may receive and send like a reactor if it gets
    the pipework, call other subreactors, or be a plain function. What it reads and sends counts for the
    reactor that called it. A helper that does not receive anything needs no decorator: ordinary
    functions are tracked as well.

    Examples
    --------
    >>> @SubreactorFunc
    ... def load_both(pipe):
    ...     left, right = yield pipe.receive("left", "right")
    ...     return left + right
    """

    def decorate(target: Callable[..., Any]) -> Callable[..., SubreactorCall[Any]]:
        if not isinstance(target, FunctionType):
            message = f"@SubreactorFunc decorates functions, not a {type(target).__name__}."
            raise NotAReactorError(message)
        capture(target)
        called = name or target.__name__

        @functools.wraps(target)
        def subreactor(*args: Any, **kwargs: Any) -> SubreactorCall[Any]:
            return SubreactorCall(target, called, args, kwargs)

        subreactor.__dict__["__pyplant_subreactor__"] = target
        return subreactor

    return decorate if function is None else decorate(function)
