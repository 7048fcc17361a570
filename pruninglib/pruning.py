"""Put masks on a model, hold them through training and saving, take them off again."""

import keras
import numpy as np

from pruninglib.graph import check_graph, check_names, logits_layers, prunable_layers, rebuild
from pruninglib.hold import HELD, HoldMask, hold_mask, masked_weights
from pruninglib.masks import check_masks
from pruninglib.rewinding import whole


def prune(model, masks):
    """Return a fresh compiled copy of `model` with the masked weights at zero, held there.

    Args:
        model: a built Sequential or Functional model; it is left untouched.
        masks: {layer name: 0/1 array}. A unit mask removes a unit's incoming weights and bias.

    The zeros stay through `fit` with any optimizer, and after `save` and `load_model` in a
    program that imports pruninglib. Masks that the model holds already stay in force: pruning
    again only removes more. Weights assigned by hand are masked at the next update.
    """
    masks = check_masks(masks, prunable_layers(model))

    def put_mask(layer, config):
        if layer.name in masks:
            mask = masks[layer.name]
            for _, constraint in masked_weights(layer, mask):
                config[constraint] = hold_mask(getattr(layer, constraint), mask)
        return config

    pruned = rebuild(model, put_mask)
    pruned.set_weights(model.get_weights())
    zero_masked(pruned)
    return pruned


def set_masks(pruned, masks):
    """Exchange, in place, the masks that a pruned model holds, and zero what they remove.

    No new compilation is needed, which saves seconds in a sweep over sparsities. The masks
    must be for the layers that hold one, and of the same kind (weights or units). Weights
    that were zero stay zero until `fit` or `set_weights` changes them.
    """
    prunable = prunable_layers(pruned)
    for name, mask in check_masks(masks, prunable).items():
        constraint = prunable[name].kernel_constraint
        if not isinstance(constraint, HoldMask) or constraint.mask.shape != mask.shape:
            raise ValueError(
                f"Layer {name!r} holds no mask of shape {mask.shape}. Use prune(model, masks)."
            )
        for weight, _ in masked_weights(prunable[name], mask):
            weight.constraint.mask.assign(mask.astype(bool))
    zero_masked(pruned)


def hold(model):
    """Return a copy of `model` that holds the zeros its kernels have now, wherever from.

    For sparse models that came without masks, from a file or another tool.
    """
    kernels = {name: np.asarray(layer.kernel) for name, layer in prunable_layers(model).items()}
    return prune(model, {name: kernel != 0 for name, kernel in kernels.items()})


def strip(pruned):
    """Return a plain Keras copy: the zeros are there, nothing holds them, no pruninglib needed.

    Compiled like the pruned model; a rewound schedule of rates is the whole schedule there.
    """
    check_graph(pruned)

    def drop_mask(layer, config):
        for _, constraint in HELD:
            if isinstance(getattr(layer, constraint, None), HoldMask):
                config[constraint] = getattr(layer, constraint).then
        return config

    plain = rebuild(pruned, drop_mask)
    plain.set_weights(pruned.get_weights())
    if plain.compiled:
        optimizer = getattr(plain.optimizer, "inner_optimizer", plain.optimizer)
        rate = optimizer.get_config()["learning_rate"]
        if isinstance(rate, dict):
            optimizer.learning_rate = whole(keras.optimizers.schedules.deserialize(rate))
    return plain


def measure_sparsity(model, layers=None):
    """Return the share of zeros among the kernels of `layers` (default: all but the logits')."""
    prunable = prunable_layers(model)
    if layers is None:
        logits = logits_layers(model)
        layers = [name for name in prunable if name not in logits] or list(prunable)
    check_names(layers, prunable)
    if not layers:
        raise ValueError(f"No layers to measure; name some of {list(prunable)}.")
    kernels = [np.asarray(prunable[name].kernel) for name in layers]
    return 1 - sum(map(np.count_nonzero, kernels)) / sum(kernel.size for kernel in kernels)


def zero_masked(model):
    """Set to zero, in place, the weights that the model's masks remove."""
    for layer in prunable_layers(model).values():
        for name, constraint in HELD:
            held = getattr(layer, constraint, None)
            if isinstance(held, HoldMask):
                weight = getattr(layer, name)
                weight.assign(np.where(held.mask, weight, 0))
