"""Run a network by PyTorch, dense and with kernels in compressed rows (CSR).

Arguments: a file of kernels and inputs, as NumPy saved them.
"""

import sys
import warnings
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from turns import in_turn, repeated, serve

warnings.filterwarnings("ignore", message=".*Sparse CSR tensor support is in beta.*")
torch.set_grad_enabled(False)
arrays = np.load(sys.argv[1])
inputs = torch.from_numpy(arrays["inputs"])
kernels = [torch.from_numpy(arrays[f"kernel_{i}"].T.copy()) for i in range(len(arrays) - 1)]
stored = {"dense": kernels, "csr": [kernel.to_sparse_csr() for kernel in kernels]}


def run(kind, x):
    x = x.T
    for kernel in stored[kind][:-1]:
        x = torch.relu(kernel @ x)
    return stored[kind][-1] @ x


serve({"time": lambda kind, size: repeated(in_turn(partial(run, kind), inputs, size))})
