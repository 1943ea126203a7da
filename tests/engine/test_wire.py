"""Nothing passes but what is of the expected type."""

import pytest

from pyplant.engine import wire


@pytest.mark.parametrize(
    ("read", "value", "result"),
    [
        (wire.text, "x", "x"),
        (wire.text, "\ud800", "\ud800"),
        (wire.code, "é", "é"),
        (wire.texts, ["a", "b"], ("a", "b")),
        (wire.codes, ["a"], ("a",)),
        (wire.texts_by_text, {"a": "b"}, {"a": "b"}),
        (wire.mapping, {"a": 1}, {"a": 1}),
        (wire.count, 0, 0),
        (wire.real, 3, 3.0),
        (wire.moment, 1.5, 1.5),
    ],
)
def test_what_is_expected_passes(read, value, result):
    assert read(value) == result


@pytest.mark.parametrize(
    ("read", "value"),
    [
        *((wire.text, value) for value in (None, 1, b"x", ["x"], {})),
        (wire.code, "\ud800"),
        *((wire.texts, value) for value in ("ab", ("a",), [1], [["a"]], None, {"a": "b"})),
        (wire.codes, ["\udfff"]),
        *((wire.texts_by_text, value) for value in ({"a": 1}, [], None)),
        *((wire.mapping, value) for value in ([], None, "x")),
        *((wire.count, value) for value in (-1, 1.0, True, "1", 1 << 70, None)),
        *((wire.real, value) for value in (float("nan"), float("inf"), True, "1", None)),
        *((wire.moment, value) for value in (-1, 1e12, 1e308)),
    ],
)
def test_anything_else_is_unreadable(read, value):
    with pytest.raises(wire.UNREADABLE):
        read(value)
