"""Time `make_masks` on a large model against scoring and choosing alone.

    python benchmarks/model_masks.py

Writes its section of benchmarks/README.md. Run it with nothing else running.
"""

import keras
import numpy as np
from machine import multiplication_rate, spread
from sections import write_section
from turns import seconds, take_turns

import pruninglib as pl
from pruninglib.structure.layers import kernel_values
from pruninglib.structure.prunable import chosen, prunable_layers

ROUNDS, SPARSITY = 15, 0.9
model = keras.applications.ResNet50(weights=None)
layers = prunable_layers(model)
kernels = [layers[name] for name in chosen(model)]


def alone(criterion, scope):
    """Score and choose, and nothing else."""
    scores = [criterion(kernel_values(layer)) for layer in kernels]
    if scope == "global":
        scores = [np.concatenate([values.ravel() for values in scores])]
    return [pl.top_k_mask(values, SPARSITY) for values in scores]


lines = ["| | ms, median (all rounds) | ratio, median (all rounds) |", "|---|---|---|"]
for criterion in (pl.magnitude, pl.unit_norm):
    for scope in ("layer", "global"):
        ways = {
            "scoring and choosing alone": lambda c=criterion, s=scope: alone(c, s),
            "`make_masks`": lambda c=criterion, s=scope: pl.make_masks(model, c, SPARSITY, s),
        }
        times = take_turns({name: lambda w=way: seconds(w) for name, way in ways.items()}, ROUNDS)
        first = next(iter(times.values()))
        for name, found in times.items():
            what = f"`{criterion.__name__}`, {scope} scope: {name}"
            lines.append(
                f"| {what} | {spread(found, 1e3, 0)} | {spread(np.divide(found, first))} |"
            )
table = "\n".join(lines)
write_section(
    "Masks of a whole model",
    f"""
ResNet50, {sum(np.prod(layer.kernel.shape) for layer in kernels) / 1e6:.1f} million weights in {len(kernels)}
layers, {SPARSITY:.0%} masked, {ROUNDS} rounds, variants in turn, on a machine of
{multiplication_rate() / 1e9:.0f} GFLOP/s in large float32 products. What `make_masks` adds is to find the layers,
and to see that no weight is NaN or infinite: one more look at each kernel.

{table}
""",
)
