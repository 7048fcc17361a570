"""Files of a model for other runtimes, and what these runtimes have in common."""

import logging
import tempfile
import warnings
from pathlib import Path

from pruninglib.backend import native_stderr_silenced, tensorflow_log_silenced
from pruninglib.structure.costs import count_macs, count_parameters

RATE = 4e10  # multiplications a second in dense products, on one core, about
TILE = 256  # examples; the activations of 1,000 units then take 1 MB, about a core's cache


def file_content(model, kind, **settings):
    """Return the bytes of the model's file of a kind, "litert" or "onnx"; settings as in Keras."""
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # what it cannot do, `onnx` says
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("model.tflite" if kind == "litert" else "model.onnx")
        with native_stderr_silenced(), tensorflow_log_silenced(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tf2onnx asks NumPy for what NumPy has renamed
            model.export(str(path), format=kind, verbose=False, **settings)
        return path.read_bytes()


def seconds_each(model):
    """Return what one example takes on one core, about."""
    try:
        return count_macs(model) / RATE
    except ValueError:  # the size of its inputs is not fixed
        return count_parameters(model) / RATE
