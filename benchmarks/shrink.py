"""What shrinking takes off the architectures of keras.applications, in what time and memory.

    python benchmarks/shrink.py

Writes the section on shrinking in benchmarks/README.md. Run it with nothing else running: about
ten minutes. The networks are those of tests/pruning/test_applications.py: random weights, statistics of
BatchNormalization that are changed at random, small images.
"""

import gc
import sys
from pathlib import Path
from time import perf_counter

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "pruning"))

from memory import forget_peak, peak_memory
from sections import write_section
from test_applications import SIDES, blots, enliven

import pruninglib as pl

SETTINGS = [(0.3, False), (0.3, True), (0.7, False), (0.7, True)]


def measured(name, sparsity, coupled):
    """Return a row on one architecture and one share of removed units."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    side, make = SIDES[name], getattr(keras.applications, name)
    settings = {"weights": None, "classes": 10, "classifier_activation": None}
    model = make(input_shape=(side, side, 3), **settings)
    parameters, images = model.count_params(), blots(4, side).astype("float32")
    pruned = pl.prune(model, pl.make_masks(model, pl.unit_norm, sparsity, coupled=coupled))
    enliven(pruned, images, 1 - sparsity)
    del model
    gc.collect()
    forget_peak()
    before, start = peak_memory(), perf_counter()
    smaller = pl.shrink(pruned)
    seconds, more = perf_counter() - start, peak_memory() - before
    expected, found = np.asarray(pruned(images)), np.asarray(smaller(images))
    return {
        "gone": 1 - smaller.count_params() / parameters,
        "seconds": seconds,
        "memory": 1 + more / (4 * parameters),
        "difference": np.abs(found - expected).max() / np.abs(expected).max(),
        "parameters": parameters,
    }


lines = []
for name in SIDES:
    rows = [measured(name, *setting) for setting in SETTINGS]
    gone = " | ".join(f"{row['gone']:.0%}" for row in rows)
    worst = {key: max(row[key] for row in rows) for key in ("seconds", "memory", "difference")}
    lines.append(
        f"| {name} | {rows[0]['parameters'] / 1e6:.1f} | {gone} | {worst['seconds']:.1f} | "
        f"{worst['memory']:.1f} | {worst['difference']:.0e} |"
    )
    print(lines[-1], flush=True)

table = "\n".join(lines)
write_section(
    "Shrinking",
    f"""Share of the parameters that `shrink` takes off when 30 or 70 % of the units of each layer are
masked: each layer for itself, or those together that can only go together (`coupled=True`).

| | million parameters | 30 % | 30 %, coupled | 70 % | 70 %, coupled | seconds | memory | difference |
|---|---|---|---|---|---|---|---|---|
{table}

Seconds: the slowest of the four. Memory: the largest of the four peaks while shrinking, the masked
network included, over the size of its weights; below about 5 million parameters what Keras keeps
for hundreds of layers is larger than the weights. Difference: the largest of the outputs of the
smaller network from those of the masked one, relative to the largest output, in float32. The tests
do the same in float64, where all are below 1e-11: what is above 1e-5 here is float32 rounding,
which these random networks blow up, not a change of the function.

What stays whole, and why (`plan_shrink` lists it for each layer): all channels that an Add brings
together with others, unless they go together; what meets LayerNormalization or LayerScale in
ConvNeXt; one unit, or in front of a separable convolution one for each position of its kernel,
that carries the constants of removed ones into zero padding.
""",
)
