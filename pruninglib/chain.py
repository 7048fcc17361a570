"""The models that can shrink: one chain of Dense layers and layers that act on each unit alone."""

import keras

from pruninglib.graph import PRUNABLE, nodes

MIXING = ("softmax", "log_softmax", "sparsemax", "glu", "threshold")
ELEMENTWISE = tuple(
    getattr(keras.activations, name)
    for name in dir(keras.activations)
    if not name.startswith("_") and name not in (*MIXING, "get", "serialize", "deserialize")
)
PASSING = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.ELU,
    keras.layers.Dropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
)


class CannotShrink(ValueError):
    """The model has a layer that `shrink` cannot make smaller without changing the outputs."""


def dense_chain(model):
    """Return the layers up to the last Dense one, if they are a chain; else raise CannotShrink."""
    calls = nodes(model)
    layers = [layer for layer in calls if not isinstance(layer, keras.layers.InputLayer)]
    dense = [i for i, layer in enumerate(layers) if isinstance(layer, keras.layers.Dense)]
    for i, layer in enumerate(layers):
        parents = [t._keras_history.operation for n in calls[layer] for t in n.input_tensors]
        if len(parents) != 1 or (i > 0 and parents[0] is not layers[i - 1]):
            raise CannotShrink(
                f"Cannot shrink at layer {layer.name!r} ({type(layer).__name__}): shrink works on "
                "one chain of layers, each used once."
            )
        between = dense and dense[0] < i < dense[-1]
        if between and not isinstance(layer, (keras.layers.Dense, *PASSING)):
            raise CannotShrink(
                f"Cannot shrink at layer {layer.name!r} ({type(layer).__name__}): between Dense "
                "layers shrink knows only activation and dropout layers."
            )
        if dense and i < dense[0] and isinstance(layer, PRUNABLE):
            raise CannotShrink(
                f"Cannot shrink at layer {layer.name!r} ({type(layer).__name__}): shrink knows "
                "only Dense layers, not convolutions."
            )
    if len(model.outputs) > 1:
        raise CannotShrink(f"Cannot shrink model {model.name!r}: it has more than one output.")
    return layers[: dense[-1] + 1] if dense else []


def acts_on_each_unit(activation):
    """Say whether an activation function or layer (or None) is known to be elementwise."""
    if isinstance(activation, keras.layers.Activation):
        activation = activation.activation
    return activation in (None, *ELEMENTWISE) or isinstance(activation, PASSING)
