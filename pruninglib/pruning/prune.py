"""Put masks on a model, hold them through training and saving, and take them off again."""

import numpy as np

from pruninglib.backend import keras
from pruninglib.registered import HoldMask, whole
from pruninglib.structure.copying import fresh_copy
from pruninglib.structure.graph import check_model, leaves
from pruninglib.structure.layers import (
    PRUNABLE,
    check_shape,
    constrained,
    for_units,
    is_prunable,
    kernel_of,
    weight_matrices,
)
from pruninglib.structure.prunable import (
    by_first_name,
    check_names,
    default_layers,
    prunable_layers,
)


def prune(model, masks):
    """Return a copy of `model`, compiled like it, with the masked weights set to and held at zero.

    Args:
        model: a built model; it is left as it is.
        masks: {layer name: 0/1 array}, of the kernel's shape or (units,). A unit mask removes a
            unit's incoming weights and bias.

    The zeros stay through `fit` with any optimizer, and after `save` and `load_model` in a
    program that imports pruninglib. Masks that the model already holds stay in force: pruning
    again only removes more. Weights assigned by hand are masked at the next update. A subclassed
    model makes its own layers, so after loading it has its zeros but no masks: `hold` it.

    Raises ValueError for masks of unknown layers, of another shape or with values besides 0 and
    1, for NaN or infinite weights, and for an optimizer with use_ema=True, which would undo them.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = prune(model, pl.make_masks(model, pl.magnitude, 0.5))
    >>> measure_sparsity(pruned), measure_sparsity(model)
    (0.5, 0.0)
    """
    check_model(model)
    return masked_copy(model, masks)


def masked_copy(model, masks):
    """Return what `prune` returns, for a model whose weights were checked."""
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
    """Replace, in place, the masks that a pruned model holds, and zero what the new ones remove.

    Args:
        pruned: a model from `prune`; it need not be recompiled, which saves seconds in a sweep.
        masks: {layer name: 0/1 array}, for layers that hold a mask and of the same kind (weights
            or units); ValueError otherwise. Masks of layers not named stay.

    Weights that were zero stay zero until `fit` or `set_weights` changes them.
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
    compile_step_anew(pruned)


def compile_step_anew(model):
    """Let the next `fit` compile its step anew on JAX, where a step holds masks as constants."""
    if keras.config.backend() == "jax":
        model.train_function = None


def hold(model):
    """Return a copy of `model` that holds the zeros its kernels have now, wherever they came from.

    For sparse models without masks, from a file or another tool. The model is left as it is.
    """
    check_model(model)
    layers = prunable_layers(model).items()
    return masked_copy(model, {name: np.asarray(kernel_of(layer)) != 0 for name, layer in layers})


def strip(pruned):
    """Return a plain Keras copy with the zeros but no masks, which loads without pruninglib.

    It is compiled like the pruned model, which is left as it is; in place of a rewound
    learning-rate schedule it gets the whole one.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = prune(model, pl.make_masks(model, pl.magnitude, 0.5))
    >>> plain = strip(pruned)
    >>> measure_sparsity(plain), plain.layers[0].kernel_constraint
    (0.5, None)
    """
    plain = fresh_copy(pruned)
    for _, layer in leaves(plain):  # those that were quantized since, too
        held = held_masks(layer) if isinstance(layer, PRUNABLE) else {}
        for name, constraint in constrained(layer) if held else ():
            if name in held:
                set_constraint(layer, name, constraint, held[name].then)
    if plain.compiled:
        optimizer = getattr(plain.optimizer, "inner_optimizer", plain.optimizer)
        rate = optimizer.get_config()["learning_rate"]
        if isinstance(rate, dict):
            optimizer.learning_rate = whole(keras.optimizers.schedules.deserialize(rate))
    return plain


def measure_sparsity(model, layers=None):
    """Return the share of zeros in the kernels of `layers`, in [0, 1]; biases do not count.

    Args:
        model: a built model; it is left as it is.
        layers: names; default those that `make_masks` prunes by default, or, in a model that has
            none, all; or "all", for all weight matrices of the model, the logits' and those of
            layers that cannot be pruned, such as LSTM, too. ValueError if a subclassed model comes
            without names, and for "all" if a layer is quantized.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = prune(model, pl.make_masks(model, pl.magnitude, 0.5))
    >>> measure_sparsity(pruned), round(measure_sparsity(pruned, layers="all"), 3)
    (0.5, 0.391)
    """
    check_model(model)
    if isinstance(layers, str) and layers == "all":
        return _share_of_all_zeros(model)
    return share_of_zeros(model, layers)


def _share_of_all_zeros(model):
    parts = model._flatten_layers()
    if quantized := [x.name for x in parts if getattr(x, "quantization_mode", None)]:
        raise ValueError(
            f"The layers {quantized} are quantized: zeros of rounding are none of pruning. Measure "
            "the model as it was before quantize(...)."
        )
    if not (matrices := weight_matrices(model)):
        raise ValueError(f"Model {model.name!r} has no weight matrices.")
    return _zeros([np.asarray(matrix) for matrix in matrices])


def share_of_zeros(model, layers=None):
    """Return what `measure_sparsity` returns, for a model whose weights were checked."""
    prunable = prunable_layers(model)
    if layers is None:
        layers = default_layers(model) or list(prunable)
    layers = list(dict.fromkeys(by_first_name(model, layers)))
    check_names(layers, prunable)
    if not layers:
        raise ValueError(f"No layers to measure; name some of {list(prunable)}.")
    return _zeros([np.asarray(kernel_of(prunable[name])) for name in layers])


def _zeros(kernels):
    # comparing first, for NumPy counts booleans ten times as fast as numbers
    left = sum(np.count_nonzero(kernel != 0) for kernel in kernels)
    return float(1 - left / sum(kernel.size for kernel in kernels))


def zero_masked(model):
    """Set to zero, in place, the weights that the model's masks remove."""
    for _, layer in leaves(model):
        for name, held in held_masks(layer).items() if is_prunable(layer) else ():
            weight = getattr(layer, name)
            weight.assign(keras.ops.where(held.mask.value, weight.value, 0))


def put_mask(layer, mask):
    """Put a mask on a layer, in place; it is held once the model is compiled again.

    Constraints and masks that the layer has already stay in force.

    Args:
        mask: 0/1 array of the kernel's shape, or (units,), which masks the bias, too.
    """
    for name, constraint, part in masked_weights(layer, mask):
        before = getattr(layer, constraint)
        if isinstance(before, HoldMask):
            part, before = np.logical_and(before.mask, part), before.then
        set_constraint(layer, name, constraint, HoldMask(part, before))


def set_constraint(layer, name, constraint, value):
    """Set the constraint of a weight, in place, and in the layer's config."""
    weight = getattr(layer, name)
    if isinstance(weight, keras.Variable):  # a quantized layer unpacks its kernel
        weight.constraint = value
    setattr(layer, constraint, value)


def masked_weights(layer, mask):
    """Yield (weight name, constraint name, mask for it) for the weights that a mask acts on."""
    (kernel, kernel_constraint), (bias, bias_constraint) = constrained(layer)
    yield kernel, kernel_constraint, mask if mask.ndim > 1 else for_units(layer, mask)
    if mask.ndim == 1 and getattr(layer, bias, None) is not None:
        yield bias, bias_constraint, mask


def held_masks(layer):
    """Return {weight name: HoldMask} for the weights of a layer that hold a mask."""
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
