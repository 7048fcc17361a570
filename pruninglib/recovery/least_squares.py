"""Fit the weights of one layer by least squares, from chunks of inputs and targets. No Keras."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve, inv

IN_MEMORY = 2**28  # numbers in all factors, 2 GB, up to which they are kept, not recomputed


def fit(chunks, start, kept, ridge=1e-2, passes=0):
    """Return the W, zero except where `kept`, that minimises |X W - T|^2 + s |W - start|^2.

    Args:
        chunks: function without arguments that returns an iterable of chunks (X, T): rows of
            inputs (rows, inputs) and their targets (rows, units). It is called passes + 1 times.
        start: weights (inputs, units) to stay near; those that are not kept are taken as zero.
        kept: bool array of the same shape. Each unit is a problem of its own.
        ridge: strength s of the pull to `start`, relative to the mean square of the inputs that
            are not always zero; for float32 rows at least 1e-5, the rounding of their products.
        passes: how often to fit again for a ReLU, after which any negative output is as good as
            another. Each pass replaces a target that is not positive by the last output, or 0 if
            that is positive; a majorisation, so that |relu(X W) - relu(T)|^2 falls from pass to
            pass, except where the target is positive and the output is not.

    With passes=0 the error on the rows is at most that of `start`; what few rows do not decide
    stays as it is in `start`. Raises ValueError if the products overflow.
    """
    start = np.where(kept, start, 0).astype(np.float64)
    gram, right = np.zeros((len(start), len(start))), np.zeros_like(start)
    for x, targets in chunks():
        with np.errstate(over="ignore", invalid="ignore"):  # an error below
            gram += x.T @ x
            right += x.T @ targets
        if x.dtype == np.float32:
            ridge = max(ridge, 1e-5)
    if not (np.isfinite(gram).all() and np.isfinite(right).all()):
        raise ValueError("The products of the inputs overflow. Scale the inputs down.")
    squares = np.diag(gram)
    if not squares.any():
        return start
    strength = ridge * squares[squares > 0].mean()
    np.fill_diagonal(gram, squares + strength)
    solve = _solver(gram, kept, passes + 1)
    weights = solve(right + strength * start)
    for _ in range(passes):
        right = strength * start
        for x, targets in chunks():
            wanted = x @ weights.astype(x.dtype)
            np.minimum(wanted, 0, out=wanted)
            np.copyto(wanted, targets, where=targets > 0)
            right = right + x.T @ wanted
        weights = solve(right)
    return weights


def _work(sizes, times, inverted=0):
    """Return the multiplications for all factors, and whether they fit into memory.

    Args:
        sizes: of the factors; those that do not fit are made anew each of so many `times`.
        inverted: size of a matrix to invert before.
    """
    fits = bool(np.sum(sizes**2) <= IN_MEMORY)
    return np.sum(sizes**3.0) / 6 * (1 if fits else times) + float(inverted) ** 3, fits


def _solver(gram, kept, times):
    """Return a function right-hand side -> weights, that is called so many times.

    For a unit that keeps few inputs, their weights are solved for. For one that loses few, the
    Lagrange multipliers that hold the lost ones at zero are: G w = right + multipliers. Units with
    the same pattern share a factor.
    """
    patterns, index = np.unique(kept, axis=1, return_inverse=True)
    left, size = patterns.sum(axis=0), len(gram)
    ways = [_work(left, times), _work(np.minimum(left, size - left), times, size)]
    (_, fits), inverse = min(ways), inv(gram) if ways[1] < ways[0] else None
    problems = []
    for i, pattern in enumerate(patterns.T):
        few = inverse is None or 2 * left[i] <= size
        chosen = np.flatnonzero(pattern if few else ~pattern)
        problems.append((few, chosen, np.ix_(chosen, np.flatnonzero(index.ravel() == i))))

    def factors():
        for few, chosen, _ in problems:
            square = (gram if few else inverse).take(chosen, axis=0).take(chosen, axis=1)
            how = {"overwrite_a": True, "check_finite": False}  # in place, for .T is column-major
            yield cho_factor(square.T, **how) if len(square) else None

    stored = list(factors()) if fits else None

    def solve(right):
        weights = np.zeros_like(right) if inverse is None else inverse @ right
        multipliers = np.zeros_like(right)
        for (few, chosen, where), factor in zip(problems, stored or factors(), strict=True):
            if few:
                weights[:, where[1].ravel()] = 0
            if chosen.size:
                values = (right if few else weights)[where]
                (weights if few else multipliers)[where] = cho_solve(
                    factor, values, check_finite=False
                )
        if inverse is not None:
            weights -= inverse @ multipliers
            weights[~kept] = 0
        return weights

    return solve
