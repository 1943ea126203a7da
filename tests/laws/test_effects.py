"""What modules do when they are imported shows in the same values wherever reactors run."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from tests.conformance.helpers import environment
from tests.laws import effects
from tests.laws.effects import Imported

EXECUTORS = ("inline", "workers", "processes", "futures", "threads", "dask")
"""``workers`` are PyPlant's own processes, ``processes`` those of loky, ``futures`` forked ones."""

SIZE = 12  # effects in a program; all libraries together take seconds to import
NIGHTLY = int(os.environ.get("PYPLANT_LAWS_EXAMPLES", "0")) // 10


def _run(folder, program, *executors, prelude=""):
    script = effects.write(folder / "program", program, prelude)
    # Bytecode is written, since each worker imports everything.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script.name, *executors],
        cwd=script.parent,
        env={**environment(KERAS_BACKEND="jax"), "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return effects.differences(effects.read(done.stdout))


def _run_in_kernel(folder, program, *executors):
    from tests.conformance.kernel import Kernel

    script = effects.write(folder / "program", program)
    kernel = Kernel(script.parent, PYTHONWARNINGS="ignore", KERAS_BACKEND="jax")
    try:
        kernel.cell("import sys; sys.path.insert(0, '.')")
        kernel.cell(script.read_text())
        return effects.differences(effects.read(kernel.cell(f"main({executors!r})")))
    finally:
        kernel.close()


def test_effects_hold_on_every_executor(tmp_path):
    assert _run(tmp_path, effects.program(1, SIZE), *EXECUTORS) == []


def test_effects_hold_in_a_kernel(tmp_path):
    assert _run_in_kernel(tmp_path, effects.program(2, SIZE), "inline", "workers", "threads") == []


@pytest.mark.nightly
@pytest.mark.timeout(7200)
def test_effects_hold_in_many_programs(tmp_path):
    for number in range(NIGHTLY or 10):
        seed = random.SystemRandom().randrange(1 << 30)
        program = effects.program(seed, random.SystemRandom().randint(1, len(effects.EFFECTS)), slow=True)
        run = _run_in_kernel if number % 4 == 3 else _run
        found = run(tmp_path / str(number), program, *EXECUTORS)
        assert found == [], f"program {seed} of {len(program)} effects"


# ---------------------------------------------------------------------- negative controls

BY_VALUE = """
from pyplant.workers import code_pickling
code_pickling.capture_user_modules = lambda: {}
code_pickling.CodePickler.is_imported = lambda self, name: not code_pickling.is_user_module(sys.modules[name])
"""
"""Workers import nothing of the user, as if all modules were taken apart."""

UNSENT = """
from pyplant.workers.code_pickling import CodePickler
CodePickler.replace = lambda self, variables: False
"""
"""Values that were set after the import are not sent."""


@pytest.mark.parametrize(
    ("sabotage", "missed"),
    [
        (BY_VALUE, {"codec", "copyreg", "registrations", "subclasses", "yaml_constructor"}),
        (UNSENT, {"changed_global", "deleted", "filled_by_main", "patched"}),
    ],
)
def test_workers_without_effects_are_noticed(tmp_path, sabotage, missed):
    program = [Imported(name, 0) for name in sorted(missed)]
    found = _run(tmp_path, program, "inline", "workers", prelude=sabotage)
    assert {text.split()[1] for text in found} == missed
