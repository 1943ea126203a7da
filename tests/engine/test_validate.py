"""Nothing passes but what is of the expected type."""

import pytest

from pyplant.engine import validate


@pytest.mark.parametrize(
    ("read", "value", "result"),
    [
        (validate.text, "x", "x"),
        (validate.text, "\ud800", "\ud800"),
        (validate.code, "é", "é"),
        (validate.texts, ["a", "b"], ("a", "b")),
        (validate.codes, ["a"], ("a",)),
        (validate.texts_by_text, {"a": "b"}, {"a": "b"}),
        (validate.mapping, {"a": 1}, {"a": 1}),
        (validate.count, 0, 0),
        (validate.real, 3, 3.0),
        (validate.moment, 1.5, 1.5),
    ],
)
def test_what_is_expected_passes(read, value, result):
    assert read(value) == result


@pytest.mark.parametrize(
    ("read", "value"),
    [
        *((validate.text, value) for value in (None, 1, b"x", ["x"], {})),
        (validate.code, "\ud800"),
        *((validate.texts, value) for value in ("ab", ("a",), [1], [["a"]], None, {"a": "b"})),
        (validate.codes, ["\udfff"]),
        *((validate.texts_by_text, value) for value in ({"a": 1}, [], None)),
        *((validate.mapping, value) for value in ([], None, "x")),
        *((validate.count, value) for value in (-1, 1.0, True, "1", 1 << 70, None)),
        *((validate.real, value) for value in (float("nan"), float("inf"), True, "1", None)),
        *((validate.moment, value) for value in (-1, 1e12, 1e308)),
    ],
)
def test_anything_else_is_unreadable(read, value):
    with pytest.raises(validate.UNREADABLE):
        read(value)
