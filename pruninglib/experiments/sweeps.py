"""Sweep over sparsities: each function yields rows, flat dicts of one measurement each.

    table = pd.DataFrame(prune_sweep(model, dataset, {"weight": magnitude}, [0.5, 0.9]))

Every row has the sparsity asked for (`sparsity`) and the one measured (`measured_sparsity`), and
the caller's `labels`, such as {"seed": 0}. No sweep changes the model that it is given.
"""

import contextlib
from functools import partial
from itertools import product
from time import perf_counter

import pandas as pd

from pruninglib.execution.numpy_runtime import count_compact, numpy_dense, sparse, sparse_library
from pruninglib.execution.runtimes import default_executable, eager
from pruninglib.experiments.evaluation import evaluate, results
from pruninglib.progress_line import progress
from pruninglib.pruning.masks import layer_scores, mask_levels
from pruninglib.pruning.prune import held_masks, masked_copy, set_masks, share_of_zeros
from pruninglib.recovery.repair import merge_units, repair
from pruninglib.recovery.retraining import check_total, retrainer, without_removed_units
from pruninglib.structure.costs import count_parameters
from pruninglib.structure.examples import is_batched, labelled
from pruninglib.structure.graph import check_model
from pruninglib.structure.prunable import default_layers, prunable_layers

FEW = 0.25  # share of weights left below which sparse products are faster in large batches


def prune_sweep(model, dataset, criteria, sparsities, *, scope="layer", labels=None):
    """Yield the test accuracy and loss of a model pruned in one shot, without retraining.

    Args:
        model: a compiled model that outputs one value per class, without masks (else ValueError);
            it is left as it is.
        dataset: a `Dataset`.
        criteria: {method name: criterion}, criteria as in `make_masks`.
        sparsities: shares to prune, in [0, 1].
        scope: "layer" or "global", as in `make_masks`.
        labels: {column: value}, the same in all rows.

    Columns: the labels, dataset, method, scope, stage ("pruned"), sparsity, measured_sparsity,
    parameters (nonzero weights left to store, without removed units), accuracy and loss.

    To be fast, one copy of the model serves all sparsities, scores are sorted once and the dense
    network is evaluated once; networks that lost units are evaluated in their smaller form, and
    those with few weights by sparse products, if numba is installed.
    """
    check_model(model)
    sparsities = list(sparsities)
    x, y, weights = dataset.x_test, dataset.y_test, model.get_weights()
    dense = evaluate(default_executable(model), x, y, model.loss)
    for method, criterion in progress(criteria.items(), "criterion"):
        pruned = None
        pairs = levels(model, criterion, sparsities, scope)
        for sparsity, masks in progress(pairs, "sparsity", len(sparsities)):
            if pruned is None:
                pruned = masked_copy(model, masks)
                run = default_executable(pruned, frozen=False)
                layers = default_layers(pruned) or None
            pruned.set_weights(weights)
            set_masks(pruned, masks)
            network_run, parameters = _soonest(pruned, masks, run)
            yield row(
                labels,
                **asked(dataset, method, scope, "pruned", sparsity),
                measured_sparsity=share_of_zeros(pruned, layers),
                parameters=parameters,
                **(evaluate(network_run, x, y, model.loss) if sparsity else dense),
            )


def _soonest(pruned, masks, run):
    """Return the fastest way to evaluate a pruned model once, and how many weights are stored.

    Args:
        run: function that runs the model with all its units.
    """
    if any(mask.ndim == 1 and not mask.all() for mask in masks.values()):
        with contextlib.suppress(ValueError):  # it is no chain of Dense layers
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
    *,
    iterations=(500,),
    hold_masks=(True,),
    starts=("pruned",),
    scope="layer",
    seed=0,
    examples=10_000,
    repairing=None,
    retraining=None,
    visit=None,
    labels=None,
):
    """Yield the rows of `prune_sweep`, then those after repair and after retraining.

    Args:
        model, dataset, criteria, sparsities, scope, labels: as in `prune_sweep`; the model is left
            as it is.
        iterations: batches to retrain for; each number is a training of its own, except with
            schedule="constant", where one training passes through all of them.
        hold_masks: True holds the mask while retraining, False lets the weights grow back.
        starts: the networks to measure and to retrain: "pruned"; "merged" by `merge_units`;
            "repaired" on the first `examples` training images. The last two always hold the mask.
        seed: decides the order of the examples; it is a column of the rows.
        repairing: {"ridge": ..., "passes": ...}, keyword arguments of `repair`.
        retraining: {"learning_rate": ..., "total": ...}, keyword arguments of `retrain`.
        visit: function (row, network) called with each merged, repaired or retrained network,
            for example to keep a copy (`strip`), for the next may be trained in its place.

    Rows after those of `prune_sweep` add seconds; those of retrained networks also start, mask
    ("held" or "free"), iterations and distillation. Their stage is "merged", "repaired" or
    "retrained". Sparsity 0 is the control, the dense network treated the same, once if the mask is
    both held and free; with schedule="budget" it learns only if `total` is given.
    """
    check_model(model)
    retraining = retraining or {}
    schedule, total = retraining.get("schedule"), retraining.get("total")
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
    labels = row(labels, seed=seed)
    yield from prune_sweep(model, dataset, criteria, sparsities, scope=scope, labels=labels)
    for method, criterion in progress(criteria.items(), "criterion"):
        retrainers = []
        pairs = levels(model, criterion, sparsities, scope)
        for sparsity, masks in progress(pairs, "sparsity", len(sparsities)):
            pruned = masked_copy(model, masks)
            if not retrainers:
                how = partial(retrainer, model, masks, dataset, seed=seed, **retraining)
                retrainers = [how(iterations=each) for each in in_one]
            # where nothing is masked, a free mask is the same as a held one
            own = [t for t in trainings if sparsity or t[1] or (t[0], True) not in trainings]
            recovered = _recover(model, pruned, masks, ways, product(own, retrainers))
            for stage, network, columns in recovered:
                if stage == "retrained":
                    columns["distillation"] = retraining.get("distillation", 0.0)
                # a network without its removed units is as sparse as the pruned one it came from
                whole = network.count_params() == pruned.count_params()
                found = row(
                    labels,
                    **asked(dataset, method, scope, stage, sparsity),
                    measured_sparsity=share_of_zeros(network if whole else pruned),
                    parameters=count_parameters(network, nonzero=True),
                    **columns,
                    **evaluate(eager(network), dataset.x_test, dataset.y_test, network.loss),
                )
                if visit:
                    visit(found, network)
                yield found


def _recover(model, pruned, masks, ways, trainings):
    """Yield (stage, network, columns of its row) for what is made of one pruned network."""
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
    """Yield (what an iterator yields, the seconds that it has spent so far)."""
    seconds, began = 0.0, perf_counter()
    for found in steps:
        seconds += perf_counter() - began
        yield found, seconds
        began = perf_counter()


def levels(model, criterion, sparsities, scope):
    """Return pairs (sparsity, masks) for a list of sparsities.

    Raises ValueError if the model holds masks already, which a sweep would replace.
    """
    for name, layer in prunable_layers(model).items():
        if held_masks(layer):
            raise ValueError(
                f"Layer {name!r} holds a mask already; a sweep starts from a model without masks. "
                "Pass strip(model)."
            )
    scores = layer_scores(model, criterion, scope)
    return zip(sparsities, mask_levels(scores, sparsities, scope), strict=True)


def row(labels, **columns):
    """Return a row with the caller's labels; ValueError if they have names of its columns."""
    labels = dict(labels or {})
    if taken := sorted(set(labels) & set(columns)):
        raise ValueError(f"The labels {taken} are columns of the rows already. Rename them.")
    return labels | columns


def asked(dataset, method, scope, stage, sparsity):
    """Return the columns of a row that say which network was measured."""
    return {
        "dataset": dataset.name,
        "method": method,
        "scope": scope,
        "stage": stage,
        "sparsity": sparsity,
    }


def sensitivity(model, criterion, sparsities, data, *, include=None, exclude=(), labels=None):
    """Yield the accuracy and loss of a model with one layer pruned alone, for each layer in turn.

    Args:
        model: a compiled model with one input and one output, without masks; it is left as it is.
        criterion: as in `make_masks`.
        sparsities: shares of a layer to prune, in [0, 1].
        data: (inputs, labels), as in `evaluate`, or batches that hold both, such as a
            tf.data.Dataset; preferably the validation set, not the test set.
        include, exclude: layers, as in `make_masks`.
        labels: {column: value}, the same in all rows.

    Columns: the labels, layer, sparsity, measured_sparsity (of that layer), accuracy, loss, and
    lost, the accuracy of the dense model minus this one (sensitivity curves, Li et al. 2017). What
    is no classifier has its own metrics, and lost is by how much the loss rises.
    """
    check_model(model)
    scores = layer_scores(model, criterion, "layer", include, exclude)
    sparsities, run = list(sparsities), default_executable(model)
    (x,), y = labelled(model, *([data] if is_batched(data) else data))
    dense = results(model, run, x, y)
    nothing = next(mask_levels(scores, [0.0]))
    pruned = masked_copy(model, nothing)
    run = default_executable(pruned, frozen=False)
    layers, originals = prunable_layers(pruned), prunable_layers(model)
    for name, found in progress(scores.items(), "layer"):
        for sparsity, masks in zip(sparsities, mask_levels({name: found}, sparsities), strict=True):
            set_masks(pruned, masks)
            result = results(pruned, run, x, y) if sparsity else dense
            fallen = [("accuracy", dense, result), ("loss", result, dense)]
            key, more, less = next(each for each in fallen if each[0] in dense)
            yield row(
                labels,
                layer=name,
                sparsity=sparsity,
                measured_sparsity=share_of_zeros(pruned, [name]),
                **result,
                lost=more[key] - less[key],
            )
            layers[name].set_weights(originals[name].get_weights())
        set_masks(pruned, {name: nothing[name]})


def tolerated(table, tolerance=0.01):
    """Return {layer: the largest sparsity within the tolerance}, for `make_masks`.

    Args:
        table: rows of `sensitivity`, or a DataFrame of them.
        tolerance: accuracy that a layer pruned alone may cost, as a share: 0.01 is one point; of
            what is no classifier, by how much the loss may rise. Layers pruned together cost more
            than each alone.

    Layers without a sparsity within the tolerance are left out.

    >>> rows = [{"layer": "a", "sparsity": s, "lost": s / 50} for s in (0.25, 0.5, 0.75)]
    >>> tolerated(rows)
    {'a': 0.5}
    """
    table = pd.DataFrame(table)
    rounding = 1e-9
    kept = table[table["lost"] <= tolerance + rounding]
    found = kept.groupby("layer", sort=False)["sparsity"].max()
    return {str(name): float(sparsity) for name, sparsity in found.items()}
