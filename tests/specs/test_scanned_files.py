"""Lazy frames and data sets count with the files that they read later."""

import pathlib

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.fingerprint.fingerprint import digest_of
from pyplant.specs import scanned_files

pandas = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
dataset = pytest.importorskip("pyarrow.dataset")

MANY = [f"data/{number}.parquet" for number in range(20)]
LAZY = {
    "csv": lambda: pl.scan_csv("data/0.csv"),
    "pattern": lambda: pl.scan_parquet("data/*.parquet").filter(pl.col("a") > 0),
    "many": lambda: pl.scan_parquet(MANY),
    "two": lambda: pl.concat([pl.scan_parquet(MANY[1]), pl.scan_parquet(MANY[0])]).reverse(),
    "file": lambda: dataset.dataset("data/0.parquet"),
    "folder": lambda: dataset.dataset("data", format="parquet", exclude_invalid_files=True),
    "union": lambda: dataset.dataset([dataset.dataset(MANY[0]), dataset.dataset(MANY[1])]),
}


def write(value):
    frame = pandas.DataFrame({"a": [value]})
    frame.to_csv("data/0.csv", index=False)
    for name in MANY:
        frame.to_parquet(name)


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("data").mkdir()
    write(1)


@pytest.mark.parametrize("kind", LAZY)
def test_a_changed_file_reaches_those_who_receive_its_frame(kind):
    @ReactorFunc
    def scans(pipe):
        pipe.send("rows", LAZY[kind]())

    @ReactorFunc
    def reads(pipe):
        rows = yield pipe.receive("rows")
        table = rows.collect() if isinstance(rows, pl.LazyFrame) else pl.from_arrow(rows.to_table())
        pipe.send("first", table["a"][0])

    with Plant("plant", progress=False) as plant:
        plant.add_reactor([scans, reads])
        assert plant.get("first") == 1
        assert plant.run_reactor(reads).ran == ()
        write(2)
        assert plant.get("first") == 2


def test_equal_files_have_equal_digests(monkeypatch):
    first = {kind: digest_of(make()) for kind, make in LAZY.items()}
    write(1)
    assert {kind: digest_of(make()) for kind, make in LAZY.items()} == first
    monkeypatch.setattr(scanned_files, "_LARGE", 0)  # by size and time
    assert digest_of(LAZY["csv"]()) == digest_of(LAZY["csv"]()) != first["csv"]


def test_what_is_no_local_file_is_left_out():
    assert scanned_files.scanned_files(["s3://bucket/*.csv", "missing.csv"]) == []
    assert len(scanned_files.scanned_files([f"file://{pathlib.Path.cwd()}/data/0.csv"])) == 1
