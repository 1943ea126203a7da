"""The clock, and randomness without a seed, as explanations name them."""

import os
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from .plants import notes, plant_with

UNREPEATABLE = {
    "device": (lambda: len(_bytes_of("/dev/urandom")), "randomness of the system (/dev/urandom)"),
    "word": (lambda: str(np.datetime64("now")) != "", "the clock (numpy.datetime64)"),
    "timestamp": (lambda: pd.Timestamp("today").year > 0, "the clock (pandas.Timestamp)"),
    "sample": (lambda: len(pd.Series([1, 2]).sample(len([1]))), "randomness without a seed (sample)"),
    "split": (
        lambda: len(train_test_split([1, 2])),
        "randomness without a seed (sklearn.model_selection._split.train_test_split)",
    ),
}
REPEATABLE = {
    "device": lambda: len(_bytes_of(os.devnull)),
    "word": lambda: str(np.datetime64("2020-01-01")) != "",
    "timestamp": lambda: pd.Timestamp("2020-01-01").year,
    "sample": lambda: len(pd.Series([1, 2]).sample(len([1]), random_state=1)),
    "split": lambda: len(train_test_split([1, 2], random_state=1)),
}


def _bytes_of(path):
    with open(path, "rb") as stream:
        return stream.read(2)


@pytest.mark.parametrize("name", UNREPEATABLE)
def test_more_that_cannot_be_repeated_is_named(name):
    read, expected = UNREPEATABLE[name]
    with plant_with(read) as plant:
        plant.get("value")
        assert expected in notes(plant)


@pytest.mark.parametrize("name", REPEATABLE)
def test_what_can_be_repeated_is_not_named(name):
    with plant_with(REPEATABLE[name]) as plant:
        plant.get("value")
        assert notes(plant) == ""


def test_standard_input_arguments_and_resources_are_named():
    def reads():
        return os.cpu_count() or sys.argv or sys.stdin.read()

    with plant_with(reads) as plant:
        plant.get("value")
        for what in (
            "the standard input (sys.stdin.read)",
            "the arguments of the program (sys.argv)",
            "the resources of the machine (os.cpu_count)",
        ):
            assert what in notes(plant)
