"""The pipework: what a running reactor holds to receive, send and read parameters.

It knows the warehouse and the record of its own execution, never the plant. Whatever the
reactor does through it becomes part of the trace.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, overload

from pyplant._definitions import Definition, SubreactorCall
from pyplant.config import MISSING, missing_parameter, private_copy
from pyplant.config_views import KIND, described, plain
from pyplant.engine.commands import Receive, Request, Unyielded
from pyplant.engine.description import shorten
from pyplant.engine.trace import Dependency, DependencyKind
from pyplant.errors import (
    ConfigError,
    IngredientError,
    NotAllocatedError,
    NotYieldedError,
    SentTwiceError,
)
from pyplant.events import Event, IngredientSent, ProgressAdvanced, SubreactorEntered, SubreactorLeft
from pyplant.frontend import Recorded
from pyplant.ingredient import Ingredient
from pyplant.parameters import Parameters
from pyplant.paths import expanded, is_address, recorded
from pyplant.store.inputs import refuse
from pyplant.store.warehouse import Allocation, Warehouse

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

__all__ = ["ExecutionRecord", "Pipework", "RunFacts"]

_T = TypeVar("_T")


class RunFacts(Protocol):
    """What an execution needs to know of the run around it."""

    @property
    def parameters(self) -> Parameters:
        """The configuration."""

    def parameter(self, name: str) -> str | None:
        """Digest of a parameter, ``None`` if it is not there."""

    def file(self, path: str) -> str | None:
        """Digest of an input file as it is now."""

    def subreactor_entered(self, function: Callable[..., Any], name: str) -> str:
        """Fingerprint of a subreactor that was called."""


class Unsaved(NamedTuple):
    """A value that was sent and could not be stored."""

    value: Any
    digest: str | None
    error: OSError


@dataclass(slots=True)
class ExecutionRecord:
    """What one execution did, as it will stand in the trace.

    ``unsent`` was allocated for nothing; a value of the type ``returned`` was returned.
    """

    dependencies: list[Dependency] = field(default_factory=list)
    outputs: dict[str, Ingredient] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    unsaved: dict[str, Unsaved] = field(default_factory=dict)
    unsent: tuple[str, ...] = ()
    returned: str = ""
    asked: set[tuple[DependencyKind, tuple[str, ...]]] = field(default_factory=set)
    showed: Recorded | None = None

    def depend(self, kind: DependencyKind, names: tuple[str, ...], digests: tuple[str, ...]) -> None:
        """Record a dependency the first time it is met."""
        if (kind, names) not in self.asked:
            self.asked.add((kind, names))
            self.dependencies.append(Dependency(kind, names, digests))


class Pipework:
    """Connects a reactor to the plant; made by the plant, one for each execution.

    Parameters
    ----------
    definition
        The reactor.
    warehouse
        Where values go.
    facts
        The run around it.
    emit
        Takes events.
    """

    def __init__(
        self,
        definition: Definition,
        warehouse: Warehouse,
        facts: RunFacts,
        emit: Callable[[Event], None],
    ) -> None:
        self._definition = definition
        self._warehouse = warehouse
        self._facts = facts
        self._emit = emit
        self._record = ExecutionRecord()
        self._allocations: dict[str, Allocation] = {}
        self._to_finish: list[Allocation] = []
        self._outstanding: list[Unyielded] = []
        self._closed = False
        self._process = os.getpid()
        self._config: Any = MISSING

    # ------------------------------------------------------------------ ingredients

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
        self._check_open()
        request = Request.of(names)
        for name in request.names:
            _check_name(name, "receive")
        if not names:
            message = "pipe.receive() needs the name of an ingredient, or a list of names."
            raise IngredientError(message)
        command = Receive(request.names, as_list=request.as_list)
        self._outstanding.append(command)
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
        self._check_open()
        _check_name(name, "send")
        if isinstance(value, Unyielded):
            raise NotYieldedError(value.hint())
        value = plain(value)  # of the configuration; this reads all of it
        if name in self._record.outputs or any(done.name == name for done in self._to_finish):
            message = f"Reactor {self._definition.name!r} sent {name!r} twice; an ingredient has one value. Send it once, or under two names."
            raise SentTwiceError(message)
        allocation = self._allocation_of(name, value)
        if allocation is not None:
            self._to_finish.append(allocation)
            return
        try:
            ingredient = self._warehouse.save(name, value, type)
        except OSError as error:
            digest = self._warehouse.digest(name, value, type)
            self._record.unsaved[name] = Unsaved(private_copy(value), digest, error)
            return
        self._record.outputs[name] = ingredient
        self._emit(IngredientSent(self._definition.name, name, ingredient.format, ingredient.size))

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
        return self._allocate(name, type, options, temporary=False)

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
        return self._allocate(name, type, options, temporary=True)

    def _allocate(self, name: str, kind: Any, options: dict[str, Any], *, temporary: bool) -> Any:
        self._check_open()
        _check_name(name, "allocate")
        if name in self._allocations:
            message = f"Reactor {self._definition.name!r} allocated {name!r} twice."
            raise SentTwiceError(message)
        allocation = self._warehouse.allocate(name, kind, options, temporary=temporary)
        self._allocations[name] = allocation
        return allocation.handle

    def _allocation_of(self, name: str, value: Any) -> Allocation | None:
        for allocation in self._allocations.values():
            if value is allocation.handle or _same_path(value, allocation.handle):
                if allocation.temporary:
                    message = f"{name!r} was made by allocate_temp, which is scratch; use pipe.allocate({name!r}, ...) to send it."
                    raise NotAllocatedError(message)
                if allocation.name != name:
                    message = f"This value was allocated as {allocation.name!r} and cannot be sent as {name!r}; use one name for both."
                    raise NotAllocatedError(message)
                return allocation
            if allocation.spec.is_part_of(value, allocation.handle):
                message = (
                    f"{name!r} is a view of the allocated {allocation.name!r}. Send the whole value that "
                    f"pipe.allocate returned, or a copy of the part: pipe.send({name!r}, part.copy())."
                )
                raise NotAllocatedError(message)
        return None

    # ------------------------------------------------------------------ configuration

    @property
    def config(self) -> Any:
        """The configuration, read-only; what is read becomes a dependency."""
        if self._config is MISSING:
            # Code can ask for its class in ways that nobody can see, such as isinstance().
            self.read(KIND, self._facts.parameters.lookup(KIND))
            self._config = self._facts.parameters.view(self)
        return self._config

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
        self._check_open()
        parameters = self._facts.parameters
        value = parameters.read(name, self)
        if value is MISSING:
            raise missing_parameter(name, parameters.names())
        return value

    def read_config_unregistered(self, name: str) -> Any:
        """Read a parameter without depending on it: its change will not rerun anything."""
        value = self._facts.parameters.value(name)
        if value is MISSING:
            raise missing_parameter(name, self._facts.parameters.names())
        return private_copy(value)

    def read(self, name: str, value: Any) -> Any:
        """A parameter was read (:class:`~pyplant.config.ConfigReader`)."""
        if self._facts.parameters.is_auxiliary(name):
            self._depend(DependencyKind.AUXILIARY, name, "")
        else:
            self._depend(DependencyKind.PARAMETER, name, self._facts.parameter(name) or "")
            if name not in self._record.shown:  # of lists of names, only those that count
                self._record.shown[name] = shorten(self._facts.parameters.lookup(name))
        return private_copy(value)

    def absent(self, name: str) -> None:
        """A parameter was asked for that is not there."""
        self._depend(DependencyKind.ABSENCE, name, "")

    def _depend(self, kind: DependencyKind, name: str, digest: str) -> None:
        if os.getpid() != self._process and (kind, (name,)) not in self._record.asked:
            message = (
                f"Reactor {self._definition.name!r} read {described(name)} in a process that it forked, and the plant would "
                f"never know of it. Read it in the reactor first, or give the process a copy: copy.deepcopy(config)."
            )
            raise ConfigError(message)
        self._record.depend(kind, (name,), (digest,))

    # ------------------------------------------------------------------ files and progress

    def input_file(self, path: str | os.PathLike[str]) -> Any:
        """Depend on the content of a file outside the plant.

        Parameters
        ----------
        path
            Of the file; a relative one is relative to the working directory as it is now. ``~`` is
            the home directory. There need not be such a file.

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
        self._check_open()
        if (
            not isinstance(path, str | bytes | os.PathLike)
            or not os.fspath(path)
            or "\0" in os.fsdecode(path)
        ):
            message = f"pipe.input_file takes the path of a file, not {path!r}."
            raise IngredientError(message)
        given = expanded(path)
        if is_address(given):
            message = (
                f"pipe.input_file takes the path of a file; {given} is an address, whose content cannot be followed. "
                f"Download it to a file first, or read it without pipe.input_file."
            )
            raise IngredientError(message)
        name = recorded(given, self._warehouse.root.parent)
        digest = self._facts.file(name)
        refuse(given, digest)
        self._record.depend(DependencyKind.FILE, (name,), (digest or "",))
        if given == os.fsdecode(path):
            return path
        return (
            Path(given)
            if isinstance(path, os.PathLike)
            else given
            if isinstance(path, str)
            else os.fsencode(given)
        )

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
        self._emit(ProgressAdvanced(self._definition.name, text, 0, total))
        for done, item in enumerate(iterable, 1):
            yield item
            self._emit(ProgressAdvanced(self._definition.name, text, done, total))

    # ------------------------------------------------------------------ for whoever runs it

    def outstanding(self, item: Unyielded) -> None:
        """Something was made that must be yielded (:class:`~pyplant._definitions.TaskObserver`)."""
        self._outstanding.append(item)

    def entered(self, call: SubreactorCall[Any]) -> None:
        """A subreactor begins; one that the reactor's code does not name is a dependency."""
        self._settle(call)
        fingerprint = self._facts.subreactor_entered(call.function, call.name)
        if fingerprint:
            full_name = f"{call.function.__module__}.{call.function.__qualname__}"
            self._record.depend(DependencyKind.SUBREACTOR, (full_name,), (fingerprint,))
        self._emit(SubreactorEntered(self._definition.name, call.name))

    def left(self, name: str) -> None:
        """A subreactor returned."""
        self._emit(SubreactorLeft(self._definition.name, name))

    def returned(self, value: Any) -> None:
        """The reactor returned this, which goes nowhere."""
        if isinstance(value, Unyielded):
            raise NotYieldedError(value.hint())
        if value is not None:
            self._record.returned = type(value).__qualname__

    def yielded(self, command: Receive) -> None:
        """A command came out of the reactor."""
        self._settle(command)

    def _settle(self, item: Unyielded) -> None:
        self._outstanding = [other for other in self._outstanding if other is not item]

    def received(self, ingredients: tuple[Ingredient, ...]) -> None:
        """The reactor is handed these."""
        names = tuple(ingredient.name for ingredient in ingredients)
        digests = tuple(ingredient.digest for ingredient in ingredients)
        self._record.depend(DependencyKind.INGREDIENT, names, digests)

    def finish(self) -> ExecutionRecord:
        """The reactor has returned: complete what it allocated, and give its record.

        Raises
        ------
        pyplant.errors.NotYieldedError
            If something was never yielded.
        """
        if self._outstanding:
            raise NotYieldedError(self._outstanding[0].hint())
        for allocation in self._to_finish:
            ingredient = self._warehouse.finish(allocation)
            self._record.outputs[ingredient.name] = ingredient
            del self._allocations[allocation.name]
            self._emit(
                IngredientSent(self._definition.name, ingredient.name, ingredient.format, ingredient.size)
            )
        self._to_finish.clear()
        self._record.unsent = tuple(
            name for name, allocation in self._allocations.items() if not allocation.temporary
        )
        return self._record

    @property
    def is_closed(self) -> bool:
        """Whether the reactor has ended."""
        return self._closed

    def close(self) -> None:
        """Throw away what was allocated and not sent; the pipework is of no use afterwards."""
        if os.getpid() != self._process:
            return  # what was allocated is the parent's
        self._closed = True
        self._config = MISSING  # the two name each other, and would wait for the collector of garbage
        for allocation in self._allocations.values():
            self._warehouse.discard(allocation)
        self._allocations.clear()

    def _check_open(self) -> None:
        if self._closed:
            message = f"Reactor {self._definition.name!r} has ended; its pipe can no longer be used."
            raise IngredientError(message)
        if os.getpid() != self._process:
            message = (
                f"Reactor {self._definition.name!r} used its pipe in a process that it forked. The plant would never "
                f"know of it: return what was computed to the reactor, and use the pipe there."
            )
            raise IngredientError(message)


def _check_name(name: Any, method: str) -> None:
    if not isinstance(name, str) or not name:
        message = f"pipe.{method} needs the name of an ingredient, a string; it got {name!r}."
        if method == "receive":
            message += " Several names are given one by one, or as one list."
        raise IngredientError(message)


def _same_path(value: Any, handle: Any) -> bool:
    if not isinstance(handle, str) or not isinstance(value, str | os.PathLike):
        return False
    return os.fspath(value) == handle
