"""Find the layers of a Keras model that can be pruned, and rebuild it with other settings."""

import keras
import numpy as np

PRUNABLE = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def check_graph(model):
    """Raise unless `model` is a built Sequential or Functional Keras model with finite weights."""
    if not isinstance(model, keras.Model):
        raise TypeError(f"Expected a Keras model, got {type(model).__name__}.")
    if not isinstance(model, keras.Sequential) and not hasattr(model, "operations"):
        raise ValueError(
            f"Model {model.name!r} is subclassed, so its graph of layers cannot be read. "
            "Build it as a Sequential or Functional model."
        )
    if not model.built:
        raise ValueError(
            f"Model {model.name!r} was never built, so it has no weights. Call it on data, or "
            "call model.build(input_shape), first."
        )
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            raise ValueError(
                f"Model {model.name!r} has the model {layer.name!r} for a layer. Nested models are "
                "not read yet: build the model from the inner one's layers, or prune that one."
            )
    for weight in model.weights:
        values = np.asarray(weight)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError(
                f"Weight {weight.path} of model {model.name!r} holds NaN or infinite values. "
                "Train again, with a smaller learning rate or gradient clipping."
            )


def prunable_layers(model):
    """Return {name: layer} of the layers with a kernel of shape (..., units), in order.

    These are Dense, Conv1D, Conv2D and Conv3D layers. Raises ValueError if there are none, or
    if the model is subclassed, unbuilt or holds NaN or infinite weights.
    """
    check_graph(model)
    layers = {layer.name: layer for layer in model.layers if isinstance(layer, PRUNABLE)}
    if not layers:
        kinds = sorted({type(layer).__name__ for layer in model.layers})
        raise ValueError(
            f"Model {model.name!r} has no layer that can be pruned: expected a Dense or "
            f"convolution layer, found {', '.join(kinds) or 'no layer at all'}."
        )
    return layers


def check_names(names, known):
    """Raise ValueError if a name is not among the known layer names."""
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"Unknown layers {unknown}; expected some of {list(known)}.")


def check_same_kernels(dense, pruned):
    """Raise ValueError unless the models have the same layers in the same order."""
    of_pruned, of_dense = (
        {name: tuple(layer.kernel.shape) for name, layer in prunable_layers(model).items()}
        for model in (pruned, dense)
    )
    if list(of_pruned.items()) != list(of_dense.items()):
        raise ValueError(
            "The dense model must be the one that was pruned, with the same layers, not shrunk. "
            f"Expected kernels {of_pruned}, got {of_dense}."
        )


def nodes(model):
    """Return {layer: its calls in this model}, in order.

    A layer remembers its calls in other models too, even in those that Keras built and threw
    away while the layers of a Sequential were added or loaded.
    """
    calls = {}
    for node in nodes_in_order(model):
        calls.setdefault(node.operation, []).append(node)
    return calls


def nodes_in_order(model):
    """Return all calls of layers in a model, each after those that it depends on."""
    graph = model._functional if isinstance(model, keras.Sequential) else model
    depths = sorted(graph._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in graph._nodes_by_depth[depth]]


def logits_layers(model):
    """Return the names of the layers whose units are the model's outputs.

    From each output the graph is followed back to the nearest layers that have units.
    """
    names, to_visit, visited, calls = set(), list(model.outputs), set(), nodes(model)
    while to_visit:
        operation = to_visit.pop()._keras_history.operation
        if isinstance(operation, PRUNABLE):
            names.add(operation.name)
        elif operation not in visited:
            visited.add(operation)
            for node in calls[operation]:
                to_visit.extend(node.input_tensors)
    return names


def check_optimizer(model):
    """Raise ValueError if the optimizer keeps a moving average of the weights: it undoes masks."""
    optimizer = model.optimizer if model.compiled else None
    for part in (optimizer, getattr(optimizer, "inner_optimizer", None)):
        if getattr(part, "use_ema", False):
            raise ValueError(
                f"The optimizer of model {model.name!r} has use_ema=True: overwriting the weights "
                "with their moving average undoes the mask. Compile with use_ema=False."
            )


def rebuild(model, change):
    """Return a fresh compiled copy of `model` without its weights' values.

    Args:
        model: a Sequential or Functional model.
        change: function (layer, config) -> config, the config to rebuild that layer from.

    A constraint set on a model that was compiled before is silently ignored, hence the copy.
    Its optimizer is fresh. Raises ValueError if the optimizer keeps a moving average of the
    weights (`use_ema=True`), which would undo a mask.
    """
    check_optimizer(model)

    def copy(layer):
        return type(layer).from_config(change(layer, layer.get_config()))

    try:
        twin = keras.models.clone_model(model, clone_function=copy)
        if model.compiled and not twin.compiled:
            twin.compile_from_config(model.get_compile_config())
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Model {model.name!r} cannot be copied: {error} If it has a loss, metric, activation "
            "or layer of your own, register it with keras.saving.register_keras_serializable."
        ) from error
    if not twin.built:
        twin.build(model.input_shape)
    return twin
