"""Masks for units that can only go together."""

import numpy as np

from pruninglib.pruning.criteria import check_sparsity, top_k_mask
from pruninglib.pruning.scores import layer_scores
from pruninglib.structure.flow import flow
from pruninglib.structure.graph import check_graph
from pruninglib.structure.prunable import chosen, matching, prunable_layers


def coupled_masks(model, criterion, sparsity, scope="layer", include=None, exclude=()):
    """Return unit masks in which units that `shrink` can only remove together share their fate.

    Each joint group of units is worth the sum of its units' scores. In layer scope the groups
    that span the same layers are ranked among themselves, in global scope all together. A group
    goes if one of its layers is chosen and none excluded. Arguments as in `make_masks`.
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
    """Yield (which joint groups are ranked together, the share of them that goes)."""
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
