"""Paths that are computed, given to libraries that open files in C."""

import os
import pathlib
import sys

import pytest

from pyplant.reads import calls

from .plants import plant_with
from .readers import parquet, table

needs_monitoring = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="calls are observed from Python 3.12 on"
)


def computed_parquet(stem="data"):
    import pandas as pd

    return int(pd.read_parquet(f"{stem}.{'parquet'}").a[0])


def computed_polars(stem="data"):
    import polars as pl

    return int(pl.read_csv(pathlib.Path(f"{stem}.csv"))["a"][0])


def in_a_loop():
    import pandas as pd

    return sum(int(read(f"data.{kind}").a[0]) for kind in ("parquet",) for read in (pd.read_parquet,))


def flag(value):
    pathlib.Path("flag").unlink(missing_ok=True)
    if value == 2:
        pathlib.Path("flag").touch()


def computed_existence(end="ag"):
    return 2 if os.path.exists("fl" + end) else 1


def computed_path_existence(end="ag"):
    return 2 if (pathlib.Path("x").parent / ("fl" + end)).is_file() else 1


READERS = [
    (parquet, computed_parquet),
    (table, computed_polars),
    (parquet, in_a_loop),
    (flag, computed_existence),
    (flag, computed_path_existence),
]


@needs_monitoring
@pytest.mark.parametrize(("change", "read"), READERS, ids=lambda function: function.__name__)
def test_a_computed_path_counts(change, read):
    change(1)
    with plant_with(read) as plant:
        assert plant.get("value") == 1
        assert not plant.run_reactor("reads").ran
        change(2)
        assert plant.get("value") == 2
        assert "test_calls.py:" in " ".join(plant.explain("reads").reads)


@needs_monitoring
def test_control_without_observed_calls_a_change_is_missed(monkeypatch):
    monkeypatch.setattr(calls, "mention_argument", lambda *_: None)
    parquet(1)
    with plant_with(computed_parquet) as plant:
        assert plant.get("value") == 1
        parquet(2)
        assert plant.get("value") == 1


@needs_monitoring
def test_what_is_written_by_a_call_is_no_input():
    def read(stem="made"):
        import pandas as pd

        pd.DataFrame({"a": [1]}).to_parquet(f"{stem}.parquet")
        return int(pd.read_parquet(f"{stem}.parquet").a[0])

    with plant_with(read) as plant:
        plant.get("value")
        assert not plant.run_reactor("reads").ran


@needs_monitoring
def test_without_a_free_slot_for_tools_paths_in_the_text_serve():
    used = [number for number in calls._FREE_TOOLS if sys.monitoring.get_tool(number) in (None, "pyplant")]
    for number in used:
        sys.monitoring.free_tool_id(number)
        sys.monitoring.use_tool_id(number, "another")
    try:
        table(1)
        with plant_with(lambda: computed_polars()) as plant:
            assert plant.get("value") == 1
    finally:
        for number in used:
            sys.monitoring.free_tool_id(number)
