"""Count what a network costs: multiply-accumulates (MACs), weights and bytes."""

import gzip
import math
import tempfile
from pathlib import Path

import numpy as np

from pruninglib.structure.copying import uncompiled_copy
from pruninglib.structure.graph import check_graph, is_graph, nodes
from pruninglib.structure.layers import PRUNABLE, SEPARABLE, TRANSPOSED, kernel_of


def count_macs(model, nonzero=False):
    """Return the multiply-accumulate operations of Dense and convolution layers for one example.

    Layers wrapped by others, such as TimeDistributed, are not counted. Raises ValueError for a
    subclassed model, and for one whose inputs have no fixed size. The model is left as it is.

    Args:
        nonzero: count only those with nonzero weights; a masked network run densely still does
            them all.

    >>> count_macs(pl.make_mlp(4, [6, 5], 3))
    69
    """
    check_graph(model)
    macs = 0
    for layer, calls in nodes(model).items():
        if is_graph(layer):
            macs += len(calls) * count_macs(layer, nonzero)
        elif isinstance(layer, PRUNABLE):
            kernels = [kernel_of(layer)]
            if isinstance(layer, SEPARABLE):
                kernels.append(layer.depthwise_kernel)
            weights = sum(_weights(kernel, nonzero) for kernel in kernels)
            macs += weights * sum(_positions(layer, node) for node in calls)
    return macs


def _weights(kernel, nonzero):
    values = np.asarray(kernel)
    return int(np.count_nonzero(values) if nonzero else values.size)


def _positions(layer, node):
    """Return the number of positions at which a layer applies its kernel to one example."""
    tensors = node.input_tensors if isinstance(layer, TRANSPOSED) else node.output_tensors
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    shape = tensors[0].shape[2:] if channels_first else tensors[0].shape[1:-1]
    if None in shape:
        raise ValueError(
            f"Layer {layer.name!r} works at {shape} positions: how many depends on the input. "
            "Build the model for inputs of a fixed size."
        )
    return math.prod(shape)


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
