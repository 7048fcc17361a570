"""The models that are one chain of layers, and those with only activations between Dense ones."""

from pruninglib.backend import keras
from pruninglib.structure.graph import check_graph, nodes
from pruninglib.structure.layers import PRUNABLE
from pruninglib.structure.passing import ALONE


def chain(model):
    """Return the layers of a model, if each is used once and follows the one before.

    Raises ValueError otherwise, or if the model has more than one output.
    """
    check_graph(model)
    calls = nodes(model)
    layers = [layer for layer in calls if not isinstance(layer, keras.layers.InputLayer)]
    for i, layer in enumerate(layers):
        parents = [t._keras_history.operation for n in calls[layer] for t in n.input_tensors]
        if len(parents) != 1 or (i > 0 and parents[0] is not layers[i - 1]):
            raise ValueError(f"{describe(layer)} is not one in a chain of layers, each used once.")
    if len(model.outputs) > 1:
        raise ValueError(f"Model {model.name!r} has more than one output.")
    return layers


def dense_chain(model):
    """Return the layers up to the last Dense one, if they are a chain; else raise ValueError."""
    layers = chain(model)
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, keras.layers.Dense)]
    passing = (keras.layers.Dense, keras.layers.Activation, *ALONE)
    for i, layer in enumerate(layers):
        if dense and dense[0] < i < dense[-1] and not isinstance(layer, passing):
            raise ValueError(f"{describe(layer)} stands between Dense layers and is no activation.")
        if dense and i < dense[0] and isinstance(layer, PRUNABLE):
            raise ValueError(f"{describe(layer)} stands before the first Dense layer.")
    return layers[: dense[-1] + 1] if dense else []


def describe(layer):
    """Return how messages name a layer."""
    return f"Layer {layer.name!r} ({type(layer).__name__})"
