"""Gradual pruning: the schedule, exact sparsity at its end, and zeros that never come back."""

from itertools import pairwise

import keras
import numpy as np
import pytest
from cases import more
from keras import layers
from networks import dense, with_moving_average
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import (
    GradualPruning,
    magnitude,
    make_masks,
    measure_sparsity,
    prune,
    random_scores,
    random_unit_scores,
    repair,
    shrink,
    strip,
    unit_norm,
)
from pruninglib.pruning.prune import HoldMask


def network(optimizer="sgd", **settings):
    """4-8-6-3, compiled."""
    keras.utils.set_random_seed(1)
    parts = [dense(8, "tanh", name="a", **settings), dense(6, "tanh", name="b")]
    model = keras.Sequential([keras.Input((4,)), *parts, dense(3, None, name="logits")])
    return compiled(model, optimizer=optimizer)


def compiled(model, **settings):
    """Compile with what takes the least time to trace: SGD and no XLA."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(**{"optimizer": "sgd", "loss": loss, "jit_compile": False} | settings)
    return model


def fit(model, tiny, *callbacks, epochs=3):
    """Train for epochs of four batches."""
    settings = {"batch_size": 30, "shuffle": False, "verbose": 0}
    model.fit(tiny.x_train, tiny.y_train, epochs=epochs, callbacks=list(callbacks), **settings)
    return model


def halving(criterion=magnitude, **settings):
    """Prune at iterations 4, 7 and 10."""
    return GradualPruning(criterion, 0.5, begin=1, end=10, frequency=3, **settings)


def zeros(model):
    """Return where each kernel is zero."""
    return {layer.name: np.asarray(layer.kernel) == 0 for layer in model.layers if layer.weights}


class Record(keras.callbacks.Callback):
    """Keep the zeros that the model has after each iteration."""

    def on_train_begin(self, logs=None):
        self.zeros = [zeros(self.model)]

    def on_train_batch_end(self, batch, logs=None):
        self.zeros.append(zeros(self.model))


# ---- the schedule


def test_sparsity_rises_by_a_cubic_in_steps():
    found = [GradualPruning(magnitude, 0.8, 100, 500, 100).sparsity(t) for t in range(0, 700, 50)]
    steps = [0.8 * (1 - (1 - share) ** 3) for share in (0, 0.25, 0.5, 0.75)]
    expected = [0, 0, *np.repeat(steps, 2), *[0.8] * 4]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("power", [1, 2])
def test_the_power_can_be_chosen(power):
    callback = GradualPruning(magnitude, 0.6, 0, 10, 1, power=power)
    found = [callback.sparsity(t) for t in range(11)]
    assert found == pytest.approx([0.6 * (1 - (1 - t / 10) ** power) for t in range(11)])


@pytest.mark.parametrize("frequency", [1, 3, 7, 100])
def test_sparsity_is_monotone_and_exact_at_the_end(frequency):
    callback = GradualPruning(magnitude, 0.9, 5, 40, frequency)
    found = [callback.sparsity(t) for t in range(60)]
    assert not any(found[:6]) and (np.diff(found) >= 0).all()
    assert found[40:] == [0.9] * 20 and max(found[:40]) < 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"final_sparsity": 90}, r"must lie in \[0, 1\], got 90\. Pass 0\.9 for 90 %"),
        ({"begin": 8, "end": 8}, r"0 <= begin < end .* got begin=8, end=8, frequency=100"),
        ({"begin": -1}, r"got begin=-1"),
        ({"frequency": 0}, r"frequency >= 1, in iterations, got .*frequency=0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    defaults = {"criterion": magnitude, "final_sparsity": 0.5, "begin": 0, "end": 10}
    with pytest.raises(ValueError, match=message):
        GradualPruning(**defaults | arguments)


# ---- in training


@pytest.mark.parametrize("scope", ["layer", "global"])
@pytest.mark.parametrize("criterion", [*more(magnitude), unit_norm])
def test_final_sparsity_is_exact_and_held(criterion, scope, tiny):
    model = network()
    model.get_layer("a").kernel.assign(2 * np.asarray(model.get_layer("a").kernel))
    fit(model, tiny, halving(criterion, scope=scope))
    found = zeros(model)
    wanted = [4, 3] if criterion is unit_norm else [16, 24]
    removed = [
        found[name].all(axis=0) if criterion is unit_norm else found[name] for name in ("a", "b")
    ]
    counts = [zero.sum() for zero in removed]
    assert counts == wanted if scope == "layer" else sum(counts) == sum(wanted)
    assert scope == "layer" or counts[0] < wanted[0]  # for the weights of `a` are larger
    for name, zero in zip(("a", "b"), removed, strict=True):
        assert (found[name] == zero).all()
        units = zero if criterion is unit_norm else False
        assert_array_equal(np.asarray(model.get_layer(name).bias) == 0, units)
    assert not found["logits"].any()
    after = zeros(fit(model, tiny, epochs=1))  # without the callback
    assert all((after[name] == found[name]).all() for name in found)


@pytest.mark.more
def test_a_network_compiled_with_xla_is_pruned(tiny):
    model = fit(compiled(network(), jit_compile=True), tiny, halving())
    assert measure_sparsity(model) == 0.5


@pytest.mark.more
def test_a_model_that_was_fitted_before_is_pruned_in_executions_of_several_steps(tiny):
    model = fit(compiled(network(), steps_per_execution=3), tiny, epochs=1)
    with pytest.raises(ValueError, match=r"has 4 iterations behind it, .*pass begin=4 and end=13"):
        fit(model, tiny, halving())
    fit(model, tiny, GradualPruning(magnitude, 0.5, begin=4, end=13, frequency=3))
    assert measure_sparsity(model) == 0.5
    assert measure_sparsity(fit(model, tiny, epochs=1)) == 0.5


@pytest.mark.parametrize("criterion", [*more(random_scores), random_unit_scores])
def test_pruned_weights_never_come_back_and_each_step_is_exact(criterion, tiny):
    record, callback = Record(), halving(criterion)
    fit(network("adam"), tiny, callback, record, epochs=4)
    size = 8 if criterion is random_unit_scores else 32
    for iteration, found in enumerate(record.zeros):
        assert found["a"].mean() == round(callback.sparsity(iteration) * size) / size, iteration
    for before, after in pairwise(record.zeros):
        assert all((after[name] >= before[name]).all() for name in before)


@pytest.mark.more
def test_the_student_of_a_distiller_is_pruned(tiny):
    teacher, student = network(), network()
    distiller = keras.distillation.Distiller(
        teacher, student, keras.distillation.LogitsDistillation()
    )
    with pytest.raises(RuntimeError, match=r"the sparsity is 0\.\d\d\d instead of 0\.5"):
        fit(compiled(distiller), tiny, halving(), epochs=1)
    fit(distiller, tiny, halving(), epochs=2)
    assert measure_sparsity(student) == 0.5 and measure_sparsity(teacher) == 0


@pytest.mark.more
def test_logits_are_pruned_if_they_are_named(tiny):
    model = fit(network(), tiny, halving(include=["logits"]))
    assert zeros(model)["logits"].sum() == 9 and not zeros(model)["a"].any()


def test_convolutions_are_pruned_too_and_scores_may_come_in_a_dict(tiny):
    parts = [layers.Reshape((2, 2, 1)), layers.Conv2D(4, 2, padding="same", name="conv")]
    model = keras.Sequential([keras.Input((4,)), *parts, layers.Flatten(), dense(3, None)])
    scores = {"conv": np.array([3, 1, 0, 2])}
    kernel = np.asarray(fit(compiled(model), tiny, halving(scores)).get_layer("conv").kernel)
    assert_array_equal((kernel != 0).all(axis=(0, 1, 2)), [1, 0, 0, 1])
    assert np.count_nonzero(kernel) == 8


def test_a_constraint_that_the_layer_had_still_acts(tiny):
    limits = {"kernel_constraint": keras.constraints.MaxNorm(0.4), "bias_constraint": "non_neg"}
    model = fit(network(keras.optimizers.SGD(0.5), **limits), tiny, halving(unit_norm))
    kernel, bias = (np.asarray(weight) for weight in model.get_layer("a").weights)
    norms = np.linalg.norm(kernel, axis=0)
    assert (norms == 0).sum() == 4 and norms.max() < 0.4001 and (bias >= 0).all()
    plain = strip(model).get_layer("a")
    assert isinstance(plain.kernel_constraint, keras.constraints.MaxNorm)
    assert isinstance(plain.bias_constraint, keras.constraints.NonNeg)


@pytest.mark.more
def test_restoring_the_weights_of_an_earlier_epoch_keeps_the_sparsity(tiny):
    restore = keras.callbacks.EarlyStopping("loss", mode="max", restore_best_weights=True)
    restore.patience = 9  # so that it only restores, and the first epoch, whose loss was largest
    assert measure_sparsity(fit(network(), tiny, restore, halving())) == 0.5


# ---- going on


@pytest.mark.more
def test_stopping_and_going_on_is_training_without_a_stop(tiny, tmp_path):
    whole, stopped = fit(network("adam"), tiny, halving()), network("adam")
    message = (
        r"ended at iteration 4, before end=10: the sparsity is 0\.\d\d\d instead of 0\.5\. Call "
        "fit again with this callback"
    )
    with pytest.raises(RuntimeError, match=message):
        fit(stopped, tiny, halving(), epochs=1)
    stopped.save(tmp_path / "stopped.keras")
    loaded = keras.models.load_model(tmp_path / "stopped.keras")
    assert 0 < measure_sparsity(loaded) < 0.5
    for model in (loaded, stopped):
        fit(model, tiny, halving(), epochs=2)
        assert int(model.optimizer.iterations) == 12
        for one, other in zip(model.get_weights(), whole.get_weights(), strict=True):
            assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert measure_sparsity(fit(loaded, tiny, epochs=1)) == 0.5


@pytest.mark.more
def test_units_of_small_layers_go_on_too(tiny):
    """Of 8 and 6 units whole ones go: a share that is far from the one of the schedule."""
    model = network()
    with pytest.raises(RuntimeError, match="ended at iteration 8"):
        fit(model, tiny, GradualPruning(unit_norm, 0.4, 1, 10, 1), epochs=2)
    fit(model, tiny, GradualPruning(unit_norm, 0.4, 1, 10, 1), epochs=1)
    assert [np.count_nonzero(zeros(model)[name].all(axis=0)) for name in "ab"] == [3, 2]


class Interrupt(keras.callbacks.Callback):
    """Stop training as a crash does, at an iteration."""

    def __init__(self, iteration):
        super().__init__()
        self.iteration, self.seen = iteration, 0

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1
        if self.seen == self.iteration:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("save_freq", "criterion", "scope"),
    [
        ("epoch", unit_norm, "layer"),
        pytest.param("epoch", magnitude, "global", marks=pytest.mark.more),
        pytest.param(4, magnitude, "layer", marks=pytest.mark.more),
        pytest.param(7, unit_norm, "global", marks=pytest.mark.more),
    ],
)
def test_an_interrupted_training_goes_on_from_its_backup(
    save_freq, criterion, scope, tiny, tmp_path
):
    """In a new process: weights come back from the backup, saved before pruning at 4 and 7."""

    def run(*others):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", save_freq=save_freq)
        return fit(network("adam"), tiny, backup, halving(criterion, scope=scope), *others)

    whole = fit(network("adam"), tiny, halving(criterion, scope=scope))
    with pytest.raises(KeyboardInterrupt):
        run(Interrupt(9))
    resumed = run()
    assert measure_sparsity(resumed) == measure_sparsity(whole)
    if save_freq == "epoch":  # else Keras begins the epoch again, and trains for longer
        for one, other in zip(resumed.get_weights(), whole.get_weights(), strict=True):
            assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    after = zeros(fit(resumed, tiny, epochs=1))
    assert all((after[name] == found).all() for name, found in zeros(resumed).items())


@pytest.mark.more
def test_the_interrupted_model_itself_goes_on_too(tiny, tmp_path):
    model, backup = network("adam"), keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        fit(model, tiny, backup, halving(), Interrupt(7))
    assert measure_sparsity(fit(model, tiny, backup, halving())) == 0.5


@pytest.mark.more
def test_weights_that_are_restored_later_are_refused(tiny, tmp_path):
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        fit(network(), tiny, halving(), backup, Interrupt(9))
    with pytest.raises(ValueError, match="List GradualPruning after it"):
        fit(network(), tiny, halving(), backup)


def test_zeros_that_no_schedule_made_are_not_held(tiny):
    model = network(kernel_initializer="zeros")
    fit(model, tiny, GradualPruning(magnitude, 0.25, 0, 10, 9))
    assert zeros(model)["a"].sum() == 8


# ---- what it relies on


class WithOwnOptimizer(keras.Model):
    """A model that is trained by another optimizer than `model.optimizer`, as a GAN is."""

    def compile(self, own, **settings):
        super().compile(loss="mse", jit_compile=False, **settings)
        self.own = own

    def train_step(self, *arguments):
        self.optimizer, kept = self.own, self.optimizer
        try:
            return super().train_step(*arguments)
        finally:
            self.optimizer = kept


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="its steps are functions of the state")
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"made no update in the first batch\. If its train_step uses optimizers of its own"),
        ({"optimizer": None}, "has no optimizer"),
    ],
)
def test_a_model_that_another_optimizer_trains_is_refused(settings, message, tiny):
    inputs = keras.Input((4,))
    outputs = layers.Dense(3)(layers.Flatten()(layers.Conv1D(5, 2)(inputs[..., None])))
    model = WithOwnOptimizer(inputs, outputs)
    model.compile(keras.optimizers.AdamW(), **settings)
    callback = GradualPruning(magnitude, 0.5, 0, 9, 1)
    with pytest.raises(ValueError, match=message):
        model.fit(tiny.x_train, np.eye(3)[tiny.y_train], verbose=0, callbacks=[callback])


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
@pytest.mark.filterwarnings("ignore:.*there is no trainable:UserWarning")
def test_a_model_that_is_all_frozen_is_refused(tiny):
    model = network()
    model.trainable = False
    with pytest.raises(ValueError, match="if all its layers are frozen, set trainable to True"):
        fit(compiled(model), tiny, halving())


def test_updates_that_a_loss_scale_skips_at_first_are_no_error(tiny):
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), 2.0**30)
    model = network(optimizer, dtype="mixed_float16")
    fit(model, tiny, halving(), epochs=9)
    assert int(model.optimizer.iterations) < 36 and measure_sparsity(model) == 0.5


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", *more("bfloat16")])
def test_zeros_are_held_in_compiled_steps_of_any_backend(dtype, tiny):
    """While it trains, not only in the end: on JAX the masks are constants of a compiled step."""
    keras.utils.set_random_seed(1)
    parts = [layers.Conv1D(6, 2, name="a", dtype=dtype), layers.Flatten(), dense(3, None)]
    model = keras.Sequential([keras.Input((4,)), layers.Reshape((4, 1)), *parts])
    seen = []

    class See(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(np.asarray(self.model.get_layer("a").kernel) != 0)

    schedule = GradualPruning(magnitude, 0.5, 0, 6, 6)
    fit(compiled(model, optimizer="adam", jit_compile="auto"), tiny, schedule, See())
    assert [left.sum() for left in seen] == [12, 6, 6]
    assert_array_equal(seen[1], seen[2])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a strategy of TensorFlow")
def test_variables_of_a_distribution_strategy_are_pruned(tiny):
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = network("adam")
    fit(model, tiny, halving())
    assert type(model.get_layer("a").kernel.value).__name__ == "MirroredVariable"
    assert measure_sparsity(model) == 0.5


# ---- with masks that were there before


@pytest.fixture(scope="module", params=[random_scores, random_unit_scores])
def masked(request, tiny):
    """(criterion, model that held masks of both kinds and was pruned further by it, record)."""
    model, record = network(), Record()
    masks = make_masks(model, random_scores, {"a": 0.45}) | {"b": np.array([1, 0, 1, 1, 0, 1])}
    fit(prune(model, masks), tiny, halving(request.param), record)
    return request.param, record.model, record


def test_masks_from_prune_stay_in_force(masked):
    criterion, model, record = masked
    for before, after in pairwise(record.zeros):
        assert all((after[name] >= before[name]).all() for name in before)
    assert not np.asarray(model.get_layer("b").bias)[[1, 4]].any()
    if criterion is random_scores:
        assert zeros(model)["a"].sum() == 16
    else:
        assert zeros(model)["b"].all(axis=0).sum() == 3


def test_masks_of_both_kinds_act_as_one(masked, tiny):
    criterion, model, _ = masked
    found = zeros(model)
    if criterion is random_scores:
        assert found["b"].sum() == 24  # what the units of `prune` took counts
    repaired, plain = zeros(repair(model, network(), tiny.x_train)), strip(model)
    assert all((repaired[name] >= found[name]).all() for name in found)
    assert not any(isinstance(layer.kernel_constraint, HoldMask) for layer in plain.layers)
    assert not any(isinstance(layer.bias_constraint, HoldMask) for layer in plain.layers)


def test_a_gradually_pruned_model_can_be_shrunk(tiny):
    model = fit(network(), tiny, halving(unit_norm))
    smaller = shrink(model)
    assert [layer.units for layer in smaller.layers] == [4, 3, 3]
    assert_allclose(smaller(tiny.x_test), model(tiny.x_test), atol=1e-5)


def test_moving_average_of_the_weights_is_refused(tiny):
    model = with_moving_average()
    with pytest.raises(ValueError, match=r"use_ema=True.*Compile with use_ema=False"):
        fit(model, tiny, halving())


def test_layers_that_are_excluded_are_left_alone(tiny):
    model = network()
    names = [layer.name for layer in model.layers]
    model = fit(model, tiny, halving(exclude=names[:1]))
    zeros = {layer.name: np.mean(np.asarray(layer.kernel) == 0) for layer in model.layers}
    assert zeros[names[0]] == 0
    assert zeros[names[1]] == 0.5


def test_frozen_layers_are_left_alone(tiny):
    model = network()
    first, second = (layer.name for layer in model.layers[:2])
    model.get_layer(first).trainable = False
    model.compile("adam", model.loss)
    model = fit(model, tiny, halving())
    zeros = {n: np.mean(np.asarray(model.get_layer(n).kernel) == 0) for n in (first, second)}
    assert zeros == {first: 0, second: 0.5}
