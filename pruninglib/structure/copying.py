"""Copy a model, as it is or with changed layer configs."""

import inspect
import warnings

from pruninglib.backend import keras
from pruninglib.structure.graph import check_built, check_graph, graph_of, is_graph, leaves


def rebuild(model, change=None, input_shape=None):
    """Return a copy of a Sequential or Functional model, compiled like it, without its weights.

    Args:
        change: function (layer, config) -> config to rebuild that layer from; called for the
            layers of nested models, too. Default: unchanged.
        input_shape: function (tensor, an input of a nested model) -> shape. Default: unchanged.

    The copy's optimizer is fresh. Raises ValueError if the optimizer keeps a moving average of
    the weights (`use_ema=True`), which would undo a mask.
    """
    check_graph(model)
    check_optimizer(model)
    made = {}

    def copy(layer):
        if id(layer) not in made:
            made[id(layer)] = nested(layer) if is_graph(layer) else single(layer)
        return made[id(layer)]

    def nested(model):
        inputs = keras.tree.map_structure(new_input, graph_of(model).input)
        return _like(model, keras.models.clone_model(model, inputs, clone_function=copy))

    def new_input(tensor):
        shape = input_shape(tensor) if input_shape else tensor.shape
        return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=tensor.name)

    def single(layer):
        if hasattr(layer, "adapt") and not isinstance(layer, keras.layers.Normalization):
            return layer  # such as a StringLookup: what it learned is not in its weights
        config = layer.get_config()
        # safe: the Lambda's code is in this process already, not from an untrusted file
        trusted = {"safe_mode": False} if isinstance(layer, keras.layers.Lambda) else {}
        return type(layer).from_config(change(layer, config) if change else config, **trusted)

    try:
        twin = _like(model, keras.models.clone_model(model, clone_function=copy))
        _compile_alike(twin, model)
    except (TypeError, ValueError) as error:
        raise _cannot_copy(model, error) from error
    if not twin.built:
        twin.build(model.input_shape)
    return twin


def _like(model, twin):
    """Return a clone with what Keras leaves out: a Sequential's class, and `trainable`."""
    if isinstance(model, keras.Sequential) and type(model) is not keras.Sequential:
        inputs = [keras.Input(batch_shape=twin.input_shape, dtype=twin.inputs[0].dtype)]
        twin = type(model)([*inputs, *twin.layers], name=model.name)
    if not model.trainable:
        twin.trainable = False
    return twin


def fresh_copy(model):
    """Return a copy of a model with its weights, compiled like it, with a fresh optimizer.

    Why a copy: a constraint set on a compiled model after its first `fit` is silently ignored.
    Raises ValueError as `rebuild` does. A subclassed model is copied by its `from_config`.
    """
    check_built(model)
    twin = rebuild(model) if is_graph(model) else _copy_of_subclassed(model)
    for (_, layer), (_, original) in zip(leaves(twin), leaves(model), strict=True):
        copy_weights(layer, original)
    return twin


def copy_weights(layer, original):
    """Assign to `layer`, in place, the weights of another layer of the same shapes."""
    for new, weight in zip(layer.weights, original.weights, strict=True):
        new.assign(weight)
    finish(layer)


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


def _copy_of_subclassed(model):
    check_optimizer(model)
    try:
        twin = type(model).from_config(_taken(model, model.get_config()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a long version of the error below
            twin.build_from_config(model.get_build_config())
        _compile_alike(twin, model)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise _cannot_copy(model, error) from error
    if [w.shape for w in twin.weights] != [w.shape for w in model.weights]:
        raise _cannot_copy(model, "its copy has other weights. Give it get_config and build.")
    twin.built = True  # its layers are
    return twin


def _taken(model, config):
    """Return the part of a config that the constructor of the model's class accepts."""
    taken = inspect.signature(type(model).__init__).parameters
    takes_all = any(each.kind is each.VAR_KEYWORD for each in taken.values())
    return config if takes_all else {key: config[key] for key in config if key in taken}


def _compile_alike(twin, model):
    if model.compiled and not twin.compiled:
        twin.compile_from_config(model.get_compile_config())


def _cannot_copy(model, error):
    return ValueError(
        f"Model {model.name!r} cannot be copied: {error} If it has a loss, metric, activation "
        "or layer of your own, register it with keras.saving.register_keras_serializable."
    )
