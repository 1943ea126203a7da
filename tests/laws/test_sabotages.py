"""The laws are watched: with any one protection removed, the machine notices."""

from __future__ import annotations

import pytest
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import run_state_machine_as_test

from tests.laws.machine import Laws
from tests.laws.model import LawBroken
from tests.laws.sabotages import SABOTAGES
from tests.laws.test_laws import law_settings

EXAMPLES = 500


@pytest.mark.parametrize("name", SABOTAGES)
def test_sabotage_is_noticed(name, monkeypatch):
    SABOTAGES[name](monkeypatch)
    with pytest.raises((LawBroken, FlakyFailure)) as caught:
        run_state_machine_as_test(Laws, settings=law_settings(EXAMPLES, derandomize=True))
    # Without its protection a plant may break a law once and not when Hypothesis tries it again.
    broken = getattr(caught.value, "exceptions", [caught.value])
    assert any(isinstance(error, LawBroken) for error in broken)
