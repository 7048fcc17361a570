"""Repair a pruned network in closed form: no labels, no gradient steps.

Layer by layer, the remaining weights are fitted by least squares to the pre-activations of the
dense network, from the inputs that the layer gets in the network repaired so far (as He et al.
2017, "Channel pruning for accelerating very deep neural networks", do for channels). Without any
data, `merge_units` merges removed units into the kept ones most similar to them.
"""

import warnings
from functools import reduce
from itertools import pairwise
from zlib import crc32

import numpy as np

from pruninglib.backend import keras
from pruninglib.progress_line import progress
from pruninglib.pruning.prune import held_masks
from pruninglib.recovery.least_squares import fit
from pruninglib.registered import HoldMask
from pruninglib.structure.activations import (
    IN_MEMORY,
    assign_matrix,
    distances,
    layer_rows,
    matrix,
)
from pruninglib.structure.copying import fresh_copy
from pruninglib.structure.examples import examples
from pruninglib.structure.graph import check_model, dense_chain
from pruninglib.structure.layers import constrained
from pruninglib.structure.prunable import check_same_kernels, prunable_layers

ENOUGH = 5  # rows for each weight, from which a repair helps on other inputs, too


def repair(pruned, dense, inputs, ridge=1e-2, passes=3):
    """Return a copy of a pruned model with its remaining weights refitted to the dense model.

    Least squares, layer by layer, as He et al. 2017 do for channels; no labels are needed.

    Args:
        pruned: a model that holds masks, from `prune`. Both models are left as they are.
        dense: the model that was pruned.
        inputs: unlabelled examples, a few thousand, as in `activation_aware`. Memory: up to 1 GB
            for the activations of each model, 1 GB for a layer's problem and 2 GB for its factors;
            what does not fit is computed in chunks, again when needed.
        ridge: how strongly weights are kept near their values, relative to the mean square of
            the layer's inputs. Above 0, so that constant, dead or dependent inputs do no harm; at
            least 1e-5 is used. Chosen on validation images (evidence/choices/repair.py) between
            1e-3, which repairs 0.1 to 0.3 points better where 90 % of the units are removed, and
            0.1, on MNIST a better start for retraining.
        passes: how often a layer whose own activation is ReLU is fitted again, to ignore errors
            that the ReLU cuts off anyway. 0 is faster and less accurate.

    The masks stay held, and so do the layers' own constraints. Dense and ungrouped Conv1D and
    Conv2D layers that are called once are fitted, those of nested models and those without a mask,
    such as the logits, too; others stay, and a warning names those of them that hold masks. Each
    unit is a problem of its own: its kept inputs and its bias. The outputs for these inputs end at
    least as near to those of the dense model (in mean square) as they were: if they would not, the
    weights of `pruned` are kept and a warning says so. Where a layer has few rows for its weights
    (under five for each), so it is if a repair on four fifths of the inputs, a trial that takes as
    long again, does not bring the others nearer.

    Raises ValueError if `pruned` holds no mask or has other layers than `dense`, and for inputs
    with NaN or whose squares overflow.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = pl.prune(model, pl.make_masks(model, pl.magnitude, 0.5))
    >>> inputs = np.random.default_rng(0).random((100, 4))
    >>> pl.measure_sparsity(repair(pruned, model, inputs))
    0.5
    """
    _check(pruned, dense, ridge)
    inputs = examples(pruned, inputs)
    repaired, fitted, few = _refitted(pruned, dense, inputs, ridge, passes)
    if left_out := [
        n for n, x in prunable_layers(pruned).items() if held_masks(x) and n not in fitted
    ]:
        warnings.warn(
            f"The layers {left_out} of {pruned.name!r} hold masks, but were not refitted: repair "
            "fits Dense and ungrouped Conv1D and Conv2D layers that are called once.",
            stacklevel=2,
        )
    before, after = distances([pruned, repaired], dense, inputs)
    where = "for these inputs"
    if few and after <= before:
        where = "for inputs that it has not seen"
        before = after = 0.0
        for rest, unseen in _splits(inputs):
            trial, *_ = _refitted(pruned, dense, rest, ridge, passes)
            before, after = np.add((before, after), distances([pruned, trial], dense, unseen))
        if not before:
            warnings.warn(
                f"All inputs for the repair of {pruned.name!r} are the same: whether it helps for "
                "others is not known. Pass different ones.",
                stacklevel=2,
            )
    if not after <= before:
        repaired.set_weights(pruned.get_weights())
        if before:  # else there was nothing to repair
            warnings.warn(
                f"The repair of {pruned.name!r} would end further from the dense model than it "
                f"began, {where} (squared difference {after:.3g} instead of {before:.3g}): its "
                "weights were left as they were. A larger ridge or more inputs may help.",
                stacklevel=2,
            )
    return repaired


def _refitted(pruned, dense, inputs, ridge, passes):
    """Return a refitted copy, the names of its refitted layers, and whether a fit had few rows.

    Few: not `ENOUGH` for each weight that a unit has to fit, equal examples counted once.
    """
    repaired, fitted, few = fresh_copy(pruned), set(), False
    different = len(set(_prints(inputs))) / len(inputs[0])
    both = zip(layer_rows(repaired, inputs), layer_rows(dense, inputs), strict=True)
    number = len(prunable_layers(dense))
    for (name, layer, chunks), (_, target, target_chunks) in progress(both, "layer", number):
        passes_here = passes if layer.activation is keras.activations.relu else 0
        weights, kept = matrix(layer).copy(), _kept(layer)
        seen, count = _seen(chunks)
        alive, units = kept.any(axis=1) & seen, kept.any(axis=0)
        part = np.ix_(alive, units)  # all else is zero throughout: nothing to fit
        few |= different * count < ENOUGH * kept[part].sum(axis=0).max(initial=0)
        problem = _problem(chunks, target_chunks, alive, matrix(target)[:, units])
        try:
            weights[part] = fit(problem, weights[part], kept[part], ridge, passes_here)
        except ValueError as error:
            raise ValueError(f"Layer {name!r}: {error}") from error
        assign_matrix(layer, weights)
        _apply_constraints(layer)
        fitted.add(name)
    return repaired, fitted, few


def _prints(inputs):
    """Return a number for each example, the same for equal ones."""
    parts = [
        [repr(each).encode() for each in array.tolist()] if array.dtype.kind in "OSU" else array
        for array in map(np.ascontiguousarray, inputs)
    ]
    return [
        reduce(lambda one, part: crc32(part, one), each, 0) for each in zip(*parts, strict=True)
    ]


def _splits(inputs):
    """Yield pairs of four fifths of the examples and the others; equal ones are never parted.

    One pair, or all five where there are few examples; none where all are the same.
    """
    _, which = np.unique(_prints(inputs), return_inverse=True)
    different = which.max() + 1
    for fifth in range(min(different if different > 1 else 0, 5) if different < 250 else 1):
        unseen = which % 5 == fifth
        yield [array[~unseen] for array in inputs], [array[unseen] for array in inputs]


def _check(pruned, dense, ridge):
    if not ridge > 0:
        raise ValueError(f"ridge must be above 0, got {ridge}. The default is 1e-2.")
    _check_models(pruned, dense)
    layers = prunable_layers(pruned).values()
    if not any(map(held_masks, layers)):
        raise ValueError(
            f"Model {pruned.name!r} holds no mask. Use prune(model, masks), or hold(model) if it "
            "has its zeros already."
        )


def _check_models(pruned, dense):
    check_model(pruned)
    check_model(dense)
    check_same_kernels(pruned, dense)


def _seen(chunks):
    """Return which inputs of a layer are nonzero in at least one row, and the number of rows."""
    found, count = [], 0
    for x in chunks():
        found.append(x.any(axis=0))
        count += len(x)
    return np.any(found, axis=0), count


def _problem(chunks, target_chunks, alive, weights):
    """Return a function that returns the chunks (rows, targets) of one layer's problem."""

    def computed():
        for x, seen in zip(chunks(), target_chunks(), strict=True):
            yield x[:, alive], seen @ weights

    stored, size = [], 0
    for pair in computed():
        stored.append(pair)
        size += sum(array.size for array in pair)
        if size > IN_MEMORY:
            return computed
    return lambda: stored


def _kept(layer):
    """Return which entries of the layer's `matrix` are not masked."""
    units = layer.kernel.shape[-1]
    parts = [_mask(layer.kernel, layer.kernel_constraint).reshape(-1, units)]
    if layer.use_bias:
        parts.append(_mask(layer.bias, layer.bias_constraint)[None])
    return np.vstack(parts)


def _mask(weight, constraint):
    held = constraint.mask if isinstance(constraint, HoldMask) else True
    return np.broadcast_to(np.asarray(held), weight.shape)


def _apply_constraints(layer):
    for name, constraint_name in constrained(layer):
        constraint = getattr(layer, constraint_name)
        if constraint is not None and getattr(layer, name) is not None:
            getattr(layer, name).assign(constraint(getattr(layer, name)))


def merge_units(pruned, dense, threshold=0.45):
    """Return a copy of a pruned model in which removed units are merged into similar kept ones.

    A removed unit's outgoing weights are added to those of the kept unit whose incoming weights
    have the largest cosine similarity with its own, scaled by the ratio of their norms, if that
    similarity reaches the threshold (neuron merging, Kim et al. 2020). The scaling is exact for
    positively homogeneous activations, such as ReLU.

    Args:
        pruned: `dense` pruned with unit masks, a chain of Dense layers; ValueError for others.
            Both models are left as they are.
        dense: the model that was pruned.
        threshold: cosine similarity from which units are merged; 0.45 is Kim et al.'s.
    """
    _check_models(pruned, dense)
    try:
        layers = [x for x in dense_chain(pruned) if isinstance(x, keras.layers.Dense)]
    except ValueError as error:
        raise ValueError(f"merge_units works on chains of Dense layers only. {error}") from error
    merged = fresh_copy(pruned)
    for layer, after in pairwise(layers):
        incoming = matrix(dense.get_layer(layer.name)).astype(np.float64)
        mask = _unit_mask(layer)
        kept = mask if mask.ndim == 1 else np.ones(layer.units, bool)
        share = _shares(incoming, kept, threshold)
        kernel = np.asarray(dense.get_layer(after.name).kernel)
        merged.get_layer(after.name).kernel.assign(np.where(_unit_mask(after), share @ kernel, 0))
    return merged


def _unit_mask(layer):
    held = held_masks(layer).get("kernel")
    return np.asarray(held.mask) if held else np.ones(layer.units, bool)


def _shares(incoming, kept, threshold):
    """Return the matrix that moves the outgoing weights of removed units to kept ones."""
    norms = np.linalg.norm(incoming, axis=0)
    directions = incoming / np.maximum(norms, np.finfo(float).tiny)
    share = np.diag(kept.astype(float))
    for unit in np.flatnonzero(~kept):
        similarity = np.where(kept, directions.T @ directions[:, unit], -1)
        best = similarity.argmax()
        if similarity[best] >= threshold:
            share[best, unit] = norms[unit] / norms[best]
    return share
