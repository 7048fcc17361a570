"""Retrain pruned networks, at many sparsities, without compiling or computing in vain."""

from itertools import pairwise
from math import gcd

import numpy as np

from pruninglib.backend import keras
from pruninglib.pruning.prune import prune, set_masks
from pruninglib.pruning.shrink import CannotShrink, shrink
from pruninglib.recovery.distillation import taught
from pruninglib.recovery.rates import budget, rates
from pruninglib.recovery.training import compile_training, fit_batches, to_tensor
from pruninglib.rewinding import EndOf
from pruninglib.structure.targets import targets


def retrain(
    pruned,
    dense,
    x,
    y,
    iterations,
    learning_rate=0.008,
    schedule="budget",
    total=None,
    distillation=0.0,
    batch_size=128,
    seed=0,
    callbacks=(),
    **training,
):
    """Train a pruned or repaired model in place for a number of iterations; return it.

    Args:
        dense: the model that was pruned.
        x, y: float32 inputs and integer labels.
        schedule: "budget", linear decay to zero from the part of the learning rate that
            `budget` gives; "linear", the same from all of it; "constant"; or "rewound", the end
            of a training of `total` iterations with cosine decay (Renda et al. 2020).
        total: iterations of the dense model's training: for "rewound", and for "budget" if the
            iterations count there, too.
        distillation: share in [0, 1] of the dense model's softened outputs in what is learned,
            the rest being the labels, as in `taught`.
        callbacks: Keras callbacks, such as `GradualPruning`.
        training: optimizer, loss, steps_per_execution and jit_compile, as in `compile_training`;
            the default loss is the one that the pruned model is compiled with. The model is
            compiled again, with Adam unless another name is given, and accuracy as its metric.

    The masks stay held. On validation images of two datasets, one seed
    (benchmarks/choose_retraining.py), the defaults are among the best on the mean over weights and
    units, pruned and repaired, at three sparsities or four; no rate was best everywhere. Repaired
    units, tried on MNIST alone, wanted less, 0.004, weights at 99 % more, 0.016. A distillation of
    0.5 helped repaired networks a little.
    """
    share = budget(dense, pruned, iterations, total) if schedule == "budget" else 1
    rate = rates(schedule, learning_rate * share, iterations, total)
    compile_training(pruned, iterations, rate, **own_loss(pruned) | training)
    labels = targets(y, pruned.loss, pruned.output_shape[-1])
    learner = taught(pruned, dense, distillation)
    fit_batches(learner, x, labels, iterations, batch_size, seed, callbacks)
    return pruned


def retrainer(
    model,
    masks,
    dataset,
    iterations,
    batch_size,
    seed,
    learning_rate,
    schedule,
    total,
    distillation,
    training,
):
    """Return a function (pruned, masks, held) that retrains from a pruned model's weights.

    It yields (number, network) after each of the numbers of iterations, all of one training, so
    that the network is to be used before the next is asked for.

    One compiled network serves all masks, for compiling takes seconds. But where units are
    removed, their mask is held and nothing has a bias, the smaller network is trained instead:
    removed units output zero, so that both train to the same result, and the smaller one sooner.

    Args:
        model: the dense model.
        iterations: numbers in ascending order; the schedule is that of the last.
        masks: masks for the same layers, and of the same kind, as those of the models to come.
        learning_rate, schedule, total, distillation, training: as in `retrain`.
    """
    last = iterations[-1]
    rate = EndOf(rates(schedule, learning_rate, last, total))
    training = {"steps_per_execution": gcd(*iterations, 50)} | own_loss(model) | training
    twin = compile_training(prune(model, masks), last, rate, **training)
    taught_twin = taught(twin, model, distillation)
    x = to_tensor(dataset.x_train)
    labels = targets(dataset.y_train, twin.loss, twin.output_shape[-1])
    fresh = [np.asarray(variable) for variable in twin.optimizer.variables]

    def run(pruned, masks, held):
        network = without_removed_units(pruned, masks) if held else pruned
        kernels_only = all(weight.name == "kernel" for weight in network.weights)
        if network is not pruned and kernels_only:
            compile_training(network, last, rate, **training)
            learner = taught(network, model, distillation)
        else:
            network, learner = twin, taught_twin
            network.set_weights(pruned.get_weights())
            free = {name: np.ones_like(mask) for name, mask in masks.items()}
            set_masks(network, masks if held else free)
            for variable, value in zip(network.optimizer.variables, fresh, strict=True):
                variable.assign(value)
        rate.scale.assign(budget(model, pruned, last, total) if schedule == "budget" else 1)
        for done, number in pairwise([0, *iterations]):
            fit_batches(learner, x, labels, number - done, batch_size, seed, done=done)
            yield number, network

    return run


def own_loss(model):
    """Return the loss that a model is compiled with, as a keyword argument, if there is one."""
    if not model.compiled or model.loss is None:
        return {}
    return {"loss": keras.losses.get(model.loss)}  # a name would mean logits in compile_training


def without_removed_units(pruned, masks):
    """Return the smaller network if the masks remove units and it gets smaller, else `pruned`."""
    if all(mask.ndim > 1 or mask.all() for mask in masks.values()):
        return pruned
    try:
        smaller = shrink(pruned)
    except CannotShrink:
        return pruned
    return smaller if smaller.count_params() < pruned.count_params() else pruned
