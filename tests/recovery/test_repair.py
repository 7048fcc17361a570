"""A repaired network keeps its masks and comes nearer to the dense one, never further from it."""

import sys

import keras
import numpy as np
import pytest
from cases import more, tried
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from networks import NETWORKS, convolution, dense, examples
from numpy.lib.stride_tricks import sliding_window_view
from numpy.testing import assert_allclose, assert_array_equal
from oracles import one_by_one

from pruninglib import (
    magnitude,
    make_masks,
    make_mlp,
    measure_sparsity,
    prune,
    random_scores,
    random_unit_scores,
    repair,
    unit_norm,
)
from pruninglib.structure.prunable import prunable_layers

X = np.random.default_rng(0).normal(size=(200, 4)).astype("float32")
KINDS = {"weights": magnitude, "units": unit_norm}
AT_RANDOM = {"weights": random_scores, "units": random_unit_scores}
FUNCTIONS = {"linear": lambda x: x, "tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}


def chain(activation="relu", bias=True, seed=0):
    """4-8-7-3."""
    keras.utils.set_random_seed(seed)
    parts = [dense(8, activation, bias, "a"), dense(7, activation, bias, "b")]
    return keras.Sequential([keras.Input((4,)), *parts, dense(3, None, bias, "logits")])


@pytest.fixture(autouse=True)
def same_weights_in_every_order_of_tests():
    """Whether a repair on few examples helps depends on the weights."""
    keras.utils.set_random_seed(0)


def pruned_by(model, kind="weights", sparsity=0.5):
    return prune(model, make_masks(model, KINDS[kind], sparsity))


def weights(model):
    return [np.array(weight) for weight in model.get_weights()]


def assert_same_weights(one, other, **tolerance):
    for found, expected in zip(one, other, strict=True):
        assert_allclose(found, expected, **(tolerance or {"rtol": 0}))


def distance(model, other, inputs=X):
    one, other = (np.asarray(m(inputs, training=False)) for m in (model, other))
    return np.square(one - other).mean()


def assert_holds(model, masks):
    """The masked weights are zero, and of the others hardly any."""
    for name, mask in masks.items():
        layer = model.get_layer(name)
        kernel = np.asarray(layer.kernel)
        assert_array_equal(kernel != 0, np.broadcast_to(mask, kernel.shape))
        if mask.ndim == 1 and layer.use_bias:
            assert_array_equal(np.asarray(layer.bias) != 0, mask)


# ---- the result


@pytest.mark.parametrize("bias", [True, *more(False)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("activation", "passes"), [("relu", 0), ("tanh", 3), ("linear", 3)], ids=str
)
def test_layers_are_fitted_one_after_another_to_what_the_dense_network_computes(
    activation, passes, kind, bias
):
    model = chain(activation, bias)
    masks = make_masks(model, KINDS[kind], 0.5)
    pruned = prune(model, masks)
    repaired = repair(pruned, model, X, ridge=0.01, passes=passes)
    seen = wanted = X.astype(float)
    for layer in model.layers:
        kernel = np.asarray(layer.kernel, float)
        mask = np.broadcast_to(masks.get(layer.name, 1), kernel.shape).astype(bool)
        start = np.array(pruned.get_layer(layer.name).kernel, float)
        if bias:
            kernel = np.vstack([kernel, layer.bias])
            start = np.vstack([start, pruned.get_layer(layer.name).bias])
            mask = np.vstack([mask, mask.any(axis=0) if kind == "units" else mask[0] | True])
            seen, wanted = (np.hstack([x, np.ones((len(x), 1))]) for x in (seen, wanted))
        expected = one_by_one(seen, wanted @ kernel, start, mask, 0.01)
        found = repaired.get_layer(layer.name)
        assert_allclose(found.kernel, expected[: found.kernel.shape[0]], atol=1e-4)
        assert not bias or np.allclose(found.bias, expected[-1], atol=1e-4)
        function = FUNCTIONS[activation]
        seen, wanted = function(seen @ expected), function(wanted @ kernel)


@pytest.mark.parametrize("bias", [True, False])
def test_a_convolution_is_fitted_to_all_places_that_it_looks_at(bias):
    model = keras.Sequential(
        [keras.Input((6, 7, 2)), convolution(3, (3, 2), bias, strides=(1, 2), name="conv")]
    )
    masks = make_masks(model, random_scores, {"conv": 0.5})
    inputs, pruned = examples(model), prune(model, masks)
    patches = sliding_window_view(inputs.astype(float), (3, 2), axis=(1, 2))[:, :, ::2]
    patches = np.moveaxis(patches, 3, -1).reshape(-1, 3 * 2 * 2)
    kept = masks["conv"].reshape(-1, 3).astype(bool)
    kernel, start = (
        np.asarray(m.get_layer("conv").kernel, float).reshape(-1, 3) for m in (model, pruned)
    )
    if bias:
        patches, kept = (
            np.hstack([patches, np.ones((len(patches), 1))]),
            np.vstack([kept, kept[0] | True]),
        )
        kernel, start = (np.vstack([k, model.get_layer("conv").bias]) for k in (kernel, start))
    expected = one_by_one(patches, patches @ kernel, start, kept, 1e-2)
    found = repair(pruned, model, inputs).get_layer("conv")
    assert_allclose(np.asarray(found.kernel).reshape(-1, 3), expected[:12], atol=1e-4)
    assert not bias or np.allclose(found.bias, expected[12], atol=1e-4)


@pytest.mark.parametrize("kind", ["weights", *more("units")])
@pytest.mark.parametrize(
    "name", ["sequential", "residual convolutions", *more(*list(NETWORKS)[1:5], "sequences")]
)
def test_networks_of_all_kinds_come_nearer_and_hold_their_masks(name, kind):
    keras.utils.set_random_seed(1)
    model = NETWORKS[name]()
    inputs, masks = examples(model, 300), make_masks(model, AT_RANDOM[kind], 0.3)
    pruned = prune(model, masks)
    repaired = repair(pruned, model, inputs)
    assert_holds(repaired, masks)
    assert distance(repaired, model, inputs) < 0.8 * distance(pruned, model, inputs)
    others = examples(model, 900)[600:]
    assert distance(repaired, model, others) < distance(pruned, model, others)


@pytest.mark.parametrize("precision", ["mixed_float16", "bfloat16", "float64"])
def test_networks_of_another_precision_come_nearer_too(precision):
    parts = [dense(units, dtype=precision) for units in (16, 12, 3)]
    model = keras.Sequential([keras.Input((4,)), *parts])
    pruned = pruned_by(model)
    repaired = repair(pruned, model, X)
    assert distance(repaired, model) < distance(pruned, model) / 2
    assert measure_sparsity(repaired) == 0.5


def test_layers_without_a_kernel_stay_as_they_are():
    model = NETWORKS["residual convolutions"]()
    repaired = repair(pruned_by(model), model, examples(model, 100))
    (norm,) = (x for x in model.layers if isinstance(x, layers.BatchNormalization))
    assert_same_weights(weights(repaired.get_layer(norm.name)), weights(norm))


def test_a_layer_that_is_used_twice_stays_as_it_is():
    inputs, twice = keras.Input((4,)), dense(4, name="twice")
    model = keras.Model(inputs, dense(3, None, name="b")(twice(twice(inputs))))
    pruned = prune(model, {"twice": np.eye(4)[::-1]})
    with pytest.warns(UserWarning, match=r"The layers \['twice'\].*were not refitted"):
        repaired = repair(pruned, model, X)
    assert_same_weights(weights(repaired.get_layer("twice")), weights(pruned.get_layer("twice")))
    assert distance(repaired, model) < distance(pruned, model)


@pytest.mark.parametrize("kind", KINDS)
def test_masks_that_remove_nothing_change_almost_nothing(kind):
    model = chain()
    repaired = repair(pruned_by(model, kind, 0), model, X)
    assert_same_weights(weights(repaired), weights(model), atol=1e-3)
    assert distance(repaired, model) < 1e-8


def test_a_strong_ridge_keeps_the_weights():
    model = chain()
    pruned = pruned_by(model)
    assert_same_weights(weights(repair(pruned, model, X, ridge=1e9)), weights(pruned), atol=1e-6)


@pytest.mark.more
def test_passes_are_for_relu_layers_and_bring_them_nearer():
    model = chain()
    pruned = pruned_by(model)
    none, some = (repair(pruned, model, X, passes=passes) for passes in (0, 3))
    assert distance(some, model) < distance(none, model)
    model = chain("tanh")
    none, some = (repair(pruned_by(model), model, X, passes=passes) for passes in (0, 3))
    assert_same_weights(weights(none), weights(some))


@pytest.mark.more
@pytest.mark.parametrize("sparsity", [0.8, 0.9])
def test_a_trained_network_regains_accuracy(sparsity, trained, tiny):
    pruned = pruned_by(trained, "weights", sparsity)
    repaired = repair(pruned, trained, tiny.x_train)
    before, after = (distance(model, trained, tiny.x_test) for model in (pruned, repaired))
    assert after < 0.6 * before

    def accuracy(model):
        return (np.argmax(model(tiny.x_test), axis=1) == tiny.y_test).mean()

    assert accuracy(repaired) > accuracy(pruned) + 0.1


@pytest.mark.more
def test_little_memory_gives_the_same_weights(monkeypatch):
    model = NETWORKS["residual convolutions"]()
    inputs, pruned = examples(model, 60), pruned_by(model)
    expected = weights(repair(pruned, model, inputs))
    monkeypatch.setattr(sys.modules["pruninglib.recovery.repair"], "IN_MEMORY", 0)
    monkeypatch.setattr("pruninglib.structure.activations.IN_MEMORY", 0)
    monkeypatch.setattr("pruninglib.structure.activations.CHUNK", 1000)
    monkeypatch.setattr("pruninglib.structure.activations.CHUNK", 1000)
    assert_same_weights(weights(repair(pruned, model, inputs)), expected, rtol=1e-3, atol=1e-5)


# ---- never further from the dense network


def inputs_of(kind, rows, rng):
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    if kind == "dead":
        x[:, 1] = 0
    elif kind == "constant":
        x[:, 1], x[:, 2] = 1, -3
    elif kind == "dependent":
        x[:, 2] = x[:, 3] = x[:, 0]
    elif kind == "one example":
        x[:] = x[0]
    elif kind == "sparse and large":
        x *= 50 * (rng.random(x.shape) < 0.2)
    elif kind == "zero":
        x[:] = 0
    return x


KINDS_OF_INPUTS = ["any", "dead", "constant", "dependent", "one example", "zero"]
KINDS_OF_INPUTS.append("sparse and large")


@pytest.mark.filterwarnings("ignore:All inputs for the repair")
@pytest.mark.filterwarnings("ignore:The repair of")
@tried(30)
@given(
    st.integers(0, 10**6),
    st.sampled_from(list(AT_RANDOM)),
    st.floats(0, 1),
    st.sampled_from(["relu", "tanh", "sigmoid", "elu"]),
    st.sampled_from([None, "softmax", "relu"]),
    st.booleans(),
    st.integers(9, 40),
    st.sampled_from(KINDS_OF_INPUTS),
)
def test_outputs_are_never_further_away(seed, kind, sparsity, hidden, last, bias, rows, inputs):
    keras.utils.set_random_seed(seed)
    parts = [dense(8, hidden, bias), dense(7, hidden, bias), dense(3, last, bias)]
    model = keras.Sequential([keras.Input((4,)), *parts])
    pruned = prune(model, make_masks(model, AT_RANDOM[kind], sparsity))
    x = inputs_of(inputs, rows, np.random.default_rng(seed))
    repaired = repair(pruned, model, x)
    assert distance(repaired, model, x) <= distance(pruned, model, x) * (1 + 1e-5)
    assert all(np.isfinite(weight).all() for weight in repaired.get_weights())


@pytest.mark.parametrize("copies", [1, 80])  # 80: two batches, the second of which fits well
def test_the_pruned_weights_come_back_if_the_fit_is_worse(copies):
    """Saturated outputs decide the fit, and do not count: best would be to leave them."""
    model = keras.Sequential([keras.Input((2,)), dense(1, "sigmoid", False, "a")])
    model.set_weights([np.array([[1.0], [100.0]])])
    x = np.array([[0.5, 0]] * 25 * copies + [[1, 1]] * copies, np.float32)
    pruned = prune(model, {"a": np.array([[1], [0]])})
    with pytest.warns(UserWarning, match=r"would end further from the dense model.*larger ridge"):
        repaired = repair(pruned, model, x)
    assert_same_weights(weights(repaired), weights(pruned))


# ---- the model that comes back


@pytest.mark.parametrize("kind", KINDS)
def test_masks_hold_through_a_following_fit(kind, tiny):
    model = chain()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=False)
    masks = make_masks(model, KINDS[kind], 0.5)
    repaired = repair(prune(model, masks), model, tiny.x_train)
    assert_holds(repaired, masks)
    before = weights(repaired)
    repaired.fit(tiny.x_train, tiny.y_train, batch_size=30, verbose=0)
    assert_holds(repaired, masks)
    assert all((a != b).any() for a, b in zip(before, weights(repaired), strict=True))


@pytest.mark.more
def test_masks_are_held_after_save_and_load(tiny, tmp_path):
    model = chain()
    model.compile("adam", "mse", jit_compile=False)
    masks = make_masks(model, magnitude, 0.5)
    repaired = repair(prune(model, masks), model, tiny.x_train)
    repaired.save(tmp_path / "repaired.keras")
    loaded = keras.models.load_model(tmp_path / "repaired.keras")
    assert_same_weights(weights(loaded), weights(repaired))
    loaded.fit(tiny.x_train, np.eye(3)[tiny.y_train], verbose=0)
    assert_holds(loaded, masks)


def test_both_models_are_left_as_they_were():
    model = NETWORKS["residual convolutions"]()
    model.compile("adam", "mse")
    pruned = pruned_by(model)
    before = [weights(m) for m in (model, pruned)]
    states = [(m.get_config(), m.optimizer) for m in (model, pruned)]
    repaired = repair(pruned, model, examples(model))
    repaired.set_weights([weight + 1 for weight in weights(repaired)])
    assert states == [(m.get_config(), m.optimizer) for m in (model, pruned)]
    for m, expected in zip((model, pruned), before, strict=True):
        assert_same_weights(weights(m), expected)


def test_repaired_model_is_compiled_like_the_pruned():
    model = chain()
    assert not repair(pruned_by(model), model, X).compiled
    model.compile(keras.optimizers.SGD(0.3, momentum=0.5), "mae", metrics=["mse"])
    pruned = pruned_by(model)
    repaired = repair(pruned, model, X)
    assert repaired.get_compile_config() == pruned.get_compile_config()
    assert repaired.optimizer is not pruned.optimizer


@pytest.mark.filterwarnings("ignore:The repair of")
def test_repairing_again_repairs_further_or_not_at_all():
    model = chain()
    once = repair(pruned_by(model), model, X)
    assert distance(repair(once, model, X), model) <= distance(once, model) * (1 + 1e-6)


@pytest.mark.parametrize("convert", [np.float64, np.ndarray.tolist])
def test_inputs_of_other_types_do_as_well(convert):
    model = chain()
    pruned = pruned_by(model)
    expected = weights(repair(pruned, model, X))
    assert_same_weights(weights(repair(pruned, model, convert(X))), expected, atol=1e-6)


@pytest.mark.parametrize("units", [3, 2])
def test_a_model_with_two_outputs_is_repaired(units):
    inputs = keras.Input((4,))
    x = dense(8, name="a")(inputs)
    model = keras.Model(inputs, [dense(3, name="one")(x), dense(units, name="other")(x)])
    pruned = prune(model, make_masks(model, magnitude, {"a": 0.5}))
    repaired = repair(pruned, model, X)

    def distances(network):
        pairs = zip(network(X), model(X), strict=True)
        return [np.square(np.subtract(one, other)).mean() for one, other in pairs]

    assert np.less(distances(repaired), distances(pruned)).all()


def test_a_network_that_uses_one_activation_layer_twice_is_repaired():
    inputs, relu = keras.Input((4,)), layers.ReLU()
    x = relu(dense(6, None, name="b")(relu(dense(6, None, name="a")(inputs))))
    model = keras.Model(inputs, dense(3, None)(x))
    pruned = pruned_by(model)
    assert distance(repair(pruned, model, X), model) < distance(pruned, model)


def test_a_constraint_that_the_layer_had_still_holds():
    model = chain()
    model.get_layer("a").kernel_constraint = keras.constraints.NonNeg()
    model.get_layer("a").kernel.assign(np.abs(model.get_layer("a").kernel))
    opposites = X[:, [0, 1, 0, 1]] * np.float32([1, 1, -1, -1])
    masks = make_masks(model, random_scores, {"a": 0.5})
    repaired = repair(prune(model, masks), model, opposites)
    assert (np.asarray(repaired.get_layer("a").kernel) >= 0).all()


# ---- what is refused


def test_models_without_masks_are_refused():
    model = chain()
    with pytest.raises(ValueError, match=r"holds no mask\. Use prune\(model, masks\), or hold"):
        repair(model, model, X)


@pytest.mark.parametrize(
    "other", [lambda: make_mlp(4, (6, 4), 3), lambda: make_mlp(4, (6,), 3), chain]
)
def test_a_dense_model_of_another_architecture_is_refused(other, mlp):
    with pytest.raises(ValueError, match=r"must be the one that was pruned.*Expected.*got"):
        repair(pruned_by(mlp), other(), X)


@pytest.mark.parametrize("ridge", [0, -1, np.nan])
def test_ridge_must_be_above_zero(ridge, mlp):
    with pytest.raises(ValueError, match=f"ridge must be above 0, got {ridge}"):
        repair(pruned_by(mlp), mlp, X, ridge=ridge)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.where(X > 2, np.nan, X), "of the 800 input values are NaN"),
        (X[:, :3], r"shape \(examples, 4\), got \(200, 3\)"),
        (X[:0], r"shape \(examples, 4\), got \(0, 4\)"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs, message, mlp):
    with pytest.raises(ValueError, match=message):
        repair(pruned_by(mlp), mlp, inputs)


def few_and_many(make, count, shape):
    """A model, the inputs for its repair, and others."""
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).normal(size=(count + 200, *shape)).astype(np.float32)
    return make(), images[:count], images[count:]


def wide():
    return keras.Sequential([keras.Input((60,)), dense(20, name="a"), dense(3, None, name="b")])


@pytest.mark.parametrize("times", [1, 30])
@pytest.mark.parametrize("count", [20, *more(200)])
def test_few_inputs_never_make_it_worse_for_others_without_a_word(count, times):
    """Inputs that have nothing to do with each other: what is gone can hardly be made up for."""
    model, few, _ = few_and_many(wide, count, (60,))
    pruned = pruned_by(model, "weights", 0.3)
    with pytest.warns(UserWarning, match="inputs that it has not seen.*left as they were"):
        repaired = repair(pruned, model, np.tile(few, (times, 1)))
    assert_same_weights(weights(repaired), weights(pruned))


@pytest.mark.parametrize("times", [30, *more(1)])
def test_few_inputs_that_are_alike_repair_for_others_too(times):
    model, few, others = few_and_many(wide, 50, (4,))
    spread = np.random.default_rng(1).normal(size=(4, 60)).astype(np.float32)
    pruned = pruned_by(model, "weights", 0.5)
    repaired = repair(pruned, model, np.tile(few @ spread, (times, 1)))
    unseen = others @ spread
    before, after = (
        np.square(network(unseen) - np.asarray(model(unseen))).sum()
        for network in (pruned, repaired)
    )
    assert after < before / 2


def inner(*parts, shape=(4,)):
    return keras.Sequential([keras.Input(shape), *parts], name="inner")


def nested():
    return keras.Sequential([keras.Input((4,)), inner(dense(16, name="a"), dense(6, name="b"))])


def two_inputs():
    one, other = keras.Input((4,)), keras.Input((3,))
    joined = layers.Concatenate()([dense(8, name="a")(one), dense(8, name="b")(other)])
    return keras.Model([one, other], dense(3, None, name="c")(joined))


def of_steps():
    conv = layers.Conv1D(8, 3, padding="causal", activation="relu", name="a")
    parts = [conv, layers.Flatten(), dense(3, None, name="b")]
    return keras.Sequential([keras.Input((6, 4)), *parts])


@pytest.mark.parametrize("kind", ["weights", "units"])
@pytest.mark.parametrize("make", [two_inputs, *more(nested, of_steps)])
def test_layers_of_all_these_models_are_refitted(make, kind):
    keras.utils.set_random_seed(0)
    model, random = make(), np.random.default_rng(0)
    inputs = [random.random((400, *t.shape[1:])).astype(np.float32) for t in model.inputs]
    pruned = pruned_by(model, kind, 0.5)
    repaired = repair(pruned, model, inputs)
    for name, layer in prunable_layers(repaired).items():
        assert not np.array_equal(layer.kernel, prunable_layers(pruned)[name].kernel), name
    given = inputs if len(inputs) > 1 else inputs[0]
    before, after = (
        np.square(network(given) - np.asarray(model(given))).sum() for network in (pruned, repaired)
    )
    assert after < before / 2


def test_a_layer_that_lost_everything_stays_so(mlp):
    pruned = prune(mlp, {"hidden_1": np.zeros(6), "hidden_2": np.zeros((6, 5))})
    repaired = repair(pruned, mlp, X)
    assert_same_weights(weights(repaired)[:2], [np.zeros((4, 6)), np.zeros((6, 5))])


def test_inputs_whose_squares_overflow_are_refused_by_layer(mlp):
    message = r"'hidden_1': The products of the inputs overflow\. Scale the inputs down"
    with pytest.raises(ValueError, match=message):
        repair(pruned_by(mlp), mlp, X * np.float32(1e25))


def test_refuses_models_that_cannot_be_read(bad_model, mlp):
    model, error, match = bad_model
    with pytest.raises(error, match=match):
        repair(model, mlp, X)
    with pytest.raises(error, match=match):
        repair(pruned_by(mlp), model, X)


def test_the_same_example_again_and_again_tells_nothing_of_others():
    model = wide()
    with pytest.warns(UserWarning, match="are the same: whether it helps for others is not known"):
        repair(pruned_by(model), model, np.ones((100, 60)))


class Squashed(layers.Dense):
    """What it multiplies by its kernel is not what it is given."""

    def call(self, inputs):
        return super().call(keras.ops.tanh(inputs))


def test_layers_derived_from_those_of_keras_are_named_and_left_as_they_are():
    model = keras.Sequential([keras.Input((4,)), Squashed(8, name="own"), dense(3, name="b")])
    pruned = pruned_by(model)
    with pytest.warns(UserWarning, match=r"\['own'\] of .* were not refitted"):
        repaired = repair(pruned, model, X)
    assert_array_equal(repaired.get_layer("own").kernel, pruned.get_layer("own").kernel)
