"""The calls of layers of a model, in order, those of nested models too."""

from itertools import pairwise

import keras
from keras import layers
from networks import dense

from pruninglib.structure.graph import leaves, nodes, unnested
from pruninglib.structure.prunable import logits_layers


def grown():
    """A Sequential whose layers were added one by one, which leaves calls in models thrown away."""
    model = keras.Sequential([keras.Input((4,))])
    for layer in (dense(6), dense(5), dense(3)):
        model.add(layer)
    return model


def test_calls_are_those_of_this_model(tmp_path):
    model = grown()
    assert [len(calls) for calls in nodes(model).values()] == [1] * 4
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [len(calls) for calls in nodes(loaded).values()] == [1] * 4
    keras.Model(model.inputs, model.layers[1](model.layers[0](model.inputs[0])))
    assert [len(calls) for calls in nodes(model).values()] == [1] * 4
    assert logits_layers(loaded) == {model.layers[-1].name}


def test_the_calls_of_a_nested_model_stand_in_place_of_its_own():
    inner = keras.Sequential(
        [keras.Input((4,)), dense(3, name="a"), layers.ReLU(name="r")], name="inner"
    )
    inputs = keras.Input((4,))
    model = keras.Model(inputs, dense(2, name="b")(inner(layers.Dropout(0.5, name="d")(inputs))))
    calls, outputs, nested = unnested(model)
    assert [call.name for call in calls] == ["d", "inner/a", "inner/r", "b"]
    for before, after in pairwise(calls):
        assert after.inputs[0] is before.outputs[0]
    assert outputs == calls[-1].outputs
    assert nested[id(inner.inputs[0])] is calls[0].outputs[0]
    assert [name for name, _ in leaves(model)] == ["d", "inner/a", "inner/r", "b"]


def test_models_may_be_nested_in_nested_ones():
    parts = dense(3, name="a")
    for name in ("one", "two"):
        parts = keras.Sequential([keras.Input((4,)), parts], name=name)
    calls, outputs, _ = unnested(keras.Sequential([keras.Input((4,)), parts]))
    assert [call.name for call in calls] == ["two/one/a"]
    assert outputs == calls[0].outputs


def test_a_nested_model_that_is_used_twice_stays_one_layer():
    inner = keras.Sequential([keras.Input((4,)), dense(4, name="a")], name="inner")
    inputs = keras.Input((4,))
    calls, _, _ = unnested(keras.Model(inputs, inner(inner(inputs))))
    assert [call.name for call in calls] == ["inner", "inner"]
