"""Keras models, with JAX as their backend."""

import errno
import io
import os
import zipfile

import h5py
import numpy as np
import pytest

from pyplant.errors import UnsavableError
from pyplant.fingerprint.fingerprint import digest_of
from pyplant.specs import KerasModelSpec
from pyplant.specs.keras_digest import model_digest
from pyplant.testing import SpecConformance
from tests.fingerprint.helpers import load

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
    assert model_digest(model()) == model_digest(model())
    assert model_digest(model()) != model_digest(model(seed=2))


def test_other_values_are_refused(tmp_path):
    with pytest.raises(UnsavableError, match="not a dict"):
        KerasModelSpec().save({}, tmp_path / "x.keras")


LAYERS = """
import keras
class Scale(keras.layers.Layer):
    def call(self, inputs):
        return inputs / {0}
def loss(true, predicted):
    return keras.ops.mean(true - predicted) / {1}
def build():
    inputs = keras.Input((2,))
    made = keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones", activation=lambda x: x * {2})(Scale()(inputs)))
    made.compile("sgd", loss, metrics=[loss])
    return made
"""


@pytest.mark.parametrize("edited", [(3, 1, 1), (2, 2, 1), (2, 1, 2)])
@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_the_code_of_the_user_in_a_model_counts(tmp_path, edited):
    def digest(constants, above=""):
        return model_digest(load(tmp_path, above + LAYERS.format(*constants)).build())

    assert digest((2, 1, 1)) == digest((2, 1, 1), above="# moved\n")
    assert digest((2, 1, 1)) != digest(edited)


@pytest.mark.parametrize(
    ("make", "other"),
    [
        (keras.losses.MeanSquaredError, keras.losses.MeanAbsoluteError),
        (keras.metrics.Accuracy, keras.metrics.Recall),
        (lambda: keras.layers.Dense(3), lambda: keras.layers.Dense(4)),
        (lambda: keras.optimizers.Adam(0.1), lambda: keras.optimizers.Adam(0.2)),
        (model, lambda: model(seed=2)),
    ],
)
def test_objects_of_keras_have_digests_as_variables(make, other):
    assert digest_of(make()) == digest_of(make())
    assert digest_of(make()) != digest_of(other())


def test_what_configurations_leave_out_counts_for_classes_of_users():
    class Weighted(keras.losses.Loss):
        def __init__(self, weight):
            super().__init__()
            self.weight = weight

    assert digest_of(Weighted(1)) == digest_of(Weighted(1))
    assert digest_of(Weighted(1)) != digest_of(Weighted(2))


OTHERS = """
import keras
def twice(x):
    return 2 * x
class Affine(keras.layers.Layer):
    def __init__(self, factor, **options):
        super().__init__(**options)
        self.factor = factor
    def call(self, inputs):
        return twice(inputs) * self.factor
    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
@keras.saving.register_keras_serializable()
class Known(keras.layers.Layer):
    def call(self, inputs):
        return inputs + 1
def local():
    class Halve(keras.layers.Layer):
        def call(self, inputs):
            return inputs / 2
    return Halve()
def half(true, predicted):
    return keras.ops.mean(true - predicted) / 2
def compiled():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, kernel_initializer="ones")])
    model.compile("sgd", half)
    return model
MODELS = [
    [Affine(3)], [local()], [Known()], [keras.layers.Activation(twice)], [keras.layers.Lambda(lambda x: x * 3)],
    [Affine(2), local()],
]
"""


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_models_with_code_of_the_user_load_without_it(tmp_path):
    """What a new process has, which has imported nothing of the user."""
    module = load(tmp_path, OTHERS)
    for layers in module.MODELS:
        saved = keras.Sequential([keras.Input((2,)), *layers])
        metadata = KerasModelSpec().save(saved, tmp_path / "model.keras")
        keras.saving.get_custom_objects().clear()
        loaded = KerasModelSpec().load(tmp_path / "model.keras", metadata)
        assert np.array_equal(
            loaded.predict(np.ones((1, 2)), verbose=0), saved.predict(np.ones((1, 2)), verbose=0)
        )
        (tmp_path / "model.keras").unlink()
    metadata = KerasModelSpec().save(module.compiled(), tmp_path / "model.keras")
    assert KerasModelSpec().load(tmp_path / "model.keras", metadata).loss.__name__ == "half"


def test_layers_can_be_replaced_by_name(tmp_path):
    made, other = load(tmp_path, LAYERS.format(2, 1, 1)), load(tmp_path, LAYERS.format(4, 1, 1))
    metadata = KerasModelSpec().save(
        keras.Sequential([keras.Input((2,)), made.Scale()]), tmp_path / "model.keras"
    )
    for scale, value in [(made.Scale, 0.5), (other.Scale, 0.25)]:
        loaded = KerasModelSpec(customLayers={"Scale": scale}).load(tmp_path / "model.keras", metadata)
        assert float(loaded.predict(np.ones((1, 2)), verbose=0)[0, 0]) == value


UNLOADABLE = """
import keras
class Affine(keras.layers.Layer):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor
    def call(self, inputs):
        return inputs * self.factor
def first():
    class Scale(keras.layers.Layer):
        pass
    return Scale()
def second():
    class Scale(keras.layers.Layer):
        pass
    return Scale()
UNLOADABLE = [[Affine(2)], [first(), second()]]
"""


@pytest.mark.parametrize(("number", "words"), [(0, "Affine.*get_config"), (1, "under one name, Scale")])
def test_a_model_that_keras_cannot_load_is_refused_when_it_is_sent(tmp_path, number, words):
    layers = load(tmp_path, UNLOADABLE).UNLOADABLE[number]
    with pytest.raises(UnsavableError, match=f"(?s){words}"):
        KerasModelSpec().save(keras.Sequential([keras.Input((2,)), *layers]), tmp_path / "model.keras")


@pytest.fixture
def archive(tmp_path):
    """A stored model with its metadata, and how to pack it again with changed members."""
    path = tmp_path / "model.keras"
    metadata = KerasModelSpec().save(model(), path)

    def packed(**changes):
        again = tmp_path / "again.keras"
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as target:
            for name in source.namelist():
                target.writestr(name, changes.pop(name.replace(".", "_"), source.read(name)))
            for name, content in changes.items():
                target.writestr(name, content)
        return again

    return packed, metadata


def test_weights_that_lead_to_other_files_are_refused(archive):
    packed, metadata = archive
    weights = io.BytesIO()
    with h5py.File(weights, "w") as stream:
        stream["layers"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(ValueError, match="refers to another place"):
        KerasModelSpec().load(packed(model_weights_h5=weights.getvalue()), metadata)


def test_an_archive_that_is_larger_when_it_is_unpacked_is_refused(archive):
    packed, metadata = archive
    assert KerasModelSpec().load(packed(), metadata).get_weights()
    with pytest.raises(ValueError, match="holds more than"):
        KerasModelSpec().load(packed(more=bytes(10_000_000)), metadata)


def test_a_full_disk_is_an_error_of_the_disk(tmp_path, monkeypatch):
    def full(self, path):
        raise OSError(errno.ENOSPC, "No space left on device")

    made = model()
    monkeypatch.setattr(type(made), "save", full)
    with pytest.raises(OSError, match="No space"):
        KerasModelSpec().save(made, tmp_path / "model.keras")
