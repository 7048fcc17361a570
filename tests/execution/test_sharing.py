"""Few values in each kernel, near the old ones, and the same few weights together in training."""

import keras
import numpy as np
import pytest
from cases import more
from networks import dense
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import (
    HoldShared,
    magnitude,
    make_masks,
    make_mlp,
    prune,
    retrain,
    share_weights,
)


def kernels(model):
    return {layer.name: np.asarray(layer.kernel) for layer in model.layers}


def values(kernel):
    return np.unique(kernel[kernel != 0])


def test_values_by_hand():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="a")])
    model.layers[0].kernel.assign([[1.0, 2.0, 9.0], [0.0, -5.0, -7.0]])
    expected = [[1.5, 1.5, 9.0], [0.0, -6.0, -6.0]]
    assert_allclose(share_weights(model, 3).layers[0].kernel, expected)
    assert_allclose(model.layers[0].kernel, [[1, 2, 9], [0, -5, -7]])


@pytest.mark.parametrize("count", [1, 2, 16, 256])
def test_each_weight_takes_the_nearest_value_and_each_value_is_a_mean(count):
    weights = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    model = make_mlp(40, (30,), 2)
    model.layers[0].kernel.assign(weights)
    found = kernels(share_weights(model, count))["hidden_1"]
    centers = values(found)
    assert len(centers) == count
    nearest = centers[np.abs(weights[..., None] - centers).argmin(axis=-1)]
    assert np.isclose(found, nearest, atol=1e-6).mean() > 0.99
    means = [weights[found == center].mean() for center in centers]
    assert_allclose(means, centers, atol=0.02)


def test_zeros_masks_and_few_values_stay(mlp):
    pruned = prune(mlp, make_masks(mlp, magnitude, 0.5))
    shared = share_weights(pruned, 4)
    for name, kernel in kernels(pruned).items():
        assert_array_equal(kernels(shared)[name] == 0, kernel == 0)
        assert len(values(kernels(shared)[name])) <= 4
    assert np.asarray(shared.layers[0].kernel_constraint.mask).sum() == 12
    again = share_weights(shared, 5)
    for name, kernel in kernels(shared).items():
        assert_array_equal(kernels(again)[name], kernel)


def test_layers_can_be_chosen(mlp):
    for how, kept in (
        ({"include": ["hidden_2"]}, {"hidden_1", "logits"}),
        (
            {"exclude": ["hidden_2"]},
            {"hidden_2"},
        ),
    ):
        found, before = kernels(share_weights(mlp, 2, **how)), kernels(mlp)
        assert {name for name in found if np.array_equal(found[name], before[name])} == kept


@pytest.mark.parametrize("distillation", [0.0, *more(0.5)])
def test_shared_weights_move_together_and_learn(trained, tiny, distillation):
    pruned = prune(trained, make_masks(trained, magnitude, 0.5))
    shared = share_weights(pruned, 6)
    before = kernels(shared)
    codes = {name: np.unique(kernel, return_inverse=True)[1] for name, kernel in before.items()}
    shared.compile(shared.optimizer, shared.loss, metrics=["accuracy"])
    start = shared.evaluate(tiny.x_train, tiny.y_train, verbose=0)[0]
    how = {"learning_rate": 0.005, "distillation": distillation, "batch_size": 40}
    retrain(shared, trained, tiny.x_train, tiny.y_train, 60, callbacks=[HoldShared()], **how)
    for name, kernel in kernels(shared).items():
        assert_array_equal(kernel == 0, before[name] == 0)
        assert not np.array_equal(kernel, before[name])
        groups = [kernel[codes[name] == code] for code in np.unique(codes[name])]
        assert all(len(np.unique(group)) == 1 for group in groups)
    assert shared.evaluate(tiny.x_train, tiny.y_train, verbose=0)[0] < start


def test_a_step_is_that_of_tied_weights():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    model.layers[0].kernel.assign([[2.0], [2.0], [5.0]])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x, y = np.array([[1.0, 3.0, 1.0]]), np.array([[0.0]])
    model.fit(x, y, callbacks=[HoldShared()], verbose=0)
    slope = 2 * (1 * 2 + 3 * 2 + 5)
    expected = [2 - 0.1 * slope * (1 + 3) / 2] * 2 + [5 - 0.1 * slope]
    assert_allclose(np.ravel(model.layers[0].kernel), expected, rtol=1e-5)


def test_nothing_shared_is_an_error():
    model = make_mlp(30, (30,), 30)
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"at most 256 values besides zero.*share_weights"):
        model.fit(np.ones((4, 30)), np.ones((4, 30)), callbacks=[HoldShared()], verbose=0)


@pytest.mark.parametrize("count", [0, 257])
def test_impossible_numbers_of_values_are_refused(count, mlp):
    with pytest.raises(ValueError, match=rf"values must lie in \[1, 256\], got {count}"):
        share_weights(mlp, count)


def test_convolutions_share_too():
    model = keras.Sequential(
        [keras.Input((6, 6, 2)), keras.layers.Conv2D(8, 3), keras.layers.Flatten(), dense(3)]
    )
    assert all(len(values(np.asarray(w))) <= 4 for w in share_weights(model, 4).weights[::2])


def test_no_weight_becomes_zero():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False)])
    model.layers[0].kernel.assign([[-1.0], [-0.1], [0.1], [1.0]])
    found = np.ravel(share_weights(model, 3).layers[0].kernel)
    assert np.count_nonzero(found) == 4
    assert_allclose(found, [-1, 0, 0, 1], atol=1e-30)


def test_several_steps_in_one_go_are_refused(mlp):
    shared = share_weights(mlp, 4)
    shared.compile("sgd", "mse", steps_per_execution=2)
    with pytest.raises(ValueError, match=r"steps_per_execution=2\. Compile it with 1"):
        shared.fit(np.ones((8, 4)), np.ones((8, 3)), callbacks=[HoldShared()], verbose=0)


def test_kernels_of_zeros_learn():
    zeros = keras.layers.Dense(3, kernel_initializer="zeros", name="zeros")
    model = share_weights(keras.Sequential([keras.Input((4,)), dense(4, name="a"), zeros]), 3)
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 3)), callbacks=[HoldShared()], verbose=0)
    assert np.asarray(model.get_layer("zeros").kernel).any()


def test_a_mask_that_gets_tighter_is_respected(mlp):
    pruned = prune(mlp, {"hidden_1": np.ones((4, 6))})
    shared = share_weights(pruned, 2)
    shared.compile("sgd", "mse")
    callback, kernel = HoldShared(), shared.layers[0].kernel
    callback.set_model(shared)
    callback.on_train_begin()
    values = np.array(kernel)
    tighter = values * (np.arange(24).reshape(4, 6) % 2)
    kernel.assign(tighter)
    callback.on_train_batch_end(0)
    assert_allclose(kernel, tighter, rtol=1e-6)


def test_a_convolution_stays_shared_in_compiled_steps():
    """On JAX Keras keeps what it trains outside of the variables until an epoch ends."""
    conv = keras.layers.Conv1D(6, 3, name="conv")
    model = keras.Sequential([keras.Input((8, 2)), conv, keras.layers.Flatten(), dense(2, None)])
    shared = share_weights(model, 3)
    before = np.array(shared.get_layer("conv").kernel)
    shared.compile("adam", "mse")
    x, y = np.ones((24, 8, 2)), np.ones((24, 2))
    shared.fit(x, y, batch_size=4, callbacks=[HoldShared()], verbose=0)
    kernel = np.asarray(shared.get_layer("conv").kernel)
    assert not np.array_equal(kernel, before)
    assert all(len(np.unique(kernel[before == value])) == 1 for value in values(before))


class Interrupt(keras.callbacks.Callback):
    """Stop training as a crash does, in the third batch."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("first", [True, False])
def test_weights_restored_between_two_batches_are_shared_or_refused(first, tmp_path):
    def made():
        keras.utils.set_random_seed(0)
        shared = share_weights(make_mlp(4, (6, 5), 3), 2)
        shared.compile("adam", "mse", jit_compile=False)
        return shared

    def fit(model, *others):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=2)
        callbacks = [HoldShared(), backup] if first else [backup, HoldShared()]
        x, y = np.random.default_rng(0).normal(size=(20, 4)), np.ones((20, 3))
        model.fit(x, y, batch_size=4, callbacks=[*callbacks, *others], verbose=0)

    with pytest.raises(KeyboardInterrupt):
        fit(made(), Interrupt())
    again = made()
    if first:
        fit(again)
        assert [len(values(kernel)) for kernel in kernels(again).values()] == [2, 2, 2]
    else:
        with pytest.raises(ValueError, match=r"not shared: it had 2 values .* HoldShared before"):
            fit(again)
