"""Time `repair` and the greedy choice against the arithmetic that they cannot avoid.

    python benchmarks/repair.py

Writes the section on repair in benchmarks/README.md, after benchmarks/sweep.py. The network of
the study, trained on MNIST, and 10,000 training images. Run it with nothing else running.
"""

from itertools import pairwise
from time import perf_counter

import numpy as np
from sections import write_section

import pruninglib as pl

ROUNDS, EXAMPLES = 5, 10_000
SIZES = [784, 1000, 1000, 500, 200, 10]

data = pl.load_dataset("mnist")
model, x = pl.baseline(data, SIZES[1:-1]), data.x_train[:EXAMPLES]
pruned = {s: pl.prune(model, pl.make_masks(model, pl.magnitude, s)) for s in (0.5, 0.9)}
fewer = pl.prune(model, pl.make_masks(model, pl.greedy_units(model, x), 0.9))
rng = np.random.default_rng(0)
layers = [[rng.random((EXAMPLES, n), np.float32) for n in pair] for pair in pairwise(SIZES)]


def normal_equations():
    """Compute the products X.T @ X and X.T @ T of all layers, and nothing else."""
    for inputs, targets in layers:
        inputs.T @ inputs
        inputs.T @ targets


variants = {
    "`repair`, 90 % of the weights pruned": lambda: pl.repair(pruned[0.9], model, x),
    "the same with `passes=0`": lambda: pl.repair(pruned[0.9], model, x, passes=0),
    "`repair`, 50 % of the weights pruned": lambda: pl.repair(pruned[0.5], model, x),
    "`repair`, 90 % of the units removed": lambda: pl.repair(fewer, model, x),
    "`greedy_units`, all layers": lambda: pl.greedy_units(model, x),
    "floor: the normal equations, by NumPy": normal_equations,
}
times = {name: [] for name in variants}
for run in variants.values():  # warm up
    run()
for _ in range(ROUNDS):
    for name, run in variants.items():
        start = perf_counter()
        run()
        times[name].append(perf_counter() - start)

floor = np.array(times["floor: the normal equations, by NumPy"])
lines = ["| | seconds, median (all rounds) | times the floor, median |", "|---|---|---|"]
for name, found in times.items():
    spread = f"{np.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
    lines.append(f"| {name} | {spread} | {np.median(found / floor):.1f} |")
table = "\n".join(lines)
section = f"""
784-1000-1000-500-200-10, {EXAMPLES:,} images, {ROUNDS} rounds, variants in turn.

{table}

Above the floor: the images go through the dense, the pruned and the repaired network; each of
the {sum(SIZES[1:]):,} units has a system of equations of its own; and each of the 3 passes of the default
computes the outputs and one of the two products again. At 50 % the systems are largest. Inputs
that are zero for all images, and units that are removed, take no part: hence the time for units.
"""
write_section("Repair", section)
