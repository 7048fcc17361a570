"""Regrowth: how many weights come back, which, when, and that nothing else changes."""

import keras
import numpy as np
import pytest
from cases import more
from networks import dense
from numpy.testing import assert_array_equal

from pruninglib import GradualPruning, Regrowth, magnitude, make_masks, prune, unit_norm
from pruninglib.pruning.prune import measure_sparsity
from pruninglib.recovery.regrowth import as_restored, exchange


def network(masks=0.5, optimizer=None, criterion=magnitude):
    """4-8-6-3, pruned, compiled without XLA."""
    keras.utils.set_random_seed(1)
    parts = [dense(8, "tanh", name="a"), dense(6, "tanh", name="b"), dense(3, None, name="logits")]
    model = keras.Sequential([keras.Input((4,)), *parts])
    model = prune(model, make_masks(model, criterion, masks)) if masks else model
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.Adam(0.05), loss, jit_compile=False)
    return model


def fit(model, tiny, *callbacks, epochs=3):
    """Train for epochs of four batches."""
    settings = {"batch_size": 30, "shuffle": False, "verbose": 0}
    model.fit(tiny.x_train, tiny.y_train, epochs=epochs, callbacks=list(callbacks), **settings)
    return model


class Record(keras.callbacks.Callback):
    """Keep the masks before training and after each iteration."""

    def masks(self):
        layers = (self.model.get_layer(name) for name in "ab")
        return {layer.name: np.array(layer.kernel_constraint.mask) for layer in layers}

    def on_train_begin(self, logs=None):
        self.seen = [self.masks()]

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(self.masks())

    def changes(self):
        """Return how many weights came back at each iteration, and how many went."""
        pairs = zip(self.seen, self.seen[1:], strict=False)
        return np.array(
            [
                [
                    sum((new[n] > old[n]).sum() for n in old),
                    sum((new[n] < old[n]).sum() for n in old),
                ]
                for old, new in pairs
            ]
        )


# ---- one exchange


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
@pytest.mark.parametrize("kept", [0, 1, 20, 59, 60])
def test_the_smallest_go_and_those_of_largest_gradient_come_back(share, kept):
    rng = np.random.default_rng(kept)
    weights, gradients = rng.normal(size=(2, 60))
    mask = rng.permutation(60) < kept
    new = exchange(mask, weights * mask, gradients, share)
    count = min(int(share * kept), 60 - kept)
    gone, back = mask & ~new, new & ~mask
    assert gone.sum() == back.sum() == count
    smallest = sorted(np.flatnonzero(mask), key=lambda i: abs(weights[i]))[:count]
    largest = sorted(np.flatnonzero(~mask), key=lambda i: -abs(gradients[i]))[:count]
    assert_array_equal(np.flatnonzero(gone), sorted(smallest))
    assert_array_equal(np.flatnonzero(back), sorted(largest))


def test_the_masks_given_stay_as_they_are():
    mask = np.array([True, True, False, False])
    new = exchange(mask, np.ones(4), np.ones(4), 0.5)
    assert_array_equal(mask, [True, True, False, False])
    assert new[:2].sum() == new[2:].sum() == 1


# ---- while training


@pytest.mark.parametrize("scope", [*more("layer"), "global"])
def test_sparsity_stays_while_weights_are_exchanged(tiny, scope):
    record = Record()
    model = fit(network(), tiny, Regrowth(0.5, 0, 12, 3, scope), record)
    back, gone = record.changes().T
    assert_array_equal(back, gone)
    assert_array_equal(np.flatnonzero(back) + 1, [3, 6, 9])
    shares = 0.25 * (1 + np.cos(np.pi * np.array([3, 6, 9]) / 12))
    counts = [int(s * 16) + int(s * 24) if scope == "layer" else int(s * 40) for s in shares]
    assert_array_equal(back[[2, 5, 8]], counts)
    assert measure_sparsity(model) == 0.5
    by_layer = [mask.sum() for mask in record.seen[-1].values()]
    assert (by_layer == [16, 24]) == (scope == "layer")


@pytest.mark.more
def test_nothing_is_exchanged_before_begin_and_from_end_on(tiny):
    record = Record()
    fit(network(), tiny, Regrowth(0.5, 4, 9, 2), record)
    assert_array_equal(np.flatnonzero(record.changes()[:, 0]) + 1, [6, 8])


@pytest.mark.more
@pytest.mark.parametrize(
    ("steps", "iterations"),
    [pytest.param(1, [4, 7], marks=pytest.mark.more), (3, [6, 9])],
)
def test_it_acts_where_gradual_pruning_with_the_same_begin_and_frequency_does(
    steps, iterations, tiny, monkeypatch
):
    def spied(action, seen):
        def spy(self, argument):
            seen.append(int(self.model.optimizer.iterations))
            action(self, argument)

        return spy

    when, pruned, exchanged = {"begin": 1, "end": 10, "frequency": 3}, [], []
    monkeypatch.setattr(GradualPruning, "_prune", spied(GradualPruning._prune, pruned))
    monkeypatch.setattr(Regrowth, "_exchange", spied(Regrowth._exchange, exchanged))
    model = network(masks=None)
    model.compile("adam", model.loss, steps_per_execution=steps, jit_compile=False)
    gradual = GradualPruning(magnitude, 0.5, **when)
    model.fit(
        tiny.x_train,
        tiny.y_train,
        batch_size=10,
        verbose=0,
        callbacks=[gradual, Regrowth(0.9, **when)],
    )
    assert exchanged == iterations
    assert pruned[: len(iterations)] == iterations
    assert measure_sparsity(model) >= 0.5


@pytest.mark.more
def test_restoring_the_weights_of_an_earlier_epoch_keeps_to_the_mask(tiny):
    restore = keras.callbacks.EarlyStopping("loss", mode="max", restore_best_weights=True)
    restore.patience = 9  # so that it only restores, and the first epoch, whose loss was largest
    model = fit(network(), tiny, restore, Regrowth(0.9, 0, 30, 2))
    for name in "ab":
        held = np.asarray(model.get_layer(name).kernel_constraint.mask)
        assert not np.asarray(model.get_layer(name).kernel)[~held].any()


def test_a_moving_average_of_the_weights_is_refused(tiny):
    optimizer = keras.optimizers.Adam(use_ema=True)
    with pytest.raises(ValueError, match=r"use_ema=True"):
        fit(network(optimizer=optimizer), tiny, Regrowth(0.5, 0, 9))


def test_weights_come_back_at_zero_and_then_learn(tiny):
    model = fit(network(), tiny, Regrowth(0.5, 0, 9, 4), epochs=1)
    kernel, held = model.get_layer("a").kernel, model.get_layer("a").kernel_constraint.mask
    fresh = np.asarray(held) & (np.asarray(kernel) == 0)
    assert fresh.sum() == int(16 * 0.25 * (1 + np.cos(np.pi * 4 / 9)))
    fit(model, tiny, epochs=1)
    assert np.asarray(kernel)[fresh].all()


def test_the_gradients_are_those_of_the_loss(tiny):
    """After one step of SGD with momentum the mean gradient is the gradient, masked or not."""
    model = network(optimizer=keras.optimizers.SGD(1e-9, momentum=0.9))
    before = Record()
    before.set_model(model)
    (old,) = [before.masks()]
    start = [np.array(model.get_layer(name).kernel) for name in "ab"]
    biases = [np.array(model.get_layer(name).bias) for name in ("a", "b", "logits")]
    fit_one = {"epochs": 1, "batch_size": 120, "shuffle": False, "verbose": 0}
    callback = Regrowth(0.3, 0, 2, 1)
    model.fit(tiny.x_train, tiny.y_train, callbacks=[callback], **fit_one)
    h = np.tanh(tiny.x_train @ start[0] + biases[0])
    h2 = np.tanh(h @ start[1] + biases[1])
    z = h2 @ np.asarray(model.get_layer("logits").kernel) + biases[2]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    back2 = (p - np.eye(3)[tiny.y_train]) @ np.asarray(model.get_layer("logits").kernel).T
    gradient_b = h.T @ (back2 * (1 - h2**2))
    gradient_a = tiny.x_train.T @ ((back2 * (1 - h2**2)) @ start[1].T * (1 - h**2))
    for name, kernel, gradient in zip("ab", start, (gradient_a, gradient_b), strict=True):
        expected = exchange(old[name].ravel(), kernel.ravel(), gradient.ravel(), 0.15)
        assert_array_equal(before.masks()[name].ravel(), expected)


def test_with_gradual_pruning_it_ends_at_the_asked_sparsity(tiny):
    gradual = GradualPruning(magnitude, 0.75, 0, 8, 2)
    record = Record()
    model = fit(network(masks=None), tiny, gradual, Regrowth(0.9, 0, 16, 2), record, epochs=4)
    assert measure_sparsity(model) == 0.75
    assert record.changes()[8:, 0].sum() > 0


@pytest.mark.more
def test_it_works_beside_gradual_pruning_in_mixed_precision(tiny):
    keras.utils.set_random_seed(1)
    parts = [dense(units, "tanh", dtype="mixed_float16") for units in (8, 6, 3)]
    model = keras.Sequential([keras.Input((4,)), *parts])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.05))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer, loss, jit_compile=False)
    regrowth = Regrowth(0.9, 0, 16, 2)
    seen = []

    class Masks(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(np.array(model.layers[0].kernel_constraint.mask))

    fit(model, tiny, GradualPruning(magnitude, 0.75, 0, 8, 2), regrowth, Masks(), epochs=4)
    assert measure_sparsity(model) == 0.75
    assert (seen[8] < seen[-1]).any()


@pytest.mark.more
def test_the_student_of_a_distiller_is_meant(tiny):
    student, teacher = network(), network(masks=None)
    losses = keras.distillation.LogitsDistillation(loss=keras.losses.KLDivergence())
    distiller = keras.distillation.Distiller(teacher, student, losses)
    distiller.compile(keras.optimizers.Adam(0.05), student.loss, jit_compile=False)
    before = np.array(student.get_layer("a").kernel_constraint.mask)
    fit(distiller, tiny, Regrowth(0.5, 0, 12, 3))
    assert (np.asarray(student.get_layer("a").kernel_constraint.mask) != before).any()
    assert measure_sparsity(student) == 0.5


def towers(optimizer):
    """Two convolutions of the same path, each of which sees only half of its inputs, 4 of 8."""
    keras.utils.set_random_seed(1)

    def tower(name):
        inputs = keras.Input((5, 8))
        return keras.Model(inputs, keras.layers.Conv1D(6, 1, name="same")(inputs), name=name)

    inputs = [keras.Input((5, 8)), keras.Input((5, 8))]
    parts = [tower(name)(each) for name, each in zip(("one", "two"), inputs, strict=True)]
    joined = keras.layers.GlobalAveragePooling1D()(keras.layers.Concatenate()(parts))
    model = keras.Model(inputs, keras.layers.Dense(2, dtype="float32")(joined))
    kernels = [model.get_layer(name).get_layer("same").kernel for name in ("one", "two")]
    model.compile(optimizer, "mse", jit_compile=False)
    return model, kernels


@pytest.mark.parametrize("scaled", [False, *more(True)])
def test_layers_of_the_same_path_regrow_each_by_its_own_gradients(scaled):
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model, _ = towers(keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer)
    x = np.random.default_rng(0).normal(size=(2, 32, 5, 8)).astype(np.float32)
    x[0, ..., 4:] = x[1, ..., :4] = 0
    pruned = prune(model, make_masks(model, magnitude, 0.7))
    layers = [pruned.get_layer(name).get_layer("same") for name in ("one", "two")]
    before = [np.array(layer.kernel_constraint.mask)[0] for layer in layers]
    callback = Regrowth(0.4, 0, 8, 2)
    pruned.fit(list(x), np.ones((32, 2)), batch_size=8, callbacks=[callback], verbose=0)
    one, two = (
        (np.array(layer.kernel_constraint.mask)[0] & ~old).sum(axis=1)
        for layer, old in zip(layers, before, strict=True)
    )
    assert one[:4].sum() and not one[4:].any()
    assert two[4:].sum() and not two[:4].any()


def test_frozen_layers_keep_their_masks_while_others_regrow(tiny):
    model = network()
    model.get_layer("a").trainable = False
    model.compile("adam", model.loss, jit_compile=False)
    record = Record()
    fit(model, tiny, Regrowth(0.5, 0, 12, 3), record)
    assert_array_equal(record.seen[0]["a"], record.seen[-1]["a"])
    assert (record.seen[0]["b"] != record.seen[-1]["b"]).any()
    assert measure_sparsity(model) == 0.5


# ---- going on


@pytest.mark.parametrize("scope", ["layer", *more("global")])
def test_an_interrupted_training_goes_on_from_its_backup(scope, tiny, tmp_path):
    """In a new process, and after those that came back at zero have learned."""

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def run(*callbacks, backup=True):
        if backup:
            callbacks = (keras.callbacks.BackupAndRestore(tmp_path / "backup"), *callbacks)
        record = Record()
        return fit(network(), tiny, *callbacks, Regrowth(0.5, 0, 18, 3, scope), record), record

    whole, record = run(backup=False)
    with pytest.raises(KeyboardInterrupt):
        run(Interrupt())
    resumed, rest = run()
    for name in "ab":
        assert_array_equal(rest.seen[0][name], record.seen[8][name])
    for one, other in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.more
def test_beside_gradual_pruning_it_goes_on_from_a_backup_to_the_same_sparsity(tiny, tmp_path):
    """Even if some weights had come back, at zero, right before the backup."""

    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def run(*callbacks):
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        pruning = GradualPruning(magnitude, 0.75, 0, 12, 4), Regrowth(0.9, 0, 14, 4)
        return fit(network(masks=None), tiny, backup, *pruning, *callbacks, epochs=4)

    with pytest.raises(KeyboardInterrupt):
        run(Interrupt())
    assert measure_sparsity(run()) == 0.75


def test_restored_weights_keep_their_mask_and_the_largest_gradients_fill_it():
    mask = np.array([1, 1, 1, 0, 0, 0], bool)
    gradients = np.array([0, 1, 2, 5, -9, 0.0])
    weights = np.array([1, 0, 0, 1, 0, 0.0])  # the second and third were exchanged
    assert_array_equal(as_restored(mask, weights, gradients), [1, 0, 0, 1, 1, 0])
    for weights in (mask * 1.0, np.ones(6)):  # as the mask says; another model's
        assert_array_equal(as_restored(mask, weights, gradients), mask)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a strategy of TensorFlow")
def test_variables_of_a_distribution_strategy_regrow(tiny):
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model, record = network(), Record()
    fit(model, tiny, Regrowth(0.5, 0, 12, 3), record)
    assert record.changes()[:, 0].any() and measure_sparsity(model) == 0.5


# ---- what is refused


def test_a_model_whose_masks_are_all_frozen_is_refused(tiny):
    model = network()
    for name in "ab":
        model.get_layer(name).trainable = False
    model.compile("adam", model.loss)
    with pytest.raises(ValueError, match=r"hold weight masks are frozen, .* Set their trainable"):
        fit(model, tiny, Regrowth(0.5, 0, 9))


@pytest.mark.parametrize("masks, criterion", [(None, None), (0.5, unit_norm)])
def test_a_model_without_weight_masks_is_refused(tiny, masks, criterion):
    with pytest.raises(ValueError, match=r"holds no weight masks. Prune it first"):
        fit(network(masks, criterion=criterion), tiny, Regrowth(0.5, 0, 9))


@pytest.mark.more
def test_layers_made_trainable_without_compiling_again_are_refused(tiny):
    model = network()
    model.get_layer("a").trainable = False
    model.optimizer.build(model.trainable_variables)
    model.get_layer("a").trainable = True
    with pytest.raises(ValueError, match=r"built before '.*a/kernel' was trainable\. Compile"):
        fit(model, tiny, Regrowth(0.5, 0, 9))


@pytest.mark.parametrize(
    "optimizer", ["sgd", *more("rmsprop", keras.optimizers.RMSprop(momentum=0.9))]
)
def test_an_optimizer_without_a_mean_gradient_is_refused(tiny, optimizer):
    with pytest.raises(ValueError, match=r"keeps no mean of the gradients. Compile .* Adam"):
        fit(network(optimizer=optimizer), tiny, Regrowth(0.5, 0, 9))


@pytest.mark.parametrize(
    "settings", [(0, 0, 9), (1, 0, 9), (0.5, 9, 9), (0.5, -1, 9), (0.5, 0, 9, 0)]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match=rf"Expected share in .* got share={settings[0]}"):
        Regrowth(*settings)


def test_unknown_scope_is_refused():
    with pytest.raises(ValueError, match=r'scope must be "layer" or "global", got "?\'?all'):
        Regrowth(0.5, 0, 9, scope="all")
