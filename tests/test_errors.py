"""Errors and warnings."""

import inspect
import pickle
import warnings

import pytest

from pyplant import errors
from pyplant.errors import (
    ConfigChangedError,
    DamagedError,
    DamageWarning,
    EvictedError,
    MissingIngredientError,
    MissingParameterError,
    MissingSenderError,
    NotAReactorError,
    PlantError,
    PlantWarning,
    StaleWarning,
    StoreError,
    UndigestibleError,
    UnknownTypeError,
    UntrustedError,
    warn,
)

CLASSES = [
    value for value in vars(errors).values() if inspect.isclass(value) and value.__module__ == errors.__name__
]
ERRORS = [cls for cls in CLASSES if issubclass(cls, PlantError)]
WARNINGS = [cls for cls in CLASSES if issubclass(cls, PlantWarning)]


def test_all_are_public_and_in_one_of_two_trees():
    assert set(CLASSES) == set(ERRORS) | set(WARNINGS)
    assert {cls.__name__ for cls in CLASSES} <= set(errors.__all__)


@pytest.mark.parametrize("cls", CLASSES)
def test_the_tree_in_the_docstring_is_the_real_one(cls):
    (line,) = [
        line for line in errors.__doc__.splitlines() if line.lstrip(" │├└─").partition(" ")[0] == cls.__name__
    ]
    named = set(line.partition("(")[2].partition(")")[0].replace(",", " ").split()) if "(" in line else set()
    builtin = {base.__name__ for base in cls.__bases__ if base.__module__ == "builtins"} - {"Exception"}
    assert named == builtin


@pytest.mark.parametrize("cls", ERRORS)
def test_an_error_shows_its_message_as_it_is(cls):
    message = "It's gone: 'a'."
    assert str(cls(message)) == message
    assert str(cls()) == ""


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_and_warnings_survive_pickle(cls):
    again = pickle.loads(pickle.dumps(cls("message")))
    assert type(again) is cls
    assert str(again) == "message"


@pytest.mark.parametrize(
    ("cls", "base"),
    [
        (MissingParameterError, KeyError),
        (MissingParameterError, AttributeError),
        (ConfigChangedError, RuntimeError),
        (UndigestibleError, TypeError),
        (UnknownTypeError, ValueError),
        (NotAReactorError, TypeError),
        (MissingSenderError, LookupError),
        (MissingIngredientError, LookupError),
        (StoreError, OSError),
        (EvictedError, DamagedError),
        (UntrustedError, DamagedError),
    ],
)
def test_code_that_expects_the_builtin_error_keeps_working(cls, base):
    assert issubclass(cls, base)


def test_a_warning_points_at_the_line_of_the_user():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn(StaleWarning, "old")
        line = inspect.currentframe().f_lineno - 1
    assert [(str(w.message), w.category, w.filename, w.lineno) for w in caught] == [
        ("old", StaleWarning, __file__, line)
    ]


def test_a_warning_points_past_the_frames_of_the_library():
    text = "def deep(): shallow()\ndef shallow(): warn(DamageWarning, 'damaged')"
    inside = {"__name__": "pyplant.somewhere", "warn": warn, "DamageWarning": DamageWarning}
    exec(text, inside)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        inside["deep"]()
    assert [w.filename for w in caught] == [__file__]


def test_a_package_of_a_similar_name_is_the_users():
    outside = {"__name__": "pyplanting.somewhere", "warn": warn, "DamageWarning": DamageWarning}
    exec(compile("def f(): warn(DamageWarning, 'damaged')", "pyplanting.py", "exec"), outside)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outside["f"]()
    assert [w.filename for w in caught] == ["pyplanting.py"]
