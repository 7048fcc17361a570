"""Fold what constant channels gave to a layer into the weights that it is left with."""

import numpy as np

from pruninglib.structure.layers import SEPARABLE, as_kernel, units_last
from pruninglib.structure.readers import bias_values, carriers_needed, given, is_uneven


def folded_bias(step, plan):
    """Return the bias of the units that are left, with what the constants gone gave to them."""
    gone, bias = _constants(step, ~plan.left(step.inputs[0])), bias_values(step.call.layer)
    if gone.any() and not _uneven(step):
        bias = bias + given(step.call.layer, gone).sum(axis=0)
    return bias[plan.left(step.output)]


def carry(step, plan, weights, masks):
    """Return a layer's weights and masks in which channels left carry the constants gone.

    Into zero padding, constants c of channels give sum over i of c[i] * kernel[p, i] at each
    position p of the kernel that is not on the padding. One constant channel gives the same with
    a kernel of its own, or, where a separable convolution sees each channel with one kernel for
    all units, one channel for each position. The channels that stay a constant take this over.

    Args:
        weights: {name of a weight: array}.
        masks: {name of a weight: array of bool of its shape}, what is held.
    """
    left = plan.left(step.inputs[0])
    gone, layer = _constants(step, ~left), step.call.layer
    if not (gone.any() and _uneven(step)):
        return weights, masks
    constants = _constants(step, left)
    carriers = np.argsort(-np.abs(constants), kind="stable")[: carriers_needed(layer)]
    moved = gone.copy()
    moved[carriers] = constants[carriers]
    if not constants[carriers].all():  # nothing that is left reads what is gone
        return weights, masks
    carry_with = _by_position if isinstance(layer, SEPARABLE) else _by_one
    weights = carry_with(layer, weights, given(layer, moved), carriers, constants)
    return weights, _joined_masks(layer, masks, carriers, moved != 0)


def _by_one(layer, weights, sums, carriers, constants):
    (carrier,) = carriers
    kernel = units_last(layer, weights["kernel"]).copy()
    kernel[..., carrier, :] = (sums / constants[carrier]).reshape(kernel[..., carrier, :].shape)
    return weights | {"kernel": as_kernel(layer, kernel)}


def _by_position(layer, weights, sums, carriers, constants):
    """Let the first channel of the multiplier of each carrier see one position."""
    depthwise, pointwise = (weights[f"{kind}_kernel"].copy() for kind in ("depthwise", "pointwise"))
    *_, inputs, multiplier = depthwise.shape
    seen = depthwise.reshape(-1, inputs, multiplier)
    weighed = pointwise.reshape(inputs, multiplier, -1)
    seen[:, carriers], weighed[carriers] = 0, 0
    seen[range(len(seen)), carriers, 0] = 1
    weighed[carriers, 0] = sums / constants[carriers, None]
    return weights | {"depthwise_kernel": depthwise, "pointwise_kernel": pointwise}


def _joined_masks(layer, masks, carriers, moved):
    """Return masks that let the carriers have each weight that some of the moved channels had."""
    name = "pointwise_kernel" if isinstance(layer, SEPARABLE) else "kernel"
    if name not in masks:
        return masks
    mask = units_last(layer, masks[name]).copy()
    times = mask.shape[-2] // moved.size  # the multiplier of a separable convolution
    rows = (np.flatnonzero(moved)[:, None] * times + np.arange(times)).ravel()
    joined = mask[..., rows, :].any(axis=-2)
    mask[..., carriers * times, :] |= joined[..., None, :]
    return masks | {name: as_kernel(layer, mask)}


def _constants(step, which):
    """Return the constants that a layer gets in these channels, 0 in others and where it varies."""
    return np.where(which, np.nan_to_num(step.inputs[0].constant), 0)


def _uneven(step):
    return is_uneven(step.call.layer, step.inputs[0].bordered)
