"""Masked training with pruninglib, and with the callback that rewrites weights, on Keras 3."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
from turns import seconds, serve

import pruninglib as pl
from pruninglib.training import fit_iterations

batch_size, sparsity = int(sys.argv[1]), float(sys.argv[2])
rng = np.random.default_rng(0)
x, y = rng.random((60_000, 784), np.float32), rng.integers(0, 10, 60_000)
dense = pl.compile_training(pl.make_mlp(784, [1000, 1000, 500, 200], 10), 10**6)
masks = pl.make_masks(dense, pl.magnitude, sparsity)
pruned = pl.prune(dense, masks)
rewritten = pl.compile_training(pl.make_mlp(784, [1000, 1000, 500, 200], 10), 10**6)
plain = pl.make_mlp(784, [1000, 1000, 500, 200], 10)
plain.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))


class Rewrite(keras.callbacks.Callback):
    """Set the masked weights to zero after each batch, as projects without a library do."""

    def on_train_batch_end(self, batch, logs=None):
        for name, mask in masks.items():
            kernel = self.model.get_layer(name).kernel
            kernel.assign(np.asarray(kernel) * mask)


def ours(model, steps):
    return seconds(fit_iterations, model, x, y, steps, batch_size)


def with_callback(steps):
    part = slice(0, steps * batch_size)
    how = {"batch_size": batch_size, "verbose": 0, "callbacks": [Rewrite()]}
    return seconds(lambda: rewritten.fit(x[part], y[part], **how))


def plain_fit(steps):
    part = slice(0, steps * batch_size)
    return seconds(lambda: plain.fit(x[part], y[part], batch_size=batch_size, verbose=0))


def zeros_left(model):
    """Return the share of the masked weights that are zero."""
    masked = [np.asarray(model.get_layer(name).kernel)[mask == 0] for name, mask in masks.items()]
    return float(np.mean(np.concatenate(masked) == 0))


serve(
    {
        "dense": lambda steps: ours(dense, steps),
        "masked": lambda steps: ours(pruned, steps),
        "rewritten": with_callback,
        "plain": plain_fit,
        "zeros": lambda: {"masked": zeros_left(pruned), "rewritten": zeros_left(rewritten)},
    }
)
