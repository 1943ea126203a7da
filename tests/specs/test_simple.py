"""Primitive values and lists of them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyplant.errors import UnsavableError
from pyplant.specs import ListSpec, SimpleSpec
from pyplant.testing import SpecConformance
from tests.specs.helpers import dumped

SURROGATES = st.characters(categories=["Cs", "Lu"])
PRIMITIVE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(),
    st.text(SURROGATES),
    st.binary(),
)


def same(left, right):
    if type(left) is float and type(right) is float:
        return left.hex() == right.hex() if not math.isnan(left) else math.isnan(right)
    if type(left) is complex and type(right) is complex:
        return same(left.real, right.real) and same(left.imag, right.imag)
    return type(left) is type(right) and left == right


class TestSimple(SpecConformance):
    def spec(self):
        return SimpleSpec()

    def values(self):
        texts = ["", "a", "\0", "ü😀", "\ud800", "\ud83d\ude00", "😀", b"", b"\xff\0"]
        numbers = [0, 1, -1, 10**5000, 0.0, -0.0, 1.0, math.inf, -math.inf, 5e-324, 1j, complex(-0.0, 1)]
        return [None, True, False, *texts, *numbers]

    def equal(self, left, right):
        return same(left, right)


class TestList(SpecConformance):
    def spec(self):
        return ListSpec()

    def values(self):
        return [
            [],
            [1],
            [1.0],
            [True],
            ["1"],
            [b"1"],
            [None, 1, "a"],
            [1, 2],
            [2, 1],
            ["\ud83d\ude00"],
            ["😀"],
        ]

    def equal(self, left, right):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))

    def change(self, value):
        value.append(5)


@given(PRIMITIVE)
def test_every_primitive_value_comes_back_exactly(value):
    assert same(SimpleSpec().parse(dumped(SimpleSpec(), value), {}), value)


@given(st.lists(PRIMITIVE))
def test_every_list_of_primitive_values_comes_back_exactly(values):
    back = ListSpec().parse(dumped(ListSpec(), values), {})
    assert type(back) is list
    assert len(back) == len(values)
    assert all(map(same, back, values))


@pytest.mark.parametrize("value", [object(), type("Text", (str,), {})("a"), (1, {2}), {"a": [object()]}])
def test_other_values_are_refused(value):
    assert not SimpleSpec().matches(value)
    with pytest.raises(UnsavableError, match="primitive"):
        dumped(SimpleSpec(), value)


CONTAINERS = st.recursive(
    PRIMITIVE.filter(lambda value: value == value),  # NaN equals nothing
    lambda inner: st.one_of(
        st.lists(inner), st.lists(inner).map(tuple), st.dictionaries(st.text() | st.integers(), inner)
    ),
)


def typed(value):
    """The value with the types in it, since 1 == True."""
    if isinstance(value, dict):
        return dict, [(typed(key), typed(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [typed(item) for item in value]
    return type(value), value


@given(CONTAINERS)
@pytest.mark.slow
def test_containers_come_back_exactly_if_the_type_is_given(value):
    assert typed(SimpleSpec().parse(dumped(SimpleSpec(), value), {})) == typed(value)


@pytest.mark.parametrize("value", [[1], (1,), {"a": 1}])
def test_containers_are_stored_as_other_types_if_no_type_is_given(value):
    assert not SimpleSpec().matches(value)


def test_containers_that_contain_themselves_are_refused():
    value = []
    value.append(value)
    with pytest.raises(UnsavableError, match="contain themselves"):
        dumped(SimpleSpec(), value)


@pytest.mark.parametrize("value", [(1,), [[1]], [object()], 1])
def test_other_lists_are_refused(value):
    assert not ListSpec().matches(value)
    with pytest.raises(UnsavableError, match="primitive"):
        dumped(ListSpec(), value)
