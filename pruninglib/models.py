"""The network of the study, its training, and trained networks kept for later runs."""

import gc
import hashlib
import json
import zlib
from types import FunctionType

import keras
import numpy as np
import tensorflow as tf
from filelock import FileLock

from pruninglib.paths import RUNS, written_whole
from pruninglib.quiet import native_stderr_silenced

ON_LOGITS = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
}


def make_mlp(inputs, hidden_units, classes, activation="relu", seed=0):
    """Return an untrained multilayer perceptron without biases that outputs logits.

    Args:
        inputs: number of input values.
        hidden_units: units of each hidden layer, named hidden_1, hidden_2, ...
        classes: units of the last layer, named "logits".
    """
    keras.utils.set_random_seed(seed)
    hidden = [
        keras.layers.Dense(units, activation=activation, use_bias=False, name=f"hidden_{i}")
        for i, units in enumerate(hidden_units, start=1)
    ]
    logits = keras.layers.Dense(classes, use_bias=False, name="logits")
    return keras.Sequential([keras.Input((inputs,)), *hidden, logits], name="mlp")


def train(model, x, y, iterations, batch_size=128, seed=0, **settings):
    """Compile a model, train it in place for a number of iterations (batches), return it.

    Args:
        x, y: float32 inputs and integer labels.
        seed: decides the order of the batches; Keras' global random seed is set to it.
        settings: learning_rate, decay, optimizer and loss, as in `compile_training`.

    A mask that the model holds stays held.
    """
    return fit_iterations(
        compile_training(model, iterations, **settings), x, y, iterations, batch_size, seed
    )


def compile_training(
    model,
    iterations,
    learning_rate=1e-3,
    decay="cosine",
    optimizer="adam",
    loss="sparse_categorical_crossentropy",
):
    """Compile a model, with XLA, for a training of a number of iterations; return it.

    Args:
        learning_rate: the rate at the first iteration.
        decay: "constant", or "linear" or "cosine" decay to zero at the last iteration.
        optimizer: name of a Keras optimizer.
        loss: name of a Keras loss, applied to the logits.
    """
    if decay == "constant":
        rate = learning_rate
    elif decay == "linear":
        rate = keras.optimizers.schedules.PolynomialDecay(learning_rate, max(1, iterations), 0.0)
    elif decay == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, max(1, iterations))
    else:
        raise ValueError(f'decay must be "constant", "linear" or "cosine", got {decay!r}.')
    optimizer = {"class_name": optimizer, "config": {"learning_rate": rate}}
    model.compile(
        keras.optimizers.get(optimizer),
        ON_LOGITS[loss](from_logits=True) if loss in ON_LOGITS else loss,
        metrics=["accuracy"],
        jit_compile=True,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def fit_iterations(model, x, y, iterations, batch_size=128, seed=0):
    """Train a compiled model in place for a number of full batches, shuffled by `seed`."""
    keras.utils.set_random_seed(seed)
    if iterations:
        # Batches are gathered by shuffled index, which costs less than shuffling the rows
        inputs = tf.constant(x)
        labels = tf.constant(targets(y, model.loss, model.output_shape[-1]))
        order = tf.data.Dataset.range(len(x)).shuffle(len(x), seed=seed)
        order = order.batch(min(batch_size, len(x)), drop_remainder=True).repeat()
        batches = order.map(lambda i: (tf.gather(inputs, i), tf.gather(labels, i))).prefetch(2)
        with native_stderr_silenced():
            model.fit(batches, steps_per_epoch=iterations, verbose=0, shuffle=False)
        del inputs, labels, order, batches
        gc.collect()  # else a sweep keeps several copies of the training set, in cycles
    return model


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
    """Return the dense network trained on a dataset, from the store if it was trained before.

    Args:
        epochs: passes over the training set, of full batches.
        learning_rate, decay, optimizer, loss: as in `compile_training`.

    Networks are stored in runs/baselines (or $PRUNINGLIB_RUNS/baselines) under a key made of
    all the arguments, the data and the versions of Keras and TensorFlow. Of two processes that
    want the same network, one trains and the other waits.
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
        "training": [epochs, batch_size, seed, sorted(training.items())],
        "versions": [keras.__version__, tf.__version__],
    }
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    path = RUNS / "baselines" / f"{dataset.name}-{key}.keras"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            model = make_mlp(x.shape[1], hidden_units, int(y.max()) + 1, activation, seed)
            iterations = epochs * max(1, len(x) // batch_size)
            train(model, x, y, iterations, batch_size, seed, **training)
            with written_whole(path) as temporary:
                model.save(temporary)
    try:
        return keras.models.load_model(path)
    except Exception as error:
        raise ValueError(f"The stored network {path} is damaged; delete it.") from error


def baselines(
    dataset, learning_rates, seeds, hidden_units, activation, epochs, batch_size, **training
):
    """Return {(learning rate, seed): network}, a `baseline` for each; arguments as there."""
    return {
        (rate, seed): baseline(
            dataset,
            hidden_units,
            activation,
            epochs,
            batch_size,
            seed,
            learning_rate=rate,
            **training,
        )
        for rate in learning_rates
        for seed in seeds
    }


def targets(labels, loss, classes):
    """Return integer labels in the form a loss wants: one-hot, or as they are if it is sparse.

    Args:
        loss: name of a Keras loss, a Keras loss, or a loss of the user's, which gets integers.
    """
    loss = keras.losses.get(loss)
    name = getattr(loss, "name", None) or loss.__name__
    kind = loss if isinstance(loss, FunctionType) else type(loss)
    if name.startswith("sparse") or not kind.__module__.startswith("keras."):
        return labels
    return keras.utils.to_categorical(labels, classes)
