"""The pipework: the object that a reactor uses to receive and send ingredients and to read parameters.

It has the methods that a reactor may use and no others, so that completion in editors shows only these.
:mod:`pyplant._tracer` records each use for the trace.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

from pyplant._missing import MISSING
from pyplant._tracer import Tracer
from pyplant.config.classes import missing_parameter_error, private_copy
from pyplant.engine.commands import Receive, Request, RunCoroutine, check_name
from pyplant.errors import (
    IngredientError,
)
from pyplant.events import ProgressAdvanced
from pyplant.fingerprint.digest import Encoder, encodes

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
    """Connects a reactor to the plant. The plant creates one for each execution.

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
            One name, several, or one list or tuple of names. Ingredients that are requested together may be
            made in parallel.

        Returns
        -------
        command
            The command to yield: ``x = yield pipe.receive("x")`` gives the value,
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

    def run(self, awaitable: Awaitable[Any]) -> RunCoroutine:
        """Run a coroutine; its result comes out of ``yield``.

        It runs on an event loop of this reactor, also in notebooks, where ``asyncio.run`` cannot be called.

        Parameters
        ----------
        awaitable
            The coroutine, or another awaitable object.

        Returns
        -------
        command
            The command to yield: ``page = yield pipe.run(download(address))``.
        """
        self._tracer.check_open()
        if not isinstance(awaitable, Awaitable):
            message = f"pipe.run takes a coroutine, as in: value = yield pipe.run(download()); it got {awaitable!r}."
            raise TypeError(message)
        command = RunCoroutine(awaitable)
        self._tracer.must_be_yielded(command)
        return command

    def send(self, name: str, value: Any, type: _Format | None = None) -> None:  # noqa: A002 - the public word
        """Send an ingredient with the present content of a value. Receivers get it when the reactor ends.

        Parameters
        ----------
        name
            The name by which others receive it.
        value
            The value, or the handle that :meth:`allocate` returned.
        type
            An ``Ingredient.Type`` or a spec class; inferred when left out.

        Raises
        ------
        pyplant.errors.SentTwiceError
            If this execution has sent that name before.
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
            The array or dataset to fill and then send. For a file it is the path to write to.
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
        """Like :meth:`allocate`, for a temporary value that is deleted when the reactor ends."""
        return self._tracer.allocate(name, type, options, temporary=True)

    # ------------------------------------------------------------------ configuration

    @property
    def config(self) -> Any:
        """The configuration, read-only. Each parameter that is read becomes a dependency."""
        return self._tracer.config

    def read_config(self, name: str) -> Any:
        """Read a parameter, which becomes a dependency.

        Parameters
        ----------
        name
            The name of the parameter, with dots for nested configurations.

        Raises
        ------
        pyplant.errors.MissingParameterError
            If there is no such parameter (also a ``KeyError`` and ``AttributeError``).
        """
        self._tracer.check_open()
        parameters = self._tracer.context.parameters
        value = parameters.read(name, self._tracer)
        if value is MISSING:
            raise missing_parameter_error(name, parameters.names())
        return value

    def read_config_unregistered(self, name: str) -> Any:
        """Read a parameter without a dependency: its change reruns nothing."""
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
            The path of the file. A relative path is resolved against the present working directory, and the
            dependency is on that file: another working directory reruns nothing. ``~`` is the home
            directory. The file need not exist.

        Returns
        -------
        path
            The same path, with ``~`` replaced.

        Raises
        ------
        pyplant.errors.IngredientError
            If it is no path, or not the path of a regular file.
        IsADirectoryError, PermissionError
            If it is a directory, or a file that cannot be read.
        """
        return self._tracer.input_file(path)

    def untracked(self) -> AbstractContextManager[None]:
        """Return a context manager in which this thread may read what is no input, such as a log or a lock file.

        Examples
        --------
        >>> def reactor(pipe):
        ...     with pipe.untracked():
        ...         banner = open("banner.txt").read()
        """
        self._tracer.check_open()
        return nullcontext() if self._tracer.reads is None else self._tracer.reads.paused()

    def progress(
        self, iterable: Iterable[_T], description: str | None = None, total: int | None = None
    ) -> Iterator[_T]:
        """Iterate and show the progress.

        Parameters
        ----------
        iterable
            The items.
        description
            A text to show with the progress.
        total
            The number of items; by default ``len(iterable)``, if it has a length.
        """
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        text = description or ""
        self._tracer.emit(ProgressAdvanced(self._tracer.definition.name, text, 0, total))
        for done, item in enumerate(iterable, 1):
            yield item
            self._tracer.emit(ProgressAdvanced(self._tracer.definition.name, text, done, total))


@encodes("pyplant.plant.Plant", "pyplant.pipework.Pipework", "pyplant._tracer.Tracer")
def _encode_plant(plant: Any, encoder: Encoder) -> None:
    """Encode a plant, or what a reactor has of one, by its class; a plant is not an input."""
    encoder.tag(type(plant).__name__)
