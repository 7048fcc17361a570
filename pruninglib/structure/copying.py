"""Copy a model, as it is or with changed layer configs."""

import inspect
import tempfile
import warnings
from collections import Counter
from contextlib import contextmanager, nullcontext

import numpy as np

from pruninglib.backend import keras
from pruninglib.structure.graph import (
    check_built,
    check_graph,
    graph_of,
    is_graph,
    leaves,
    nodes_in_order,
)

OF_GRAPHS = {"name", "trainable", "dtype", "layers", "input_layers", "output_layers"}
OF_GRAPHS |= {"build_input_shape", "inputs", "outputs"}


def rebuild(model, change=None, input_shape=None):
    """Return a copy of a Sequential or Functional model, compiled like it, without its weights.

    Args:
        change: function (layer, config) -> config to rebuild that layer from; called for the
            layers of nested models, too, but not of models with a constructor of their own
            (`has_own_constructor`). Default: unchanged.
        input_shape: function (tensor, an input of a model) -> shape. Default: unchanged.

    The copy's optimizer is fresh. Raises ValueError if the optimizer keeps a moving average of
    the weights (`use_ema=True`), which would undo a mask, or if the copy would be of another
    class or share its weights between layers in another way.
    """
    check_graph(model)
    check_optimizer(model)
    twin = _twin(model, change, input_shape)
    _compile_alike(twin, model)
    return twin


def fresh_copy(model):
    """Return a copy of a model with its weights, compiled like it, with a fresh optimizer.

    It is what `keras.models.load_model` gives for the saved model, but for the states of random
    generators: of the same class, tied and shared layers included. Layers with a vocabulary are
    shared with the model. Why a copy: a constraint set on a compiled model after its first `fit`
    is silently ignored.

    Raises ValueError as `rebuild` does, and if the copy computes something else because a class
    of the user's leaves something out of its config.
    """
    check_built(model)
    check_optimizer(model)
    twin = uncompiled_copy(model)
    _compile_alike(twin, model)
    return twin


def uncompiled_copy(model):
    """Return what `fresh_copy` returns, but not compiled, whatever the model's optimizer is."""
    twin = _twin(model)
    _check_weights(twin, model)
    copy_weights(twin, model)
    _check_outputs(twin, model)
    return twin


def copy_weights(layer, original):
    """Assign to `layer`, in place, the weights of another layer of the same kind and shapes.

    What a layer stores besides its weights is copied, too.
    """
    for new, weight in _weights_of_both(layer, original):
        # an array: on JAX the two would share a buffer, which training one of them deletes
        new.assign(np.array(weight))
    for part, source in zip(_parts(layer), _parts(original), strict=True):
        if part is not source:
            _copy_stored(part, source)
            finish(part)


def _copy_stored(layer, original):
    """Copy, in place, what a layer saves besides its weights, such as a vocabulary."""
    if hasattr(original, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            original.save_assets(folder)
            layer.load_assets(folder)
    if not _of_keras(type(original).save_own_variables):
        store = {}
        original.save_own_variables(store)
        layer.load_own_variables({name: np.array(value) for name, value in store.items()})


def finish(layer):
    """Let a layer update what it derives from its weights, as Normalization does."""
    if hasattr(layer, "finalize_state"):
        layer.finalize_state()


def check_optimizer(model):
    """Raise ValueError if the optimizer keeps a moving average of the weights: it undoes masks."""
    optimizer = model.optimizer if model.compiled else None
    for part in (optimizer, getattr(optimizer, "inner_optimizer", None)):
        if getattr(part, "use_ema", False):
            raise ValueError(
                f"The optimizer of model {model.name!r} has use_ema=True: overwriting the weights "
                "with their moving average undoes the mask. Compile with use_ema=False."
            )


def has_own_constructor(model):
    """Say whether a model is made by its class from settings, and not from layers or tensors.

    Keras then makes it again by its `from_config`.
    """
    kind = type(model)
    if not is_graph(model) or not _of_keras(kind.from_config):
        return True
    if not _has_keras_config(model) and "layers" not in model.get_config():
        return True
    taken = inspect.getfullargspec(kind.__init__)
    usual = (["inputs", "outputs", "name"], ["layers", "trainable", "name"])
    return taken.args[1:] not in usual and not (taken.varargs and taken.varkw)


def _twin(model, change=None, input_shape=None):
    """Return a copy of a model that has neither the weights of the model nor an optimizer."""
    made, tied = {}, in_several_places(model)

    def copy(layer):
        if id(layer) not in made:
            made[id(layer)] = nested(layer) if _is_made_of_layers(layer) else single(layer)
        return made[id(layer)]

    def nested(model):
        settings = {"name": model.name} | _settings(model)
        inputs = keras.tree.map_structure(new_input, graph_of(model).input)
        if isinstance(model, keras.Sequential):
            parts = [*keras.tree.flatten(inputs), *map(copy, model.layers)]
            return type(model)(parts, **settings)
        outputs = model._run_through_graph(inputs, operation_fn=copy)
        return type(model)(inputs=inputs, outputs=outputs, **settings)

    def new_input(tensor):
        config = tensor._keras_history.operation.get_config()
        if input_shape:
            config["batch_shape"] = input_shape(tensor)
        return keras.layers.InputLayer(**config).output

    def single(layer):
        if hasattr(layer, "adapt") and not isinstance(layer, keras.layers.Normalization):
            return layer  # such as a StringLookup: what it learned is not in its weights
        with _sharing(tied, made) if _holds(layer, tied) else nullcontext():
            config = layer.get_config()
            # safe: the Lambda's code is in this process already, not from an untrusted file
            trusted = {"safe_mode": False} if isinstance(layer, keras.layers.Lambda) else {}
            if isinstance(layer, keras.Model):
                config = _taken(layer, config)
            elif change:
                config = change(layer, config)
            twin = type(layer).from_config(config, **trusted)
            if isinstance(layer, keras.layers.Lambda):
                twin.function = layer.function  # with the names that it knows, which no config has
            return twin

    _check_ties(model)
    try:
        twin = copy(model)
        if not twin.built:  # a subclassed model
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a long version of the error below
                twin.build_from_config(model.get_build_config())
            twin.built = True  # its layers are
    except Exception as error:  # a class of the user's may raise anything
        raise _cannot_copy(model, error) from error
    _check_parts(twin, model)
    for part, original in zip(_parts(twin), _parts(model), strict=True):
        part.name = original.name  # a constructor numbers its layers anew
        if part.trainable != original.trainable:
            part.trainable = original.trainable
    if hasattr(model, "output_names"):
        twin.output_names = list(model.output_names)
    return twin


def _check_ties(model):
    """Raise ValueError where a call takes a weight from outside: a copy would use the old one."""
    for part in _parts(model):
        function = getattr(part, "function", None) if type(part) is keras.layers.Lambda else None
        cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
        if is_graph(part):
            calls = nodes_in_order(part)
            cells += keras.tree.flatten([[c.arguments.args, c.arguments.kwargs] for c in calls])
        if any(isinstance(each, (keras.Variable, keras.Layer)) for each in cells):
            raise ValueError(
                f"Model {model.name!r} cannot be copied: in {part.name!r} a function or an "
                "operation takes a weight or a layer from outside, which a copy could not follow. "
                "Make it a layer of your own that holds that layer."
            )


def _parts(model):
    """Return a model and all layers but inputs in it and in its layers, each once."""
    is_input = keras.layers.InputLayer
    return [part for part in model._flatten_layers() if not isinstance(part, is_input)]


def _is_made_of_layers(layer):
    return isinstance(layer, keras.Model) and not has_own_constructor(layer)


def _of_keras(class_or_method):
    return class_or_method.__module__.startswith("keras.")


def _has_keras_config(model):
    return _of_keras(type(model).get_config)


def _settings(model):
    """Return what the constructor of a model's class takes besides its layers or tensors."""
    config = {} if _has_keras_config(model) else model.get_config()
    settings = {name: value for name, value in config.items() if name not in OF_GRAPHS}
    taken = inspect.getfullargspec(type(model).__init__)
    if lost := {*taken.args[1:], *taken.kwonlyargs} - OF_GRAPHS - set(settings):
        raise ValueError(f"get_config of {type(model).__name__} leaves out {sorted(lost)}.")
    return settings


def _taken(model, config):
    """Return the part of a config that the constructor of the model's class accepts."""
    if not _of_keras(type(model).from_config):
        return config
    taken = inspect.signature(type(model).__init__).parameters
    takes_all = any(each.kind is each.VAR_KEYWORD for each in taken.values())
    return config if takes_all else {key: config[key] for key in config if key in taken}


def in_several_places(model):
    """Return the layers that several layers or models hold, such as one that another is tied to."""
    parts = _parts(model)
    times = Counter(id(each) for part in parts for each in part._layers)
    return [part for part in parts if times[id(part)] > 1]


def _holds(layer, tied):
    inner = _parts(layer)[1:] if isinstance(layer, keras.Layer) else ()
    return any(each is part for each in tied for part in inner)


@contextmanager
def _sharing(tied, made):
    """Let a config that is made and read in the block refer to tied layers, not describe them.

    As Keras does while it saves and loads a model.

    Args:
        tied: list of layers.
        made: {id of a layer: its copy}; those of tied layers made in the block are added.
    """
    sharing = keras.src.saving.serialization_lib
    with sharing.ObjectSharingScope():
        for layer in tied:
            sharing.record_object_after_serialization(layer, {"module": None})
            if id(layer) in made:
                sharing.record_object_after_deserialization(made[id(layer)], id(layer))
        yield
        for layer in tied:
            if (copy := sharing.get_shared_object(id(layer))) is not None:
                made[id(layer)] = copy


def _check_parts(twin, model):
    """Raise ValueError unless both have layers of the same classes that share weights alike."""
    of_twin, of_model = ([type(part) for part in _parts(each)] for each in (twin, model))
    if of_twin != of_model or _times_shared(twin) != _times_shared(model):
        raise _not_alike(model, "layers, or layers that share weights otherwise")


def _times_shared(model):
    return sum(len(part.weights) for _, part in leaves(model)) - len(model.weights)


def _check_weights(twin, model):
    try:
        alike = [
            (tuple(new.shape), new.dtype) == (tuple(weight.shape), weight.dtype)
            for new, weight in _weights_of_both(twin, model)
        ]
    except ValueError:  # a layer has more or fewer than its copy
        alike = [False]
    if not all(alike):
        raise _not_alike(model, "weights")


def _weights_of_both(layer, original):
    """Yield pairs (weight of a layer, that of another of the same kind).

    By their names if these are the same, for a quantized layer may have its weights in another
    order than its copy; else by their order, for Keras numbers those that have no name.
    """
    for part, source in zip(_parts(layer), _parts(original), strict=True):
        weights, others = _own_weights(part), _own_weights(source)
        named = {weight.name: weight for weight in weights}
        if set(named) == {other.name for other in others} and len(named) == len(others):
            weights = [named[other.name] for other in others]
        yield from zip(weights, others, strict=True)


def _own_weights(layer):
    return layer._trainable_variables + layer._non_trainable_variables


def _check_outputs(twin, model):
    """Raise ValueError if a copy computes something else for one example.

    Only if a class of the user's is in it: those of Keras are known to have whole configs. What
    cannot be tried, such as a model of texts, or gives different outputs each time, is let pass.
    """
    own = {type(part).__name__ for part in _parts(model) if not _of_keras(type(part))}
    if not own:
        return
    try:
        inputs = _example(model)
        expected = _outputs(model, model, inputs)
    except Exception:  # whatever a class of the user's raises
        return
    try:
        alike = _agree(_outputs(twin, model, inputs), expected)
    except Exception as error:
        raise _cannot_copy(model, error) from error
    if not alike and _agree(_outputs(model, model, inputs), expected):
        raise _not_alike(model, f"outputs, because of one of {sorted(own)}")


def _outputs(model, original, inputs):
    """Return a model's outputs with the variables of another; neither of them changes."""
    state = original.trainable_variables, original.non_trainable_variables
    values = ([variable.value for variable in variables] for variables in state)
    outputs, _ = model.stateless_call(*values, inputs, training=False)
    flat = keras.tree.flatten(outputs)
    return [keras.ops.convert_to_numpy(each).astype(float) for each in flat]


def _agree(some, others):
    pairs = zip(some, others, strict=True)
    return all(np.allclose(x, y, rtol=1e-3, atol=1e-6, equal_nan=True) for x, y in pairs)


def _example(model):
    """Return one example that a model takes, of random numbers or, for integers, zeros."""
    if is_graph(model):
        tensors = graph_of(model).input
    else:
        tensors = keras.KerasTensor(model.get_build_config()["input_shape"])
    random = np.random.default_rng(0)

    def values(tensor):
        shape = [1, *(size or 8 for size in tensor.shape[1:])]
        return random.random(shape).astype(tensor.dtype)

    return keras.tree.map_structure(values, tensors)


def _compile_alike(twin, model):
    if not model.compiled:
        return
    own = not _of_keras(type(model).compile) and _of_keras(type(model).get_compile_config)
    if own:
        warnings.warn(
            f"The copy of {model.name!r} is not compiled: {type(model).__name__} has a compile of "
            "its own. Compile the copy as the model was.",
            stacklevel=4,
        )
        return
    try:
        twin.compile_from_config(model.get_compile_config())
    except (TypeError, ValueError) as error:
        raise _cannot_copy(model, error) from error


def _not_alike(model, what):
    return ValueError(
        f"Model {model.name!r} cannot be copied: what its config makes has other {what}. Give each "
        "class of yours in it a get_config with all that it was made with, serialized layers that "
        "it shares with others included, and a build; and let the model hold only what it calls."
    )


def _cannot_copy(model, error):
    return ValueError(
        f"Model {model.name!r} cannot be copied: {error} If it has a loss, metric, activation "
        "or layer of your own, register it with keras.saving.register_keras_serializable."
    )
