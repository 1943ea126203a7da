"""SciPy's sparse matrices."""

import json

import numpy as np
import pytest

from pyplant.errors import UnsavableError
from pyplant.fingerprint.fingerprint import digest_of
from pyplant.specs import ScipySparseSpec
from pyplant.store.warehouse import Warehouse
from pyplant.testing import SpecConformance
from tests.specs.helpers import dumped

sparse = pytest.importorskip("scipy.sparse")

DENSE = np.array([[0, 1, 0, 2.5], [0, 0, 0, 0], [3, 0, 0, 4], [0, 0, 5, 0]])
FORMATS = ["csr", "csc", "bsr", "dia", "coo", "dok", "lil"]


class TestSparse(SpecConformance):
    def spec(self):
        return ScipySparseSpec()

    def values(self):
        matrices = [
            getattr(sparse, f"{form}_{kind}")(DENSE) for form in FORMATS for kind in ("matrix", "array")
        ]
        others = [
            sparse.csr_matrix(DENSE.astype("f4")),
            sparse.csr_matrix(DENSE[:, :3]),
            sparse.csr_matrix((3, 5)),
        ]
        return [*matrices, *others, sparse.random(200, 100, 0.2, "csr", random_state=1)]

    def equal(self, left, right):
        return (
            type(left) is type(right)
            and left.dtype == right.dtype
            and left.shape == right.shape
            and np.array_equal(left.toarray(), right.toarray())
        )

    def change(self, value):
        if hasattr(value, "data") and isinstance(value.data, np.ndarray):
            value.data[...] = 9


def test_the_order_of_a_dictionary_of_keys_is_not_digested():
    left, right = sparse.dok_matrix((3, 3)), sparse.dok_matrix((3, 3))
    left[0, 1], left[2, 2] = 1, 2
    right[2, 2], right[0, 1] = 2, 1
    assert dumped(ScipySparseSpec(), left) == dumped(ScipySparseSpec(), right)


def test_other_values_are_refused():
    assert not ScipySparseSpec().matches(DENSE)
    with pytest.raises(UnsavableError, match="ndarray"):
        dumped(ScipySparseSpec(), DENSE)


def test_matrices_within_other_values_have_digests():
    matrix = sparse.csr_matrix(DENSE)
    assert digest_of({"m": matrix}) == digest_of({"m": matrix.copy()})
    assert digest_of({"m": matrix}) != digest_of({"m": matrix * 2})
    assert digest_of({"m": matrix}) != digest_of({"m": matrix.tocsc()})


def test_cached_properties_of_a_matrix_are_not_digested():
    matrix = sparse.csr_matrix(DENSE)
    before = digest_of(matrix)
    assert matrix.has_canonical_format
    assert matrix.has_sorted_indices
    assert digest_of(matrix) == before


@pytest.mark.parametrize(
    "head",
    [
        {"class": "load_npz", "format": "csr", "shape": [1], "parts": []},
        {"class": "csr_matrix", "format": "csr", "shape": [1], "parts": [["data", "|O", [1]]]},
    ],
)
def test_a_planted_head_makes_nothing_but_matrices_of_numbers(head):
    text = json.dumps(head).encode()
    with pytest.raises(ValueError, match=r"not the class|PyPlant wrote"):
        ScipySparseSpec().parse(len(text).to_bytes(8, "little") + text + bytes(64), {"shape": [1]})


class Weights(sparse.csr_matrix):
    """A user's matrix."""


def labelled(cls, label):
    matrix = cls(np.eye(2))
    matrix.label = label
    return matrix


def with_indices(*indices, dtype="i4"):
    arrays = np.ones(len(indices)), np.array(indices, dtype), np.array([0, len(indices)], dtype)
    return sparse.csr_array(arrays, shape=(1, 3))


DIFFERENT = {
    "order of what is stored": lambda: [with_indices(0, 1), with_indices(1, 0)],
    "sum of duplicates": lambda: [with_indices(0, 0), 2 * with_indices(0)],
    "stored zero": lambda: [0 * with_indices(0), with_indices()],
    "type of the indices": lambda: [with_indices(0, dtype=dtype) for dtype in ("i4", "i8")],
    "format": lambda: [sparse.eye_array(2).asformat(f) for f in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")],
    "blocks": lambda: [sparse.bsr_array(np.eye(2), blocksize=(n, n)) for n in (1, 2)],
    "matrix or array": lambda: [sparse.csr_array(np.eye(2)), sparse.csr_matrix(np.eye(2))],
    "type of nothing": lambda: [sparse.dok_array((2, 2), dtype=dtype) for dtype in ("f4", "f8")],
    "attribute": lambda: [labelled(sparse.csr_matrix, "a"), labelled(sparse.csr_matrix, "b")],
    "subclass": lambda: [labelled(Weights, "a"), labelled(Weights, "b"), labelled(sparse.csr_matrix, "b")],
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENT)
@pytest.mark.parametrize("around", [lambda v: v, lambda v: {"matrix": v}], ids=["alone", "within"])
def test_matrices_that_differ_visibly_have_different_digests(name, around, tmp_path):
    values = [around(value) for value in DIFFERENT[name]()]
    digests = [digest_of(value) for value in values]
    assert len(set(digests)) == len(values)
    assert [digest_of(around(value)) for value in DIFFERENT[name]()] == digests
    warehouse = Warehouse(tmp_path / "plant")
    stored = [warehouse.save("value", value) for value in values]
    assert len({ingredient.digest for ingredient in stored}) == len(values)
    assert [digest_of(warehouse.load(ingredient)) for ingredient in stored] == digests


def written(**head):
    text = json.dumps(head).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return len(text).to_bytes(8, "little") + text


def test_a_matrix_of_another_user_with_wrong_indices_is_refused():
    sent = sparse.csr_matrix(np.eye(4))
    sent.indices[0] = 1 << 20
    content, metadata = dumped(ScipySparseSpec(), sent), {"shape": [4, 4]}
    ScipySparseSpec().parse(content, metadata)  # which is fast, and enough for what this user stored
    with pytest.raises(ValueError, match="indices"):
        ScipySparseSpec().validate(content, metadata)


def test_few_bytes_of_another_user_do_not_stand_for_a_huge_matrix():
    parts = [["data", "<f8", [0]], ["coord0", "<i8", [0]], ["coord1", "<i8", [0]]]
    content = written(**{"class": "lil_matrix", "format": "coo", "shape": [1 << 40, 1], "parts": parts})
    with pytest.raises(ValueError, match="in .* bytes"):
        ScipySparseSpec().validate(content, {"shape": [1 << 40, 1]})
    with pytest.raises(ValueError, match="instead of"):
        ScipySparseSpec().parse(content, {"shape": [4, 1]})


def test_a_matrix_of_another_user_with_wrong_pointers_is_refused():
    sent = sparse.csr_matrix(np.eye(4))
    sent.indptr[:] = [0, 1 << 20, 2, 3, 0]
    content = dumped(ScipySparseSpec(), sent)
    with pytest.raises(ValueError, match="decrease"):
        ScipySparseSpec().validate(content, {"shape": [4, 4]})


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_of_another_user_loads(form):
    value = sparse.csr_matrix(DENSE).asformat(form)
    ScipySparseSpec().validate(dumped(ScipySparseSpec(), value), {"shape": [4, 4]})


def renamed(content, **changes):
    """Change the head of a stored matrix, whose length stays the same."""
    length = int.from_bytes(content[:8], "little")
    head = json.dumps(json.loads(content[8 : 8 + length]) | changes).encode()
    assert len(head) <= length
    return content[:8] + head.ljust(length) + content[8 + length :]


def test_a_class_in_the_format_of_another_is_refused():
    content = dumped(ScipySparseSpec(), sparse.coo_matrix(DENSE))
    with pytest.raises(ValueError, match="does not write"):
        ScipySparseSpec().validate(renamed(content, **{"class": "csr_matrix"}), {"shape": [4, 4]})


@pytest.mark.parametrize("offset", [2**31 - 1, -(2**31)])
def test_diagonals_outside_of_the_matrix_are_refused(offset):
    value = sparse.dia_matrix((np.ones((1, 4)), [0]), shape=(4, 4))
    value.offsets = np.array([offset], "i4")
    with pytest.raises(ValueError, match="diagonals"):
        ScipySparseSpec().validate(dumped(ScipySparseSpec(), value), {"shape": [4, 4]})
