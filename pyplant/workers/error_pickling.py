"""Exceptions on their way from a worker to the coordinator.

A reactor may raise anything: exceptions whose constructor takes other arguments, that hold locks, whose
pickling raises, or that cannot be loaded again. So an exception is no part of a pickled reply. It is taken
apart into single exceptions (members of groups, causes and contexts), and each is pickled alone and loaded
in the worker as a test. One that fails the test is replaced by an exception with its name and text; the
others arrive unchanged.

A class is pickled by its own methods if it defines any; otherwise its object is created without calling the
constructor (:func:`~pyplant.specs.exceptions.reduce_exception`). If that fails, parts that cannot be pickled
are replaced by objects that show the same.

A traceback cannot be pickled. Its text arrives as the last cause (:class:`RemoteError`).
"""

from __future__ import annotations

import io
import pickle
import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

from pyplant._formatting import error_text
from pyplant.execution.tracebacks import without_inner_frames
from pyplant.fingerprint.attributes import namespace, qualname_of
from pyplant.specs.exceptions import Chain, chain_of, reduce_exception, set_chain

__all__ = ["PickledError", "RemoteError", "attach_traceback", "load_error", "pickle_error", "traceback_text"]

_PROTOCOL = 5
_ADDRESS = re.compile(r"\bat 0x[0-9A-Fa-f]+")  # part of the representation of many objects
_exceptions = BaseExceptionGroup.__dict__["exceptions"].__get__

_Reduce = Callable[[Any], Any]
"""Returns how to pickle an object; ``NotImplemented`` for as usual."""


class RemoteError(Exception):
    """The traceback of an error in a worker."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class NotSent:
    """Stands in an exception for a part of it that cannot be pickled, and shows what that part shows."""

    def __init__(self, shown: str) -> None:
        self.shown = shown

    def __repr__(self) -> str:
        return self.shown


class PickledError(NamedTuple):
    """One exception without the exceptions that it refers to.

    Attributes
    ----------
    content
        The pickled exception; empty if it cannot be sent.
    text
        Its name and text.
    base
        The builtin class of the exception that replaces it if it cannot be loaded.
    notes
        The notes added to it.
    members
        The members of a group, by number.
    chain
        The cause and the context, by number, and whether the context is hidden.
    """

    content: bytes
    text: str
    base: type[BaseException]
    notes: tuple[str, ...]
    members: tuple[int, ...]
    chain: tuple[int | None, int | None, bool]


def traceback_text(error: BaseException) -> str:
    """Return the traceback of an error, without the frames of PyPlant above those of the user."""
    frames = without_inner_frames(error)
    try:
        return "".join(traceback.format_exception(type(error), error, frames))
    except Exception:  # noqa: BLE001 - an exception class may answer to all names, or raise whatever is asked
        return "".join(
            ["Traceback (most recent call last):\n", *traceback.format_tb(frames), error_text(error)]
        )


# ---------------------------------------------------------------------- in the worker


def pickle_error(error: BaseException) -> tuple[PickledError, ...]:
    """Pickle an exception and all exceptions that it refers to; the first is the exception itself."""
    errors = [error]
    numbers = {id(error): 0}
    for one in errors:  # becomes longer meanwhile
        for other in (*_members(one), *chain_of(one)[:2]):
            if other is not None and id(other) not in numbers:
                numbers[id(other)] = len(errors)
                errors.append(other)
    return tuple(_pickle_one(one, numbers, errors) for one in errors)


def _members(error: BaseException) -> tuple[BaseException, ...]:
    found: tuple[BaseException, ...] = (
        _exceptions(error) if issubclass(type(error), BaseExceptionGroup) else ()
    )
    return found


def _pickle_one(
    error: BaseException, numbers: Mapping[int, int], errors: Sequence[BaseException]
) -> PickledError:
    members = tuple(numbers[id(member)] for member in _members(error))
    cause, context, suppresses = chain_of(error)
    notes = (namespace(error) or {}).get("__notes__")
    return PickledError(
        _content(error, {id(errors[number]): number for number in members}, errors.__getitem__),
        error_text(error),
        _standin_base(type(error)),
        tuple(note for note in notes if type(note) is str) if isinstance(notes, list | tuple) else (),
        members,
        (
            None if cause is None else numbers[id(cause)],
            None if context is None else numbers[id(context)],
            suppresses,
        ),
    )


def _standin_base(cls: type) -> type[BaseException]:
    if issubclass(cls, Exception):
        return RuntimeError
    bases = (KeyboardInterrupt, SystemExit, GeneratorExit)
    return next((base for base in bases if issubclass(cls, base)), BaseException)


def _content(error: BaseException, members: Mapping[int, int], find: Callable[[int], BaseException]) -> bytes:
    """Return a pickle that loads as an exception of the same class; ``b""`` if there is none."""
    wanted, other = _ADDRESS.sub("", error_text(error)), b""
    for pickled in _attempts(error, members):
        try:
            content = pickled()
            copy = _load(content, find)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S112 - code of the user, which may even call sys.exit()
            continue
        if qualname_of(type(copy)) != qualname_of(type(error)):
            continue
        text = _ADDRESS.sub("", error_text(copy))
        if text == wanted:
            return content
        # A text may differ each time; but one that fails shows that something is missing.
        if not other and text.endswith(_FAILED) == wanted.endswith(_FAILED):
            other = content
    return other


_FAILED = "<exception str() failed>"


def _attempts(error: BaseException, members: Mapping[int, int]) -> Iterator[Callable[[], bytes]]:
    """Yield the ways to pickle an exception, the best first."""
    own = partial(reduce_exception, chained=False)
    by_parts = partial(_reduce_parts, members=members)
    bypassed = partial(_reduce_parts, members=members, by_own_methods=False)
    # By name before by value: a class that is copied is no longer the class that the user catches.
    for by_value in (False, True):
        for reduce in (own, by_parts):
            yield partial(_dump, error, members, reduce, by_value=by_value)
    yield partial(_dump, error, members, bypassed, by_value=False)


def _reduce_parts(error: BaseException, members: Mapping[int, int], *, by_own_methods: bool = True) -> Any:
    """Return how to pickle an exception, each of its parts as far as possible."""
    reduced = reduce_exception(error, chained=False, by_own_methods=by_own_methods)
    if reduced is NotImplemented:
        return reduced
    make, (cls, arguments, group), (slots, attributes, chain), *rest = reduced
    sendable = partial(_sendable, members=members)
    state = (
        {name: sendable(part) for name, part in slots.items()},
        {name: sendable(part) for name, part in (attributes or {}).items()},
        chain,
    )
    return make, (cls, tuple(map(sendable, arguments)), group), state, *rest


def _sendable(part: Any, members: Mapping[int, int]) -> Any:
    """Return a part of an exception, or what stands in for it."""
    for by_value in (False, True):
        try:
            content = _dump(part, members, partial(reduce_exception, chained=False), by_value=by_value)
            _load(content, RuntimeError)
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S112 - code of the user
            continue
        return _ByValue(content) if by_value else part
    try:
        return NotSent(repr(part))
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - code of the user
        return NotSent(f"<{qualname_of(type(part))} object>")


class _ByValue:
    """A part of an exception that is pickled by value, in an exception that is pickled by name."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self._content,)


def _dump(obj: Any, members: Mapping[int, int], reduce: _Reduce, *, by_value: bool) -> bytes:
    stream = io.BytesIO()
    pickler = (_value_pickler() if by_value else _ErrorPickler)(stream, _PROTOCOL)
    pickler.members, pickler.reduce = members, reduce
    pickler.dump(obj)
    return stream.getvalue()


class _ErrorPickler(pickle.Pickler):
    """Pickles an exception without the members of a group, which are replaced by their numbers."""

    members: Mapping[int, int]
    reduce: _Reduce

    def persistent_id(self, obj: Any) -> int | None:
        return self.members.get(id(obj))

    def reducer_override(self, obj: Any) -> Any:
        return self.reduce(obj) if issubclass(type(obj), BaseException) else NotImplemented


@cache
def _value_pickler() -> Any:
    import cloudpickle  # slow to load

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc] # cloudpickle has no types
        members: Mapping[int, int]
        reduce: _Reduce
        persistent_id = _ErrorPickler.persistent_id

        def reducer_override(self, obj: Any) -> Any:
            reduced = self.reduce(obj) if issubclass(type(obj), BaseException) else NotImplemented
            return super().reducer_override(obj) if reduced is NotImplemented else reduced

    return Pickler


# ---------------------------------------------------------------------- in the coordinator


class _ErrorUnpickler(pickle.Unpickler):
    find: Callable[[int], BaseException]

    def persistent_load(self, number: int) -> BaseException:
        return self.find(number)


def _load(content: bytes, find: Callable[[int], BaseException]) -> BaseException:
    """Load an exception; ``find`` returns the members of a group."""
    unpickler = _ErrorUnpickler(io.BytesIO(content))
    unpickler.find = find
    loaded: BaseException = unpickler.load()
    return loaded


def load_error(pickled: Sequence[PickledError]) -> BaseException:
    """Return the exception that :func:`pickle_error` pickled."""
    loaded: dict[int, BaseException] = {}

    def find(number: int) -> BaseException:
        if number not in loaded:
            loaded[number] = _load_one(pickled[number], find)
        return loaded[number]

    for number in range(len(pickled)):
        find(number)
    for number, one in enumerate(pickled):
        cause, context, suppresses = one.chain
        chain: Chain = (
            None if cause is None else loaded[cause],
            None if context is None else loaded[context],
            suppresses,
        )
        set_chain(loaded[number], chain)
        own = namespace(loaded[number])
        if one.notes and own is not None:
            own.setdefault("__notes__", list(one.notes))
    return loaded[0]


def _load_one(one: PickledError, find: Callable[[int], BaseException]) -> BaseException:
    try:
        found = _load(one.content, find)
        if issubclass(type(found), BaseException):
            return found
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001, S110 - code of the user, or a module that is not here
        pass
    if one.members:
        return BaseExceptionGroup(one.text, [find(number) for number in one.members])
    return one.base(one.text)


def attach_traceback(error: BaseException, text: str) -> None:
    """Show the traceback of a worker with an error: above it, as the last of its causes."""
    seen = set()
    while (cause := chain_of(error)[0]) is not None and id(cause) not in seen:
        seen.add(id(error))
        error = cause
    set_chain(error, (RemoteError(text), *chain_of(error)[1:]))
