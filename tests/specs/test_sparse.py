"""SciPy's sparse matrices."""

import json

import numpy as np
import pytest

from pyplant.engine.fingerprint import digest_of
from pyplant.errors import UnsavableError
from pyplant.specs import ScipySparseSpec
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


def test_a_dictionary_of_keys_has_no_order():
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


def test_having_asked_about_a_matrix_does_not_change_its_digest():
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
        ScipySparseSpec().parse(len(text).to_bytes(8, "little") + text + bytes(64), {})
