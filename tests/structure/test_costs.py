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


RECURRENT = {
    layers.LSTM(4): 4 * 7 * (3 * 4 + 4 * 4),
    layers.GRU(4, return_sequences=True): 3 * 7 * (3 * 4 + 4 * 4),
    layers.GRU(4, reset_after=False): 3 * 7 * (3 * 4 + 4 * 4),
    layers.SimpleRNN(4): 7 * (3 * 4 + 4 * 4),
    layers.Bidirectional(layers.LSTM(2)): 2 * 4 * 7 * (3 * 2 + 2 * 2),
    layers.Bidirectional(layers.GRU(2), backward_layer=layers.SimpleRNN(5, go_backwards=True)): (
        3 * 7 * (3 * 2 + 2 * 2) + 7 * (3 * 5 + 5 * 5)
    ),
    layers.TimeDistributed(layers.Dense(5)): 7 * 3 * 5,
    layers.EinsumDense("abc,cd->abd", (None, 5)): 7 * 3 * 5,
    layers.EinsumDense("...x,xyz->...yz", (5, 2)): 7 * 3 * 5 * 2,
    layers.EinsumDense("abc,bd->adc", (5, 3)): 7 * 3 * 5,
    layers.LayerNormalization(axis=(1, 2)): 0,
    layers.PReLU(): 0,
}


@pytest.mark.parametrize("layer", RECURRENT, ids=lambda layer: layer.name)
def test_macs_of_layers_over_sequences(layer):
    model = keras.Sequential([keras.Input((7, 3)), layer])
    assert count_macs(model) == count_macs(model, nonzero=True) == RECURRENT[layer]


def test_macs_of_what_time_distributed_wraps():
    inner = keras.Sequential([keras.Input((5, 5, 2)), layers.Conv2D(3, 2), layers.Flatten()])
    wrapped = [layers.TimeDistributed(inner), layers.LSTM(2)]
    model = keras.Sequential([keras.Input((6, 5, 5, 2)), *wrapped])
    assert count_macs(model) == 6 * 16 * (2 * 2 * 2 * 3) + 4 * 6 * (48 * 2 + 2 * 2)
    convolution = layers.TimeDistributed(layers.Conv2D(3, 2, strides=2, padding="same"))
    model = keras.Sequential([keras.Input((6, 5, 5, 2)), convolution])
    assert count_macs(model) == 6 * 9 * (2 * 2 * 2 * 3)


def test_macs_of_attention_count_its_products():
    """Queries of 5 steps, keys and values of 7, in 2 heads."""
    query, value, key = keras.Input((5, 6)), keras.Input((7, 3)), keras.Input((7, 4))
    attention = layers.MultiHeadAttention(2, 8, value_dim=9, output_shape=10)
    model = keras.Model([query, value, key], attention(key=key, value=value, query=query))
    projections = 2 * (5 * 6 * 8 + 7 * 4 * 8 + 7 * 3 * 9 + 5 * 9 * 10)
    assert count_macs(model) == projections + 2 * 5 * 7 * (8 + 9)
    attention.query_dense.kernel.assign(np.zeros((6, 2, 8)))
    without_queries = projections - 2 * 5 * 6 * 8
    assert count_macs(model, nonzero=True) == without_queries + 2 * 5 * 7 * (8 + 9)


def test_macs_of_attention_along_one_axis_of_two():
    images = keras.Input((4, 5, 6))
    attention = layers.MultiHeadAttention(2, 8, attention_axes=-2)
    model = keras.Model(images, attention(images, images, use_causal_mask=True))
    assert count_macs(model) == 4 * (4 * 5 * 6 * 2 * 8) + 2 * (4 * 5 * 5) * (8 + 8)


def test_an_embedding_costs_no_macs():
    parts = [keras.Input((7,), dtype="int32"), layers.Embedding(50, 4), dense(2)]
    assert count_macs(keras.Sequential(parts)) == 7 * 4 * 2


class Projection(layers.Layer):
    """A layer of somebody else, with a weight matrix inside another layer."""

    def __init__(self, units):
        super().__init__(name="own")
        self.inner = layers.Dense(units)

    def build(self, shape):
        self.inner.build(shape)

    def compute_output_shape(self, shape):
        return self.inner.compute_output_shape(shape)

    def call(self, inputs):
        return self.inner(inputs)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Projection(4), r"'own' \(Projection\) has weight matrices.*Count those of the model with"),
        (layers.TimeDistributed(Projection(4)), r"'own' \(Projection\) has weight matrices"),
        (layers.GroupQueryAttention(4, 2, 2, name="grouped"), "'grouped' .*cannot be counted"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_macs_of_other_layers_with_weight_matrices_are_refused(layer, message):
    inputs = keras.Input((7, 3))
    grouped = isinstance(layer, layers.GroupQueryAttention)
    model = keras.Model(inputs, layer(inputs, inputs) if grouped else layer(inputs))
    with pytest.raises(ValueError, match=message):
        count_macs(model)


@pytest.mark.parametrize("layer", [layers.LSTM(2), layers.EinsumDense("abc,cd->abd", (None, 2))])
def test_macs_over_sequences_of_any_length_are_refused(layer):
    with pytest.raises(ValueError, match=r"works at \(None,\) positions.*fixed size"):
        count_macs(keras.Sequential([keras.Input((None, 3)), layer]))


def test_bytes_of_a_model_with_a_layer_in_several_places(tmp_path):
    shared, inner, inputs = dense(64), keras.Input((64,)), keras.Input((64,))
    nested = keras.Model(inner, shared(inner))
    model = keras.Model(inputs, shared(nested(inputs)))
    model.save(tmp_path / "model.keras")
    size = (tmp_path / "model.keras").stat().st_size
    assert file_bytes(model) == pytest.approx(size, abs=200)
