"""The commands that a reactor may yield."""

import copy
import pickle

import numpy as np
import pytest

from pyplant.engine.commands import Receive, Request, Unyielded
from pyplant.errors import NotYieldedError

USES = {
    "attribute": lambda x: x.shape,
    "item": lambda x: x[0],
    "call": lambda x: x(),
    "length": len,
    "truth": bool,
    "addition": lambda x: x + 1,
    "reflected addition": lambda x: 1 + x,
    "subtraction": lambda x: x - 1,
    "multiplication": lambda x: 2 * x,
    "division": lambda x: x / 2,
    "reflected division": lambda x: 2 / x,
    "floor division": lambda x: x // 2,
    "modulo": lambda x: x % 2,
    "power": lambda x: x**2,
    "reflected power": lambda x: 2**x,
    "matrix product": lambda x: x @ x,
    "negation": lambda x: -x,
    "absolute value": abs,
    "comparison": lambda x: x < 1,
    "int": int,
    "float": float,
    "index": lambda x: [1][x],
    "membership": lambda x: 1 in x,
    "assignment of an item": lambda x: x.__setitem__(0, 1),
    "array": np.asarray,
    "NumPy's function": np.mean,
    "text": lambda x: x.strip(),
    "with": lambda x: x.__enter__ and None or x.close(),
}


@pytest.mark.parametrize(
    "use", [u for n, u in USES.items() if n != "with"], ids=[n for n in USES if n != "with"]
)
def test_a_receive_that_was_not_yielded_cannot_be_used(use):
    with pytest.raises(NotYieldedError) as error:
        use(Receive(("numbers",)))
    assert "numbers = yield pipe.receive('numbers')" in str(error.value)


def test_the_corrected_line_names_as_many_variables_as_were_asked_for():
    with pytest.raises(NotYieldedError) as error:
        len(Receive(("a", "b")))
    assert "value_0, value_1 = yield pipe.receive('a', 'b')" in str(error.value)


def test_the_hint_names_a_variable_for_a_name_that_is_no_identifier():
    assert "value = yield pipe.receive('a b')" in Receive(("a b",)).hint()


def test_the_hint_does_not_use_a_keyword_as_a_variable():
    assert "value = yield pipe.receive('class')" in Receive(("class",)).hint()


def test_a_receive_can_be_compared_hashed_and_shown():
    command = Receive(("a",))
    assert command == command
    assert command != Receive(("a",))
    assert {command} == {command}
    assert repr(command) == "<pipe.receive('a'), not yielded yet>"


@pytest.mark.parametrize(
    ("arguments", "delivered"),
    [
        (("a",), "A"),
        (("a", "b"), ("A", "B")),
        ((["a"],), ["A"]),
        ((("a",),), ["A"]),
        ((["a", "b"],), ["A", "B"]),
        (([],), []),
    ],
    ids=["one", "several", "list of one", "tuple of one", "list of two", "empty list"],
)
def test_values_come_in_the_form_in_which_they_were_asked_for(arguments, delivered):
    request = Request.of(arguments)
    assert request.deliver([name.upper() for name in request.names]) == delivered


def test_the_corrected_line_repeats_a_list():
    hint = Receive(("a",), as_list=True).hint()
    assert "values = yield pipe.receive(['a'])" in hint


def test_yield_from_means_the_same_as_yield():
    def reactor():
        return (yield from Receive(("a",)))

    running = reactor()
    assert next(running).names == ("a",)
    with pytest.raises(StopIteration) as stop:
        running.send(5)
    assert stop.value.value == 5


def test_a_receive_has_no_special_methods_for_introspection():
    command = Receive(("a",))
    assert not hasattr(command, "__wrapped__")
    assert copy.copy(command).names == ("a",)
    assert pickle.loads(pickle.dumps(command)).names == ("a",)


def test_a_repr_says_that_the_command_was_not_yielded():
    with pytest.raises(NotImplementedError):
        Unyielded().hint()
