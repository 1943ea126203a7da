"""Previews of values."""

import base64

import pytest

from pyplant.notebook.graph.preview import preview_of


def test_an_array_has_its_shape_its_statistics_and_its_beginning():
    np = pytest.importorskip("numpy")
    text = preview_of(np.array([[1.0, np.nan], [3.0, 5.0]]))["text"]
    assert text == "2 × 2 float64\nmin 1, mean 3, max 5\n1 NaN\n[1, nan, 3, 5]"
    assert preview_of(np.array(["a"]))["text"] == "1 <U1\n['a']"
    assert preview_of(np.zeros(0))["text"] == "0 float64\n[]"
    assert "of the first 1,000,000 elements" in preview_of(np.zeros(1_000_001))["text"]


def test_a_frame_has_its_first_rows():
    pd = pytest.importorskip("pandas")
    found = preview_of(pd.DataFrame({"town": ["Ulm", "Bern\u202e"], "size": [1.5, 2]}))
    assert found["text"] == "2 rows, 2 columns"
    assert found["rows"] == [["town", "size"], ["'Ulm'", "1.5"], ["'Bern\\u202e'", "2"]]


def test_a_figure_is_a_thumbnail():
    plt = pytest.importorskip("matplotlib.figure")
    found = preview_of(plt.Figure())
    assert base64.b64decode(found["image"]).startswith(b"\x89PNG")


def test_other_values_are_described():
    assert preview_of([1, 2])["text"] == "list of 2 items\n[1, 2]"
    assert preview_of("x" * 5000)["text"].startswith("str of 5,000 characters\n'xxx")
    assert len(preview_of("x" * 5000)["text"]) < 700


def test_hostile_values_have_a_preview():
    class Hostile:
        shape = (1,)

        @property
        def dtype(self):
            raise RuntimeError

        def __repr__(self):
            raise RuntimeError

        columns = property(lambda self: 1 / 0)

    assert preview_of(Hostile())["text"].startswith("Hostile\n")
