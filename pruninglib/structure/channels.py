"""Follow channels from layer to layer: which can only be removed together, which are constant.

Only Keras' own classes are followed: what a class derived from one does is not known.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pruninglib.backend import keras
from pruninglib.structure.graph import Call, is_in_training, named_arguments, unnested
from pruninglib.structure.layers import (
    ALONE,
    CONVOLUTIONS,
    DEPTHWISE,
    MERGING,
    OPERATIONS,
    PADDING,
    PRUNABLE,
    SHAPING,
    SIZED,
    UNCHANGED,
    acts_on_each_unit,
    is_depthwise,
    is_prunable,
)
from pruninglib.structure.readers import (
    bias_values,
    depthwise_kernel,
    given,
    is_uneven,
    reads,
    weighs,
)


class Channels(NamedTuple):
    """The channels of a tensor, its last axis.

    groups: (channels,) the number of each channel's group; a group can only go as a whole.
    constant: (channels,) the value of a channel that is the same for all inputs and at all
        positions; NaN for one that varies.
    bordered: whether zeros were padded around the constants.
    """

    groups: np.ndarray
    constant: np.ndarray
    bordered: bool = False

    def settled(self):
        """Return the same with the border counted: a padded constant varies unless it is zero."""
        if not self.bordered:
            return self
        return Channels(self.groups, np.where(self.constant == 0, 0.0, np.nan))


class Groups:
    """Numbered groups of channels, which are joined where channels meet, or marked to stay."""

    def __init__(self):
        self.count, self._joined, self._kept = 0, [], []

    def fresh(self, channels):
        """Return channels that vary, each in a group of its own."""
        self.count += channels
        return Channels(np.arange(self.count - channels, self.count), np.full(channels, np.nan))

    def join(self, some, others):
        """Make each pair of groups go together or not at all."""
        self._joined.append(np.broadcast_arrays(some, others))

    def keep(self, groups, reason):
        """Make groups stay, for a reason."""
        self._kept.append((np.asarray(groups), reason))

    def labels(self):
        """Return (number of joint groups, the joint group of each group)."""
        pairs = [np.ravel(part) for pair in self._joined for part in pair]
        some = np.concatenate([*pairs[::2], []]).astype(int)
        others = np.concatenate([*pairs[1::2], []]).astype(int)
        links = coo_array((np.ones(some.size, bool), (some, others)), (self.count, self.count))
        return connected_components(links, directed=False)

    def kept(self, labels):
        """Return {joint group that stays: why}, the first reason for each."""
        reasons = {}
        for groups, reason in self._kept:
            for label in np.unique(labels[groups]):
                reasons.setdefault(int(label), reason)
        return reasons


class Step(NamedTuple):
    """A call of a layer with its channels; `output` is None if unknown, and `reason` says why."""

    call: Call
    inputs: list
    output: Channels | None
    reason: str

    def has_units(self):
        """Say whether the layer has units and their channels are known."""
        return isinstance(self.call.layer, PRUNABLE) and self.output is not None


def flow(model):
    """Return (a `Step` for each call of a layer, {id of a tensor: its channels}, the `Groups`).

    Groups that must stay are marked: those of the model's inputs and outputs, and of layers that
    mix channels, are shared, or are not known.
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
    """Return how often each layer is called, or held by one that is called and not unnested.

    A layer may be tied to one that it holds, so that it reads its weights.
    """
    times = Counter(id(call.layer) for call in calls)
    for call in calls:
        if isinstance(call.layer, keras.Layer):
            times.update(id(part) for part in call.layer._flatten_layers(include_self=False))
    return times


def _staying(tensor, groups, reason):
    channels = groups.fresh(tensor.shape[-1] if _has_channels(tensor) else 0)
    groups.keep(channels.groups, reason)
    return channels


def _has_channels(tensor):
    return len(tensor.shape) > 1 and tensor.shape[-1] is not None


def _obstacle(call, times):
    """Return why the channels of a call cannot be followed, or None if they can."""
    layer = call.layer
    if isinstance(layer, PRUNABLE) and not is_prunable(layer):
        return "is quantized or has LoRA weights"
    if is_in_training(call.node):
        name = _true_argument(call.node)
        return "is called as in training" if name == "training" else f"is called with {name}=True"
    if not all(map(_has_channels, (*call.inputs, *call.outputs))):
        return "has an input or output whose last axis is not of fixed size"
    if times[id(layer)] > 1 and (getattr(layer, "weights", ()) or type(layer) in SIZED):
        return "is used more than once"
    if getattr(layer, "data_format", None) == "channels_first":
        return "has its channels first"
    if type(layer) in CONVOLUTIONS and layer.groups > 1 and not is_depthwise(layer):
        return "reads its channels in groups"
    return None


def _true_argument(node):
    """Return the name of the first argument with a True in it; `training` goes before others."""
    arguments = named_arguments(node).items()
    true = [name for name, value in arguments if any(x is True for x in keras.tree.flatten(value))]
    return "training" if "training" in true else true[0]


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
    """Return each unit's value before the activation, NaN where it varies."""
    constant = channels.constant
    varies = np.isnan(constant) | (is_uneven(layer, channels.bordered) & (constant != 0))
    live = weighs(layer)[varies].any(axis=0)
    sums = given(layer, np.where(varies, 0, constant)).sum(axis=0)
    return np.where(live, np.nan, bias_values(layer) + sums)


def _products(layer, kernel, channels):
    """Return what `_sums` does, for a depthwise kernel (positions, inputs, multiplier)."""
    constant = channels.constant[:, None]
    uneven = is_uneven(layer, channels.bordered) & (constant != 0)
    products = np.where(uneven, np.nan, constant) * kernel.sum(axis=0, dtype=np.float64)
    return np.where(kernel.any(axis=0), products, 0).ravel() + bias_values(layer)


def _activated(call, numbers, values, groups):
    """Return the channels of units with these values before their activation."""
    activation = call.layer.activation
    if not acts_on_each_unit(activation):
        groups.keep(numbers, f"the activation of {call.name!r} is not known to act on each alone")
        return Channels(numbers, np.full(values.size, np.nan))
    if activation is not None and not np.isnan(values).all():
        filled = keras.ops.convert_to_tensor(np.nan_to_num(values)[None], call.outputs[0].dtype)
        values = np.where(np.isnan(values), np.nan, np.asarray(activation(filled), np.float64)[0])
    return Channels(numbers, values)


def pass_on(call, channels, groups):
    """Return the output channels of a layer known not to mix channels; None for other layers.

    Args:
        call: the `Call` of the layer.
        channels: the `Channels` of its inputs.
        groups: the `Groups`, updated in place with what the layer joins.
    """
    layer, rank = call.layer, len(call.outputs[0].shape)
    if _merges(call):
        return _merged(call, [each.settled() for each in channels], groups)
    if type(layer) is keras.layers.Concatenate and layer.axis in (-1, rank - 1):
        parts = [each.settled()[:2] for each in channels]
        return Channels(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    if len(channels) > 1:  # such as a mask
        return None
    if type(layer) in PADDING:
        return channels[0]._replace(bordered=True)
    channels = [channels[0].settled()]
    if type(layer) in UNCHANGED:
        return channels[0]
    if type(layer) in SHAPING:
        return _reshaped(call, channels[0], groups)
    if _treats_each_alone(layer, rank):
        return Channels(channels[0].groups, _constants(call, channels))
    return None


def _treats_each_alone(layer, rank):
    if type(layer) is keras.layers.BatchNormalization:
        return layer.axis in (-1, rank - 1)
    if type(layer) is keras.layers.Normalization:
        return layer.axis in ((), (-1,), (rank - 1,))
    if type(layer) is keras.layers.Activation:
        return acts_on_each_unit(layer)
    return type(layer) in ALONE


def _merges(call):
    """Say whether a call is of a merging layer or an elementwise operation on tensors."""
    if type(call.layer) in MERGING:
        return len({len(tensor.shape) for tensor in call.inputs}) == 1
    kind, arguments = type(call.layer), call.node.arguments
    if isinstance(call.layer, keras.layers.Layer) or not kind.__module__.startswith("keras."):
        return False
    given = keras.tree.flatten((arguments.args, arguments.kwargs))
    numbers = [x for x in given if not isinstance(x, keras.KerasTensor)]
    return kind.__name__ in OPERATIONS and not any(map(np.ndim, numbers))


def _merged(call, channels, groups):
    widest = max(channels, key=lambda each: each.groups.size)
    for each in channels:
        if each.groups.size == widest.groups.size:
            groups.join(each.groups, widest.groups)
        else:
            groups.keep(each.groups, f"{call.name!r} spreads it over all channels")
    return Channels(widest.groups, _constants(call, channels))


def _constants(call, channels):
    """Return the output constants, by running the layer on the input constants."""
    varies = np.any(np.broadcast_arrays(*(np.isnan(each.constant) for each in channels)), axis=0)
    if type(call.layer).__name__ == "Multiply":
        varies &= ~np.any(np.broadcast_arrays(*(each.constant == 0 for each in channels)), axis=0)
    # a layer with an activity regularizer would add to the model's losses
    if varies.all() or getattr(call.layer, "activity_regularizer", None) is not None:
        return np.full(varies.size, np.nan)
    values = {}
    for tensor, each in zip(call.node.input_tensors, channels, strict=True):
        constant = np.nan_to_num(each.constant).reshape(*[1] * (len(tensor.shape) - 1), -1)
        values[id(tensor)] = keras.ops.convert_to_tensor(constant, tensor.dtype)
    arguments, settings = call.node.arguments.fill_in(values)
    found = np.asarray(call.layer(*arguments, **settings), np.float64).reshape(-1, varies.size)
    return np.where(varies | (np.ptp(found, axis=0) > 0), np.nan, found[0])


def _reshaped(call, channels, groups):
    """Follow each number of a tensor into its new shape."""
    before, after = call.inputs[0].shape[1:], call.outputs[0].shape[1:]
    if None in before:
        return None
    numbers = np.broadcast_to(channels.groups, before).reshape(-1, after[-1])
    constants = np.broadcast_to(channels.constant, before).reshape(-1, after[-1])
    groups.join(numbers, numbers[0])
    return Channels(numbers[0], np.where(np.ptp(constants, axis=0) == 0, constants[0], np.nan))
