"""Ways to run a network with TensorFlow: layer by layer, or as one compiled graph."""

import os
from functools import partial

import numpy as np

from pruninglib.backend import keras, tf
from pruninglib.execution.executable import Executable, single_input
from pruninglib.execution.tiles import cores
from pruninglib.structure.costs import file_bytes


def eager(model):
    """Return an `Executable` that runs the model layer by layer, as trained.

    Weights are read at each call.
    """

    def run(inputs):
        return np.asarray(_only(model(inputs, training=False)))

    known = (
        {} if len(getattr(model, "inputs", None) or ()) != 1 else {"dtype": model.inputs[0].dtype}
    )
    return Executable("eager", tensorflow_threads(), run, partial(file_bytes, model), **known)


def compiled(model, frozen=True):
    """Return an `Executable` that runs the model as one compiled graph.

    Args:
        frozen: copy the weights into the graph, which is up to a fifth faster; else they are read
            at each call.

    Inputs of NaN may give numbers: where TensorFlow joins ReLU with a bias, it makes zeros of NaN.
    """
    of_input = single_input(model)
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


def _only(outputs):
    """Return the output of a model that may put it in a list or a dict."""
    (output,) = keras.tree.flatten(outputs)
    return output


def tensorflow_threads():
    """Return the number of threads with which TensorFlow runs one operation.

    To change it, set TF_NUM_INTRAOP_THREADS before Python starts.
    """
    chosen = tf.config.threading.get_intra_op_parallelism_threads()
    return chosen or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or len(cores()))
