"""Accuracy and loss of known outputs; every column of the table against its own function."""

from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from pruninglib import (
    Dataset,
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


def test_several_losses_are_refused():
    with pytest.raises(ValueError, match=r"Expected one output and one loss.*each by itself"):
        evaluate(known, np.arange(5), LABELS, {"a": "mse", "b": "mse"})


# ---- with a single output


SCORES = np.array([[-2.0], [0.2], [0.7], [3.0], [-0.1]], np.float32)  # 3 of 5 right with LABELS
BINARY = {
    "logits": (keras.losses.BinaryCrossentropy(from_logits=True), SCORES),
    "focal": (keras.losses.BinaryFocalCrossentropy(from_logits=True), SCORES),
    "probabilities": ("binary_crossentropy", 1 / (1 + np.exp(-SCORES))),
    "hinge": ("hinge", SCORES),
}


@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None], LABELS.astype(bool)], ids=str)
@pytest.mark.parametrize(("loss", "outputs"), BINARY.values(), ids=BINARY)
def test_a_binary_classifier_has_an_accuracy(loss, outputs, labels):
    found = evaluate(lambda i: outputs[i], np.arange(5), labels, loss)
    assert found["accuracy"] == np.mean((SCORES.ravel() > 0) == LABELS)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Identity()])
    model.compile(loss=loss)
    wanted = model.evaluate(outputs, labels.astype(int), verbose=0)
    assert found["loss"] == pytest.approx(wanted, rel=1e-5)


def test_numbers_have_a_loss_and_no_accuracy():
    found = evaluate(lambda i: SCORES[i], np.arange(5), SCORES[:, 0] + 2, "mse")
    assert found == {"loss": pytest.approx(4)}
    found = evaluate(lambda i: LOGITS[i], np.arange(5), LOGITS - 1, "mae")
    assert found == {"loss": pytest.approx(1)}


def one_output(loss, metrics=()):
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 6)).astype(np.float32)
    hidden = [keras.layers.Dense(units, "relu") for units in (8, 5)]
    model = keras.Sequential([keras.Input((6,)), *hidden, keras.layers.Dense(1)])
    model.compile("sgd", loss, metrics=list(metrics))
    return model, Dataset("own", *(x, (x[:, 0] > 0).astype(int)) * 3)


def test_a_binary_classifier_is_compared():
    model, data = one_output(keras.losses.BinaryCrossentropy(from_logits=True))
    (row,) = compare({"it": model}, data, batch_sizes=()).to_dict("records")
    right = (model.predict(data.x_test, verbose=0)[:, 0] > 0) == data.y_test
    assert row["accuracy"] == right.mean()


def test_what_is_no_classifier_is_compared_by_its_own_metrics():
    model, data = one_output("mse", ["mae", keras.metrics.RootMeanSquaredError(name="rmse")])
    (row,) = compare({"it": model}, data, batch_sizes=()).to_dict("records")
    wanted = model.evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)
    assert "accuracy" not in row
    assert {name: row[name] for name in wanted} == pytest.approx(wanted, rel=1e-5)


def test_a_test_set_in_batches_is_compared(trained, tiny):
    batches = tf.data.Dataset.from_tensor_slices((tiny.x_test, tiny.y_test)).batch(7)
    rows = [
        compare({"it": trained}, data, batch_sizes=()).iloc[0].to_dict()
        for data in (tiny, tiny._replace(x_test=batches, y_test=None))
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("loss", ["kl_divergence", "cosine_similarity", "mse"])
def test_losses_of_sequences_are_those_of_keras(loss):
    parts = [keras.layers.Dense(6, "relu"), keras.layers.Dense(4, "softmax")]
    model = keras.Sequential([keras.Input((5, 3)), *parts])
    model.compile(loss=loss)
    random = np.random.default_rng(0)
    x = random.normal(size=(20, 5, 3)).astype(np.float32)
    y = random.dirichlet(np.ones(4), (20, 5)).astype(np.float32)
    wanted = model.evaluate(x, y, verbose=0)
    assert evaluate(eager(model), x, y, loss) == {"loss": pytest.approx(wanted, rel=1e-4)}


def test_classes_of_each_step_of_a_sequence_have_an_accuracy():
    outputs = np.array([[[2.0, 0], [0, 1]], [[3.0, 0], [0, 5]]], np.float32)
    found = evaluate(lambda i: outputs[i], np.arange(2), np.array([[0, 1], [1, 1]]), LOSS)
    assert found["accuracy"] == 0.75


def test_soft_labels_of_two_classes_are_nearer_to_one_of_them():
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    soft = np.where(SCORES > 0, 0.9, 0.1)
    assert evaluate(lambda i: SCORES[i], np.arange(5), soft, loss)["accuracy"] == 1


def test_a_classifier_has_its_other_metrics_too():
    model, data = one_output(keras.losses.BinaryCrossentropy(from_logits=True), ["AUC"])
    (row,) = compare({"it": model}, data, batch_sizes=()).to_dict("records")
    wanted = model.evaluate(data.x_test, data.y_test, verbose=0, return_dict=True)
    assert row["AUC"] == pytest.approx(wanted["AUC"]) and 0 < row["accuracy"] < 1
