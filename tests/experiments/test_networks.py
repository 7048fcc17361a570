"""The network of the study, reproducible training, and a store that trains once."""

import os
import threading
import time

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from pruninglib import baseline, eager, file_bytes, magnitude, make_masks, make_mlp, prune, train
from pruninglib.execution.packed import packed_bytes
from pruninglib.experiments import networks
from pruninglib.recovery.training import compile_training, fit_iterations
from pruninglib.structure.examples import targets


def assert_same_weights(one, other):
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        assert_array_equal(a, b)


def test_mlp_is_bias_free_relu_with_named_logits():
    model = make_mlp(4, (6, 5), 3)
    assert [layer.name for layer in model.layers] == ["hidden_1", "hidden_2", "logits"]
    assert [w.shape for w in model.weights] == [(4, 6), (6, 5), (5, 3)]
    x = np.random.default_rng(0).normal(size=(7, 4)).astype("float32")
    one, two, three = model.get_weights()
    expected = np.maximum(np.maximum(x @ one, 0) @ two, 0) @ three
    assert_allclose(eager(model)(x), expected, rtol=1e-4, atol=1e-6)


def test_its_file_is_as_large_whatever_was_made_before():
    def sizes():
        model = compile_training(make_mlp(4, (6,), 3), 5)
        return file_bytes(model), packed_bytes(model)

    first = sizes()
    for _ in range(100):  # Keras numbers what it is given no name for
        keras.Input((4,))
        keras.optimizers.Adam()
    assert sizes() == first


def test_mlp_has_the_activation_asked_for():
    model = make_mlp(4, (6,), 3, activation="gelu")
    assert model.get_layer("hidden_1").activation is keras.activations.gelu
    assert model.get_layer("logits").activation is keras.activations.linear


def test_seed_decides_the_weights():
    assert_same_weights(make_mlp(4, (6,), 3, seed=1), make_mlp(4, (6,), 3, seed=1))
    one, other = (make_mlp(4, (6,), 3, seed=seed).get_weights()[0] for seed in (1, 2))
    assert (one != other).any()


def test_training_learns_and_returns_the_model(trained, tiny):
    accuracy = (eager(trained)(tiny.x_test).argmax(axis=1) == tiny.y_test).mean()
    assert accuracy > 0.8
    model = make_mlp(4, (3,), 3)
    assert train(model, tiny.x_train, tiny.y_train, 0) is model


def test_training_is_decided_by_its_seed(tiny):
    model = compile_training(make_mlp(4, (5,), 3), 8, decay="constant")
    start = model.get_weights()
    fresh = [np.array(variable) for variable in model.optimizer.variables]

    def result(seed):
        model.set_weights(start)
        for variable, value in zip(model.optimizer.variables, fresh, strict=True):
            variable.assign(value)
        fit_iterations(model, tiny.x_train, tiny.y_train, 8, 16, seed)
        assert int(model.optimizer.iterations) == 8
        return np.concatenate([weight.ravel() for weight in model.get_weights()])

    first = result(seed=1)
    np.random.seed(5)  # noqa: NPY002  (must not matter)
    assert_array_equal(result(seed=1), first)
    assert np.abs(result(seed=2) - first).max() > 1e-6


def test_no_iterations_leave_the_weights(tiny):
    model = make_mlp(4, (5,), 3)
    before = model.get_weights()
    train(model, tiny.x_train, tiny.y_train, 0)
    assert_array_equal(before[0], model.get_weights()[0])


def test_training_holds_masks_with_fewer_images_than_a_batch(tiny, mlp):
    masks = make_masks(mlp, magnitude, 0.5)
    pruned = prune(mlp, masks)
    before = pruned.get_weights()
    train(pruned, tiny.x_train[:10], tiny.y_train[:10], 3, batch_size=128)
    for name, mask in masks.items():
        assert_array_equal(np.asarray(pruned.get_layer(name).kernel) != 0, mask == 1)
    assert (before[0] != pruned.get_weights()[0]).any()


@pytest.mark.parametrize(
    ("decay", "rates"),
    [("constant", [0.1, 0.1, 0.1]), ("linear", [0.1, 0.05, 0]), ("cosine", [0.1, 0.05, 0])],
)
def test_learning_rate_at_the_start_the_middle_and_the_end(decay, rates, mlp):
    optimizer = compile_training(mlp, 10, learning_rate=0.1, decay=decay).optimizer
    found = []
    for iteration in (0, 5, 10):
        optimizer.iterations.assign(iteration)
        found.append(float(optimizer.learning_rate))
    assert found == pytest.approx(rates, abs=1e-7)


def test_recipe_is_the_one_asked_for(mlp):
    model = compile_training(mlp, 10, optimizer="sgd", loss="mean_squared_error")
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    assert model.loss == "mean_squared_error"


def test_unknown_decay_is_refused(mlp):
    with pytest.raises(ValueError, match='"constant", "linear" or "cosine", got \'exponential\''):
        compile_training(mlp, 10, decay="exponential")


LOGITS = np.array([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]], np.float32)
LABELS = np.array([0, 2])


def of_the_user(labels, logits):
    return keras.ops.mean(logits) + 0 * keras.ops.mean(labels)


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(),
        keras.losses.SparseCategoricalCrossentropy(name="mine"),
        of_the_user,
    ],
)
def test_sparse_losses_and_those_of_the_user_get_integers(loss):
    assert_array_equal(targets(LABELS, loss, 3), LABELS)


@pytest.mark.parametrize("loss", ["mean_squared_error", keras.losses.CategoricalHinge()])
def test_other_losses_get_one_hot_labels(loss):
    assert_array_equal(targets(LABELS, loss, 3), np.eye(3)[LABELS])


@pytest.mark.parametrize("name", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_crossentropy_is_that_of_logits(mlp, name):
    loss = compile_training(mlp, 10, loss=name).loss
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    expected = -np.log(probabilities[[0, 1], LABELS]).mean()
    assert float(loss(targets(LABELS, loss, 3), LOGITS)) == pytest.approx(expected, rel=1e-5)


class Store:
    """The store of baselines in an empty folder, with a training that takes no time."""

    def __init__(self, folder, tiny):
        self.folder, self.tiny, self.trainings = folder / "baselines", tiny, 0
        self.during = lambda model: None

    def train(self, model, x, y, iterations, batch_size, seed, **settings):
        self.trainings += 1
        self.during(model)
        model.set_weights([np.full(w.shape, self.trainings) for w in model.get_weights()])
        return model

    def baseline(self, dataset=None, **arguments):
        return baseline(dataset or self.tiny, **{"hidden_units": (5,), "epochs": 1} | arguments)

    def files(self):
        """The names of the files in the store, but for the locks."""
        return [name for name in os.listdir(self.folder) if not name.endswith(".lock")]


@pytest.fixture
def store(tmp_path, monkeypatch, tiny):
    store = Store(tmp_path, tiny)
    monkeypatch.setattr(networks, "BASELINES", tmp_path / "baselines")
    monkeypatch.setattr(networks, "train", store.train)
    return store


def test_baseline_is_trained_as_asked_and_loaded_compiled(tmp_path, monkeypatch, tiny):
    monkeypatch.setattr(networks, "BASELINES", tmp_path / "baselines")
    arguments = {"hidden_units": (5,), "epochs": 3, "batch_size": 50, "decay": "linear"}
    first = baseline(tiny, **arguments)
    assert int(first.optimizer.iterations) == 3 * (120 // 50)
    monkeypatch.setattr(networks, "train", None)
    second = baseline(tiny, **arguments)
    assert_same_weights(first, second)
    assert second.loss.from_logits
    expected = train(make_mlp(4, (5,), 3), tiny.x_train, tiny.y_train, 6, 50, decay="linear")
    for one, other in zip(first.get_weights(), expected.get_weights(), strict=True):
        assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_baseline_is_trained_once(store):
    assert_same_weights(store.baseline(), store.baseline())
    assert store.trainings == 1
    (name,) = store.files()
    assert name.startswith("tiny-") and name.endswith(".keras")


def test_baselines_are_one_for_each_seed(store):
    how = {"hidden_units": (5,), "epochs": 1, "learning_rate": 0.1}
    found = networks.baselines(store.tiny, [0, 3], **how)
    assert list(found) == [0, 3] and store.trainings == 2
    again = networks.baseline(store.tiny, seed=3, **how)
    assert store.trainings == 2
    assert_same_weights(again, found[3])


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_units": (6,)},
        {"activation": "gelu"},
        {"epochs": 2},
        {"batch_size": 64},
        {"seed": 1},
        {"learning_rate": 0.1},
        {"decay": "constant"},
    ],
)
def test_each_argument_has_a_network_of_its_own(store, change):
    store.baseline()
    store.baseline(**change)
    assert store.trainings == 2


@pytest.mark.more
def test_at_a_constant_rate_training_goes_on_from_the_longest_shorter_one(
    tmp_path, monkeypatch, tiny
):
    how = {"hidden_units": (5,), "batch_size": 32, "seed": 1, "decay": "constant"}
    monkeypatch.setattr(networks, "BASELINES", tmp_path / "alone")
    alone = baseline(tiny, epochs=4, **how)
    monkeypatch.setattr(networks, "BASELINES", tmp_path / "on")
    for epochs in (1, 3):
        baseline(tiny, epochs=epochs, **how)
    done = []

    def fit(model, x, y, iterations, batch_size, seed, before):
        done.append((iterations, before))
        return fit_iterations(model, x, y, iterations, batch_size, seed, before)

    monkeypatch.setattr(networks, "fit_iterations", fit)
    assert_same_weights(baseline(tiny, epochs=4, **how), alone)
    assert done == [(3, 9)]  # 120 images: 3 full batches in an epoch
    assert int(alone.optimizer.iterations) == 12


def test_a_decaying_rate_is_no_part_of_a_longer_training(store):
    for epochs in (1, 2):
        store.baseline(epochs=epochs, decay="cosine")
    assert store.trainings == 2


def test_other_data_of_the_same_name_has_a_network_of_its_own(store, tiny):
    store.baseline()
    store.baseline(tiny._replace(x_train=tiny.x_train + 1))
    store.baseline(tiny._replace(y_train=2 - tiny.y_train))
    assert store.trainings == 3


def test_of_several_that_want_the_same_network_at_once_one_trains(store):
    store.during = lambda model: time.sleep(0.3)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(store.baseline().get_weights()))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.trainings == 1 and len(found) == 3
    assert all((weight == 1).all() for weights in found for weight in weights)


def test_failed_training_leaves_nothing_behind(store):
    def fail(model):
        raise KeyboardInterrupt

    store.during = fail
    with pytest.raises(KeyboardInterrupt):
        store.baseline()
    assert store.files() == []
    store.during = lambda model: None
    store.baseline()
    assert store.trainings == 2


def test_failed_saving_leaves_nothing_behind(store, monkeypatch):
    def save_half(model, path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(keras.Sequential, "save", save_half)
    with pytest.raises(OSError, match="disk full"):
        store.baseline()
    assert store.files() == []


@pytest.mark.parametrize("damage", [lambda whole: b"junk", lambda whole: whole[: len(whole) // 2]])
def test_damaged_network_is_named(store, damage):
    store.baseline()
    (name,) = store.files()
    path = store.folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=rf"{name} is damaged; delete it"):
        store.baseline()
    path.unlink()
    store.baseline()


@pytest.mark.parametrize(
    ("iterations", "settings", "expected"),
    [
        (1, {}, False),
        (10**8, {}, True),  # 69 weights
        (1, {"jit_compile": True}, True),
        (10**8, {"jit_compile": False}, False),
    ],
)
def test_xla_is_used_in_long_training_unless_asked_otherwise(iterations, settings, expected, mlp):
    assert compile_training(mlp, iterations, **settings).jit_compile == expected
