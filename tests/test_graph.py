"""Which layers can be pruned, which make the logits, and fresh copies of models."""

import keras
import numpy as np
import pytest
from conftest import dense, unbuilt, with_moving_average
from keras import layers
from numpy.testing import assert_allclose

from pruninglib.graph import (
    check_graph,
    check_names,
    logits_layers,
    nodes,
    prunable_layers,
    rebuild,
)

X = np.random.default_rng(0).random((5, 4), np.float32)


@pytest.fixture
def convolutional():
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, dense(4, "softmax", name="out")(x))


def test_refuses_models_that_cannot_be_pruned(bad_model):
    model, error, match = bad_model
    with pytest.raises(error, match=match):
        prunable_layers(model)


def test_prunable_layers_come_in_order(mlp, convolutional):
    assert list(prunable_layers(mlp)) == ["hidden_1", "hidden_2", "logits"]
    assert list(prunable_layers(convolutional)) == ["conv", "out"]


def test_a_model_built_by_a_call_is_accepted():
    model = unbuilt()
    model(X)
    assert len(prunable_layers(model)) == 2
    assert len(logits_layers(model)) == 1


def test_a_model_without_layers_that_can_be_pruned_may_still_be_read():
    check_graph(keras.Sequential([keras.Input((4,)), layers.ReLU()]))


def test_logits_are_made_by_the_last_layer(mlp, convolutional):
    assert logits_layers(mlp) == {"logits"}
    assert logits_layers(convolutional) == {"out"}


def test_activation_after_the_logits_is_looked_through():
    parts = [keras.Input((4,)), dense(3, name="a"), dense(2, None, name="b"), layers.Softmax()]
    assert logits_layers(keras.Sequential(parts)) == {"b"}


def test_each_head_and_each_branch_makes_logits():
    inputs = keras.Input((4,))
    trunk = dense(5, name="trunk")(inputs)
    left, right = dense(2, name="left")(trunk), dense(2, name="right")(trunk)
    head = dense(3, name="head")(trunk)
    model = keras.Model(inputs, [layers.Add()([left, right]), head])
    assert logits_layers(model) == {"left", "right", "head"}


def test_unknown_names_are_named_beside_the_known_ones():
    with pytest.raises(ValueError, match=r"Unknown layers \['b'\]; expected some of \['a', 'c'\]"):
        check_names(["a", "b"], {"a": 1, "c": 2})


@pytest.mark.parametrize("functional", [False, True])
def test_copy_is_independent_and_computes_the_same(functional):
    parts = [keras.Input((4,)), dense(6, "gelu", name="a"), layers.Dropout(0.5), dense(3, name="b")]
    model = keras.Sequential(parts)
    if functional:
        model = keras.Model(model.inputs[0], model.outputs[0])
    twin = rebuild(model, lambda layer, config: config)
    twin.set_weights(model.get_weights())
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
    twin = rebuild(trained, lambda layer, config: config)
    assert twin.optimizer.get_config() == trained.optimizer.get_config()
    assert twin.loss.get_config() == trained.loss.get_config()
    assert twin.jit_compile == trained.jit_compile
    assert int(trained.optimizer.iterations) > 0 == int(twin.optimizer.iterations)


def test_copy_of_an_uncompiled_model_is_not_compiled(mlp):
    assert not rebuild(mlp, lambda layer, config: config).compiled


def test_frozen_layers_stay_frozen(mlp):
    mlp.get_layer("hidden_1").trainable = False
    assert len(rebuild(mlp, lambda layer, config: config).trainable_weights) == 2


def test_moving_average_of_the_weights_is_refused():
    with pytest.raises(ValueError, match=r"'mlp' has use_ema=True.*Compile with use_ema=False"):
        rebuild(with_moving_average(), lambda layer, config: config)


def test_nested_models_are_refused_by_name():
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name="inner")
    outer = keras.Sequential([keras.Input((4,)), inner, keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="model 'inner' for a layer"):
        prunable_layers(outer)


def own_loss(labels, logits):
    return keras.ops.mean(logits)


def test_a_model_with_an_unregistered_loss_is_refused_with_the_mend():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    model.compile(loss=own_loss)
    with pytest.raises(ValueError, match="register_keras_serializable"):
        rebuild(model, lambda layer, config: config)


def test_a_moving_average_inside_a_loss_scale_is_refused():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    inner = keras.optimizers.Adam(use_ema=True)
    model.compile(keras.optimizers.LossScaleOptimizer(inner), "mse")
    with pytest.raises(ValueError, match="use_ema=False"):
        rebuild(model, lambda layer, config: config)


def grown():
    """A Sequential whose layers were added one by one, which leaves calls in models thrown away."""
    model = keras.Sequential([keras.Input((4,))])
    for layer in (dense(6), dense(5), dense(3)):
        model.add(layer)
    return model


def test_calls_are_those_of_this_model(tmp_path):
    model = grown()
    assert [len(calls) for calls in nodes(model).values()] == [1] * 4
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [len(calls) for calls in nodes(loaded).values()] == [1] * 4
    keras.Model(model.inputs, model.layers[1](model.layers[0](model.inputs[0])))
    assert [len(calls) for calls in nodes(model).values()] == [1] * 4
    assert logits_layers(loaded) == {model.layers[-1].name}
