"""A mask by torch.topk, in a process of its own, so that its memory can be told."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from memory import forget_peak, peak_memory, wake_memory
from turns import seconds, serve

count, sparsity = int(sys.argv[2]), float(sys.argv[3])
torch.manual_seed(0)
weights = torch.randn(count)


def by_topk():
    mask = torch.ones(count, dtype=torch.uint8)
    mask[torch.topk(weights.abs(), round(sparsity * count), largest=False).indices] = 0


def memory():
    """Return by how many bytes the largest memory grows while one mask is made."""
    forget_peak()
    before = peak_memory()
    by_topk()
    return peak_memory() - before


def time():
    wake_memory(32 * count)
    return seconds(by_topk)


serve({"time": time, "memory": memory})
