"""Masks survive saving, loading, cloning and exporting, and come back from files of zeros."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import more
from keras import layers
from networks import dense
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import (
    hold,
    magnitude,
    make_masks,
    measure_sparsity,
    prune,
    shrink,
    strip,
    unit_norm,
)
from pruninglib.structure.layers import kernel_of
from pruninglib.structure.prunable import prunable_layers

X = np.random.default_rng(0).normal(size=(32, 8, 8, 1)).astype("float32")
Y = np.eye(2)[np.arange(32) % 2]


@pytest.fixture
def model():
    """A model with a nested one inside, a BatchNormalization and a branch."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.Conv2D(6, 3, padding="same", name="a"), layers.ReLU()],
        name="inner",
    )
    inputs = keras.Input((8, 8, 1))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", name="first")(inputs))
    x = layers.Concatenate()([inner(x), layers.SeparableConv2D(3, 3, padding="same", name="s")(x)])
    x = layers.GlobalAveragePooling2D()(layers.DepthwiseConv2D(3, name="d")(x))
    model = keras.Model(inputs, dense(2, "softmax", name="end")(x))
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9), "categorical_crossentropy", jit_compile=False
    )
    return model


@pytest.fixture
def pruned(model):
    masks = make_masks(model, magnitude, 0.5, include=["first", "s", "d"])
    return prune(model, masks | make_masks(model, unit_norm, 0.5, include=["inner/a"]))


def kernels(model):
    return {name: np.asarray(kernel_of(layer)) for name, layer in prunable_layers(model).items()}


def zeros(model):
    return {name: kernel == 0 for name, kernel in kernels(model).items()}


def assert_held(model, expected):
    """Train and see that the zeros are those expected, and that the rest has moved."""
    before = kernels(model)
    model.fit(X, Y, epochs=2, verbose=0)
    for name, zero in zeros(model).items():
        assert_array_equal(zero, expected[name], name)
    assert any((kernels(model)[name] != before[name]).any() for name in before)


def test_saving_and_loading(pruned, tmp_path):
    pruned.save(tmp_path / "model.keras")
    assert_held(keras.models.load_model(tmp_path / "model.keras"), zeros(pruned))


def test_cloning(pruned):
    clone = keras.models.clone_model(pruned)
    clone.set_weights(pruned.get_weights())
    clone.compile("adam", "categorical_crossentropy", jit_compile=False)
    assert_held(clone, zeros(pruned))


@pytest.mark.more
def test_a_clone_with_new_weights_holds_the_masks_from_its_first_update(pruned):
    clone = keras.models.clone_model(pruned, clone_function=None)
    clone.compile("adam", "categorical_crossentropy", jit_compile=False)
    assert not any(zero.any() for zero in zeros(clone).values())
    assert_held(clone, zeros(pruned))


@pytest.mark.more
def test_weights_files_carry_the_zeros(pruned, model, tmp_path):
    pruned.save_weights(tmp_path / "model.weights.h5")
    model.optimizer.build(model.trainable_variables)
    model.load_weights(tmp_path / "model.weights.h5")
    assert_held(hold(model), zeros(pruned))


@pytest.mark.parametrize("name", ["model.keras", *more("model.h5")])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.filterwarnings("ignore:Compiled the loaded model, but the compiled metrics")
def test_sparse_models_of_other_tools_are_held_again(pruned, name, tmp_path):
    strip(pruned).save(tmp_path / name)
    loaded = keras.models.load_model(tmp_path / name)
    loaded.compile("adam", "categorical_crossentropy", jit_compile=False)
    assert_held(hold(loaded), zeros(pruned))


@pytest.mark.more
def test_pruning_goes_on_where_it_was(pruned, tmp_path):
    strip(pruned).save(tmp_path / "model.keras")
    held = hold(keras.models.load_model(tmp_path / "model.keras"))
    before = zeros(held)
    more = prune(held, make_masks(held, magnitude, 0.75, include=["first", "s", "d"]))
    more.fit(X, Y, verbose=0)
    for name, zero in zeros(more).items():
        assert (zero >= before[name]).all()
    assert measure_sparsity(more, ["first", "s", "d"]) == pytest.approx(0.75, abs=0.02)


def test_exported_models_compute_the_same_and_carry_the_zeros(pruned, tmp_path):
    pruned.export(tmp_path / "model", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "model"))
    assert_allclose(served.serve(X), pruned(X), atol=1e-6)
    found = {tuple(v.shape): v.numpy() for v in served.variables}
    for kernel in kernels(pruned).values():
        assert_array_equal(found[kernel.shape] == 0, kernel == 0)


@pytest.mark.more
@pytest.mark.skipif(keras.version() < "3.13", reason="Keras exports LiteRT files from 3.13 on")
@pytest.mark.filterwarnings("ignore:(?s).*tf.lite.Interpreter is deprecated:UserWarning")
def test_a_shrunk_model_is_exported_to_litert(model, tmp_path):
    small = shrink(prune(model, make_masks(model, unit_norm, 0.5, coupled=True)))
    path = tmp_path / "model.tflite"
    small.export(path, format="litert", verbose=False)
    interpreter = tf.lite.Interpreter(model_path=str(path))
    runner = interpreter.get_signature_runner()
    (given,) = runner.get_input_details()
    (found,) = runner(**{given: X[:1]}).values()
    assert_allclose(found, small(X[:1]), atol=1e-6)


def test_frozen_layers_stay_frozen(model):
    model.get_layer("inner").trainable = False
    model.get_layer("first").trainable = False
    pruned = prune(model, make_masks(model, unit_norm, 0.5, include=["inner/a", "first"]))
    for network in (pruned, shrink(pruned)):
        assert not network.get_layer("inner").trainable
        assert len(network.trainable_weights) == len(model.trainable_weights)
