"""Another seed of string hashes or another version of Python reruns nothing."""

import functools
import glob
import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.conformance.helpers import environment, run_batch, write_files
from tests.conformance.project import FILES
from tests.conftest import ROOT

SEEDS = [str(seed) for seed in range(20)]

# Sets wherever they can be: in code, in globals, in values, in configurations, in closures.
PIPELINE = """
    import dataclasses
    import enum
    import sys

    from pyplant import *

    WORDS = {"alpha", "beta", "gamma", "delta", "epsilon", "zeta"}
    NESTED = {"k": frozenset({"a", "b", "c", ("d", frozenset({"e", "f"}))})}
    FUNCTIONS = {len, sorted, str.upper, print}

    class Colour(enum.Flag):
        RED = 1
        BLUE = 2

    # Where these lie in memory, and so the order of the set, changes with what was made before.
    clutter = [type(f"Clutter{n}", (), {}) for n in range(int(sys.argv[1]))]

    class First:
        size = 1

    class Second:
        size = 2

    class Third:
        size = 3

    CLASSES = {First, Second, Third, Colour}

    @dataclasses.dataclass(frozen=True)
    class Point:
        names: frozenset = frozenset({"x", "y", "z"})

    def helper(word, allowed=frozenset({"alpha", "omega", "psi"})):
        return word in {"alpha", "beta", "chi", "phi"} or word in allowed

    def make(names):
        return lambda word: word in names

    closure = make({"one", "two", "three", "four"})

    @ReactorFunc
    def produce(pipe):
        pipe.send("sets", {
            "set": set(WORDS), "frozen": NESTED["k"], "deep": [{("t", w) for w in WORDS}, {1: {"v", "w"}}],
            "object": Point(), "mixed": {1, "one", 2.0, None, ("a", "b")}, "flag": Colour.RED | Colour.BLUE,
        })

    @ReactorFunc
    def consume(pipe, config):
        sets = yield pipe.receive("sets")
        names = [n for n in sorted(sets["set"]) if helper(n) or closure(n) or n in config.chosen]
        pipe.send("names", names)
        pipe.send("count", len(FUNCTIONS) + len(sets["object"].names) + len(sets["mixed"]))

    @ReactorFunc
    def finish(pipe):
        names, count = yield pipe.receive("names", "count")
        pipe.send("end", [names, count])

    @ReactorFunc
    def measure(pipe):
        pipe.send("measured", sum(getattr(cls, "size", 0) for cls in CLASSES))

    with Plant("plant", **OPTIONS) as plant:
        plant.set_config({"chosen": {"gamma", "delta"}, "unread": {"a", "b", "c"}})
        if "force" in sys.argv:
            print(*plant.run_reactor("produce", force=True).ran)
        print(",".join(plant.run_reactor("finish").ran) or "nothing")
        if "measure" in sys.argv:
            print(*plant.run_reactor("measure").ran)
        print(plant.get("end"))
"""
END = "[['alpha', 'beta', 'delta', 'gamma'], 12]"


def write(folder, options="{}"):
    write_files(folder, {"pipeline.py": PIPELINE.replace("**OPTIONS", f"**{options}")})


def run(folder, *arguments, seed="0", clutter="0", python=sys.executable):
    process = subprocess.run(
        [python, "pipeline.py", clutter, *arguments],
        cwd=folder,
        env=environment(PYTHONHASHSEED=seed),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds") / "project"
    write(folder)
    assert run(folder) == ["produce,consume,finish", END]
    return folder


@pytest.fixture
def project(base, tmp_path):
    return shutil.copytree(base, tmp_path / "project")


@pytest.mark.parametrize("seed", SEEDS)
def test_no_seed_makes_anything_run_again(seed, project):
    assert run(project, seed=seed) == ["nothing", END]


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_below_a_producer_that_is_forced_runs_again(seed, project):
    assert run(project, "force", seed=seed) == ["produce", "nothing", END]


@pytest.mark.parametrize("clutter", range(6, 60, 12))
def test_a_set_of_classes_does_not_count_by_their_addresses(clutter, base, tmp_path):
    project = shutil.copytree(base, tmp_path / "project")
    run(project, "measure")
    assert run(project, "measure", clutter=str(clutter))[1:2] == [""]


def test_the_control_code_fingerprints_that_follow_the_seed_do_rerun(tmp_path):
    write(tmp_path, "{'function_hash': lambda f: str(hash(f.__name__))}")
    assert run(tmp_path, seed="1")[0] == "produce,consume,finish"
    assert run(tmp_path, seed="2")[0] == "produce,consume,finish"
    assert run(tmp_path, seed="1")[0] == "nothing"


def test_a_process_without_a_seed_of_its_own_runs_nothing(project):
    assert run(project, seed="random") == ["nothing", END]


# ---------------------------------------------------------------------- versions of Python

NEEDED = "import numpy, h5py, blake3, cloudpickle"


def works(python):
    try:
        process = subprocess.run([python, "-c", NEEDED], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return process.returncode == 0


def interpreter(minor):
    """A Python of this minor version with the dependencies of PyPlant, or None."""
    if sys.version_info[:2] == (3, minor):
        return sys.executable
    named = os.environ.get(f"PYPLANT_PYTHON_3{minor}")
    if named:
        return named
    candidates = [shutil.which(f"python3.{minor}")]
    candidates += sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/3.{minor}.*/bin/python")))
    return next((python for python in candidates if python and works(python)), None)


VERSIONS = {minor: interpreter(minor) for minor in (11, 12, 13)}
PAIRS = [(old, new) for old in VERSIONS for new in VERSIONS if old < new] + [(13, 11)]


@pytest.mark.parametrize(("old", "new"), PAIRS, ids=lambda minor: f"3.{minor}")
def test_another_version_of_python_runs_nothing(old, new, tmp_path):
    need(old, new)
    write(tmp_path)
    assert run(tmp_path, python=VERSIONS[old]) == ["produce,consume,finish", END]
    assert run(tmp_path, python=VERSIONS[new]) == ["nothing", END]
    assert run(tmp_path, python=VERSIONS[old]) == ["nothing", END]


NEW = pytest.mark.parametrize("new", [12, 13], ids=lambda minor: f"3.{minor}")


def need(*minors):
    for minor in minors:
        if VERSIONS[minor] is None:
            pytest.skip(f"no Python 3.{minor} with {NEEDED[7:]}: name one in PYPLANT_PYTHON_3{minor}")


@NEW
def test_another_version_of_python_runs_nothing_of_a_large_project(new, tmp_path):
    need(11, new)
    write_files(tmp_path, FILES)
    (first,) = run_batch([(tmp_path, "pipeline.py")], python=VERSIONS[11])
    ran, value = first.splitlines()
    assert ran == "work"
    assert run_batch([(tmp_path, "pipeline.py")], python=VERSIONS[new])[0].splitlines() == ["nothing", value]


@NEW
def test_an_edit_is_seen_by_another_version_of_python(new, tmp_path):
    need(11, new)
    write(tmp_path)
    run(tmp_path, python=VERSIONS[11])
    text = (tmp_path / "pipeline.py").read_text()
    (tmp_path / "pipeline.py").write_text(text.replace('"beta", "chi"', '"zeta", "chi"'))
    shown = run(tmp_path, python=VERSIONS[new])
    assert shown[0] == "consume,finish"
    assert "'zeta'" in shown[1]


# ---------------------------------------------------------------------- digests


@functools.cache
def digests(minor, seed):
    """The digests of many values, as a Python of this version prints them."""
    process = subprocess.run(
        [VERSIONS[minor], str(ROOT / "tests" / "conformance" / "zoo.py")],
        env=environment(PYTHONHASHSEED=seed),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


def differing(one, other):
    assert one.keys() == other.keys()
    return sorted(name for name in one if one[name] != other[name])


@pytest.mark.parametrize("seed", ["1", "2", "3", "4"])
def test_the_digest_of_a_value_does_not_follow_the_seed(seed):
    need(11)
    assert differing(digests(11, "0"), digests(11, seed)) == []


@NEW
def test_the_digest_of_a_value_is_the_same_in_another_version_of_python(new):
    need(11, new)
    assert differing(digests(11, "0"), digests(new, "1")) == []


def test_the_control_digests_of_different_values_differ():
    need(11)
    found = digests(11, "0")
    assert len(set(found.values())) == len(found)
