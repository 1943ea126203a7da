"""The laws hold, whatever is edited."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.laws.machine import Laws

STEPS = 20


def law_settings(examples: int, *, derandomize: bool) -> settings:
    """Twenty steps each; failures are not shrunk, which takes long, but can be replayed by their blob."""
    return settings(
        max_examples=examples,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        print_blob=True,
        stateful_step_count=STEPS,
        deadline=None,
        derandomize=derandomize,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def test_laws_hold_under_random_edits():
    examples = os.environ.get("PYPLANT_LAWS_EXAMPLES")
    run_state_machine_as_test(Laws, settings=law_settings(int(examples or 30), derandomize=not examples))


@pytest.mark.nightly
def test_laws_hold_in_two_thousand_examples():
    run_state_machine_as_test(Laws, settings=law_settings(2000, derandomize=False))
