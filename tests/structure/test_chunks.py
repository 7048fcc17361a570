"""What is computed inside a network is what the network computes, whatever the chunks."""

import keras
import numpy as np
import pytest
from cases import more
from keras import layers
from networks import NETWORKS, by_keras, dense, examples, skipping
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib.structure.activations import distances, runner


def tensor(model, name):
    return model.get_layer(name).output


def test_runner_computes_one_tensor_from_another():
    model = skipping(layers.Add)
    inputs = examples(model)
    start = by_keras(model, model.get_layer("a"), inputs)
    expected = by_keras(model, model.get_layer("c"), inputs)
    run = runner(model, [tensor(model, "a"), model.inputs[0]], tensor(model, "c"))
    assert_allclose(run([start, inputs]), expected, atol=1e-6)
    assert_array_equal(runner(model, [tensor(model, "a")], tensor(model, "a"))([start]), start)


@pytest.mark.parametrize(("start", "end"), [("wide", "c"), ("a", "logits"), ("b", "a")])
def test_runner_refuses_a_start_that_does_not_suffice(start, end):
    model = skipping(layers.Add)
    start, end = tensor(model, start), tensor(model, end)
    with pytest.raises(LookupError, match=rf"{end.name} depends on more than \['{start.name}"):
        runner(model, [start], end)


def other(model):
    """The same network with other weights."""
    model = keras.models.clone_model(model)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1)
    return model


def two_outputs():
    inputs = keras.Input((4,))
    hidden = dense(8, "tanh")(inputs)
    return keras.Model(inputs, [dense(3)(hidden), dense(5)(hidden)])


@pytest.mark.parametrize("make", [*NETWORKS.values(), two_outputs], ids=[*NETWORKS, "two outputs"])
@pytest.mark.parametrize("chunk", [1, *more(40, 2**22)])
def test_distances_are_sums_of_squares_over_all_outputs(make, chunk, monkeypatch):
    monkeypatch.setattr("pruninglib.structure.activations.CHUNK", chunk)
    model = make()
    inputs = examples(model, 10)
    models = [model, other(model)]
    outputs = [
        keras.tree.map_structure(np.asarray, keras.tree.flatten(m(inputs)))
        for m in (model, *models)
    ]
    expected = [
        sum(np.square(x - y).sum() for x, y in zip(found, outputs[0], strict=True))
        for found in outputs[1:]
    ]
    assert expected[1] > 0
    assert_allclose(distances(models, model, [inputs]), expected, rtol=1e-4, atol=1e-8)
