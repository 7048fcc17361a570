"""Retrain pruned networks: learning-rate schedules, distillation, one network for many masks."""

from itertools import pairwise
from math import gcd

import numpy as np

from pruninglib.backend import keras
from pruninglib.pruning.prune import compile_step_anew, masked_copy, set_masks, share_of_zeros
from pruninglib.pruning.shrink import CannotShrink, smaller
from pruninglib.recovery.training import compile_training, fit_batches, to_tensor
from pruninglib.registered import EndOf
from pruninglib.structure.copying import fresh_copy
from pruninglib.structure.examples import labelled, structured, targets
from pruninglib.structure.graph import check_model
from pruninglib.structure.layers import kernel_of
from pruninglib.structure.prunable import check_same_kernels, logits_layers, prunable_layers


def retrain(
    pruned,
    dense,
    x,
    y,
    iterations,
    *,
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

    The masks stay held. `dense` is left as it is.

    Args:
        dense: the model that was pruned.
        x, y: inputs and labels as `fit` takes them, or integer labels also where the loss wants
            them one-hot; or, with y=None, batches that hold both, such as a tf.data.Dataset, of
            which as many examples are taken as the iterations need, and shuffled.
        iterations: number of batches.
        learning_rate: the full rate, which the schedule scales.
        schedule: "budget", linear decay to zero from the share of the full rate that `budget`
            returns (Zimmer et al. 2023); "linear", the same from the full rate; "constant"; or
            "rewound", the end of a training of `total` iterations with cosine decay (Renda et al.
            2020).
        total: iterations of the dense model's training; needed for "rewound", and passed on to
            `budget` for "budget".
        distillation: weight in [0, 1] of the dense model's softened outputs in the loss (Hinton
            et al. 2015), the rest being that of the labels.
        batch_size, seed: as in `train`.
        callbacks: Keras callbacks, such as `GradualPruning`.
        training: optimizer, loss, steps_per_execution and jit_compile, as in `compile_training`;
            the default loss is the one that the pruned model is compiled with. The model is
            compiled again, with Adam unless another name is given, and the metrics that it had,
            or accuracy.

    On validation images of two datasets, one seed (evidence/choices/retraining.py), the defaults
    are among the best on average over weights and units, pruned and repaired, at three or four
    sparsities; no rate was best everywhere. Repaired units, tried on MNIST alone, did best at a
    lower rate, 0.004, weights at 99 % at a higher one, 0.016. A distillation of 0.5 helped
    repaired networks a little.

    Raises ValueError for an unknown schedule or a missing `total`, and, if distillation is above
    0, for models that output probabilities instead of logits.
    """
    check_model(pruned)
    check_model(dense)
    share = _budget(pruned, dense, iterations, total) if schedule == "budget" else 1
    rate = rates(schedule, learning_rate * share, iterations, total)
    compile_training(pruned, iterations, rate, **own_loss(pruned) | own_metrics(pruned) | training)
    arrays, labels = labelled(pruned, x, y, most=max(1, iterations * batch_size))
    if isinstance(labels, np.ndarray):
        labels = targets(labels, pruned.loss, pruned.output_shape[-1])
    learner = taught(pruned, dense, distillation)
    x = structured(pruned, arrays)
    fit_batches(learner, x, labels, iterations, batch_size, seed, callbacks)
    return pruned


def retrainer(
    model,
    masks,
    dataset,
    iterations,
    *,
    learning_rate=0.008,
    schedule="budget",
    total=None,
    distillation=0.0,
    batch_size=128,
    seed=0,
    **training,
):
    """Return a generator function (pruned, masks, held) that retrains from `pruned`'s weights.

    It yields (number, network) after each of the numbers of iterations. All are stages of one
    training of one network: use it before asking for the next.

    One compiled network serves all masks, for compiling takes seconds. But where units are
    removed, their mask is held and the smaller network has no weights but kernels, that one is
    trained instead: removed units output zero, so both give the same result, the smaller sooner.

    Args:
        model: the dense model.
        masks: masks for the same layers, and of the same kind, as those to be retrained with.
        iterations: numbers in ascending order; the schedule is that of the last.
        learning_rate and the following: as in `retrain`.
    """
    last = iterations[-1]
    rate = EndOf(rates(schedule, learning_rate, last, total))
    training = {"steps_per_execution": gcd(*iterations, 50)} | own_loss(model) | training
    twin = compile_training(masked_copy(model, masks), last, rate, **training)
    taught_twin = taught(twin, model, distillation)
    x = to_tensor(dataset.x_train)
    labels = targets(dataset.y_train, twin.loss, twin.output_shape[-1])
    # copies, for on JAX an array may share the memory that training overwrites
    fresh = [np.array(variable) for variable in twin.optimizer.variables]

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
        rate.scale.assign(_budget(pruned, model, last, total) if schedule == "budget" else 1)
        compile_step_anew(learner)
        for done, number in pairwise([0, *iterations]):
            fit_batches(learner, x, labels, number - done, batch_size, seed, done=done)
            yield number, network

    return run


def own_loss(model):
    """Return {"loss": the loss that a model is compiled with}, or {} if there is none."""
    if not model.compiled or model.loss is None:
        return {}
    if isinstance(model.loss, (dict, list, tuple)):
        raise ValueError(
            f"Expected a model with one loss for its only output, got {model.loss}. Compile it "
            "with that loss alone; a model with several losses is trained on by pruned.fit."
        )
    # an object, for to compile_training the name of a cross-entropy means one of logits
    return {"loss": keras.losses.get(model.loss)}


def own_metrics(model):
    """Return {"metrics": fresh ones of those that a model is compiled with}, or {} if none."""
    config = model.get_compile_config() if model.compiled else None
    metrics = keras.saving.deserialize_keras_object((config or {}).get("metrics"))
    return {"metrics": metrics} if isinstance(metrics, list) and metrics else {}


def without_removed_units(pruned, masks):
    """Return a smaller network if the masks remove units that can go, else `pruned` itself."""
    if all(mask.ndim > 1 or mask.all() for mask in masks.values()):
        return pruned
    try:
        network = smaller(pruned)
    except CannotShrink:
        return pruned
    return network if network.count_params() < pruned.count_params() else pruned


def rates(schedule, learning_rate, iterations, total):
    """Return the Keras learning-rate schedule that `retrain` calls by that name."""
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


def budget(pruned, dense, iterations, total=None):
    """Return the share of the full learning rate with which retraining should begin.

    The larger of two ratios, at most 1 (Zimmer et al. 2023): the norm of the removed weights to
    that of all, over the square root of the sparsity of the layers that lost some; and
    `iterations` to `total`. So a network that lost nothing is hardly disturbed. Without `total`
    the first alone counts, and such a network gets a rate of 0.

    Args:
        pruned: the model to retrain, as it was pruned or repaired.
        dense: the model that was pruned. Both are left as they are.
        iterations, total: batches of the retraining, and of the training of `dense`.

    Raises ValueError if the models have different layers, or seem to be interchanged.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> budget(model, model, iterations=100, total=1000)
    0.1
    """
    check_model(pruned)
    check_model(dense)
    return _budget(pruned, dense, iterations, total)


def _budget(pruned, dense, iterations, total):
    if total is not None:
        check_total(total)
    check_same_kernels(pruned, dense)
    kernels = {name: np.asarray(kernel_of(layer)) for name, layer in prunable_layers(dense).items()}
    found = {name: np.asarray(kernel_of(layer)) for name, layer in prunable_layers(pruned).items()}
    removed = {name: np.where(found[name] == 0, kernel, 0) for name, kernel in kernels.items()}
    moved, norm = (np.sqrt(sum(np.sum(w**2) for w in k.values())) for k in (removed, kernels))
    losers = [name for name, weights in removed.items() if weights.any()]
    if not losers and any((kernels[name] == 0)[found[name] != 0].any() for name in kernels):
        raise ValueError(
            f"Model {dense.name!r} has zeros where {pruned.name!r} has none: pass the pruned model "
            "first, then the dense one."
        )
    sparsity = share_of_zeros(pruned, losers) if losers else 0
    shares = [moved / norm / sparsity**0.5 if sparsity else 0, iterations / total if total else 0]
    return float(min(1, max(shares)))


def taught(student, dense, share):
    """Return a distiller to fit, by which the compiled `student` learns from `dense`, too.

    Args:
        student: a compiled model; it is trained in place, with its own optimizer and loss.
        dense: the teacher, whose outputs are softened at temperature 4 (Hinton et al. 2015). A
            copy is used, for Keras freezes it. Both must output logits of several classes.
        share: weight in [0, 1] of these outputs in the loss, the rest being that of the labels.
            With 0 the student itself is returned.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"The share of distillation must be in [0, 1], got {share}.")
    if not share:
        return student
    for model in (student, dense):
        _check_logits(model)
    if not hasattr(keras, "distillation"):
        raise ValueError(
            f"Keras {keras.__version__} has no keras.distillation, which came with 3.12. Upgrade: "
            "pip install -U keras."
        )
    if student.losses:
        raise ValueError(
            f"Model {student.name!r} has losses of its own, such as those of a kernel_regularizer, "
            "which Keras' distiller leaves out. Pass distillation=0, or a model without them."
        )
    teacher = fresh_copy(dense)
    distiller = keras.distillation.Distiller(
        teacher,
        student,
        # an object, for by its name Keras 3.15 would compare logits as if they were probabilities
        keras.distillation.LogitsDistillation(4.0, keras.losses.KLDivergence()),
        student_loss_weight=1 - share,
    )
    how = {"jit_compile": student.jit_compile, "steps_per_execution": student.steps_per_execution}
    distiller.compile(student.optimizer, student.loss, **how)
    distiller.build(student.input_shape)
    return distiller


def _check_logits(model):
    layers = prunable_layers(model)
    last = [layers[name] for name in logits_layers(model)]
    last += [output._keras_history.operation for output in model.outputs]
    if any(_makes_probabilities(layer) for layer in last):
        raise ValueError(
            f"The outputs of model {model.name!r} are probabilities; distillation needs logits. "
            "Give its last layer no activation and its loss from_logits=True."
        )
    if any(output.shape[-1] == 1 for output in model.outputs):
        raise ValueError(
            f"Model {model.name!r} has a single output; distillation compares those of several "
            "classes. Pass distillation=0."
        )


def _makes_probabilities(layer):
    functions = (keras.activations.softmax, keras.activations.sigmoid)
    activation = getattr(layer, "activation", None)
    return isinstance(layer, keras.layers.Softmax) or activation in functions
