"""Settings of the program, which workers adopt."""

import contextvars
import csv
import decimal
import importlib
import locale
import logging
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pyplant import Plant, ReactorFunc
from pyplant.fingerprint import fingerprint
from pyplant.fingerprint.code_records import CodeRecord
from pyplant.fingerprint.graph_node import NodeKind
from pyplant.workers import process_settings
from pyplant.workers.library_options import LIBRARY_OPTIONS
from pyplant.workers.process_settings import SETTINGS, read_settings, write_settings
from pyplant.workers.worker_environment import (
    ASSIGNED_VARIABLES,
    EnvironmentChanges,
    NamedVariables,
    adopt_variables,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pyplant.errors.OpaqueWarning"),  # context variables
]

VARIABLE = "PYPLANT_TEST_MODE"
LOGGER = logging.getLogger("my.application")
color = contextvars.ContextVar("color", default="grey")


@pytest.fixture(autouse=True)
def _restore():
    """Undo what a test sets in this process, and what Dask leaves there when it starts workers: limits of threads."""
    for name in ASSIGNED_VARIABLES:
        os.environ.pop(name, None)
    before = read_settings()
    yield
    os.environ.pop(VARIABLE, None)
    os.environ.pop("TZ", None)
    write_settings(before, before_imports=False, own_worker=True)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A plant whose worker has started before any test changes settings."""
    with (
        pytest.MonkeyPatch.context() as patch,
        Plant(tmp_path_factory.mktemp("own") / "plant", executor=1, progress=False) as plant,
    ):
        for name in ASSIGNED_VARIABLES:
            patch.delenv(name, raising=False)
        assert seen(plant, os.getpid) != os.getpid()
        yield plant


def seen(plant, look):
    """What a function returns in a worker."""

    @ReactorFunc(cache=False)
    def reactor(pipe):
        pipe.send("seen", look())

    plant.add_reactor(reactor)
    return plant.get("seen")


def is_silent():
    try:
        warnings.warn("special", stacklevel=1)
    except UserWarning:
        return False
    return True


def change_zone():
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()


def change_limit():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))


def limit():
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def lines_of_table():
    import pandas as pd

    return len(pd.DataFrame({"a": range(100)}).to_string(max_rows=None).splitlines()), repr(
        pd.Series([1 / 3])
    )


def change_pandas():
    pd = pytest.importorskip("pandas")
    pd.set_option("display.precision", 2)


def threads_of_torch():
    import torch

    return torch.get_num_threads()


def change_torch():
    sys.modules["torch"].set_num_threads(1)


CASES = {
    "working directory": (lambda: os.chdir(Path(os.sep)), os.getcwd),
    "its order": (lambda: sys.path.insert(0, "nowhere"), lambda: sys.path[0]),
    "recursion limit": (lambda: sys.setrecursionlimit(5000), sys.getrecursionlimit),
    "digits of integers": (lambda: sys.set_int_max_str_digits(5000), sys.get_int_max_str_digits),
    "warnings": (lambda: warnings.filterwarnings("ignore", "spec"), is_silent),
    "logging levels": (
        lambda: LOGGER.setLevel(logging.DEBUG),
        lambda: logging.getLogger("my.application").isEnabledFor(logging.DEBUG),
    ),
    "locale": (
        lambda: locale.setlocale(locale.LC_CTYPE, "C"),
        lambda: locale.setlocale(locale.LC_CTYPE),
    ),
    "time zone": (change_zone, lambda: time.tzname),
    "resource limits": (change_limit, limit),
    "decimal context": (
        lambda: setattr(decimal.getcontext(), "prec", 5),
        lambda: str(decimal.Decimal(1) / 3),
    ),
    "numpy.errstate": (lambda: np.seterr(divide="raise"), lambda: np.geterr()["divide"]),
    "numpy print options": (lambda: np.set_printoptions(precision=2), lambda: str(np.array([1 / 3]))),
    "pandas options": (change_pandas, lines_of_table),
    "torch threads": (change_torch, threads_of_torch),
    "matplotlib.rcParams": (
        lambda: sys.modules["matplotlib"].rcParams.update({"figure.dpi": 33}),
        lambda: importlib.import_module("matplotlib").rcParams["figure.dpi"],
    ),
    "scikit-learn configuration": (
        lambda: sys.modules["sklearn"].set_config(transform_output="pandas"),
        lambda: importlib.import_module("sklearn").get_config()["transform_output"],
    ),
    "xarray options": (
        lambda: sys.modules["xarray"].set_options(keep_attrs=True),
        lambda: importlib.import_module("xarray").get_options()["keep_attrs"],
    ),
    "jax.config": (
        lambda: sys.modules["jax"].config.update("jax_enable_x64", True),
        lambda: importlib.import_module("jax").config.jax_enable_x64,
    ),
    "keras.config": (
        lambda: sys.modules["keras"].config.set_floatx("float64"),
        lambda: importlib.import_module("keras").config.floatx(),
    ),
    "torch options": (
        lambda: sys.modules["torch"].set_default_dtype(sys.modules["torch"].float64),
        lambda: str(importlib.import_module("torch").get_default_dtype()),
    ),
    "mpmath precision": (
        lambda: setattr(sys.modules["mpmath"].mp, "dps", 40),
        lambda: importlib.import_module("mpmath").mp.dps,
    ),
    "csv.field_size_limit": (lambda: csv.field_size_limit(10**9), lambda: csv.field_size_limit()),
    "socket.setdefaulttimeout": (lambda: socket.setdefaulttimeout(300), lambda: socket.getdefaulttimeout()),
}
POSIX = {"time zone", "resource limits"}


SLOW_IMPORTS = {"jax.config", "keras.config", "scikit-learn configuration", "torch options", "xarray options"}
HERE = [name for name in CASES if os.name == "posix" or name not in POSIX]


@pytest.fixture(params=HERE)
def case(request):
    options = LIBRARY_OPTIONS.get(request.param)
    if options is not None:
        pytest.importorskip(options.library)
        yield request.param
        options.adopt({})
        return
    if request.param != "torch threads":
        yield request.param
        return
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(os.cpu_count())
    if torch.get_num_threads() == 1:
        pytest.skip("one thread cannot be reduced")
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", LIBRARY_OPTIONS)
def test_a_new_process_has_the_initial_options(name):
    """Otherwise each worker would import the library."""
    library = LIBRARY_OPTIONS[name].library
    pytest.importorskip(library)
    script = f"""
import importlib
from pyplant.workers.library_options import LIBRARY_OPTIONS
importlib.import_module({library!r})
print(LIBRARY_OPTIONS[{name!r}].changed())
"""
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == "{}"


def test_each_setting_has_a_case():
    assert SETTINGS.keys() - CASES.keys() == {"module search path", "multiprocessing"}


def test_a_worker_adopts_the_settings_as_they_are_now(own, case):
    change, look = CASES[case]
    before = seen(own, look)
    change()
    assert seen(own, look) == look() != before


def test_control_without_its_entry_a_worker_does_not_adopt_a_setting(own, case, monkeypatch):
    change, look = CASES[case]
    before = seen(own, look)
    left = {name: setting for name, setting in SETTINGS.items() if name != case}
    monkeypatch.setattr(process_settings, "SETTINGS", left)
    change()
    assert seen(own, look) == before != look()


@pytest.mark.parametrize("case", [name for name in HERE if name not in SLOW_IMPORTS], indirect=True)
@pytest.mark.parametrize("kind", ["threads", "processes", "dask"])
def test_other_pools_adopt_what_does_not_describe_the_machine(pools, case, kind, tmp_path):
    if SETTINGS[case].own_workers and not (SETTINGS[case].of_thread and kind == "threads"):
        pytest.skip("belongs to the machine")
    change, look = CASES[case]
    with Plant(tmp_path / "plant", executor=pools(kind), progress=False) as plant:
        seen(plant, look)
        change()
        assert seen(plant, look) == look()


def test_settings_that_are_reset_are_reset_in_workers(own):
    np.seterr(all="raise")
    seen(own, np.geterr)
    np.seterr(divide="warn", over="warn", under="ignore", invalid="warn")
    assert seen(own, np.geterr) == np.geterr()


def test_what_a_reactor_changes_does_not_reach_the_next_one(own):
    def change():
        decimal.getcontext().prec = 3
        np.seterr(all="raise")
        os.chdir(os.sep)

    seen(own, change)
    assert seen(own, lambda: (decimal.getcontext().prec, np.geterr(), os.getcwd())) == (
        decimal.getcontext().prec,
        np.geterr(),
        os.getcwd(),
    )


def test_filters_for_warnings_of_the_user_hold_in_workers(own, tmp_path, monkeypatch):
    (tmp_path / "my_warnings.py").write_text("class MyWarning(UserWarning): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("my_warnings")

    def look():
        try:
            warnings.warn(module.MyWarning("special"), stacklevel=1)
        except UserWarning:
            return False
        return True

    warnings.simplefilter("ignore", module.MyWarning)
    assert seen(own, look)
    sys.modules.pop("my_warnings")


def test_a_formatter_without_a_name_is_sent(own):
    pd = pytest.importorskip("pandas")
    pd.set_option("display.float_format", lambda number: f"<{number:.1f}>")
    try:
        assert "<0.3>" in seen(own, lines_of_table)[1]
    finally:
        pd.reset_option("display.float_format")
    assert "<0.3>" not in seen(own, lines_of_table)[1]


def test_a_setting_that_cannot_be_pickled_is_left_out(own, monkeypatch):
    decimal.getcontext().prec = 9
    setting = SETTINGS["recursion limit"]._replace(read=lambda: (n for n in "abc"))
    monkeypatch.setattr(process_settings, "SETTINGS", {**SETTINGS, "recursion limit": setting})
    assert seen(own, lambda: decimal.getcontext().prec) == 9


def test_a_setting_that_cannot_be_adopted_is_left_out(own, tmp_path):
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    decimal.getcontext().prec = 7
    assert seen(own, lambda: decimal.getcontext().prec) == 7


@pytest.mark.parametrize(("changed", "imported"), [({}, "False"), ({"display.precision": 2}, "True")])
def test_a_worker_imports_no_library_for_what_is_the_default(changed, imported):
    pytest.importorskip("pandas")
    script = f"""
from pyplant.workers.process_settings import write_settings
from pyplant.workers.pickling import dumps
import sys
write_settings({{"pandas options": dumps({changed})}}, before_imports=False, own_worker=True)
print("pandas" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", script], text=True).strip() == imported


def test_a_worker_has_no_more_threads_than_its_share(own):
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    share = seen(own, lambda: int(os.environ["OMP_NUM_THREADS"]))
    torch.set_num_threads(share + 7)
    assert seen(own, threads_of_torch) == share
    torch.set_num_threads(before)


def test_the_same_settings_are_written_once(own):
    root = str(own.directory)

    @ReactorFunc
    def first(pipe):
        pipe.send("first", 1)

    def look():
        return [path.name for path in Path(root).rglob("settings-*")]

    @ReactorFunc
    def second(pipe):
        yield pipe.receive("first")
        pipe.send("second", look())

    own.add_reactor([first, second])
    assert len(own.get("second")) == 1
    assert look() == []  # it is removed after the run


# ---------------------------------------------------------------------- threads


@pytest.fixture
def threaded(tmp_path):
    with (
        ThreadPoolExecutor(1) as pool,
        Plant(tmp_path / "plant", executor=pool, progress=False) as plant,
    ):
        yield plant


def test_threads_have_the_context_variables_of_the_thread_that_asks(threaded):
    token = color.set("green")
    try:
        assert seen(threaded, color.get) == "green"
    finally:
        color.reset(token)
    assert seen(threaded, color.get) == "grey"


def test_what_a_reactor_sets_in_a_thread_stays_in_its_context(threaded):
    def change():
        color.set("red")
        decimal.getcontext().prec = 3

    seen(threaded, change)
    assert color.get() == "grey"
    assert decimal.getcontext().prec == 28
    assert seen(threaded, color.get) == "grey"


def test_threads_of_pools_that_are_not_known_have_the_context(tmp_path):
    class Threads(ThreadPoolExecutor):
        """Not recognised as threads."""

    from pyplant.workers.pools import FuturesPool

    with Threads(1) as pool, Plant(tmp_path / "plant", executor=pool, progress=False) as plant:
        assert isinstance(plant._session._executor._pool, FuturesPool)
        plant._session._executor._pool.shares_process = False
        token = color.set("blue")
        try:
            assert seen(plant, color.get) == "blue"
        finally:
            color.reset(token)


def test_a_copied_context_does_not_share_the_fingerprinter():
    mine, found = fingerprint._fingerprinter(), []
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: found.append(context.run(fingerprint._fingerprinter)))
    thread.start()
    thread.join()
    assert found[0] is not mine


# ---------------------------------------------------------------------- environment variables


def test_own_workers_have_the_environment_as_it_is_now(own):
    def look():
        return os.environ.get("PYPLANT_TEST" + "_MODE")  # no name in the code

    for value in ("fast", "slow", None, "fast"):
        os.environ.pop(VARIABLE, None)
        if value is not None:
            os.environ[VARIABLE] = value
        assert seen(own, look) == value


def test_variables_are_removed_from_workers(tmp_path, monkeypatch):
    os.environ[VARIABLE] = "at start"
    with Plant(tmp_path / "plant", executor=1, progress=False) as plant:
        assert seen(plant, lambda: os.environ.get(VARIABLE)) == "at start"
        del os.environ[VARIABLE]
        assert seen(plant, lambda: os.environ.get(VARIABLE)) is None


def test_what_a_reactor_sets_of_the_programs_variables_is_reset(own):
    os.environ[VARIABLE] = "mine"

    def change():
        os.environ[VARIABLE] = "its"

    seen(own, change)
    assert seen(own, lambda: os.environ[VARIABLE]) == "mine"


def test_variables_that_a_pool_assigns_are_not_carried_over():
    changes = EnvironmentChanges({"A": "1", "CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "1"})
    assert changes.start == {"A": "1"}
    assert changes.now({"A": "1", "CUDA_VISIBLE_DEVICES": ""}) == {}
    assert changes.now({"B": "2"}) == {"A": None, "B": "2"}
    assert changes.now({"A": "1"}) == {"A": "1", "B": None}


def test_the_share_of_threads_stays(own):
    share = seen(own, lambda: os.environ["OMP_NUM_THREADS"])
    os.environ["OMP_NUM_THREADS"] = "77"
    try:
        assert seen(own, lambda: os.environ["OMP_NUM_THREADS"]) == share
    finally:
        del os.environ["OMP_NUM_THREADS"]


def named():
    return os.environ.get("PYPLANT_TEST_MODE"), os.environ.get("PYPLANT_TEST_" + "OTHER")


@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_other_pools_get_the_variables_that_code_names(pools, kind, tmp_path, monkeypatch):
    with Plant(tmp_path / "plant", executor=pools(kind), progress=False) as plant:
        for _ in range(4):  # workers start with the environment of this process
            seen(plant, os.getpid)
        monkeypatch.setenv("PYPLANT_TEST_OTHER", "not named")
        for value in ("fast", "slow", None):
            os.environ.pop(VARIABLE, None)
            if value is not None:
                os.environ[VARIABLE] = value
            assert seen(plant, named) == (value, None)


def record(text, **constants):
    edges = {f"g {name}": ("module", name, f"=1a:{value!r}") for name, value in constants.items()}
    return CodeRecord(NodeKind.FUNCTION, "f", "", text, edges)


def test_names_of_variables_are_found_in_code():
    variables = NamedVariables(["GONE", "HOME"])
    records = {"1": record("os.environ['MODE'], os.getenv(KEY), 'RMSE' + GONE", KEY="lower")}
    present = {
        "MODE": "1",
        "lower": "2",
        "HOME": "/",
        "SLURM_JOB_ID": "3",
        "OMP_NUM_THREADS": "4",
        "else": "5",
    }
    assert variables.now(records, present) == {"MODE": "1", "lower": "2"}
    records["2"] = record("os.environ['HOME'] + 'SLURM_JOB_ID' 'OMP_NUM_THREADS' 'GONE'")
    assert variables.now(records, present) == {"MODE": "1", "lower": "2", "GONE": None}
    assert variables.now(records, {"MODE": "6"}) == {"MODE": "6", "lower": None, "GONE": None}


def test_a_machine_keeps_the_variables_of_its_own(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/node")
    adopt_variables("one", {"DATA_ROOT": None}, same_machine=False)
    assert os.environ["DATA_ROOT"] == "/node"
    adopt_variables("one", {"DATA_ROOT": "/program"}, same_machine=False)
    assert os.environ["DATA_ROOT"] == "/program"
    adopt_variables("two", {}, same_machine=False)
    assert os.environ["DATA_ROOT"] == "/node"
    adopt_variables("two", {"DATA_ROOT": None}, same_machine=True)
    assert "DATA_ROOT" not in os.environ
    adopt_variables("", {}, same_machine=True)
    assert os.environ["DATA_ROOT"] == "/node"


@pytest.mark.parametrize("kind", ["own", "processes"])
def test_no_variable_is_in_a_file_of_the_plant(own, pools, kind, tmp_path):
    os.environ[VARIABLE] = "-".join(("secret", "0123456789"))

    def files_with(root, text):
        return [path.name for path in Path(root).rglob("*") if path.is_file() and text in path.read_bytes()]

    def look(root):
        secret = os.environ["PYPLANT_TEST_MODE"].encode()
        return files_with(root, secret), len(files_with(root, os.getcwd().encode()))

    executor = 1 if kind == "own" else pools(kind)
    with Plant(tmp_path / "plant", executor=executor, progress=False) as plant:
        root = str(plant.directory)
        found, control = seen(plant, lambda: look(root))
        assert found == files_with(root, os.environ[VARIABLE].encode()) == []
        assert control > 0  # the settings are among the files
