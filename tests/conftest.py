"""Fixtures of all tests, and what keeps them apart from one another and from the user."""

import functools
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from pyplant import _definitions, pytest_plugin
from pyplant.store import inputs
from pyplant.workers import user_modules

ROOT = Path(__file__).resolve().parent.parent
CI = os.environ.get("CI") == "true"

_quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
settings.register_profile(
    "default", deadline=None, max_examples=50, print_blob=True, suppress_health_check=_quiet
)
# A failure there must be the same when it is run again.
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True)
settings.register_profile("nightly", parent=settings.get_profile("default"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if CI else "default"))

# The signing key must be neither read nor made where the user has theirs. Child processes inherit this, and those that
# import this module, as workers do, must not change it.
_home = tempfile.TemporaryDirectory(prefix="pyplant-tests-", ignore_cleanup_errors=True)
if "pyplant-tests-" not in os.environ.get("XDG_DATA_HOME", ""):
    os.environ["XDG_DATA_HOME"] = _home.name
    os.environ["XDG_CACHE_HOME"] = _home.name


_OF_THE_SUITE = {"tests", "reliability", "benchmarks"}


def _captured(name, spec, capture=user_modules._capture):
    """Workers import what the process has imported, and to collect the tests imports the helpers of all of them, which
    takes a second. They import those on demand, as they do test modules."""
    module = capture(name, spec)
    if module is not None and name.partition(".")[0] in _OF_THE_SUITE:
        return module._replace(is_imported_first=False)
    return module


user_modules._capture = _captured


def pytest_unconfigure():
    _home.cleanup()


def pytest_configure(config):
    if not config.pluginmanager.is_registered(pytest_plugin):  # installed packages announce it
        config.pluginmanager.register(pytest_plugin, "pyplant")
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in what a shell started with `&`
        signal.signal(signal.SIGINT, signal.default_int_handler)


SLOW_PLACES = {
    *("browser", "conformance", "laws", "notebook", "typing"),
    "test_notebooks.py",
    *("specs/test_keras.py", "specs/test_torch_digest.py", "specs/test_matplotlib_digest.py"),  # slow imports
    *("execution/test_claims_guard.py", "execution/test_travel.py", "workers/test_errors.py"),  # processes
    *("fingerprint/test_harmless_edits.py", "reports/test_hostile_texts.py"),
}
# Each of these shares a server, a kernel or a long preparation, so it stays together; and since these tests are the
# longest, they start first: at the end no worker waits for a long one of another.
FIRST_PLACES = ("conformance", "browser", "test_reliability.py", "test_notebooks.py", "laws", "notebook")
SLOW_FIXTURES = {"run_script", "shell", "ran"}
SLOW_PARAMETERS = {"dask", "processes"}


@functools.cache
def _is_slow_place(path):
    place = path.relative_to(ROOT / "tests")
    return not SLOW_PLACES.isdisjoint({place.parts[0], place.as_posix()}) if place.parts else False


@functools.cache
def _turn(path):
    """When a file has its turn, before the random order of files counts."""
    place = path.relative_to(ROOT / "tests").parts[0]
    return FIRST_PLACES.index(place) if place in FIRST_PLACES else len(FIRST_PLACES)


def pytest_ignore_collect(collection_path, config):
    """Import nothing that `make quick` would deselect."""
    if config.option.markexpr == "not slow" and collection_path.is_relative_to(ROOT / "tests"):
        return _is_slow_place(collection_path) or None
    return None


def pytest_collection_modifyitems(items):
    """Put the longest tests first, in the order that is random by now.

    Mark what starts interpreters, kernels, servers or a cluster, so that no new test need say so.
    """
    items.sort(key=lambda item: _turn(item.path))
    for item in items:
        callspec = getattr(item, "callspec", None)
        slow = (
            _is_slow_place(item.path)
            or SLOW_FIXTURES & set(item.fixturenames)
            or (callspec is not None and SLOW_PARAMETERS.intersection(map(str, callspec.params.values())))
            or item.get_closest_marker("nightly")
        )
        if slow:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def fresh_registry(request):
    """Reactors that a test declares are gone when it ends, and those of other test modules are not there."""
    kept, repeated = dict(_definitions._declared), dict(_definitions._repeated)
    module = getattr(request.module, "__name__", None)
    for key, definition in kept.items():
        if definition.module != module:
            del _definitions._declared[key]
            _definitions._repeated.pop(key, None)
    yield
    for registry, before in ((_definitions._declared, kept), (_definitions._repeated, repeated)):
        registry.clear()
        registry.update(before)


@pytest.fixture
def plant_dir(tmp_path):
    """A directory for a plant, not made yet."""
    return tmp_path / "plant"


@pytest.fixture
def hashed(monkeypatch):
    """Names of the input files that were read through."""
    seen = []
    original = inputs.hash_file
    monkeypatch.setattr(
        inputs, "hash_file", lambda path: seen.append(os.path.basename(path)) or original(path)
    )
    return seen


@pytest.fixture
def run_script(tmp_path):
    """Write a script and run it in a process of its own; returns the finished process."""

    def run(source, *args, name="pipeline.py", python=sys.executable, env=None, check=True, timeout=120):
        path = tmp_path / name
        path.write_text(source, encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
        process = subprocess.run(
            [python, str(path), *map(str, args)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and process.returncode != 0:
            pytest.fail(f"{name} ended with {process.returncode}:\n{process.stderr}")
        return process

    return run
