"""The experiment on time: networks without some of their units, masked, shrunk and retrained."""

import numpy as np

from pruninglib.criteria import unit_norm
from pruninglib.evaluation import compare
from pruninglib.execution import eager
from pruninglib.pruning import prune
from pruninglib.rows import asked, levels, sparsity_within
from pruninglib.shrink import CannotShrink, shrink
from pruninglib.training import train


def timing_sweep(
    model,
    dataset,
    sparsities,
    iterations=1000,
    batch_sizes=(1, 64),
    repeats=15,
    scope="layer",
    seed=0,
    batch_size=128,
    training=None,
    **labels,
):
    """Yield accuracy, size and time of networks without some of their units, timed together.

    Each sparsity has three stages: "masked" (full size, units held at zero), "shrunk" (the same
    function, smaller) and "retrained" (shrunk, then trained for `iterations`). Arguments are
    those of `recovery_sweep` and `compare`, whose columns the rows have. They add difference
    (of the shrunk network's outputs from the masked one's: the largest, relative to the largest
    output), macs_ratio and speed_up_N: the MACs of the dense network over those of this one, and
    the same of the milliseconds for a batch of N. A level where a layer would lose all of its
    units has its masked row only.
    """
    sparsities = list(sparsities)
    x, y = dataset.x_train, dataset.y_train
    networks, differences = {("dense", 0.0): model}, {}
    for sparsity, masks in levels(model, unit_norm, sparsities, scope):
        masked = prune(model, masks)
        networks["masked", sparsity] = masked
        try:
            shrunk, retrained = shrink(masked), shrink(masked)
        except CannotShrink:
            continue
        networks["shrunk", sparsity] = shrunk
        differences[sparsity] = _difference(masked, shrunk, dataset.x_test)
        networks["retrained", sparsity] = train(
            retrained, x, y, iterations, batch_size, seed, **(training or {})
        )
    rows = compare(networks, dataset, batch_sizes, repeats).to_dict("records")
    for row in rows:
        stage, sparsity = row.pop("label")
        yield {
            **labels,
            "seed": seed,
            **asked(dataset, "unit", scope, stage, sparsity),
            "measured_sparsity": sparsity_within(model, networks[stage, sparsity]),
            "difference": differences.get(sparsity) if stage == "shrunk" else None,
            **row,
            "macs_ratio": rows[0]["macs"] / row["macs"],
            **{
                f"speed_up_{size}": rows[0][f"ms_{size}"] / row[f"ms_{size}"]
                for size in batch_sizes
            },
        }


def _difference(model, other, x):
    expected, found = eager(model)(x[:1000]), eager(other)(x[:1000])
    largest = np.abs(expected).max()
    return (
        float(np.abs(found - expected).max() / largest) if largest else float(np.abs(found).max())
    )
