"""Run chains of Dense layers by NumPy: by the nonzero weights alone, or by dense products."""

from functools import partial

import keras
import numpy as np
from threadpoolctl import threadpool_info

from pruninglib.chain import chain, describe
from pruninglib.costs import count_parameters, file_bytes
from pruninglib.executable import Executable, single_input
from pruninglib.graph import nodes
from pruninglib.graphs import compiled
from pruninglib.kernels import is_prunable
from pruninglib.passing import acts_on_each_unit, kinds
from pruninglib.products import FEW, LINE, aligned, product, sparse_library
from pruninglib.storage import packed_bytes
from pruninglib.tiles import cores, in_tiles

INERT = kinds("Dropout SpatialDropout2D GaussianNoise GaussianDropout AlphaDropout Identity")
ACTIVATIONS = kinds("ReLU LeakyReLU ELU")
RATE = 2.5e10  # multiplications a second by nonzero weights, on one core, about
TILE = 128  # examples; the activations of 1,000 units then take 512 kB, half of a core's cache


def sparse(model, threads=None, library=None):
    """Return an `Executable` that multiplies by the nonzero weights alone, prepared once.

    Args:
        model: a chain of Dense layers. Between them may stand BatchNormalization, Dropout and
            activations that act on each unit alone; before and after them any layers.
        threads: how many share a batch; default all cores.
        library: "numba" or "scipy", whose products are used; default numba if it is installed.
            Its kernels also skip activations that are zero when they run a few examples.

    Its bytes are those of `export(model, "model.npz")`. Raises ValueError for other models, and
    for those that do not compute in float32.
    """
    library, threads = library or sparse_library(), threads or len(cores())
    seconds = count_parameters(model, nonzero=True) / RATE
    run = in_tiles([_runner(model, library)] * threads, TILE, seconds)
    measure = partial(packed_bytes, model)
    return Executable(f"sparse ({library})", threads, run, measure, **single_input(model))


def numpy_dense(model):
    """Return an `Executable` that runs such a model as `sparse` takes with NumPy's dense products.

    For one example at a time few ways are faster. Its threads are those of NumPy's BLAS library,
    which OMP_NUM_THREADS sets before Python starts.
    """
    threads = max([pool["num_threads"] for pool in threadpool_info()], default=1)
    run, measure = _runner(model, "numpy"), partial(file_bytes, model)
    return Executable("NumPy", threads, run, measure, **single_input(model))


def _runner(model, library):
    """Return a function inputs -> outputs that works on (units, batch) between the Dense layers."""
    single_input(model)
    layers = [layer for layer in chain(model) if type(layer) not in INERT]
    dense = [i for i, layer in enumerate(layers) if type(layer) is keras.layers.Dense]
    if not dense:
        raise ValueError(f"Model {model.name!r} has no Dense layer. Use compiled(model).")
    (first,), (last,) = (nodes(model)[layers[dense[i]]] for i in (0, -1))
    before = _part(model.inputs[0], first.input_tensors[0], dense[0])
    after = _part(last.output_tensors[0], model.outputs[0], len(layers) - dense[-1] - 1)
    steps = [step for layer in layers[dense[0] : dense[-1]] for step in _steps(layer, library)]
    activation = last.operation.activation
    steps.append(_product(last.operation, activation is keras.activations.relu, library))
    known = (keras.activations.relu, keras.activations.linear)
    finish = None if activation in known else activation

    def run(inputs):
        inputs = before(inputs) if before else inputs
        x = _columns(inputs)
        for step in steps:
            x = step(x)
        x = np.ascontiguousarray(x[:, : len(inputs)].T)
        x = np.asarray(finish(x)) if finish else x
        return after(x) if after else x

    return run


def _part(start, end, layers):
    """Return the part of a model between two tensors as a compiled graph; None if it is empty."""
    return compiled(keras.Model(start, end)) if layers else None


def _columns(inputs):
    """Return inputs (batch, n) as (n, batch), with more columns so that rows are aligned."""
    width = len(inputs) if len(inputs) <= FEW else -(-len(inputs) // LINE) * LINE
    x = aligned(inputs.shape[1], width)
    x[:, : len(inputs)] = inputs.T
    x[:, len(inputs) :] = 0
    return x


def _steps(layer, library):
    """Return functions that do, one after another, what the layer does, on (units, batch)."""
    kind = type(layer)
    if kind is keras.layers.Dense and acts_on_each_unit(layer.activation):
        relu = layer.activation is keras.activations.relu
        return [_product(layer, relu, library), *([] if relu else _activation(layer.activation))]
    if kind is keras.layers.Activation and acts_on_each_unit(layer):
        return _activation(layer.activation)
    if kind is keras.layers.BatchNormalization:
        scale, shift = _scale_and_shift(layer)
        return [lambda x: x * scale + shift]
    if kind in ACTIVATIONS:
        return _activation(layer)
    raise ValueError(
        f"{describe(layer)} stands between Dense layers; only BatchNormalization and what acts on "
        "each unit alone can. Use compiled(model), litert(model) or onnx(model)."
    )


def _product(layer, relu, library):
    use = "Use compiled(model), litert(model) or onnx(model)."
    if len(layer.input.shape) != 2:
        raise ValueError(
            f"{describe(layer)} has inputs of shape {layer.input.shape}, expected (batch, inputs). "
            + use
        )
    if not is_prunable(layer) or layer.compute_dtype not in ("float32", "float64"):
        kind = getattr(layer, "quantization_mode", None) or layer.compute_dtype
        raise ValueError(f"{describe(layer)} computes in {kind} or has LoRA weights. {use}")
    kernel = np.asarray(layer.kernel, np.float32)
    bias = layer.bias if layer.use_bias else np.zeros(layer.units)
    return product(kernel, np.asarray(bias, np.float32), relu, library)


def _activation(function):
    if function is keras.activations.linear:
        return []
    return [lambda x: np.asarray(function(x))]


def _scale_and_shift(norm):
    """Return what BatchNormalization multiplies by and adds, as columns."""
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    scale = scale * np.asarray(norm.gamma) if norm.scale else scale
    shift = -np.asarray(norm.moving_mean) * scale
    shift = shift + np.asarray(norm.beta) if norm.center else shift
    return scale[:, None].astype(np.float32), shift[:, None].astype(np.float32)
