"""Train a model for a number of iterations: optimizer, learning-rate decay, order of batches."""

import gc
from math import gcd

import pruninglib.backend as backend
from pruninglib.backend import keras, native_stderr_silenced, tensorflow_log_silenced
from pruninglib.progress_line import place, working
from pruninglib.structure.examples import targets

Schedule = keras.optimizers.schedules.LearningRateSchedule
LONG = (
    5e8  # weights times iterations above which XLA saves the half second that it takes to compile
)
ON_LOGITS = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
}


def train(model, x, y, iterations, batch_size=128, seed=0, **settings):
    """Compile a model and train it in place for a number of iterations (batches); return it.

    Args:
        x, y: float32 inputs of the model's input shape, and integer labels.
        batch_size: examples in a batch; all batches are full.
        seed: decides the order of the examples; Keras' global random seed is set to it.
        settings: as in `compile_training`.

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
    steps_per_execution=1,
    jit_compile=None,
    metrics=("accuracy",),
):
    """Compile a model in place for a training of `iterations` batches; return it.

    Args:
        learning_rate: the rate at the first iteration, or a Keras learning-rate schedule.
        decay: "constant", or "linear" or "cosine" decay to zero at the last iteration; ignored
            beside a schedule.
        optimizer: name of a Keras optimizer.
        loss: a Keras loss or its name; "categorical_crossentropy" and its sparse form, by name,
            are computed from logits.
        steps_per_execution: iterations that Keras runs at once, for small networks up to twice as
            fast; ValueError unless it divides the iterations. Callbacks see only the last of each.
        jit_compile: whether to use XLA, which makes each step faster, but does not support all
            layers; by default if the training is `LONG` enough to gain by it.
        metrics: Keras metrics or their names.
    """
    if iterations % steps_per_execution:
        raise ValueError(
            f"steps_per_execution must divide the {iterations} iterations, got "
            f"{steps_per_execution}. Pass steps_per_execution={gcd(iterations, 50)}."
        )
    if decay == "constant" or isinstance(learning_rate, Schedule):
        rate = learning_rate
    elif decay == "linear":
        rate = keras.optimizers.schedules.PolynomialDecay(learning_rate, max(1, iterations), 0.0)
    elif decay == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, max(1, iterations))
    else:
        raise ValueError(f'decay must be "constant", "linear" or "cosine", got {decay!r}.')
    if jit_compile is None:
        jit_compile = iterations * model.count_params() >= LONG
    # named, for else Keras numbers it, and files would depend on which optimizers came before
    config = {"learning_rate": rate, "name": optimizer}
    model.compile(
        keras.optimizers.get({"class_name": optimizer, "config": config}),
        ON_LOGITS[loss](from_logits=True) if loss in ON_LOGITS else loss,
        metrics=list(metrics),
        jit_compile=jit_compile,
        steps_per_execution=steps_per_execution,
    )
    model.optimizer.build(model.trainable_variables)
    return model


def fit_iterations(model, x, y, iterations, batch_size=128, seed=0, done=0):
    """Train a compiled model in place for `iterations` full batches, shuffled by `seed`; return it.

    Args:
        x, y: float32 inputs of the model's input shape, and integer labels.
        done: batches of the same seed that it was trained for already, to go on as if it had
            never stopped.
    """
    labels = targets(y, model.loss, model.output_shape[-1])
    return fit_batches(model, x, labels, iterations, batch_size, seed, done=done)


def fit_batches(model, x, labels, iterations, batch_size, seed, callbacks=(), done=0):
    """Train as `fit_iterations` does, on labels in the form that the loss expects.

    Args:
        x: array or tensor, or a structure of them for several inputs; an array is copied, which
            takes up to half a second.
        callbacks: Keras callbacks.
    """
    keras.utils.set_random_seed(seed)
    if iterations:
        inputs, labels = to_tensor(x), to_tensor(labels)
        number = len(keras.tree.flatten(inputs)[0])
        with (
            native_stderr_silenced(),
            tensorflow_log_silenced(),
            working("iteration", iterations) as tell,
        ):
            batches = training_batches(inputs, labels, min(batch_size, number), seed, done)
            how = {"steps_per_epoch": iterations, "verbose": 0, "shuffle": False}
            model.fit(batches, callbacks=[*callbacks, *_told(tell)], **how)
        if inputs is not x:
            del inputs, labels, batches
            gc.collect()  # else reference cycles keep several copies of the training set
    return model


def _told(tell):
    """Yield a callback for the progress line, only where one is shown, for it costs a little."""
    if place():
        yield keras.callbacks.LambdaCallback(on_train_batch_end=lambda i, logs: tell(i + 1))


def to_tensor(x):
    """Return an array, or a structure of them, as tensors, which `fit_batches` does not copy."""
    return keras.tree.map_structure(backend.tf.convert_to_tensor, x)


def training_batches(inputs, labels, batch_size, seed, done=0):
    """Return an endless tf.data.Dataset of full batches after the first `done`.

    They are shuffled anew in each epoch.
    """
    tf = backend.tf
    number = len(keras.tree.flatten(inputs)[0])
    order = tf.data.Dataset.range(number).shuffle(number, seed=seed)
    order = order.batch(batch_size, drop_remainder=True).repeat().skip(done)
    # gathered by index, which is cheaper than shuffling the rows
    both = (inputs, labels)
    batches = order.map(lambda i: keras.tree.map_structure(lambda x: tf.gather(x, i), both))
    batches = batches.prefetch(2)
    options = tf.data.Options()
    options.autotune.enabled = False  # its thread may sleep on long after the last batch
    return batches.with_options(options)
