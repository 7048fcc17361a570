"""Multiplications, weights and bytes of a network, against counts by hand."""

import gzip

import keras
import numpy as np
import pytest
from keras import layers
from networks import dense
from numpy.testing import assert_allclose

from pruninglib import (
    count_macs,
    count_parameters,
    file_bytes,
    magnitude,
    make_masks,
    make_mlp,
    prune,
)

X = np.random.default_rng(0).random((5, 4), np.float32)


def test_macs_of_dense_layers(mlp):
    assert count_macs(mlp) == 4 * 6 + 6 * 5 + 5 * 3


def test_macs_of_convolutions_count_every_position():
    parts = [layers.Conv2D(4, 3, strides=2, name="conv"), layers.Flatten(), dense(5, name="out")]
    model = keras.Sequential([keras.Input((9, 9, 2)), *parts])
    assert count_macs(model) == (4 * 4) * (3 * 3 * 2) * 4 + (4 * 4 * 4) * 5
    mask = np.ones((3, 3, 2, 4))
    mask[0] = 0
    pruned = prune(model, {"conv": mask})
    assert count_macs(pruned, nonzero=True) == (4 * 4) * (2 * 3 * 2) * 4 + (4 * 4 * 4) * 5
    assert count_macs(pruned) == count_macs(model)


def test_nonzero_counts_what_the_masks_left(mlp):
    pruned = prune(mlp, {"hidden_1": np.arange(24).reshape(4, 6) < 7})
    assert count_macs(pruned, nonzero=True) == count_parameters(pruned, nonzero=True) == 7 + 30 + 15
    assert count_parameters(pruned) == 24 + 30 + 15


def test_parameters_include_biases_and_frozen_layers():
    model = keras.Sequential([keras.Input((4,)), dense(6, name="a"), dense(3)])
    assert count_parameters(model) == 4 * 6 + 6 + 6 * 3 + 3
    model.get_layer("a").trainable = False
    assert count_parameters(model) == 4 * 6 + 6 + 6 * 3 + 3


@pytest.mark.parametrize("function", [count_macs, count_parameters, file_bytes])
def test_the_model_is_left_as_it_was(function, trained):
    before = trained.get_weights(), trained.optimizer
    function(trained)
    assert trained.optimizer is before[1]
    for one, other in zip(before[0], trained.get_weights(), strict=True):
        assert_allclose(one, other)


def test_bytes_are_those_of_the_file_without_an_optimizer(trained, tmp_path):
    bare = make_mlp(4, (16, 12), 3)
    bare.set_weights(trained.get_weights())
    bare.save(tmp_path / "bare.keras")
    content = (tmp_path / "bare.keras").read_bytes()
    # Names of layers and numbers of objects in the file's config differ from copy to copy
    assert file_bytes(trained) == pytest.approx(len(content), abs=200)
    assert file_bytes(trained, compress=True) == pytest.approx(len(gzip.compress(content)), abs=200)
    trained.save(tmp_path / "trained.keras")
    assert file_bytes(trained) < (tmp_path / "trained.keras").stat().st_size - 200


def test_only_compressed_bytes_shrink_with_a_mask():
    model = make_mlp(64, (256,), 10)
    pruned = prune(model, make_masks(model, magnitude, 0.9))
    assert file_bytes(pruned) >= file_bytes(model)
    assert file_bytes(pruned, compress=True) < 0.5 * file_bytes(model, compress=True)


def test_bytes_of_a_model_built_by_a_call():
    model = keras.Sequential([dense(3), dense(2)])
    model(X)
    assert file_bytes(model) > 4 * count_parameters(model)


def test_bytes_of_models_that_keras_does_not_copy_by_itself():
    doubled = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: 2 * x), dense(3)])
    averaged = make_mlp(4, (5,), 3)
    averaged.compile(keras.optimizers.Adam(use_ema=True))
    for model in (doubled, averaged):
        assert file_bytes(model) > 4 * count_parameters(model)


def test_macs_of_a_model_never_built_are_refused():
    with pytest.raises(ValueError, match=r"'raw' was never built.*model\.build"):
        count_macs(keras.Sequential([dense(3)], name="raw"))


def test_macs_count_a_layer_once_for_each_use():
    inputs, shared = keras.Input((4,)), keras.layers.Dense(4, use_bias=False)
    model = keras.Model(inputs, keras.layers.Dense(2)(shared(shared(inputs))))
    assert count_macs(model) == 2 * 16 + 8


def test_macs_of_every_kind_of_convolution_and_of_nested_models():
    kinds = {
        layers.Conv2DTranspose(4, 3, strides=2): 8 * 8 * (3 * 3 * 2 * 4),  # at each input position
        layers.DepthwiseConv2D(3, depth_multiplier=2): 6 * 6 * (3 * 3 * 2 * 2),
        layers.SeparableConv2D(4, 3): 6 * 6 * (3 * 3 * 2 + 2 * 4),
        keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(4, 3)]): 6 * 6 * (3 * 3 * 2 * 4),
    }
    for layer, expected in kinds.items():
        assert count_macs(keras.Sequential([keras.Input((8, 8, 2)), layer])) == expected
    inputs, nested = keras.Input((8, 8, 2)), list(kinds)[-1]
    twice = keras.Model(inputs, layers.Add()([nested(inputs), nested(inputs)]))
    assert count_macs(twice) == 2 * kinds[nested]


def test_bytes_of_a_model_with_a_layer_in_several_places(tmp_path):
    shared, inner, inputs = dense(64), keras.Input((64,)), keras.Input((64,))
    nested = keras.Model(inner, shared(inner))
    model = keras.Model(inputs, shared(nested(inputs)))
    model.save(tmp_path / "model.keras")
    size = (tmp_path / "model.keras").stat().st_size
    assert file_bytes(model) == pytest.approx(size, abs=200)
