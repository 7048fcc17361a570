"""What people do with Keras beyond plain graphs of its layers: exact, or left alone, with why."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from networks import dense
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import count_macs, make_masks, plan_shrink, prune, random_unit_scores, shrink, strip
from pruninglib.structure.layers import number_of_units
from pruninglib.structure.prunable import prunable_layers


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


def shrunk(model, *inputs, coupled=False, relative=1e-5):
    """Prune half of the units, biases left, shrink; see that the outputs stay; return the sizes."""
    masks = make_masks(model, random_unit_scores, 0.5, coupled=coupled)
    pruned = prune(model, masks)
    for layer in prunable_layers(pruned).values():
        if layer.use_bias:
            layer.bias.assign(np.random.default_rng(0).normal(size=layer.bias.shape))
    smaller = shrink(pruned)
    rows = {row["layer"]: row["units_after"] for row in plan_shrink(pruned)}
    sizes = {name: number_of_units(x) for name, x in prunable_layers(smaller).items()}
    assert list(rows.values()) == list(sizes.values())
    given = inputs or (np.random.default_rng(1).normal(size=(6, *model.input_shape[1:])),)
    given = given[0] if len(given) == 1 else list(given)
    both = (keras.tree.flatten(network(given)) for network in (smaller, pruned))
    for found, expected in zip(*both, strict=True):
        expected = np.asarray(expected)
        assert np.ptp(expected, axis=0).max() > 1e-3 * np.abs(expected).max()
        assert_allclose(found, expected, rtol=0, atol=relative * np.abs(expected).max())
    return list(sizes.values()), plan_shrink(pruned)


class Standardized(layers.Conv2D):
    """The hook of Keras for a convolution with weights changed on the way."""

    def convolution_op(self, inputs, kernel):
        mean, variance = ops.moments(kernel, [0, 1, 2], keepdims=True)
        return super().convolution_op(inputs, (kernel - mean) / ops.sqrt(variance + 1e-6))


class OverChannels(layers.Activation):
    def call(self, inputs):
        return ops.softmax(inputs)


@pytest.mark.parametrize("derived", [lambda: Standardized(6, 3), lambda: OverChannels("relu")])
def test_a_class_derived_from_a_known_one_is_not_known(derived):
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, activation="sigmoid", name="a")(inputs)
    x = layers.GlobalAveragePooling2D()(derived()(x))
    sizes, rows = shrunk(keras.Model(inputs, dense(2, None)(x)))
    assert sizes[0] == 8
    assert "is not known to treat each channel alone" in rows[0]["why"]


class Scaled(keras.Model):
    """A Functional model that does more than its graph says."""

    def call(self, inputs, training=None, mask=None):
        return ops.softmax(super().call(inputs))


def test_a_nested_model_with_a_call_of_its_own_is_not_looked_into():
    inputs = keras.Input((5,))
    inner = Scaled(inputs, dense(8, "sigmoid")(inputs), name="inner")
    sizes, rows = shrunk(keras.Model(inputs, dense(2, None)(inner(inputs))))
    assert sizes == [8, 2]
    assert rows[0]["why"] == "it is in a model that is not looked into"


class Loud(keras.Sequential):
    """A Sequential with a training step of its own."""

    def train_step(self, *arguments):
        return super().train_step(*arguments)


def test_a_sequential_keeps_its_class():
    model = Loud([keras.Input((5,)), dense(8), dense(2)], name="loud")
    pruned = prune(model, make_masks(model, random_unit_scores, 0.5))
    assert type(pruned) is type(strip(pruned)) is type(shrink(pruned)) is Loud
    assert pruned.name == "loud"
    assert shrunk(model)[0] == [4, 2]


def test_a_nested_model_that_is_called_as_in_training_is_not_looked_into():
    parts = [dense(8, "sigmoid"), layers.BatchNormalization(), dense(6)]
    inner = keras.Sequential([keras.Input((5,)), *parts], name="inner")
    inputs = keras.Input((5,))
    sizes, rows = shrunk(keras.Model(inputs, dense(2)(inner(inputs, training=True))))
    assert sizes == [8, 6, 2]
    assert rows[0]["why"] == "it is in a model that is not looked into"


@pytest.mark.filterwarnings("ignore:The layers .*Embedding:UserWarning")  # is not pruned
def test_what_a_preprocessing_layer_learned_is_kept():
    discretization = layers.Discretization(num_bins=4)
    discretization.adapt(np.random.default_rng(0).normal(size=(100, 1)).astype("float32"))
    parts = [discretization, layers.Embedding(6, 6), layers.Flatten(), dense(8), dense(2, None)]
    assert shrunk(keras.Sequential([keras.Input((3,)), *parts]))[0] == [4, 2]


def test_a_tiny_constant_carries_no_large_one():
    inputs = keras.Input((6, 6, 2))
    a = layers.BatchNormalization(name="norm")(layers.Conv2D(4, 1, name="a")(inputs))
    c = layers.Conv2D(4, 1, name="c")(inputs)
    b = layers.Conv2D(3, 3, padding="same", name="b")(a)
    d = layers.Conv2D(3, 1, name="d")(layers.Add()([a, c]))
    ends = layers.GlobalAveragePooling2D()(layers.Concatenate()([b, d]))
    model = keras.Model(inputs, dense(2)(ends))
    model.get_layer("norm").beta.assign([1e-7, 1.0, 2.0, 0.0])
    kept = {"a": [0, 0, 0, 1], "c": [1, 0, 0, 1]}
    pruned = prune(model, {name: np.broadcast_to(m, (1, 1, 2, 4)) for name, m in kept.items()})
    smaller = shrink(pruned)
    assert np.abs(smaller.get_layer("b").kernel).max() < 10
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype("float32")
    assert_allclose(smaller(x), pruned(x), atol=1e-5)
    assert number_of_units(smaller.get_layer("a")) == 3


@pytest.mark.parametrize("change", ["quantized", "LoRA"])
@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have a `quantize` method")
def test_quantized_layers_and_those_with_lora_weights_stay_alone(change):
    model = keras.Sequential([keras.Input((8,)), dense(6, name="a"), dense(5, name="b"), dense(2)])
    pruned = prune(model, {"a": [0, 0, 1, 1, 1, 1], "b": [0, 1, 1, 1, 1]})
    plain = strip(pruned)
    if change == "quantized":
        plain.quantize("int8")
    else:
        plain.get_layer("b").enable_lora(2)
    names = {row["layer"] for row in plan_shrink(plain)} if change == "LoRA" else set()
    assert "b" not in names
    if change == "LoRA":
        x = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")
        assert_allclose(shrink(plain)(x), plain(x), atol=1e-5)
    else:
        with pytest.raises(ValueError, match="not quantized and without LoRA, found Dense"):
            shrink(plain)


def encoder(sequential, name="encoder"):
    parts = [dense(8, "sigmoid"), dense(5)]
    model = keras.Sequential([keras.Input((5,)), *parts], name=name)
    return model if sequential else keras.Model(model.inputs[0], model.outputs[0], name=name)


@pytest.mark.parametrize("sequential", [True, False])
def test_siamese_networks(sequential):
    one, other = keras.Input((5,)), keras.Input((5,))
    shared = encoder(sequential)
    x = dense(6)(layers.Subtract()([shared(one), shared(other)]))
    values = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")
    sizes, _ = shrunk(keras.Model([one, other], dense(2, None)(x)), *values)
    assert sizes[:2] == [8, 5] and sizes[2] == 3


def test_a_layer_of_a_shared_model_that_is_used_outside_of_it_too():
    one, other = keras.Input((5,)), keras.Input((5,))
    shared = encoder(False)
    again = dense(4)(shared.layers[1](layers.Subtract()([one, other])))
    ends = layers.Concatenate()([shared(one), shared(other), again])
    values = np.random.default_rng(0).normal(size=(2, 4, 5)).astype("float32")
    sizes, rows = shrunk(keras.Model([one, other], dense(2, None)(ends)), *values)
    assert max(sizes) == 8
    assert any("used more than once" in row["why"] for row in rows)


def test_nested_sequentials_that_were_loaded_or_used_before(tmp_path):
    inner = keras.Sequential([keras.Input((6, 6, 6)), layers.Conv2D(6, 3, activation="relu")])
    parts = [layers.Conv2D(6, 3), inner, layers.GlobalMaxPooling2D(), dense(2, None)]
    model = keras.Sequential([keras.Input((8, 8, 3)), *parts])
    model.save(tmp_path / "model.keras")
    other = keras.Sequential([keras.Input((6, 6, 6)), inner, layers.Flatten(), dense(2, None)])
    for network in (keras.models.load_model(tmp_path / "model.keras"), other):
        assert shrunk(network)[0][:-1] == [3] * (len(shrunk(network)[0]) - 1)


@pytest.mark.filterwarnings("ignore:The layers .*Embedding:UserWarning")  # is not pruned
def test_inputs_of_any_length():
    inputs = keras.Input((None,), dtype="int32")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(10, 6)(inputs))
    inner = keras.Model(inputs, dense(8)(x))
    outer = keras.Input((None,), dtype="int32")
    words = np.random.default_rng(0).integers(0, 10, (4, 7))
    assert shrunk(keras.Model(outer, dense(2, None)(inner(outer))), words)[0] == [4, 2]


def test_an_output_of_a_nested_model_that_nothing_reads_stays():
    inputs = keras.Input((5,))
    inner = keras.Model(inputs, {"a": dense(8)(inputs), "b": dense(7, name="b")(inputs)})
    outer = keras.Input((5,))
    sizes, rows = shrunk(keras.Model(outer, dense(2, None)(inner(outer)["a"])))
    assert sizes == [4, 7, 2]
    assert "an output of a nested model" in rows[1]["why"]


def test_channels_first_are_left_alone():
    first = {"data_format": "channels_first"}
    inputs = keras.Input((3, 8, 8))
    x = layers.Conv2D(6, 1, name="a", **first)(inputs)
    model = keras.Model(inputs, dense(2)(layers.GlobalAveragePooling2D(**first)(x)))
    pruned = prune(model, {"a": [0, 0, 0, 1, 1, 1]})
    assert [row["units_after"] for row in plan_shrink(pruned)] == [6, 2]
    assert plan_shrink(pruned)[0]["why"] == "'a' (Conv2D) has its channels first"
    assert number_of_units(shrink(pruned).get_layer("a")) == 6


class Block(keras.Model):
    """A subclassed model as a layer, whose own layers have no fixed names."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.one, self.other = dense(5), dense(4)

    def call(self, inputs):
        return self.other(self.one(inputs))


def test_a_subclassed_model_in_a_graph_stays():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, dense(2, None)(dense(6)(Block(name="block")(inputs))))
    sizes, rows = shrunk(model)
    assert sizes == [5, 4, 3, 2]
    assert rows[0]["why"] == "it is in a model that is not looked into"


@pytest.mark.parametrize(
    "tail",
    {
        "mean over the batch": lambda x: x - ops.mean(x, axis=0),
        "scalar": lambda x: layers.Reshape((1,))(layers.Reshape(())(dense(1)(x))),
        "mask": lambda x: layers.BatchNormalization()(x, mask=ops.mean(x, axis=1) > 0),
    }.items(),
    ids=lambda item: item[0],
)
def test_tensors_of_other_ranks(tail):
    inputs = keras.Input((5,))
    shrunk(keras.Model(inputs, dense(2, None)(tail[1](dense(8)(inputs)))))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "mixed_float16", "float64"])
def test_precisions(dtype):
    relative = {"float64": 1e-11, "bfloat16": 3e-2}.get(dtype, 5e-3)
    settings = {"dtype": dtype, "padding": "same", "activation": "sigmoid"}
    inputs = keras.Input((6, 6, 3), dtype="float64" if dtype == "float64" else "float32")
    x = layers.SeparableConv2D(16, 2, **settings)(layers.Conv2D(16, 3, **settings)(inputs))
    x = layers.Conv2D(4, 1, dtype=dtype)(layers.BatchNormalization(dtype=dtype)(x))
    ends = layers.Dense(2, dtype=dtype)(layers.Flatten(dtype=dtype)(x))
    sizes, _ = shrunk(keras.Model(inputs, ends), relative=relative)
    assert sizes[2] == 2


def test_names_of_inputs_of_nested_models_are_kept():
    a, b = keras.Input((5,), name="a"), keras.Input((5,), name="b")
    inner = keras.Model([a, b], dense(6)(layers.Concatenate()([a, b])))
    outer = keras.Input((5,))
    model = keras.Model(outer, dense(2, None)(inner({"a": outer, "b": dense(5)(outer)})))
    assert shrunk(model)[0] == [3, 3, 2] or shrunk(model)[0][-1] == 2


def test_frozen_models_stay_frozen_and_losses_are_not_added_to():
    parts = [dense(8), layers.ActivityRegularization(0.1), dense(6, activity_regularizer="l2")]
    model = keras.Sequential([keras.Input((5,)), *parts, dense(2)])
    pruned = prune(model, make_masks(model, random_unit_scores, 0.5))
    pruned(np.ones((2, 5)))
    before = [float(loss) for loss in pruned.losses]
    plan_shrink(pruned)
    assert_array_equal([float(loss) for loss in pruned.losses], before)
    model.trainable = False
    pruned = prune(model, make_masks(model, random_unit_scores, 0.5))
    assert not (pruned.trainable or shrink(pruned).trainable)


def test_macs_of_a_layer_at_an_unknown_number_of_positions_are_refused():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layers.Conv2D(4, 3, name="a")(inputs))
    with pytest.raises(ValueError, match=r"'a' works at \(None, None\) positions: .*fixed size"):
        count_macs(model)


class Head(keras.Model):
    """Functional, but made by its own constructor, of one size."""

    def __init__(self, units=6, **settings):
        inputs = keras.Input((5,))
        super().__init__(inputs, dense(2, None, name="out")(dense(units, name="a")(inputs)))
        self.units = units

    def get_config(self):
        return {"units": self.units}


def test_a_model_with_its_own_constructor_is_not_made_smaller():
    model = prune(Head(7), {"a": [0, 0, 1, 1, 1, 1, 1]})
    with pytest.raises(ValueError, match=r"\['a', 'out'\] would get smaller.*class Head.*plain"):
        shrink(model)
    plain = shrink(keras.Model(model.inputs, model.outputs))
    assert number_of_units(plain.get_layer("a")) == 5
    inputs = keras.Input((5,))
    with pytest.raises(ValueError, match=r"would get smaller.*class Head"):
        shrink(keras.Model(inputs, layers.ReLU()(model(inputs))))


def test_what_stays_of_one_size_keeps_its_class_while_others_shrink():
    assert type(shrink(Head(7))) is Head
    inputs = keras.Input((5,))
    model = keras.Model(inputs, dense(3, None)(dense(6, name="b")(Head(7, name="h")(inputs))))
    smaller = shrink(prune(model, {"b": [0, 0, 0, 1, 1, 1]}))
    assert number_of_units(smaller.get_layer("b")) == 3
    assert [type(layer) for layer in smaller.layers[1:2]] == [Head]


class Ridge(layers.Layer):
    """Adds what it computes from the kernel of a layer elsewhere in the graph."""

    def __init__(self, other, **settings):
        super().__init__(**settings)
        self.other = other

    def call(self, inputs):
        return inputs + ops.mean(ops.abs(self.other.kernel))

    def get_config(self):
        other = keras.saving.serialize_keras_object(self.other)
        return super().get_config() | {"other": other}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("other")), **config)


def test_a_layer_that_another_is_tied_to_keeps_its_size_and_the_tie():
    inputs, tied = keras.Input((5,)), dense(6, name="a")
    x = dense(8, name="b")(tied(inputs))
    model = keras.Model(inputs, dense(2, None)(Ridge(tied, name="ridge")(dense(4)(x))))
    with pytest.warns(UserWarning, match=r"'ridge' \(Ridge\) cannot be pruned yet"):
        sizes, rows = shrunk(model)
    assert sizes == [6, 4, 4, 2]
    assert rows[0]["why"] == "'a' (Dense) is used more than once"
    pruned = prune(model, {"b": [0, 0, 0, 0, 1, 1, 1, 1]})
    smaller = shrink(pruned)
    assert smaller.get_layer("ridge").other is smaller.get_layer("a")
