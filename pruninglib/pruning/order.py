"""Find the k-th smallest of many numbers, in little memory. NumPy only."""

import numpy as np

CHUNK = 2**18  # numbers looked at in a go, so that what is made of them stays in the cache


def kth_smallest(values, k):
    """Return the k-th smallest (k from 1) of a flat array, without copying the array.

    A sample tells bounds between which that number surely lies (Floyd and Rivest 1975); only those
    between them are kept and partitioned. Should the sample mislead, all are partitioned.
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
    """Return every how manieth number is in the sample: it has count ** (2/3), sorted soon."""
    return round(count ** (1 / 3))


def _bounds(values, k):
    """Return two numbers of a sample that the k-th smallest of all is most likely between."""
    sample = np.sort(values[:: step_of(len(values))])
    rank, margin = k / len(values) * len(sample), 3 * int(len(sample) ** 0.5)
    first, last = (int(np.clip(rank + d, 0, len(sample) - 1)) for d in (-margin, margin))
    return (
        sample[first] if first else -np.inf,
        sample[last] if last < len(sample) - 1 else np.inf,
    )
