"""Build the smaller model of a plan."""

import numpy as np

from pruninglib.backend import keras
from pruninglib.pruning.folding import carry, folded_bias
from pruninglib.pruning.held import HoldMask, held_masks, set_constraint
from pruninglib.structure.copying import copy_weights, finish, rebuild
from pruninglib.structure.graph import leaves
from pruninglib.structure.layers import DEPTHWISE, PRUNABLE, TRANSPOSED, constrained
from pruninglib.structure.readers import reads

PER_CHANNEL = ("scale", "offset", "mean", "variance")  # settings that may be arrays


def cut_model(model, plan):
    """Return the model without the channels that go by a `Plan`, with the same outputs.

    The masks that it holds are still held on what is left.
    """
    steps = {id(step.call.layer): step for step in plan.steps if step.output is not None}

    def resize(layer, config):
        return _resized(steps[id(layer)], config, plan) if id(layer) in steps else config

    def input_shape(tensor):
        channels = plan.channels.get(id(tensor))
        if channels is None or not channels.groups.size:  # of a model that is not looked into
            return tensor.shape
        return (*tensor.shape[:-1], int(plan.left(channels).sum()))

    smaller = rebuild(model, resize, input_shape)
    for (_, twin), (_, layer) in zip(leaves(smaller), leaves(model), strict=True):
        _fill(twin, layer, steps.get(id(layer)), plan)
    return smaller


def _resized(step, config, plan):
    """Return the config of a layer for the channels that are left."""
    layer, left = step.call.layer, plan.left(step.output)
    size = int(left.sum())
    if isinstance(layer, keras.layers.Dense):
        config["units"] = size
    elif isinstance(layer, PRUNABLE) and not isinstance(layer, DEPTHWISE):
        config["filters"] = size
        if not reads(layer):  # a convolution with a group for each input
            config["groups"] = int(plan.left(step.inputs[0]).sum())
    elif isinstance(layer, keras.layers.Reshape):
        config["target_shape"] = (*step.call.outputs[0].shape[1:-1], size)
    if reads(layer):
        config["use_bias"] = layer.use_bias or bool(folded_bias(step, plan).any())
    for name in PER_CHANNEL:
        if np.size(config.get(name)) == left.size > 1:
            config[name] = np.asarray(config[name])[..., left].tolist()
    return config


def _fill(twin, layer, step, plan):
    """Assign to a layer of the smaller model its part of the weights and masks of the larger."""
    if step is None:
        copy_weights(twin, layer)
        return
    new = {weight.name: weight for weight in twin.weights}
    old = {weight.name: np.asarray(weight) for weight in layer.weights}
    held = held_masks(layer) if isinstance(layer, PRUNABLE) else {}
    masks = {name: np.broadcast_to(held[name].mask, old[name].shape) for name in held}
    if reads(layer):
        old, masks = carry(step, plan, old, masks)
    cut = {name: _axes(layer, name, values.shape, step, plan) for name, values in old.items()}
    old = {name: _compress(values, cut[name]) for name, values in old.items()}
    masks = {name: _compress(mask, cut[name]) for name, mask in masks.items()}
    if reads(layer) and twin.use_bias:
        old["bias"] = folded_bias(step, plan)
    for name, values in old.items():
        new[name].assign(values)
    for name, constraint in constrained(layer) if held else ():
        if name in held:
            then = held[name].then
            left = then if masks[name].all() else HoldMask(masks[name], then)
            set_constraint(twin, name, constraint, left)
    finish(twin)


def _compress(array, axes):
    for axis, left in axes:
        array = np.compress(left, array, axis)
    return array


def _axes(layer, name, shape, step, plan):
    """Return pairs (axis of a weight, which of its entries are left)."""
    into, out = plan.left(step.inputs[0]), plan.left(step.output)
    if name == "depthwise_kernel" or (isinstance(layer, DEPTHWISE) and name == "kernel"):
        return [(-2, into)]
    if name == "pointwise_kernel":
        return [(-2, np.repeat(into, shape[-2] // into.size)), (-1, out)]
    if name == "kernel" and isinstance(layer, TRANSPOSED):
        return [(-2, out), (-1, into)]
    if name == "kernel" and reads(layer):
        return [(-2, into), (-1, out)]
    return [(-1, out)] if shape[-1:] == out.shape else []
