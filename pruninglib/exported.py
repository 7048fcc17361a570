"""Ways to run a network outside of TensorFlow's graphs: LiteRT and ONNX Runtime."""

import logging
import tempfile
import warnings
from importlib import import_module
from pathlib import Path
from threading import Lock

import numpy as np
import tensorflow as tf

from pruninglib.costs import count_macs, count_parameters
from pruninglib.executable import Executable, single_input
from pruninglib.graphs import eager
from pruninglib.quiet import native_stderr_silenced, tensorflow_log_silenced
from pruninglib.tiles import cores, in_tiles

RATE = 1e11  # multiplications a second in dense products, on one core, about
TILE = 256  # examples; the activations of 1,000 units then take 1 MB, about a core's cache


def litert(model, sparse=False, threads=None):
    """Return an `Executable` that runs the model in LiteRT (TensorFlow Lite), in float32.

    Args:
        sparse: store kernels without their zeros, which makes the file smaller, not faster.
        threads: how many share a batch, each with an interpreter of its own; default all cores.

    Uses ai-edge-litert if it is installed, else TensorFlow's own interpreter. Raises ValueError
    for what LiteRT has no operation for.
    """
    runtime = "LiteRT, sparse" if sparse else "LiteRT"
    return run_litert(litert_file(model, sparse), threads, runtime, _seconds(model))


def run_litert(content, threads=None, runtime="LiteRT", seconds=None):
    """Return an `Executable` that runs the content of a LiteRT file; see `litert`.

    Args:
        seconds: what one example takes, about; default from the size of the file.
    """
    try:
        kind = import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:
        kind = tf.lite.Interpreter
    threads = threads or len(cores())
    with native_stderr_silenced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow says that its own is going to move
        each = [kind(model_content=content, num_threads=1) for _ in range(threads)]
        (given,) = each[0].get_input_details()
        shape = tuple(None if size < 0 else int(size) for size in given["shape_signature"][1:])
        try:
            for interpreter in each if None not in shape else ():
                interpreter.allocate_tensors()
        except RuntimeError as error:
            raise ValueError(
                f"LiteRT cannot run this model: {error} Use compiled(model) or onnx(model)."
            ) from error
    seconds = seconds or len(content) / 4 / RATE
    run = in_tiles([_function(one) for one in each], TILE, seconds)
    of_input = {"shape": shape, "dtype": given["dtype"]}
    return Executable(runtime, threads, run, content.__len__, **of_input)


def onnx(model, threads=None):
    """Return an `Executable` that runs the model in ONNX Runtime, in float32.

    Needs onnxruntime, onnx and tf2onnx. Raises ValueError for what tf2onnx cannot translate, such
    as the exact GELU.

    Args:
        threads: how many share a batch; default all cores.
    """
    of_input = single_input(model)
    onnxruntime, *_ = (_needed(name, "ONNX Runtime") for name in ("onnxruntime", "onnx", "tf2onnx"))
    shape = [size or 32 for size in of_input["shape"]]
    example = np.random.default_rng(0).random((1, *shape)).astype(of_input["dtype"])
    expected = eager(model)(example)  # Keras exports only models that were called
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

    if not np.allclose(run(example), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max()):
        raise ValueError(
            f"Model {model.name!r} exported to ONNX computes something else, such as what a layer "
            "does in training. Use litert(model) or compiled(model)."
        )
    run = in_tiles([run] * threads, TILE, _seconds(model))
    return Executable("ONNX Runtime", threads, run, content.__len__, **of_input)


def litert_file(model, sparse=False):
    """Return the content of the model's LiteRT file, in bytes. Needs Keras 3.13."""
    single_input(model)
    settings = {"optimizations": [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]} if sparse else {}
    return _written(model, "litert", **settings)


def _seconds(model):
    """Return what one example takes on one core, about."""
    try:
        return count_macs(model) / RATE
    except ValueError:  # the size of its inputs is not fixed
        return count_parameters(model) / RATE


def _function(interpreter):
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    lock, shape = Lock(), None

    def run(inputs):
        nonlocal shape
        with lock:  # an interpreter holds the inputs and outputs of one call
            if inputs.shape != shape:
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
