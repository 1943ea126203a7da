"""Pipelines whose helpers are replaced by mocks, as test suites do."""

from unittest import mock

import pytest

from pyplant import Plant, ReactorFunc


def scale(x):
    return 2 * x


class Client:
    def fetch(self, url):
        return len(url)


client = Client()


@ReactorFunc
def total(pipe):
    pipe.send("total", scale(3) + client.fetch("abc"))


@pytest.fixture
def plant(plant_dir):
    with Plant(plant_dir) as plant:
        plant.add_reactor(total)
        yield plant


def ran(plant):
    return bool(plant.run_reactor(total).ran)


@pytest.mark.parametrize(
    "make", [mock.Mock, mock.MagicMock, mock.create_autospec], ids=lambda make: make.__name__
)
def test_a_mocked_helper_runs_the_reactor_once_for_each_answer(plant, monkeypatch, make):
    assert plant.get("total") == 9
    original = scale
    for answer in (5, 7):
        for runs in (True, False):  # another mock of the same kind is no other code
            mocked = make(original, return_value=answer)
            monkeypatch.setitem(globals(), "scale", mocked)
            assert ran(plant) is runs
            assert ran(plant) is False
            assert plant.fetch_ingredient("total") == answer + 3
            assert mocked.call_count == runs
    monkeypatch.undo()
    assert ran(plant) is False
    assert plant.fetch_ingredient("total") == 9


def test_a_call_of_a_mock_is_not_state(plant, monkeypatch):
    monkeypatch.setitem(globals(), "client", mock.MagicMock(**{"fetch.return_value": 1}))
    assert plant.get("total") == 7
    client.fetch.return_value = 2
    assert plant.get("total") == 8
    client.fetch.return_value = 1
    assert ran(plant) is False


def test_a_method_that_is_patched_counts(plant):
    with mock.patch.object(Client, "fetch", return_value=10):
        assert plant.get("total") == 16
    with mock.patch.object(Client, "fetch", autospec=True, side_effect=lambda self, url: 20):
        assert plant.get("total") == 26
    assert plant.get("total") == 9
