"""Retraining by schedule, with a teacher, and one compiled network that serves all masks."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from cases import more
from keras import layers
from networks import dense
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import (
    GradualPruning,
    budget,
    eager,
    evaluate,
    magnitude,
    make_masks,
    make_mlp,
    measure_sparsity,
    prune,
    prune_gradually,
    repair,
    retrain,
    train,
    unit_norm,
)
from pruninglib.recovery import retraining
from pruninglib.recovery.retraining import without_removed_units

ITERATIONS, BATCH, SEED, RATE, TOTAL = 15, 40, 3, 0.01, 200
DECAYS = {"budget": "linear", "linear": "linear", "constant": "constant", "rewound": "cosine"}
SGD = {"optimizer": "sgd", "learning_rate": 0.1}  # traced in a third of the time of Adam


def retrained(pruned, trained, tiny, **settings):
    defaults = {"iterations": ITERATIONS, "learning_rate": RATE, "total": TOTAL}
    defaults |= {"batch_size": BATCH, "seed": SEED}
    return retrain(pruned, trained, tiny.x_train, tiny.y_train, **defaults | settings)


def halved(trained, share=0.5):
    return prune(trained, make_masks(trained, magnitude, share))


def weights(model):
    return [np.array(weight) for weight in model.get_weights()]


def assert_same_weights(found, expected):
    for one, other in zip(weights(found), weights(expected), strict=True):
        assert_allclose(one, other, rtol=1e-4, atol=1e-6)


# ---- retrain


def test_retraining_on_batches_is_that_on_arrays(trained, tiny):
    pairs = tf.data.Dataset.from_tensor_slices((tiny.x_train, tiny.y_train)).batch(50)
    found = retrained(halved(trained), trained, tiny._replace(x_train=pairs, y_train=None))
    assert_same_weights(found, retrained(halved(trained), trained, tiny))


def test_the_metrics_of_the_model_stay():
    model = keras.Sequential([keras.Input((4,)), dense(5), dense(1, None)])
    model.compile("sgd", "mse", metrics=["mae", keras.metrics.RootMeanSquaredError(name="root")])
    pruned, x = halved(model), np.ones((20, 4), np.float32)
    retrain(pruned, model, x, x[:, 0], 2, **SGD)
    assert set(pruned.evaluate(x, x[:, 0], verbose=0, return_dict=True)) == {"loss", "mae", "root"}


def test_endless_batches_are_taken_as_far_as_needed(trained, tiny):
    few = tf.data.Dataset.from_tensor_slices((tiny.x_train, tiny.y_train)).batch(50).repeat()
    found = retrained(halved(trained), trained, tiny._replace(x_train=few, y_train=None))
    assert measure_sparsity(found) == 0.5


def test_a_model_of_two_inputs_is_retrained(tiny):
    inputs = [keras.Input((4,)), keras.Input((4,))]
    model = keras.Model(inputs, dense(3, None)(layers.Add()([dense(6)(x) for x in inputs])))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    pruned = prune(model, make_masks(model, magnitude, 0.5))
    before = weights(pruned)
    retrain(pruned, model, [tiny.x_train, tiny.x_train], tiny.y_train, 5, **SGD)
    assert measure_sparsity(pruned) == 0.5
    assert not np.array_equal(weights(pruned)[0], before[0])


@pytest.mark.parametrize("schedule", ["budget", *more("rewound", "linear", "constant")])
def test_retraining_by_name_is_training_by_that_rate_with_masks_held(schedule, trained, tiny):
    pruned = halved(trained)
    share = budget(pruned, trained, ITERATIONS, TOTAL) if schedule == "budget" else 1
    total = ITERATIONS if schedule == "rewound" else TOTAL  # to the start: the whole cosine
    found = retrained(pruned, trained, tiny, schedule=schedule, total=total, **SGD)
    assert found is pruned
    expected = halved(trained)
    settings = SGD | {"learning_rate": 0.1 * share, "decay": DECAYS[schedule]}
    train(expected, tiny.x_train, tiny.y_train, ITERATIONS, BATCH, SEED, **settings)
    assert_same_weights(found, expected)
    assert_array_equal(weights(found)[0] != 0, make_masks(trained, magnitude, 0.5)["hidden_1"])


@pytest.mark.more
@pytest.mark.parametrize("criterion", [unit_norm, *more(magnitude)])
def test_xla_trains_to_the_same_weights_with_masks_held(criterion, trained, tiny):
    masks = make_masks(trained, criterion, 0.5)
    one, other = (
        retrained(prune(trained, masks), trained, tiny, jit_compile=jit, **SGD)
        for jit in (True, False)
    )
    assert_same_weights(one, other)
    assert measure_sparsity(one) == measure_sparsity(prune(trained, masks))


def test_no_iterations_change_nothing(trained, tiny):
    pruned = halved(trained)
    before = weights(pruned)
    retrained(pruned, trained, tiny, iterations=0, distillation=0.5)
    for one, other in zip(before, weights(pruned), strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("distillation", [*more(0), 0.5])
def test_a_model_is_pruned_gradually_while_it_is_taught(distillation, trained, tiny):
    model = make_mlp(4, (8, 5), 3, "tanh")  # as the teacher, or another
    gradually = GradualPruning(magnitude, 0.75, 0, 10, 2)
    how = {"schedule": "rewound", "total": ITERATIONS, "distillation": distillation} | SGD
    assert retrained(model, trained, tiny, callbacks=[gradually], **how) is model
    assert measure_sparsity(model) == 0.75
    assert int(gradually.model.optimizer.iterations) == ITERATIONS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"distillation": 1.5}, r"distillation must be in \[0, 1\], got 1\.5"),
        ({"schedule": "cosine"}, r"schedule must be .*got 'cosine'"),
        ({"schedule": "rewound", "total": None}, r"total must be .*got None\. Pass it, or another"),
        ({"schedule": "rewound", "total": 3}, r"total must be .*at least 15, got 3"),
    ],
)
def test_schedules_that_cannot_be_are_refused(settings, message, trained, tiny):
    with pytest.raises(ValueError, match=message):
        retrained(halved(trained), trained, tiny, **settings)


# ---- distillation


@pytest.fixture(scope="module")
def taught(trained, tiny):
    """The pruned network retrained on the labels alone and on the dense network's outputs alone."""
    return [
        retrained(halved(trained), trained, tiny, distillation=share, iterations=100)
        for share in (0, 1)
    ]


def softened(model, x):
    """Return the outputs as probabilities at temperature 4."""
    exponentials = np.exp(eager(model)(x) / 4)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_distillation_pulls_the_outputs_towards_the_dense_ones(taught, trained, tiny):
    models = [halved(trained), *taught]
    wanted, *found = (softened(model, tiny.x_train) for model in (trained, *models))
    before, on_labels, on_outputs = (np.sum(wanted * np.log(wanted / q)) for q in found)
    assert on_outputs < 0.5 * before and on_outputs < on_labels


def test_one_step_of_distillation_is_what_the_formula_says(tiny):
    """Of one layer, with p the dense and q the softened outputs: the gradient is 4 x (q - p)."""
    model = make_mlp(4, (), 3)
    pruned = prune(model, make_masks(model, magnitude, 0.5, include=["logits"]))
    x, mask, (start,) = tiny.x_train, pruned.get_weights()[0] != 0, weights(pruned)
    outputs = np.exp(x @ start) / np.exp(x @ start).sum(axis=1, keepdims=True)
    on_labels = x.T @ (outputs - np.eye(3)[tiny.y_train]) / len(x)
    on_outputs = 4 * x.T @ (softened(pruned, x) - softened(model, x)) / len(x)
    settings = {"iterations": 1, "schedule": "constant", "batch_size": 120} | SGD
    retrained(pruned, model, tiny, distillation=0.25, **settings | {"learning_rate": 1})
    expected = mask * (start - 0.75 * on_labels - 0.25 * on_outputs)
    assert_allclose(weights(pruned)[0], expected, atol=1e-5)


def test_masks_are_held_in_distillation(taught, trained):
    masks = make_masks(trained, magnitude, 0.5)
    for model in taught:
        assert_array_equal(model.get_layer("hidden_1").kernel != 0, masks["hidden_1"])
        assert measure_sparsity(model) == 0.5


@pytest.mark.parametrize(
    "make",
    [
        lambda: [dense(3, "softmax", name="out")],
        lambda: [dense(3, None, name="out"), layers.Softmax()],
        lambda: [dense(3, None, name="out"), layers.Activation("sigmoid")],
    ],
)
def test_distillation_of_probabilities_is_refused(make, tiny):
    model = keras.Sequential([keras.Input((4,)), *make()])
    pruned = prune(model, {"out": np.ones(3)})
    refused = pytest.raises(ValueError, match=r"model .* are probabilities.*from_logits=True")
    with refused:
        retrained(pruned, model, tiny, distillation=0.5, schedule="linear")
    student = keras.Sequential([keras.Input((4,)), dense(3, None)])
    with refused:
        prune_gradually(student, model, tiny.x_train, tiny.y_train, 0.5, 40, jit_compile=False)


def test_distillation_of_a_single_output_is_refused(tiny):
    model = keras.Sequential([keras.Input((4,)), dense(1, None, name="out")])
    model.compile("sgd", "mse")
    pruned = prune(model, {"out": np.ones((4, 1))})
    with pytest.raises(ValueError, match=r"has a single output.*distillation=0"):
        retrained(pruned, model, tiny, distillation=0.5, schedule="linear")


@pytest.mark.more
def test_the_loss_of_the_model_is_the_default(tiny):
    """Two classes by one output: the loss that the model was compiled with falls."""
    model = keras.Sequential([keras.Input((4,)), dense(8), dense(1, "sigmoid", name="out")])
    model.compile("sgd", "binary_crossentropy")
    labels = (tiny.y_train == 1).astype("float32")
    pruned = prune(model, make_masks(model, magnitude, 0.5))
    (before,) = pruned.evaluate(tiny.x_train, labels, verbose=0, return_dict=True).values()
    retrain(pruned, model, tiny.x_train, labels, 60, schedule="linear", learning_rate=0.01)
    assert pruned.evaluate(tiny.x_train, labels, verbose=0, return_dict=True)["loss"] < before
    assert measure_sparsity(pruned) == 0.5


def test_a_loss_by_name_is_that_of_probabilities_as_for_keras(tiny):
    model = keras.Sequential([keras.Input((4,)), dense(8), dense(3, "softmax", name="out")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    pruned = prune(model, make_masks(model, magnitude, 0.5, include=["out"]))
    retrain(pruned, model, tiny.x_train, tiny.y_train, 5, schedule="linear", **SGD)
    found = evaluate(eager(pruned), tiny.x_test, tiny.y_test, pruned.loss)
    right = eager(pruned)(tiny.x_test)[np.arange(len(tiny.y_test)), tiny.y_test]
    assert found["loss"] == pytest.approx(-np.log(right).mean(), rel=1e-4)


def test_distillation_of_a_model_with_losses_of_its_own_is_refused(tiny):
    regularised = dense(3, None, name="out", kernel_regularizer="l2")
    model = keras.Sequential([keras.Input((4,)), regularised])
    pruned = prune(model, {"out": np.ones(3)})
    with pytest.raises(ValueError, match=r"losses of its own.*kernel_regularizer.*distillation=0"):
        retrained(pruned, model, tiny, distillation=0.5, schedule="linear")


def test_labels_that_the_loss_has_no_output_for_are_refused(trained, tiny):
    with pytest.raises(ValueError, match=r"A label is 3, but the model has 3 outputs.*own loss"):
        retrain(halved(trained), trained, tiny.x_train, tiny.y_train + 1, 5)


@pytest.mark.more
def test_steps_per_execution_change_nothing_but_the_time(trained, tiny):
    found, expected = (
        retrained(halved(trained), trained, tiny, steps_per_execution=steps, **SGD)
        for steps in (5, 1)
    )
    assert_same_weights(found, expected)
    with pytest.raises(ValueError, match=r"must divide the 15 iterations, got 4\. Pass .*=5"):
        retrained(halved(trained), trained, tiny, steps_per_execution=4)


def test_distillation_leaves_the_dense_model_untouched(trained, tiny):
    before, optimizer = weights(trained), trained.optimizer
    settings = {"distillation": 0.5, "loss": "categorical_crossentropy"} | SGD
    model = retrained(halved(trained), trained, tiny, **settings)
    assert model.loss.name == "categorical_crossentropy" and measure_sparsity(model) == 0.5
    for one, other in zip(before, weights(trained), strict=True):
        assert_array_equal(one, other)
    assert trained.trainable and all(layer.trainable for layer in trained.layers)
    assert trained.optimizer is optimizer and len(trained.trainable_weights) == 3


def test_keras_without_distillation_is_named_and_what_to_do(trained, tiny, monkeypatch):
    monkeypatch.delattr(keras, "distillation")
    with pytest.raises(ValueError, match=r"no keras\.distillation.* 3\.12\. Upgrade: pip install"):
        retrained(halved(trained), trained, tiny, distillation=0.5)


# ---- retrainer


def retrainer(model, masks, dataset, iterations=ITERATIONS, **settings):
    """The library's, for one number of iterations: a function that returns the network."""
    how = {"batch_size": BATCH, "seed": SEED} | settings
    run = retraining.retrainer(model, masks, dataset, [iterations], **how)

    def retrain(*arguments):
        ((_, network),) = run(*arguments)
        return network

    return retrain


@pytest.fixture(scope="module")
def weights_retrainer(trained, tiny):
    return retrainer(
        trained, make_masks(trained, magnitude, 0.5), tiny, learning_rate=RATE, total=TOTAL
    )


def test_result_is_that_of_retrain_whatever_came_before(weights_retrainer, trained, tiny):
    for share, held in ((0.9, True), (0.3, False)):
        weights_retrainer(halved(trained, share), make_masks(trained, magnitude, share), held)
    repaired = repair(halved(trained, 0.7), trained, tiny.x_train)
    found = weights_retrainer(repaired, make_masks(trained, magnitude, 0.7), True)
    assert_same_weights(found, retrained(repaired, trained, tiny))


@pytest.mark.more
def test_rewinding_is_that_of_retrain_too(trained, tiny):
    masks = make_masks(trained, magnitude, 0.7)
    settings = SGD | {"schedule": "rewound", "total": 2 * ITERATIONS}
    found = retrainer(trained, masks, tiny, **settings)(prune(trained, masks), masks, True)
    expected = prune(trained, masks)
    retrained(expected, trained, tiny, schedule="rewound", **SGD | {"total": 2 * ITERATIONS})
    assert_same_weights(found, expected)


@pytest.mark.more
@pytest.mark.parametrize("criterion", [unit_norm, magnitude])
def test_distillation_is_that_of_retrain_too(criterion, trained, tiny):
    masks = make_masks(trained, criterion, 0.5)
    run = retrainer(trained, masks, tiny, total=TOTAL, distillation=0.5, **SGD)
    for _ in range(2):  # nothing is left of the first
        found = run(prune(trained, masks), masks, True)
    expected = retrained(prune(trained, masks), trained, tiny, distillation=0.5, **SGD)
    outputs, wanted = (eager(model)(tiny.x_test) for model in (found, expected))
    assert_allclose(outputs, wanted, rtol=1e-3, atol=1e-4)
    plain = retrained(prune(trained, masks), trained, tiny, **SGD)
    assert np.abs(outputs - eager(plain)(tiny.x_test)).max() > 0.05


@pytest.mark.more
@pytest.mark.parametrize("criterion", [unit_norm, magnitude])
def test_the_loss_is_the_model_s_own_as_in_retrain(criterion, tiny):
    model = keras.Sequential([keras.Input((4,)), dense(8), dense(3, None, name="out")])
    model.compile("sgd", "mean_squared_error")
    masks = make_masks(model, criterion, 0.5)
    run = retrainer(model, masks, tiny, schedule="linear", **SGD)
    found = run(prune(model, masks), masks, True)
    expected = retrained(prune(model, masks), model, tiny, schedule="linear", **SGD)
    assert expected.loss is keras.losses.mean_squared_error
    outputs, wanted = (eager(network)(tiny.x_test) for network in (found, expected))
    assert_allclose(outputs, wanted, rtol=1e-3, atol=1e-4)


def test_held_masks_hold_and_free_ones_let_weights_grow_back(weights_retrainer, trained):
    masks, pruned = make_masks(trained, magnitude, 0.5), halved(trained)
    held = weights_retrainer(pruned, masks, True)
    assert_array_equal(np.asarray(held.get_layer("hidden_1").kernel) != 0, masks["hidden_1"])
    assert measure_sparsity(weights_retrainer(pruned, masks, False)) < 0.4
    assert measure_sparsity(weights_retrainer(pruned, masks, True)) == 0.5


@pytest.mark.more
@pytest.mark.parametrize("criterion", [unit_norm, magnitude])
def test_one_training_passes_through_several_numbers_of_iterations(criterion, trained, tiny):
    masks = make_masks(trained, criterion, 0.5)
    settings = SGD | {"batch_size": BATCH, "schedule": "constant"}
    run = retraining.retrainer(trained, masks, tiny, [4, 10, 15], seed=SEED, **settings)
    found = {n: eager(net)(tiny.x_test) for n, net in run(prune(trained, masks), masks, True)}
    for number, outputs in found.items():
        alone = retrainer(trained, masks, tiny, number, **settings)
        expected = eager(alone(prune(trained, masks), masks, True))(tiny.x_test)
        assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(found[4] - found[15]).max() > 0.01


def test_neither_the_dense_nor_the_pruned_model_is_changed(trained, weights_retrainer):
    masks, pruned = make_masks(trained, magnitude, 0.5), halved(trained)
    before = weights(trained), weights(pruned)
    weights_retrainer(pruned, masks, True)
    for found, model in zip(before, (trained, pruned), strict=True):
        for one, other in zip(found, weights(model), strict=True):
            assert_array_equal(one, other)


@pytest.fixture(scope="module")
def units_retrainer(trained, tiny):
    return retrainer(trained, make_masks(trained, unit_norm, 0.5), tiny, total=TOTAL, **SGD)


@pytest.mark.parametrize("repaired", [True, *more(False)])
def test_removed_units_are_left_out_with_the_same_result(repaired, units_retrainer, trained, tiny):
    masks = make_masks(trained, unit_norm, 0.5)
    pruned = prune(trained, masks)
    if repaired:
        pruned = repair(pruned, trained, tiny.x_train)
    before = eager(pruned)(tiny.x_test)
    small = units_retrainer(pruned, masks, True)
    assert [layer.units for layer in small.layers] == [8, 6, 3]
    full = retrained(pruned, trained, tiny, **SGD)
    assert_allclose(eager(small)(tiny.x_test), eager(full)(tiny.x_test), rtol=1e-3, atol=1e-3)
    assert np.abs(eager(full)(tiny.x_test) - before).max() > 0.05


def test_free_units_are_not_left_out(units_retrainer, trained):
    masks = make_masks(trained, unit_norm, 0.5)
    free = units_retrainer(prune(trained, masks), masks, False)
    assert [layer.units for layer in free.layers] == [16, 12, 3]
    assert without_removed_units(free, masks) is not free, "ReLU units at zero get no gradient"


def test_biased_networks_are_retrained_at_full_size(tiny):
    """Folded constants would become biases that train, so the small network would differ."""
    model = keras.Sequential([keras.Input((4,)), dense(6, "sigmoid"), dense(3)])
    model.compile(loss="sparse_categorical_crossentropy")
    masks = make_masks(model, unit_norm, 0.5)
    run = retrainer(model, masks, tiny, 2, schedule="linear", **SGD)
    network = run(prune(model, masks), masks, True)
    assert network.layers[0].units == 6
    assert measure_sparsity(network) == 0.5


def test_networks_without_removed_units_stay_as_they_are(mlp):
    for masks in (make_masks(mlp, magnitude, 0.5), make_masks(mlp, unit_norm, 0)):
        pruned = prune(mlp, masks)
        assert without_removed_units(pruned, masks) is pruned


def test_removed_units_go_where_they_can(mlp):
    masks = make_masks(mlp, unit_norm, 0.5)
    smaller = without_removed_units(prune(mlp, masks), masks)
    assert smaller.get_layer("hidden_1").units == 3
    parts = [dense(4, name="a"), layers.LayerNormalization(), dense(2)]
    masks = {"a": np.array([1, 0, 1, 1])}
    pruned = prune(keras.Sequential([keras.Input((4,)), *parts]), masks)
    assert without_removed_units(pruned, masks) is pruned


def test_retraining_refuses_models_that_cannot_be_read(bad_model, tiny):
    model, error, match = bad_model
    dense_model = make_mlp(4, (6, 5), 3)
    with pytest.raises(error, match=match):
        retrain(model, dense_model, tiny.x_train, tiny.y_train, 1, total=10)
