"""Masked training with the TensorFlow Model Optimization toolkit, which needs Keras 2 (tf_keras)."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from turns import START, clock, serve

batch_size, sparsity = int(sys.argv[1]), float(sys.argv[2])
rng = np.random.default_rng(0)
x, y = rng.random((60_000, 784), np.float32), rng.integers(0, 10, 60_000)


def network():
    layers = [keras.layers.Dense(n, "relu", use_bias=False) for n in (1000, 1000, 500, 200)]
    return keras.Sequential([keras.Input((784,)), *layers, keras.layers.Dense(10, use_bias=False)])


def compiled(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def pruned(frequency):
    schedule = tfmot.sparsity.keras.ConstantSparsity(sparsity, 0, frequency=frequency)
    return compiled(tfmot.sparsity.keras.prune_low_magnitude(network(), schedule))


models = {"dense": compiled(network()), "every 100": pruned(100), "every step": pruned(1)}


def fit(name, steps):
    part, times = slice(0, (START + steps) * batch_size), clock(keras.callbacks.Callback)
    callbacks = [] if name == "dense" else [tfmot.sparsity.keras.UpdatePruningStep()]
    how = {"batch_size": batch_size, "verbose": 0, "callbacks": [*callbacks, times]}
    models[name].fit(x[part], y[part], **how)
    return times.seconds(START)


def zeros():
    """Return the share of zeros that were asked for and are there, all pruned kernels together."""
    found = {}
    for name, model in models.items():
        kernels = [np.asarray(layer.get_weights()[0]) for layer in model.layers]
        share = sum((kernel == 0).sum() for kernel in kernels) / sum(k.size for k in kernels)
        found[name] = float(share / sparsity)
    return found


serve({**{name: lambda steps, name=name: fit(name, steps) for name in models}, "zeros": zeros})
