"""Score weights or units, and turn the scores of one layer into a mask. NumPy only.

A criterion is a function from a kernel of shape (..., units) to scores, high = keep. Scores
of the kernel's shape prune weights; scores of shape (units,) prune units.
"""

import numbers
import zlib

import numpy as np

CHUNK = 2**18  # numbers per step, so that intermediate arrays stay in the cache


def magnitude(kernel):
    """Score every weight by its absolute value (Han et al. 2015).

    >>> magnitude(np.array([[1.0, -3.0], [-2.0, 0.5]]))
    array([[1. , 3. ],
           [2. , 0.5]])
    """
    return np.abs(kernel)


def unit_norm(kernel):
    """Score every unit by the L2 norm of its incoming weights (Li et al. 2017 use the L1 norm).

    >>> unit_norm(np.array([[3.0, 0.0], [4.0, -1.0]]))
    array([5., 1.])
    """
    return np.sqrt(np.sum(np.square(kernel), axis=tuple(range(np.ndim(kernel) - 1))))


def random_scores(kernel, seed=0):
    """Score weights at random: the baseline that a criterion has to beat.

    The scores depend on the seed and the kernel's values alone: the same call gives the same
    scores, and two layers of the same shape get different ones.

    >>> random_scores(np.ones((3, 4))).shape
    (3, 4)
    """
    kernel = np.ascontiguousarray(kernel)
    return np.random.default_rng([seed, zlib.crc32(kernel)]).random(kernel.shape)


def random_unit_scores(kernel, seed=0):
    """Score units at random; see `random_scores`.

    >>> random_unit_scores(np.ones((3, 4))).shape
    (4,)
    """
    kernel = np.ascontiguousarray(kernel)
    return np.random.default_rng([seed, zlib.crc32(kernel)]).random(kernel.shape[-1])


def check_sparsity(sparsity):
    """Raise ValueError unless `sparsity` is a number in [0, 1]."""
    if not isinstance(sparsity, numbers.Real):
        raise ValueError(f"sparsity must be a number in [0, 1], got {sparsity!r}.")
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity must lie in [0, 1], got {sparsity}. Pass 0.9 for 90 %.")


def top_k_mask(scores, sparsity):
    """Return a mask without exactly round(sparsity * size) of the lowest scores: 0 = pruned.

    Among equal scores the first in order go first. Weights are counted, for a threshold fails on
    ties: `scores < percentile` may prune nothing, `<=` too much.

    Args:
        scores: array of any shape, which is that of the uint8 mask; ValueError if one is NaN.
        sparsity: share in [0, 1]; ValueError otherwise.

    >>> top_k_mask(np.array([[3.0, 1.0], [1.0, 2.0]]), 0.25)
    array([[1, 0],
           [1, 1]], dtype=uint8)
    """
    check_sparsity(sparsity)
    scores = check_scores(scores)
    dropped = round(sparsity * scores.size)
    if dropped == 0:
        return np.ones(scores.shape, np.uint8)
    return _mask_at(scores, kth_smallest(scores.reshape(-1), dropped), dropped)


def top_k_masks(scores, sparsities):
    """Yield what `top_k_mask` returns for each of many sparsities, from one sort of the scores."""
    scores = check_scores(scores)
    ordered = np.sort(scores, axis=None)
    for sparsity in sparsities:
        check_sparsity(sparsity)
        dropped = round(sparsity * scores.size)
        threshold = ordered[dropped - 1] if dropped else -np.inf
        yield _mask_at(scores, threshold, dropped)


def n_m_mask(scores, n, m):
    """Return a mask of the n highest scores of every m successive inputs (Mishra et al. 2021).

    Args:
        scores: array (..., inputs, units), which is the shape of the uint8 mask; each unit is
            masked by itself. ValueError unless 0 < n <= m and m divides the number of inputs.

    >>> n_m_mask(np.array([[3.0], [1.0], [1.0], [2.0]]), 2, 4).T
    array([[1, 0, 0, 1]], dtype=uint8)
    """
    scores = check_scores(scores)
    if not (0 < n <= m and scores.ndim > 1 and scores.shape[-2] % m == 0):
        raise ValueError(
            f"{n}:{m} needs 0 < {n} <= {m} and a number of inputs that {m} divides; got scores of "
            f"shape {scores.shape}."
        )
    blocks = scores.reshape(*scores.shape[:-2], -1, m, scores.shape[-1])
    highest = np.argsort(blocks, axis=-2, kind="stable")[..., m - n :, :]
    mask = np.zeros(blocks.shape, np.uint8)
    np.put_along_axis(mask, highest, 1, axis=-2)
    return mask.reshape(scores.shape)


def _mask_at(scores, threshold, dropped):
    mask = scores > threshold
    if tied := scores.size - dropped - np.count_nonzero(mask):
        mask.flat[last_equal(scores.reshape(-1), threshold, tied)] = True
    return mask.view(np.uint8)


def check_scores(scores):
    """Return `scores` as an array; raise ValueError if there are none or one is NaN."""
    scores = np.asarray(scores)
    if scores.size == 0 or np.isnan(scores).any():
        raise ValueError(
            f"scores must be numbers, got {np.isnan(scores).sum()} NaN among {scores.size} values "
            f"of shape {scores.shape}. Check the criterion, and the weights it was given."
        )
    return scores


def kth_smallest(values, k):
    """Return the k-th smallest (k from 1) of a flat array, without copying the array.

    A sample gives bounds between which that number most likely lies (Floyd and Rivest 1975); only
    the numbers between them are copied and partitioned. If the bounds miss it, all are.
    With `np.partition` alone a mask takes 0.6 times as long for a million weights and 1.1 to 1.3
    times for 10 or 100 million, but 8 bytes a weight in place of 5: benchmarks/masks.py.
    """
    if len(values) > CHUNK:
        low, high = _bounds(values, k)
        below, lows, highs, between = 0, 0, 0, []
        for start in range(0, len(values), CHUNK):
            part = values[start : start + CHUNK]
            below += np.count_nonzero(part < low)
            lows += np.count_nonzero(part == low)
            highs += np.count_nonzero(part == high)
            between.append(part[(part > low) & (part < high)])
        between = np.concatenate(between)
        rank = k - below - lows  # among those between the bounds
        if below < k and rank <= 0:
            return low
        if 0 < rank <= len(between):
            return np.partition(between, rank - 1)[rank - 1]
        if len(between) < rank <= len(between) + highs:
            return high
    return np.partition(values, k - 1)[k - 1]


def last_equal(values, value, count):
    """Return the indices of the last `count` numbers of a flat array that equal a value."""
    found, missing = [], count
    for end in range(len(values), 0, -CHUNK):
        start = max(0, end - CHUNK)
        found.append(start + np.flatnonzero(values[start:end] == value)[-missing:])
        missing -= len(found[-1])
        if missing == 0:
            break
    return np.concatenate(found)


def step_of(count):
    """Return the step between sampled numbers, which makes about count ** (2/3) of them."""
    return round(count ** (1 / 3))


def _bounds(values, k):
    """Return two numbers of a sample between which the k-th smallest of all most likely lies."""
    sample = np.sort(values[:: step_of(len(values))])
    rank, margin = k / len(values) * len(sample), 3 * int(len(sample) ** 0.5)
    first, last = (int(np.clip(rank + d, 0, len(sample) - 1)) for d in (-margin, margin))
    return (
        sample[first] if first else -np.inf,
        sample[last] if last < len(sample) - 1 else np.inf,
    )
