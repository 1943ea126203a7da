"""The budget of resources: what it grants, and what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyplant.errors import ResourcesError
from pyplant.execution.budget import Budget, Grant


def test_amounts_are_numbers_and_memory_may_be_a_text():
    assert Budget({"GPU": 2, "memory": "60 GB", "license": 0.5}).total == {
        "GPU": 2,
        "memory": 60 * 10**9,
        "license": 0.5,
    }


@pytest.mark.parametrize(
    "resources",
    [
        {"GPU": "2"},
        {"GPU": -1},
        {"GPU": True},
        {"x": float("nan")},
        {"memory": "much"},
        {"GPU": 1.5},
        {"x": None},
        ["GPU"],
    ],
)
def test_other_amounts_are_refused(resources):
    with pytest.raises(ResourcesError, match="resources="):
        Budget(resources)


def test_resources_are_granted_until_none_are_left_and_again_after_their_return():
    budget = Budget({"x": 3})
    first, second = budget.grant({"x": 2}), budget.grant({"x": 1})
    assert budget.grant({"x": 1}) is None
    budget.give_back(second)
    assert budget.grant({"x": 2}) is None
    budget.give_back(first)
    assert budget.grant({"x": 3}) == Grant({"x": 3})


def test_what_is_refused_takes_nothing():
    budget = Budget({"x": 2, "y": 1})
    assert budget.grant({"y": 1}) == Grant({"y": 1})
    assert budget.grant({"x": 2, "y": 1}) is None
    assert budget.grant({"x": 2}) == Grant({"x": 2})


def test_nothing_wanted_is_always_granted():
    assert Budget({}).grant({}) == Grant({})


def test_amounts_that_binary_numbers_round_fill_the_budget():
    budget = Budget({"x": 1})
    for _ in range(10):
        assert budget.grant({"x": 0.1}) is not None
    assert budget.grant({"x": 0.1}) is None


class TestCheck:
    def test_what_fits_alone_passes(self):
        budget = Budget({"GPU": 2, "memory": "60 GB"})
        budget.grant({"GPU": 2})
        budget.check("train", {"GPU": 2, "memory": 6e10})
        budget.check("train", {"GPU": 0.5})
        budget.check("plot", {})

    def test_what_can_never_be_given_is_refused_with_the_name(self):
        budget = Budget({"GPU": 2, "memory": "60 GB"})
        with pytest.raises(
            ResourcesError, match=r"'train' needs 3 of 'GPU', and the plant has 2, so it can never run"
        ):
            budget.check("train", {"GPU": 3})
        with pytest.raises(
            ResourcesError, match=r"'train' needs 61\.0 GB of 'memory', and the plant has 60\.0 GB"
        ):
            budget.check("train", {"memory": 61e9})
        with pytest.raises(ResourcesError, match=r"'train' needs 1 of 'TPU', and the plant has none"):
            budget.check("train", {"TPU": 1})

    def test_devices_are_whole_or_a_share_of_one(self):
        with pytest.raises(ResourcesError, match=r"'train' needs 1\.5 of 'GPU': write a whole number"):
            Budget({"GPU": 2}).check("train", {"GPU": 1.5})


class TestDevices:
    def test_each_grant_has_devices_of_its_own(self):
        budget = Budget({"GPU": 3})
        pair, one = budget.grant({"GPU": 2}), budget.grant({"GPU": 1})
        assert (pair.devices, one.devices) == ((0, 1), (2,))
        budget.give_back(pair)
        assert budget.grant({"GPU": 1}).devices == (0,)

    def test_shares_fill_a_device_before_the_next(self):
        budget = Budget({"GPU": 2})
        devices = [budget.grant({"GPU": 0.5}).devices for _ in range(4)]
        assert devices == [(0,), (0,), (1,), (1,)]

    def test_shares_of_different_devices_are_not_added_up(self):
        budget = Budget({"GPU": 2})
        assert [budget.grant({"GPU": 0.6}).devices for _ in range(2)] == [(0,), (1,)]
        assert budget.grant({"GPU": 0.6}) is None
        assert budget.grant({"GPU": 0.4}).devices == (0,)


@given(st.lists(st.sampled_from([0.25, 0.5, 1.0, 2.0, 3.0, None]), max_size=30))
def test_no_device_is_used_more_than_once_over(steps):
    """``None`` returns the oldest grant."""
    budget, granted = Budget({"GPU": 3}), []
    for amount in steps:
        if amount is None:
            if granted:
                budget.give_back(granted.pop(0))
        elif (grant := budget.grant({"GPU": amount})) is not None:
            granted.append(grant)
            assert len(set(grant.devices)) == max(1, amount)
        used = [0.0] * 3
        for grant in granted:
            for device in grant.devices:
                used[device] += min(1.0, grant.amounts["GPU"])
        assert max(used) <= 1.0
    for grant in granted:
        budget.give_back(grant)
    assert budget.grant({"GPU": 3.0}) is not None
