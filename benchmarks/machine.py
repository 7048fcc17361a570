"""What this machine can do at most, and what it is."""

import os
import platform
from importlib.metadata import version

import numpy as np
import tensorflow as tf
from turns import seconds


def multiplication_rate():
    """Return the floating-point operations per second of a large float32 product, the best of 5."""
    a = tf.random.uniform((4096, 4096))
    return 2 * 4096**3 / min(seconds(lambda: tf.matmul(a, a).numpy()) for _ in range(5))


def memory_rate():
    """Return the bytes per second that one thread reads and writes while it copies, the best of 5."""
    a = np.ones(10**8, np.float32)
    b = a.copy()
    return 2 * a.nbytes / min(seconds(np.copyto, b, a) for _ in range(5))


def description():
    """Return one line on the machine and the versions."""
    packages = ("tensorflow", "keras", "numpy", "scipy", "numba", "onnxruntime", "ai-edge-litert")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} cores, {platform.machine()}, {multiplication_rate() / 1e9:.0f} GFLOP/s in large "
        f"float32 products on all of them, {memory_rate() / 1e9:.0f} GB/s read and written while copying; "
        f"Python {platform.python_version()}, {versions}."
    )


def spread(values, unit=1, digits=2):
    """Return median and range of measurements as text."""
    low, middle, high = (f"{unit * f(values):.{digits}f}" for f in (np.min, np.median, np.max))
    return f"{middle} ({low} to {high})"
