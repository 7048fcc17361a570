"""A packed model is small, comes back as it was, and is refused when a byte of it is wrong."""

import io
import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers
from networks import dense
from numpy.testing import assert_array_equal

from pruninglib import magnitude, make_masks, make_mlp, measure_sparsity, prune, unit_norm
from pruninglib.execution.packed import packed_bytes, read_packed, write_packed
from pruninglib.structure.graph import leaves


def packed(model, **settings):
    file = io.BytesIO()
    write_packed(model, file, **settings)
    return file.getvalue()


def unpacked(content):
    return read_packed(io.BytesIO(content))


def branched():
    """Convolutions, BatchNormalization, a nested model, a frozen layer and a Dropout's seed."""
    inputs = keras.Input((6, 6, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inputs)
    x = layers.Add()([layers.BatchNormalization()(x), x])
    nested = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(3, 3, name="in")], name="n")
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(nested(x)))
    model = keras.Model(inputs, dense(3, None, trainable=False)(x))
    model.compile("adam", "mse")
    return model


def assert_same(found, model):
    described, expected = (
        [(name, layer.get_config()) for name, layer in leaves(each) if layer.weights]
        for each in (found, model)
    )
    assert described == expected
    for one, other in zip(found.weights, model.weights, strict=True):
        assert (one.name, one.dtype, one.trainable) == (other.name, other.dtype, other.trainable)
        assert_array_equal(one, other)


@pytest.mark.parametrize("criterion", [magnitude, unit_norm])
@pytest.mark.parametrize("make", [branched, lambda: make_mlp(4, (16, 12), 3)])
def test_the_model_comes_back_as_it_was(make, criterion):
    model = make()
    for each in (model, prune(model, make_masks(model, criterion, 0.6))):
        found = unpacked(packed(each))
        assert_same(found, each)
        assert found.compiled == each.compiled and found.loss == each.loss


@settings(max_examples=30, deadline=None)
@given(
    share=st.sampled_from([0, 0.01, 0.3, 1]),
    distinct=st.sampled_from([1, 2, 255, 256, 257, 0]),
    seed=st.integers(0, 99),
)
def test_whatever_the_weights_are_they_come_back(share, distinct, seed):
    rng = np.random.default_rng(seed)
    model = make_mlp(30, (40,), 7)
    kernel = rng.choice(rng.normal(size=distinct), 1200) if distinct else rng.normal(size=1200)
    kernel = (kernel * (rng.random(1200) < share)).astype(np.float32)
    model.layers[0].kernel.assign(kernel.reshape(30, 40))
    assert_same(unpacked(packed(model)), model)


def test_extreme_values_come_back():
    model = make_mlp(2, (3,), 1)
    tiny, huge = np.finfo(np.float32).smallest_subnormal, np.finfo(np.float32).max
    model.layers[0].kernel.assign([[tiny, -tiny, huge], [-huge, 0.0, 1.0]])
    assert_same(unpacked(packed(model)), model)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_other_kinds_of_floats_come_back(dtype):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype=dtype)])
    assert_same(unpacked(packed(model)), model)


def test_float16_rounds_the_weights_and_halves_the_file():
    model = make_mlp(64, (300, 100), 10)
    rounded = unpacked(packed(model, values="float16"))
    for one, other in zip(rounded.weights, model.weights, strict=True):
        assert_array_equal(one, np.asarray(other).astype(np.float16).astype(np.float32))
    assert packed_bytes(model, "float16") < 0.56 * packed_bytes(model)


def test_float16_refuses_weights_that_it_has_no_number_for():
    model = make_mlp(4, (6,), 3)
    model.layers[0].kernel.assign(7e4 - np.arange(24.0).reshape(4, 6))
    with pytest.raises(ValueError, match=r"7e\+04 is too large for float16. Pass values=.float32"):
        packed(model, values="float16")


def test_unknown_values_are_refused():
    with pytest.raises(ValueError, match=r'must be "float32" or "float16", got \'int8\''):
        packed(make_mlp(4, (6,), 3), values="int8")


def test_the_size_is_near_what_zeros_and_values_are_worth():
    rng, sparsity = np.random.default_rng(0), 0.95
    model = make_mlp(500, (1000,), 10)
    for layer in model.layers:
        layer.kernel.assign(rng.normal(size=layer.kernel.shape))
    pruned = prune(model, make_masks(model, magnitude, sparsity))
    zeros = -sparsity * np.log2(sparsity) - (1 - sparsity) * np.log2(1 - sparsity)
    values = 32 * (500_000 * (1 - sparsity) + 10_000)
    assert len(packed(pruned)) < (zeros * 500_000 + values) / 8
    kernel = np.asarray(pruned.layers[0].kernel)
    few = np.sign(kernel) * np.round(np.abs(kernel) * 4) / 4
    pruned.layers[0].kernel.assign(few)
    codes = np.unique(few[few != 0], return_counts=True)[1]
    bits = -(codes * np.log2(codes / codes.sum())).sum()
    assert len(packed(pruned)) < 1.15 * (zeros * 500_000 + bits + 32 * 10_000) / 8 + 2000


def test_a_held_mask_is_stored_once():
    model = make_mlp(300, (300,), 3)
    pruned = prune(model, make_masks(model, magnitude, 0.5))
    bare = make_mlp(300, (300,), 3)
    bare.set_weights(pruned.get_weights())
    assert packed_bytes(pruned) - packed_bytes(bare) < 500
    pruned.compile("sgd", "mse")
    found, before = unpacked(packed(pruned)), np.array(pruned.layers[0].kernel)
    found.fit(np.ones((8, 300)), np.ones((8, 3)), verbose=0)
    assert measure_sparsity(found) == 0.5
    assert not np.array_equal(found.layers[0].kernel, before)


def test_zeros_that_the_mask_keeps_stay_apart_from_it():
    model = make_mlp(4, (6,), 3)
    pruned = prune(model, {"hidden_1": np.arange(24).reshape(4, 6) % 2})
    kernel = np.array(pruned.layers[0].kernel)
    kernel[0, 1] = 0
    pruned.layers[0].kernel.assign(kernel)
    found = unpacked(packed(pruned))
    assert_same(found, pruned)
    assert np.asarray(found.layers[0].kernel_constraint.mask).sum() == 12


def test_the_same_model_makes_the_same_file():
    model = make_mlp(4, (6,), 3)
    assert packed(model) == packed(model)


def test_numpy_can_open_the_file():
    with np.load(io.BytesIO(packed(make_mlp(4, (6,), 3)))) as archive:
        assert {"masks", "codes", "codebooks", "floats", "others", "header"} == set(archive)
        assert len(archive["floats"]) == 4 * (24 + 18)


def test_a_truncated_file_is_refused():
    content = packed(make_mlp(4, (6,), 3))
    for size in (*range(0, len(content), 37), len(content) - 1):
        with pytest.raises(ValueError, match=r"truncated, altered.*Export the model again"):
            unpacked(content[:size])


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_an_altered_byte_is_refused_or_changes_nothing(step):
    model = prune(make_mlp(4, (6,), 3), {"hidden_1": np.arange(24).reshape(4, 6) % 3 > 0})
    content, refused = packed(model), 0
    for position in range(0, len(content), step):
        altered = bytearray(content)
        altered[position] ^= 0x55
        try:
            assert_same(unpacked(bytes(altered)), model)
        except ValueError as error:
            assert "truncated, altered" in str(error)
            refused += 1
    assert refused > 0.7 * len(content) / step


def test_what_is_no_packed_model_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ValueError, match=r"other\.npz is truncated, altered or no packed model"):
        read_packed(tmp_path / "other.npz")


def test_what_layers_derive_from_their_weights_comes_back():
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(3, 2, (100, 4)))
    inner = keras.Sequential([keras.Input((2, 4)), layers.TimeDistributed(normalization)])
    model = keras.Sequential([keras.Input((2, 4)), inner, layers.Flatten(), dense(2)])
    x = np.random.default_rng(1).normal(size=(3, 2, 4))
    np.testing.assert_allclose(unpacked(packed(model))(x), model(x), rtol=1e-5)


@keras.saving.register_keras_serializable(package="test")
class Counting(layers.Layer):
    """Stores a number that is no weight."""

    def call(self, inputs):
        return inputs

    def save_own_variables(self, store):
        store["count"] = np.array(3)


def test_layers_that_store_more_than_weights_are_refused():
    lookup = layers.IntegerLookup(vocabulary=[1, 2])
    for layer, kind in ((Counting(), "Counting"), (lookup, "IntegerLookup")):
        dtype = "int64" if layer is lookup else "float32"
        model = keras.Sequential([keras.Input((4,), dtype=dtype), layer])
        with pytest.raises(ValueError, match=rf"\({kind}\) stores more than.*Export to \.keras"):
            packed(model)


def test_a_model_never_built_is_refused():
    with pytest.raises(ValueError, match=r"'raw' was never built.*model\.build"):
        packed(keras.Sequential([dense(3)], name="raw"))


def test_a_missing_file_is_no_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_packed(tmp_path / "none.npz")


def with_header(content, change):
    """A packed model whose header was changed by a function."""
    with np.load(io.BytesIO(content)) as archive:
        arrays = dict(archive)
    header = change(json.loads(arrays["header"].tobytes()))
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def test_a_file_says_its_format_and_an_unknown_one_is_refused(mlp):
    content = packed(mlp)
    assert_same(unpacked(with_header(content, lambda header: header | {"version": 1})), mlp)
    newer = with_header(content, lambda header: header | {"version": header["version"] + 1})
    with pytest.raises(ValueError, match="is of format 2, this pruninglib reads format 1: upgrade"):
        unpacked(newer)


def test_a_file_from_before_there_were_versions_is_read(mlp):
    old = with_header(packed(mlp), lambda header: {k: header[k] for k in header if k != "version"})
    assert_same(unpacked(old), mlp)
