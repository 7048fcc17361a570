"""Count what a network costs: multiply-accumulates (MACs), weights and bytes."""

import gzip
import math
import tempfile
from pathlib import Path

import numpy as np

from pruninglib.backend import keras
from pruninglib.structure.copying import uncompiled_copy
from pruninglib.structure.graph import check_graph, describe, is_graph, named_arguments, nodes
from pruninglib.structure.layers import (
    PRUNABLE,
    SEPARABLE,
    TRANSPOSED,
    kernel_of,
    weight_matrices,
)

RECURRENT = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN)


def count_macs(model, nonzero=False):
    """Return the multiply-accumulate operations of a model's weight matrices for one example.

    Counted are Dense, EinsumDense and convolution layers, LSTM, GRU and SimpleRNN, these in
    TimeDistributed and Bidirectional, and MultiHeadAttention with the products of queries, keys
    and values. An Embedding is a lookup and costs none. Other products of two activations are not
    counted, such as those of Dot and Attention. Raises ValueError for a layer of another kind that
    has weight matrices, for a subclassed model, and for one whose inputs have no fixed size. The
    model is left as it is.

    Args:
        nonzero: count only those with nonzero weights; a masked network run densely still does
            them all.

    >>> count_macs(pl.make_mlp(4, [6, 5], 3))
    69
    """
    check_graph(model)
    return sum(
        _macs(layer, _shapes(node), nonzero)
        for layer, calls in nodes(model).items()
        for node in calls
    )


def _shapes(node):
    """Return {argument: shape} of the tensors with which a layer is called."""
    arguments = named_arguments(node).items()
    return {name: x.shape for name, x in arguments if isinstance(x, keras.KerasTensor)}


def _macs(layer, shapes, nonzero):
    """Return the multiply-accumulate operations of one call of a layer, by {argument: shape}."""
    shape = next(iter(shapes.values()), None)
    if is_graph(layer):
        return count_macs(layer, nonzero)
    if isinstance(layer, keras.layers.TimeDistributed):
        step = {"inputs": (shape[0], *shape[2:])}
        return _product(layer, shape[1:2]) * _macs(layer.layer, step, nonzero)
    if isinstance(layer, keras.layers.Bidirectional):
        both = (layer.forward_layer, layer.backward_layer)
        return sum(_macs(each, shapes, nonzero) for each in both)
    if isinstance(layer, keras.layers.MultiHeadAttention):
        return _macs_of_attention(layer, shapes, nonzero)
    if isinstance(layer, (*PRUNABLE, *RECURRENT, keras.layers.EinsumDense)):
        weights = sum(_weights(kernel, nonzero) for kernel in _kernels(layer))
        return weights * _product(layer, _positions(layer, shape))
    # a class derived from Embedding may multiply by its weights, too
    if type(layer) is keras.layers.Embedding or not _has_matrices(layer):
        return 0
    raise ValueError(
        f"{describe(layer)} has weight matrices, but its multiply-accumulates cannot be counted. "
        "Count those of the model without it."
    )


def _macs_of_attention(layer, shapes, nonzero):
    query, value = shapes["query"], shapes["value"]
    mixed = (*query[:-1], layer.num_heads, layer.value_dim)
    parts = [
        (layer.query_dense, query),
        (layer.key_dense, shapes.get("key", value)),
        (layer.value_dense, value),
        (layer.output_dense, mixed),
    ]
    if getattr(layer, "_use_gate", False):  # not in older versions of Keras
        parts.append((layer._gate_dense, query))
    attended = [value[axis] for axis in layer.attention_axes]
    pairs = _product(layer, (*query[1:-1], *attended))
    products = pairs * layer.num_heads * (layer.key_dim + layer.value_dim)
    return products + sum(_macs(part, {"inputs": shape}, nonzero) for part, shape in parts)


def _has_matrices(layer):
    return isinstance(layer, keras.layers.Layer) and bool(weight_matrices(layer))


def _kernels(layer):
    if isinstance(layer, RECURRENT):
        return [layer.cell.kernel, layer.cell.recurrent_kernel]
    if isinstance(layer, keras.layers.EinsumDense):
        return [layer.kernel]
    depthwise = [layer.depthwise_kernel] if isinstance(layer, SEPARABLE) else []
    return [kernel_of(layer), *depthwise]


def _weights(kernel, nonzero):
    values = np.asarray(kernel)
    return int(np.count_nonzero(values) if nonzero else values.size)


def _positions(layer, shape):
    """Return the sizes of the axes along which a layer applies its kernel to one example.

    Args:
        shape: of the layer's inputs.
    """
    if isinstance(layer, RECURRENT):
        return shape[1:2]
    if isinstance(layer, keras.layers.EinsumDense):
        read, kernel = layer.equation.partition("->")[0].split(",")
        axes = read.replace("...", "." * (len(shape) - len(read.replace(".", ""))))
        pairs = zip(axes[1:], shape[1:], strict=True)
        return tuple(size for axis, size in pairs if axis not in kernel)
    if not isinstance(layer, TRANSPOSED):
        shape = layer.compute_output_shape(shape)
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    return shape[2:] if channels_first else shape[1:-1]


def _product(layer, sizes):
    if None in sizes:
        raise ValueError(
            f"Layer {layer.name!r} works at {tuple(sizes)} positions: how many depends on the "
            "input. Build the model for inputs of a fixed size."
        )
    return math.prod(sizes)


def count_parameters(model, nonzero=False):
    """Return the number of all weights of a model, biases included, or of its nonzero ones.

    The model is left as it is.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = pl.prune(model, pl.make_masks(model, pl.magnitude, 0.5))
    >>> count_parameters(pruned), int(count_parameters(pruned, nonzero=True))
    (69, 42)
    """
    weights = [np.asarray(weight) for weight in model.weights]
    return sum(np.count_nonzero(w != 0) if nonzero else w.size for w in weights)


def file_bytes(model, compress=False):
    """Return the size in bytes of the model saved as .keras, without its optimizer.

    A .keras file stores zeros in full, too: a masked network's file is smaller only after gzip
    (`compress=True`). The model is left as it is.
    """
    bare = uncompiled_copy(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        bare.save(path)
        content = path.read_bytes()
    return len(gzip.compress(content, compresslevel=6) if compress else content)
