"""Run chains of Dense layers by NumPy: by the nonzero weights alone, or by dense products."""

from functools import partial

import keras
import numpy as np
from threadpoolctl import threadpool_info

from pruninglib.chain import chain, describe
from pruninglib.costs import count_parameters, file_bytes
from pruninglib.csr import FEW, LINE, aligned, default_kind, multiplier
from pruninglib.execution import Executable, one_input
from pruninglib.passing import acts_on_each_unit, kinds
from pruninglib.storage import packed_bytes
from pruninglib.tiles import cores, in_tiles

INERT = kinds("Dropout SpatialDropout2D GaussianNoise GaussianDropout AlphaDropout Identity")
ACTIVATIONS = kinds("ReLU LeakyReLU ELU")
TILE = 128  # examples; the activations of 1,000 units then take 512 kB, half of a core's cache


def sparse(model, threads=None, kind=None):
    """Return an `Executable` that multiplies by the nonzero weights alone, prepared once.

    Args:
        model: a chain of Dense layers. Between them may stand BatchNormalization, Dropout and
            activations that act on each unit alone; before and after them any layers.
        threads: how many share a batch; default all cores.
        kind: "numba" or "scipy", the library whose products are used; default numba, if it is
            installed. Its kernels also skip activations that are zero when they run a few
            examples at a time.

    Its bytes are those of `export(model, "model.npz")`. Raises ValueError for other models.
    """
    kind = kind or default_kind()
    run = _runner(model, lambda kernel: multiplier(kernel, kind))
    macs = count_parameters(model, nonzero=True)
    threads = threads or len(cores())
    run = in_tiles([run] * threads, TILE, macs)
    return Executable(f"sparse ({kind})", run, threads, partial(packed_bytes, model))


def numpy_dense(model):
    """Return an `Executable` that runs such a chain as `sparse` takes with NumPy's dense products.

    For a single example there is hardly a faster way on a processor. Its threads are those of
    NumPy's BLAS library, set by OMP_NUM_THREADS before Python starts.
    """
    run = _runner(model, lambda kernel: np.ascontiguousarray(kernel.T).__matmul__)
    threads = max([pool["num_threads"] for pool in threadpool_info()], default=1)
    return Executable("numpy", run, threads, partial(file_bytes, model))


def _runner(model, prepare):
    """Return a function inputs -> outputs; `prepare` makes x -> kernel.T @ x from a kernel."""
    one_input(model)
    layers = [layer for layer in chain(model) if type(layer) not in INERT]
    dense = [i for i, layer in enumerate(layers) if type(layer) is keras.layers.Dense]
    if not dense:
        raise ValueError(f"Model {model.name!r} has no Dense layer. Use compiled(model).")
    before, last, after = layers[: dense[0]], layers[dense[-1]], layers[dense[-1] + 1 :]
    steps = [step for layer in layers[dense[0] : dense[-1]] for step in _steps(layer, prepare)]
    steps += _product(last, prepare)
    if last.activation is not keras.activations.linear:
        after = [last.activation, *after]

    def run(inputs):
        for layer in before:
            inputs = layer(inputs)
        x = _columns(np.asarray(inputs, np.float32))
        for step in steps:
            x = step(x)
        x = np.ascontiguousarray(x[:, : len(inputs)].T)
        for layer in after:
            x = layer(x)
        return np.asarray(x)

    return run


def _columns(inputs):
    """Return inputs (batch, n) as (n, batch), with columns of zeros so that rows are aligned."""
    width = len(inputs) if len(inputs) <= FEW else -(-len(inputs) // LINE) * LINE
    x = aligned(inputs.shape[1], width)
    x[:, : len(inputs)] = inputs.T
    return x


def _steps(layer, prepare):
    """Return functions that do, one after another, what the layer does, on (inputs, batch)."""
    kind = type(layer)
    if kind is keras.layers.Dense and acts_on_each_unit(layer.activation):
        return _product(layer, prepare) + _activation(layer.activation)
    if kind is keras.layers.Activation and acts_on_each_unit(layer):
        return _activation(layer.activation)
    if kind is keras.layers.BatchNormalization:
        scale, shift = _scale_and_shift(layer)
        return [_in_place(np.multiply, scale), _in_place(np.add, shift)]
    if kind in ACTIVATIONS:
        return _activation(layer)
    raise ValueError(
        f"{describe(layer)} stands between Dense layers; only BatchNormalization and what acts on "
        "each unit alone can. Use compiled(model), litert(model) or onnx(model)."
    )


def _product(layer, prepare):
    if len(layer.input.shape) != 2:
        raise ValueError(
            f"{describe(layer)} has inputs of shape {layer.input.shape}, expected (batch, inputs). "
            "Use compiled(model), litert(model) or onnx(model)."
        )
    product = prepare(np.asarray(layer.kernel, np.float32))
    bias = [_in_place(np.add, np.asarray(layer.bias))] if layer.use_bias else []
    return [product, *bias]


def _in_place(operation, values):
    values = values[:, None]
    return lambda x: operation(x, values, out=x)


def _activation(function):
    if function is keras.activations.linear:
        return []
    if function is keras.activations.relu:
        return [lambda x: np.maximum(x, 0, out=x)]
    return [lambda x: np.asarray(function(x))]


def _scale_and_shift(norm):
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    scale = scale * np.asarray(norm.gamma) if norm.scale else scale
    shift = -np.asarray(norm.moving_mean) * scale
    return scale, shift + np.asarray(norm.beta) if norm.center else shift
