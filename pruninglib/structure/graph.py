"""Read the graph of a Keras model: its layer calls in order, those of nested models, chains."""

import inspect
from collections import Counter
from typing import NamedTuple

import numpy as np

from pruninglib.backend import keras
from pruninglib.structure.layers import ALONE, PRUNABLE


class Call(NamedTuple):
    """One call of a layer, with its name ("model/layer" in a nested model) and its tensors."""

    name: str
    layer: keras.Operation
    inputs: list
    outputs: list
    node: object


def check_model(model):
    """Raise unless `model` is a built Keras model with finite weights.

    All weights are read, which takes time: a public function that takes a model does it once, at
    its start, and what it calls checks only the structure.
    """
    check_built(model)
    check_finite(model)


def check_finite(model):
    """Raise ValueError if a weight is NaN or infinite."""
    for weight in model.weights:
        check_values(weight, np.asarray(weight))


def check_values(weight, values):
    """Raise ValueError if a value of a weight, read into an array, is NaN or infinite."""
    if values.dtype.kind not in "fV":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.sum(values)  # finite only if all are; four times as fast as testing each
    if not (np.isfinite(total) or np.isfinite(values).all()):
        raise ValueError(
            f"Weight {weight.path} holds NaN or infinite values. Train again, with a smaller "
            "learning rate or gradient clipping."
        )


def check_built(model):
    """Raise unless `model` is a built Keras model."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"Expected a Keras model, got {type(model).__name__}.")
    if not model.built:
        raise ValueError(
            f"Model {model.name!r} was never built, so it has no weights. Call it on data, or "
            "call model.build(input_shape), first."
        )


def check_graph(model):
    """Raise unless `model` is a built Sequential or Functional Keras model."""
    check_built(model)
    if not is_graph(model):
        raise ValueError(
            f"Model {model.name!r} is subclassed, so its graph of layers cannot be read. "
            "Build it as a Sequential or Functional model."
        )


def is_graph(layer):
    """Say whether a layer is a Sequential or Functional model whose `call` is Keras' own."""
    if not isinstance(layer, keras.Model) or not type(layer).call.__module__.startswith("keras."):
        return False
    return isinstance(layer, keras.Sequential) or hasattr(layer, "operations")


def is_in_training(node):
    """Say whether a layer is called with an argument that is True, such as training=True."""
    arguments = node.arguments
    return any(each is True for each in keras.tree.flatten((arguments.args, arguments.kwargs)))


def named_arguments(node):
    """Return {name: value} of the arguments with which a layer is called."""
    arguments = node.arguments
    by_position = inspect.signature(node.operation.call).bind_partial(*arguments.args).arguments
    return {**by_position, **arguments.kwargs}


def leaves(model):
    """Yield (name, layer) of all layers but inputs; those of nested models are "model/layer".

    A layer that stands in several places, inside a nested model and outside, has its first name.
    """
    seen = set()
    for name, layer in places(model):
        if id(layer) not in seen:
            seen.add(id(layer))
            yield name, layer


def places(model, prefix=""):
    """Yield (name, layer) for each place where a layer stands; inputs are left out."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from places(layer, f"{prefix}{layer.name}/")
        elif not isinstance(layer, keras.layers.InputLayer):
            yield prefix + layer.name, layer


def in_several_models(model):
    """Return {name: layer} of the layers with weights that stand in more than one nested model."""
    times = Counter(id(layer) for _, layer in places(model))
    return {name: layer for name, layer in leaves(model) if times[id(layer)] > 1 and layer.weights}


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
    """Return (list of `Call` in order, output tensors, {id of a tensor's double: the tensor}).

    The calls inside a nested model replace the call of that model. A tensor that enters or leaves
    a nested model is one object inside and another outside: the calls and outputs returned have
    only the one where it is made, to which the third value maps the id of the other. A nested
    model that is called more than once, or with training=True, stays one layer. A layer has the
    name that `leaves` gives it.
    """
    known, names = {}, {id(layer): name for name, layer in leaves(model)}
    found = [
        call._replace(name=names.get(id(call.layer), call.name))
        for call in _calls(model, known, "")
    ]
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


def chain(model):
    """Return the layers of a model in which each is used once and reads only the one before.

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
    """Return the layers up to the last Dense one; raise ValueError unless they are a chain."""
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
    """Return a layer's name and class, for error messages."""
    return f"Layer {layer.name!r} ({type(layer).__name__})"
