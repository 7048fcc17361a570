"""Masks held on the weights of a layer."""

import numpy as np

from pruninglib.registered import HoldMask
from pruninglib.structure.layers import constrained, for_units


def put_mask(layer, mask):
    """Hold a mask on a layer from its next compilation on, beside what its constraints did.

    Args:
        mask: 0/1 array of the shape of the layer's kernel, or (units,): then on the bias too.
    """
    for name, constraint, part in masked_weights(layer, mask):
        before = getattr(layer, constraint)
        if isinstance(before, HoldMask):
            part, before = np.logical_and(before.mask, part), before.then
        set_constraint(layer, name, constraint, HoldMask(part, before))


def set_constraint(layer, name, constraint, value):
    """Put a constraint on a weight, and in the layer's config."""
    getattr(layer, name).constraint = value
    setattr(layer, constraint, value)


def masked_weights(layer, mask):
    """Yield what a mask acts on: (name of a weight, name of its constraint, mask for it)."""
    (kernel, kernel_constraint), (bias, bias_constraint) = constrained(layer)
    yield kernel, kernel_constraint, mask if mask.ndim > 1 else for_units(layer, mask)
    if mask.ndim == 1 and getattr(layer, bias, None) is not None:
        yield bias, bias_constraint, mask


def held_masks(layer):
    """Return {name of a weight: HoldMask} for the weights of a layer that hold a mask."""
    found = {name: getattr(layer, constraint, None) for name, constraint in constrained(layer)}
    return {name: held for name, held in found.items() if isinstance(held, HoldMask)}
