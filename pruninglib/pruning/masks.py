"""Turn the scores of a model into masks: how much is pruned in which layer.

A mask set is a dict {layer name: 0/1 array}. An array of the kernel's shape masks weights,
one of shape (units,) masks units.
"""

import math
import re
import warnings

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
    weight_matrices,
)
from pruninglib.structure.prunable import (
    check_names,
    chosen,
    matching,
    prunable_layers,
    unprunable_layers,
)


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

    Layers of other kinds cannot be pruned yet, such as MultiHeadAttention, LSTM and Embedding:
    ValueError if one is named; a UserWarning names those left out unless `exclude` or `include` is
    given.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> masks = make_masks(model, pl.unit_norm, 0.5)
    >>> {name: int(mask.sum()) for name, mask in masks.items()}
    {'hidden_1': 3, 'hidden_2': 3}
    """
    if isinstance(sparsity, dict):
        if scope != "layer" or include is not None or exclude:
            raise ValueError("A dict of sparsities names its layers; it goes with layer scope.")
        include = list(sparsity)
    include, exclude = _only_prunable(model, include, exclude)
    if coupled:
        return coupled_masks(model, criterion, sparsity, scope, include, exclude)
    scores = layer_scores(model, criterion, scope, include, exclude)
    if isinstance(sparsity, dict):
        return {name: top_k_mask(scores[name], share) for name, share in sparsity.items()}
    if isinstance(sparsity, str):
        return _n_m_masks(model, scores, sparsity, scope)
    return _masks(scores, sparsity, scope)


def _only_prunable(model, include, exclude):
    """Return the names and types to include and exclude, without those that cannot be pruned.

    Raises ValueError if one to include cannot; warns of those that are left out unasked.
    """
    include, exclude = (
        [wanted] if isinstance(wanted, (str, type)) else wanted for wanted in (include, exclude)
    )
    prunable, others = prunable_layers(model), unprunable_layers(model)
    if refused := [w for w in include or () if _is_of(w, others) and not _is_of(w, prunable)]:
        names = [name for name, x in others.items() if any(_is_of(w, {name: x}) for w in refused)]
        raise ValueError(
            f"{_described(names, others)} cannot be pruned yet: only Dense and convolution layers "
            f"can, not quantized and without LoRA. Name some of {list(prunable)}."
        )
    unasked = [n for n, x in others.items() if not any(_is_of(w, {n: x}) for w in exclude)]
    if include is None and unasked:
        share = 100 * sum(_size(others[name]) for name in unasked) / _size(model)
        warnings.warn(
            f"{_described(unasked, others)} cannot be pruned yet and are left out, with "
            f"{share:.0f} % of the weights in weight matrices. measure_sparsity(model, "
            f'layers="all") counts them, too. Without this warning: exclude={unasked}.',
            stacklevel=3,
        )
    return include, [w for w in exclude if _is_of(w, prunable) or not _is_of(w, others)]


def _is_of(wanted, layers):
    """Say whether a name or a type is of one of the layers {name: layer}."""
    if isinstance(wanted, type):
        return any(isinstance(layer, wanted) for layer in layers.values())
    return wanted in layers


def _described(names, layers):
    kinds = ", ".join(f"{name!r} ({type(layers[name]).__name__})" for name in names)
    return f"The layers {kinds}"


def _size(layer):
    return sum(math.prod(weight.shape) for weight in weight_matrices(layer))


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
