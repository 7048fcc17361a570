"""Accuracy and loss of known outputs; every column of the table against its own function."""

from functools import partial

import keras
import numpy as np
import pytest

from pruninglib import (
    compare,
    count_macs,
    count_parameters,
    eager,
    evaluate,
    file_bytes,
    make_masks,
    prune,
    unit_norm,
)
from pruninglib.experiments import evaluation
from pruninglib.experiments.timing import time_models

LOGITS = np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 0.5], [1.0, 0.0]], np.float32)
LABELS = np.array([0, 0, 0, 1, 1])
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def known(positions):
    """A network that looks its outputs up."""
    return LOGITS[positions]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_accuracy_and_loss_do_not_depend_on_the_batches(batch_size):
    margins = np.array([2, -1, 3, 0.5, -1])
    result = evaluate(known, np.arange(5), LABELS, LOSS, batch_size)
    assert result["accuracy"] == 0.6
    assert result["loss"] == pytest.approx(np.log1p(np.exp(-margins)).mean(), rel=1e-5)


def test_loss_may_be_a_name():
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)
    run, labels = (lambda x: probabilities[x]), np.array([1, 0])
    result = evaluate(run, np.arange(2), labels, "sparse_categorical_crossentropy")
    assert result["loss"] == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2, rel=1e-5)


def test_agrees_with_keras(trained, tiny):
    loss, accuracy = trained.evaluate(tiny.x_test, tiny.y_test, verbose=0)
    result = evaluate(eager(trained), tiny.x_test, tiny.y_test, trained.loss)
    assert result == pytest.approx({"accuracy": accuracy, "loss": loss}, rel=1e-5)


def test_table_has_one_row_a_network_with_all_that_it_costs(trained, tiny, monkeypatch):
    monkeypatch.setattr(evaluation, "time_models", partial(time_models, limit=2))
    models = {"dense": trained, "half": prune(trained, make_masks(trained, unit_norm, 0.5))}
    table = compare(models, tiny, batch_sizes=(1, 8), repeats=2)
    measured = ["label", "accuracy", "loss", "parameters", "nonzero", "macs"]
    measured += ["file_bytes", "gzip_bytes"]
    times = [f"ms_{size}{end}" for size in (1, 8) for end in ("", "_q1", "_q3", "_steady")]
    assert list(table.columns) == measured + times
    assert list(table["label"]) == list(models)
    for row, model in zip(table.to_dict("records"), models.values(), strict=True):
        expected = evaluate(eager(model), tiny.x_test, tiny.y_test, model.loss)
        assert row["accuracy"] == expected["accuracy"]
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-5)
        assert row["parameters"] == count_parameters(model) == 64 + 192 + 36
        assert row["nonzero"] == count_parameters(model, nonzero=True)
        assert row["macs"] == count_macs(model)
        assert row["file_bytes"] == file_bytes(model)
        assert 0 < row["gzip_bytes"] < row["file_bytes"]
        for size in (1, 8):
            assert 0 < row[f"ms_{size}_q1"] <= row[f"ms_{size}"] <= row[f"ms_{size}_q3"]
    assert table["nonzero"].tolist() == [292, 32 + 96 + 36]


def test_macs_that_cannot_be_counted_are_nan(tiny, monkeypatch):
    monkeypatch.setattr(evaluation, "time_models", partial(time_models, limit=2))
    class_count = int(tiny.y_test.max()) + 1
    inputs = keras.Input(tiny.x_test.shape[1:])
    steps = keras.layers.Reshape((-1, 1, 1, 1))(inputs)
    x = keras.layers.Flatten()(keras.layers.ConvLSTM2D(1, 1)(steps))
    model = keras.Model(inputs, keras.layers.Dense(class_count)(x))
    model.compile(loss=LOSS)
    table = compare({"recurrent": model}, tiny, batch_sizes=(1,), repeats=1)
    assert np.isnan(table["macs"][0]) and table["parameters"][0] == count_parameters(model)


@pytest.mark.parametrize("other", [([1], [2]), None])
def test_what_is_no_dataset_or_no_models_by_label_is_refused(trained, tiny, other):
    with pytest.raises(TypeError, match=r"got dict and .*pl\.Dataset\(name"):
        compare({"dense": trained}, other)
    with pytest.raises(TypeError, match="got list and Dataset"):
        compare([trained], tiny)


def test_a_model_without_a_loss_is_refused():
    with pytest.raises(ValueError, match=r"has no loss\. Compile it"):
        evaluate(known, np.arange(5), LABELS, None)


def test_labels_of_another_shape_are_refused():
    for labels in (LABELS[:, None], np.eye(2)[LABELS], LABELS[:4]):
        with pytest.raises(ValueError, match=r"Expected 5 labels as integers, got shape \("):
            evaluate(known, np.arange(5), labels, LOSS)


def test_a_single_output_is_refused():
    with pytest.raises(ValueError, match=r"one output for each class, got shape \(5, 1\)"):
        evaluate(lambda x: np.ones((len(x), 1)), np.arange(5), LABELS, "binary_crossentropy")
