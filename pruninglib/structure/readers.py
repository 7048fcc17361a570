"""Layers whose units read all channels: their kernels as (positions, inputs, units), padding."""

import math

import numpy as np

from pruninglib.backend import keras
from pruninglib.structure.layers import (
    CONVOLUTIONS,
    DEPTHWISE,
    SEPARABLE,
    TRANSPOSED,
    number_of_units,
    units_last,
)

READING = (keras.layers.Dense, *CONVOLUTIONS, *TRANSPOSED, *SEPARABLE)


def reads(layer):
    """Say whether a layer is of a Keras class whose units each read every input channel."""
    return type(layer) in READING and getattr(layer, "groups", 1) == 1


def weighs(layer):
    """Return a bool array (inputs, units): whether the unit has a nonzero weight for the input."""
    if isinstance(layer, SEPARABLE):
        depthwise, pointwise = _separable(layer)
        return (pointwise * depthwise.any(axis=0)[..., None]).any(axis=1)
    return _by_position(layer).any(axis=0)


def given(layer, constants):
    """Return what constant inputs contribute to each unit at each position of the kernel.

    Args:
        constants: (inputs,) values; zeros are skipped.

    Returns a float64 array (positions, units).
    """
    some = np.flatnonzero(constants)
    if isinstance(layer, SEPARABLE):
        depthwise, pointwise = _separable(layer)
        seen = depthwise[:, some] * constants[some, None]
        return seen.reshape(len(seen), -1) @ pointwise[some].reshape(-1, pointwise.shape[-1])
    return np.stack([constants[some] @ kernel[some] for kernel in _by_position(layer)])


def depthwise_kernel(layer):
    """Return the kernel of a depthwise layer as an array (positions, inputs, multiplier)."""
    kernel = _array(layer.kernel)
    if not isinstance(layer, DEPTHWISE):  # a convolution with a group for each input
        return kernel.reshape(-1, layer.groups, kernel.shape[-1] // layer.groups)
    return kernel.reshape(-1, *kernel.shape[-2:])


def _by_position(layer):
    """Return the kernel of a layer for which `reads` holds, as (positions, inputs, units)."""
    kernel = units_last(layer, _array(layer.kernel))
    return kernel.reshape(-1, *kernel.shape[-2:])


def _separable(layer):
    """Return the kernels as (positions, inputs, multiplier) and (inputs, multiplier, units)."""
    depthwise, pointwise = _array(layer.depthwise_kernel), _array(layer.pointwise_kernel)
    *_, inputs, multiplier = depthwise.shape
    return depthwise.reshape(-1, inputs, multiplier), pointwise.reshape(inputs, multiplier, -1)


def _array(weight):
    """Return a weight as an array that NumPy can compute with: half precision as float32."""
    array = np.asarray(weight)
    return array if array.itemsize > 2 else array.astype(np.float32)


def bias_values(layer):
    """Return a layer's bias, or zeros if it has none, as float64."""
    bias = layer.bias if layer.use_bias else np.zeros(number_of_units(layer))
    return np.asarray(bias).astype(np.float64)


def carriers_needed(layer):
    """Return how many constant channels can replace all of them in front of zero padding.

    A convolution has a kernel for each pair of channel and unit, so one channel will do. A
    separable one has one kernel a channel for all units, so it takes one channel a position.
    """
    return math.prod(layer.kernel_size) if isinstance(layer, SEPARABLE) else 1


def is_uneven(layer, bordered):
    """Say whether a nonzero constant input gives a layer different sums near the border."""
    if isinstance(layer, TRANSPOSED):
        return True
    padding = getattr(layer, "padding", "valid")
    return bordered or (padding != "valid" and max(layer.kernel_size) > 1)
