"""Scores from data, against sums written out, brute force and finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import more
from keras import layers
from networks import dense
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import (
    activation_aware,
    greedy_units,
    magnitude,
    make_masks,
    make_mlp,
    prune,
    taylor,
    unit_norm,
)
from pruninglib.structure.prunable import prunable_layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype("float32")
Y = RNG.integers(0, 3, 40)


def network(activation="tanh", bias=True, seed=1):
    """4-6-5-3, compiled."""
    keras.utils.set_random_seed(seed)
    parts = [dense(6, activation, bias, "a"), dense(5, activation, bias, "b")]
    model = keras.Sequential([keras.Input((4,)), *parts, dense(3, None, bias, "logits")])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def inputs_of_layers(model, x=X, kernels=None):
    """Return {layer name: its inputs} and the logits of a tanh network, in double precision."""
    inputs = {}
    for layer in model.layers:
        x = inputs[layer.name] = np.tanh(x) if inputs else x.astype(float)
        x = x @ (kernels or {}).get(layer.name, np.asarray(layer.kernel, float))
        x = x + (np.asarray(layer.bias, float) if layer.use_bias else 0)
    return inputs, x


def kernel_of(model, name):
    return np.array(model.get_layer(name).kernel, float)


# ---- activation_aware


@pytest.mark.parametrize("bias", [False, True])
def test_weights_are_scored_by_the_norm_of_what_they_read(bias):
    model = network(bias=bias)
    scores, (inputs, _) = activation_aware(model, X), inputs_of_layers(model)
    assert list(scores) == ["a", "b", "logits"]
    for name, read in inputs.items():
        expected = np.abs(kernel_of(model, name)) * np.linalg.norm(read, axis=0)[:, None]
        assert_allclose(scores[name], expected, rtol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
def test_weights_of_a_convolution_are_scored_by_all_places_that_they_look_at(stride):
    model = keras.Sequential(
        [keras.Input((6, 5, 2)), layers.Conv2D(3, (3, 2), stride, use_bias=stride == 1)]
    )
    images, squares = RNG.normal(size=(7, 6, 5, 2)).astype("float32"), np.zeros((3, 2, 2))
    for top in range(0, 6 - 2, stride):
        for left in range(0, 5 - 1, stride):
            squares += np.square(images[:, top : top + 3, left : left + 2]).sum(axis=0)
    (scores,) = activation_aware(model, images).values()
    expected = np.abs(model.layers[0].kernel) * np.sqrt(squares)[..., None]
    assert_allclose(scores, expected, rtol=1e-5)


def test_weights_that_read_only_zeros_go_first():
    model = network()
    blind = X * np.array([1, 1, 0, 1], np.float32)
    mask = make_masks(model, activation_aware(model, blind), 0.25)["a"]
    assert_array_equal(mask, np.repeat([[1], [1], [0], [1]], 6, axis=1))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (X[:, :3], r"Expected inputs of shape \(examples, 4\), got \(40, 3\)"),
        (X[:0], r"Expected inputs of shape \(examples, 4\), got \(0, 4\)"),
        (np.where(X > 2, np.nan, X), "input values are NaN or infinite"),
    ],
)
@pytest.mark.parametrize("score", [activation_aware, greedy_units])
def test_inputs_that_do_not_fit_are_refused(score, inputs, message):
    with pytest.raises(ValueError, match=message):
        score(network(), inputs)


# ---- greedy_units


def brute_force(outputs, kernel, centred):
    """Choose units one by one, trying every one that is left with a new fit of what is read."""
    x = outputs - outputs.mean(axis=0) if centred else outputs  # a bias takes what is constant

    def error(chosen):
        return np.square(
            x @ kernel - x[:, chosen] @ np.linalg.pinv(x[:, chosen]) @ x @ kernel
        ).sum()

    left, order = list(range(len(kernel))), []
    while left:
        order.append(min(left, key=lambda unit: error([*order, unit])))
        left.remove(order[-1])
    return order


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_each_unit_is_the_one_that_leaves_the_least_error(bias, seed):
    model = network(bias=bias, seed=seed)
    scores, (inputs, _) = greedy_units(model, X + 1), inputs_of_layers(model, X + 1)
    assert list(scores) == ["a", "b"]
    for name, after in (("a", "b"), ("b", "logits")):
        order = np.argsort(-scores[name])
        assert order.tolist() == brute_force(inputs[after], kernel_of(model, after), bias)


def test_scores_are_evenly_spaced_ranks():
    scores = greedy_units(network(), X)
    assert_allclose(np.sort(scores["a"]), np.arange(1, 7) / 6)
    assert_allclose(np.sort(scores["b"]), np.arange(1, 6) / 5)


@pytest.mark.parametrize("bias", [False, True])
def test_units_that_are_dead_or_constant_come_last(bias):
    model = network(bias=bias)
    kernel = kernel_of(model, "a")
    kernel[:, [0, 3]] = 0  # with a bias, constant
    model.get_layer("a").kernel.assign(kernel)
    scores = greedy_units(model, X)["a"]
    assert set(np.argsort(scores)[:2]) == {0, 3}
    assert_array_equal(make_masks(model, greedy_units(model, X), 1 / 3)["a"], [0, 1, 1, 0, 1, 1])


def test_greedy_choice_refuses_models_that_are_no_chain():
    parts = [dense(4), layers.BatchNormalization(), dense(2)]
    with pytest.raises(ValueError, match=r"greedy_units.* chains of Dense.*BatchNormalization"):
        greedy_units(keras.Sequential([keras.Input((4,)), *parts]), X)


# ---- taylor


def test_taylor_of_a_linear_model_is_what_the_formula_says():
    """With the loss mean((xw - y)^2), w dL/dw is w 2 mean(x (xw - y))."""
    model = make_mlp(4, (), 1)
    model.compile(loss="mean_squared_error")
    labels = np.arange(40) % 2
    kernel = kernel_of(model, "logits")
    gradient = 2 * X.T @ (X @ kernel - labels[:, None]) / 40
    scores = taylor(model, X, labels)["logits"]
    assert_allclose(scores, np.square(kernel * gradient), rtol=1e-4)


def loss_of(model, x, y, kernels):
    _, logits = inputs_of_layers(model, x, kernels)
    log_sums = np.log(np.exp(logits).sum(axis=1))
    return np.mean(log_sums - logits[np.arange(len(y)), y])


def slopes(model, name, x, y, step=1e-5):
    """Return w dL/dw for each weight of a layer by central differences."""
    kernel = kernel_of(model, name)
    found = np.zeros_like(kernel)
    for index in np.ndindex(kernel.shape):
        moved = np.zeros_like(kernel)
        moved[index] = step
        up, down = (loss_of(model, x, y, {name: kernel + s * moved}) for s in (1, -1))
        found[index] = kernel[index] * (up - down) / (2 * step)
    return found


@pytest.mark.parametrize("units", [False, True])
def test_taylor_is_the_mean_over_batches_of_the_squared_slope(units):
    model = network()
    scores = taylor(model, X, Y, units, batch_size=16)
    for name in ("a", "b", "logits"):
        batches = [slopes(model, name, X[i : i + 16], Y[i : i + 16]) for i in (0, 16, 32)]
        sums = [batch.sum(axis=0) if units else batch for batch in batches]
        assert_allclose(scores[name], np.mean(np.square(sums), axis=0), rtol=1e-3, atol=1e-8)


def test_taylor_of_units_of_a_convolution_has_one_score_a_filter():
    parts = [layers.Conv2D(4, 3, name="conv"), layers.Flatten(), dense(3, None)]
    model = keras.Sequential([keras.Input((5, 5, 2)), *parts])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = RNG.normal(size=(8, 5, 5, 2)).astype("float32")
    scores = taylor(model, images, Y[:8], units=True)
    assert scores["conv"].shape == (4,) and (scores["conv"] > 0).all()


@pytest.mark.parametrize("units", [False, True])
def test_taylor_scores_make_masks(units):
    model = network()
    masks = make_masks(model, taylor(model, X, Y, units), 0.5, "global")
    assert sum(mask.size for mask in masks.values()) == (11 if units else 54)
    assert sum((mask == 0).sum() for mask in masks.values()) == (6 if units else 27)
    assert prune(model, masks)


def test_taylor_is_zero_where_a_removal_costs_nothing():
    model = network(bias=False)
    after = kernel_of(model, "logits")
    after[2] = 0  # nothing reads unit 2 of b
    model.get_layer("logits").kernel.assign(after)
    scores = taylor(model, X, Y)["b"]
    assert not scores[:, 2].any() and scores.any(axis=0).sum() == 4


def test_taylor_takes_losses_by_name_and_integer_labels():
    model = network()
    expected = taylor(model, X, Y)["a"]
    model.get_layer("logits").activation = keras.activations.softmax
    model.compile(loss="categorical_crossentropy")
    assert_allclose(taylor(model, X, Y)["a"], expected, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("score", [activation_aware, greedy_units, lambda m, x: taylor(m, x, Y)])
def test_the_model_is_left_as_it_was(score):
    model = network()
    before = model.get_weights()
    score(model, X)
    for one, other in zip(before, model.get_weights(), strict=True):
        assert_array_equal(one, other)


def test_taylor_refuses_a_model_without_a_loss(mlp):
    with pytest.raises(ValueError, match=r"has no loss. Compile it: model.compile"):
        taylor(mlp, X, Y)


# ---- models that no function accepts


@pytest.mark.parametrize("score", ["activation_aware", "greedy_units", "taylor"])
def test_refuses_models_that_cannot_be_read(score, bad_model):
    model, error, match = bad_model
    if isinstance(model, keras.Model):
        model.compile(loss="sparse_categorical_crossentropy")
    functions = {"activation_aware": activation_aware, "greedy_units": greedy_units}
    with pytest.raises(error, match=match):
        functions[score](model, X) if score in functions else taylor(model, X, Y)


# ---- data and losses of all kinds

LOSSES = {name: name for name in ("mse", "hinge", "binary_crossentropy")}
LOSSES |= {"an object": keras.losses.Huber(), "a function": lambda y, p: (y - p) ** 4}


@pytest.mark.parametrize("penalty", ["l2", *more(None)])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_taylor_of_one_output_is_the_slope_of_what_fit_minimises(loss, penalty):
    parts = [dense(5, kernel_regularizer=penalty, name="a"), dense(1, "sigmoid", name="b")]
    model = keras.Sequential([keras.Input((4,)), *parts])
    model.compile("sgd", loss)
    labels = (X[:, 0] > 0).astype(np.float32)
    kernel = np.array(model.get_layer("a").kernel)
    scores = taylor(model, X, labels, batch_size=len(X))["a"]
    model.fit(X, labels, batch_size=len(X), verbose=0)
    slope = (kernel - np.asarray(model.get_layer("a").kernel)) / 0.01  # the rate of SGD
    assert_allclose(scores, (kernel * slope) ** 2, rtol=1e-2, atol=1e-6 * scores.max() + 1e-10)


def test_scores_are_the_same_for_all_forms_of_data():
    model = keras.Sequential([keras.Input((4,)), dense(5, name="a"), dense(3, None, name="b")])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    pairs = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    assert_array_equal(taylor(model, pairs, None)["a"], taylor(model, X, Y)["a"])
    for score in (activation_aware, greedy_units):
        assert_array_equal(score(model, pairs)["a"], score(model, X)["a"])
        assert_array_equal(score(model, iter([X]))["a"], score(model, X)["a"])


def test_models_of_several_inputs_are_scored():
    one, other = keras.Input((4,), name="one"), keras.Input((2,), name="other")
    joined = layers.Concatenate()([dense(3, name="a")(one), dense(3, name="b")(other)])
    model = keras.Model([one, other], dense(3, None, name="c")(joined))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    data = {"one": X, "other": X[:, :2]}
    norms = np.linalg.norm(X[:, :2], axis=0)
    kernel = np.asarray(model.get_layer("b").kernel)
    assert_allclose(activation_aware(model, data)["b"], abs(kernel) * norms[:, None], rtol=1e-5)
    assert list(taylor(model, data, Y)) == ["a", "b", "c"]


def test_layers_of_nested_models_are_scored():
    inner = keras.Sequential([keras.Input((4,)), dense(5, name="a")], name="inner")
    model = keras.Sequential([keras.Input((4,)), inner, dense(3, None, name="b")])
    scores = activation_aware(model, X)
    kernel = np.asarray(inner.get_layer("a").kernel)
    norms = np.linalg.norm(X, axis=0)
    assert_allclose(scores["inner/a"], abs(kernel) * norms[:, None], rtol=1e-5)
    assert list(make_masks(model, scores, 0.5)) == ["inner/a"]


def test_half_precision_is_scored_as_what_it_holds():
    random = np.random.default_rng(0).normal(size=(3000, 6))
    of_half, of_full = (
        keras.Sequential([keras.Input((3000,)), dense(6, dtype=dtype, name="a"), dense(2)])
        for dtype in ("float16", "float32")
    )
    of_half.get_layer("a").kernel.assign(random)
    of_full.get_layer("a").kernel.assign(np.asarray(of_half.get_layer("a").kernel))
    for criterion in (unit_norm, magnitude):
        found, wanted = (make_masks(model, criterion, 0.5)["a"] for model in (of_half, of_full))
        assert_array_equal(found, wanted)
    assert criteria_see(of_half) == [np.float32] * 2


def criteria_see(model):
    seen = []

    def noted(kernel):
        seen.append(kernel.dtype)
        return np.abs(kernel)

    make_masks(model, noted, 0.5, include=list(prunable_layers(model)))
    return seen


@pytest.mark.parametrize("loss", ["mse", *more("categorical_crossentropy", "binary_crossentropy")])
def test_labels_with_a_value_for_each_output_stay_what_they_are(loss):
    model = keras.Sequential([keras.Input((4,)), dense(5, name="a"), dense(3, "softmax")])
    model.compile("sgd", loss)
    labels = np.eye(3)[Y]
    kernel = np.array(model.get_layer("a").kernel)
    for given in (labels, labels.astype(int)):
        scores = taylor(model, X, given, batch_size=len(X))["a"]
        twin = prune(model, {"a": np.ones(5)})
        twin.fit(X, given, batch_size=len(X), verbose=0)
        slope = (kernel - np.asarray(twin.get_layer("a").kernel)) / 0.01
        assert_allclose(scores, (kernel * slope) ** 2, rtol=1e-2, atol=1e-6 * scores.max() + 1e-10)


@pytest.mark.parametrize("label", [-1, 3])
@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "mse"])
def test_labels_of_no_class_are_refused(label, loss):
    model = keras.Sequential([keras.Input((4,)), dense(5), dense(3, "softmax")])
    model.compile("sgd", loss)
    with pytest.raises(ValueError, match=f"A label is {label}, but the model has 3 outputs"):
        taylor(model, X, np.full(len(X), label))
