"""How much each layer alone can lose: a scan that tells how to share out the sparsity."""

import pandas as pd

from pruninglib.execution.runtimes import compiled
from pruninglib.experiments.evaluation import evaluate
from pruninglib.progress_line import progress
from pruninglib.pruning.masks import mask_levels
from pruninglib.pruning.prune import measure_sparsity, prune, set_masks
from pruninglib.pruning.scores import layer_scores
from pruninglib.structure.prunable import prunable_layers


def sensitivity(model, criterion, sparsities, data, include=None, exclude=(), **labels):
    """Yield the accuracy and loss of a model of which only one layer is pruned, for each layer.

    Args:
        model: a compiled model that outputs one value per class, without masks.
        criterion: as in `make_masks`.
        sparsities: shares to prune of a layer, in [0, 1].
        data: (inputs, integer labels), better those of a validation set than of the test set.
        include, exclude: layers, as in `make_masks`.

    Rows add layer, sparsity, measured_sparsity (of that layer), accuracy, loss, and lost, the
    accuracy of the dense model minus this one (Li et al. 2017 draw such curves).
    """
    scores = layer_scores(model, criterion, "layer", include, exclude)
    sparsities, (x, y) = list(sparsities), data
    dense = evaluate(compiled(model), x, y, model.loss)
    nothing = next(mask_levels(scores, [0.0]))
    pruned = prune(model, nothing)
    run = compiled(pruned, frozen=False)
    layers, originals = prunable_layers(pruned), prunable_layers(model)
    for name, found in progress(scores.items(), "layer"):
        for sparsity, masks in zip(sparsities, mask_levels({name: found}, sparsities), strict=True):
            set_masks(pruned, masks)
            result = evaluate(run, x, y, model.loss) if sparsity else dense
            yield {
                **labels,
                "layer": name,
                "sparsity": sparsity,
                "measured_sparsity": measure_sparsity(pruned, [name]),
                **result,
                "lost": dense["accuracy"] - result["accuracy"],
            }
            layers[name].set_weights(originals[name].get_weights())
        set_masks(pruned, {name: nothing[name]})


def tolerated(table, tolerance=0.01):
    """Return {layer: the largest sparsity that costs no more}, for `make_masks`.

    Args:
        table: rows of `sensitivity`.
        tolerance: accuracy that each layer alone may cost, as a share: 0.01 is one point.
            Layers that are pruned together cost more than each alone.

    >>> rows = [{"layer": "a", "sparsity": s, "lost": s / 50} for s in (0.25, 0.5, 0.75)]
    >>> tolerated(rows)
    {'a': 0.5}
    """
    table = pd.DataFrame(table)
    rounding = 1e-9
    kept = table[table["lost"] <= tolerance + rounding]
    found = kept.groupby("layer", sort=False)["sparsity"].max()
    return {str(name): float(sparsity) for name, sparsity in found.items()}
