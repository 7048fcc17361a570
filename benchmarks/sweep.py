"""Time `prune_sweep` against the plain way, in one run.

    python benchmarks/sweep.py

The plain way makes a copy of the model for each sparsity, compiles it and evaluates it in the
batches of 32 that are Keras' default. Needs no data: the time does not depend on the values. Writes
the head of benchmarks/README.md and its section. Run it with nothing else running.
"""

from itertools import pairwise

import keras
import numpy as np
from machine import description, multiplication_rate, spread
from sections import write_head, write_section
from turns import seconds, take_turns

import pruninglib as pl
from pruninglib.experiments import sweeps

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


rng = np.random.default_rng(0)
x, y = rng.random((10_000, 784), np.float32), rng.integers(0, 10, 10_000)
model = pl.compile_training(pl.make_mlp(784, [1000, 1000, 500, 200], 10), 1)
dataset = pl.Dataset("random", x[:1], y[:1], x[:1], y[:1], x, y)

expected, found = plain_sweep(model, x, y), our_sweep(model, dataset)
assert np.allclose(expected, found, atol=2e-4), "the two sweeps disagree"


def without_numba():
    """Return the seconds of our sweep where numba is not installed."""
    kept, sweeps.sparse_library = sweeps.sparse_library, lambda: "scipy"
    try:
        return seconds(our_sweep, model, dataset)
    finally:
        sweeps.sparse_library = kept


times = take_turns(
    {
        "plain": lambda: seconds(plain_sweep, model, x, y),
        "ours": lambda: seconds(our_sweep, model, dataset),
        "without numba": without_numba,
    },
    ROUNDS,
)

# Floor: each weight level and the dense network at full size once, each unit level shrunk
sizes = [784, 1000, 1000, 500, 200, 10]
units = [
    [n if i in (0, 5) else round((1 - s) * n) for i, n in enumerate(sizes)] for s in SPARSITIES
]
macs = [sum(a * b for a, b in pairwise(row)) for row in units]
operations = 2 * len(x) * (macs[0] * len(SPARSITIES) + sum(macs[1:]))
floor = operations / multiplication_rate()
plain, ours, simple = (np.array(found) for found in times.values())
write_head(
    f"""# Benchmarks

Written by `make bench`, except for "How fast is it, and why"; ratios taken in one run, variants in turn.
Machine: {description()}
"""
)
write_section(
    "Sweep",
    f"""
`prune_sweep` over {len(SPARSITIES)} sparsities x 2 methods on 10,000 images, 784-1000-1000-500-200-10, {ROUNDS} rounds.

| | seconds, median (all rounds) | times faster, median (all rounds) |
|---|---|---|
| copy, compile, `evaluate` in batches of 32, for each sparsity | {spread(plain)} | 1 |
| `prune_sweep` | {spread(ours)} | {spread(plain / ours, digits=1)} |
| `prune_sweep` without numba | {spread(simple)} | {spread(plain / simple, digits=1)} |
| floor: {operations / 1e9:.0f} GFLOP at this machine's rate of large products | {floor:.2f} | |

Why it is faster: the dense network is evaluated once instead of twice; one compiled copy serves all weight masks;
networks without some of their units run in their small form; with numba, those with few weights left run by their
nonzero weights alone, which is how it can fall below the floor of dense products; each layer's scores are sorted once
for all sparsities; batches are large. What is left: building the small networks as Keras models, the masks, and
products of 2000 rows that do not reach the rate of large square ones.
""",
)
