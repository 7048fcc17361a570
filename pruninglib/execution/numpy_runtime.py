"""Run chains of Dense layers in NumPy, by dense products or by their nonzero weights alone."""

from functools import partial

import numpy as np
import scipy.sparse
from threadpoolctl import threadpool_info

from pruninglib.backend import keras
from pruninglib.execution.executable import Executable, in_tiles, single_input, thread_count
from pruninglib.execution.packed import packed_bytes
from pruninglib.execution.runtimes import default_executable
from pruninglib.pruning.plan import make_plan
from pruninglib.pruning.shrink import folded_bias
from pruninglib.structure.costs import count_parameters, file_bytes
from pruninglib.structure.graph import chain, describe, nodes
from pruninglib.structure.layers import acts_on_each_unit, is_prunable, kinds

INERT = kinds("Dropout SpatialDropout2D GaussianNoise GaussianDropout AlphaDropout Identity")
RATE = 2.5e10  # multiplications per second by nonzero weights, on one core, about
LEAST = 32  # examples; a weight takes no less time for fewer
TILE = 128  # examples; the activations of 1,000 units then take 512 kB, half of a core's cache
ACTIVATIONS = kinds("ReLU LeakyReLU ELU")
RELU, LINEAR = keras.activations.relu, keras.activations.linear
INSTEAD = "Use compiled(model), litert(model) or onnx(model)."
FEW = 8  # examples at a time, up to which going through the weights by input is faster
LINE = 16  # float32 numbers in a cache line; rows that start at one are read half again as fast


def sparse(model, threads=None, library=None):
    """Return an `Executable` that multiplies only by the nonzero weights, as they are now.

    Args:
        model: a chain of Dense layers; it is left as it is. Between them may stand
            BatchNormalization, Dropout and elementwise activations, before and after them any
            layers.
        threads: number of threads that share a batch; default all cores.
        library: "numba" or "scipy", for the sparse products; default numba if it is installed.
            Numba's also skip zero activations when they run few examples.

    Units that `shrink` would remove are left out. Its bytes are those of
    `export(model, "model.npz")`. Computes in float32. Raises ValueError for other models, and for
    those that compute in lower precision.
    """
    library, threads = library or sparse_library(), thread_count(threads)
    seconds = count_parameters(model, nonzero=True) / RATE
    run = in_tiles([_runner(model, library)] * threads, TILE, seconds, LEAST)
    measure = partial(packed_bytes, model)
    return Executable(f"sparse ({library})", threads, run, measure, **single_input(model))


def numpy_dense(model):
    """Return an `Executable` that runs a model with NumPy's dense products.

    For one example at a time few ways are faster. It takes the same models as `sparse`, with their
    weights as they are now, and leaves out units that `shrink` would remove, too. Its threads are
    those of NumPy's BLAS library: set OMP_NUM_THREADS before Python starts.
    """
    threads = max([pool["num_threads"] for pool in threadpool_info()], default=1)
    run, measure = _runner(model, "numpy"), partial(file_bytes, model)
    return Executable("NumPy", threads, run, measure, **single_input(model))


def count_compact(model):
    """Return the number of nonzero weights and biases that `shrink` would leave.

    Takes a tenth of the time of `shrink`. ValueError unless the model is a chain of Dense layers.
    """
    layers = [layer for layer in chain(model) if type(layer) not in INERT]
    for layer in layers:
        if type(layer) is not keras.layers.Dense:
            raise ValueError(f"{describe(layer)} is no Dense layer.")
    return sum(np.count_nonzero(part != 0) for _, own in compact(model, layers) for part in own)


def _runner(model, library):
    """Return a function inputs -> outputs that works on (units, batch) between Dense layers."""
    single_input(model)
    layers = [layer for layer in chain(model) if type(layer) not in INERT]
    dense = [i for i, layer in enumerate(layers) if type(layer) is keras.layers.Dense]
    if not dense:
        raise ValueError(f"Model {model.name!r} has no Dense layer. Use compiled(model).")
    (first,), (last,) = (nodes(model)[layers[dense[i]]] for i in (0, -1))
    before = _part(model.inputs[0], first.input_tensors[0], dense[0])
    after = _part(last.output_tensors[0], model.outputs[0], len(layers) - dense[-1] - 1)
    between = steps(model, layers[dense[0] : dense[-1] + 1], library)
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
    """Return the part of a model between two tensors, ready to run; None if it is empty."""
    return default_executable(keras.Model(start, end)) if layers else None


def columns(inputs):
    """Return inputs (batch, n) as (n, batch), padded with columns so that rows are aligned."""
    width = len(inputs) if len(inputs) <= FEW else -(-len(inputs) // LINE) * LINE
    x = aligned(inputs.shape[1], width)
    x[:, : len(inputs)] = inputs.T
    x[:, len(inputs) :] = 0
    return x


def steps(model, layers, library):
    """Return functions to be applied in order, which compute the layers on arrays (units, batch).

    Units that `shrink` would remove are not computed.

    Args:
        layers: a chain of the model that begins and ends with a Dense layer; the activation of the
            last one is not applied, unless it is ReLU.
        library: as in `product`.
    """
    found = []
    for layer, (left, own) in zip(layers, compact(model, layers), strict=True):
        if own is None:
            found += _between(layer, left)
            continue
        found.append(product(*own, layer.activation is RELU, library))
        if layer is not layers[-1]:
            found += _activation(layer, layer.activation)
    return found


def compact(model, layers):
    """Yield (which units are left, (kernel, bias) cut to them or None if not Dense) of each layer.

    The constants of removed units are folded into the biases, as in `shrink`, without building
    the smaller model.
    """
    plan = make_plan(model)
    known = {id(step.call.layer): step for step in plan.steps}
    for layer in layers:
        step, own = known[id(layer)], None
        left = plan.left(step.output) if step.output else slice(None)
        if type(layer) is keras.layers.Dense:
            kernel, bias = _weights(layer)
            if step.output:
                kernel = kernel[np.ix_(plan.left(step.inputs[0]), left)]
                bias = folded_bias(step, plan).astype(np.float32)
            own = kernel, bias
        yield left, own


def _weights(layer):
    """Return the kernel and bias of a plain Dense layer as float32; ValueError for another."""
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


def _between(layer, left):
    if type(layer) is keras.layers.BatchNormalization:
        scale, shift = (values[left] for values in _scale_and_shift(layer))
        return [lambda x: x * scale + shift]
    if type(layer) is keras.layers.Activation:
        return _activation(layer, layer.activation)
    if type(layer) in ACTIVATIONS:
        return [lambda x: np.asarray(layer(x))]
    raise _not_between(layer)


def _activation(layer, function):
    if function in (RELU, LINEAR) and type(layer) is keras.layers.Dense:
        return []  # the product applies ReLU
    if not acts_on_each_unit(function):
        raise _not_between(layer)
    return [lambda x: np.asarray(function(x))]


def _not_between(layer):
    return ValueError(
        f"{describe(layer)} stands between Dense layers; only BatchNormalization and what acts on "
        f"each unit alone can. {INSTEAD}"
    )


def _scale_and_shift(norm):
    """Return the factors and summands of BatchNormalization, as columns (units, 1)."""
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    scale = scale * np.asarray(norm.gamma) if norm.scale else scale
    shift = -np.asarray(norm.moving_mean) * scale
    shift = shift + np.asarray(norm.beta) if norm.center else shift
    return scale[:, None].astype(np.float32), shift[:, None].astype(np.float32)


def aligned(rows, columns):
    """Return an uninitialized float32 array; with LINE or more columns it starts a cache line."""
    if columns < LINE:
        return np.empty((rows, columns), np.float32)
    room = np.empty(rows * columns + LINE, np.float32)
    first = -room.ctypes.data // room.itemsize % LINE
    return room[first : first + rows * columns].reshape(rows, columns)


def sparse_library():
    """Return "numba" if it is installed, else "scipy"."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return "scipy"
    return "numba"


def product(kernel, bias, relu, library):
    """Return a function x (inputs, batch) -> kernel.T @ x + bias, or the ReLU of that.

    Args:
        kernel: array (inputs, units).
        bias: array (units,).
        relu: whether to apply ReLU.
        library: "numpy" for dense products, or "scipy" or "numba", which store the nonzero
            weights in compressed rows.

    The batch is the contiguous axis: each weight multiplies a row of x, in full SIMD width. For
    few examples at a time numba's kernel goes through the weights by input instead, and skips
    zero inputs. It keeps the weights in both orders, 16 bytes for each weight.
    """
    if library == "numba":
        return _by_numba(kernel, bias, relu)
    if library not in ("numpy", "scipy"):
        raise ValueError(f'library must be "numba", "scipy" or "numpy", got {library!r}.')
    kernel = np.ascontiguousarray(kernel.T)
    matrix = scipy.sparse.csr_array(kernel) if library == "scipy" else kernel

    def multiply(x):
        out = matrix @ x
        if bias.any():
            out += bias[:, None]
        return np.maximum(out, 0, out=out) if relu else out

    return multiply


def _by_numba(kernel, bias, relu):
    try:
        from pruninglib.execution.numba_kernels import gather, scatter
    except ImportError as error:
        raise ImportError(
            'Sparse products by numba need numba. Install it: pip install numba. Or take "scipy".'
        ) from error
    matrix = scipy.sparse.csr_array(kernel)
    by_input, by_unit = _stored(matrix), _stored(matrix.tocsc())  # columns are rows of kernel.T

    def multiply(x):
        out = aligned(len(bias), x.shape[1])
        if x.shape[1] <= FEW:
            scatter(*by_input, x, bias, relu, out)
        else:
            gather(*by_unit, x, bias, relu, out)
        return out

    for width in (1, LINE):  # compiled here, not in the first call
        multiply(np.zeros((len(kernel), width), np.float32))
    return multiply


def _stored(matrix):
    # unsigned, for else numba tests each index for being negative
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.uint32), matrix.data
