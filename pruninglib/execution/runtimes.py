"""Run a network in Keras, layer by layer, compiled by TensorFlow, in LiteRT or in ONNX Runtime.

All but `eager` need TensorFlow, on which Keras must run for `compiled` and `tf_sparse`.
"""

import logging
import os
import tempfile
import warnings
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Lock

import numpy as np

import pruninglib.backend as backend
from pruninglib.atomic import of_the_machine
from pruninglib.backend import keras, native_stderr_silenced, tensorflow_log_silenced
from pruninglib.execution.executable import (
    Executable,
    check_ends,
    cores,
    in_tiles,
    single_input,
    thread_count,
)
from pruninglib.structure.costs import count_macs, count_parameters, file_bytes
from pruninglib.structure.graph import chain

LARGE = 1e-5  # seconds for one example; sharing a shorter one among threads does not pay
RATE = 4e10  # multiplications per second in dense products, on one core, about
TILE = 256  # examples; the activations of 1,000 units then take 1 MB, about a core's cache
SIZES = (32, 256, 1)  # tried for an axis of any size: large images and single words need theirs
INSTEAD = (
    "Build it in float32, LSTM, GRU and SimpleRNN layers with unroll=True and for inputs of a "
    "fixed length, or use compiled(model) or onnx(model)."
)


def eager(model):
    """Return an `Executable` that runs the model layer by layer, in inference mode.

    The weights are read at each call.
    """

    def run(inputs):
        return keras.ops.convert_to_numpy(_only(model(inputs, training=False)))

    known = (
        {} if len(getattr(model, "inputs", None) or ()) != 1 else {"dtype": model.inputs[0].dtype}
    )
    threads = tensorflow_threads() if on_tensorflow() else thread_count()
    return Executable("eager", threads, run, partial(file_bytes, model), **known)


def compiled(model, frozen=True):
    """Return an `Executable` that runs the model as one compiled graph.

    Args:
        model: a model with one input and one output, of Keras on TensorFlow, else ValueError; it is
            left as it is.
        frozen: copy the weights into the graph, which is up to a fifth faster; else they are read
            at each call.

    NaN in the inputs may be lost: where TensorFlow fuses a bias with ReLU, NaN becomes zero.
    """
    of_input, tf = single_input(model), _tensorflow("compiled")
    spec = tf.TensorSpec((None, *of_input["shape"]), of_input["dtype"])
    if frozen:
        parts = (model.trainable_variables, model.non_trainable_variables)
        values = [[tf.constant(np.asarray(weight)) for weight in part] for part in parts]
        graph = tf.function(lambda x: _only(model.stateless_call(*values, x, training=False)[0]))
    else:
        graph = tf.function(lambda x: _only(model(x, training=False)))
    concrete = graph.get_concrete_function(spec)

    def run(inputs):
        return concrete(tf.constant(inputs)).numpy()

    return Executable("compiled", tensorflow_threads(), run, partial(file_bytes, model), **of_input)


def tf_sparse(model):
    """Return an `Executable` that multiplies by the nonzero weights with TensorFlow's tf.sparse.

    It serves to measure what others published; `sparse` does the same many times faster. The first
    call makes the graph.

    Args:
        model: a chain of layers, else ValueError, of which the Dense ones are run so; it is left as
            it is.
    """
    layers, tf = chain(model), _tensorflow("tf_sparse")
    kernels = {
        layer: tf.sparse.from_dense(np.transpose(layer.kernel))
        for layer in layers
        if isinstance(layer, keras.layers.Dense)
    }

    @tf.function(reduce_retracing=True)
    def graph(x):
        for layer in layers:
            if layer in kernels:
                x = tf.transpose(tf.sparse.sparse_dense_matmul(kernels[layer], x, adjoint_b=True))
                x = layer.activation(x + layer.bias if layer.use_bias else x)
            else:
                x = layer(x, training=False)
        return x

    def run(inputs):
        return graph(tf.constant(inputs)).numpy()

    measure = partial(file_bytes, model)
    return Executable("tf.sparse", tensorflow_threads(), run, measure, **single_input(model))


def default_executable(model, frozen=True):
    """Return what runs a model soonest: `compiled`, or `eager` where Keras is not on TensorFlow."""
    single_input(model)
    return compiled(model, frozen) if on_tensorflow() else eager(model)


def on_tensorflow():
    """Say whether Keras runs on TensorFlow."""
    return keras.config.backend() == "tensorflow"


def _tensorflow(name):
    if not on_tensorflow():
        raise ValueError(
            f"{name}(model) needs Keras on TensorFlow, this is {keras.config.backend()}. Use "
            "eager(model), numpy_dense(model), or start with KERAS_BACKEND=tensorflow."
        )
    return backend.tf


def _only(outputs):
    """Return the only output of a model, which may come in a list or a dict."""
    (output,) = keras.tree.flatten(outputs)
    return output


def tensorflow_threads():
    """Return the number of threads with which TensorFlow runs one operation.

    To change it, set TF_NUM_INTRAOP_THREADS before Python starts.
    """
    chosen = backend.tf.config.threading.get_intra_op_parallelism_threads()
    return chosen or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or len(cores()))


def litert(model, sparse=False, threads=None):
    """Return an `Executable` that runs the model in LiteRT (TensorFlow Lite), in float32.

    Args:
        model: a model with one output, else ValueError; with several inputs the `Executable` takes
            {name: array}, by the names in `model.inputs`. Its weights are converted as they are
            now; it is left as it is.
        sparse: store kernels without their zeros, which makes the file smaller, not faster.
        threads: number of threads that share a batch, each with its own interpreter; default all
            cores. If there are fewer examples than threads, or several inputs, the threads share
            each example.

    Uses ai-edge-litert if it is installed, else TensorFlow's own interpreter; needs Keras 3.13.
    Raises ValueError for a model that Keras cannot convert, such as a quantized one, or with an
    operation that LiteRT cannot run, such as that of an LSTM without unroll=True.
    """
    runtime = "LiteRT, sparse" if sparse else "LiteRT"
    return run_litert(litert_file(model, sparse), threads, runtime, seconds_each(model))


def run_litert(content, threads=None, runtime="LiteRT", seconds=None):
    """Return an `Executable` that runs the content of a LiteRT file; see `litert`.

    Args:
        content: bytes of the file.
        seconds: about what one example takes; by default estimated from the size of the file.
    """
    try:
        kind = import_module("ai_edge_litert.interpreter").Interpreter
    except ImportError:
        kind = backend.tf.lite.Interpreter
    threads, seconds = thread_count(threads), seconds or len(content) / 4 / RATE
    with native_stderr_silenced(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow says that its interpreter is going to move
        together = threads > 1 and seconds > LARGE
        counts = [1] * threads + [threads] * together
        each = [kind(model_content=content, num_threads=count) for count in counts]
        given = _inputs(each[0])
        shapes = {name: _shape(details) for name, details in given.items()}
        fixed = not any(None in shape for shape in shapes.values())
        try:
            for interpreter in each if fixed else ():
                interpreter.allocate_tensors()
        except RuntimeError as error:
            raise UnsupportedModel(f"LiteRT cannot run this model: {error} {INSTEAD}") from error
    functions = [_function(one) for one in each]
    in_parts = in_tiles(functions[:threads], TILE, seconds)

    def run(inputs):
        if isinstance(inputs, dict):
            return functions[-1](*(inputs[name] for name in given))
        few = together and 0 < len(inputs) < threads
        return functions[-1](inputs) if few else in_parts(inputs)

    types = {name: details["dtype"] for name, details in given.items()}
    if len(given) == 1:
        (shapes,), (types,) = shapes.values(), types.values()
    return Executable(runtime, threads, run, content.__len__, shapes, types)


class UnsupportedModel(ValueError):
    """LiteRT can read the model, but not run it."""


def _inputs(interpreter):
    """Return {name: details} of an interpreter's inputs, in its order, by their Keras names."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(outputs) != 1 or not inputs:
        raise UnsupportedModel(
            f"The LiteRT model has {len(inputs)} inputs and {len(outputs)} outputs, expected one "
            "output and an input or more."
        )
    names = {each["index"]: each["name"] for each in inputs}
    if len(inputs) > 1 and interpreter.get_signature_list():  # files of others may have none
        signature = interpreter.get_signature_runner().get_input_details()
        names |= {each["index"]: name for name, each in signature.items()}
    return {names[each["index"]]: each for each in inputs}


def _shape(details):
    return tuple(None if size < 0 else int(size) for size in details["shape_signature"][1:])


def litert_file(model, sparse=False):
    """Return the content of the model's LiteRT file, in bytes, which was run once.

    Needs Keras 3.13. Raises ValueError for what Keras cannot convert or LiteRT cannot run.
    """
    check_ends(model, several=True)
    settings = {"optimizations": [backend.tf.lite.Optimize.EXPERIMENTAL_SPARSITY]} if sparse else {}
    content = file_content(model, "litert", **settings)
    _check_runs(run_litert(content, threads=1))
    return content


def _check_runs(executable):
    """Raise ValueError unless one example runs, of zeros, which are valid ids, too."""
    shape, dtype = executable.shape, executable.dtype
    for size in SIZES:
        try:
            if isinstance(shape, dict):
                executable({name: _zeros(shape[name], dtype[name], size) for name in shape})
            else:
                executable(_zeros(shape, dtype, size))
        except ValueError as error:
            reason = error
        else:
            return
    raise UnsupportedModel(f"{reason} {INSTEAD}")


def _zeros(shape, dtype, size):
    return np.zeros([1, *(size if axis is None else axis for axis in shape)], dtype)


def _function(interpreter):
    given, (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    lock, shapes = Lock(), None

    def run(*inputs):
        nonlocal shapes
        if not len(inputs[0]):  # an empty batch, which LiteRT refuses for some layers
            return np.empty((0, *found["shape"][1:]), found["dtype"])
        with lock:  # an interpreter holds the inputs and outputs of one call
            before, shapes = shapes, None  # after a failure it is ready for no shape
            wanted = [array.shape for array in inputs]
            try:
                if wanted != before:
                    for each, shape in zip(given, wanted, strict=True):
                        interpreter.resize_tensor_input(each["index"], shape)
                    interpreter.allocate_tensors()
                for each, array in zip(given, inputs, strict=True):
                    interpreter.set_tensor(each["index"], array)
                interpreter.invoke()
            except RuntimeError as error:
                sizes = ", ".join(map(str, wanted))
                raise ValueError(f"LiteRT cannot run inputs of shape {sizes}: {error}") from error
            shapes = wanted
            return interpreter.get_tensor(found["index"])

    return run


def onnx(model, threads=None):
    """Return an `Executable` that runs the model in ONNX Runtime, in float32.

    Args:
        model: a model with one input and one output, else ValueError. Its weights are converted
            as they are now; it is left as it is.
        threads: number of ONNX Runtime's threads; default all cores.

    Needs onnxruntime, onnx and tf2onnx, else ImportError. Raises ValueError for what tf2onnx
    cannot translate, such as the exact GELU, and for inputs that are no numbers.
    """
    of_input = single_input(model)
    onnxruntime, *_ = (_needed(name, "ONNX Runtime") for name in ("onnxruntime", "onnx", "tf2onnx"))
    shape = [size or 32 for size in of_input["shape"]]
    if of_input["dtype"] == "string":
        raise ValueError(
            f"Model {model.name!r} takes strings, ONNX Runtime numbers here. Export the part after "
            "the layer that makes numbers of them."
        )
    example = np.random.default_rng(0).random((1, *shape)).astype(of_input["dtype"])
    expected = eager(model)(example)  # Keras exports only models that have been called
    content = file_content(model, "onnx")
    threads = thread_count(threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads

    def run(inputs):
        return session.run(None, {name: inputs})[0]

    try:
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        found = run(example)
    except Exception as error:  # of its own types; tf2onnx keeps what it cannot translate
        raise ValueError(
            f"ONNX Runtime cannot run model {model.name!r}: {error}. Use litert(model) or "
            "compiled(model)."
        ) from error
    if not np.allclose(found, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max()):
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


def file_content(model, kind, **settings):
    """Return the bytes of the exported model, kind "litert" or "onnx"; settings as in Keras.

    Raises ValueError for what the converter cannot translate.
    """
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # `onnx` raises what it cannot do
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("model.tflite" if kind == "litert" else "model.onnx")
        with native_stderr_silenced(), tensorflow_log_silenced(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tf2onnx uses names that NumPy has deprecated
            try:
                model.export(str(path), format=kind, verbose=False, **settings)
            except Exception as error:  # converters raise many kinds
                if of_the_machine(error) or isinstance(error, ImportError):
                    raise
                reason = str(error).partition("\n")[0][:300]
                raise ValueError(
                    f"Keras cannot export model {model.name!r} to {kind}: {reason}. Export it as "
                    "it was before any quantize(...), or run it with eager or compiled."
                ) from error
        return path.read_bytes()


def seconds_each(model):
    """Return about how many seconds one example takes on one core."""
    try:
        return count_macs(model) / RATE
    except ValueError:  # the size of its inputs is not fixed
        return count_parameters(model) / RATE
