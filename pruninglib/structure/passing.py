"""How layers that mix no channels pass them on: each alone, merged, or in another shape.

Only Keras' own classes count: what a class derived from one does is not known.
"""

import numpy as np

from pruninglib.backend import keras
from pruninglib.structure.channels import Channels

MIXING = ("softmax", "log_softmax", "sparsemax", "glu", "threshold")
ELEMENTWISE = tuple(
    getattr(keras.activations, name)
    for name in dir(keras.activations)
    if not name.startswith("_") and name not in (*MIXING, "get", "serialize", "deserialize")
)


def kinds(names):
    """Return the layer classes of Keras with these names; "2D" stands for 1D, 2D and 3D."""
    every = [name.replace("2D", f"{n}D") for name in names.split() for n in (1, 2, 3)]
    return tuple({getattr(keras.layers, name) for name in every})


ALONE = kinds("""ReLU LeakyReLU ELU PReLU Dropout SpatialDropout2D GaussianNoise GaussianDropout
    AlphaDropout Identity Rescaling""")
UNCHANGED = kinds("""MaxPooling2D AveragePooling2D GlobalMaxPooling2D GlobalAveragePooling2D
    Cropping2D UpSampling2D RepeatVector ActivityRegularization""")
PADDING = kinds("ZeroPadding2D")
SHAPING = kinds("Flatten Reshape")
SIZED = kinds("Reshape Rescaling Normalization")  # their settings may hold numbers of channels
MERGING = kinds("Add Subtract Multiply Average Maximum Minimum")
OPERATIONS = """Add Subtract Multiply Divide TrueDivide Maximum Minimum Negative Absolute Square
    Relu Relu6 LeakyRelu Elu Selu Gelu Silu Sigmoid HardSigmoid HardSilu Tanh Softplus""".split()  # noqa: SIM905


def acts_on_each_unit(activation):
    """Say whether the activation of a layer, a function, layer or None, is known as elementwise."""
    if type(activation) is keras.layers.Activation:
        activation = activation.activation
    if type(activation) is keras.layers.PReLU:  # it has weights, which the layer does not list
        return False
    return activation in (None, *ELEMENTWISE) or type(activation) in ALONE


def pass_on(call, channels, groups):
    """Return the channels that a layer which mixes none puts out; None if it is not known as such.

    Args:
        call: the `Call` of the layer.
        channels: the `Channels` of its inputs.
        groups: the `Groups`, which learn what the layer joins.
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
    """Say whether a call is of a merging layer, or of an operation on tensors and numbers."""
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
    """Return the constants that come out, by running the layer on those that go in."""
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
