"""Ways to run a network, and what it costs: multiplications and bytes."""

import gzip
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from pruninglib.graph import PRUNABLE, check_graph, nodes


def eager(model):
    """Return a function inputs -> outputs that runs the model layer by layer, as trained."""
    return lambda inputs: np.asarray(model(inputs, training=False))


def compiled(model):
    """Return a function inputs -> outputs that runs the model as one compiled graph.

    The inputs are a float array of any batch size. Weights are read at each call.
    """
    shape = (None, *model.input_shape[1:])
    graph = tf.function(lambda inputs: model(inputs, training=False))
    run = graph.get_concrete_function(tf.TensorSpec(shape, model.inputs[0].dtype))
    return lambda inputs: run(tf.constant(inputs, model.inputs[0].dtype)).numpy()


def count_macs(model, nonzero=False):
    """Return the multiply-accumulate operations of Dense and convolution layers for one input.

    Args:
        nonzero: count only those with a weight that is not zero, which a masked network run
            densely does not save.
    """
    check_graph(model)
    macs = 0
    for layer, calls in nodes(model).items():
        if isinstance(layer, PRUNABLE):
            kernel = np.asarray(layer.kernel)
            channels_first = getattr(layer, "data_format", None) == "channels_first"
            for node in calls:
                shape = node.output_tensors[0].shape
                positions = np.prod(shape[2:] if channels_first else shape[1:-1], dtype=int)
                macs += int(positions * (np.count_nonzero(kernel) if nonzero else kernel.size))
    return macs


def count_parameters(model, nonzero=False):
    """Return the number of the model's weights, biases included; `nonzero`: that are not zero."""
    weights = [np.asarray(weight) for weight in model.weights]
    return int(sum(np.count_nonzero(w) if nonzero else w.size for w in weights))


def file_bytes(model, compress=False):
    """Return the size in bytes of the model saved as .keras, without an optimizer.

    A .keras file stores each weight in full, zeros too: only with gzip (`compress`) is a masked
    network's file smaller.
    """
    bare = type(model).from_config(model.get_config())
    if not bare.built:
        bare.build(model.input_shape)
    bare.set_weights(model.get_weights())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        bare.save(path)
        content = path.read_bytes()
    return len(gzip.compress(content, compresslevel=6) if compress else content)
