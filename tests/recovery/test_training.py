"""Batches come shuffled and full, and training does not depend on what holds the images."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal

from pruninglib import make_mlp
from pruninglib.recovery.training import compile_training, fit_iterations, training_batches

X = np.arange(20, dtype=np.float32)[:, None]
Y = np.arange(20)


def taken(seed, count, done=0):
    batches = training_batches(tf.constant(X), tf.constant(Y), 6, seed, done).take(count)
    return [(x.numpy().ravel(), y.numpy()) for x, y in batches]


def test_batches_are_full_and_repeat_no_example_in_an_epoch():
    found = taken(seed=0, count=6)
    for x, y in found:
        assert_array_equal(x, y)
        assert len(x) == 6
    first, second = (np.concatenate([x for x, _ in found[i : i + 3]]) for i in (0, 3))
    assert len(set(first)) == len(set(second)) == 18
    assert (first != second).any()


def test_the_seed_decides_the_order():
    (first, _), (again, _), (other, _) = (taken(seed, 1)[0] for seed in (0, 0, 1))
    assert_array_equal(first, again)
    assert (first != other).any()


def test_batches_go_on_where_they_stopped():
    later = [x for x, _ in taken(seed=0, count=7)][4:]
    assert_array_equal(later, [x for x, _ in taken(seed=0, count=3, done=4)])


def test_training_goes_on_where_it_stopped(tiny):
    whole, begun = (make_mlp(tiny.x_train.shape[1], [5], 3) for _ in range(2))
    how = {"learning_rate": 0.02, "decay": "constant"}
    fit_iterations(compile_training(whole, 9, **how), tiny.x_train, tiny.y_train, 9, 32, 1)
    compile_training(begun, 5, **how)
    for count, done in ((5, 0), (4, 5)):
        fit_iterations(begun, tiny.x_train, tiny.y_train, count, 32, 1, done)
    for one, other in zip(whole.get_weights(), begun.get_weights(), strict=True):
        assert_array_equal(one, other)


def test_no_thread_tunes_the_pipeline():
    """It would sleep on after the last batch, for up to as long as the training took."""
    batches = training_batches(tf.constant(X), tf.constant(Y), 6, 0)
    assert batches.options().autotune.enabled is False


@pytest.mark.more
def test_arrays_and_tensors_train_alike(tiny):
    networks = [compile_training(make_mlp(tiny.x_train.shape[1], [5], 3), 4) for _ in range(2)]
    for network, x in zip(networks, (tiny.x_train, tf.constant(tiny.x_train)), strict=True):
        fit_iterations(network, x, tiny.y_train, 4, 16)
    for one, other in zip(*(network.get_weights() for network in networks), strict=True):
        assert_array_equal(one, other)
