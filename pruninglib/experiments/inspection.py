"""What a trained network looks like before it is pruned."""

import numpy as np

from pruninglib.backend import keras
from pruninglib.pruning.criteria import unit_norm
from pruninglib.structure.layers import kernel_values
from pruninglib.structure.prunable import logits_layers, prunable_layers


def dead_units(model, inputs):
    """Return {layer name: bool array}: which hidden units output the same for all the inputs.

    The layers are those with units, but for the ones that make the logits.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = pl.prune(model, pl.make_masks(model, pl.unit_norm, 0.5))
    >>> dead = dead_units(pruned, np.random.default_rng(0).random((50, 4)))
    >>> bool(dead["hidden_1"].sum() >= 3)
    True
    """
    names = [name for name in prunable_layers(model) if name not in logits_layers(model)]
    outputs = keras.Model(model.inputs, {name: model.get_layer(name).output for name in names})
    values = outputs.predict(inputs, batch_size=2000, verbose=0)
    return {
        name: np.ptp(values[name].reshape(-1, values[name].shape[-1]), axis=0) == 0
        for name in names
    }


def kernel_statistics(model, **labels):
    """Yield a row for each hidden layer on how its weights and column norms are spread.

    Columns: the labels, layer, kurtosis (excess kurtosis of the weights: 0 for a Gaussian, -1.2
    for a uniform distribution), small_weights and small_norms (the share of weights, and of
    column norms, below half of their layer's mean).
    """
    for name, layer in prunable_layers(model).items():
        if name not in logits_layers(model):
            kernel = kernel_values(layer).astype(np.float64)
            centred = kernel - kernel.mean()
            sizes, norms = np.abs(kernel), unit_norm(kernel)
            yield {
                **labels,
                "layer": name,
                "kurtosis": np.mean(centred**4) / np.mean(centred**2) ** 2 - 3,
                "small_weights": np.mean(sizes < sizes.mean() / 2),
                "small_norms": np.mean(norms < norms.mean() / 2),
            }
