"""Libraries that are too old to tell what their objects hold."""

import tomllib
from importlib import metadata

import pytest

from pyplant.fingerprint.digest import encode
from pyplant.specs import library_versions
from tests.conftest import ROOT

pl = pytest.importorskip("polars")


@pytest.fixture(autouse=True)
def _as_in_a_new_process():
    library_versions.is_older.cache_clear()
    yield
    library_versions.is_older.cache_clear()


@pytest.mark.parametrize(
    ("version", "is_older"), [("1.32.3", True), ("1.33.0", False), ("2.0", False), ("0.20.31", True)]
)
def test_versions_are_compared_by_number(version, is_older, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda library: version)
    assert library_versions.is_older("polars") is is_older


def test_expressions_of_an_old_polars_count_by_class_with_a_warning(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda library: "1.20.0")
    (opaque,) = encode(pl.col("a").map_batches(abs)).opaque
    assert "polars 1.33 or later is needed" in opaque


def test_control_the_present_polars_tells_all():
    assert not encode(pl.col("a").map_batches(abs)).opaque


def test_the_project_asks_for_the_same_versions():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [line for extra in project["optional-dependencies"].values() for line in extra]
    for library, oldest in library_versions.OLDEST.items():
        name = {"dask": "distributed"}.get(library, library)
        assert f"{name}>={'.'.join(map(str, oldest))}" in asked
