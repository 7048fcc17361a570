"""What Dense layers, and what stands between them, do to a batch whose columns are the examples."""

from itertools import pairwise

import numpy as np

from pruninglib.backend import keras
from pruninglib.execution.products import FEW, LINE, aligned, product
from pruninglib.structure.chain import describe
from pruninglib.structure.layers import is_prunable
from pruninglib.structure.passing import acts_on_each_unit, kinds

ACTIVATIONS = kinds("ReLU LeakyReLU ELU")
RELU, LINEAR = keras.activations.relu, keras.activations.linear
INSTEAD = "Use compiled(model), litert(model) or onnx(model)."


def columns(inputs):
    """Return inputs (batch, n) as (n, batch), with more columns so that rows are aligned."""
    width = len(inputs) if len(inputs) <= FEW else -(-len(inputs) // LINE) * LINE
    x = aligned(inputs.shape[1], width)
    x[:, : len(inputs)] = inputs.T
    x[:, len(inputs) :] = 0
    return x


def steps(layers, library):
    """Return functions that do, one after another, what layers do, on arrays (units, batch).

    Units that `compact` leaves out are not computed.

    Args:
        layers: from a Dense layer to a Dense layer; the last one's activation is not applied,
            unless it is ReLU.
        library: as in `product`.
    """
    found = []
    for layer, own in zip(layers, compact(layers), strict=True):
        if own is None:
            found += _between(layer)
            continue
        found.append(product(*own, layer.activation is RELU, library))
        if layer is not layers[-1]:
            found += _activation(layer, layer.activation)
    return found


def compact(layers):
    """Return the (kernel, bias) of each Dense layer, None of others, without units that can go.

    Those are, between two Dense layers that follow each other directly, with ReLU or no
    activation: units that nothing reads, and those without incoming weights, which are constant
    and go into the biases of what reads them.
    """
    weights = [_weights(layer) if type(layer) is keras.layers.Dense else None for layer in layers]
    pairs = [
        (i, j)
        for i, j in pairwise(range(len(layers)))
        if weights[i] and weights[j] and layers[i].activation in (RELU, LINEAR)
    ]
    for i, j in reversed(pairs):
        (kernel, bias), (reader, their_bias) = weights[i], weights[j]
        read = (reader != 0).any(axis=1)
        weights[i], weights[j] = (kernel[:, read], bias[read]), (reader[read], their_bias)
    for i, j in pairs:
        (kernel, bias), (reader, their_bias) = weights[i], weights[j]
        alive = (kernel != 0).any(axis=0)
        constant = np.maximum(bias, 0) if layers[i].activation is RELU else bias
        their_bias = their_bias + constant[~alive] @ reader[~alive]
        weights[i], weights[j] = (kernel[:, alive], bias[alive]), (reader[alive], their_bias)
    return weights


def _weights(layer):
    """Return the kernel and the bias of a Dense layer; ValueError if it is not a plain one."""
    if len(layer.input.shape) != 2:
        raise ValueError(
            f"{describe(layer)} has inputs of shape {layer.input.shape}, expected (batch, inputs). "
            + INSTEAD
        )
    if not is_prunable(layer) or layer.compute_dtype not in ("float32", "float64"):
        kind = getattr(layer, "quantization_mode", None) or layer.compute_dtype
        raise ValueError(f"{describe(layer)} computes in {kind} or has LoRA weights. {INSTEAD}")
    bias = layer.bias if layer.use_bias else np.zeros(layer.units)
    return np.asarray(layer.kernel, np.float32), np.asarray(bias, np.float32)


def _between(layer):
    if type(layer) is keras.layers.BatchNormalization:
        scale, shift = _scale_and_shift(layer)
        return [lambda x: x * scale + shift]
    if type(layer) is keras.layers.Activation:
        return _activation(layer, layer.activation)
    if type(layer) in ACTIVATIONS:
        return [lambda x: np.asarray(layer(x))]
    raise _not_between(layer)


def _activation(layer, function):
    if function in (RELU, LINEAR) and type(layer) is keras.layers.Dense:
        return []  # of ReLU the product takes care
    if not acts_on_each_unit(function):
        raise _not_between(layer)
    return [lambda x: np.asarray(function(x))]


def _not_between(layer):
    return ValueError(
        f"{describe(layer)} stands between Dense layers; only BatchNormalization and what acts on "
        f"each unit alone can. {INSTEAD}"
    )


def _scale_and_shift(norm):
    """Return what BatchNormalization multiplies by and adds, as columns."""
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    scale = scale * np.asarray(norm.gamma) if norm.scale else scale
    shift = -np.asarray(norm.moving_mean) * scale
    shift = shift + np.asarray(norm.beta) if norm.center else shift
    return scale[:, None].astype(np.float32), shift[:, None].astype(np.float32)
