"""Follow the channels of a model from layer to layer: what can go together, what is constant."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from pruninglib.backend import keras
from pruninglib.structure.channels import Channels, Groups
from pruninglib.structure.graph import Call, is_in_training, leaves, unnested
from pruninglib.structure.layers import CONVOLUTIONS, DEPTHWISE, PRUNABLE, is_depthwise, is_prunable
from pruninglib.structure.passing import SIZED, acts_on_each_unit, pass_on
from pruninglib.structure.readers import (
    bias_values,
    depthwise_kernel,
    given,
    is_uneven,
    reads,
    weighs,
)


class Step(NamedTuple):
    """A call of a layer with its channels; `output` is None where it is not known, for a reason."""

    call: Call
    inputs: list
    output: Channels | None
    reason: str

    def has_units(self):
        """Say whether the layer has units, and it is known how they act."""
        return isinstance(self.call.layer, PRUNABLE) and self.output is not None


def flow(model):
    """Return (a `Step` for each call of a layer, {id of a tensor: its channels}, the `Groups`).

    The groups know which of them must stay: those of the model's inputs and outputs, and of
    layers that mix channels, are shared, or are not known.
    """
    groups, known, steps = Groups(), {}, []
    calls, outputs, nested = unnested(model)
    for tensor in model.inputs:
        known[id(tensor)] = _staying(tensor, groups, "it is an input of the model")
    times = _times(calls)
    for call in calls:
        inputs = [known[id(tensor)] for tensor in call.inputs]
        obstacle = _obstacle(call, times)
        output = None if obstacle else _follow(call, inputs, groups)
        reason = obstacle or "is not known to treat each channel alone"
        reason = f"{call.name!r} ({type(call.layer).__name__}) {reason}"
        if output is None:
            for each in inputs:
                groups.keep(each.groups, reason)
            for tensor in call.outputs:
                known[id(tensor)] = _staying(tensor, groups, reason)
        else:
            known[id(call.outputs[0])] = output
        steps.append(Step(call, inputs, output, reason))
    for tensor in outputs:
        groups.keep(known[id(tensor)].groups, "it is an output of the model")
    read = {id(tensor) for call in calls for tensor in call.inputs}
    for tensor in (tensor for call in calls for tensor in call.outputs if id(tensor) not in read):
        groups.keep(known[id(tensor)].groups, "it is an output of a nested model")
    known |= {inner: known[id(tensor)] for inner, tensor in nested.items()}
    return steps, known, groups


def _times(calls):
    """Return how often each layer is called, inside of models that are not looked into, too."""
    times = Counter(id(call.layer) for call in calls)
    for call in calls:
        if isinstance(call.layer, keras.Model):
            times.update(id(layer) for _, layer in leaves(call.layer))
    return times


def _staying(tensor, groups, reason):
    channels = groups.fresh(tensor.shape[-1] if _has_channels(tensor) else 0)
    groups.keep(channels.groups, reason)
    return channels


def _has_channels(tensor):
    return len(tensor.shape) > 1 and tensor.shape[-1] is not None


def _obstacle(call, times):
    """Return why a call is not looked into, if it is not."""
    layer = call.layer
    if isinstance(layer, PRUNABLE) and not is_prunable(layer):
        return "is quantized or has LoRA weights"
    if is_in_training(call.node):
        return "is called as in training"
    if not all(map(_has_channels, (*call.inputs, *call.outputs))):
        return "has an input or output whose last axis is not of fixed size"
    if times[id(layer)] > 1 and (getattr(layer, "weights", ()) or type(layer) in SIZED):
        return "is used more than once"
    if getattr(layer, "data_format", None) == "channels_first":
        return "has its channels first"
    if type(layer) in CONVOLUTIONS and layer.groups > 1 and not is_depthwise(layer):
        return "reads its channels in groups"
    return None


def _follow(call, inputs, groups):
    if reads(call.layer):
        output = groups.fresh(call.outputs[0].shape[-1])
        return _activated(call, output.groups, _sums(call.layer, inputs[0]), groups)
    if type(call.layer) in (*DEPTHWISE, *CONVOLUTIONS):
        kernel = depthwise_kernel(call.layer)
        numbers = np.repeat(inputs[0].groups, kernel.shape[-1])
        return _activated(call, numbers, _products(call.layer, kernel, inputs[0]), groups)
    return pass_on(call, inputs, groups)


def _sums(layer, channels):
    """Return what units compute before the activation, NaN where it varies."""
    constant = channels.constant
    varies = np.isnan(constant) | (is_uneven(layer, channels.bordered) & (constant != 0))
    live = weighs(layer)[varies].any(axis=0)
    sums = given(layer, np.where(varies, 0, constant)).sum(axis=0)
    return np.where(live, np.nan, bias_values(layer) + sums)


def _products(layer, kernel, channels):
    """Return the same for a depthwise layer, with its kernel (positions, inputs, multiplier)."""
    constant = channels.constant[:, None]
    uneven = is_uneven(layer, channels.bordered) & (constant != 0)
    products = np.where(uneven, np.nan, constant) * kernel.sum(axis=0, dtype=np.float64)
    return np.where(kernel.any(axis=0), products, 0).ravel() + bias_values(layer)


def _activated(call, numbers, values, groups):
    """Return the channels of units that compute these values before their activation."""
    activation = call.layer.activation
    if not acts_on_each_unit(activation):
        groups.keep(numbers, f"the activation of {call.name!r} is not known to act on each alone")
        return Channels(numbers, np.full(values.size, np.nan))
    if activation is not None and not np.isnan(values).all():
        filled = keras.ops.convert_to_tensor(np.nan_to_num(values)[None], call.outputs[0].dtype)
        values = np.where(np.isnan(values), np.nan, np.asarray(activation(filled), np.float64)[0])
    return Channels(numbers, values)
