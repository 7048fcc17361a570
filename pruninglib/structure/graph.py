"""Read the graph of a Keras model: its calls of layers, in order, those of nested models too."""

from collections import Counter
from typing import NamedTuple

import numpy as np

from pruninglib.backend import keras


class Call(NamedTuple):
    """One call of a layer: its name with those of the models it is nested in, and its tensors."""

    name: str
    layer: keras.Operation
    inputs: list
    outputs: list
    node: object


def check_model(model):
    """Raise unless `model` is a built Keras model with finite weights."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"Expected a Keras model, got {type(model).__name__}.")
    if not model.built:
        raise ValueError(
            f"Model {model.name!r} was never built, so it has no weights. Call it on data, or "
            "call model.build(input_shape), first."
        )
    for weight in model.weights:
        values = np.asarray(weight)
        if values.dtype.kind in "fV" and not np.isfinite(values).all():
            raise ValueError(
                f"Weight {weight.path} of model {model.name!r} holds NaN or infinite values. "
                "Train again, with a smaller learning rate or gradient clipping."
            )


def check_graph(model):
    """Raise unless `model` is a built Sequential or Functional Keras model with finite weights."""
    check_model(model)
    if not is_graph(model):
        raise ValueError(
            f"Model {model.name!r} is subclassed, so its graph of layers cannot be read. "
            "Build it as a Sequential or Functional model."
        )


def is_graph(layer):
    """Say whether a layer is a Sequential or Functional model that does what its graph says."""
    if not isinstance(layer, keras.Model) or not type(layer).call.__module__.startswith("keras."):
        return False
    return isinstance(layer, keras.Sequential) or hasattr(layer, "operations")


def is_in_training(node):
    """Say whether a call of a layer always behaves as in training."""
    arguments = node.arguments
    return any(each is True for each in keras.tree.flatten((arguments.args, arguments.kwargs)))


def leaves(model, prefix=""):
    """Yield (name, layer) of all layers but inputs; nested models give theirs, as "model/layer"."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer, f"{prefix}{layer.name}/")
        elif not isinstance(layer, keras.layers.InputLayer):
            yield prefix + layer.name, layer


def nodes_in_order(model):
    """Return all calls of layers in a model, each after those that it depends on.

    A layer remembers its calls in other models too, even in those that Keras built and threw
    away while the layers of a Sequential were added or loaded.
    """
    depths = sorted(graph_of(model)._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in graph_of(model)._nodes_by_depth[depth]]


def graph_of(model):
    """Return the Functional model that a Sequential or Functional model runs."""
    return model._functional if isinstance(model, keras.Sequential) else model


def nodes(model):
    """Return {layer: its calls in this model}, in order; a nested model is one layer."""
    calls = {}
    for node in nodes_in_order(model):
        calls.setdefault(node.operation, []).append(node)
    return calls


def unnested(model):
    """Return (all calls of layers, a list of `Call` in order; what comes out; what goes in where).

    The calls inside a nested model stand in place of its own. A tensor that goes into it, or
    comes out of it, is there under one name only: the second value lists the tensors that come
    out of `model`, the third is {id of a nested model's own tensor: the tensor that is there}.
    A nested model that is called more than once, or as in training, stays one layer.
    """
    known = {}
    found = _calls(model, known, "")
    return found, [known.get(id(tensor), tensor) for tensor in graph_of(model).outputs], known


def _calls(model, known, prefix):
    found = []
    in_order = nodes_in_order(model)
    times = Counter(node.operation for node in in_order)
    for node in in_order:
        layer = node.operation
        if isinstance(layer, keras.layers.InputLayer):
            continue
        inputs = [known.get(id(tensor), tensor) for tensor in node.input_tensors]
        if is_graph(layer) and times[layer] == 1 and not is_in_training(node):
            inner = graph_of(layer)
            known.update(zip(map(id, inner.inputs), inputs, strict=True))
            found += _calls(layer, known, f"{prefix}{layer.name}/")
            outputs = [known.get(id(tensor), tensor) for tensor in inner.outputs]
            known.update(zip(map(id, node.output_tensors), outputs, strict=True))
        else:
            found.append(Call(prefix + layer.name, layer, inputs, node.output_tensors, node))
    return found
