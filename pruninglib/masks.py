"""Turn scores into masks: how much goes in which layer.

A mask set is a dict {layer name: 0/1 array}. An array of the kernel's shape masks weights,
one of shape (units,) masks units.
"""

import numpy as np

from pruninglib.criteria import check_scores, check_sparsity, top_k_mask, top_k_masks, unit_norm
from pruninglib.graph import check_names, logits_layers, prunable_layers


def make_masks(model, criterion, sparsity, scope="layer", layers=None):
    """Return the masks that remove the share `sparsity` of the lowest scores.

    Args:
        model: a built Sequential or Functional model.
        criterion: function kernel -> scores, or a dict {layer name: scores}; high = keep.
        sparsity: number in [0, 1], or a dict {layer name: number} for chosen layers.
        scope: "layer" prunes each layer to `sparsity`; "global" ranks all layers together.
        layers: names of the layers to prune; default all but those that make the logits.

    Exactly round(sparsity * size) scores go, ties broken by position. In global scope the
    scores of `unit_norm` are divided by the root of the fan-in, so that layers compare.
    """
    if isinstance(sparsity, dict):
        if scope != "layer" or layers is not None:
            raise ValueError("A dict of sparsities names its layers; it goes with layer scope.")
        scores = layer_scores(model, criterion, "layer", list(sparsity))
        return {name: top_k_mask(scores[name], share) for name, share in sparsity.items()}
    check_sparsity(sparsity)
    return next(mask_levels(layer_scores(model, criterion, scope, layers), [sparsity], scope))


def mask_levels(scores, sparsities, scope="layer"):
    """Yield a mask set for each sparsity, from one sort of each layer's scores (or of all)."""
    if scope == "layer":
        levels = [top_k_masks(values, sparsities) for values in scores.values()]
        for masks in zip(*levels, strict=True):
            yield dict(zip(scores, masks, strict=True))
    else:
        flat = np.concatenate([values.ravel() for values in scores.values()])
        ends = np.cumsum([values.size for values in scores.values()])[:-1]
        for mask in top_k_masks(flat, sparsities):
            parts = zip(scores.items(), np.split(mask, ends), strict=True)
            yield {name: part.reshape(values.shape) for (name, values), part in parts}


def layer_scores(model, criterion, scope="layer", layers=None):
    """Return {layer name: scores} for the layers to prune; arguments as in `make_masks`."""
    if scope not in ("layer", "global"):
        raise ValueError(f'scope must be "layer" or "global", got {scope!r}.')
    prunable = prunable_layers(model)
    if layers is None:
        logits = logits_layers(model)
        layers = [name for name in prunable if name not in logits]
    check_names(layers, prunable)
    if not layers:
        raise ValueError(
            f"Model {model.name!r} has no layer to prune besides the one that makes its logits. "
            f"To prune that too, name it: layers={list(prunable)}."
        )
    if isinstance(criterion, dict):
        check_names(criterion, prunable)
        if missing := [name for name in layers if name not in criterion]:
            raise ValueError(
                f"The scores lack the layers {missing}. Leave these out: "
                f"layers={[name for name in layers if name in criterion]}."
            )
    scores = {}
    for name in layers:
        kernel = np.asarray(prunable[name].kernel)
        scores[name] = check_scores(
            criterion[name] if isinstance(criterion, dict) else criterion(kernel)
        )
        check_shape(name, scores[name], kernel.shape)
        if criterion is unit_norm and scope == "global":
            scores[name] = scores[name] / np.sqrt(kernel.size / kernel.shape[-1])
    if scope == "global" and len({s.ndim == 1 for s in scores.values()}) > 1:
        raise ValueError("Global scope ranks either weights or units; the scores mix both.")
    return scores


def check_masks(masks, prunable):
    """Return the masks as arrays; raise ValueError unless names, shapes and values are right."""
    if not isinstance(masks, dict):
        raise TypeError(f"masks must be a dict {{layer name: array}}, got {type(masks).__name__}.")
    check_names(masks, prunable)
    masks = {name: np.asarray(mask) for name, mask in masks.items()}
    for name, mask in masks.items():
        check_shape(name, mask, tuple(prunable[name].kernel.shape))
        if not np.isin(mask, (0, 1)).all():
            raise ValueError(
                f"The mask of layer {name!r} must hold only 0 and 1, got values from "
                f"{mask.min()} to {mask.max()}. Make it with top_k_mask or a comparison."
            )
    return masks


def check_shape(name, array, kernel_shape):
    """Raise ValueError unless `array` has the kernel's shape or one value per unit."""
    if array.shape not in (kernel_shape, kernel_shape[-1:]):
        raise ValueError(
            f"Layer {name!r}: expected shape {kernel_shape} for weights or {kernel_shape[-1:]} "
            f"for units, got {array.shape}."
        )
