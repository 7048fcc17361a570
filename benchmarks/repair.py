"""Time `repair` and the greedy choice against the arithmetic that they cannot avoid.

    python benchmarks/repair.py

Writes the section on repair in benchmarks/README.md, after benchmarks/sweep.py. The network of
the study with random weights, 90 % of them pruned, and 10,000 random images: the time does not
depend on the values. Run it with nothing else running.
"""

from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np

import pruninglib as pl

ROUNDS, EXAMPLES = 5, 10_000
SIZES = [784, 1000, 1000, 500, 200, 10]

rng = np.random.default_rng(0)
x = rng.random((EXAMPLES, SIZES[0]), np.float32)
model = pl.make_mlp(SIZES[0], SIZES[1:-1], SIZES[-1])
pruned = {s: pl.prune(model, pl.make_masks(model, pl.magnitude, s)) for s in (0.5, 0.9)}
layers = [
    (x[:1000].repeat(10, axis=0)[:, :1].repeat(a, 1), x[:, :1].repeat(b, 1))
    for a, b in pairwise(SIZES)
]


def normal_equations():
    """Compute the products X.T @ X and X.T @ T of all layers, and nothing else."""
    for inputs, targets in layers:
        inputs.T @ inputs
        inputs.T @ targets


variants = {
    "`repair`, 90 % of the weights pruned": lambda: pl.repair(pruned[0.9], model, x),
    "the same with `passes=0`": lambda: pl.repair(pruned[0.9], model, x, passes=0),
    "`repair`, 50 % of the weights pruned": lambda: pl.repair(pruned[0.5], model, x),
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
section = f"""## Repair

784-1000-1000-500-200-10, {EXAMPLES:,} images, {ROUNDS} rounds, variants in turn.

{table}

Above the floor: the images go through the dense, the pruned and the repaired network; each of
the {sum(SIZES[1:]):,} units has a system of equations of its own; and each of the 3 passes of the default
computes the outputs and one of the two products again. At 50 % the systems are largest.
"""
readme = Path(__file__).with_name("README.md")
readme.write_text(readme.read_text().split("## Repair")[0].rstrip() + "\n\n" + section)
print(section)
