"""Learning rates for retraining a pruned network."""

import numpy as np

from pruninglib.backend import keras
from pruninglib.pruning.prune import measure_sparsity
from pruninglib.rewinding import EndOf
from pruninglib.structure.layers import kernel_of
from pruninglib.structure.prunable import check_same_kernels, prunable_layers


def rates(schedule, learning_rate, iterations, total):
    """Return the Keras schedule of learning rates that `retrain` calls by that name."""
    iterations = max(1, iterations)
    if schedule == "rewound":
        check_total(total, iterations)
        whole = keras.optimizers.schedules.CosineDecay(learning_rate, total)
        return EndOf(whole, total - iterations) if total > iterations else whole
    if schedule not in ("budget", "linear", "constant"):
        raise ValueError(
            f'schedule must be "budget", "linear", "constant" or "rewound", got {schedule!r}.'
        )
    end = learning_rate if schedule == "constant" else 0.0
    return keras.optimizers.schedules.PolynomialDecay(learning_rate, iterations, end)


def check_total(total, least=1):
    """Raise ValueError unless `total` is a number of iterations, `least` or more."""
    if not total or total < least:
        raise ValueError(
            f"total must be the iterations that the dense model was trained for, at least "
            f"{least}, got {total}. Pass it, or another schedule."
        )


def budget(dense, pruned, iterations, total=None):
    """Return the share of the full learning rate that a retraining should begin with.

    The larger of two: how far pruning moved the weights, relative to their norm and to the root
    of the sparsity of the layers that lost some, and the iterations relative to those of the
    dense training; at most 1 (Zimmer et al. 2023). So a network that lost nothing is hardly
    disturbed. Without `total` the first alone decides, and such a network stays as it is.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> budget(model, model, iterations=100, total=1000)
    0.1
    """
    if total is not None:
        check_total(total)
    check_same_kernels(dense, pruned)
    kernels = {name: np.asarray(kernel_of(layer)) for name, layer in prunable_layers(dense).items()}
    found = {name: np.asarray(kernel_of(layer)) for name, layer in prunable_layers(pruned).items()}
    removed = {name: np.where(found[name] == 0, kernel, 0) for name, kernel in kernels.items()}
    moved, norm = (np.sqrt(sum(np.sum(w**2) for w in k.values())) for k in (removed, kernels))
    losers = [name for name, weights in removed.items() if weights.any()]
    sparsity = measure_sparsity(pruned, losers) if losers else 0
    shares = [moved / norm / sparsity**0.5 if sparsity else 0, iterations / total if total else 0]
    return float(min(1, max(shares)))
