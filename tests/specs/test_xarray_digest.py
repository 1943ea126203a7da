"""Digests of xarray's objects: what a consumer can see counts, what they remember does not."""

import copy

import numpy as np
import pandas as pd
import pytest

from pyplant.fingerprint.fingerprint import digest_of
from pyplant.store.warehouse import Warehouse

xr = pytest.importorskip("xarray")

pytestmark = pytest.mark.slow

DAYS = pd.date_range("2024-01-01", periods=3)


def line(**options):
    return xr.DataArray(np.arange(3.0), **{"dims": ("x",), **options})


def dataset(**options):
    return xr.Dataset({"a": ("x", [1, 2])}, **options)


def encoded(**encoding):
    value = dataset()
    value["a"].encoding.update(encoding)
    return value


def levels(second):
    index = pd.MultiIndex.from_arrays([[1, 1, 2], second], names=["p", "q"])
    return line(coords=xr.Coordinates.from_pandas_multiindex(index, "x"))


DIFFERENT = {
    "name": lambda: [line(name=name) for name in ("a", "b", None)],
    "dimensions": lambda: [line(dims=name) for name in "xy"],
    "attributes": lambda: [line(attrs={"unit": v}) for v in "ab"],
    "values": lambda: [line(), line().astype("f4"), line() + 1],
    "coordinates": lambda: [line(), line(coords={"x": [1, 2, 3]}), line(coords={"x": [1, 2, 4]})],
    "attributes of a coordinate": lambda: [line(coords={"x": ("x", [1, 2, 3], {"unit": v})}) for v in "ab"],
    "frequency": lambda: [line(coords={"x": days}) for days in (DAYS, pd.DatetimeIndex(list(DAYS)))],
    "levels": lambda: [levels([1, 2, 3]), levels([1, 2, 4])],
    "no index": lambda: [line(coords={"x": [1, 2, 3]}), line(coords={"x": [1, 2, 3]}).drop_indexes("x")],
    "attributes of a dataset": lambda: [dataset(attrs={"unit": v}) for v in "ab"],
    "encoding": lambda: [encoded(scale_factor=v) for v in (1, 2)],
    "coordinate or variable": lambda: [dataset(coords={"b": 1}), dataset().assign(b=1)],
    "order of variables": lambda: [dataset().assign(b=1, c=2), dataset().assign(c=2, b=1)],
    "dataset or array": lambda: [dataset(), dataset()["a"]],
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_objects_that_differ_visibly_have_different_digests(name, tmp_path):
    values = DIFFERENT[name]()
    digests = [digest_of(value) for value in values]
    assert len(set(digests)) == len(values)
    assert [digest_of(value) for value in DIFFERENT[name]()] == digests
    assert [digest_of(copy.deepcopy(value)) for value in values] == digests
    warehouse = Warehouse(tmp_path / "plant")
    stored = [warehouse.save("value", value) for value in values]
    assert len({ingredient.digest for ingredient in stored}) == len(values)
    assert [digest_of(warehouse.load(ingredient)) for ingredient in stored] == digests


@pytest.mark.parametrize("make", [dataset, line, lambda: line(coords={"x": [1, 2, 3]})])
def test_cached_results_are_not_digested(make):
    asked = make()
    repr(asked)
    asked.indexes  # noqa: B018 - it is remembered
    asked.mean()
    assert digest_of(asked) == digest_of(make())
