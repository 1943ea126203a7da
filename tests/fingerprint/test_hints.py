"""Hints: the names in a text."""

import json

import pytest

from pyplant.engine.validate import UNREADABLE
from pyplant.fingerprint.hints import NAMED_CALLS, Hint, NameKind


@pytest.mark.parametrize("kind", [kind for kind in NameKind if kind is not NameKind.PATTERN])
def test_a_hint_survives_json(kind):
    hint = Hint("send", True, kind, ("a", ""))
    assert Hint.from_json(json.loads(json.dumps(hint.to_json()))) == hint


def test_a_hint_without_a_name_survives_json():
    hint = Hint("send", False, NameKind.DYNAMIC, ())
    assert Hint.from_json(json.loads(json.dumps(hint.to_json()))) == hint


@pytest.mark.parametrize("kind", [NameKind.LITERAL, NameKind.EXPRESSION])
def test_a_hint_that_lost_its_name_is_refused(kind):
    with pytest.raises(UNREADABLE):
        Hint.from_json(["send", True, kind.value, [], False])


def test_methods_of_a_pipework_that_take_a_name_are_known():
    assert NAMED_CALLS == {"receive", "send", "allocate", "read_config", "read_config_unregistered"}
