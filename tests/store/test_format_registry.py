"""Whether a stored value may be loaded."""

import pytest

from pyplant.ingredient import Ingredient
from pyplant.store.format_registry import FormatRegistry


@pytest.mark.parametrize("stored", ["\ud800.pkl", "ab\x00.pkl", ""])
@pytest.mark.parametrize("signature", ["\ud800", "ü", "", None, 1])
def test_a_tampered_record_is_not_trusted_and_raises_nothing(stored, signature):
    tampered = Ingredient("x", "object", "digest", stored, 5, {"signature": signature})
    assert not FormatRegistry().trusts(tampered)
