"""Ways to run a network outside of TensorFlow's graphs: LiteRT and ONNX Runtime."""

import logging
import tempfile
import warnings
from importlib import import_module
from pathlib import Path

import numpy as np
import tensorflow as tf

from pruninglib.execution import Executable, one_input
from pruninglib.quiet import native_stderr_silenced, tensorflow_log_silenced
from pruninglib.tiles import cores, in_tiles

RATE = 1e11  # multiplications a second in dense products, on one core, about
TILE = 256  # examples; the activations of 1,000 units then take 1 MB, about a core's cache


def litert(model, sparse=False, threads=None):
    """Return an `Executable` that runs the model in LiteRT (TensorFlow Lite), in float32.

    Args:
        sparse: store kernels without their zeros, which makes the file smaller, not faster.
        threads: how many share a batch, each with an interpreter of its own; default all cores.

    Uses ai-edge-litert if it is installed, else TensorFlow's own interpreter.
    """
    return run_litert(litert_file(model, sparse), threads, "LiteRT, sparse" if sparse else "LiteRT")


def run_litert(content, threads=None, runtime="LiteRT"):
    """Return an `Executable` that runs the content of a LiteRT file; see `litert`."""
    try:
        kind = import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:
        kind = tf.lite.Interpreter
    threads = threads or len(cores())
    with native_stderr_silenced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow says that its own is going to move
        each = [kind(model_content=content, num_threads=1) for _ in range(threads)]
    run = in_tiles([_function(one) for one in each], TILE, len(content) / 4 / RATE)
    return Executable(runtime, run, threads, content.__len__)


def onnx(model, threads=None):
    """Return an `Executable` that runs the model in ONNX Runtime, in float32.

    Needs onnxruntime, onnx and tf2onnx. Raises ValueError for what tf2onnx cannot translate, such
    as the exact GELU.

    Args:
        threads: how many share a batch; default all cores.
    """
    shape = [size or 1 for size in one_input(model).shape]
    onnxruntime, *_ = (_needed(name, "ONNX Runtime") for name in ("onnxruntime", "onnx", "tf2onnx"))
    model(np.zeros(shape, np.float32))  # Keras exports only models that were called
    content = _written(model, "onnx")
    threads = threads or len(cores())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # its own kinds; tf2onnx leaves in what it cannot translate
        raise ValueError(
            f"ONNX Runtime cannot run model {model.name!r}: {error}. Use litert(model) or "
            "compiled(model)."
        ) from error
    name = session.get_inputs()[0].name

    def run(inputs):
        return session.run(None, {name: inputs})[0]

    run = in_tiles([run] * threads, TILE, len(content) / 4 / RATE)
    return Executable("ONNX Runtime", run, threads, content.__len__)


def litert_file(model, sparse=False):
    """Return the content of the model's LiteRT file, in bytes. Needs Keras 3.13."""
    one_input(model)
    settings = {"optimizations": [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]} if sparse else {}
    return _written(model, "litert", **settings)


def _function(interpreter):
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    shape = None

    def run(inputs):
        nonlocal shape
        if inputs.shape != shape:
            with native_stderr_silenced():
                interpreter.resize_tensor_input(given["index"], inputs.shape)
                interpreter.allocate_tensors()
            shape = inputs.shape
        interpreter.set_tensor(given["index"], inputs)
        interpreter.invoke()
        return interpreter.get_tensor(found["index"])

    return run


def _written(model, kind, **settings):
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # what it cannot do, `onnx` says
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("model.tflite" if kind == "litert" else "model.onnx")
        with native_stderr_silenced(), tensorflow_log_silenced(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tf2onnx asks NumPy for what NumPy has renamed
            model.export(path, format=kind, verbose=False, **settings)
        return path.read_bytes()


def _needed(name, purpose):
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{purpose} needs {name}. Install it: pip install {name}.") from error
