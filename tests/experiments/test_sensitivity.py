"""What each layer alone can lose."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from pruninglib import (
    compiled,
    evaluate,
    magnitude,
    make_masks,
    prune,
    sensitivity,
    tolerated,
    unit_norm,
)

SPARSITIES = [0.0, 0.5, 0.9]


@pytest.fixture(params=[magnitude, unit_norm])
def criterion(request):
    return request.param


def test_rows_equal_those_of_models_with_one_layer_pruned(trained, tiny, criterion):
    data = tiny.x_validation, tiny.y_validation
    table = pd.DataFrame(sensitivity(trained, criterion, SPARSITIES, data, labels={"seed": 3}))
    assert list(table["layer"]) == ["hidden_1"] * 3 + ["hidden_2"] * 3
    assert set(table["seed"]) == {3}
    dense = evaluate(compiled(trained), *data, trained.loss)["accuracy"]
    for row in table.itertuples():
        alone = prune(trained, make_masks(trained, criterion, {row.layer: row.sparsity}))
        expected = evaluate(compiled(alone), *data, trained.loss)
        assert row.accuracy == expected["accuracy"]
        assert row.loss == pytest.approx(expected["loss"], rel=1e-5)
        assert row.lost == pytest.approx(dense - row.accuracy)
        assert row.measured_sparsity == pytest.approx(row.sparsity, abs=0.07)


def test_layers_are_chosen(trained, tiny):
    data = tiny.x_validation, tiny.y_validation
    rows = list(sensitivity(trained, magnitude, [0.5], data, include=["logits", "hidden_1"]))
    assert [row["layer"] for row in rows] == ["hidden_1", "logits"]
    rows = list(sensitivity(trained, magnitude, [0.5], data, exclude="hidden_1"))
    assert [row["layer"] for row in rows] == ["hidden_2"]


def test_the_model_is_left_as_it_was(trained, tiny):
    before = trained.get_weights()
    list(sensitivity(trained, magnitude, [0.9], (tiny.x_validation, tiny.y_validation)))
    for found, expected in zip(trained.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_what_is_tolerated_goes_into_make_masks(trained):
    lost = [0.0, 0.01, 0.2, 0.0, 0.1, 0.3]
    layers = ["hidden_1"] * 3 + ["hidden_2"] * 3
    table = pd.DataFrame({"layer": layers, "sparsity": SPARSITIES * 2, "lost": lost})
    assert tolerated(table) == {"hidden_1": 0.5, "hidden_2": 0.0}
    assert tolerated(table, 0.15) == {"hidden_1": 0.5, "hidden_2": 0.5}
    masks = make_masks(trained, magnitude, tolerated(table))
    assert {name: 1 - mask.mean() for name, mask in masks.items()} == tolerated(table)


def test_refuses_models_that_cannot_be_pruned(bad_model, tiny):
    model, error, match = bad_model
    with pytest.raises(error, match=match):
        list(sensitivity(model, magnitude, [0.5], (tiny.x_test, tiny.y_test)))


def test_a_typo_is_an_error_and_no_column(trained, tiny):
    with pytest.raises(TypeError):
        next(sensitivity(trained, magnitude, [0.5], (tiny.x_test, tiny.y_test), exclud="logits"))


def test_validation_data_may_come_in_batches(trained, tiny):
    data = tiny.x_validation, tiny.y_validation
    batches = tf.data.Dataset.from_tensor_slices(data).batch(5)
    wanted = list(sensitivity(trained, magnitude, [0.5], data))
    assert list(sensitivity(trained, magnitude, [0.5], batches)) == wanted


def test_of_what_is_no_classifier_the_loss_rises(tiny):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5), keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    data = tiny.x_validation, tiny.x_validation[:, 0]
    (row,) = sensitivity(model, magnitude, [0.9], data)
    pruned = prune(model, make_masks(model, magnitude, 0.9))
    (before, _), (after, mae) = (m.evaluate(*data, verbose=0) for m in (model, pruned))
    assert [row["loss"], row["mae"]] == pytest.approx([after, mae], rel=1e-5)
    assert row["lost"] == pytest.approx(after - before, rel=1e-5)
