"""What is exported is loaded again; damaged files, unknown suffixes and failures leave no trace."""

import hashlib

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

from pruninglib import (
    Executable,
    export,
    load,
    magnitude,
    make_masks,
    make_mlp,
    measure_sparsity,
    prune,
)
from pruninglib.backend import native_stderr_silenced, tensorflow_log_silenced

X = np.random.default_rng(0).random((5, 4), np.float32)
SUFFIXES = [".keras", ".npz", ".tflite"]


@pytest.fixture(scope="module")
def pruned():
    model = make_mlp(4, (16, 12), 3)
    model.compile("adam", "mse")
    return prune(model, make_masks(model, magnitude, 0.5))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_loaded_computes_the_same(suffix, pruned, tmp_path):
    export(pruned, tmp_path / f"model{suffix}")
    found = load(str(tmp_path / f"model{suffix}"))
    assert_allclose(found(X), pruned(X), rtol=1e-5, atol=1e-6)
    if suffix == ".tflite":
        assert isinstance(found, Executable) and found.runtime == "LiteRT"
    else:
        assert found.compiled
        found.fit(np.ones((8, 4)), np.ones((8, 3)), verbose=0)
        assert measure_sparsity(found) == 0.5


def test_settings_reach_the_form(pruned, tmp_path):
    big = make_mlp(64, (200, 100), 10)
    big = prune(big, make_masks(big, magnitude, 0.9))
    for suffix, how in {".npz": {"values": "float16"}, ".tflite": {"sparse": True}}.items():
        plain, smaller = tmp_path / f"plain{suffix}", tmp_path / f"smaller{suffix}"
        export(big, plain)
        export(big, smaller, **how)
        assert smaller.stat().st_size < 0.8 * plain.stat().st_size
        assert_allclose(
            load(smaller)(np.ones((2, 64))), big(np.ones((2, 64))), rtol=0.02, atol=0.02
        )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_files_are_refused(suffix, pruned, tmp_path):
    path = tmp_path / f"model{suffix}"
    export(pruned, path)
    whole = path.read_bytes()
    for content in (b"", whole[:-1], whole[: len(whole) // 2], b"junk" * 100):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"model\{suffix} is truncated, altered"):
            load(path)


@pytest.mark.parametrize("suffix", [".keras", ".npz"])  # those with checksums
def test_altered_files_are_refused_or_unchanged(suffix, pruned, tmp_path):
    path = tmp_path / f"model{suffix}"
    export(pruned, path)
    whole, expected = path.read_bytes(), pruned(X)
    anywhere = [(position, 0xFF) for position in range(7, len(whole), len(whole) // 40)]
    in_directory = [(position, 85) for position in range(len(whole) - 300, len(whole), 5)]
    for position, bits in anywhere + in_directory:
        altered = bytearray(whole)
        altered[position] ^= bits
        path.write_bytes(altered)
        try:
            found = load(path)
        except ValueError as error:
            assert "is truncated, altered" in str(error)
        else:
            assert_allclose(found(X), expected, rtol=1e-5, atol=1e-6)


def test_litert_refuses_a_truncated_file_itself(pruned, tmp_path):
    path = tmp_path / "model.tflite"
    export(pruned, path)
    whole = path.read_bytes()
    for share in np.linspace(0, 0.999, 30):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=r"model\.tflite is truncated, altered"):
            load(path)


def test_litert_files_of_others_are_read(pruned, tmp_path):
    pruned.export(tmp_path / "other.tflite", format="litert", verbose=False)
    assert_allclose(load(tmp_path / "other.tflite")(X), pruned(X), rtol=1e-5, atol=1e-6)


def test_litert_files_with_the_checksum_of_former_versions_are_read(pruned, tmp_path):
    path = tmp_path / "model.tflite"
    export(pruned, path)
    content = path.read_bytes()
    path.write_bytes(content + b"pruninglib sha256" + hashlib.sha256(content).digest())
    assert_allclose(load(path)(X), pruned(X), rtol=1e-5, atol=1e-6)


def quantized(model):
    """The model's LiteRT file with eight-bit inputs and outputs, as others make it."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in X.astype(np.float32))
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with native_stderr_silenced(), tensorflow_log_silenced():
        return converter.convert()


@pytest.mark.filterwarnings("ignore::UserWarning")  # of the converter
def test_a_quantized_file_takes_no_floats_for_whole_numbers(pruned, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(quantized(pruned))
    run = load(path)
    with pytest.raises(ValueError, match=r"Expected inputs of int8, got float32.*quantized"):
        run(np.zeros((2, X.shape[1]), np.float32))
    assert run(np.zeros((2, X.shape[1]), np.int8)).dtype == np.int8


def test_a_litert_file_takes_several_inputs_by_name(tmp_path):
    ids, numbers = keras.Input((4,), dtype="int32", name="b"), keras.Input((4,), name="c")
    more = keras.Input((4,), name="a")
    words = keras.layers.Flatten()(keras.layers.Embedding(9, 2)(ids))
    parts = [words, keras.layers.Subtract()([numbers, more])]
    model = keras.Model([ids, numbers, more], keras.layers.Concatenate()(parts))
    export(model, tmp_path / "three.tflite")
    run = load(tmp_path / "three.tflite")
    for count in (5, 0, 1, 5):
        given = {"a": X[:count], "b": np.arange(4 * count).reshape(-1, 4) % 9, "c": X[::-1][:count]}
        expected = model([given[name] for name in "bca"])
        assert_allclose(run(given), expected, rtol=1e-5, atol=1e-6)
    for wrong in (X, [X, X, X], {"a": X}):
        with pytest.raises(ValueError, match=r"one array for each of \['c', 'b', 'a'\], got"):
            run(wrong)
    with pytest.raises(
        ValueError, match=r"as many examples in each input, got {'c': 4, 'b': 5, 'a"
    ):
        run(given | {"c": X[:4]})
    with pytest.raises(ValueError, match="Expected inputs of int32, got float32"):
        run(given | {"b": X})


def test_a_litert_file_with_several_outputs_is_refused_as_such(tmp_path):
    given = keras.Input((3,))
    model = keras.Model(given, [keras.layers.ReLU()(given), keras.layers.Softmax()(given)])
    model.export(tmp_path / "two.tflite", format="litert", verbose=False)
    with pytest.raises(ValueError, match=r"two\.tflite: The LiteRT model has 1 inputs and 2 out"):
        load(tmp_path / "two.tflite")
    with pytest.raises(ValueError, match="1 known inputs and 2 outputs, expected one output and a"):
        export(model, tmp_path / "ours.tflite")


@pytest.mark.parametrize(
    ("kind", "length"), [("SimpleRNN", None), pytest.param("GRU", 6, marks=pytest.mark.more)]
)
def test_no_litert_file_is_written_that_cannot_run(kind, length, tmp_path):
    layer = getattr(keras.layers, kind)
    parts = [keras.layers.Conv1D(3, 2), keras.layers.Bidirectional(layer(2))]
    model = keras.Sequential([keras.Input((length, 4)), *parts])
    with pytest.raises(
        ValueError, match=r"LiteRT cannot run .*float32, LSTM, GRU .* with unroll=True"
    ):
        export(model, tmp_path / "model.tflite")
    assert list(tmp_path.iterdir()) == []


def test_unrolled_recurrent_layers_are_exported(tmp_path):
    model = keras.Sequential([keras.Input((5, 4)), keras.layers.LSTM(2, unroll=True)])
    export(model, tmp_path / "model.tflite")
    sequences = np.stack([X] * 2)
    assert_allclose(load(tmp_path / "model.tflite")(sequences), model(sequences), atol=1e-5)


@pytest.mark.parametrize("side", [40, 1])
def test_models_of_any_size_are_tried_at_one_that_they_take(side, tmp_path):
    """Large images only, or few words only."""
    if side == 1:
        parts = [keras.Input((None,), dtype="int32"), keras.layers.Embedding(5, 2)]
        parts += [keras.layers.Reshape((2,))]
    else:
        parts = [keras.Input((None, None, 1)), keras.layers.Conv2D(2, 40)]
        parts += [keras.layers.GlobalMaxPooling2D()]
    export(keras.Sequential(parts), tmp_path / "model.tflite")
    shape = (2, 1) if side == 1 else (2, 40, 41, 1)
    found = load(tmp_path / "model.tflite")(np.ones(shape, parts[0].dtype))
    assert_allclose(found, keras.Sequential(parts)(np.ones(shape, parts[0].dtype)), rtol=1e-5)


@pytest.mark.parametrize(
    "function", [lambda path, model: export(model, path), lambda p, m: load(p)]
)
def test_unknown_suffixes_are_refused(function, pruned, tmp_path):
    with pytest.raises(ValueError, match=r"ending in \.keras, \.npz, \.tflite, got .*model\.h5'"):
        function(tmp_path / "model.h5", pruned)


def test_threads_of_a_loaded_litert_file(pruned, tmp_path):
    export(pruned, tmp_path / "model.tflite")
    one = load(tmp_path / "model.tflite", threads=1)
    assert one.threads == 1
    assert_allclose(one(X), pruned(X), rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match=r"\.keras files have no setting threads"):
        load(tmp_path / "model.keras", threads=1)


def test_settings_that_a_form_does_not_have_are_refused(pruned, tmp_path):
    with pytest.raises(TypeError, match=r"\.npz files have no setting sparse"):
        export(pruned, tmp_path / "model.npz", sparse=True)
    with pytest.raises(TypeError, match=r"\.keras files have no setting values"):
        export(pruned, tmp_path / "model.keras", values="float16")
    with pytest.raises(TypeError, match="values"):
        export(pruned, tmp_path / "model.tflite", values="float16")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_export_leaves_the_file_that_was_there(suffix, tmp_path, monkeypatch):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"before")

    def fails(*arguments, **settings):
        raise OSError("disk full")

    model = make_mlp(4, (3,), 2)
    for name in ("save", "export"):
        monkeypatch.setattr(keras.Model, name, fails)
    monkeypatch.setattr("pruninglib.execution.files.write_packed", fails)
    with pytest.raises(OSError, match="disk full"):
        export(model, path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*model\.npz"):
        load(tmp_path / "model.npz")


@pytest.mark.parametrize("suffix", [".keras", ".npz"])
def test_a_layer_in_several_models_which_keras_does_not_read_back_is_refused(suffix, tmp_path):
    shared, inner, inputs = keras.layers.Dense(4), keras.Input((4,)), keras.Input((4,))
    nested = keras.Model(inner, shared(inner), name="nested")
    model = keras.Model(inputs, shared(nested(inputs)))
    with pytest.raises(ValueError, match=r"the layers \[.*dense.*\] stand in several"):
        export(model, tmp_path / f"model{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".keras", ".npz"])
def test_what_load_could_not_read_is_not_written(suffix, tmp_path):
    twice = keras.layers.Lambda(lambda x: 2 * x)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), twice])
    path = tmp_path / f"model{suffix}"
    with pytest.raises(ValueError, match="was not written, for load could not read it again"):
        export(model, path)
    assert not path.exists()
