"""Time `repair` against the arithmetic it cannot avoid, and against retraining as far.

    python benchmarks/repair.py

Writes the section on repair in benchmarks/README.md, after benchmarks/sweep.py. The network of
the study, trained on MNIST, and 10,000 training images. Run it with nothing else running.
"""

from itertools import pairwise

import numpy as np
from machine import spread
from sections import write_section
from turns import seconds, take_turns

import pruninglib as pl

ROUNDS, EXAMPLES, SEEDS = 5, 10_000, (0, 1, 2)
LADDER = (1, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)  # iterations of retraining
RATES = {"weights": 0.016, "units": 0.004}  # of retraining, chosen on validation images
SIZES = [784, 1000, 1000, 500, 200, 10]

data = pl.load_dataset("mnist")
model, x = pl.baseline(data, SIZES[1:-1]), data.x_train[:EXAMPLES]
criteria = {"weights": pl.magnitude, "units": pl.greedy_units(model, x)}
rng = np.random.default_rng(0)
layers = [[rng.random((EXAMPLES, n), np.float32) for n in pair] for pair in pairwise(SIZES)]


def normal_equations():
    """Compute the products X.T @ X and X.T @ T of all layers, and nothing else."""
    for inputs, targets in layers:
        inputs.T @ inputs
        inputs.T @ targets


def pruned(method, sparsity):
    """Return the trained network with so many of its weights or units masked."""
    return pl.prune(model, pl.make_masks(model, criteria[method], sparsity))


def accuracy(network):
    """Return the accuracy on the validation images."""
    run = pl.compiled(network)
    return pl.evaluate(run, data.x_validation, data.y_validation, model.loss)["accuracy"]


def retrained(method, sparsity, iterations):
    """Return the median seconds of retraining and the mean accuracy after it, over the seeds."""
    total = 10 * (len(data.x_train) // 128)
    how = {"learning_rate": RATES[method], "total": total}
    networks = [pruned(method, sparsity) for _ in SEEDS]
    times = [
        seconds(
            lambda network=network, seed=seed: pl.retrain(
                network, model, data.x_train, data.y_train, iterations, seed=seed, **how
            )
        )
        for seed, network in zip(SEEDS, networks, strict=True)
    ]
    return np.median(times), np.mean([accuracy(network) for network in networks])


def against_retraining():
    """Return a table: repair, and the fewest iterations of retraining that get as far."""
    lines = [
        "| pruned | as pruned | repaired | seconds | by retraining | seconds | of those, fixed |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, sparsity in (("weights", 0.9), ("weights", 0.95), ("units", 0.8), ("units", 0.9)):
        network, ridge = pruned(method, sparsity), {"weights": 0.01, "units": 0.001}[method]
        repair = lambda n=network, r=ridge: pl.repair(n, model, x, ridge=r)  # noqa: E731
        wanted = accuracy(repair())
        time = np.median([seconds(repair) for _ in range(ROUNDS)])
        fixed, reached = retrained(method, sparsity, LADDER[0])
        for iterations in LADDER[1:]:
            took, reached = retrained(method, sparsity, iterations)
            if reached >= wanted:
                break
        found = f"{iterations} iterations: {reached:.2%}"
        lines.append(
            f"| {sparsity:.0%} of the {method} | {accuracy(network):.2%} | {wanted:.2%} | {time:.1f} "
            f"| {found if reached >= wanted else 'not ' + found} | {took:.1f} | {fixed:.1f} |"
        )
    return "\n".join(lines)


masked = {s: pruned("weights", s) for s in (0.5, 0.9)}
fewer = pruned("units", 0.9)
variants = {
    "`repair`, 90 % of the weights pruned": lambda: pl.repair(masked[0.9], model, x),
    "the same with `passes=0`": lambda: pl.repair(masked[0.9], model, x, passes=0),
    "`repair`, 50 % of the weights pruned": lambda: pl.repair(masked[0.5], model, x),
    "`repair`, 90 % of the units removed": lambda: pl.repair(fewer, model, x),
    "`greedy_units`, all layers": lambda: pl.greedy_units(model, x),
    "floor: the normal equations, by NumPy": normal_equations,
}
times = take_turns({n: lambda run=run: seconds(run) for n, run in variants.items()}, ROUNDS)
floor = np.array(times["floor: the normal equations, by NumPy"])
lines = ["| | seconds, median (all rounds) | times the floor, median |", "|---|---|---|"]
for name, found in times.items():
    lines.append(f"| {name} | {spread(found)} | {np.median(found / floor):.1f} |")
table = "\n".join(lines)
section = f"""
784-1000-1000-500-200-10, {EXAMPLES:,} images, {ROUNDS} rounds, variants in turn.

{table}

Above the floor: the images go through the dense, the pruned and the repaired network; each of
the {sum(SIZES[1:]):,} units has a system of equations of its own; and each of the 3 passes of the default
computes the outputs and one of the two products again. At 50 % the systems are largest. Inputs
that are zero for all images, and units that are removed, take no part: hence the time for units.

The same accuracy by retraining on labels: the fewest of {", ".join(map(str, LADDER[1:]))} iterations of
128 images that reach that of the repair. MNIST, one dense network, accuracy on the {len(data.x_validation):,} validation images,
mean of {len(SEEDS)} orders of the training images; fixed: what one iteration takes, most of it compiling.

{against_retraining()}
"""
write_section("Repair", section)
