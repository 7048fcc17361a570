"""Build the smaller network that computes the same function as a pruned one.

A unit goes when nothing reads it, or when it outputs a constant: its incoming weights are all
zero, so it outputs activation(bias). That constant times its outgoing weights is folded into
the bias of the next layer, so that the outputs stay the same to rounding.
"""

import keras
import numpy as np

from pruninglib.chain import CannotShrink, acts_on_each_unit, dense_chain
from pruninglib.graph import prunable_layers, rebuild
from pruninglib.hold import HoldMask


def shrink(pruned):
    """Return a smaller model with the outputs of `pruned`, to 1e-5 relative.

    Works on a chain of Dense layers with any bias and elementwise activation, with activation
    and dropout layers between them. The inputs and the last Dense layer keep their size. Masks
    on the weights that are left are still held. The original is untouched.

    Raises CannotShrink (a ValueError) that names the layer, where the model is no such chain,
    where removed units share an activation with others, or where no unit would be left.
    """
    prunable_layers(pruned)
    chain = dense_chain(pruned)
    dense = [layer for layer in chain if isinstance(layer, keras.layers.Dense)]
    kernels = [np.asarray(layer.kernel) for layer in dense]
    biases = [
        np.asarray(layer.bias if layer.use_bias else np.zeros(layer.units), np.float64)
        for layer in dense
    ]
    kept = _read_units(kernels)
    for i, layer in enumerate(dense[:-1]):
        live = kernels[i][np.ix_(kept[i], kept[i + 1])].any(axis=0)
        constant, kept[i + 1] = kept[i + 1][~live], kept[i + 1][live]
        if not live.any():
            raise CannotShrink(
                f"Layer {layer.name!r} would lose all of its {layer.units} units. Prune it less: "
                "lower its sparsity, for example with a dict of sparsities per layer."
            )
        if not live.all() or live.size < layer.units:
            outputs = _constant_outputs(chain, layer, biases[i])
            biases[i + 1] += outputs[constant] @ kernels[i + 1][constant].astype(np.float64)
    return _rebuild_smaller(pruned, dense, kernels, biases, kept)


def _read_units(kernels):
    """Return, for the inputs of each Dense layer and the outputs, which ones something reads."""
    read = [np.arange(kernels[-1].shape[1])]
    for kernel in reversed(kernels[1:]):
        read.insert(0, np.flatnonzero(kernel[:, read[0]].any(axis=1)))
    return [np.arange(kernels[0].shape[0]), *read]


def _constant_outputs(chain, layer, bias):
    """Return what the units of a Dense layer pass to the next one if their inputs weigh nothing."""
    values = keras.ops.convert_to_tensor(bias[None].astype("float32"))
    for link in chain[chain.index(layer) :]:
        if isinstance(link, keras.layers.Dense) and link is not layer:
            break
        activation = getattr(link, "activation", None)
        if not acts_on_each_unit(activation):
            name = getattr(activation, "__name__", activation)
            raise CannotShrink(
                f"Cannot shrink at layer {link.name!r}: its activation {name!r} is not known to "
                "act on each unit alone, so that removing a unit might change the others."
            )
        values = activation(values) if link is layer else link(values)
    return np.asarray(values, np.float64)[0]


def _rebuild_smaller(model, dense, kernels, biases, kept):
    position = {layer.name: i for i, layer in enumerate(dense)}

    def resize(layer, config):
        if layer.name in position:
            i = position[layer.name]
            config["units"] = len(kept[i + 1])
            config["use_bias"] = layer.use_bias or bool(biases[i].any())
            config["kernel_constraint"] = _cut(
                layer.kernel_constraint, kernels[i], *kept[i : i + 2]
            )
            config["bias_constraint"] = _cut(layer.bias_constraint, biases[i], kept[i + 1])
        return config

    smaller = rebuild(model, resize)
    for i, layer in enumerate(dense):
        twin = smaller.get_layer(layer.name)
        twin.kernel.assign(kernels[i][np.ix_(*kept[i : i + 2])])
        if twin.use_bias:
            twin.bias.assign(biases[i][kept[i + 1]])
    return smaller


def _cut(constraint, weight, *kept):
    if not isinstance(constraint, HoldMask):
        return constraint
    mask = np.broadcast_to(constraint.mask, weight.shape)[np.ix_(*kept)]
    return constraint.then if mask.all() else HoldMask(mask, constraint.then)
