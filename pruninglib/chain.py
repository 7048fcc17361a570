"""The models that are one chain of Dense layers, with only activations and such between them."""

import keras

from pruninglib.graph import check_graph, nodes
from pruninglib.kernels import PRUNABLE
from pruninglib.passing import ALONE


def dense_chain(model):
    """Return the layers up to the last Dense one, if they are a chain; else raise ValueError."""
    check_graph(model)
    calls = nodes(model)
    layers = [layer for layer in calls if not isinstance(layer, keras.layers.InputLayer)]
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, keras.layers.Dense)]
    for i, layer in enumerate(layers):
        where = f"Layer {layer.name!r} ({type(layer).__name__})"
        parents = [t._keras_history.operation for n in calls[layer] for t in n.input_tensors]
        if len(parents) != 1 or (i > 0 and parents[0] is not layers[i - 1]):
            raise ValueError(f"{where} is not one in a chain of layers, each used once.")
        between = dense and dense[0] < i < dense[-1]
        passing = (keras.layers.Dense, keras.layers.Activation, *ALONE)
        if between and not isinstance(layer, passing):
            raise ValueError(f"{where} stands between Dense layers and is no activation.")
        if dense and i < dense[0] and isinstance(layer, PRUNABLE):
            raise ValueError(f"{where} stands before the first Dense layer.")
    if len(model.outputs) > 1:
        raise ValueError(f"Model {model.name!r} has more than one output.")
    return layers[: dense[-1] + 1] if dense else []
