"""Keras models, with JAX as their backend."""

import os

import numpy as np
import pytest

from pyplant.errors import UnsavableError
from pyplant.specs import KerasModelSpec
from pyplant.testing import SpecConformance

pytestmark = pytest.mark.slow

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = pytest.importorskip("keras")


def model(units=3, seed=1, compiled=False):
    made = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(units, kernel_initializer=keras.initializers.GlorotUniform(seed)),
            keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(seed)),
        ]
    )
    if compiled:
        made.compile("adam", "mse")
        made.fit(np.ones((8, 4)), np.ones(8), verbose=0, epochs=1, shuffle=False)
    return made


class TestKeras(SpecConformance):
    def spec(self):
        return KerasModelSpec()

    def values(self):
        return [model(), model(5), model(3, 2), model(compiled=True)]

    def equal(self, left, right):
        weights = zip(left.get_weights(), right.get_weights(), strict=False)
        return (
            len(left.get_weights()) == len(right.get_weights())
            and all(a.shape == b.shape and np.array_equal(a, b) for a, b in weights)
            and (getattr(left, "optimizer", None) is None) == (getattr(right, "optimizer", None) is None)
        )

    def change(self, value):
        value.layers[-1].set_weights([w + 1 for w in value.layers[-1].get_weights()])


def test_automatic_names_of_keras_are_not_digested():
    from pyplant.specs.keras import _digest

    assert _digest(model()) == _digest(model())
    assert _digest(model()) != _digest(model(seed=2))


def test_other_values_are_refused(tmp_path):
    with pytest.raises(UnsavableError, match="not a dict"):
        KerasModelSpec().save({}, tmp_path / "x.keras")
