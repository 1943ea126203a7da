"""What a reactor may yield to the engine: the whole protocol between the two.

A reactor is a generator. It yields :class:`Receive` and is resumed with the value, or
with a tuple of values when it asked for several; it may also yield nothing at all
(a bare ``yield``), which only gives way. Anything else is an error.
"""

from __future__ import annotations

from keyword import iskeyword
from typing import Any, NoReturn

from pyplant.errors import NotYieldedError

__all__ = ["Receive", "Unyielded"]


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
    single
        Whether the reactor is resumed with the one value rather than with a tuple.
    """

    __slots__ = ("names", "single")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.single = len(names) == 1

    def hint(self) -> str:
        asked = ", ".join(repr(name) for name in self.names)
        first = self.names[0]
        bound = first if self.single and first.isidentifier() and not iskeyword(first) else "value"
        bound = bound if self.single else ", ".join(f"value_{i}" for i in range(len(self.names)))
        return (
            f"pipe.receive({asked}) was used without 'yield', so there is no value yet. "
            f"Write:  {bound} = yield pipe.receive({asked})"
        )

    # `yield from pipe.receive(...)` means the same as `yield pipe.receive(...)`.
    def __iter__(self) -> Any:
        value = yield self
        return value

    def __repr__(self) -> str:
        return f"<pipe.receive({', '.join(map(repr, self.names))}), not yielded yet>"
