"""Tables, as text and as HTML."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pyplant.reports.table import Row, Table, aligned, brief

HOSTILE = "<b>\x1b[31m\u202e"


def table(*rows, head=("alpha", "score"), note=""):
    return Table(head, tuple(Row("●", "ran", row, note) for row in rows))


def test_columns_are_aligned():
    lines = list(table(("0.1", "3.25"), ("10.0", "4")).text(80))
    assert lines == ["    alpha  score", "  ● 0.1    3.25", "  ● 10.0   4"]


def test_a_note_is_printed_below_its_row():
    lines = list(table(("0.1", ""), note="ValueError: no").text(80))
    assert lines == ["    alpha  score", "  ● 0.1", "    ValueError: no"]


def test_the_widest_cells_are_truncated():
    lines = list(table(("0.1", "x" * 100)).text(40))
    assert lines[1] == f"  ● 0.1    {'x' * 28}…"


def test_characters_of_two_columns_count_as_two():
    lines = list(aligned([("名前", "size"), ("x", "1"), ("数字のデータ", "2")], 12))
    assert lines == ["名前    size", "x       1", "数字 …  2"]


def test_numbers_are_aligned_at_the_right():
    assert list(aligned([("SIZE", "AGE"), ("1 kB", "2 h"), ("100 kB", "3 h")], right={0})) == [
        "  SIZE  AGE",
        "  1 kB  2 h",
        "100 kB  3 h",
    ]


cells = st.text(max_size=60)


@given(
    st.integers(1, 8).flatmap(lambda n: st.lists(st.tuples(*[cells] * n), min_size=1, max_size=4)),
    cells,
    st.integers(40, 120),
)
def test_no_line_is_wider_than_asked(rows, note, width):
    lines = list(table(*rows[1:], head=rows[0], note=note).text(width))
    assert all(cell_len(line) <= width and "\n" not in line for line in lines)
    assert len(lines) == 1 + len(rows[1:]) * (2 if note else 1)


def test_hostile_texts_are_shown_as_text():
    shown = table((HOSTILE, HOSTILE), head=(HOSTILE, "b"), note=HOSTILE)
    for text in (shown.html(), "\n".join(shown.text(80))):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<b>" not in shown.html()
    assert shown.html().count("&lt;b&gt;") == 4


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.674832962138084, "0.6748"),
        (1e-9, "1e-09"),
        (np.float64(2 / 3), "0.6667"),
        (12345678, "12345678"),
        (True, "True"),
        ({"left": 1 / 3, 2: [0.1, 0.25]}, "left: 0.3333, 2: 0.1, 0.25"),
        ((), "()"),
        ("text", "'text'"),
        (list(range(1000)), "<list of 1000>"),
        (np.zeros((2, 3)), "<ndarray float64 (2, 3)>"),
    ],
)
def test_values_have_short_texts(value, said):
    assert brief(value) == said


def test_the_text_of_a_value_that_contains_itself_ends():
    value = [1]
    value.append({"again": value})
    assert brief(value).startswith("1, again: 1, {'again': [1, ")
