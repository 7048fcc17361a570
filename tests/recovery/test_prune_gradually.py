"""Gradual pruning ends at the sparsity asked for, the logits layer included."""

import keras
import numpy as np
import pytest
from cases import more

from pruninglib import count_parameters, make_mlp, prune_gradually

SIZE = 4 * 8 + 8 * 5 + 5 * 3


def pruned(trained, tiny, sparsity=1 - 30 / SIZE, iterations=60, **settings):
    network = make_mlp(4, (8, 5), 3, seed=1)
    settings = {"batch_size": 40, "seed": 3, "learning_rate": 0.02} | settings
    images = tiny.x_train, tiny.y_train
    found = prune_gradually(network, trained, *images, sparsity, iterations, **settings)
    assert found is network
    return network


@pytest.mark.parametrize(
    "settings",
    [{}, *more({"regrowth": 0}, {"distillation": 0.0}, {"end": 0.2}, {"scope": "layer"})],
    ids=str,
)
def test_as_many_weights_are_left_as_asked_for(settings, trained, tiny):
    network = pruned(trained, tiny, **settings)
    assert count_parameters(network, nonzero=True) == 30
    assert np.count_nonzero(network.get_layer("logits").kernel) < 15
    assert network.evaluate(tiny.x_train, tiny.y_train, verbose=0, return_dict=True)["loss"] < 1


@pytest.mark.more
def test_regrowth_and_the_end_decide_which_weights_are_left(trained, tiny):
    settings = ({}, {"regrowth": 0}, {"end": 0.2})
    left = [
        np.concatenate(
            [np.ravel(weight) != 0 for weight in pruned(trained, tiny, **how).get_weights()]
        )
        for how in settings
    ]
    assert (left[0] != left[1]).any() and (left[0] != left[2]).any()


def test_biases_stay(trained, tiny):
    parts = [keras.layers.Dense(8, "relu"), keras.layers.Dense(3)]
    network = keras.Sequential([keras.Input((4,)), *parts])
    images = tiny.x_train, tiny.y_train
    sparsity = 1 - 10 / (4 * 8 + 8 * 3)
    prune_gradually(network, trained, *images, sparsity, 40, learning_rate=0.02, batch_size=40)
    kernels, biases = network.get_weights()[::2], network.get_weights()[1::2]
    assert sum(map(np.count_nonzero, kernels)) == 10
    assert sum(map(np.count_nonzero, biases)) > 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sparsity": 30}, r"sparsity must lie in \[0, 1\], got 30\. Pass 0\.9 for 90 %"),
        ({"sparsity": 1}, rf"A sparsity of 1 leaves none of the {SIZE} weights"),
        ({"sparsity": 0.999}, rf"A sparsity of 0\.999 leaves none of the {SIZE} weights"),
        ({"iterations": 39}, "Expected 40 iterations or more, got 39"),
    ],
)
def test_what_cannot_be_is_refused(settings, message, trained, tiny):
    with pytest.raises(ValueError, match=message):
        pruned(trained, tiny, **settings)
