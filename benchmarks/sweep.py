"""Time `prune_sweep` against the plain way, in one run, and write benchmarks/README.md.

    python benchmarks/sweep.py

The plain way makes a copy of the model for each sparsity, compiles it and evaluates it in the
batches of 32 that are Keras' default. Both take turns. Needs no data: the time does not depend
on the values. Run it with nothing else running.
"""

import os
import platform
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import keras
import numpy as np
import tensorflow as tf

import pruninglib as pl

SPARSITIES = [0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99]
CRITERIA = {"weight": pl.magnitude, "unit": pl.unit_norm}
ROUNDS = 5


def plain_sweep(model, x, y):
    results = []
    for criterion in CRITERIA.values():
        for sparsity in SPARSITIES:
            copy = keras.models.clone_model(model)
            copy.set_weights(model.get_weights())
            for name, mask in pl.make_masks(model, criterion, sparsity).items():
                kernel = copy.get_layer(name).kernel
                kernel.assign(kernel * mask)
            copy.compile(loss=model.loss, metrics=["accuracy"])
            results.append(copy.evaluate(x, y, batch_size=32, verbose=0)[1])
    return results


def our_sweep(model, dataset):
    return [row["accuracy"] for row in pl.prune_sweep(model, dataset, CRITERIA, SPARSITIES)]


def seconds(function, *arguments):
    start = perf_counter()
    result = function(*arguments)
    return perf_counter() - start, result


def multiplication_rate():
    """Return the floating-point operations per second of a large float32 product, the best of 5."""
    a = tf.random.uniform((4096, 4096))
    return 2 * 4096**3 / min(seconds(lambda: tf.matmul(a, a).numpy())[0] for _ in range(5))


rng = np.random.default_rng(0)
x, y = rng.random((10_000, 784), np.float32), rng.integers(0, 10, 10_000)
model = pl.compile_training(pl.make_mlp(784, [1000, 1000, 500, 200], 10), 1)
dataset = pl.Dataset("random", x[:1], y[:1], x[:1], y[:1], x, y)

plain, ours = [], []
for _ in range(ROUNDS):
    time, expected = seconds(plain_sweep, model, x, y)
    plain.append(time)
    time, found = seconds(our_sweep, model, dataset)
    ours.append(time)
    assert np.allclose(expected, found, atol=2e-4), "the two sweeps disagree"

# Floor: each weight level and the dense network at full size once, each unit level shrunk
sizes = [784, 1000, 1000, 500, 200, 10]
units = [
    [n if i in (0, 5) else round((1 - s) * n) for i, n in enumerate(sizes)] for s in SPARSITIES
]
macs = [sum(a * b for a, b in pairwise(row)) for row in units]
operations = 2 * len(x) * (macs[0] * len(SPARSITIES) + sum(macs[1:]))
floor = operations / multiplication_rate()
low, high = np.min(np.divide(plain, ours)), np.max(np.divide(plain, ours))

text = f"""# Benchmarks

Written by `make bench`; ratios taken in one run, variants in turn, {ROUNDS} rounds.
Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()},
TensorFlow {tf.__version__}, Keras {keras.__version__}.

## Sweep

`prune_sweep` over {len(SPARSITIES)} sparsities x 2 methods on 10,000 images, 784-1000-1000-500-200-10.

| | seconds, median | ratio |
|---|---|---|
| copy, compile, `evaluate` in batches of 32, for each sparsity | {np.median(plain):.2f} | 1 |
| `prune_sweep` | {np.median(ours):.2f} | {np.median(plain) / np.median(ours):.1f} times faster (rounds: {low:.1f} to {high:.1f}) |
| floor: its {operations / 1e9:.0f} GFLOP at this machine's rate of large products | {floor:.2f} | {np.median(ours) / floor:.1f} times below `prune_sweep` |

Why it is faster: the dense network is evaluated once instead of twice; one compiled copy serves
all weight masks; networks without some of their units run in their small form; each layer's
scores are sorted once for all sparsities; batches are large. What is left above the floor:
building the small networks, the masks, and products of {2000} rows that do not reach the rate
of large square ones.
"""
readme = Path(__file__).with_name("README.md")
_, *repair = readme.read_text().partition("\n## Repair")  # of benchmarks/repair.py
readme.write_text(text + "".join(repair))
print(text)
