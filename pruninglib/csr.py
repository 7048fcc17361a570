"""Products with a kernel of which only the nonzero weights are stored."""

import numpy as np
import scipy.sparse

FEW = 8  # up to so many examples at a time, going by input is faster
LINE = 16  # float32 numbers in a cache line; rows that start at one are read half again as fast


def aligned(rows, columns):
    """Return a float32 array of zeros whose rows start at cache lines if LINE divides `columns`."""
    if columns < LINE:
        return np.zeros((rows, columns), np.float32)
    room = np.zeros(rows * columns + LINE, np.float32)
    first = -room.ctypes.data // room.itemsize % LINE
    return room[first : first + rows * columns].reshape(rows, columns)


def default_kind():
    """Return "numba" if it is installed, else "scipy"."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return "scipy"
    return "numba"


def multiplier(kernel, kind):
    """Return a function x (inputs, batch) -> kernel.T @ x by the nonzero weights alone.

    Args:
        kernel: array (inputs, units).
        kind: "numba" or "scipy".

    The batch is the contiguous axis: each weight meets a row of x, which processors do at full
    width. For a few inputs at a time the numba kernel goes through the weights by input instead,
    and skips inputs that are zero. It keeps the weights in both orders, 16 bytes for each.
    """
    if kind == "scipy":
        by_unit = scipy.sparse.csr_array(kernel.T)
        return lambda x: by_unit @ x
    if kind != "numba":
        raise ValueError(f'kind must be "numba" or "scipy", got {kind!r}.')
    try:
        from pruninglib.numba_kernels import gather, scatter
    except ImportError as error:
        raise ImportError(
            'Sparse products by numba need numba. Install it: pip install numba. Or pass "scipy".'
        ) from error
    by_input, by_unit = _stored(kernel), _stored(kernel.T)
    units = kernel.shape[1]

    def multiply(x):
        out = aligned(units, x.shape[1])
        if x.shape[1] <= FEW:
            scatter(*by_input, x, out)
        else:
            gather(*by_unit, x, out)
        return out

    return multiply


def _stored(matrix):
    rows = scipy.sparse.csr_array(matrix)
    # unsigned, for else numba asks of each index whether it counts from the end
    return rows.indptr.astype(np.int64), rows.indices.astype(np.uint32), rows.data
