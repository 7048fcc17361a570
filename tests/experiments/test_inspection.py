"""Dead units and the shapes of distributions that are known."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pruninglib import dead_units, kernel_statistics, make_mlp


def test_dead_units_are_those_that_never_change():
    parts = [keras.layers.Dense(3, "relu", name="a"), keras.layers.Dense(2, name="logits")]
    model = keras.Sequential([keras.Input((2,)), *parts])
    kernel, bias = np.array([[1.0, -1.0, 0.0], [1.0, -1.0, 0.0]]), np.array([0.0, 0.0, 5.0])
    model.get_layer("a").set_weights([kernel, bias])
    found = dead_units(model, np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))
    assert list(found) == ["a"]
    assert_array_equal(found["a"], [False, True, True])


def with_weights(values):
    model = make_mlp(100, [400], 2)
    model.get_layer("hidden_1").kernel.assign(values)
    return next(kernel_statistics(model, labels={"seed": 3}))


def test_kurtosis_tells_a_gaussian_from_a_uniform_distribution():
    rng = np.random.default_rng(0)
    gaussian = with_weights(rng.normal(size=(100, 400)))
    uniform = with_weights(rng.uniform(-1, 1, (100, 400)))
    assert gaussian["kurtosis"] == pytest.approx(0, abs=0.1)
    assert uniform["kurtosis"] == pytest.approx(-1.2, abs=0.05)
    assert uniform["small_weights"] == pytest.approx(0.25, abs=0.01)


def test_statistics_name_each_hidden_layer_and_see_small_columns():
    kernel = np.ones((100, 400))
    kernel[:, :100] = 0.01
    row = with_weights(kernel)
    assert (row["layer"], row["seed"]) == ("hidden_1", 3)
    assert row["small_norms"] == 0.25
