"""What this machine can do at most, and what it is."""

import platform
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorflow as tf
from turns import HERE, seconds

from pruninglib.execution.executable import cores


def multiplication_rate():
    """Return the floating-point operations per second of a large float32 product, the best of 5."""
    a = tf.random.uniform((4096, 4096))
    return 2 * 4096**3 / min(seconds(lambda: tf.matmul(a, a).numpy()) for _ in range(5))


def memory_rate():
    """Return the bytes per second that all cores read and write while they copy, the best of 5."""
    a = np.ones(10**8, np.float32)
    b, count = a.copy(), len(cores())
    with ThreadPoolExecutor(count) as pool:

        def copy():
            list(pool.map(np.copyto, np.array_split(b, count), np.array_split(a, count)))

        return 2 * a.nbytes / min(seconds(copy) for _ in range(5))


def processor():
    """Return the name of the processor, as far as the system tells it."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    wide = any(line.startswith("flags") and " avx512f " in line for line in lines)
    return f"{names[0] if names else platform.machine()}{', AVX-512' if wide else ''}"


def description():
    """Return one line on the machine and the versions."""
    packages = ("tensorflow", "keras", "numpy", "scipy", "numba", "onnxruntime", "ai-edge-litert")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    files = sorted((HERE / "peers").glob("*.txt"))
    peers = ", ".join(line.replace("==", " ") for f in files for line in f.read_text().split())
    return (
        f"{len(cores())} cores of {processor()}, {multiplication_rate() / 1e9:.0f} GFLOP/s in large "
        f"float32 products on all of them, {memory_rate() / 1e9:.0f} GB/s read and written while "
        f"they copy; Python {platform.python_version()}, {versions}. Peers: {peers}."
    )


def spread(values, unit=1, digits=2):
    """Return median and range of measurements as text."""
    low, middle, high = (f"{unit * f(values):.{digits}f}" for f in (np.min, np.median, np.max))
    return f"{middle} ({low} to {high})"
