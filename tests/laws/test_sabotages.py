"""The laws are watched: with any one protection removed, the machine notices."""

from __future__ import annotations

import pytest
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from tests.laws.machine import Laws
from tests.laws.model import LawBroken
from tests.laws.sabotages import SABOTAGES, aim
from tests.laws.scenarios import SCENARIOS
from tests.laws.test_laws import law_settings

EXAMPLES = 500
FOUND_EARLY = {  # one of each kind
    "comments_count", "plans_claim_to_be_certain", "results_are_written_at_the_end_of_the_process",
    "values_are_shared",
}  # fmt: skip


@pytest.mark.parametrize("name", SABOTAGES)
def test_sabotage_is_noticed(name, monkeypatch):
    SCENARIOS[name]()
    SABOTAGES[name](monkeypatch)
    with pytest.raises(LawBroken):
        SCENARIOS[name]()


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in FOUND_EARLY else pytest.mark.nightly) for name in SABOTAGES],
)
def test_random_edits_notice_the_sabotage(name, monkeypatch):
    aim(monkeypatch, name)
    SABOTAGES[name](monkeypatch)
    with pytest.raises((LawBroken, FlakyFailure)) as caught:
        run_state_machine_as_test(Laws, settings=law_settings(EXAMPLES, derandomize=True))
    # Without its protection a plant may break a law once and not when Hypothesis tries it again.
    broken = getattr(caught.value, "exceptions", [caught.value])
    assert any(isinstance(error, LawBroken) for error in broken)
