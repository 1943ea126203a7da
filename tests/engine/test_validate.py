"""Validation of data from a plant directory."""

import pytest

from pyplant.engine import validate


@pytest.mark.parametrize(
    ("read", "value", "result"),
    [
        (validate.string, "x", "x"),
        (validate.string, "\ud800", "\ud800"),
        (validate.source_text, "é", "é"),
        (validate.str_list, ["a", "b"], ("a", "b")),
        (validate.source_texts, ["a"], ("a",)),
        (validate.str_dict, {"a": "b"}, {"a": "b"}),
        (validate.mapping, {"a": 1}, {"a": 1}),
        (validate.count, 0, 0),
        (validate.finite, 3, 3.0),
        (validate.timestamp, 1.5, 1.5),
    ],
)
def test_expected_types_pass(read, value, result):
    assert read(value) == result


@pytest.mark.parametrize(
    ("read", "value"),
    [
        *((validate.string, value) for value in (None, 1, b"x", ["x"], {})),
        (validate.source_text, "\ud800"),
        *((validate.str_list, value) for value in ("ab", ("a",), [1], [["a"]], None, {"a": "b"})),
        (validate.source_texts, ["\udfff"]),
        *((validate.str_dict, value) for value in ({"a": 1}, [], None)),
        *((validate.mapping, value) for value in ([], None, "x")),
        *((validate.count, value) for value in (-1, 1.0, True, "1", 1 << 70, None)),
        *((validate.finite, value) for value in (float("nan"), float("inf"), True, "1", None)),
        *((validate.timestamp, value) for value in (-1, 1e12, 1e308)),
    ],
)
def test_anything_else_is_unreadable(read, value):
    with pytest.raises(validate.UNREADABLE):
        read(value)
