"""Masked training with pruninglib, and with the callback that rewrites weights, on Keras 3."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
from turns import START, clock, serve

import pruninglib as pl
from pruninglib.recovery.training import fit_batches

batch_size, sparsity = int(sys.argv[1]), float(sys.argv[2])
rng = np.random.default_rng(0)
x, y = rng.random((60_000, 784), np.float32), rng.integers(0, 10, 60_000)


def network():
    return pl.make_mlp(784, [1000, 1000, 500, 200], 10)


single = pl.compile_training(network(), 10**6)
dense = pl.compile_training(network(), 10**6, steps_per_execution=10)
without_xla = pl.compile_training(network(), 10**6, steps_per_execution=10, jit_compile=False)
masks = pl.make_masks(dense, pl.magnitude, sparsity)
pruned = pl.prune(dense, masks)
rewritten, plain = network(), network()
for model in (rewritten, plain):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])


class Rewrite(keras.callbacks.Callback):
    """Set the masked weights to zero after each batch, as projects without a library do."""

    def on_train_batch_end(self, batch, logs=None):
        for name, mask in masks.items():
            kernel = self.model.get_layer(name).kernel
            kernel.assign(np.asarray(kernel) * mask)


def ours(model, steps):
    times = clock(keras.callbacks.Callback)
    fit_batches(model, x, y, START + steps, batch_size, 0, [times])
    return times.seconds(START)


def plain_fit(model, steps, *callbacks):
    part, times = slice(0, (START + steps) * batch_size), clock(keras.callbacks.Callback)
    how = {"batch_size": batch_size, "verbose": 0, "callbacks": [*callbacks, times]}
    model.fit(x[part], y[part], **how)
    return times.seconds(START)


def zeros_left(model):
    """Return the share of the masked weights that are zero."""
    masked = [np.asarray(model.get_layer(name).kernel)[mask == 0] for name, mask in masks.items()]
    return float(np.mean(np.concatenate(masked) == 0))


serve(
    {
        "single": lambda steps: ours(single, steps),
        "without XLA": lambda steps: ours(without_xla, steps),
        "dense": lambda steps: ours(dense, steps),
        "masked": lambda steps: ours(pruned, steps),
        "rewritten": lambda steps: plain_fit(rewritten, steps, Rewrite()),
        "plain": lambda steps: plain_fit(plain, steps),
        "zeros": lambda: {"masked": zeros_left(pruned), "rewritten": zeros_left(rewritten)},
    }
)
