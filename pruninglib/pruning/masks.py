"""Turn the scores of a model into masks: how much is pruned in which layer.

A mask set is a dict {layer name: 0/1 array}. An array of the kernel's shape masks weights,
one of shape (units,) masks units.
"""

import re

import numpy as np

from pruninglib.pruning.criteria import (
    check_sparsity,
    n_m_mask,
    top_k_mask,
    top_k_masks,
    unit_norm,
)
from pruninglib.structure.channels import flow
from pruninglib.structure.graph import check_graph, check_values
from pruninglib.structure.layers import (
    as_kernel,
    check_shape,
    is_depthwise,
    kernel_of,
    kernel_values,
    units_last,
)
from pruninglib.structure.prunable import check_names, chosen, matching, prunable_layers


def make_masks(model, criterion, sparsity, scope="layer", include=None, exclude=(), coupled=False):
    """Return the masks {layer name: 0/1 array} that remove the share `sparsity` of lowest scores.

    Args:
        model: a built Sequential or Functional model, or a subclassed one with `include` (then
            not `coupled`); it is left as it is.
        criterion: function kernel -> scores, or a dict {layer name: scores}; high = keep. The
            kernel is passed as (..., units), also where Keras keeps the units on another axis.
            Scores have the kernel's shape, to mask weights, or (units,).
        sparsity: number in [0, 1]; a dict {layer name: number} for chosen layers; or "N:M", such
            as "2:4", to keep the N best of every M successive inputs of each unit.
        scope: "layer" prunes each layer to `sparsity`; "global" ranks all layers together.
        include: names or types of the layers to prune; default all but those that make the
            logits and the depthwise convolutions. Layers of nested models: "model/layer".
        exclude: names or types of layers to leave alone.
        coupled: give one mask, from the sum of their scores, to units that `shrink` can only
            remove together, such as those joined by an Add, or those of a depthwise convolution
            and its input. Units that it can never remove are left alone.

    Exactly round(sparsity * size) scores go; among equal ones the first go first. In global scope
    the scores of `unit_norm` are divided by the root of the fan-in, so that layers compare. Raises
    ValueError for unknown layers, for scores of another shape, and for scores or weights of NaN.

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
    return _masks(scores, sparsity, scope)


def _masks(scores, sparsity, scope):
    if scope == "layer":
        return {name: top_k_mask(values, sparsity) for name, values in scores.items()}
    flat = np.concatenate([values.ravel() for values in scores.values()])
    return _split(top_k_mask(flat, sparsity), scores)


def _split(mask, scores):
    """Return one flat mask of all layers' scores, cut into a mask set."""
    ends = np.cumsum([values.size for values in scores.values()])[:-1]
    parts = zip(scores.items(), np.split(mask, ends), strict=True)
    return {name: part.reshape(values.shape) for (name, values), part in parts}


def mask_levels(scores, sparsities, scope="layer"):
    """Yield a mask set for each sparsity, sorting each layer's scores (or all together) once."""
    if scope == "layer":
        levels = [top_k_masks(values, sparsities) for values in scores.values()]
        for masks in zip(*levels, strict=True):
            yield dict(zip(scores, masks, strict=True))
    else:
        flat = np.concatenate([values.ravel() for values in scores.values()])
        for mask in top_k_masks(flat, sparsities):
            yield _split(mask, scores)


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
        scores = np.asarray(criterion[name])
    else:
        kernel = kernel_values(layer)
        check_values(kernel_of(layer), kernel)
        scores = np.asarray(criterion(kernel))
        if scores.shape == kernel.shape:
            scores = as_kernel(layer, scores)
    check_shape(name, scores, layer)
    if criterion is unit_norm and scope == "global":
        scores = scores / np.sqrt(np.prod(kernel_of(layer).shape) / scores.size)
    return scores


def coupled_masks(model, criterion, sparsity, scope="layer", include=None, exclude=()):
    """Return unit masks that keep or remove together the units `shrink` can only remove together.

    The score of a joint group is the sum of its units' scores. In layer scope the groups that
    span the same layers are ranked among themselves, in global scope all together. A group may
    go if at least one of its layers is chosen and none excluded. Arguments as in `make_masks`.
    """
    check_graph(model)
    numbers, open_ = _joint_units(model)
    wanted, left_alone = chosen(model, include, exclude), matching(prunable_layers(model), exclude)
    if isinstance(sparsity, str):
        raise ValueError(f"Patterns are for weights, coupled=True for units; got {sparsity!r}.")
    given = criterion if isinstance(criterion, dict) else numbers
    names = [name for name in numbers if name in given or name in wanted]
    scores = layer_scores(model, criterion, scope, names)
    if any(values.ndim > 1 for values in scores.values()):
        raise ValueError("coupled=True removes units: pass a criterion of units, like unit_norm.")
    has = {name: np.bincount(found, minlength=open_.size) > 0 for name, found in numbers.items()}
    open_ &= sum(has[name] for name in wanted if name in has) > 0
    for name in set(left_alone) & set(has):
        open_ &= ~has[name]
    if not open_.any():
        raise ValueError(
            f"Model {model.name!r} has no unit in {wanted} that shrink could remove: "
            "plan_shrink(model) says why."
        )
    worth = sum(np.bincount(numbers[n], scores[n], open_.size) for n in scores)
    keeps = np.ones(open_.size, np.uint8)
    for some, share in _ranked_together(has, open_, sparsity, scope):
        keeps[some] = top_k_mask(worth[some], share)
    return {name: keeps[found] for name, found in numbers.items() if open_[found].any()}


def _joint_units(model):
    """Return ({layer name: the joint group of each of its units}, which groups may go)."""
    steps, _, groups = flow(model)
    count, labels = groups.labels()
    open_ = np.ones(count, bool)
    open_[list(groups.kept(labels))] = False
    known = [step for step in steps if step.has_units()]
    return {step.call.name: labels[step.output.groups] for step in known}, open_


def _ranked_together(has, open_, sparsity, scope):
    """Yield (indices of joint groups to rank together, the share of them to remove)."""
    if scope == "global":
        check_sparsity(sparsity)
        yield np.flatnonzero(open_), sparsity
        return
    spans = np.array(list(has.values())).T[open_]
    kinds, kind = np.unique(spans, axis=0, return_inverse=True)
    for i, span in enumerate(kinds):
        share = sparsity
        if isinstance(sparsity, dict):
            names = [name for name, there in zip(has, span, strict=True) if there]
            shares = {sparsity[name] for name in names if name in sparsity}
            if len(shares) > 1:
                raise ValueError(f"The layers {names} can only shrink together; got {shares}.")
            (share,) = shares
        yield np.flatnonzero(open_)[kind.ravel() == i], share
