"""Curried functions, whose pickles name the function only."""

import pytest

from pyplant.fingerprint import digest
from pyplant.fingerprint.fingerprint import digest_of

toolz = pytest.importorskip("toolz")


def curried(text):
    """Return a function that is decorated in a module, as its pickle requires."""
    exec(f"@toolz.curry\ndef scaled(factor, number):\n    return {text}\n", globals())  # noqa: S102
    return globals()["scaled"]


def test_the_code_and_the_arguments_of_a_curried_function_count():
    product = digest_of(curried("factor * number"))
    assert digest_of(curried("factor * number")) == product
    assert digest_of(curried("factor + number")) != product
    assert digest_of(curried("factor * number")(2)) != digest_of(curried("factor * number")(3))
    assert digest_of(curried("factor * number")(2)) != digest_of(curried("factor + number")(2))


def test_control_without_the_encoder_the_code_does_not_count(monkeypatch):
    monkeypatch.setattr(digest, "_by_name", {})
    monkeypatch.setattr(digest, "_by_type", {})
    assert digest_of(curried("factor * number")) == digest_of(curried("factor + number"))
