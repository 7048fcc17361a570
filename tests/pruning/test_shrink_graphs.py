"""Convolutions, branches and nested models: the smaller network computes the same function."""

import keras
import numpy as np
import pytest
from cases import more, tried
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from keras import layers, ops
from networks import dense
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import (
    CannotShrink,
    count_parameters,
    make_masks,
    plan_shrink,
    prune,
    random_scores,
    random_unit_scores,
    shrink,
)
from pruninglib.structure.layers import for_units, kernel_of, number_of_units
from pruninglib.structure.prunable import prunable_layers


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


@pytest.fixture
def in_double_precision():
    """So that a difference is one of the functions, not of rounding."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("other backends have no float64 unless told so before they are imported")
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def conv(filters, size=3, padding="same", bias=True, kind=layers.Conv2D, **settings):
    """A convolution whose bias does not start at zero."""
    start = {"bias_initializer": keras.initializers.RandomNormal(stddev=1.0)} if bias else {}
    first = () if "Depthwise" in kind.__name__ else (filters,)
    return kind(*first, size, padding=padding, use_bias=bias, **start, **settings)


def norm(**settings):
    """A BatchNormalization with statistics and weights unlike those of a new one."""
    random = keras.initializers.RandomUniform(0.5, 1.5)
    weights = ("gamma", "beta", "moving_mean", "moving_variance")
    return layers.BatchNormalization(
        **{f"{name}_initializer": random for name in weights}, **settings
    )


def functional(build, shape=(8, 8, 3)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, build(inputs))


def chain(*parts, shape=(8, 8, 3)):
    return keras.Sequential([keras.Input(shape), *parts])


def inputs_of(model, count=3):
    rng = np.random.default_rng(1)
    return [rng.normal(size=(count, *x.shape[1:])).astype(x.dtype) for x in model.inputs]


def outputs(model):
    given = inputs_of(model)
    found = model(given[0] if len(given) == 1 else given, training=False)
    return [np.asarray(x) for x in (found if isinstance(found, list) else [found])]


def assert_same_function(smaller, model, relative=1e-5):
    for found, expected in zip(outputs(smaller), outputs(model), strict=True):
        assert_allclose(found, expected, rtol=0, atol=relative * np.abs(expected).max())


def sizes(model):
    return {name: number_of_units(layer) for name, layer in prunable_layers(model).items()}


def without(model, **units):
    """Remove all incoming weights, but not the bias, of the first so many units of layers."""
    masks = {}
    for name, count in units.items():
        layer = prunable_layers(model)[name]
        kept = for_units(layer, np.arange(number_of_units(layer)) >= count)
        masks[name] = np.broadcast_to(kept, kernel_of(layer).shape)
    return prune(model, masks)


def why(model, name):
    return {row["layer"]: row["why"] for row in plan_shrink(model)}[name]


def test_a_dead_filter_goes_from_all_that_follows_it():
    model = chain(
        conv(5, name="a"),
        norm(),
        layers.ReLU(),
        conv(4, 1, name="b"),
        layers.Flatten(),
        dense(2, None),
    )
    pruned = without(model, a=2, b=1)
    smaller = shrink(pruned)
    assert sizes(smaller) == {"a": 3, "b": 3, model.layers[-1].name: 2}
    assert smaller.layers[1].gamma.shape == (3,)
    assert smaller.layers[-1].kernel.shape == (8 * 8 * 3, 2)
    assert_same_function(smaller, pruned)


PASSING = {
    "batch normalization": norm,
    "activation": lambda: layers.Activation("gelu"),
    "relu": lambda: layers.ReLU(6.0, negative_slope=0.1, threshold=0.2),
    "prelu": lambda: layers.PReLU(alpha_initializer="random_normal", shared_axes=[1, 2]),
    "prelu by position": lambda: layers.PReLU(alpha_initializer="random_normal"),
    "dropout": lambda: layers.Dropout(0.5),
    "spatial dropout": lambda: layers.SpatialDropout2D(0.5),
    "max pooling": lambda: layers.MaxPooling2D(3, 2, "same"),
    "average pooling": lambda: layers.AveragePooling2D(3, 2, "same"),
    "cropping": lambda: layers.Cropping2D(1),
    "up-sampling": lambda: layers.UpSampling2D(2, interpolation="bilinear"),
    "rescaling": lambda: layers.Rescaling(0.5, 0.3),
    "rescaling by channel": lambda: layers.Rescaling([0.5, 1, 2, 3, 4], [1, 2, 3, 4, 5]),
    "normalization": lambda: layers.Normalization(mean=[1, 2, 3, 4, 5], variance=[5, 4, 3, 2, 1]),
    "normalization of all": lambda: layers.Normalization(axis=None, mean=0.5, variance=2.0),
    "reshape": lambda: layers.Reshape((16, 4, 5)),
    "reshape and back": lambda: chain(
        layers.Reshape((64, 5)), layers.Reshape((8, 8, 5)), shape=(8, 8, 5)
    ),
    "zero padding": lambda: layers.ZeroPadding2D(1),
}


@pytest.mark.parametrize("name", PASSING)
def test_channels_pass(name):
    parts = [
        conv(5, activation="relu", bias=name != "zero padding", name="a"),
        PASSING[name](),
        conv(4, 1, "valid", name="b"),
    ]
    pruned = without(chain(*parts, layers.GlobalAveragePooling2D(), dense(2, None)), a=2)
    smaller = shrink(pruned)
    assert sizes(smaller)["a"] == 3
    assert_same_function(smaller, pruned)


READING = {
    "Dense": lambda: chain(conv(5, name="a"), dense(4, name="b")),
    "Conv1D": lambda: chain(
        conv(5, kind=layers.Conv1D, name="a"),
        conv(4, kind=layers.Conv1D, dilation_rate=2, name="b"),
        shape=(12, 3),
    ),
    "Conv1D, causal": lambda: chain(
        conv(5, kind=layers.Conv1D, padding="causal", name="a"),
        conv(4, kind=layers.Conv1D, padding="causal", name="b"),
        shape=(12, 3),
    ),
    "Conv2D": lambda: chain(conv(5, name="a"), conv(4, strides=2, name="b")),
    "Conv2D, valid": lambda: chain(conv(5, name="a"), conv(4, padding="valid", name="b")),
    "Conv2D, no bias": lambda: chain(conv(5, name="a"), conv(4, 2, "valid", False, name="b")),
    "Conv3D": lambda: chain(
        conv(5, kind=layers.Conv3D, name="a"),
        conv(4, kind=layers.Conv3D, name="b"),
        shape=(4, 4, 4, 2),
    ),
    "Conv2DTranspose": lambda: chain(
        conv(5, kind=layers.Conv2DTranspose, strides=2, name="a"),
        conv(4, kind=layers.Conv2DTranspose, padding="valid", name="b"),
    ),
    "Conv1DTranspose": lambda: chain(
        conv(5, kind=layers.Conv1DTranspose, name="a"),
        conv(4, kind=layers.Conv1DTranspose, strides=2, name="b"),
        shape=(12, 3),
    ),
    "SeparableConv2D": lambda: chain(
        conv(14, kind=layers.SeparableConv2D, name="a"),
        conv(4, kind=layers.SeparableConv2D, depth_multiplier=2, name="b"),
    ),
    "SeparableConv2D, valid": lambda: chain(
        conv(5, kind=layers.SeparableConv2D, name="a"),
        conv(4, kind=layers.SeparableConv2D, padding="valid", name="b"),
    ),
    "SeparableConv1D": lambda: chain(
        conv(5, kind=layers.SeparableConv1D, name="a"),
        conv(4, kind=layers.SeparableConv1D, name="b"),
        shape=(12, 3),
    ),
}


@pytest.mark.parametrize("activation", ["relu", *more("sigmoid")])
@pytest.mark.parametrize("name", READING)
def test_layers_that_read_channels(name, activation):
    """Those of the padded ones keep what carries the constants of the rest."""
    model = READING[name]()
    inside = [layer for part in model.layers for layer in (part, layers.Activation(activation))]
    model = chain(*inside, layers.Flatten(), dense(2, None), shape=model.input_shape[1:])
    dead = {"a": sizes(model)["a"] - 2, "b": 1}
    pruned = without(model, **dead)
    smaller = shrink(pruned)
    assert_same_function(smaller, pruned)
    padded = "valid" not in name and name not in ("Dense", "Conv2D, no bias")
    carriers = {"SeparableConv2D": 9, "SeparableConv1D": 3}.get(name, 1) if padded else 0
    if name == "Conv2DTranspose":  # near its border constants differ, whatever the padding
        carriers = 1
    constants = (
        dead["a"]
        if activation == "sigmoid"
        else carriers and np.count_nonzero(np.asarray(model.get_layer("a").bias)[: dead["a"]] > 0)
    )
    assert sizes(smaller)["a"] == 2 + min(carriers, constants)
    assert sizes(smaller)["b"] == 3


def test_one_constant_carries_the_others_into_zero_padding():
    model = chain(conv(4, 1, name="a"), conv(2, name="b"))
    model.get_layer("a").bias.assign([0, -2, 3, 1])
    pruned = without(model, a=3)
    smaller = shrink(pruned)
    assert_array_equal(smaller.get_layer("a").bias, [3, 1])
    kernel = np.asarray(model.get_layer("b").kernel)
    carried = (3 * kernel[..., 2, :] - 2 * kernel[..., 1, :]) / 3
    assert_allclose(smaller.get_layer("b").kernel[..., 0, :], carried, rtol=1e-5)
    assert (
        why(pruned, "a")
        == "1 zero units: it carries the constants of others into the padding of 'b'"
    )


def test_masks_let_the_carrier_have_what_the_carried_had():
    model = chain(conv(4, 1, name="a"), conv(3, name="b"), layers.Flatten(), dense(2, None))
    masks = make_masks(model, lambda k: random_scores(k, 1), {"b": 0.7})
    pruned = prune(model, masks | {"a": np.broadcast_to([0, 0, 0, 1], (1, 1, 3, 4))})
    smaller = shrink(pruned)
    assert sizes(smaller)["a"] == 2
    assert_same_function(smaller, pruned)
    held = np.asarray(smaller.get_layer("b").kernel_constraint.mask)
    assert_array_equal(held, np.asarray(smaller.get_layer("b").kernel) != 0)


def test_a_constant_that_is_spread_unevenly_stays():
    parts = [
        conv(4, 1, name="a"),
        conv(0, name="d", kind=layers.DepthwiseConv2D),
        layers.ReLU(),
        conv(3, name="b"),
    ]
    pruned = without(chain(*parts), a=2)
    assert sizes(shrink(pruned))["a"] == 4
    assert "it goes only together with units of 'd'" in why(pruned, "a")


@pytest.mark.parametrize("multiplier", [1, 3])
def test_a_depthwise_convolution_goes_with_what_it_reads(multiplier):
    kind = {"kind": layers.DepthwiseConv2D, "depth_multiplier": multiplier, "activation": "relu"}
    model = chain(conv(4, name="a"), conv(0, name="d", **kind), norm(), conv(3, name="b"))
    masks = make_masks(model, random_unit_scores, {"a": 0.5}, coupled=True)
    assert masks["d"].sum() == 2 * multiplier
    assert_array_equal(masks["d"], np.repeat(masks["a"], multiplier))
    pruned = prune(model, masks)
    smaller = shrink(pruned)
    assert sizes(smaller)["a"] <= 3  # one may carry the constants of both
    assert_same_function(smaller, pruned)


def test_a_convolution_with_a_group_for_each_channel_is_a_depthwise_one():
    model = chain(
        conv(4, name="a"), conv(8, groups=4, name="d"), layers.ReLU(), conv(3, 1, name="b")
    )
    pruned = prune(model, make_masks(model, random_unit_scores, {"a": 0.5}, coupled=True))
    smaller = shrink(pruned)
    assert sizes(smaller) == {"a": 2, "d": 4, "b": 3}
    assert smaller.get_layer("d").groups == 2
    assert_same_function(smaller, pruned)


MERGES = {
    "Add": layers.Add,
    "Subtract": layers.Subtract,
    "Multiply": layers.Multiply,
    "Average": layers.Average,
    "Maximum": layers.Maximum,
    "+": lambda: lambda both: both[0] + both[1],
    "*": lambda: lambda both: both[0] * both[1] * 2.0 - 1.0,
}


@pytest.mark.parametrize("name", MERGES)
def test_channels_that_meet_go_together(name):
    def build(x):
        both = [conv(5, name=branch, activation="relu")(x) for branch in ("left", "right")]
        return dense(2, None)(layers.GlobalAveragePooling2D()(MERGES[name]()(both)))

    model = functional(build)
    together = without(model, left=2, right=2)
    assert_same_function(shrink(together), together)
    assert sizes(shrink(together))["left"] == sizes(shrink(together))["right"] == 3
    apart = without(model, left=2)
    assert_same_function(shrink(apart), apart)
    zero = np.count_nonzero(np.asarray(model.get_layer("left").bias)[:2] <= 0)
    assert sizes(shrink(apart))["left"] == 5 - (zero if name in ("Multiply", "*") else 0)


def test_one_channel_that_is_spread_over_all_stays():
    def build(x):
        gate = conv(1, name="gate", activation="sigmoid")(x)
        return conv(3, 1, name="end")(
            layers.Multiply(name="times")([conv(4, bias=False, name="a")(x), gate])
        )

    pruned = without(functional(build), a=2)
    assert sizes(shrink(pruned)) == {"gate": 1, "a": 2, "end": 3}
    assert_same_function(shrink(pruned), pruned)
    assert "'times' spreads it over all channels" in why(pruned, "gate")


def test_a_gate_of_squeeze_and_excitation_goes_with_its_channel():
    def build(x):
        a = conv(6, name="a", activation="relu")(x)
        gate = layers.Reshape((1, 1, 6))(layers.GlobalAveragePooling2D()(a))
        gate = conv(3, 1, name="down", activation="relu")(gate)
        gate = conv(6, 1, name="up", activation="sigmoid")(gate)
        return conv(3, 1, name="end")(layers.Multiply()([a, gate]))

    model = functional(build)
    pruned = prune(model, make_masks(model, random_unit_scores, {"a": 0.5}, coupled=True))
    smaller = shrink(pruned)
    assert sizes(smaller) == {"a": 3, "down": 3, "up": 3, "end": 3}
    assert_same_function(smaller, pruned)


def test_concatenated_channels_keep_their_places():
    def build(x):
        parts = [conv(4, name="a")(x), layers.ReLU()(x), conv(5, name="b")(x)]
        return conv(3, 1, name="end")(norm()(layers.Concatenate()(parts)))

    pruned = without(functional(build), a=1, b=3)
    smaller = shrink(pruned)
    assert sizes(smaller) == {"a": 3, "b": 2, "end": 3}
    assert_same_function(smaller, pruned)


def test_nested_models_get_smaller_inside():
    inner = chain(conv(5, name="a"), norm(), conv(4, 1, name="b"), shape=(8, 8, 6))
    inner.name = "inner"
    branch = functional(lambda x: conv(4, 1, name="c")(x), (8, 8, 6))
    branch.name = "branch"

    def build(x):
        x = conv(6, name="first", bias=False)(x)
        return conv(2, 1, name="end")(layers.Add()([inner(x), branch(x)]))

    pruned = without(functional(build), first=2, **{"inner/a": 3, "inner/b": 1, "branch/c": 1})
    smaller = shrink(pruned)
    found = {"first": 4, "inner/a": 2, "inner/b": 3, "branch/c": 3, "end": 2}
    assert {name: sizes(smaller)[name] for name in found} == found
    assert smaller.get_layer("inner").get_layer("a").kernel.shape == (3, 3, 4, 2)
    assert_same_function(smaller, pruned)


def test_several_inputs_and_outputs():
    one, other = keras.Input((8, 8, 3)), keras.Input((8, 8, 2))
    x = layers.Concatenate()([conv(4, name="a")(one), conv(4, name="b")(other)])
    ends = [conv(2, 1, name="end_1")(x), dense(3, None, name="end_2")(layers.Flatten()(x))]
    pruned = without(keras.Model([one, other], ends), a=1, b=2)
    assert sizes(shrink(pruned)) == {"a": 3, "b": 2, "end_1": 2, "end_2": 3}
    assert_same_function(shrink(pruned), pruned)


class Reversed(layers.Layer):
    """Turns the channels round if asked to."""

    def call(self, inputs, backwards=False, training=None):
        return inputs[..., ::-1] if backwards else inputs


class Scale(layers.Layer):
    """A layer that no library knows, with a weight for each channel."""

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="random_normal")

    def call(self, inputs):
        return inputs * self.scale


SHARED = conv(6, name="shared")
STAYING = {
    "layer normalization": (lambda x: layers.LayerNormalization(name="s")(x), r"'s' \(LayerNorm"),
    "group normalization": (lambda x: layers.GroupNormalization(2, name="s")(x), r"'s' \(GroupN"),
    "softmax": (lambda x: layers.Softmax(name="s")(x), r"'s' \(Softmax\) is not known to treat"),
    "softmax as an activation": (lambda x: layers.Activation("softmax", name="s")(x), "'s' "),
    "lambda": (lambda x: layers.Lambda(lambda t: t[..., ::-1], name="s")(x), r"'s' \(Lambda"),
    "own layer": (lambda x: Scale(name="s")(x), r"'s' \(Scale\) is not known"),
    "attention": (lambda x: layers.Attention(name="s")([x, x]), r"'s' \(Attention\)"),
    "shared": (lambda x: SHARED(SHARED(x)), r"'shared' \(Conv2D\) is used more than once"),
    "groups": (lambda x: conv(6, groups=2, name="s")(x), r"'s' \(Conv2D\) reads its channels in g"),
    "permutation": (lambda x: layers.Permute((3, 1, 2), name="s")(x), r"'s' \(Permute\)"),
    "concatenation in space": (
        lambda x: layers.Concatenate(axis=1, name="s")([x, x]),
        r"'s' \(Concatenate\)",
    ),
    "an operation": (lambda x: ops.sort(x), r"'sort.*' \(Sort\) is not known"),
    "an array": (lambda x: x * np.arange(6.0), r"'multiply.*' \(Multiply\) is not known"),
    "normalization by position": (lambda x: layers.BatchNormalization(1, name="s")(x), r"\(Batch"),
    "training on": (
        lambda x: norm(name="s")(x, training=True),
        r"'s' \(BatchNormalization\) is called as in training",
    ),
    "another argument that is True": (
        lambda x: Reversed(name="s")(x, backwards=True),
        r"'s' \(Reversed\) is called with backwards=True",
    ),
    "both": (
        lambda x: Reversed(name="s")(x, backwards=True, training=True),
        r"'s' \(Reversed\) is called as in training",
    ),
}


@pytest.mark.parametrize("name", STAYING)
def test_what_is_not_known_stays_with_all_that_is_coupled_to_it(name):
    layer, reason = STAYING[name]

    def build(x):
        x = conv(4, name="free", bias=False)(x)
        x = layers.Add()([conv(6, name=branch)(x) for branch in ("a", "b")])
        return dense(2, None, name="end")(layers.Flatten()(layer(x)))

    pruned = without(functional(build), free=2, a=3, b=3)
    smaller = shrink(pruned)
    assert sizes(smaller)["free"] == 2
    assert sizes(smaller)["a"] == sizes(smaller)["b"] == 6
    assert_same_function(smaller, pruned)
    with pytest.raises(AssertionError, match=f"(?s).*{reason}.*"):
        raise AssertionError(why(pruned, "a"))


def test_channels_first_stay():
    parts = [layers.MaxPooling2D(2, data_format="channels_first", name="s"), conv(3, name="b")]
    pruned = without(chain(conv(4, name="a"), *parts), a=2)
    assert "'s' (MaxPooling2D) has its channels first" in why(pruned, "a")


def test_a_nested_model_that_is_used_twice_stays():
    twice = chain(conv(3, name="a"), conv(3, name="b"))
    twice.name = "twice"
    model = functional(lambda x: conv(2, name="end")(twice(twice(conv(3, name="first")(x)))))
    pruned = without(model, **{"first": 1, "twice/a": 1})
    assert sizes(shrink(pruned)) == sizes(pruned)
    assert_same_function(shrink(pruned), pruned)
    assert why(pruned, "twice/a") == "it is in a model that is not looked into"
    assert "'twice' (Sequential) is used more than once" in why(pruned, "first")


def test_the_plan_says_what_shrink_does():
    model = chain(
        conv(6, name="a", bias=False),
        conv(5, 1, name="b"),
        layers.Flatten(),
        dense(2, None, name="end"),
    )
    pruned = without(model, a=2)
    assert plan_shrink(pruned) == [
        {"layer": "a", "units": 6, "units_after": 4, "why": ""},
        {"layer": "b", "units": 5, "units_after": 5, "why": "none of its units is zero"},
        {"layer": "end", "units": 2, "units_after": 2, "why": "it is an output of the model"},
    ]
    assert sizes(shrink(pruned)) == {
        row["layer"]: row["units_after"] for row in plan_shrink(pruned)
    }


@pytest.mark.parametrize(
    ("multiple", "left"), [(1, [5, 7]), (4, [8, 8]), (8, [8, 8]), (5, [5, 10]), (64, [16, 12])]
)
def test_sizes_are_rounded_up_to_a_multiple(multiple, left):
    model = chain(dense(16, name="a"), dense(12, name="b"), dense(2, None), shape=(3,))
    pruned = without(model, a=11, b=5)
    smaller = shrink(pruned, round_to=multiple)
    assert [layer.units for layer in smaller.layers] == [*left, 2]
    assert_same_function(smaller, pruned)
    if multiple == 4:
        assert why_rounded(pruned)["a"] == "3 zero units: 'a' keeps a multiple of 4 units"


def why_rounded(pruned):
    return {row["layer"]: row["why"] for row in plan_shrink(pruned, round_to=4)}


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "8", None, True])
def test_a_wrong_multiple_is_refused(wrong):
    model = chain(dense(4, name="a"), dense(2, None), shape=(3,))
    for function in (shrink, plan_shrink):
        with pytest.raises(ValueError, match="round_to must be a whole number from 1 on, got "):
            function(model, round_to=wrong)


def test_a_layer_that_would_lose_all_units_is_an_error_in_shrink_and_a_row_in_the_plan():
    model = functional(
        lambda x: conv(2, 1, name="end")(layers.Concatenate()([x, conv(3, 1, name="a")(x)]))
    )
    pruned = without(model, a=3)
    assert plan_shrink(pruned)[0] == {"layer": "a", "units": 3, "units_after": 0, "why": ""}
    with pytest.raises(CannotShrink, match="'a' would lose all of its 3 units"):
        shrink(pruned)


def test_the_original_is_untouched():
    model = chain(conv(5, name="a"), norm(), conv(4, name="b"), layers.Flatten(), dense(2, None))
    pruned = without(model, a=2, b=1)
    before, weights = outputs(pruned)[0], pruned.get_weights()
    smaller = shrink(pruned)
    smaller.set_weights([weight + 1 for weight in smaller.get_weights()])
    assert_array_equal(outputs(pruned)[0], before)
    for found, expected in zip(pruned.get_weights(), weights, strict=True):
        assert_array_equal(found, expected)


def test_what_was_shrunk_is_saved_loaded_and_trained(tmp_path):
    model = chain(conv(5, name="a"), norm(), conv(4, name="b"), layers.Flatten(), dense(2, None))
    model.compile("sgd", "mse", jit_compile=False)
    pruned = without(model, a=2, b=1)
    smaller = shrink(pruned)
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.models.load_model(tmp_path / "smaller.keras")
    assert_same_function(loaded, pruned)
    loaded.fit(inputs_of(model)[0], np.ones((3, 2)), verbose=0)
    assert count_parameters(loaded) == count_parameters(smaller) < count_parameters(pruned)


KINDS = """conv conv conv depthwise separable transpose norm activation pool pad crop up merge
    concatenate dropout gate dense nested layernorm"""
block = st.tuples(
    st.sampled_from(KINDS.split()),
    st.integers(0, 5),
    st.integers(0, 5),
)


def grow(tensors, kind, i, j):
    """Append a tensor to the list, made from those there."""
    x = tensors[-1 - i % min(3, len(tensors))]
    same = [t for t in tensors if t.shape == x.shape]
    activation = ["relu", "gelu", "sigmoid", None, "tanh", "elu"][j]
    padding, width = ("same", "valid")[(i + j) % 2 and x.shape[1] > 4], 3 + (i + j) % 4
    bias = (i * j) % 2 == 0
    makers = {
        "conv": lambda: conv(
            width, 1 + j % 3, padding, bias, activation=activation, strides=1 + (i == 3)
        ),
        "depthwise": lambda: conv(
            0,
            3,
            padding,
            bias,
            layers.DepthwiseConv2D,
            activation=activation,
            depth_multiplier=1 + i % 2,
        ),
        "separable": lambda: conv(
            width, 2, padding, bias, layers.SeparableConv2D, activation=activation
        ),
        "transpose": lambda: conv(
            width,
            3,
            padding,
            bias,
            layers.Conv2DTranspose,
            activation=activation,
            strides=1 + (x.shape[1] < 6),
        ),
        "norm": norm,
        "activation": lambda: layers.Activation(activation or "selu"),
        "pool": lambda: (layers.MaxPooling2D, layers.AveragePooling2D)[i % 2](2, 1 + j % 2, "same"),
        "pad": lambda: layers.ZeroPadding2D(1),
        "crop": lambda: layers.Cropping2D(int(x.shape[1] > 4)),
        "up": lambda: layers.UpSampling2D(1 + (x.shape[1] < 5)),
        "dropout": lambda: layers.SpatialDropout2D(0.3),
        "dense": lambda: dense(width, activation, bias),
        "layernorm": layers.LayerNormalization,
        "nested": lambda: chain(conv(width, bias=bias), norm(), conv(4, 1), shape=x.shape[1:]),
    }
    if kind == "merge":
        merge = (layers.Add, layers.Subtract, layers.Multiply, layers.Average)[j % 4]
        other = conv(x.shape[-1], bias=bias)(x) if len(same) == 1 else same[i % len(same)]
        return merge()([x, other]) if other is not x else x
    if kind == "concatenate":
        alike = [t for t in tensors if t.shape[1:3] == x.shape[1:3]][-3:]
        return layers.Concatenate()(alike) if len(alike) > 1 else x
    if kind == "gate":
        gate = dense(x.shape[-1], "sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
        return layers.Multiply()([x, gate])
    return makers[kind]()(x)


FIXTURES = [HealthCheck.function_scoped_fixture]  # the precision is that of all examples


@tried(40, suppress_health_check=FIXTURES)
@given(
    st.lists(block, min_size=2, max_size=9),
    st.integers(0, 99),
    st.booleans(),
    st.sampled_from([1, 4]),
)
def test_any_graph(in_double_precision, blocks, seed, coupled, round_to):
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 3))
    tensors = [conv(4)(inputs)]
    for kind, i, j in blocks:
        tensors.append(grow(tensors, kind, i, j))
    end = (layers.Flatten(), layers.GlobalAveragePooling2D())[seed % 2](tensors[-1])
    model = keras.Model(inputs, dense(2, None)(end))
    criterion = lambda kernel: random_unit_scores(kernel, seed)  # noqa: E731
    try:
        masks = make_masks(model, criterion, 0.4, coupled=coupled)
    except ValueError as error:  # all that is there is coupled to what must stay
        assert "no unit in" in str(error)
        return
    pruned = prune(model, masks)
    try:
        smaller = shrink(pruned, round_to)
    except CannotShrink:
        assert 0 in [row["units_after"] for row in plan_shrink(pruned, round_to)]
        return
    assert sizes(smaller) == {
        row["layer"]: row["units_after"] for row in plan_shrink(pruned, round_to)
    }
    assert_same_function(smaller, pruned, 1e-11)
