"""One way to make a mask with NumPy, in a process of its own, so that its memory can be told."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import numpy as np
from memory import forget_peak, peak_memory, wake_memory
from turns import seconds, serve

from pruninglib.pruning import criteria
from pruninglib.pruning.criteria import magnitude, top_k_mask

way, count, sparsity = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
weights = np.random.default_rng(0).standard_normal(count, np.float32)
if way == "partition":  # `top_k_mask` with NumPy's selection in place of ours
    criteria.kth_smallest = lambda values, k: np.partition(values, k - 1)[k - 1]


def by_argsort():
    mask = np.ones(count, np.uint8)
    mask[np.argsort(np.abs(weights))[: round(sparsity * count)]] = 0
    return mask


def by_quantile():
    scores = np.abs(weights)
    return (scores > np.quantile(scores, sparsity)).astype(np.uint8)


ways = {
    "top_k_mask": lambda: top_k_mask(magnitude(weights), sparsity),
    "partition": lambda: top_k_mask(magnitude(weights), sparsity),
    "argsort": by_argsort,
    "quantile": by_quantile,
}


def memory():
    """Return by how many bytes the largest memory grows while one mask is made."""
    forget_peak()
    before = peak_memory()
    ways[way]()
    return peak_memory() - before


def time():
    wake_memory(32 * count)
    return seconds(ways[way])


serve({"time": time, "memory": memory})
