"""Rows times matrix are what a layer computes, wherever it sits in the network."""

import keras
import numpy as np
import pytest
from keras import layers
from networks import (
    NETWORKS,
    by_keras,
    convolution,
    dense,
    examples,
    sequential,
)
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib.structure import activations
from pruninglib.structure.activations import (
    assign_matrix,
    layer_rows,
    matrix,
    rows,
)


@pytest.fixture(params=NETWORKS)
def network(request):
    keras.utils.set_random_seed(0)
    return NETWORKS[request.param]()


def all_rows(model, inputs):
    found = layer_rows(model, [inputs])
    return {layer: np.concatenate(list(chunks())) for _, layer, chunks in found}


def by_rows(layer, found):
    return np.asarray(layer.activation(found @ matrix(layer)))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5, 4), (5, 3, 4)])
def test_rows_of_a_dense_layer(shape, bias):
    layer, x = dense(3, None, bias), np.random.default_rng(0).normal(size=shape)
    expected = np.asarray(layer(x)).reshape(-1, 3)
    assert rows(layer, x).shape == (len(expected), 4 + bias)
    assert_allclose(rows(layer, x) @ matrix(layer), expected, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"strides": 2}, {"strides": (2, 1)}, {"dilation_rate": 2}, {"dilation_rate": (1, 2)}],
    ids=str,
)
def test_rows_of_a_convolution(settings, data_format, padding, bias):
    layer, last = (
        convolution(bias=bias, padding=padding, data_format=order, **settings)
        for order in (data_format, "channels_last")
    )
    x = np.random.default_rng(0).normal(size=(2, 7, 8, 3)).astype(np.float32)
    last.build(x.shape)
    expected = np.asarray(last(x))
    if data_format == "channels_first":  # which TensorFlow does not compute on all processors
        x = np.moveaxis(x, -1, 1)
    layer.build(x.shape)
    layer.set_weights(last.get_weights())
    assert_allclose(rows(layer, x) @ matrix(layer), expected.reshape(-1, 3), atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    "settings",
    [
        *({"padding": padding} for padding in ("valid", "same", "causal")),
        {"padding": "causal", "dilation_rate": 2},
        {"strides": 2},
    ],
    ids=str,
)
def test_rows_of_a_convolution_of_one_dimension(settings, bias):
    layer = layers.Conv1D(3, 3, use_bias=bias, bias_initializer="random_normal", **settings)
    x = np.random.default_rng(0).normal(size=(2, 8, 4)).astype(np.float32)
    expected = np.asarray(layer(x)).reshape(-1, 3)
    assert_allclose(rows(layer, x) @ matrix(layer), expected, atol=1e-5)


@pytest.mark.parametrize("make", [lambda: dense(3, None), lambda: dense(3, None, False)])
def test_matrix_comes_back_as_it_was_assigned(make):
    layer = make()
    layer.build((None, 4))
    values = np.random.default_rng(0).random(matrix(layer).shape, np.float32)
    assign_matrix(layer, values)
    assert_array_equal(matrix(layer), values)
    assert_allclose(layer(np.zeros((1, 4)))[0], values[4] if layer.use_bias else [0, 0, 0])


def test_matrix_of_a_convolution_comes_back_as_it_was_assigned():
    layer = convolution()
    layer.build((None, 5, 5, 2))
    kernel, values = np.asarray(layer.kernel), matrix(layer)
    assign_matrix(layer, np.zeros_like(values))
    assert not np.asarray(layer.kernel).any() and not np.asarray(layer.bias).any()
    assign_matrix(layer, values)
    assert_array_equal(layer.kernel, kernel)


def test_rows_of_every_layer_of_a_network_in_inference(network):
    inputs = examples(network)
    found = all_rows(network, inputs)
    assert [layer.name for layer in found] == [
        layer.name for layer in network.layers if hasattr(layer, "kernel")
    ]
    for layer, values in found.items():
        assert_allclose(by_rows(layer, values), by_keras(network, layer, inputs), atol=1e-5)


@pytest.mark.parametrize(
    ("in_memory", "chunk"), [(0, 100), pytest.param(200, 1, marks=pytest.mark.more)]
)
def test_rows_are_the_same_with_little_memory(in_memory, chunk, network, monkeypatch):
    inputs = examples(network, 10)
    expected = list(all_rows(network, inputs).values())
    monkeypatch.setattr(activations, "IN_MEMORY", in_memory)
    monkeypatch.setattr(activations, "CHUNK", chunk)
    for one, other in zip(all_rows(network, inputs).values(), expected, strict=True):
        assert_allclose(one, other, atol=1e-5)


def test_chunks_have_the_size_asked_for(monkeypatch):
    monkeypatch.setattr(activations, "CHUNK", 30)
    (_, _, first), *_ = layer_rows(sequential(), [np.ones((20, 4), np.float32)])
    assert [chunk.shape for chunk in first()] == [(6, 5), (6, 5), (6, 5), (2, 5)]
    assert len(list(first())) == 4, "the chunks can be asked for again"


@pytest.mark.parametrize("shape", [(8, 8, 2), (None, None, 2)])
def test_what_is_computed_on_the_way_to_a_layer_stays_small_too(shape, monkeypatch):
    """A pooled image is 4 numbers; the image that it comes from, 256."""
    sizes = []

    class Noted(layers.Layer):
        def call(self, inputs):
            sizes.append(int(np.prod(inputs.shape)))
            return inputs

        def compute_output_shape(self, shape):
            return shape

    model = keras.Sequential(
        [
            keras.Input(shape),
            convolution(4, padding="same"),
            Noted(),
            layers.GlobalAveragePooling2D(),
            dense(3, name="last"),
        ]
    )
    images = np.random.default_rng(0).random((50, 8, 8, 2), np.float32)
    expected = by_keras(model, model.get_layer("last"), images)
    sizes.clear()
    monkeypatch.setattr(activations, "IN_MEMORY", 0)
    monkeypatch.setattr(activations, "CHUNK", 1000)
    (_, _, first), (_, last, pooled) = layer_rows(model, [images])
    assert_allclose(by_rows(last, np.concatenate(list(pooled()))), expected, atol=1e-5)
    assert max(sizes) == 3 * 256
    assert max(chunk.size for chunk in first()) <= 1000


@pytest.mark.parametrize("in_memory", [0, 2**28])
def test_rows_of_later_layers_see_weights_that_changed_meanwhile(in_memory, network, monkeypatch):
    monkeypatch.setattr(activations, "IN_MEMORY", in_memory)
    inputs, found = examples(network), {}
    for _, layer, chunks in layer_rows(network, [inputs]):
        found[layer] = np.concatenate(list(chunks()))
        assign_matrix(layer, matrix(layer) * 2 + 0.1)
    for layer, values in found.items():
        assert_allclose(
            by_rows(layer, values), by_keras(network, layer, inputs), rtol=1e-4, atol=1e-4
        )


def test_the_model_is_left_as_it_was(network):
    network.compile("adam", "mse")
    config, weights = network.get_config(), [np.array(w) for w in network.get_weights()]
    calls = [len(layer._inbound_nodes) for layer in network.layers]
    inputs = examples(network)
    before = np.asarray(network(inputs, training=False))
    all_rows(network, inputs)
    assert network.get_config() == config
    for one, other in zip(weights, network.get_weights(), strict=True):
        assert_array_equal(one, other)
    assert [len(layer._inbound_nodes) for layer in network.layers] == calls
    assert_array_equal(network(inputs, training=False), before)
    assert network.compiled and int(network.optimizer.iterations) == 0


def called_twice():
    inputs, twice = keras.Input((4,)), dense(4, name="twice")
    return keras.Model(inputs, dense(2, name="b")(twice(twice(dense(4, name="a")(inputs)))))


def grouped():
    parts = [convolution(4, name="a"), convolution(4, groups=2, name="grouped"), layers.Flatten()]
    return keras.Sequential([keras.Input((6, 6, 2)), *parts, dense(2, name="b")])


def three_dimensional():
    parts = [dense(4, name="a"), layers.Conv3D(2, 2, name="conv"), layers.Flatten()]
    return keras.Sequential([keras.Input((4, 3, 2, 3)), *parts, dense(2, name="b")])


@pytest.mark.parametrize("make", [called_twice, grouped, three_dimensional])
def test_layers_that_are_no_single_linear_problem_are_left_out(make):
    model = make()
    inputs = examples(model)
    found = all_rows(model, inputs)
    assert [layer.name for layer in found] == ["a", "b"]
    for layer, values in found.items():
        assert_allclose(by_rows(layer, values), by_keras(model, layer, inputs), atol=1e-5)


@pytest.mark.parametrize("make", [layers.ReLU, lambda: dense(4, name="twice")])
def test_layers_between_two_calls_of_another(make):
    inputs, twice = keras.Input((4,)), make()
    a, b, c = (dense(4, None, name=name) for name in "abc")
    model = keras.Model(inputs, c(twice(b(twice(a(inputs))))))
    found = all_rows(model, examples(model))
    assert [layer.name for layer in found] == ["a", "b", "c"]
    for layer, values in found.items():
        assert_allclose(by_rows(layer, values), by_keras(model, layer, examples(model)), atol=1e-5)


def test_calls_of_a_layer_in_another_model_do_not_count():
    model = sequential()
    inputs = keras.Input((4,))
    keras.Model(inputs, model.layers[0](inputs))
    assert len(all_rows(model, examples(model))) == 3


def test_refuses_models_that_cannot_be_read(unreadable_model):
    model, error, match = unreadable_model
    with pytest.raises(error, match=match):
        next(layer_rows(model, [np.ones((3, 4))]))


# ---- as `predict` computes


def augmented():
    """Augmentation in front, in a nested model, and within a layer that knows no `training`."""

    class Blurred(layers.Layer):
        def __init__(self):
            super().__init__()
            self.noise = layers.GaussianNoise(0.9)
            self.flip = layers.RandomFlip()

        def call(self, inputs):
            return self.noise(self.flip(inputs))

    front = keras.Sequential([keras.Input((6, 6, 2)), layers.RandomTranslation(0.4, 0.4)])
    parts = [Blurred(), front, layers.RandomContrast(0.9), convolution(3, name="a")]
    return keras.Sequential([keras.Input((6, 6, 2)), *parts, layers.Flatten(), dense(3, name="b")])


def dropped_as_in_training():
    inputs = keras.Input((4,))
    x = layers.Dropout(0.9)(dense(6, name="a")(inputs), training=True)
    return keras.Model(inputs, dense(3, name="b")(x))


@pytest.mark.parametrize("make", [augmented, dropped_as_in_training])
def test_rows_are_what_predict_sees(make):
    model = make()
    inputs = examples(model)
    found = all_rows(model, inputs)
    last = model.get_layer("b")
    predicted = model.predict(inputs, verbose=0)
    assert_allclose(by_rows(last, found[last]), predicted, atol=1e-5)


def nested():
    inner = keras.Sequential(
        [keras.Input((4,)), dense(5, name="a"), dense(4, name="b")], name="inner"
    )
    inputs = keras.Input((4,))
    return keras.Model(inputs, dense(3, name="c")(layers.Rescaling(2.0)(inner(inputs))))


def test_layers_of_nested_models_are_found_by_their_full_names():
    model = nested()
    inputs = examples(model)
    found = {
        name: np.concatenate(list(chunks())) for name, _, chunks in layer_rows(model, [inputs])
    }
    assert list(found) == ["inner/a", "inner/b", "c"]
    last = by_rows(model.get_layer("c"), found["c"])
    assert_allclose(last, model.predict(inputs, verbose=0), atol=1e-5)


def test_layers_that_read_several_inputs():
    one, other = keras.Input((4,)), keras.Input((5,))
    joined = layers.Concatenate()([dense(3, name="a")(one), dense(2, name="b")(other)])
    model = keras.Model([one, other], dense(3, name="c")(joined))
    inputs = [np.random.default_rng(0).normal(size=(9, n)).astype(np.float32) for n in (4, 5)]
    found = {name: list(chunks()) for name, _, chunks in layer_rows(model, inputs)}
    assert_array_equal(found["a"][0][:, :-1], inputs[0])
    assert_array_equal(found["b"][0][:, :-1], inputs[1])
    last = by_rows(model.get_layer("c"), np.concatenate(found["c"]))
    assert_allclose(last, model.predict(inputs, verbose=0), atol=1e-5)


def test_steps_that_are_masked_out_stay_so():
    """Which steps of a sequence count is handed on beside the values."""
    inputs = keras.Input((6,), dtype="int32")
    x = dense(5, name="a")(layers.Embedding(9, 4, mask_zero=True)(inputs))
    model = keras.Model(inputs, dense(3, name="c")(layers.LSTM(4)(dense(4, name="b")(x))))
    ids = np.random.default_rng(0).integers(0, 3, (20, 6))
    found = all_rows(model, ids)
    last = model.get_layer("c")
    assert_allclose(by_rows(last, found[last]), model.predict(ids, verbose=0), atol=1e-5)
