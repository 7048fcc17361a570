"""Ways to run a network with TensorFlow, and what every way to run one has in common.

The others are `sparse` and `numpy_dense` (sparse.py), `litert` and `onnx` (exported.py). Each
takes a Keras model with one input and one output and returns an `Executable`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import tensorflow as tf

from pruninglib.costs import file_bytes
from pruninglib.tiles import cores


@dataclass(frozen=True)
class Executable:
    """A network made ready to run: a function inputs (batch, ...) -> outputs, and what it is.

    Args:
        runtime: name of the way it runs.
        run: the function, from a float array to a float32 array.
        threads: how many of them it may use.
        measure: function that returns the bytes it takes on disk.
    """

    runtime: str
    run: Callable = field(repr=False)
    threads: int
    measure: Callable = field(repr=False)

    def __call__(self, inputs):
        return self.run(inputs)

    @cached_property
    def bytes(self):
        """Size of the network on disk, in bytes."""
        return self.measure()


def eager(model):
    """Return an `Executable` that runs the model layer by layer, as trained.

    Weights are read at each call.
    """
    run = lambda inputs: np.asarray(model(inputs, training=False))  # noqa: E731
    return Executable("eager", run, tensorflow_threads(), partial(file_bytes, model))


def compiled(model, frozen=True):
    """Return an `Executable` that runs the model as one compiled graph.

    Args:
        frozen: copy the weights into the graph, which is up to a fifth faster; else they are read
            at each call.
    """
    spec = tf.TensorSpec((None, *one_input(model).shape[1:]), model.inputs[0].dtype)
    if frozen:
        parts = (model.trainable_variables, model.non_trainable_variables)
        values = [[tf.constant(np.asarray(weight)) for weight in part] for part in parts]
        graph = tf.function(lambda x: model.stateless_call(*values, x, training=False)[0])
    else:
        graph = tf.function(lambda x: model(x, training=False))
    concrete = graph.get_concrete_function(spec)
    run = lambda inputs: concrete(tf.constant(inputs, spec.dtype)).numpy()  # noqa: E731
    return Executable("compiled", run, tensorflow_threads(), partial(file_bytes, model))


def one_input(model):
    """Return the only input of a model; raise ValueError unless it has one input and one output."""
    inputs, outputs = getattr(model, "inputs", None) or (), getattr(model, "outputs", None) or ()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"Model {model.name!r} has {len(inputs)} known inputs and {len(outputs)} outputs, "
            "expected one of each. Build a Sequential or Functional model of that part."
        )
    return inputs[0]


def tensorflow_threads():
    """Return the number of threads with which TensorFlow runs one operation.

    To change it, set TF_NUM_INTRAOP_THREADS before Python starts.
    """
    chosen = tf.config.threading.get_intra_op_parallelism_threads()
    return chosen or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or len(cores()))
