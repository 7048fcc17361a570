"""The experiments of the study. Each yields rows: flat dicts, one measurement each.

    table = pd.DataFrame(prune_sweep(model, dataset, {"weight": magnitude}, [0.5, 0.9]))

Every row says what was asked (`sparsity`) and what was measured (`measured_sparsity`), and
carries the caller's `labels`, such as seed=0.
"""

from time import perf_counter

from pruninglib.evaluation import evaluate
from pruninglib.execution import compiled, count_parameters, eager
from pruninglib.pruning import measure_sparsity, prune, set_masks
from pruninglib.retraining import retrainer, without_removed_units
from pruninglib.rows import asked, levels, sparsity_within


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
        for sparsity, masks in levels(model, criterion, sparsities, scope):
            if pruned is None:
                pruned = prune(model, masks)
                run = compiled(pruned)
            pruned.set_weights(weights)
            set_masks(pruned, masks)
            network = without_removed_units(pruned, masks)
            network_run = run if network is pruned else eager(network)
            yield {
                **labels,
                **asked(dataset, method, scope, "pruned", sparsity),
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
            for sparsity, masks in levels(model, criterion, sparsities, scope):
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
                        **asked(dataset, method, scope, "retrained", sparsity),
                        "measured_sparsity": sparsity_within(model, network),
                        "parameters": count_parameters(network, nonzero=True),
                        "mask": "held" if held else "free",
                        "iterations": count,
                        "seconds": seconds,
                        **evaluate(compiled(network), dataset.x_test, dataset.y_test, network.loss),
                    }
