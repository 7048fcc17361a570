"""Time networks without some of their units against the whole one, in each runtime.

    python benchmarks/shrunk.py

The network of the study, trained on MNIST, and its test images. Writes its section of
benchmarks/README.md. Run it with nothing else running.
"""

from functools import partial

import numpy as np
from machine import spread
from sections import write_section
from turns import cold, in_turn, repeated, take_turns
from ways import DENSE

import pruninglib as pl

ROUNDS = 5
WAYS = DENSE | {"LiteRT, one thread": partial(pl.litert, threads=1)}
SIZES = {  # what stands above the column: (images, how a call is timed)
    "batch 1, caches emptied": (1, cold),
    "batch 1": (1, repeated),
    "batch 32": (32, repeated),
    "batch 256": (256, repeated),
    "batch 10,000": (10_000, repeated),
}
data = pl.load_dataset("mnist")
model, x = pl.baseline(data), data.x_test


def speed_ups(small):
    """Return {runtime: how many times faster the small network is in each round, for each of the SIZES}."""
    runs = {(name, net): way(net) for name, way in WAYS.items() for net in (model, small)}
    found = {name: [] for name in (*WAYS, "fastest of each")}
    for images, way in SIZES.values():
        turns = {key: partial(way, in_turn(run, x, images)) for key, run in runs.items()}
        times = {key: np.array(found) for key, found in take_turns(turns, ROUNDS).items()}
        for name in WAYS:
            found[name].append(times[name, model] / times[name, small])
        fastest = [min((times[n, net] for n in WAYS), key=np.median) for net in (model, small)]
        found["fastest of each"].append(fastest[0] / fastest[1])
    return found


lines = [f"| units removed | fewer MACs | | {' | '.join(SIZES)} |", "|---" * (3 + len(SIZES)) + "|"]
for sparsity in (0.5, 0.8, 0.9, 0.95):
    small = pl.shrink(pl.prune(model, pl.make_masks(model, pl.unit_norm, sparsity)))
    fewer = pl.count_macs(model) / pl.count_macs(small)
    for name, found in speed_ups(small).items():
        cells = " | ".join(spread(ratios, digits=1) for ratios in found)
        lines.append(f"| {sparsity:.0%} | {fewer:.1f} | {name} | {cells} |")
table = "\n".join(lines)
write_section(
    "Shrunk networks",
    f"""
The same network without some of its units: how many times faster than the unpruned one in the same runtime,
all cores, median (all) of {ROUNDS} rounds, variants in turn, each call with other images; "fastest of each": each in
whatever is fastest for it. "Caches
emptied": single calls after other data went through the caches, as in a program that does something else
between two images; else calls follow each other, and the {4 * pl.count_parameters(model) / 1e6:.1f} MB of the unpruned network's weights stay in a cache
that is large enough.

{table}
""",
)
