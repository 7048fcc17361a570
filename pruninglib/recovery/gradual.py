"""Train a network from its start and prune it meanwhile: the way to the fewest weights."""

import math

from pruninglib.pruning.criteria import magnitude
from pruninglib.recovery.regrowth import Regrowth
from pruninglib.recovery.retraining import retrain
from pruninglib.recovery.schedules import GradualPruning
from pruninglib.structure.layers import kernel_of
from pruninglib.structure.prunable import prunable_layers


def prune_gradually(
    network,
    dense,
    x,
    y,
    weights,
    iterations,
    learning_rate=0.002,
    end=0.6,
    regrowth=0.3,
    scope="global",
    frequency=100,
    distillation=0.7,
    batch_size=128,
    seed=0,
    **training,
):
    """Train a network in place and prune it meanwhile, until so many weights are left; return it.

    The smallest weights go, in all layers, those of the logits too; biases stay. The rate decays
    to zero over all iterations like half a period of a cosine.

    Args:
        network: a model, most often one without training.
        dense: a trained model to learn from, of any size.
        x, y: float32 inputs and integer labels.
        weights: number of weights that are left in the kernels together.
        iterations: batches of training, 40 at least.
        end: share of the iterations after which all is pruned; pruning begins after 5 % of them.
            0.6 did better than 0.2 in 10 epochs of MNIST, 0.2, with regrowth=0.5, in 100. The
            other defaults did best in 50 (benchmarks/choose_gradual.py).
        regrowth: share of the weights left that `Regrowth` exchanges at first; it ends after 90 %
            of the iterations. 0 for none.
        scope: "global" ranks all layers together, "layer" prunes each alike, where rounding may
            leave a weight more or less in each.
        frequency: iterations from one pruning to the next, at most a 40th of all.
        distillation: share of the outputs of `dense` in what is learned, as in `retrain`.
        training: optimizer, loss and jit_compile, as in `compile_training`. `Regrowth` needs an
            optimizer that keeps a mean of the gradients, such as Adam, the default.
    """
    layers = prunable_layers(network)
    size = sum(math.prod(kernel_of(layer).shape) for layer in layers.values())
    if not 0 < weights <= size:
        raise ValueError(f"weights must be from 1 to the {size:,} of the network, got {weights}.")
    if iterations < 40:
        raise ValueError(f"Expected 40 iterations or more, got {iterations}.")
    when = {
        "begin": iterations // 20,
        "frequency": min(frequency, iterations // 40),
        "scope": scope,
    }
    last = int(end * iterations)
    callbacks = [
        GradualPruning(magnitude, 1 - weights / size, end=last, include=list(layers), **when)
    ]
    if regrowth:
        callbacks.append(Regrowth(regrowth, end=iterations * 9 // 10, **when))
    return retrain(
        network,
        dense,
        x,
        y,
        iterations,
        learning_rate,
        "rewound",  # to the start: all of the cosine
        iterations,
        distillation,
        batch_size,
        seed,
        callbacks,
        steps_per_execution=math.gcd(iterations, 50),
        **training,
    )
