"""A plant says once what follows from reads that are not declared."""

import logging
import os
import pathlib

import pytest

from pyplant import Plant, ReactorFunc
from pyplant.store.ledger import Ledger

from .plants import plant_with


def said(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "pyplant"]


def test_the_first_undeclared_file_is_told_once_with_both_ways(caplog):
    pathlib.Path("data.csv").write_text("1")
    for _ in range(2):
        with plant_with(lambda: pathlib.Path("data.csv").read_text()) as plant:
            plant.get("value")
            pathlib.Path("data.csv").write_text("2")
            plant.get("value")
    (line,) = said(caplog)
    assert line.startswith("reads reads data.csv without declaring it")
    assert "pipe.input_file('data.csv')" in line
    assert "with pipe.untracked():" in line
    assert "\n" not in line
    assert caplog.records[0].levelno == logging.WARNING


def test_control_without_its_mark_the_line_is_told_again(caplog, monkeypatch):
    monkeypatch.setattr(Ledger, "put_told_of_reads", lambda _: None)
    pathlib.Path("data.csv").write_text("1")
    with plant_with(lambda: pathlib.Path("data.csv").read_text()) as plant:
        plant.get("value")
        pathlib.Path("data.csv").write_text("2")
        plant.get("value")
    assert len(said(caplog)) == 2


def test_a_variable_is_told_as_one(caplog, monkeypatch):
    monkeypatch.setenv("READS_X", "very secret")
    with plant_with(lambda: os.environ["READS_X"]) as plant:
        plant.get("value")
    (line,) = said(caplog)
    assert "environment variable READS_X" in line
    assert "parameter" in line
    assert "very secret" not in line


@pytest.mark.parametrize("tracking", [False, "note"])
def test_nothing_is_told_of_what_does_not_count(caplog, tracking):
    pathlib.Path("data.csv").write_text("1")
    with plant_with(lambda: pathlib.Path("data.csv").read_text(), track_reads=tracking) as plant:
        plant.get("value")
    assert said(caplog) == []


def test_nothing_is_told_of_declared_files(caplog):
    pathlib.Path("data.csv").write_text("1")

    @ReactorFunc
    def declares(pipe):
        pipe.send("value", pathlib.Path(pipe.input_file("data.csv")).read_text())

    with Plant("plant", progress=False) as plant:
        plant.add_reactor(declares)
        plant.get("value")
    assert said(caplog) == []


def test_nothing_is_told_of_variables_that_compiled_libraries_read(caplog):
    """Their calls have no frame of their own, so user code seems to have asked."""
    arrow = pytest.importorskip("pyarrow")
    with plant_with(lambda: arrow.array([1, 2]).to_pylist()) as plant:
        assert plant.get("value") == [1, 2]
        assert "PYARROW" not in str(plant.explain("reads"))
    assert said(caplog) == []
