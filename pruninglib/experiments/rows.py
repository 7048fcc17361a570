"""What the sweeps have in common: their levels and the columns of their rows."""

import numpy as np

from pruninglib.pruning.held import held_masks
from pruninglib.pruning.masks import mask_levels
from pruninglib.pruning.prune import measure_sparsity
from pruninglib.pruning.scores import layer_scores
from pruninglib.structure.layers import kernel_of, number_of_units
from pruninglib.structure.prunable import default_layers, prunable_layers


def levels(model, criterion, sparsities, scope):
    """Return pairs (sparsity, masks) for a list of sparsities.

    Raises ValueError if the model holds masks already: a sweep exchanges masks, and would let
    go of those.
    """
    for name, layer in prunable_layers(model).items():
        if held_masks(layer):
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
    names = default_layers(model)
    if all(kernel_of(found[name]).shape == kernel_of(dense[name]).shape for name in names):
        return measure_sparsity(network)
    sizes = np.array([np.prod(kernel_of(dense[name]).shape) for name in names])
    left = [number_of_units(found[name]) / number_of_units(dense[name]) for name in names]
    return float(1 - sizes @ left / sizes.sum())
