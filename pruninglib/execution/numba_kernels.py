"""Compute a Dense layer from its nonzero weights alone, in two orders; compiled by numba.

The weights are compressed sparse rows (CSR): those of row i are data[starts[i]:starts[i + 1]],
in the columns columns[starts[i]:starts[i + 1]].
"""

import numba


@numba.njit(nogil=True, cache=True)
def scatter(starts, columns, data, x, bias, relu, out):
    """Write weights.T @ x + bias to `out`, in place, skipping the weights of zero inputs."""
    for example in range(x.shape[1]):
        out[:, example] = bias
        for i in range(len(starts) - 1):
            value = x[i, example]
            if value != 0:
                for k in range(starts[i], starts[i + 1]):
                    out[columns[k], example] += data[k] * value
        if relu:
            for i in range(len(out)):
                out[i, example] = max(out[i, example], 0)


@numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc"})
def gather(starts, columns, data, x, bias, relu, out):
    """Write weights @ x + bias to `out`, in place.

    Four weights at a time, so that each element of `out` is loaded and stored a quarter as often.
    """
    width = x.shape[1]
    for i in range(len(starts) - 1):
        total = out[i]
        total[:] = bias[i]
        k, end = starts[i], starts[i + 1]
        while k + 4 <= end:
            a, b, c, d = data[k], data[k + 1], data[k + 2], data[k + 3]
            p, q = x[columns[k]], x[columns[k + 1]]
            r, s = x[columns[k + 2]], x[columns[k + 3]]
            for j in range(width):
                total[j] += a * p[j] + b * q[j] + c * r[j] + d * s[j]
            k += 4
        while k < end:
            a, p = data[k], x[columns[k]]
            for j in range(width):
                total[j] += a * p[j]
            k += 1
        if relu:
            for j in range(width):
                total[j] = max(total[j], 0)
