"""Time sparse execution against dense execution and other libraries.

    python benchmarks/sparse.py

The network of the study, trained on MNIST, and its test images. Writes its section of
benchmarks/README.md. Run it with nothing else running: about fifteen minutes.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
from machine import multiplication_rate, spread
from sections import write_section
from turns import Worker, in_turn, repeated, take_turns
from ways import DENSE

import pruninglib as pl
from pruninglib.execution.numpy_runtime import count_compact

ROUNDS, SIZES = 5, (1, 32, 256, 10_000)
data = pl.load_dataset("mnist")
model, x = pl.baseline(data), data.x_test
rate = multiplication_rate()


def tf_sparse(model):
    """Return a function that runs a network by tf.sparse, as the published projects did."""
    kernels = [tf.sparse.from_dense(np.asarray(layer.kernel).T) for layer in model.layers]

    @tf.function
    def run(x):
        x = tf.transpose(x)
        for kernel in kernels[:-1]:
            x = tf.nn.relu(tf.sparse.sparse_dense_matmul(kernel, x))
        return tf.transpose(tf.sparse.sparse_dense_matmul(kernels[-1], x))

    return lambda x: run(tf.constant(x)).numpy()


def torch_worker(model, folder):
    kernels = {f"kernel_{i}": np.asarray(layer.kernel) for i, layer in enumerate(model.layers)}
    path = Path(folder) / f"{np.random.default_rng().integers(2**60)}.npz"
    np.savez(path, inputs=x, **kernels)
    return Worker("sparse_torch.py", "torch", path)


def sparse_table():
    """Return a table: time of the fastest dense way over that of each sparse one."""
    lines = ["| weights pruned | | " + " | ".join(f"batch {n:,}" for n in SIZES) + " |"]
    lines.append("|---|---|" + "---|" * len(SIZES))
    with tempfile.TemporaryDirectory() as folder:
        dense, torch_dense = (
            {n: way(model) for n, way in DENSE.items()},
            torch_worker(model, folder),
        )
        for sparsity in (0.5, 0.8, 0.9, 0.95, 0.99):
            pruned = pl.prune(model, pl.make_masks(model, pl.magnitude, sparsity))
            peer = torch_worker(pruned, folder)
            sparse = {
                "`sparse`, numba": pl.sparse(pruned, library="numba"),
                "`sparse`, SciPy": pl.sparse(pruned, library="scipy"),
                "`tf.sparse`": tf_sparse(pruned),
            }
            ratios, limits = {}, []
            for size in SIZES:
                runs = {
                    n: partial(repeated, in_turn(run, x, size))
                    for n, run in (dense | sparse).items()
                }
                runs["PyTorch, dense"] = partial(torch_dense, "time", "dense", size)
                runs["PyTorch, CSR"] = partial(peer, "time", "csr", size)
                times = take_turns(runs, ROUNDS if size < 1000 else 3)
                fastest = min((*DENSE, "PyTorch, dense"), key=lambda n: np.median(times[n]))
                for name in (*sparse, "PyTorch, CSR"):
                    found = spread(np.divide(times[fastest], times[name]))
                    ratios.setdefault(name, []).append(found)
                operations = 2 * size * count_compact(pruned)
                share = operations / rate / np.median(times["`sparse`, numba"])
                limits.append(f"{share:.2f}")
            for name, found in ratios.items():
                lines.append(f"| {sparsity:.0%} | {name} | {' | '.join(found)} |")
            lines.append(f"| | share of the limit, numba | {' | '.join(limits)} |")
            peer.close()
        torch_dense.close()
    return "\n".join(lines)


write_section(
    "Sparse execution",
    f"""
784-1000-1000-500-200-10, weights pruned by magnitude, on MNIST's test images: how many times faster
than the dense network in whatever is fastest for it at that batch size (compiled graph, NumPy, LiteRT, ONNX
Runtime, PyTorch). Below 1 sparse execution is slower. Median (all) of {ROUNDS} rounds, 3 for 10,000 images, variants
in turn; each call sees other images.

{sparse_table()}

The limit: 2 operations for each image and nonzero weight, without units that are zero for any input, at the rate of
large dense products, {rate / 1e9:.0f} GFLOP/s. `sparse` and NumPy leave those units out, the others do not.
""",
)
