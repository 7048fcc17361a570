"""Run a network in ONNX Runtime."""

from importlib import import_module

import numpy as np

from pruninglib.execution.executable import Executable, single_input
from pruninglib.execution.exported import TILE, file_content
from pruninglib.execution.runtimes import eager
from pruninglib.execution.tiles import in_tiles, thread_count


def onnx(model, threads=None):
    """Return an `Executable` that runs the model in ONNX Runtime, in float32.

    Needs onnxruntime, onnx and tf2onnx. Raises ValueError for what tf2onnx cannot translate, such
    as the exact GELU.

    Args:
        threads: how many ONNX Runtime shares the work among; default all cores.
    """
    of_input = single_input(model)
    onnxruntime, *_ = (_needed(name, "ONNX Runtime") for name in ("onnxruntime", "onnx", "tf2onnx"))
    shape = [size or 32 for size in of_input["shape"]]
    example = np.random.default_rng(0).random((1, *shape)).astype(of_input["dtype"])
    expected = eager(model)(example)  # Keras exports only models that were called
    content = file_content(model, "onnx")
    threads = thread_count(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
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
    in_parts = in_tiles([run], TILE, 0)
    return Executable("ONNX Runtime", threads, in_parts, content.__len__, **of_input)


def _needed(name, purpose):
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(f"{purpose} needs {name}. Install it: pip install {name}.") from error
