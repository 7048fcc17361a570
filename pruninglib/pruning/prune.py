"""Put masks on a model, hold them through training and saving, take them off again."""

import numpy as np

from pruninglib.backend import keras
from pruninglib.registered import HoldMask, whole
from pruninglib.structure.copying import fresh_copy
from pruninglib.structure.graph import check_model, leaves
from pruninglib.structure.layers import check_shape, constrained, for_units, is_prunable, kernel_of
from pruninglib.structure.prunable import check_names, default_layers, prunable_layers


def prune(model, masks):
    """Return a fresh compiled copy of `model` with the masked weights at zero, held there.

    Args:
        model: a built model; it is left untouched.
        masks: {layer name: 0/1 array}. A unit mask removes a unit's incoming weights and bias.

    The zeros stay through `fit` with any optimizer, and after `save` and `load_model` in a
    program that imports pruninglib. Masks that the model holds already stay in force: pruning
    again only removes more. Weights assigned by hand are masked at the next update. A subclassed
    model makes its layers itself, so that after loading it has its zeros but no masks: `hold` it.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = prune(model, pl.make_masks(model, pl.magnitude, 0.5))
    >>> measure_sparsity(pruned), measure_sparsity(model)
    (0.5, 0.0)
    """
    check_model(model)
    return masked_copy(model, masks)


def masked_copy(model, masks):
    """Return what `prune` returns, of a model whose weights were checked."""
    layers = prunable_layers(model)
    masks = check_masks(masks, layers)
    pruned = fresh_copy(model)
    # by position: a subclassed model may give its copy's layers other names
    for name, twin in zip(layers, prunable_layers(pruned).values(), strict=True):
        if name in masks:
            put_mask(twin, masks[name])
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
        held = held_masks(prunable[name])
        for weight, _, part in masked_weights(prunable[name], mask):
            if weight not in held or held[weight].mask.shape != part.shape:
                raise ValueError(
                    f"Layer {name!r} holds no mask of shape {mask.shape}. Use prune(model, masks)."
                )
            held[weight].mask.assign(part.astype(bool))
    zero_masked(pruned)


def hold(model):
    """Return a copy of `model` that holds the zeros its kernels have now, wherever from.

    For sparse models that came without masks, from a file or another tool.
    """
    check_model(model)
    layers = prunable_layers(model).items()
    return masked_copy(model, {name: np.asarray(kernel_of(layer)) != 0 for name, layer in layers})


def strip(pruned):
    """Return a plain Keras copy: the zeros are there, nothing holds them, no pruninglib needed.

    Compiled like the pruned model; a rewound schedule of rates is the whole schedule there.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = prune(model, pl.make_masks(model, pl.magnitude, 0.5))
    >>> plain = strip(pruned)
    >>> measure_sparsity(plain), plain.layers[0].kernel_constraint
    (0.5, None)
    """
    plain = fresh_copy(pruned)
    for layer in prunable_layers(plain).values():
        held = held_masks(layer)
        for name, constraint in constrained(layer):
            if name in held:
                set_constraint(layer, name, constraint, held[name].then)
    if plain.compiled:
        optimizer = getattr(plain.optimizer, "inner_optimizer", plain.optimizer)
        rate = optimizer.get_config()["learning_rate"]
        if isinstance(rate, dict):
            optimizer.learning_rate = whole(keras.optimizers.schedules.deserialize(rate))
    return plain


def measure_sparsity(model, layers=None):
    """Return the share of zeros among the kernels of `layers` (default: those pruned by default).

    Args:
        layers: names; a model of logits only has these as its default.
    """
    check_model(model)
    return share_of_zeros(model, layers)


def share_of_zeros(model, layers=None):
    """Return what `measure_sparsity` returns, of a model whose weights were checked."""
    prunable = prunable_layers(model)
    if layers is None:
        layers = default_layers(model) or list(prunable)
    check_names(layers, prunable)
    if not layers:
        raise ValueError(f"No layers to measure; name some of {list(prunable)}.")
    kernels = [np.asarray(kernel_of(prunable[name])) for name in layers]
    # of booleans, which NumPy counts ten times as fast as numbers
    left = sum(np.count_nonzero(kernel != 0) for kernel in kernels)
    return float(1 - left / sum(kernel.size for kernel in kernels))


def zero_masked(model):
    """Set to zero, in place, the weights that the model's masks remove."""
    for _, layer in leaves(model):
        for name, held in held_masks(layer).items() if is_prunable(layer) else ():
            weight = getattr(layer, name)
            weight.assign(keras.ops.where(held.mask.value, weight.value, 0))


def put_mask(layer, mask):
    """Hold a mask on a layer from its next compilation on, beside what its constraints did.

    Args:
        mask: 0/1 array of the shape of the layer's kernel, or (units,): then on the bias too.
    """
    for name, constraint, part in masked_weights(layer, mask):
        before = getattr(layer, constraint)
        if isinstance(before, HoldMask):
            part, before = np.logical_and(before.mask, part), before.then
        set_constraint(layer, name, constraint, HoldMask(part, before))


def set_constraint(layer, name, constraint, value):
    """Put a constraint on a weight, and in the layer's config."""
    getattr(layer, name).constraint = value
    setattr(layer, constraint, value)


def masked_weights(layer, mask):
    """Yield what a mask acts on: (name of a weight, name of its constraint, mask for it)."""
    (kernel, kernel_constraint), (bias, bias_constraint) = constrained(layer)
    yield kernel, kernel_constraint, mask if mask.ndim > 1 else for_units(layer, mask)
    if mask.ndim == 1 and getattr(layer, bias, None) is not None:
        yield bias, bias_constraint, mask


def held_masks(layer):
    """Return {name of a weight: HoldMask} for the weights of a layer that hold a mask."""
    found = {name: getattr(layer, constraint, None) for name, constraint in constrained(layer)}
    return {name: held for name, held in found.items() if isinstance(held, HoldMask)}


def check_masks(masks, prunable):
    """Return the masks as arrays; raise ValueError unless names, shapes and values are right."""
    if not isinstance(masks, dict):
        raise TypeError(f"masks must be a dict {{layer name: array}}, got {type(masks).__name__}.")
    check_names(masks, prunable)
    masks = {name: np.asarray(mask) for name, mask in masks.items()}
    for name, mask in masks.items():
        check_shape(name, mask, prunable[name])
        if not ((mask == 0) | (mask == 1)).all():
            raise ValueError(
                f"The mask of layer {name!r} must hold only 0 and 1, got values from "
                f"{mask.min()} to {mask.max()}. Make it with top_k_mask or a comparison."
            )
    return masks
