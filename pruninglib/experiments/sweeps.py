"""The experiments of the study. Each yields rows: flat dicts, one measurement each.

    table = pd.DataFrame(prune_sweep(model, dataset, {"weight": magnitude}, [0.5, 0.9]))

Every row says what was asked (`sparsity`) and what was measured (`measured_sparsity`), and
carries the caller's `labels`, such as seed=0.
"""

import contextlib

from pruninglib.execution.numpy_runtime import count_compact, numpy_dense, sparse
from pruninglib.execution.products import sparse_library
from pruninglib.execution.runtimes import compiled, eager
from pruninglib.experiments.evaluation import evaluate
from pruninglib.experiments.rows import asked, levels
from pruninglib.progress_line import progress
from pruninglib.pruning.prune import measure_sparsity, prune, set_masks
from pruninglib.recovery.retraining import without_removed_units
from pruninglib.structure.costs import count_parameters
from pruninglib.structure.prunable import default_layers

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
