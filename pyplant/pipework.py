"""The pipework: what a running reactor holds to receive, send and read parameters.

It has the methods that a reactor may use and no others. Whatever the reactor does through it is
recorded by :mod:`pyplant._tracer` and becomes part of the trace.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence, Sized
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

from pyplant._missing import MISSING
from pyplant._tracer import Tracer, check_name
from pyplant.config.classes import missing_parameter_error, private_copy
from pyplant.engine.commands import Receive, Request
from pyplant.errors import (
    IngredientError,
)
from pyplant.events import ProgressAdvanced

if TYPE_CHECKING:
    import h5py
    import numpy as np

    from pyplant.ingredient import _Type
    from pyplant.specs import ArraySpec, FileSpec, HdfArraySpec, IngredientSpec

    # With `type` also the name of a parameter, annotations of those methods cannot say `type[...]`.
    _ArrayType: TypeAlias = Literal[_Type.array] | type[ArraySpec]
    _FileType: TypeAlias = Literal[_Type.file] | type[FileSpec]
    _HdfType: TypeAlias = type[HdfArraySpec]
    _Spec: TypeAlias = type[IngredientSpec] | IngredientSpec | str
    _Format: TypeAlias = _Type | _Spec
    _Shape: TypeAlias = int | tuple[int, ...]

__all__ = ["Pipework"]

_T = TypeVar("_T")


class Pipework:
    """Connects a reactor to the plant; made by the plant, one for each execution.

    Parameters
    ----------
    tracer
        Records what the reactor does.
    """

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @overload
    def receive(self, name: str, /, *names: str) -> Receive: ...
    @overload
    def receive(self, names: Sequence[str], /) -> Receive: ...

    def receive(self, *names: Any) -> Receive:
        """Ask for ingredients; the value comes out of ``yield``.

        Parameters
        ----------
        names
            One name, several, or one list or tuple of names. Those asked for together may
            be made side by side.

        Returns
        -------
        command
            To be yielded: ``x = yield pipe.receive("x")`` gives the value,
            ``a, b = yield pipe.receive("a", "b")`` a tuple of values, and
            ``values = yield pipe.receive(names)`` a list of values, however many names are
            in the list. Each value is private to this reactor.

        Raises
        ------
        pyplant.errors.NotYieldedError
            If the reactor is a plain function, which cannot wait.
        """
        self._tracer.check_open()
        request = Request.of(names)
        for name in request.names:
            check_name(name, "receive")
        if not names:
            message = "pipe.receive() needs the name of an ingredient, or a list of names."
            raise IngredientError(message)
        command = Receive(request.names, as_list=request.as_list)
        self._tracer.must_be_yielded(command)
        return command

    def send(self, name: str, value: Any, type: _Format | None = None) -> None:  # noqa: A002 - the public word
        """Send an ingredient: its value as it is now. Others see it when the reactor ends.

        Parameters
        ----------
        name
            What others will receive it by.
        value
            The value, or the handle that :meth:`allocate` returned.
        type
            An ``Ingredient.Type`` or a spec class; inferred when left out.

        Raises
        ------
        pyplant.errors.SentTwiceError
            If this execution sent that name already.
        pyplant.errors.NotAllocatedError
            If values of this type must be allocated first.
        pyplant.errors.UnsavableError
            If the value cannot be stored.
        """
        self._tracer.send(name, value, type)

    @overload
    def allocate(
        self, name: str, type: _ArrayType, *, shape: _Shape, dtype: Any = ...
    ) -> np.ndarray[Any, Any]: ...
    @overload
    def allocate(self, name: str, type: _FileType, *, suffix: str = ...) -> str: ...
    @overload
    def allocate(
        self, name: str, type: _HdfType, *, shape: _Shape, dtype: Any = ..., **options: Any
    ) -> h5py.Dataset: ...
    @overload
    def allocate(self, name: str, type: _Spec, **options: Any) -> Any: ...

    def allocate(self, name: str, type: Any, **options: Any) -> Any:  # noqa: A002 - the public word
        """Create a value on disk, for values larger than memory or written by others.

        Parameters
        ----------
        name
            The name under which it will be sent.
        type
            Such as ``specs.HdfArraySpec``, ``Ingredient.Type.array`` or ``Ingredient.Type.file``.
        **options
            What the type needs: ``shape`` and ``dtype`` for arrays, ``suffix`` for files.

        Returns
        -------
        handle
            To be filled, then sent. For a file it is the path to write to.
        """
        return self._tracer.allocate(name, type, options, temporary=False)

    @overload
    def allocate_temp(
        self, name: str, type: _ArrayType, *, shape: _Shape, dtype: Any = ...
    ) -> np.ndarray[Any, Any]: ...
    @overload
    def allocate_temp(self, name: str, type: _FileType, *, suffix: str = ...) -> str: ...
    @overload
    def allocate_temp(
        self, name: str, type: _HdfType, *, shape: _Shape, dtype: Any = ..., **options: Any
    ) -> h5py.Dataset: ...
    @overload
    def allocate_temp(self, name: str, type: _Spec, **options: Any) -> Any: ...

    def allocate_temp(self, name: str, type: Any, **options: Any) -> Any:  # noqa: A002 - the public word
        """Like :meth:`allocate`, for scratch that is gone when the reactor ends."""
        return self._tracer.allocate(name, type, options, temporary=True)

    # ------------------------------------------------------------------ configuration

    @property
    def config(self) -> Any:
        """The configuration, read-only; what is read becomes a dependency."""
        return self._tracer.config

    def read_config(self, name: str) -> Any:
        """Read a parameter; the reactor depends on it from now on.

        Parameters
        ----------
        name
            The parameter; one of a nested configuration with a dot.

        Raises
        ------
        pyplant.errors.MissingParameterError
            If there is none of that name (also a ``KeyError`` and ``AttributeError``).
        """
        self._tracer.check_open()
        parameters = self._tracer.context.parameters
        value = parameters.read(name, self._tracer)
        if value is MISSING:
            raise missing_parameter_error(name, parameters.names())
        return value

    def read_config_unregistered(self, name: str) -> Any:
        """Read a parameter without depending on it: its change will not rerun anything."""
        value = self._tracer.context.parameters.value(name)
        if value is MISSING:
            raise missing_parameter_error(name, self._tracer.context.parameters.names())
        return private_copy(value)

    # ------------------------------------------------------------------ files and progress

    def input_file(self, path: str | os.PathLike[str]) -> Any:
        """Depend on the content of a file outside the plant.

        Parameters
        ----------
        path
            Of the file; a relative one is relative to the working directory as it is now, and stands
            for that file from then on: another working directory reruns nothing. ``~`` is the home
            directory. There need not be such a file.

        Returns
        -------
        path
            The same path, with ``~`` replaced.

        Raises
        ------
        pyplant.errors.IngredientError
            If it is no path, or leads to something that has no fixed content.
        IsADirectoryError, PermissionError
            If it is a directory, or a file that cannot be read.
        """
        return self._tracer.input_file(path)

    def progress(
        self, iterable: Iterable[_T], description: str | None = None, total: int | None = None
    ) -> Iterator[_T]:
        """Iterate and show how far it is.

        Parameters
        ----------
        iterable
            What to iterate over.
        description
            What is going on.
        total
            Number of items, where ``len(iterable)`` does not tell.
        """
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        text = description or ""
        self._tracer.emit(ProgressAdvanced(self._tracer.definition.name, text, 0, total))
        for done, item in enumerate(iterable, 1):
            yield item
            self._tracer.emit(ProgressAdvanced(self._tracer.definition.name, text, done, total))
