"""Choose, one after another, the inputs from which linear targets are best refitted. NumPy only."""

import numpy as np


def forward_selection(gram, weights):
    """Return all inputs in the order of orthogonal least squares (Chen et al. 1989).

    Each time the input comes next that, with those before it, leaves the least squared error of
    a new fit to X @ weights. The inputs that add nothing come last, in their order.

    Args:
        gram: X.T @ X, of shape (inputs, inputs).
        weights: array (inputs, units).

    Takes about inputs^2 * (3 inputs + 4 units) operations: the Cholesky factor of the chosen
    inputs grows by a row at a time, and no residual is ever written down.
    """
    size, units = weights.shape
    gram = np.asarray(gram, np.float64)
    cross = gram @ weights
    factor, explained = np.zeros((size, size)), np.zeros((size, units))
    left = np.diag(gram).copy()  # squared norms of what the chosen inputs do not span
    gain = np.square(cross).sum(axis=1)  # squared correlations with what is not yet fitted
    negligible = 1e-10 * left.max()
    chosen, open_ = [], np.ones(size, bool)
    for step in range(size):
        candidates = open_ & (left > negligible)
        if not candidates.any():
            break
        best = np.argmax(np.where(candidates, gain / np.maximum(left, negligible), -np.inf))
        chosen.append(best)
        open_[best] = False
        before = factor[:step, best]
        factor[step] = (gram[best] - before @ factor[:step]) / np.sqrt(left[best])
        explained[step] = (cross[best] - before @ explained[:step]) / np.sqrt(left[best])
        new, row = explained[step], factor[step]
        along = cross @ new - (explained[:step] @ new) @ factor[:step]
        gain += row * (row * (new @ new) - 2 * along)
        left -= row * row
    return np.concatenate([chosen, np.flatnonzero(open_)]).astype(int)
