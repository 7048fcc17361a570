"""Fresh copies of models, as they are or with other settings."""

import keras
import numpy as np
import pytest
from keras import layers
from networks import dense, with_moving_average
from numpy.testing import assert_allclose

from pruninglib.structure.copying import fresh_copy, rebuild

X = np.random.default_rng(0).random((5, 4), np.float32)


@pytest.mark.parametrize("functional", [False, True])
def test_copy_is_independent_and_computes_the_same(functional):
    parts = [keras.Input((4,)), dense(6, "gelu", name="a"), layers.Dropout(0.5), dense(3, name="b")]
    model = keras.Sequential(parts)
    if functional:
        model = keras.Model(model.inputs[0], model.outputs[0])
    twin = fresh_copy(model)
    expected = np.asarray(model(X))
    assert_allclose(twin(X), expected)
    names = [layer.name for layer in model.layers if not isinstance(layer, layers.InputLayer)]
    assert [twin.get_layer(name).name for name in names] == names
    twin.get_layer("a").kernel.assign(np.zeros((4, 6)))
    assert_allclose(model(X), expected)


def test_copy_has_the_changed_config(mlp):
    def narrower(layer, config):
        return config | ({"units": 2} if layer.name == "hidden_1" else {})

    twin = rebuild(mlp, narrower)
    assert twin.get_layer("hidden_1").kernel.shape == (4, 2)
    assert twin.get_layer("hidden_2").kernel.shape == (2, 5)


def test_copy_is_compiled_like_the_model_with_a_fresh_optimizer(trained):
    twin = rebuild(trained)
    assert twin.optimizer.get_config() == trained.optimizer.get_config()
    assert twin.loss.get_config() == trained.loss.get_config()
    assert twin.jit_compile == trained.jit_compile
    assert int(trained.optimizer.iterations) > 0 == int(twin.optimizer.iterations)


def test_copy_of_an_uncompiled_model_is_not_compiled(mlp):
    assert not rebuild(mlp).compiled


def test_frozen_layers_stay_frozen(mlp):
    mlp.get_layer("hidden_1").trainable = False
    assert len(rebuild(mlp).trainable_weights) == 2


def test_moving_average_of_the_weights_is_refused():
    with pytest.raises(ValueError, match=r"'mlp' has use_ema=True.*Compile with use_ema=False"):
        rebuild(with_moving_average())


def own_loss(labels, logits):
    return keras.ops.mean(logits)


def test_a_model_with_an_unregistered_loss_is_refused_with_the_mend():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(loss=own_loss)
    with pytest.raises(ValueError, match="register_keras_serializable"):
        rebuild(model)


def test_a_moving_average_inside_a_loss_scale_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    inner = keras.optimizers.Adam(use_ema=True)
    model.compile(keras.optimizers.LossScaleOptimizer(inner), "mse")
    with pytest.raises(ValueError, match="use_ema=False"):
        rebuild(model)


def test_nested_models_are_copied_with_their_nesting_weights_and_frozen_layers():
    inner = keras.Sequential([keras.Input((4,)), dense(3, name="a")], name="inner")
    inputs = keras.Input((4,))
    branch = keras.Model(inputs, dense(3, name="c")(inputs), name="branch")
    branch.trainable = False
    model = keras.Model(
        inputs, dense(2, name="b")(layers.Add(name="add")([inner(inputs), branch(inputs)]))
    )
    twin = fresh_copy(model)
    assert_allclose(twin(X), model(X))
    assert {layer.name for layer in twin.layers} >= {"inner", "branch", "add", "b"}
    assert len(twin.trainable_weights) == len(model.trainable_weights) == 4
    twin.get_layer("inner").get_layer("a").kernel.assign(np.zeros((4, 3)))
    assert np.abs(inner.get_layer("a").kernel).min() > 0


def test_a_normalization_that_was_adapted_stays_so():
    normalization = layers.Normalization()
    normalization.adapt(X * 3 + 1)
    model = keras.Sequential([keras.Input((4,)), normalization, dense(2)])
    assert_allclose(fresh_copy(model)(X), model(X))


@keras.saving.register_keras_serializable(package="test_rebuilding")
class Own(keras.Model):
    def __init__(self, units, **settings):
        super().__init__(**settings)
        self.units, self.first, self.last = units, dense(units), dense(2)

    def call(self, inputs):
        return self.last(self.first(inputs))

    def get_config(self):
        return super().get_config() | {"units": self.units}


def test_a_subclassed_model_is_copied_by_its_config():
    model = Own(3)
    model.compile("sgd", "mse", jit_compile=False)
    model(X)
    twin = fresh_copy(model)
    assert_allclose(twin(X), model(X))
    assert twin.compiled and twin.optimizer is not model.optimizer
    with pytest.raises(ValueError, match="is subclassed, so its graph of layers cannot be read"):
        rebuild(model)


def test_a_subclassed_model_that_cannot_be_copied_says_so():
    class Unknown(keras.Model):
        def __init__(self, layer):
            super().__init__(name="unknown")
            self.layer = layer

        def call(self, inputs):
            return self.layer(inputs)

        def get_config(self):
            return {}

    model = Unknown(dense(2))
    model(X)
    with pytest.raises(ValueError, match="'unknown' cannot be copied"):
        fresh_copy(model)
