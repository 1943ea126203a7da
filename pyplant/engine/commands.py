"""What a reactor may yield to the engine: the whole protocol between the two.

A reactor is a generator. It yields :class:`Receive` and is resumed with the value, with a
tuple of values when it asked for several, or with a list of values when it gave a list of
names; it may also yield nothing at all (a bare ``yield``), which only gives way. Anything
else is an error.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from keyword import iskeyword
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from pyplant.errors import NotYieldedError

__all__ = ["Receive", "Request", "Unyielded"]


class Request(NamedTuple):
    """Names as a caller gave them: one, several, or a list of them.

    Attributes
    ----------
    names
        All of them, in order.
    as_list
        Whether they came as a list, so that the values are to be a list as well.
    """

    names: tuple[Any, ...]
    as_list: bool = False

    @classmethod
    def of(cls, arguments: tuple[Any, ...]) -> Request:
        """The names among the arguments of ``receive`` and ``get``."""
        if len(arguments) == 1 and isinstance(arguments[0], list | tuple):
            return cls(tuple(arguments[0]), as_list=True)
        return cls(arguments)

    def deliver(self, values: Sequence[Any]) -> Any:
        """The values in the form in which they were asked for."""
        if self.as_list:
            return list(values)
        return values[0] if len(self.names) == 1 else tuple(values)


class Unyielded:
    """Something that must pass through ``yield`` before it is of use.

    Using it as if it were the value is the commonest slip of newcomers, so every use
    raises :class:`~pyplant.errors.NotYieldedError` with the corrected line.
    """

    __slots__ = ()

    def hint(self) -> str:
        """What happened and what to write instead."""
        raise NotImplementedError

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        del args, kwargs
        raise NotYieldedError(self.hint())

    # Hidden from type checkers, which then report any such use as the error that it is.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__") and name.endswith("__") and name != "__array_interface__":
                raise AttributeError(name)
            self._refuse()

        # Operators bypass __getattr__. Comparison and hashing stay, for containers and tests.
        __array__ = __call__ = __len__ = __bool__ = _refuse
        __getitem__ = __setitem__ = __contains__ = _refuse
        __int__ = __float__ = __index__ = _refuse
        __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
        __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refuse
        __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __divmod__ = __rdivmod__ = _refuse
        __neg__ = __abs__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse


class Receive(Unyielded):
    """Ask for ingredients by name; the reactor sleeps until all of them exist.

    Attributes
    ----------
    names
        What is asked for, in order. All may be made side by side.
    as_list
        Whether the reactor is resumed with a list, however many names there are.
    """

    __slots__ = ("as_list", "names")

    def __init__(self, names: tuple[str, ...], *, as_list: bool = False) -> None:
        self.names = names
        self.as_list = as_list

    def deliver(self, values: Sequence[Any]) -> Any:
        """What the reactor is resumed with, given the values of its names."""
        return Request(self.names, self.as_list).deliver(values)

    def hint(self) -> str:
        asked = self._asked()
        if self.as_list:
            bound = "values"
        elif len(self.names) == 1:
            first = self.names[0]
            bound = first if first.isidentifier() and not iskeyword(first) else "value"
        else:
            bound = ", ".join(f"value_{i}" for i in range(len(self.names)))
        return (
            f"pipe.receive({asked}) was used without 'yield', so there is no value yet. "
            f"Write:  {bound} = yield pipe.receive({asked})"
        )

    # `yield from pipe.receive(...)` means the same as `yield pipe.receive(...)`.
    def __iter__(self) -> Generator[Receive, Any, Any]:
        value = yield self
        return value

    def __repr__(self) -> str:
        return f"<pipe.receive({self._asked()}), not yielded yet>"

    def _asked(self) -> str:
        return repr(list(self.names)) if self.as_list else ", ".join(map(repr, self.names))
