"""Paths that are computed, given to libraries that open files in C."""

import os
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from pyplant.reads import calls, mentions

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


def by_map(stem="data"):
    return sum(int(frame.a[0]) for frame in map(pd.read_parquet, [f"{stem}.{'parquet'}"]))


def by_threads(stem="data"):
    with ThreadPoolExecutor(1) as executor:
        return sum(int(frame.a[0]) for frame in executor.map(pd.read_parquet, [f"{stem}.{'parquet'}"]))


def by_partial(stem="data"):
    return int(partial(pd.read_parquet, columns=["a"])(f"{stem}.{'parquet'}").a[0])


def by_arguments(stem="data"):
    return int(pd.read_parquet(*[f"{stem}.{'parquet'}"]).a[0])


def by_keyword(stem="data"):
    return int(pd.read_parquet(columns=["a"], path=f"{stem}.{'parquet'}").a[0])


def from_a_list(stem="data"):
    return int(pl.scan_csv([f"{stem}.{'csv'}"]).collect()["a"][0])


def by_one_place_for_two_functions(stem="data"):
    results = [read(f"{stem}.{'parquet'}") for read in (len, pd.read_parquet)]
    return int(results[-1].a[0])


def by_a_class(stem="data"):
    return _Loader().load(f"{stem}.{'parquet'}")


class _Loader:
    read = staticmethod(pd.read_parquet)

    def load(self, path):
        return int(self.read(path).a[0])


def by_a_constructor(stem="data"):
    with pq.ParquetFile(source=f"{stem}.{'parquet'}") as file:
        return file.read()["a"][0].as_py()


LIBRARY_CALLS = [
    (parquet, by_map),
    (parquet, by_threads),
    (parquet, by_partial),
    (parquet, by_arguments),
    (parquet, by_keyword),
    (table, from_a_list),
    (parquet, by_one_place_for_two_functions),
    (parquet, by_a_class),
    (parquet, by_a_constructor),
]


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
@pytest.mark.parametrize(("change", "read"), READERS + LIBRARY_CALLS, ids=lambda function: function.__name__)
def test_a_computed_path_counts(change, read):
    change(1)
    with plant_with(read) as plant:
        assert plant.get("value") == 1
        assert not plant.run_reactor("reads").ran
        change(2)
        assert plant.get("value") == 2
        place = "a thread of the reactor" if read is by_threads else "test_calls.py:"
        assert place in " ".join(plant.explain("reads").reads)


@needs_monitoring
@pytest.mark.parametrize(
    ("observed", "read"),
    [
        ("mention_argument", computed_parquet),
        ("_mention_arguments", by_map),
        ("_mention_arguments", by_partial),
    ],
)
def test_control_without_observed_calls_and_functions_a_change_is_missed(observed, read, monkeypatch):
    monkeypatch.setattr(calls, observed, lambda *_: None)
    parquet(1)
    with plant_with(read) as plant:
        assert plant.get("value") == 1
        parquet(2)
        assert plant.get("value") == 1


@needs_monitoring
def test_files_in_a_statement_that_code_computes_count(monkeypatch):
    mentioned = []
    monkeypatch.setattr(mentions, "_mention_content", lambda text, *_, **__: mentioned.append(text))
    for name in ("duckdb.sql", "polars.sql", "pandas.read_csv"):
        mentions.mention_argument(name, "select a from 'data.csv'", "", ReadRecorderStub())
    assert mentioned == ["data.csv", "data.csv", "select a from 'data.csv'"]


class ReadRecorderStub:
    writes_unseen = False


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
