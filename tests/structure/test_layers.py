"""Units of every kind of layer: which axis counts them, what their masks remove and hold."""

import keras
import numpy as np
import pytest
from cases import more
from keras import layers
from networks import dense
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import GradualPruning, hold, make_masks, prune, strip, taylor, unit_norm
from pruninglib.structure.layers import (
    as_kernel,
    kernel_of,
    kernel_values,
    number_of_units,
    units_last,
)

KINDS = {
    "Dense": (lambda: layers.Dense(6, name="a"), (8, 2)),
    "Conv1D": (lambda: layers.Conv1D(6, 3, name="a"), (8, 2)),
    "Conv2D": (lambda: layers.Conv2D(6, 3, name="a"), (8, 8, 2)),
    "Conv2D in groups": (lambda: layers.Conv2D(6, 3, groups=2, name="a"), (8, 8, 2)),
    "Conv3D": (lambda: layers.Conv3D(6, 2, name="a"), (4, 4, 4, 2)),
    "Conv1DTranspose": (lambda: layers.Conv1DTranspose(6, 3, name="a"), (8, 2)),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(6, 3, name="a"), (8, 8, 2)),
    "DepthwiseConv1D": (lambda: layers.DepthwiseConv1D(3, depth_multiplier=3, name="a"), (8, 2)),
    "DepthwiseConv2D": (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=3, name="a"),
        (8, 8, 2),
    ),
    "SeparableConv1D": (lambda: layers.SeparableConv1D(6, 3, name="a"), (8, 2)),
    "SeparableConv2D": (
        lambda: layers.SeparableConv2D(6, 3, depth_multiplier=2, name="a"),
        (8, 8, 2),
    ),
}


TRAINED = ("Dense", "Conv2DTranspose", "DepthwiseConv2D", "SeparableConv2D")


@pytest.fixture(params=KINDS)
def model(request):
    return network(request.param)


@pytest.fixture(params=["SeparableConv2D", *more(*TRAINED[:-1])])
def trainable(request):
    return network(request.param)


def network(kind):
    keras.utils.set_random_seed(0)
    make, shape = KINDS[kind]
    parts = [make(), layers.Flatten(), dense(2, None, name="end")]
    model = keras.Sequential([keras.Input(shape), *parts])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", jit_compile=False)
    return model


def images(model, count=8):
    shape = (count, *model.input_shape[1:])
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def train(model):
    model.fit(images(model), np.ones((8, 2)), batch_size=4, verbose=0)
    return model


def zero_units(layer):
    return ~kernel_values(layer).reshape(-1, number_of_units(layer)).any(axis=0)


def test_units_come_last_and_back(model):
    layer = model.get_layer("a")
    kernel = np.asarray(kernel_of(layer))
    assert number_of_units(layer) == 6 == kernel_values(layer).shape[-1]
    assert_array_equal(as_kernel(layer, units_last(layer, kernel)), kernel)


def test_a_unit_that_is_masked_puts_out_zero_and_no_other_changes(model):
    mask = np.array([1, 0, 1, 1, 0, 1])
    pruned = prune(model, {"a": mask})
    before, after = (np.asarray(m.layers[0](images(model))) for m in (model, pruned))
    assert_array_equal(after[..., mask == 0], 0)
    assert_allclose(after[..., mask == 1], before[..., mask == 1], atol=1e-6)


@pytest.mark.parametrize("scores", ["units", *more("weights")])
def test_masks_are_held_in_training_and_after_loading(trainable, scores, tmp_path):
    criterion = unit_norm if scores == "units" else np.abs
    masks = make_masks(trainable, criterion, {"a": 0.5})
    pruned = train(prune(trainable, masks))
    pruned.save(tmp_path / "model.keras")
    loaded = train(keras.models.load_model(tmp_path / "model.keras"))
    for network in (pruned, loaded, train(hold(strip(pruned)))):
        kernel = np.asarray(kernel_of(network.get_layer("a")))
        assert np.count_nonzero(kernel == 0) == round(0.5 * kernel.size)
        if scores == "units":
            assert_array_equal(zero_units(network.get_layer("a")), masks["a"] == 0)
        else:
            assert_array_equal(kernel == 0, masks["a"] == 0)


def test_a_weight_mask_has_the_shape_that_keras_gives_the_kernel(model):
    (mask,) = make_masks(model, np.abs, {"a": 0.5}).values()
    kernel = np.asarray(kernel_of(model.get_layer("a")))
    assert mask.shape == kernel.shape
    assert np.abs(kernel[mask == 0]).max() <= np.abs(kernel[mask == 1]).min()


@pytest.mark.parametrize("criterion", [unit_norm, *more(np.abs)])
def test_gradual_pruning_ends_at_its_sparsity(trainable, criterion):
    callback = GradualPruning(criterion, 0.5, begin=0, end=4, frequency=1, include=["a"])
    trainable.fit(images(trainable), np.ones((8, 2)), batch_size=2, verbose=0, callbacks=[callback])
    kernel = np.asarray(kernel_of(trainable.get_layer("a")))
    assert np.count_nonzero(kernel == 0) == kernel.size / 2
    if criterion is unit_norm:
        assert zero_units(trainable.get_layer("a")).sum() == 3


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="taylor uses TensorFlow")
@pytest.mark.parametrize("units", [True, False])
def test_taylor_scores_have_the_shape_that_masks_need(trainable, units):
    trainable.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    scores = taylor(trainable, images(trainable), np.array([0, 1] * 4), units)
    assert set(make_masks(trainable, scores, {"a": 0.5})) == {"a"}
    if units:
        weights = kernel_values(trainable.get_layer("a"))
        assert scores["a"].shape == weights.shape[-1:]
