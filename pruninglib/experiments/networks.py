"""Make the multilayer perceptron of the study, and keep trained ones for later runs."""

import hashlib
import json
import zlib
from importlib.metadata import version

import numpy as np
from filelock import FileLock

from pruninglib.atomic import written_whole
from pruninglib.backend import keras
from pruninglib.experiments.paths import BASELINES
from pruninglib.progress_line import progress
from pruninglib.recovery.training import fit_iterations, train


def make_mlp(inputs, hidden_units, classes, activation="relu", seed=0):
    """Return an untrained multilayer perceptron without biases that outputs logits.

    Args:
        inputs: number of input values.
        hidden_units: units of each hidden layer, named hidden_1, hidden_2, ...
        classes: units of the last layer, named "logits".
        seed: decides the initial weights; Keras' global random seed is set to it.

    >>> [layer.name for layer in make_mlp(4, [6, 5], 3).layers]
    ['hidden_1', 'hidden_2', 'logits']
    """
    keras.utils.set_random_seed(seed)
    hidden = [
        keras.layers.Dense(units, activation=activation, use_bias=False, name=f"hidden_{i}")
        for i, units in enumerate(hidden_units, start=1)
    ]
    logits = keras.layers.Dense(classes, use_bias=False, name="logits")
    return keras.Sequential([keras.Input((inputs,), name="inputs"), *hidden, logits], name="mlp")


def baseline(
    dataset,
    hidden_units=(1000, 1000, 500, 200),
    activation="relu",
    epochs=10,
    batch_size=128,
    seed=0,
    learning_rate=1e-3,
    decay="cosine",
    optimizer="adam",
    loss="sparse_categorical_crossentropy",
):
    """Return a dense network trained on a dataset, from the store if it was trained before.

    Args:
        dataset: a `Dataset`.
        hidden_units, activation: as in `make_mlp`.
        epochs: passes over the training set, in full batches.
        batch_size, seed: as in `train`; the seed also decides the initial weights.
        learning_rate, decay, optimizer, loss: as in `compile_training`.

    Networks are stored in runs/baselines, $PRUNINGLIB_RUNS/baselines or $PRUNINGLIB_BASELINES,
    the last that is set, under a key made of all the arguments, the data and the versions of Keras
    and TensorFlow. If two processes want the same network, one trains and the other waits. With
    decay="constant", training goes on from a stored network of fewer epochs, if there is one.
    Raises ValueError if the stored file is damaged.
    """
    training = {
        "learning_rate": learning_rate,
        "decay": decay,
        "optimizer": optimizer,
        "loss": loss,
    }
    x, y = np.ascontiguousarray(dataset.x_train), np.ascontiguousarray(dataset.y_train)
    settings = {
        "dataset": [dataset.name, zlib.crc32(x), zlib.crc32(y)],
        "network": [[int(units) for units in hidden_units], activation],
        "training": [batch_size, seed, sorted(training.items())],
        "versions": [keras.__version__, version("tensorflow")],
    }
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    paths = {n: BASELINES / f"{dataset.name}-{key}-{n}.keras" for n in range(epochs + 1)}
    path, in_epoch = paths[epochs], max(1, len(x) // batch_size)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(BASELINES / f"{dataset.name}-{key}.lock"):
        shorter = [n for n in paths if decay == "constant" and paths[n].exists()]
        if path.exists():
            model = None
        elif shorter:
            model, done = _load(paths[shorter[-1]]), shorter[-1] * in_epoch
            fit_iterations(model, x, y, epochs * in_epoch - done, batch_size, seed, done)
        else:
            model = make_mlp(x.shape[1], hidden_units, int(y.max()) + 1, activation, seed)
            train(model, x, y, epochs * in_epoch, batch_size, seed, **training)
        if model:
            with written_whole(path) as temporary:
                model.save(temporary)
    return _load(path)


def _load(path):
    try:
        return keras.models.load_model(path)
    except Exception as error:
        raise ValueError(f"The stored network {path} is damaged; delete it.") from error


def baselines(dataset, seeds, **settings):
    """Return {seed: `baseline`}; the settings are its other arguments."""
    return {seed: baseline(dataset, seed=seed, **settings) for seed in progress(seeds, "network")}
