"""What a trace says of one stored value."""

import dataclasses

import pytest

from pyplant.ingredient import Ingredient


def test_the_built_in_types_are_named_like_their_specs():
    assert [kind.value for kind in Ingredient.Type] == [kind.name for kind in Ingredient.Type]
    assert {"simple", "list", "object", "array", "file", "table"} == {kind.value for kind in Ingredient.Type}


def test_an_ingredient_cannot_be_changed():
    ingredient = Ingredient("a", "simple", "0")
    with pytest.raises(dataclasses.FrozenInstanceError):
        ingredient.digest = "1"


def test_an_ingredient_holds_no_value_and_no_other_attributes():
    with pytest.raises((AttributeError, TypeError)):
        Ingredient("a", "simple", "0").value = 1


def test_metadata_is_not_shared():
    one, two = Ingredient("a", "simple", "0"), Ingredient("a", "simple", "0")
    one.metadata["x"] = 1
    assert two.metadata == {}
