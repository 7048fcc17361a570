"""What a Dense layer computes for a batch, by dense products or by its nonzero weights alone."""

import numpy as np
import scipy.sparse

FEW = 8  # up to so many examples at a time, going through the weights by input is faster
LINE = 16  # float32 numbers in a cache line; rows that start at one are read half again as fast


def aligned(rows, columns):
    """Return an uninitialized float32 array; with LINE or more columns its rows can be aligned."""
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
    """Return a function x (inputs, batch) -> kernel.T @ x + bias, if asked for its positive part.

    Args:
        kernel: array (inputs, units).
        bias: array (units,).
        relu: whether negative outputs become zero.
        library: "numpy" for dense products, or "scipy" or "numba", which store the nonzero
            weights in compressed rows.

    The batch is the contiguous axis: each weight meets a row of x, which processors do at full
    width. For a few examples at a time numba's kernel goes through the weights by input instead,
    and skips inputs that are zero. It keeps the weights in both orders, 16 bytes for each.
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
    # unsigned, for else numba asks of each index whether it counts from the end
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.uint32), matrix.data
