"""Turn scores into masks: how much goes in which layer.

A mask set is a dict {layer name: 0/1 array}. An array of the kernel's shape masks weights,
one of shape (units,) masks units.
"""

import re

import numpy as np

from pruninglib.pruning.coupling import coupled_masks
from pruninglib.pruning.criteria import check_sparsity, n_m_mask, top_k_mask, top_k_masks
from pruninglib.pruning.scores import layer_scores
from pruninglib.structure.layers import as_kernel, is_depthwise, units_last
from pruninglib.structure.prunable import prunable_layers


def make_masks(model, criterion, sparsity, scope="layer", include=None, exclude=(), coupled=False):
    """Return the masks that remove the share `sparsity` of the lowest scores.

    Args:
        model: a built Sequential or Functional model; a subclassed one with `include`.
        criterion: function kernel -> scores, or a dict {layer name: scores}; high = keep. The
            kernel comes as (..., units), also where Keras keeps its units on another axis.
        sparsity: number in [0, 1]; a dict {layer name: number} for chosen layers; or "N:M", such
            as "2:4", to keep the N best of every M successive inputs of each unit.
        scope: "layer" prunes each layer to `sparsity`; "global" ranks all layers together.
        include: names or types of the layers to prune; default all but those that make the
            logits and the depthwise convolutions. Layers of nested models: "model/layer".
        exclude: names or types of layers to leave alone.
        coupled: units that `shrink` can only remove together, such as those that an Add brings
            together, or those of a depthwise convolution and what it reads, get one mask, from
            the sum of their scores. Those that it can never remove are left alone.

    Exactly round(sparsity * size) scores go, ties broken by position. In global scope the
    scores of `unit_norm` are divided by the root of the fan-in, so that layers compare.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> masks = make_masks(model, pl.unit_norm, 0.5)
    >>> {name: int(mask.sum()) for name, mask in masks.items()}
    {'hidden_1': 3, 'hidden_2': 3}
    """
    if isinstance(sparsity, dict):
        if scope != "layer" or include is not None or exclude:
            raise ValueError("A dict of sparsities names its layers; it goes with layer scope.")
        include = list(sparsity)
    if coupled:
        return coupled_masks(model, criterion, sparsity, scope, include, exclude)
    scores = layer_scores(model, criterion, scope, include, exclude)
    if isinstance(sparsity, dict):
        return {name: top_k_mask(scores[name], share) for name, share in sparsity.items()}
    if isinstance(sparsity, str):
        return _n_m_masks(model, scores, sparsity, scope)
    check_sparsity(sparsity)
    return next(mask_levels(scores, [sparsity], scope))


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


def _n_m_masks(model, scores, pattern, scope):
    found = re.fullmatch(r"(\d+):(\d+)", pattern)
    if not found or scope != "layer":
        raise ValueError(
            'sparsity must be a number, a dict, or a pattern such as "2:4", which goes with layer '
            f"scope; got {pattern!r} and {scope!r}."
        )
    layers, masks = prunable_layers(model), {}
    for name, values in scores.items():
        if values.ndim == 1 or is_depthwise(layers[name]):
            raise ValueError(
                f"Layer {name!r}: {pattern!r} chooses among the inputs of each unit; it needs a "
                "layer with several, and scores of weights, such as those of `magnitude`."
            )
        try:
            mask = n_m_mask(units_last(layers[name], values), *map(int, found.groups()))
        except ValueError as error:
            raise ValueError(
                f"Layer {name!r}: {error} Or leave it out: exclude=[{name!r}]."
            ) from None
        masks[name] = as_kernel(layers[name], mask)
    return masks
