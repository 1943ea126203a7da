"""The laws hold wherever reactors run."""

from __future__ import annotations

import os

import pytest
from hypothesis.stateful import run_state_machine_as_test

from tests.laws.executors import POOLS, pool
from tests.laws.machine import Laws
from tests.laws.test_laws import law_settings

EXAMPLES = {"threads": 4, "processes": 4, "dask": 3}  # the nightly form has more


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", POOLS)
def test_laws_hold_in_parallel(name):
    examples = os.environ.get("PYPLANT_LAWS_EXAMPLES")
    with pool(name) as executor:
        machine = type("SideBySideLaws", (Laws,), {"executor": executor})
        settings = law_settings(int(examples or EXAMPLES[name]), derandomize=not examples)
        run_state_machine_as_test(machine, settings=settings)
