"""Conversion of texts of the command line to values of parameters."""

import datetime
import enum
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from pyplant import ConfigBase
from pyplant.cli.settings import with_settings
from pyplant.config.parameters import Parameters
from pyplant.errors import ConfigError, MissingParameterError


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"


class Model(ConfigBase):
    depth = 3


def value(before, text):
    parameters = Parameters()
    parameters.set({"x": before})
    return with_settings(parameters, [f"x={text}"], ()).value("x")


@pytest.mark.parametrize(
    ("before", "text", "expected"),
    [
        (True, "False", False),
        (False, "true", True),
        (False, "1", True),
        (3, "1_000", 1000),
        (3, "1e3", 1000),
        (3, "-2", -2),
        (3, "0x10", 16),
        (3, "None", None),
        (0.5, ".5", 0.5),
        (0.5, "1.", 1.0),
        (0.5, "3", 3.0),
        (0.5, "inf", math.inf),
        (1j, "2+1j", 2 + 1j),
        ("a", "b", "b"),
        ("a", "5", "5"),
        ("a", "None", "None"),
        ("a", "'5'", "5"),
        ("a", "", ""),
        ([1], "[1, 2]", [1, 2]),
        ([1], "1,2", [1, 2]),
        ((1,), "[1, 2]", (1, 2)),
        ({1}, "[1, 2]", {1, 2}),
        ({"a": 1}, "{'b': 2}", {"b": 2}),
        ({"a": 1}, '{"b": null}', {"b": None}),
        (Path("a"), "b/c", Path("b/c")),
        (Color.RED, "BLUE", Color.BLUE),
        (Color.RED, "b", Color.BLUE),
        (Decimal("0.1"), "0.2", Decimal("0.2")),
        (datetime.date(2024, 1, 1), "2024-02-03", datetime.date(2024, 2, 3)),
        (np.int64(3), "4", np.int64(4)),
        (np.float32(3), "0.5", np.float32(0.5)),
        (None, "5", 5),
        (None, "false", False),
        (None, "half", "half"),
    ],
)
def test_a_text_becomes_the_type_that_the_parameter_has(before, text, expected):
    found = value(before, text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (True, "no"),
        (True, "2"),
        (3, "ten"),
        (3, "2.5"),
        (3, "True"),
        (3, "nan"),
        (0.5, "fast"),
        (0.5, "True"),
        ([1], "5"),
        ([1], "[a]"),
        (Color.RED, "GREEN"),
        (Decimal(1), "x"),
        (datetime.date(2024, 1, 1), "tomorrow"),
        (len, "max"),
    ],
)
def test_a_value_of_another_type_is_refused(before, text):
    with pytest.raises(ConfigError, match="parameter 'x' takes"):
        value(before, text)


@pytest.mark.parametrize("part", [Model(), {"a": 1}])
def test_a_nested_configuration_is_set_by_its_parameters(part):
    with pytest.raises(ConfigError, match=r"'x' is a nested configuration.*--set x\.NAME="):
        value(part, "5")


def test_nested_parameters_are_set_by_dotted_names():
    parameters = Parameters()
    parameters.set({"a": {"b": {"c": 1.5}}, "model": Model()})
    found = with_settings(parameters, ["a.b.c=2", "model.depth=4"], ())
    assert (found.value("a.b.c"), found.value("model.depth")) == (2.0, 4)
    assert (parameters.value("a.b.c"), Model.depth) == (1.5, 3)


def test_only_known_names_are_set():
    parameters = Parameters()
    parameters.set({"count": 1})
    with pytest.raises(
        MissingParameterError, match=r"'cuont'.*Did you mean 'count'\? To add it: --set \+cuont=5"
    ):
        with_settings(parameters, ["cuont=5"], ())
    assert with_settings(parameters, ["cuont=5"], {"cuont"}).value("cuont") == 5
    assert with_settings(parameters, ["+cuont=5"], ()).value("cuont") == 5
    assert with_settings(parameters, ["+new.part=5"], ()).value("new.part") == 5
