"""Digests of Polars' expressions with functions of the user."""

import re

import pytest

from pyplant.fingerprint.fingerprint import digest_of
from pyplant.specs import polars_digest
from tests.fingerprint.helpers import load

pl = pytest.importorskip("polars")

HEAD = "import polars as pl\ndef f(s):\n    return s + {0}\ndef g(s):\n    return f(s)\n"
VALUES = {
    "map_batches": 'VALUE = pl.col("a").map_batches(f, return_dtype=pl.Int64)',
    "a helper": 'VALUE = pl.col("a").map_batches(g, return_dtype=pl.Int64)',
    "a lambda": 'VALUE = pl.col("a").map_batches(lambda s: f(s), return_dtype=pl.Int64)',
    "two": 'VALUE = pl.col("b").map_batches(len) + pl.col("a").map_batches(f, return_dtype=pl.Int64)',
    "a lazy frame": 'VALUE = pl.LazyFrame({{"a": [1]}}).select(pl.col("a").map_batches(f, return_dtype=pl.Int64))',
    "a lazy function": 'VALUE = pl.LazyFrame({{"a": [1]}}).map_batches(f)',
}


def digest(folder, kind, constant, above=""):
    return digest_of(load(folder, above + (HEAD + VALUES[kind]).format(constant)).VALUE)


@pytest.mark.parametrize("kind", VALUES)
def test_the_code_of_a_function_in_it_counts(tmp_path, kind):
    first = digest(tmp_path, kind, 1)
    assert first == digest(tmp_path, kind, 1, above="# moved\n" * 300)
    assert first != digest(tmp_path, kind, 2)


@pytest.mark.parametrize(
    "dtype", ["pl.Int64", "pl.Struct({'name': pl.Int8, 'x': pl.List(pl.Enum(['a', 'b']))})"]
)
def test_running_an_expression_is_no_change(dtype):
    expression = pl.col("a").map_batches(lambda s: s, return_dtype=eval(dtype))
    other = pl.col("a").map_batches(lambda s: s, return_dtype=pl.Struct({"name": pl.Int16}))
    before = digest_of(expression)
    pl.LazyFrame({"a": [1]}).select(expression).collect_schema()
    assert digest_of(expression) == before != digest_of(other)


def test_expressions_without_functions_count_by_content():
    assert digest_of(pl.col("a") + 1) == digest_of(pl.col("a") + 1)
    assert digest_of(pl.col("a") + 1) != digest_of(pl.col("a") + 2)


def test_without_the_encoder_the_code_of_a_function_does_not_count(tmp_path, monkeypatch):
    monkeypatch.setattr(polars_digest, "_MARK", re.compile(b"no such mark"))
    assert digest(tmp_path, "map_batches", 1) == digest(tmp_path, "map_batches", 2)
