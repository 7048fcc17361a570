"""What the sweeps have in common: their levels and the columns of their rows."""

import numpy as np

from pruninglib.graph import logits_layers, prunable_layers
from pruninglib.hold import HoldMask
from pruninglib.masks import layer_scores, mask_levels
from pruninglib.pruning import measure_sparsity


def levels(model, criterion, sparsities, scope):
    """Return pairs (sparsity, masks) for a list of sparsities.

    Raises ValueError if the model holds masks already: a sweep exchanges masks, and would let
    go of those.
    """
    for name, layer in prunable_layers(model).items():
        if isinstance(layer.kernel_constraint, HoldMask):
            raise ValueError(
                f"Layer {name!r} holds a mask already; a sweep starts from a model without masks. "
                "Pass strip(model)."
            )
    scores = layer_scores(model, criterion, scope)
    return zip(sparsities, mask_levels(scores, sparsities, scope), strict=True)


def asked(dataset, method, scope, stage, sparsity):
    """Return the columns of a row that say what was asked for."""
    return {
        "dataset": dataset.name,
        "method": method,
        "scope": scope,
        "stage": stage,
        "sparsity": sparsity,
    }


def sparsity_within(model, network):
    """Return the sparsity of a network that may have fewer units than the dense model."""
    dense, found = prunable_layers(model), prunable_layers(network)
    names = [name for name in dense if name not in logits_layers(model)]
    if all(found[name].kernel.shape == dense[name].kernel.shape for name in names):
        return measure_sparsity(network)
    shapes = [dense[name].kernel.shape for name in names]
    kept = [
        np.prod(shape[:-1]) * found[name].kernel.shape[-1]
        for name, shape in zip(names, shapes, strict=True)
    ]
    return float(1 - sum(kept) / sum(np.prod(shape) for shape in shapes))
