"""Which layers can be pruned, which make the logits, and how layers are chosen."""

import keras
import numpy as np
import pytest
from keras import layers
from networks import dense, subclassed, unbuilt

from pruninglib.structure.graph import check_graph
from pruninglib.structure.prunable import check_names, chosen, logits_layers, prunable_layers

X = np.random.default_rng(0).random((5, 4), np.float32)


@pytest.fixture
def convolutional():
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(3, 3, activation="relu", name="conv")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Flatten()(x)
    return keras.Model(inputs, dense(4, "softmax", name="out")(x))


def test_refuses_models_that_cannot_be_pruned(unreadable_model):
    model, error, match = unreadable_model
    with pytest.raises(error, match=match):
        prunable_layers(model)


def test_prunable_layers_come_in_order(mlp, convolutional):
    assert list(prunable_layers(mlp)) == ["hidden_1", "hidden_2", "logits"]
    assert list(prunable_layers(convolutional)) == ["conv", "out"]


def test_a_model_built_by_a_call_is_accepted():
    model = unbuilt()
    model(X)
    assert len(prunable_layers(model)) == 2
    assert len(logits_layers(model)) == 1


def test_a_model_without_layers_that_can_be_pruned_may_still_be_read():
    check_graph(keras.Sequential([keras.Input((4,)), layers.ReLU()]))


def test_logits_are_made_by_the_last_layer(mlp, convolutional):
    assert logits_layers(mlp) == {"logits"}
    assert logits_layers(convolutional) == {"out"}


def test_activation_after_the_logits_is_looked_through():
    parts = [keras.Input((4,)), dense(3, name="a"), dense(2, None, name="b"), layers.Softmax()]
    assert logits_layers(keras.Sequential(parts)) == {"b"}


def test_each_head_and_each_branch_makes_logits():
    inputs = keras.Input((4,))
    trunk = dense(5, name="trunk")(inputs)
    left, right = dense(2, name="left")(trunk), dense(2, name="right")(trunk)
    head = dense(3, name="head")(trunk)
    model = keras.Model(inputs, [layers.Add()([left, right]), head])
    assert logits_layers(model) == {"left", "right", "head"}


def test_unknown_names_are_named_beside_the_known_ones():
    with pytest.raises(ValueError, match=r"Unknown layers \['b'\]; expected some of \['a', 'c'\]"):
        check_names(["a", "b"], {"a": 1, "c": 2})


def nested():
    inner = keras.Sequential(
        [keras.Input((4,)), dense(3, name="a"), dense(3, name="b")], name="inner"
    )
    return keras.Sequential([keras.Input((4,)), inner, dense(2, name="b")])


def test_layers_of_nested_models_have_the_names_of_both():
    assert list(prunable_layers(nested())) == ["inner/a", "inner/b", "b"]
    assert logits_layers(nested()) == {"b"}
    inputs = keras.Input((4,))
    ends_in_nested = keras.Model(inputs, nested().layers[0](dense(4, name="first")(inputs)))
    assert logits_layers(ends_in_nested) == {"inner/b"}


def test_layers_of_a_subclassed_model_are_found_but_not_which_makes_the_logits():
    model = subclassed()
    (name,) = prunable_layers(model)
    assert chosen(model, include=[name]) == [name]
    with pytest.raises(ValueError, match=rf"'subclassed' is subclassed.*include=\['{name}'\]"):
        chosen(model)


def test_layers_are_chosen_by_name_or_type(convolutional):
    assert chosen(convolutional) == ["conv"]
    assert chosen(convolutional, include="out") == ["out"]
    assert chosen(convolutional, include=[layers.Dense, "conv"]) == ["conv", "out"]
    assert chosen(convolutional, include=[layers.Dense, "conv"], exclude="out") == ["conv"]
    assert chosen(convolutional, layers.Layer, layers.Conv2D) == ["out"]


def test_depthwise_convolutions_are_left_alone_unless_chosen():
    parts = [layers.Conv2D(4, 3, name="a"), layers.DepthwiseConv2D(3, name="b")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *parts, layers.Flatten(), dense(2)])
    assert chosen(model) == ["a"]
    assert chosen(model, include=layers.DepthwiseConv2D) == ["b"]


def test_a_type_that_is_not_there_is_refused(convolutional):
    with pytest.raises(ValueError, match=r"of type \['Conv1D'\]; expected some of \['Conv2D', 'D"):
        chosen(convolutional, exclude=[layers.Conv1D])


def test_nothing_left_to_choose_says_how_to_go_on(convolutional):
    with pytest.raises(ValueError, match=r"or those excluded.*include=\['conv', 'out'\]"):
        chosen(convolutional, exclude=["conv"])


def test_two_layers_of_one_name_are_refused():
    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.one, self.other = dense(3, name="same"), dense(3, name="same")

        def call(self, inputs):
            return self.other(self.one(inputs))

    model = Twice()
    model(X)
    with pytest.raises(ValueError, match=r"several layers named \['same'\]"):
        prunable_layers(model)


def test_a_layer_in_several_places_is_listed_once_and_may_be_named_by_each():
    shared, inner, inputs = dense(4, name="shared"), keras.Input((4,)), keras.Input((4,))
    nested = keras.Model(inner, dense(4, name="first")(shared(inner)), name="nested")
    model = keras.Model(inputs, shared(nested(inputs)))
    assert list(prunable_layers(model)) == ["nested/shared", "nested/first"]
    assert logits_layers(model) == {"nested/shared"}
    assert chosen(model) == ["nested/first"]
    assert chosen(model, ["shared", "nested/shared"]) == ["nested/shared"]
    assert chosen(model, None, "shared") == ["nested/first"]
