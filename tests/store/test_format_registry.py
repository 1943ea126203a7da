"""Whether a stored value may be loaded."""

import pytest

from pyplant.errors import DamagedError, UnknownTypeError
from pyplant.ingredient import Ingredient
from pyplant.store.format_registry import FormatRegistry


@pytest.mark.parametrize("stored", ["\ud800.pkl", "ab\x00.pkl", ""])
@pytest.mark.parametrize("signature", ["\ud800", "ü", "", None, 1])
def test_a_tampered_record_is_not_trusted_and_raises_nothing(stored, signature):
    tampered = Ingredient("x", "object", "digest", stored, 5, {"signature": signature})
    assert not FormatRegistry().trusts(tampered)


class PanicException(BaseException):
    """As libraries in Rust raise it."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [(ValueError, DamagedError), (PanicException, DamagedError), (KeyboardInterrupt, KeyboardInterrupt)],
)
def test_what_a_library_raises_for_a_value_says_that_it_is_damaged(monkeypatch, error, expected):
    registry = FormatRegistry()

    def parse(self, buffer, metadata):
        raise error

    monkeypatch.setattr(type(registry.spec("simple")), "parse", parse)
    with pytest.raises(expected):
        registry.parse(Ingredient("x", "simple", "digest", "", 5, {}), b"12345")


@pytest.mark.parametrize(("signed", "expected"), [(True, UnknownTypeError), (False, DamagedError)])
def test_an_unknown_format_of_another_user_is_damage(signed, expected):
    with pytest.raises(expected, match="'zzz' is not an ingredient type"):
        FormatRegistry().spec_of(Ingredient("x", "zzz", "digest", signed=signed))
