"""Run chains of Dense layers by NumPy: by the nonzero weights alone, or by dense products."""

from functools import partial

import numpy as np
from threadpoolctl import threadpool_info

from pruninglib.backend import keras
from pruninglib.execution.columns import LINEAR, RELU, columns, compact, steps
from pruninglib.execution.executable import Executable, single_input
from pruninglib.execution.packed import packed_bytes
from pruninglib.execution.products import sparse_library
from pruninglib.execution.runtimes import compiled
from pruninglib.execution.tiles import in_tiles, thread_count
from pruninglib.structure.chain import chain, describe
from pruninglib.structure.costs import count_parameters, file_bytes
from pruninglib.structure.graph import nodes
from pruninglib.structure.passing import kinds

INERT = kinds("Dropout SpatialDropout2D GaussianNoise GaussianDropout AlphaDropout Identity")
RATE = 2.5e10  # multiplications a second by nonzero weights, on one core, about
LEAST = 32  # examples; for fewer a weight takes as long
TILE = 128  # examples; the activations of 1,000 units then take 512 kB, half of a core's cache


def sparse(model, threads=None, library=None):
    """Return an `Executable` that multiplies by the nonzero weights alone, prepared once.

    Args:
        model: a chain of Dense layers. Between them may stand BatchNormalization, Dropout and
            activations that act on each unit alone; before and after them any layers.
        threads: how many share a batch; default all cores.
        library: "numba" or "scipy", whose products are used; default numba if it is installed.
            Its kernels also skip activations that are zero when they run a few examples.

    Units that are zero for any input are left out. Its bytes are those of
    `export(model, "model.npz")`. Computes in float32. Raises ValueError for other models, and for
    those that compute in fewer bits.
    """
    library, threads = library or sparse_library(), thread_count(threads)
    seconds = count_parameters(model, nonzero=True) / RATE
    run = in_tiles([_runner(model, library)] * threads, TILE, seconds, LEAST)
    measure = partial(packed_bytes, model)
    return Executable(f"sparse ({library})", threads, run, measure, **single_input(model))


def numpy_dense(model):
    """Return an `Executable` that runs such a model as `sparse` takes with NumPy's dense products.

    For one example at a time few ways are faster. Units that are zero for any input are left out,
    as in `sparse`. Its threads are those of NumPy's BLAS library, which OMP_NUM_THREADS sets before
    Python starts.
    """
    threads = max([pool["num_threads"] for pool in threadpool_info()], default=1)
    run, measure = _runner(model, "numpy"), partial(file_bytes, model)
    return Executable("NumPy", threads, run, measure, **single_input(model))


def count_compact(model):
    """Return the number of nonzero weights and biases without units that can go, as in `shrink`.

    Takes a tenth of its time. Raises ValueError unless the model is a chain of Dense layers with
    ReLU or no activation.
    """
    layers = [layer for layer in chain(model) if type(layer) not in INERT]
    for layer in layers:
        passes = layer is layers[-1] or getattr(layer, "activation", None) in (RELU, LINEAR)
        if type(layer) is not keras.layers.Dense or not passes:
            raise ValueError(f"{describe(layer)} is no Dense layer with ReLU or no activation.")
    return sum(np.count_nonzero(part != 0) for own in compact(layers) for part in own)


def _runner(model, library):
    """Return a function inputs -> outputs that works on columns between the Dense layers."""
    single_input(model)
    layers = [layer for layer in chain(model) if type(layer) not in INERT]
    dense = [i for i, layer in enumerate(layers) if type(layer) is keras.layers.Dense]
    if not dense:
        raise ValueError(f"Model {model.name!r} has no Dense layer. Use compiled(model).")
    (first,), (last,) = (nodes(model)[layers[dense[i]]] for i in (0, -1))
    before = _part(model.inputs[0], first.input_tensors[0], dense[0])
    after = _part(last.output_tensors[0], model.outputs[0], len(layers) - dense[-1] - 1)
    between = steps(layers[dense[0] : dense[-1] + 1], library)
    finish = last.operation.activation
    finish = None if finish in (RELU, LINEAR) else finish

    def run(inputs):
        x = columns(before(inputs) if before else inputs)
        for step in between:
            x = step(x)
        x = np.ascontiguousarray(x[:, : len(inputs)].T)
        x = np.asarray(finish(x)) if finish else x
        return after(x) if after else x

    return run


def _part(start, end, layers):
    """Return the part of a model between two tensors as a compiled graph; None if it is empty."""
    return compiled(keras.Model(start, end)) if layers else None
