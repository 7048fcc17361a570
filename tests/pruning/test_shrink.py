"""The smaller network computes the same function, or the error names the layer."""

import keras
import numpy as np
import pytest
from cases import more, tried
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from networks import dense
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import (
    CannotShrink,
    count_macs,
    count_parameters,
    greedy_units,
    magnitude,
    make_masks,
    make_mlp,
    measure_sparsity,
    plan_shrink,
    prune,
    random_scores,
    random_unit_scores,
    shrink,
    strip,
    unit_norm,
)

X = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
ACTIVATIONS = [
    "linear",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
]
ACTIVATIONS += ["tanh", "sigmoid", "softplus", "softsign", "exponential", "hard_sigmoid"]
ACTIVATIONS += ["hard_silu", "hard_tanh", "log_sigmoid", "tanh_shrink"]


def chain(*parts, functional=False):
    model = keras.Sequential([keras.Input((4,)), *parts])
    return keras.Model(model.inputs[0], model.outputs[0]) if functional else model


def outputs(model):
    return np.asarray(model(X, training=False))


def sizes(model):
    return [layer.units for layer in model.layers if isinstance(layer, layers.Dense)]


def assert_same_function(found, expected):
    expected = outputs(expected)
    assert_allclose(outputs(found), expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def prune_unevenly(model, seed=0):
    """Remove 2 of 6 units of each layer `unit_*`, and most weights of each layer `weight_*`.

    In layer `unit_2` the biases of the removed units stay, so that they output a constant.
    """
    names = [layer.name for layer in model.layers if layer.name.startswith(("unit", "weight"))]
    masks = {}
    for name in names:
        criterion, share = (random_unit_scores, 1 / 3) if "unit" in name else (random_scores, 0.8)
        masks |= make_masks(model, lambda k, c=criterion: c(k, seed), {name: share})
    if "unit_2" in masks:
        masks["unit_2"] = masks["unit_2"] * np.ones((6, 1))
    return prune(model, masks)


@pytest.mark.parametrize("functional", [False, *more(True)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_any_elementwise_activation(activation, functional):
    model = chain(
        dense(6, activation, name="unit_1"),
        dense(6, activation, name="unit_2"),
        dense(3, None),
        functional=functional,
    )
    pruned = prune_unevenly(model)
    smaller = shrink(pruned)
    assert sizes(smaller) == [4, 4, 3]
    assert_same_function(smaller, pruned)


between = st.sampled_from(
    [
        lambda: layers.Dropout(0.5),
        lambda: layers.Activation("sigmoid"),
        lambda: layers.ReLU(),
        lambda: layers.LeakyReLU(),
        lambda: layers.ELU(),
        lambda: layers.GaussianNoise(0.1),
        lambda: layers.Identity(),
    ]
)
hidden = st.tuples(
    st.sampled_from(["unit", "weight", "whole"]),
    st.sampled_from(["linear", "relu", "gelu", "sigmoid", "tanh"]),
    st.booleans(),
    st.lists(between, max_size=2),
)


@tried(25)
@given(st.lists(hidden, min_size=1, max_size=4), st.booleans(), st.integers(0, 9))
def test_any_chain(blocks, functional, seed):
    keras.utils.set_random_seed(seed)
    parts = []
    for i, (kind, activation, bias, passing) in enumerate(blocks):
        parts += [dense(6, activation, bias, f"{kind}_{i}"), *(make() for make in passing)]
    pruned = prune_unevenly(chain(*parts, dense(3, None), functional=functional), seed)
    smaller = shrink(pruned)
    assert all(a <= b for a, b in zip(sizes(smaller), sizes(pruned), strict=True))
    assert not any(kind == "unit" for kind, *_ in blocks) or sizes(smaller) != sizes(pruned)
    assert_same_function(smaller, pruned)


def test_the_constant_of_a_dead_unit_goes_into_the_next_bias():
    model = chain(dense(2, "sigmoid", name="a"), dense(1, None, name="b"))
    model.get_layer("b").set_weights([np.array([[3.0], [8.0]]), np.array([1.0])])
    smaller = shrink(prune(model, {"a": [1, 0]}))
    assert_allclose(smaller.get_layer("b").kernel, [[3]])
    assert_allclose(smaller.get_layer("b").bias, [1 + 8 * 0.5])


def test_a_layer_without_bias_gets_one_if_there_is_something_to_fold():
    model = chain(dense(2, "sigmoid", False, name="a"), dense(1, None, False, name="b"))
    smaller = shrink(prune(model, {"a": [1, 0]}))
    assert not smaller.get_layer("a").use_bias and smaller.get_layer("b").use_bias
    assert_allclose(smaller.get_layer("b").bias, 0.5 * np.asarray(model.get_layer("b").kernel)[1])


def test_units_that_nothing_reads_go_too():
    model = make_mlp(4, (6, 5), 3)
    mask = np.ones((5, 3))
    mask[:2] = 0
    pruned = prune(model, {"logits": mask})
    assert sizes(shrink(pruned)) == [6, 3, 3]
    assert_same_function(shrink(pruned), pruned)


def test_units_whose_inputs_are_all_constant_become_constant():
    model = chain(dense(3, "tanh", name="a"), dense(2, "tanh", name="b"), dense(1, None))
    mask_b = [[0, 1], [1, 1], [0, 1]]  # the first unit of b reads a's second unit only
    pruned = prune(model, {"a": [1, 0, 1], "b": np.array(mask_b)})
    smaller = shrink(pruned)
    assert sizes(smaller) == [2, 1, 1]
    assert_same_function(smaller, pruned)


def test_only_units_that_were_masked_go(trained):
    pruned = prune(trained, make_masks(trained, unit_norm, 0.5))
    smaller = shrink(pruned)
    assert sizes(smaller) == [8, 6, 3]
    assert count_parameters(smaller) == 4 * 8 + 8 * 6 + 6 * 3
    assert [layer.name for layer in smaller.layers] == [layer.name for layer in trained.layers]


def test_a_network_without_zeros_keeps_its_size(mlp):
    smaller = shrink(mlp)
    assert sizes(smaller) == [6, 5, 3]
    assert_array_equal(outputs(smaller), outputs(mlp))


def test_inputs_and_outputs_keep_their_number():
    mask_in, mask_out = np.ones((4, 6)), np.ones((5, 3))
    mask_in[:2], mask_out[:, 1] = 0, 0
    smaller = shrink(prune(make_mlp(4, (6, 5), 3), {"hidden_1": mask_in, "logits": mask_out}))
    assert smaller.input_shape == (None, 4) and smaller.output_shape == (None, 3)


def test_the_original_is_untouched(mlp):
    pruned = prune(mlp, make_masks(mlp, unit_norm, 0.5))
    before = outputs(pruned)
    shrink(pruned).set_weights([w + 1 for w in shrink(pruned).get_weights()])
    assert sizes(pruned) == [6, 5, 3]
    assert_array_equal(outputs(pruned), before)


def test_a_stripped_network_shrinks_to_the_same(mlp):
    pruned = prune(mlp, make_masks(mlp, unit_norm, 0.5))
    one, other = shrink(pruned), shrink(strip(pruned))
    assert sizes(one) == sizes(other)
    assert_array_equal(outputs(one), outputs(other))


def test_softmax_at_the_end_is_no_obstacle():
    for end in ([dense(3, "softmax")], [dense(3, None), layers.Activation("softmax")]):
        pruned = prune_unevenly(chain(dense(6, name="unit_1"), *end))
        assert sizes(shrink(pruned)) == [4, 3]
        assert_same_function(shrink(pruned), pruned)


def test_masks_on_the_weights_that_are_left_are_still_held(tiny):
    model = make_mlp(4, (16, 12), 3)
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    masks = make_masks(model, unit_norm, {"hidden_1": 0.5})
    masks |= make_masks(model, magnitude, {"hidden_2": 0.5})
    smaller = shrink(prune(model, masks))
    zeros = np.asarray(smaller.get_layer("hidden_2").kernel) == 0
    assert 0.3 < zeros.mean() < 0.7
    smaller.fit(tiny.x_train, np.eye(3)[tiny.y_train], verbose=0)
    assert_array_equal(np.asarray(smaller.get_layer("hidden_2").kernel) == 0, zeros)
    assert measure_sparsity(smaller, ["hidden_1"]) == 0


def test_retraining_the_small_network_equals_retraining_the_masked_one(tiny):
    model = make_mlp(4, (16, 12), 3)
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    pruned = prune(model, make_masks(model, unit_norm, 0.5))
    smaller = shrink(pruned)
    start, targets = outputs(pruned), np.eye(3)[tiny.y_train]
    for network in (pruned, smaller):
        network.fit(tiny.x_train, targets, batch_size=12, epochs=2, shuffle=False, verbose=0)
    assert np.abs(outputs(pruned) - start).max() > 0.1
    assert_allclose(outputs(smaller), outputs(pruned), rtol=1e-4, atol=1e-5)


def test_what_stands_before_the_first_dense_layer_stays():
    images = np.random.default_rng(0).random((20, 3, 3), np.float32)
    before = [layers.Rescaling(2.0), layers.Flatten()]
    parts = [dense(6, name="unit_1"), dense(5, name="unit_2"), dense(2, None)]
    model = keras.Sequential([keras.Input((3, 3)), *before, *parts])
    pruned = prune_unevenly(model)
    smaller = shrink(pruned)
    assert sizes(smaller) == [4, 3, 2]
    assert_allclose(smaller(images), pruned(images), rtol=0, atol=1e-5)
    assert set(greedy_units(model, images)) == {"unit_1", "unit_2"}


@pytest.mark.parametrize(
    "parts",
    {
        "inside": lambda: [dense(4, "softmax", name="mix")],
        "after": lambda: [dense(4, None, name="a"), layers.Activation("softmax", name="mix")],
        "a layer inside": lambda: [dense(4, layers.Activation("softmax"), name="mix")],
        "with weights": lambda: [dense(4, layers.PReLU(), name="mix")],
    }.items(),
    ids=lambda item: item[0],
)
def test_units_that_share_an_activation_stay_together(parts):
    model = chain(*parts[1](), dense(2))
    pruned = prune(model, {model.layers[0].name: [1, 1, 0, 1]})
    assert sizes(shrink(pruned)) == [4, 2]
    assert_same_function(shrink(pruned), pruned)
    assert "'mix'" in plan_shrink(pruned)[0]["why"]


def test_a_layer_that_would_lose_all_units_is_named(mlp):
    pruned = prune(mlp, {"hidden_2": np.zeros(5)})
    with pytest.raises(CannotShrink, match=r"'hidden_[12]' would lose all of its .* units"):
        shrink(pruned)


def test_refusals_are_value_errors():
    assert issubclass(CannotShrink, ValueError)


def test_layers_behind_the_last_dense_one_do_not_matter():
    model = keras.Sequential([keras.Input((4,)), dense(6), dense(3), keras.layers.Softmax()])
    pruned = prune(model, make_masks(model, unit_norm, 0.5))
    assert [layer.units for layer in shrink(pruned).layers[:2]] == [3, 3]
    assert_allclose(shrink(pruned)(X), pruned(X), rtol=1e-5, atol=1e-6)


def test_shrinks_what_was_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.Input((4,))])
    for layer in (dense(6), dense(5), dense(3)):
        model.add(layer)
    prune(model, make_masks(model, unit_norm, 0.5)).save(tmp_path / "pruned.keras")
    loaded = keras.models.load_model(tmp_path / "pruned.keras")
    smaller = shrink(loaded)
    assert [layer.units for layer in smaller.layers] == [3, 3, 3]
    assert_allclose(smaller(X), loaded(X), rtol=1e-5, atol=1e-6)
    assert count_macs(loaded) == 4 * 6 + 6 * 5 + 5 * 3
    assert count_macs(smaller) == 4 * 3 + 3 * 3 + 3 * 3
