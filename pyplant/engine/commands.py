"""The commands that a reactor may yield to the engine.

A reactor is a generator. It yields :class:`Receive` and is resumed with the value, with a
tuple of values if it asked for several, or with a list of values if it gave a list of
names. With :class:`RunCoroutine` it awaits. A bare ``yield`` lets other reactors run. Anything else is an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator, Sequence
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from pyplant.errors import IngredientError, MissingIngredientError, NotYieldedError

__all__ = ["Receive", "Request", "RunCoroutine", "Unyielded", "check_name", "check_names"]


class Request(NamedTuple):
    """Names as the caller gave them: one, several, or a list.

    Attributes
    ----------
    names
        All of them, in order.
    as_list
        Whether the caller gave a list and gets a list of values.
    """

    names: tuple[Any, ...]
    as_list: bool = False

    @classmethod
    def of(cls, arguments: tuple[Any, ...]) -> Request:
        """Read the names from the arguments of ``receive`` and ``get``."""
        if len(arguments) == 1 and isinstance(arguments[0], list | tuple):
            return cls(tuple(arguments[0]), as_list=True)
        return cls(arguments)

    def deliver(self, values: Sequence[Any]) -> Any:
        """Return the values in the form of the request: one value, a tuple or a list."""
        if self.as_list:
            return list(values)
        return values[0] if len(self.names) == 1 else tuple(values)


class Unyielded:
    """An object that the reactor must yield in order to get a value.

    To use it as if it were the value is the most common mistake of new users. Every use
    therefore raises :class:`~pyplant.errors.NotYieldedError` with the corrected line.
    """

    __slots__ = ()

    def hint(self) -> str:
        """Return a message that says what is wrong and what to write instead."""
        raise NotImplementedError

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        del args, kwargs
        raise NotYieldedError(self.hint())

    # Hidden from type checkers, so that they report these uses as errors.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Python, copy and pickle probe for special methods, and must learn that there are none.
            if name.startswith("__") and name.endswith("__") and name != "__array_interface__":
                raise AttributeError(name)
            self._refuse()

        # Operators bypass __getattr__. Equality and hashing stay, since containers and tests need them.
        __array__ = __call__ = __len__ = __bool__ = _refuse
        __getitem__ = __setitem__ = __contains__ = _refuse
        __int__ = __float__ = __index__ = _refuse
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
        __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refuse
        __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __divmod__ = __rdivmod__ = _refuse
        __neg__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse


class Receive(Unyielded):
    """Ask for ingredients by name; the reactor sleeps until all of them are available.

    Attributes
    ----------
    names
        The ingredients, in order. Their senders may run in parallel.
    as_list
        Whether the reactor is resumed with a list, whatever the number of names.
    """

    __slots__ = ("as_list", "names")

    def __init__(self, names: tuple[str, ...], *, as_list: bool = False) -> None:
        self.names = names
        self.as_list = as_list

    def deliver(self, values: Sequence[Any]) -> Any:
        """Return the object that the reactor is resumed with, given the values of its names."""
        return Request(self.names, self.as_list).deliver(values)

    def hint(self) -> str:
        names = self._names_text()
        if self.as_list:
            bound = "values"
        elif len(self.names) == 1:
            first = self.names[0]
            bound = first if first.isidentifier() and not iskeyword(first) else "value"
        else:
            bound = ", ".join(f"value_{i}" for i in range(len(self.names)))
        return (
            f"pipe.receive({names}) was used without 'yield', so there is no value yet. "
            f"Write:  {bound} = yield pipe.receive({names})"
        )

    # Makes `yield from pipe.receive(...)` mean the same as `yield pipe.receive(...)`.
    def __iter__(self) -> Generator[Receive, Any, Any]:
        value = yield self
        return value

    def __repr__(self) -> str:
        return f"<pipe.receive({self._names_text()}), not yielded yet>"

    def _names_text(self) -> str:
        return repr(list(self.names)) if self.as_list else ", ".join(map(repr, self.names))


class RunCoroutine(Unyielded):
    """Run a coroutine; the reactor is resumed with its result, or with its exception.

    Attributes
    ----------
    awaitable
        The coroutine, or another awaitable object.
    """

    __slots__ = ("awaitable",)

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self.awaitable = awaitable

    def hint(self) -> str:
        return (
            "pipe.run(...) was used without 'yield', so nothing has run. Write:  value = yield pipe.run(...)"
        )

    # Makes `yield from pipe.run(...)` mean the same as `yield pipe.run(...)`.
    def __iter__(self) -> Generator[RunCoroutine, Any, Any]:
        value = yield self
        return value

    def __repr__(self) -> str:
        return "<pipe.run(...), not yielded yet>"


def check_name(name: Any, method: str) -> None:
    """Raise an error unless this is the name of an ingredient."""
    if not isinstance(name, str) or not name:
        message = f"pipe.{method} needs the name of an ingredient, a string; it got {name!r}."
        if method == "receive":
            message += " Several names are given one by one, or as one list."
        raise IngredientError(message)


def check_names(names: tuple[str, ...], *, may_be_empty: bool = False) -> None:
    """Raise an error unless these are names of ingredients."""
    if not (names or may_be_empty) or not all(isinstance(name, str) and name for name in names):
        message = f"Give names of ingredients, such as 'data', or one list of names; got {', '.join(map(repr, names)) or 'none'}."
        raise MissingIngredientError(message)
