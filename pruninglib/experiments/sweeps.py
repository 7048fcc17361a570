"""The experiments of the study. Each yields rows: flat dicts, one measurement each.

    table = pd.DataFrame(prune_sweep(model, dataset, {"weight": magnitude}, [0.5, 0.9]))

Every row says what was asked (`sparsity`) and what was measured (`measured_sparsity`), and
carries the caller's `labels`, such as seed=0.
"""

import contextlib
from functools import partial
from itertools import product
from time import perf_counter

import numpy as np
import pandas as pd

from pruninglib.execution.numpy_runtime import count_compact, numpy_dense, sparse, sparse_library
from pruninglib.execution.runtimes import compiled, eager
from pruninglib.experiments.evaluation import evaluate
from pruninglib.progress_line import progress
from pruninglib.pruning.masks import layer_scores, mask_levels
from pruninglib.pruning.prune import held_masks, measure_sparsity, prune, set_masks
from pruninglib.recovery.repair import merge_units, repair
from pruninglib.recovery.retraining import check_total, retrainer, without_removed_units
from pruninglib.structure.costs import count_parameters
from pruninglib.structure.layers import kernel_of, number_of_units
from pruninglib.structure.prunable import default_layers, prunable_layers

FEW = 0.25  # share of the weights below which multiplying them alone is faster in large batches


def prune_sweep(model, dataset, criteria, sparsities, scope="layer", **labels):
    """Yield the test accuracy and loss of a model pruned in one shot, without retraining.

    Args:
        model: a compiled model that outputs one value per class.
        dataset: a `Dataset`.
        criteria: {method name: criterion}.
        sparsities: shares to prune, in [0, 1].

    One copy of the model serves all levels, each layer's scores are sorted once, the unpruned
    network is evaluated once, networks without some of their units in their small form, and those
    with few weights sparsely, if numba is installed.
    Rows add `parameters`: the weights that are left to store, not counting removed units.
    """
    sparsities = list(sparsities)
    x, y, weights = dataset.x_test, dataset.y_test, model.get_weights()
    dense = evaluate(compiled(model), x, y, model.loss)
    for method, criterion in progress(criteria.items(), "criterion"):
        pruned = None
        pairs = levels(model, criterion, sparsities, scope)
        for sparsity, masks in progress(pairs, "sparsity", len(sparsities)):
            if pruned is None:
                pruned = prune(model, masks)
                run = compiled(pruned, frozen=False)
                layers = default_layers(pruned) or None
            pruned.set_weights(weights)
            set_masks(pruned, masks)
            network_run, parameters = _soonest(pruned, masks, run)
            yield {
                **labels,
                **asked(dataset, method, scope, "pruned", sparsity),
                "measured_sparsity": measure_sparsity(pruned, layers),
                "parameters": parameters,
                **(evaluate(network_run, x, y, model.loss) if sparsity else dense),
            }


def _soonest(pruned, masks, run):
    """Return what runs a pruned model on many examples soonest, and how many weights it stores.

    Args:
        run: what runs it at full width.
    """
    if any(mask.ndim == 1 and not mask.all() for mask in masks.values()):
        with contextlib.suppress(ValueError):  # it is no chain of Dense layers with ReLU
            parameters = count_compact(pruned)
            return numpy_dense(pruned), parameters
        network = without_removed_units(pruned, masks)
        return eager(network), count_parameters(network, nonzero=True)
    parameters = count_parameters(pruned, nonzero=True)
    if parameters <= FEW * count_parameters(pruned) and sparse_library() == "numba":
        with contextlib.suppress(ValueError):  # it is no chain of Dense layers
            return sparse(pruned), parameters
    return run, parameters


def recovery_sweep(
    model,
    dataset,
    criteria,
    sparsities,
    iterations=(500,),
    hold_masks=(True,),
    starts=("pruned",),
    learning_rate=0.008,
    schedule="budget",
    total=None,
    scope="layer",
    seed=0,
    batch_size=128,
    examples=10_000,
    repairing=None,
    distillation=0.0,
    training=None,
    visit=None,
    **labels,
):
    """Yield the rows of `prune_sweep`, then those after repair and after retraining.

    Args:
        iterations: batches to retrain for; each number is a training of its own, but at a constant
            rate, where one training passes through all of them.
        hold_masks: True holds the mask while retraining, False lets the weights grow back.
        starts: the networks to measure and to retrain: "pruned"; "merged" by `merge_units`;
            "repaired" on the first `examples` training images. The last two always hold the mask.
        repairing: {"ridge": ..., "passes": ...}, as in `repair`.
        learning_rate, schedule, total, distillation, training: as in `retrain`.
        visit: function (row, network) that is called with each repaired or retrained network,
            such as to keep a copy (`strip`); the next one may be trained in its place.

    Rows after `prune_sweep` add seconds; those of retrained networks also start, mask ("held"
    or "free"), iterations and distillation. Sparsity 0 is the control: the dense network,
    treated alike; with schedule="budget" it learns only if `total` is given.
    """
    if unknown := set(starts) - {"pruned", "merged", "repaired"}:
        raise ValueError(f'starts must be among "pruned", "merged", "repaired", got {unknown}.')
    if schedule == "rewound" and iterations:
        check_total(total, max(iterations))
    if not all(hold_masks) and "pruned" not in starts:
        raise ValueError(
            f'hold_masks has False, but of starts={tuple(starts)} only "pruned" can be retrained '
            "with its mask free. Add it, or pass hold_masks=(True,)."
        )
    sparsities = list(sparsities)
    settings = (batch_size, seed, learning_rate, schedule, total, distillation, training or {})
    numbers = sorted(set(iterations))
    in_one = [numbers] if schedule == "constant" and numbers else [[n] for n in numbers]
    trainings = [
        (start, held) for start, held in product(starts, hold_masks) if held or start == "pruned"
    ]
    ways = {
        "merged": merge_units,
        "repaired": partial(repair, inputs=dataset.x_train[:examples], **repairing or {}),
    }
    ways = {stage: ways[stage] for stage in starts if stage in ways}
    yield from prune_sweep(model, dataset, criteria, sparsities, scope, seed=seed, **labels)
    for method, criterion in progress(criteria.items(), "criterion"):
        retrainers = []
        pairs = levels(model, criterion, sparsities, scope)
        for sparsity, masks in progress(pairs, "sparsity", len(sparsities)):
            pruned = prune(model, masks)
            if not retrainers:
                retrainers = [retrainer(model, masks, dataset, each, *settings) for each in in_one]
            recovered = _recover(model, pruned, masks, ways, product(trainings, retrainers))
            for stage, network, columns in recovered:
                if stage == "retrained":
                    columns["distillation"] = distillation
                row = {
                    **labels,
                    "seed": seed,
                    **asked(dataset, method, scope, stage, sparsity),
                    "measured_sparsity": sparsity_within(model, network),
                    "parameters": count_parameters(network, nonzero=True),
                    **columns,
                    **evaluate(eager(network), dataset.x_test, dataset.y_test, network.loss),
                }
                if visit:
                    visit(row, network)
                yield row


def _recover(model, pruned, masks, ways, trainings):
    """Yield (stage, network, columns of its row) of one pruned network."""
    networks = {"pruned": pruned}
    for stage, way in ways.items():
        began = perf_counter()
        networks[stage] = way(pruned, model)
        seconds = perf_counter() - began
        yield stage, without_removed_units(networks[stage], masks), {"seconds": seconds}
    for (start, held), retrain in trainings:
        about = {"start": start, "mask": "held" if held else "free"}
        for (number, network), seconds in _timed(retrain(networks[start], masks, held)):
            yield "retrained", network, {**about, "iterations": number, "seconds": seconds}


def _timed(steps):
    """Yield what an iterator does, and the seconds that it has spent on it so far."""
    seconds, began = 0.0, perf_counter()
    for found in steps:
        seconds += perf_counter() - began
        yield found, seconds
        began = perf_counter()


def levels(model, criterion, sparsities, scope):
    """Return pairs (sparsity, masks) for a list of sparsities.

    Raises ValueError if the model holds masks already: a sweep exchanges masks, and would let
    go of those.
    """
    for name, layer in prunable_layers(model).items():
        if held_masks(layer):
            raise ValueError(
                f"Layer {name!r} holds a mask already; a sweep starts from a model without masks. "
                "Pass strip(model)."
            )
    scores = layer_scores(model, criterion, scope)
    return zip(sparsities, mask_levels(scores, sparsities, scope), strict=True)


def asked(dataset, method, scope, stage, sparsity):
    """Return the columns of a row that say what was asked for."""
    return {
        "dataset": dataset.name,
        "method": method,
        "scope": scope,
        "stage": stage,
        "sparsity": sparsity,
    }


def sparsity_within(model, network):
    """Return the sparsity of a network that may have fewer units than the dense model."""
    dense, found = prunable_layers(model), prunable_layers(network)
    names = default_layers(model)
    if all(kernel_of(found[name]).shape == kernel_of(dense[name]).shape for name in names):
        return measure_sparsity(network)
    sizes = np.array([np.prod(kernel_of(dense[name]).shape) for name in names])
    left = [number_of_units(found[name]) / number_of_units(dense[name]) for name in names]
    return float(1 - sizes @ left / sizes.sum())


def sensitivity(model, criterion, sparsities, data, include=None, exclude=(), **labels):
    """Yield the accuracy and loss of a model of which only one layer is pruned, for each layer.

    Args:
        model: a compiled model that outputs one value per class, without masks.
        criterion: as in `make_masks`.
        sparsities: shares to prune of a layer, in [0, 1].
        data: (inputs, integer labels), better those of a validation set than of the test set.
        include, exclude: layers, as in `make_masks`.

    Rows add layer, sparsity, measured_sparsity (of that layer), accuracy, loss, and lost, the
    accuracy of the dense model minus this one (Li et al. 2017 draw such curves).
    """
    scores = layer_scores(model, criterion, "layer", include, exclude)
    sparsities, (x, y) = list(sparsities), data
    dense = evaluate(compiled(model), x, y, model.loss)
    nothing = next(mask_levels(scores, [0.0]))
    pruned = prune(model, nothing)
    run = compiled(pruned, frozen=False)
    layers, originals = prunable_layers(pruned), prunable_layers(model)
    for name, found in progress(scores.items(), "layer"):
        for sparsity, masks in zip(sparsities, mask_levels({name: found}, sparsities), strict=True):
            set_masks(pruned, masks)
            result = evaluate(run, x, y, model.loss) if sparsity else dense
            yield {
                **labels,
                "layer": name,
                "sparsity": sparsity,
                "measured_sparsity": measure_sparsity(pruned, [name]),
                **result,
                "lost": dense["accuracy"] - result["accuracy"],
            }
            layers[name].set_weights(originals[name].get_weights())
        set_masks(pruned, {name: nothing[name]})


def tolerated(table, tolerance=0.01):
    """Return {layer: the largest sparsity that costs no more}, for `make_masks`.

    Args:
        table: rows of `sensitivity`.
        tolerance: accuracy that each layer alone may cost, as a share: 0.01 is one point.
            Layers that are pruned together cost more than each alone.

    >>> rows = [{"layer": "a", "sparsity": s, "lost": s / 50} for s in (0.25, 0.5, 0.75)]
    >>> tolerated(rows)
    {'a': 0.5}
    """
    table = pd.DataFrame(table)
    rounding = 1e-9
    kept = table[table["lost"] <= tolerance + rounding]
    found = kept.groupby("layer", sort=False)["sparsity"].max()
    return {str(name): float(sparsity) for name, sparsity in found.items()}
