"""One compiled network serves all masks, with the result of a training of its own each time."""

import keras
import numpy as np
import pytest
from conftest import dense
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import eager, magnitude, make_masks, measure_sparsity, prune, train, unit_norm
from pruninglib.retraining import retrainer, without_removed_units

pytestmark = pytest.mark.usefixtures("without_xla")
TRAINING = {"learning_rate": 0.01}
ITERATIONS, BATCH, SEED = 15, 40, 3


@pytest.fixture(scope="module")
def weights_retrainer(trained, tiny, without_xla):
    masks = make_masks(trained, magnitude, 0.5)
    return retrainer(trained, masks, tiny, ITERATIONS, BATCH, SEED, TRAINING)


def weights(model):
    return [np.array(weight) for weight in model.get_weights()]


def test_result_is_that_of_a_fresh_training_whatever_came_before(weights_retrainer, trained, tiny):
    weights_retrainer(make_masks(trained, magnitude, 0.9), True)
    weights_retrainer(make_masks(trained, magnitude, 0.3), False)
    masks = make_masks(trained, magnitude, 0.7)
    found = weights(weights_retrainer(masks, True))
    expected = train(
        prune(trained, masks), tiny.x_train, tiny.y_train, ITERATIONS, BATCH, SEED, **TRAINING
    )
    for one, other in zip(found, weights(expected), strict=True):
        assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_held_masks_hold_and_free_ones_let_weights_grow_back(weights_retrainer, trained):
    masks = make_masks(trained, magnitude, 0.5)
    held = weights_retrainer(masks, True)
    assert_array_equal(np.asarray(held.get_layer("hidden_1").kernel) != 0, masks["hidden_1"])
    assert measure_sparsity(weights_retrainer(masks, False)) < 0.4
    assert measure_sparsity(weights_retrainer(masks, True)) == 0.5


def test_the_model_is_left_as_it_was(trained, weights_retrainer):
    before = weights(trained)
    weights_retrainer(make_masks(trained, magnitude, 0.5), True)
    for one, other in zip(before, weights(trained), strict=True):
        assert_array_equal(one, other)


def test_removed_units_are_left_out_with_the_same_result(trained, tiny):
    masks = make_masks(trained, unit_norm, 0.5)
    retrain = retrainer(trained, masks, tiny, ITERATIONS, BATCH, SEED, TRAINING)
    small = retrain(masks, True)
    assert [layer.units for layer in small.layers] == [8, 6, 3]
    full = train(
        prune(trained, masks), tiny.x_train, tiny.y_train, ITERATIONS, BATCH, SEED, **TRAINING
    )
    assert_allclose(eager(small)(tiny.x_test), eager(full)(tiny.x_test), rtol=1e-3, atol=1e-3)
    free = retrain(masks, False)
    assert [layer.units for layer in free.layers] == [16, 12, 3]
    assert without_removed_units(free, masks) is not free, "ReLU units at zero get no gradient"


def test_networks_without_removed_units_stay_as_they_are(mlp):
    for masks in (make_masks(mlp, magnitude, 0.5), make_masks(mlp, unit_norm, 0)):
        pruned = prune(mlp, masks)
        assert without_removed_units(pruned, masks) is pruned


def test_removed_units_go_where_they_can(mlp):
    masks = make_masks(mlp, unit_norm, 0.5)
    smaller = without_removed_units(prune(mlp, masks), masks)
    assert smaller.get_layer("hidden_1").units == 3
    parts = [dense(4, name="a"), keras.layers.BatchNormalization(), dense(2)]
    masks = {"a": np.array([1, 0, 1, 1])}
    pruned = prune(keras.Sequential([keras.Input((4,)), *parts]), masks)
    assert without_removed_units(pruned, masks) is pruned


def test_biased_networks_are_retrained_at_full_size(tiny):
    """Folded constants would become biases that train, so the small network would differ."""
    model = keras.Sequential([keras.Input((4,)), dense(6, "sigmoid"), dense(3)])
    model.compile(loss="sparse_categorical_crossentropy")
    masks = make_masks(model, unit_norm, 0.5)
    network = retrainer(model, masks, tiny, 2, 8, 0, {})(masks, True)
    assert network.layers[0].units == 6
    assert measure_sparsity(network) == 0.5
