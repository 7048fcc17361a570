"""Retrain pruned networks, at many sparsities, without compiling or computing in vain."""

import numpy as np

from pruninglib.pruning import prune, set_masks
from pruninglib.shrink import CannotShrink, shrink
from pruninglib.training import compile_training, fit_iterations, train


def retrainer(model, masks, dataset, iterations, batch_size, seed, training):
    """Return a function (masks, held) -> network retrained from the model's weights.

    One compiled network serves all masks, for compiling takes seconds. But where units are
    removed, their mask is held and nothing has a bias, the smaller network is trained instead:
    removed units output zero, so that both train to the same result, and the smaller one sooner.
    """
    x, y, weights = dataset.x_train, dataset.y_train, model.get_weights()
    twin = compile_training(prune(model, masks), iterations, **training)
    fresh = [np.asarray(variable) for variable in twin.optimizer.variables]

    def retrain(masks, held):
        twin.set_weights(weights)
        set_masks(twin, masks)
        if held:
            smaller = without_removed_units(twin, masks)
            has_bias = any(getattr(layer, "use_bias", False) for layer in smaller.layers)
            if smaller is not twin and not has_bias:
                return train(smaller, x, y, iterations, batch_size, seed, **training)
        else:
            set_masks(twin, {name: np.ones_like(mask) for name, mask in masks.items()})
        for variable, value in zip(twin.optimizer.variables, fresh, strict=True):
            variable.assign(value)
        return fit_iterations(twin, x, y, iterations, batch_size, seed)

    return retrain


def without_removed_units(pruned, masks):
    """Return the smaller network if the masks remove units and it can shrink, else `pruned`."""
    if all(mask.ndim > 1 or mask.all() for mask in masks.values()):
        return pruned
    try:
        return shrink(pruned)
    except CannotShrink:
        return pruned
