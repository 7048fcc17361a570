"""The experiments of the study. Each yields rows: flat dicts, one measurement each.

    table = pd.DataFrame(prune_sweep(model, dataset, {"weight": magnitude}, [0.5, 0.9]))

Every row says what was asked (`sparsity`) and what was measured (`measured_sparsity`), and
carries the caller's `labels`, such as seed=0.
"""

from time import perf_counter

import numpy as np

from pruninglib.criteria import unit_norm
from pruninglib.evaluation import compare, evaluate
from pruninglib.execution import compiled, count_parameters, eager
from pruninglib.graph import logits_layers, prunable_layers
from pruninglib.masks import layer_scores, mask_levels
from pruninglib.models import train
from pruninglib.pruning import measure_sparsity, prune, set_masks
from pruninglib.retraining import retrainer, without_removed_units
from pruninglib.shrink import shrink


def prune_sweep(model, dataset, criteria, sparsities, scope="layer", **labels):
    """Yield the test accuracy and loss of a model pruned in one shot, without retraining.

    Args:
        model: a compiled model that outputs one value per class.
        dataset: a `Dataset`.
        criteria: {method name: criterion}.
        sparsities: shares to prune, in [0, 1].

    One copy of the model serves all levels, each layer's scores are sorted once, the unpruned
    network is evaluated once, and networks without some of their units in their small form.
    Rows add `parameters`: the weights that are left to store, not counting removed units.
    """
    sparsities = list(sparsities)
    x, y, weights = dataset.x_test, dataset.y_test, model.get_weights()
    dense = evaluate(compiled(model), x, y, model.loss)
    for method, criterion in criteria.items():
        pruned = run = None
        for sparsity, masks in _levels(model, criterion, sparsities, scope):
            if pruned is None:
                pruned = prune(model, masks)
                run = compiled(pruned)
            pruned.set_weights(weights)
            set_masks(pruned, masks)
            network = without_removed_units(pruned, masks)
            network_run = run if network is pruned else eager(network)
            yield {
                **labels,
                **_asked(dataset, method, scope, "pruned", sparsity),
                "measured_sparsity": measure_sparsity(pruned),
                "parameters": count_parameters(network, nonzero=True),
                **(evaluate(network_run, x, y, model.loss) if sparsity else dense),
            }


def recovery_sweep(
    model,
    dataset,
    criteria,
    sparsities,
    iterations=(500,),
    hold_masks=(True,),
    scope="layer",
    seed=0,
    batch_size=128,
    training=None,
    **labels,
):
    """Yield the rows of `prune_sweep`, then those after retraining on the training set.

    Args:
        iterations: batches to retrain for; each number is a training of its own.
        hold_masks: True holds the mask while retraining, False lets the weights grow back.
        training: arguments of `compile_training`, such as {"learning_rate": 1e-3}.

    Rows of retrained networks add mask ("held" or "free"), iterations and seconds. Sparsity 0
    is the control: the dense network with the same extra training.
    """
    sparsities = list(sparsities)
    yield from prune_sweep(model, dataset, criteria, sparsities, scope, seed=seed, **labels)
    for method, criterion in criteria.items():
        for count in iterations:
            retrain = None
            for sparsity, masks in _levels(model, criterion, sparsities, scope):
                retrain = retrain or retrainer(
                    model, masks, dataset, count, batch_size, seed, training or {}
                )
                for held in hold_masks:
                    start = perf_counter()
                    network = retrain(masks, held)
                    seconds = perf_counter() - start
                    yield {
                        **labels,
                        "seed": seed,
                        **_asked(dataset, method, scope, "retrained", sparsity),
                        "measured_sparsity": _sparsity_within(model, network),
                        "parameters": count_parameters(network, nonzero=True),
                        "mask": "held" if held else "free",
                        "iterations": count,
                        "seconds": seconds,
                        **evaluate(compiled(network), dataset.x_test, dataset.y_test, network.loss),
                    }


def timing_sweep(
    model,
    dataset,
    sparsities,
    iterations=1000,
    batch_sizes=(1, 64),
    repeats=15,
    scope="layer",
    seed=0,
    batch_size=128,
    training=None,
    **labels,
):
    """Yield accuracy, size and time of networks without some of their units, timed together.

    Each sparsity has three stages: "masked" (full size, units held at zero), "shrunk" (the same
    function, smaller) and "retrained" (shrunk, then trained for `iterations`). Arguments are
    those of `recovery_sweep` and `compare`, whose columns the rows have. They add difference
    (of the shrunk network's outputs from the masked one's: the largest, relative to the largest
    output), macs_ratio and speed_up_N: the MACs of the dense network over those of this one, and
    the same of the milliseconds for a batch of N.
    """
    sparsities = list(sparsities)
    x, y = dataset.x_train, dataset.y_train
    networks, differences = {("dense", 0.0): model}, {}
    for sparsity, masks in _levels(model, unit_norm, sparsities, scope):
        masked = prune(model, masks)
        networks["masked", sparsity] = masked
        networks["shrunk", sparsity] = shrink(masked)
        differences[sparsity] = _difference(masked, networks["shrunk", sparsity], dataset.x_test)
        networks["retrained", sparsity] = train(
            shrink(masked), x, y, iterations, batch_size, seed, **(training or {})
        )
    rows = compare(networks, dataset, batch_sizes, repeats).to_dict("records")
    for row in rows:
        kind, sparsity = row.pop("label")
        yield {
            **labels,
            "seed": seed,
            **_asked(dataset, "unit", scope, kind, sparsity),
            "measured_sparsity": _sparsity_within(model, networks[kind, sparsity]),
            "difference": differences.get(sparsity) if kind == "shrunk" else None,
            **row,
            "macs_ratio": rows[0]["macs"] / row["macs"],
            **{
                f"speed_up_{size}": rows[0][f"ms_{size}"] / row[f"ms_{size}"]
                for size in batch_sizes
            },
        }


def _levels(model, criterion, sparsities, scope):
    scores = layer_scores(model, criterion, scope)
    return zip(sparsities, mask_levels(scores, sparsities, scope), strict=True)


def _asked(dataset, method, scope, stage, sparsity):
    return {
        "dataset": dataset.name,
        "method": method,
        "scope": scope,
        "stage": stage,
        "sparsity": sparsity,
    }


def _sparsity_within(model, network):
    """Return the sparsity of a network that may have fewer units than the dense model."""
    dense, found = prunable_layers(model), prunable_layers(network)
    names = [name for name in dense if name not in logits_layers(model)]
    if all(found[name].kernel.shape == dense[name].kernel.shape for name in names):
        return measure_sparsity(network)
    shapes = [dense[name].kernel.shape for name in names]
    kept = [
        np.prod(shape[:-1]) * found[name].kernel.shape[-1]
        for name, shape in zip(names, shapes, strict=True)
    ]
    return float(1 - sum(kept) / sum(np.prod(shape) for shape in shapes))


def _difference(model, other, x):
    expected, found = eager(model)(x[:1000]), eager(other)(x[:1000])
    return float(np.abs(found - expected).max() / np.abs(expected).max())
