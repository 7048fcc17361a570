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


def with_a_dead_unit(layer, unit):
    """A built layer of which one unit has no weights and a bias below zero."""
    kernel, bias = layer.get_weights()
    kernel[..., unit], bias[unit] = 0, -1
    layer.set_weights([kernel, bias])


def test_dead_units_of_nested_models_are_found():
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(5, "relu", name="in"), keras.layers.Dense(4)],
        name="inner",
    )
    inputs = keras.Input((3,))
    x = inner(keras.layers.Dense(4, "tanh", name="first")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, name="logits")(x))
    with_a_dead_unit(inner.get_layer("in"), 3)
    found = dead_units(model, np.random.default_rng(0).normal(size=(90, 3)).astype(np.float32))
    assert list(found) == ["first", "inner/in", f"inner/{inner.layers[-1].name}"]
    assert found["inner/in"].tolist() == [False, False, False, True, False]
    assert not found["first"].any()


@pytest.mark.parametrize("chunk", [1, 500])
def test_units_of_convolutions_are_dead_if_they_are_at_all_positions(chunk, monkeypatch):
    monkeypatch.setattr("pruninglib.structure.activations.CHUNK", chunk)
    parts = [keras.layers.Conv2D(4, 2, activation="relu", name="conv"), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((3, 3, 2)), *parts, keras.layers.Dense(2)])
    with_a_dead_unit(model.get_layer("conv"), 2)
    images = np.random.default_rng(0).normal(size=(50, 3, 3, 2)).astype(np.float32)
    assert dead_units(model, images)["conv"].tolist() == [False, False, True, False]


def test_a_unit_of_a_layer_used_twice_is_dead_if_it_is_in_both_places():
    a, b = keras.Input((3,)), keras.Input((3,))
    shared = keras.layers.Dense(4, "relu", name="shared")
    model = keras.Model([a, b], keras.layers.Dense(2)(keras.layers.Add()([shared(a), shared(b)])))
    with_a_dead_unit(shared, 1)
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    assert dead_units(model, [x, x * 0])["shared"].tolist() == [False, True, False, False]


def test_layers_that_cannot_be_looked_into_are_named():
    inner = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="in")], name="inner")
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inner(inner(inputs))))
    with pytest.raises(ValueError, match=r"\['inner/in'\] are in a model that is called more than"):
        dead_units(model, np.zeros((2, 3), np.float32))
