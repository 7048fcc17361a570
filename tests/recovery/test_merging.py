"""What a removed unit did is done by the kept unit most like it, exactly where they are alike."""

import keras
import numpy as np
import pytest
from keras import layers
from networks import dense
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import magnitude, make_masks, make_mlp, merge_units, prune, shrink, unit_norm
from pruninglib.pruning.prune import HoldMask

X = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
MASK = np.array([1, 0, 1, 1, 1, 1])  # of hidden_1, whose unit 1 is made a multiple of unit 3


def network(factor=1.0, bias=False):
    """4-6-5-3 ReLU network; unit 1 of hidden_1 is `factor` times unit 3, its bias included."""
    keras.utils.set_random_seed(2)
    parts = [dense(6, bias=bias, name="hidden_1"), dense(5, bias=bias, name="hidden_2")]
    model = keras.Sequential([keras.Input((4,)), *parts, dense(3, None, bias, name="logits")])
    for weight in model.get_layer("hidden_1").weights:
        values = np.array(weight)
        values[..., 1] = factor * values[..., 3]
        weight.assign(values)
    return model


def outputs(model):
    return np.asarray(model(X, training=False))


def kernel(model, name):
    return np.asarray(model.get_layer(name).kernel)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("factor", [1, 0.3, 4])
def test_removing_a_multiple_of_a_kept_unit_changes_nothing(factor, bias):
    model = network(factor, bias)
    pruned = prune(model, {"hidden_1": MASK})
    assert np.abs(outputs(pruned) - outputs(model)).max() > 0.01
    merged = merge_units(pruned, model)
    assert_allclose(outputs(merged), outputs(model), rtol=1e-4, atol=1e-5)
    assert not kernel(merged, "hidden_1")[:, 1].any()


def test_the_bias_counts_in_the_similarity():
    model = network(bias=True)
    bias = np.array(model.get_layer("hidden_1").bias)
    bias[[1, 3]] = -9, 9  # the kernels are alike, but one is always off, the other always on
    model.get_layer("hidden_1").bias.assign(bias)
    pruned = prune(model, {"hidden_1": MASK})
    row_3 = kernel(model, "hidden_2")[3]
    assert_array_equal(kernel(merge_units(pruned, model), "hidden_2")[3], row_3)


def test_the_most_similar_unit_takes_over_in_proportion_to_the_norms():
    """By hand: cosine similarities 0.8 and 0.6 of the removed unit to the two kept ones."""
    model = make_mlp(2, (3,), 1)
    incoming = np.array([[2.0, 8.0, 0.0], [0.0, 6.0, 1.0]])
    model.set_weights([incoming, np.array([[1.0], [10.0], [100.0]])])
    pruned = prune(model, {"hidden_1": np.array([1, 0, 1])})
    for threshold, expected in ((0.79, [1 + 10 / 2 * 10, 0, 100]), (0.81, [1, 0, 100])):
        merged = merge_units(pruned, model, threshold)
        assert_allclose(kernel(merged, "logits").ravel(), expected, rtol=1e-6)


def test_below_the_threshold_nothing_moves():
    model = make_mlp(4, (16, 12), 3)
    pruned = prune(model, make_masks(model, unit_norm, 0.5))
    assert_allclose(outputs(merge_units(pruned, model, threshold=1.01)), outputs(pruned), atol=1e-6)
    assert np.abs(outputs(merge_units(pruned, model, threshold=0.1)) - outputs(pruned)).max() > 0.01


def test_an_opposite_unit_takes_nothing_over():
    model = network(-1.0)
    pruned = prune(model, {"hidden_1": MASK})
    row_3 = kernel(model, "hidden_2")[3]
    assert_array_equal(kernel(merge_units(pruned, model), "hidden_2")[3], row_3)


def test_units_removed_in_the_next_layer_stay_zero():
    model = network()
    masks = {"hidden_1": MASK, "hidden_2": np.array([0, 1, 1, 0, 1])}
    pruned = prune(model, masks)
    merged = merge_units(pruned, model, threshold=0.0)
    assert_array_equal(kernel(merged, "hidden_1").any(axis=0), masks["hidden_1"])
    assert_array_equal(kernel(merged, "hidden_2").any(axis=0), masks["hidden_2"])
    assert [layer.units for layer in shrink(merged).layers] == [5, 3, 3]


def test_masks_are_still_held():
    model = network()
    model.compile("sgd", "mse", jit_compile=False)
    merged = merge_units(prune(model, {"hidden_1": MASK}), model)
    before = kernel(merged, "hidden_1")
    merged.fit(X, X[:, :3], verbose=0)
    assert_array_equal(kernel(merged, "hidden_1").any(axis=0), MASK)
    assert (kernel(merged, "hidden_1") != before).any()


def test_weight_masks_beside_the_unit_masks_are_kept():
    model = network()
    masks = {"hidden_1": MASK} | make_masks(model, magnitude, {"hidden_2": 0.5})
    merged = merge_units(prune(model, masks), model)
    assert not kernel(merged, "hidden_2")[masks["hidden_2"] == 0].any()


def test_a_kept_unit_that_is_constant_keeps_its_outgoing_weights():
    model = network(factor=0.0, bias=True)
    model.get_layer("hidden_1").bias.assign(np.ones(6))
    pruned = prune(model, {"hidden_1": np.array([1, 1, 1, 1, 1, 0])})
    found = kernel(merge_units(pruned, model), "hidden_2")[1]
    assert_array_equal(found, kernel(model, "hidden_2")[1])


def test_neither_model_is_changed():
    model = network()
    pruned = prune(model, {"hidden_1": MASK})
    before = model.get_weights(), pruned.get_weights()
    merged = merge_units(pruned, model)
    assert isinstance(merged.get_layer("hidden_1").kernel_constraint, HoldMask)
    for weights, owner in zip(before, (model, pruned), strict=True):
        for one, other in zip(weights, owner.get_weights(), strict=True):
            assert_array_equal(one, other)


def test_activation_and_dropout_layers_may_lie_between():
    parts = [dense(6, None, False, name="a"), layers.ReLU(), layers.Dropout(0.5), dense(2)]
    model = keras.Sequential([keras.Input((4,)), *parts])
    incoming = kernel(model, "a").copy()
    incoming[:, 0] = 2 * incoming[:, 5]
    model.get_layer("a").kernel.assign(incoming)
    merged = merge_units(prune(model, {"a": np.array([0, 1, 1, 1, 1, 1])}), model)
    assert_allclose(outputs(merged), outputs(model), rtol=1e-4, atol=1e-5)


def test_models_that_are_no_chain_are_refused():
    parts = [dense(4, name="a"), layers.BatchNormalization(), dense(2)]
    model = keras.Sequential([keras.Input((4,)), *parts])
    pruned = prune(model, {"a": np.array([1, 0, 1, 1])})
    with pytest.raises(ValueError, match=r"chains of Dense layers only.*BatchNormalization"):
        merge_units(pruned, model)


def test_a_dense_model_of_another_architecture_is_refused():
    pruned, other = (
        keras.Sequential([keras.Input((4,)), dense(units, name="a"), dense(2, name="b")])
        for units in (4, 5)
    )
    with pytest.raises(ValueError, match=r"must be the one that was pruned.*Expected kernels"):
        merge_units(prune(pruned, {"a": np.array([1, 0, 1, 1])}), other)


def test_refuses_models_that_cannot_be_read(bad_model):
    model, error, match = bad_model
    with pytest.raises(error, match=match):
        merge_units(model, model)
