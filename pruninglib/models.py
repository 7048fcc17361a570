"""The network of the study, its training, and trained networks kept for later runs."""

import gc
import hashlib
import json
import zlib

import keras
import tensorflow as tf
from filelock import FileLock

from pruninglib.paths import RUNS, written_whole
from pruninglib.quiet import native_stderr_silenced


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
        loss: name of a Keras loss on the logits (and one-hot labels, where it wants them).
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
        keras.optimizers.get(optimizer), logits_loss(loss), metrics=["accuracy"], jit_compile=True
    )
    model.optimizer.build(model.trainable_variables)
    return model


def fit_iterations(model, x, y, iterations, batch_size=128, seed=0):
    """Train a compiled model in place for a number of full batches, shuffled by `seed`."""
    keras.utils.set_random_seed(seed)
    if iterations:
        # Batches are gathered by shuffled index, which costs less than shuffling the rows
        inputs, labels = tf.constant(x), tf.constant(y)
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
    **training,
):
    """Return the dense network trained on a dataset, from the store if it was trained before.

    Args:
        training: learning_rate, decay, optimizer, loss, as in `compile_training`.

    Networks are stored in runs/baselines (or $PRUNINGLIB_RUNS/baselines) under a key made of
    all the arguments, the data and the versions of Keras and TensorFlow. Of two processes that
    want the same network, one trains and the other waits.
    """
    settings = {
        "dataset": [dataset.name, zlib.crc32(dataset.x_train), zlib.crc32(dataset.y_train)],
        "network": [list(hidden_units), activation],
        "training": [epochs, batch_size, seed, sorted(training.items())],
        "versions": [keras.__version__, tf.__version__],
    }
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    path = RUNS / "baselines" / f"{dataset.name}-{key}.keras"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            classes = int(dataset.y_train.max()) + 1
            inputs = dataset.x_train.shape[1]
            model = make_mlp(inputs, hidden_units, classes, activation, seed)
            steps = max(1, len(dataset.x_train) // batch_size)
            x, y = dataset.x_train, dataset.y_train
            train(model, x, y, epochs * steps, batch_size, seed=seed, **training)
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


def logits_loss(name):
    """Return a Keras loss of integer labels and logits, from the name of any Keras loss."""
    if name.endswith("categorical_crossentropy"):
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return OneHotLoss(name)


@keras.saving.register_keras_serializable(package="pruninglib")
class OneHotLoss(keras.losses.Loss):
    """A Keras loss that compares logits with one-hot labels, given integer labels."""

    def __init__(self, loss, **settings):
        super().__init__(**settings)
        self.loss = loss

    def call(self, y_true, y_pred):
        labels = keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32")
        targets = keras.ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)
        return keras.losses.get(self.loss)(targets, y_pred)

    def get_config(self):
        return {**super().get_config(), "loss": self.loss}
