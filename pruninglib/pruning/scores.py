"""The scores of the layers to prune, by a criterion or given."""

import numpy as np

from pruninglib.pruning.criteria import check_scores, unit_norm
from pruninglib.structure.layers import as_kernel, kernel_of, kernel_values, number_of_units
from pruninglib.structure.prunable import check_names, chosen, prunable_layers


def layer_scores(model, criterion, scope="layer", include=None, exclude=()):
    """Return {layer name: scores} for the layers to prune; arguments as in `make_masks`."""
    if scope not in ("layer", "global"):
        raise ValueError(f'scope must be "layer" or "global", got {scope!r}.')
    if not (callable(criterion) or isinstance(criterion, dict)):
        raise TypeError(
            "criterion must be a function kernel -> scores, such as pruninglib.magnitude, or a "
            f"dict {{layer name: scores}}; got {criterion!r}."
        )
    prunable, names = prunable_layers(model), chosen(model, include, exclude)
    if isinstance(criterion, dict):
        check_names(criterion, prunable)
        if missing := [name for name in names if name not in criterion]:
            raise ValueError(
                f"The scores lack the layers {missing}. Leave these out: "
                f"include={[name for name in names if name in criterion]}."
            )
    scores = {name: _scores(name, prunable[name], criterion, scope) for name in names}
    if scope == "global" and len({s.ndim == 1 for s in scores.values()}) > 1:
        raise ValueError("Global scope ranks either weights or units; the scores mix both.")
    return scores


def _scores(name, layer, criterion, scope):
    if isinstance(criterion, dict):
        scores = check_scores(criterion[name])
    else:
        kernel = kernel_values(layer)
        scores = check_scores(criterion(kernel))
        if scores.shape == kernel.shape:
            scores = as_kernel(layer, scores)
    check_shape(name, scores, layer)
    if criterion is unit_norm and scope == "global":
        scores = scores / np.sqrt(np.prod(kernel_of(layer).shape) / scores.size)
    return scores


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


def check_shape(name, array, layer):
    """Raise ValueError unless `array` has the shape of a layer's kernel or one value per unit."""
    of_kernel, of_units = tuple(kernel_of(layer).shape), (number_of_units(layer),)
    if array.shape not in (of_kernel, of_units):
        raise ValueError(
            f"Layer {name!r}: expected shape {of_kernel} for weights or {of_units} for units, got "
            f"{array.shape}."
        )
