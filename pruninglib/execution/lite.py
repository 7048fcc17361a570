"""Run a network in LiteRT (TensorFlow Lite)."""

import warnings
from importlib import import_module
from threading import Lock

import numpy as np

from pruninglib.backend import native_stderr_silenced, tf
from pruninglib.execution.executable import Executable, single_input
from pruninglib.execution.exported import RATE, TILE, file_content, seconds_each
from pruninglib.execution.tiles import in_tiles, thread_count

LARGE = 1e-5  # seconds of one example; for less, sharing one costs more than it saves


def litert(model, sparse=False, threads=None):
    """Return an `Executable` that runs the model in LiteRT (TensorFlow Lite), in float32.

    Args:
        sparse: store kernels without their zeros, which makes the file smaller, not faster.
        threads: how many share a batch, each with an interpreter of its own; default all cores.
            Where there are fewer examples than threads, LiteRT shares the work on each.

    Uses ai-edge-litert if it is installed, else TensorFlow's own interpreter. Raises ValueError
    for what LiteRT has no operation for.
    """
    runtime = "LiteRT, sparse" if sparse else "LiteRT"
    return run_litert(litert_file(model, sparse), threads, runtime, seconds_each(model))


def run_litert(content, threads=None, runtime="LiteRT", seconds=None):
    """Return an `Executable` that runs the content of a LiteRT file; see `litert`.

    Args:
        seconds: what one example takes, about; default from the size of the file.
    """
    try:
        kind = import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:
        kind = tf.lite.Interpreter
    threads, seconds = thread_count(threads), seconds or len(content) / 4 / RATE
    with native_stderr_silenced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow says that its own is going to move
        together = threads > 1 and seconds > LARGE
        counts = [1] * threads + [threads] * together
        each = [kind(model_content=content, num_threads=count) for count in counts]
        (given,) = each[0].get_input_details()
        shape = tuple(None if size < 0 else int(size) for size in given["shape_signature"][1:])
        try:
            for interpreter in each if None not in shape else ():
                interpreter.allocate_tensors()
        except RuntimeError as error:
            raise ValueError(
                f"LiteRT cannot run this model: {error} Use compiled(model) or onnx(model)."
            ) from error
    functions = [_function(one) for one in each]
    in_parts = in_tiles(functions[:threads], TILE, seconds)

    def run(inputs):
        few = together and 0 < len(inputs) < threads
        return functions[-1](inputs) if few else in_parts(inputs)

    of_input = {"shape": shape, "dtype": given["dtype"]}
    return Executable(runtime, threads, run, content.__len__, **of_input)


def litert_file(model, sparse=False):
    """Return the content of the model's LiteRT file, in bytes. Needs Keras 3.13."""
    single_input(model)
    settings = {"optimizations": [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]} if sparse else {}
    return file_content(model, "litert", **settings)


def _function(interpreter):
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    lock, shape = Lock(), None

    def run(inputs):
        nonlocal shape
        if not len(inputs):  # which LiteRT refuses in front of some layers
            return np.empty((0, *found["shape"][1:]), found["dtype"])
        with lock:  # an interpreter holds the inputs and outputs of one call
            if inputs.shape != shape:
                shape = None  # what a failure leaves is of no shape
                interpreter.resize_tensor_input(given["index"], inputs.shape)
                try:
                    interpreter.allocate_tensors()
                except RuntimeError as error:
                    raise ValueError(
                        f"LiteRT cannot run inputs of shape {inputs.shape}: {error}"
                    ) from error
                shape = inputs.shape
            interpreter.set_tensor(given["index"], inputs)
            interpreter.invoke()
            return interpreter.get_tensor(found["index"])

    return run
