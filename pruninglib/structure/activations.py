"""Compute the inputs of each layer for many examples, as the rows of a linear problem.

A Dense or Conv2D layer computes rows @ matrix before its activation. The rows are the inputs of
a Dense layer, or the patches that a convolution reads, with a 1 for the bias. Everything is
computed in chunks, to save memory.
"""

import numpy as np

from pruninglib.backend import keras
from pruninglib.structure.graph import check_graph, nodes, unnested
from pruninglib.structure.layers import PRUNABLE
from pruninglib.structure.prunable import prunable_layers

IN_MEMORY = 2**28  # numbers that are kept, 1 GB in float32; more are recomputed when needed
CHUNK = 2**22  # numbers in a chunk; much larger arrays lose more by page faults than they save


def layer_rows(model, inputs):
    """Yield (layer, function that returns an iterator over its rows, in chunks), in order.

    Only Dense and ungrouped Conv2D layers outside nested models, called once, are yielded. A
    layer's rows are computed with the weights that the layers before it have by then.

    Args:
        inputs: array of examples; ValueError if it does not fit the model or holds NaN.
    """
    layers = prunable_layers(model).values()
    check_graph(model)
    inputs, calls = check_inputs(model, inputs), nodes(model)
    source = (model.inputs[0], inputs)
    for layer in layers:
        kinds = (keras.layers.Dense, keras.layers.Conv2D)
        times = len(calls.get(layer, ()))  # 0 for a layer of a nested model
        if isinstance(layer, kinds) and getattr(layer, "groups", 1) == times == 1:
            (node,) = calls[layer]
            tensor = node.input_tensors[0]
            source = _advance(model, source, tensor, inputs)
            yield layer, _row_chunks(layer, runner(model, source[0], tensor), source[1])


def _row_chunks(layer, run, values):
    step = max(1, CHUNK // rows(layer, run(values[:1])).size)
    return lambda: (rows(layer, run(values[i : i + step])) for i in range(0, len(values), step))


def _advance(model, source, tensor, inputs):
    """Return (tensor, its values); if these are too many to keep, the pair they come from."""
    start, values = source
    try:
        run = runner(model, start, tensor)
    except LookupError:
        start, values = model.inputs[0], inputs
        run = runner(model, start, tensor)
    if len(inputs) * run(values[:1]).size > IN_MEMORY:
        return start, values
    return tensor, run(values)


def matrix(layer):
    """Return the layer's kernel as (inputs, units), the bias as one more row."""
    kernel = np.asarray(layer.kernel).reshape(-1, layer.kernel.shape[-1])
    return np.vstack([kernel, layer.bias]) if layer.use_bias else kernel


def assign_matrix(layer, values):
    """Set, in place, the layer's kernel and bias from an array such as `matrix` returns."""
    if layer.use_bias:
        layer.bias.assign(values[-1])
        values = values[:-1]
    layer.kernel.assign(values.reshape(layer.kernel.shape))


def rows(layer, values):
    """Return the inputs of a layer as rows, such that rows @ matrix are its pre-activations."""
    if isinstance(layer, keras.layers.Conv2D):
        if layer.data_format == "channels_first":  # patches of which not all processors support
            values = keras.ops.moveaxis(values, 1, -1)
        settings = (layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
        values = keras.ops.image.extract_patches(values, *settings, "channels_last")
    found = np.asarray(values, np.float32)
    found = found.reshape(-1, found.shape[-1])
    return np.hstack([found, np.ones((len(found), 1), np.float32)]) if layer.use_bias else found


def check_inputs(model, inputs):
    """Return the examples as a float32 array; raise ValueError unless they fit the model."""
    if len(model.inputs) != 1:
        raise ValueError(f"Model {model.name!r} has {len(model.inputs)} inputs, expected one.")
    inputs, expected = np.asarray(inputs, np.float32), model.inputs[0].shape[1:]
    fits = inputs.ndim == len(expected) + 1 and all(
        size in (None, found) for size, found in zip(expected, inputs.shape[1:], strict=True)
    )
    if not fits or not len(inputs):
        sizes = ", ".join(map(str, expected))
        raise ValueError(f"Expected inputs of shape (examples, {sizes}), got {inputs.shape}.")
    if bad := np.count_nonzero(~np.isfinite(inputs)):
        raise ValueError(
            f"{bad:,} of the {inputs.size:,} input values are NaN or infinite. Remove those "
            "examples, or fill the gaps."
        )
    return inputs


def runner(model, start, end):
    """Return a function that computes the tensor `end` of a model from the values of `start`.

    It takes the values in chunks so small that no tensor on the way gets large. Raises
    LookupError if `end` depends on more than `start`.
    """
    calls, _, nested = unnested(model)
    start, end = (nested.get(id(tensor), tensor) for tensor in (start, end))
    wanted, needed = {id(end)} - {id(start)}, []
    for call in reversed(calls):
        if wanted & set(map(id, call.outputs)):
            wanted -= set(map(id, call.outputs))
            wanted |= set(map(id, call.inputs)) - {id(start)}
            needed.insert(0, call)
    if wanted:
        raise LookupError(f"{end.name} depends on more than {start.name}.")

    def run(values):
        if not needed:
            return values
        step = _step(needed, {id(start): values[:1]})
        parts = (values[i : i + step] for i in range(0, len(values), step))
        found = (_compute(needed, {id(start): part})[id(end)] for part in parts)
        return np.concatenate([np.asarray(part) for part in found])

    return run


def _compute(calls, known):
    """Run calls of layers in order; return {id of a tensor: its values}, outputs added."""
    for call in calls:
        inputs = zip(call.node.input_tensors, call.inputs, strict=True)
        values = {id(own): known[id(tensor)] for own, tensor in inputs}
        arguments, settings = call.node.arguments.fill_in(values)
        found = keras.tree.flatten(call.layer(*arguments, **settings))
        known |= zip(map(id, call.outputs), found, strict=True)
    return known


def _step(calls, known):
    """Return, from one example, how many at a time keep the largest array within `CHUNK`."""
    computed = _compute(calls, known).values()
    return max(1, CHUNK // max(np.prod(array.shape, dtype=int) for array in computed))


def layer_outputs(model, inputs):
    """Yield (name, outputs as rows, an array (n, units)) of all layers with units, in chunks.

    Layers of nested models are named "model/layer". Raises ValueError if a layer is in a model
    that is called more than once, or with training=True: such models are not unnested.

    Args:
        inputs: array of examples; for a model with several inputs a list of arrays, in order.
    """
    calls, _, _ = unnested(model)
    seen = {id(call.layer) for call in calls}
    if hidden := [name for name, layer in prunable_layers(model).items() if id(layer) not in seen]:
        raise ValueError(
            f"The layers {hidden} are in a model that is called more than once, or as in training: "
            "what they put out cannot be told apart."
        )
    inputs = [inputs] if len(model.inputs) == 1 else inputs
    examples = [
        np.asarray(array, tensor.dtype) for array, tensor in zip(inputs, model.inputs, strict=True)
    ]

    def known(part):
        return dict(zip(map(id, model.inputs), (array[part] for array in examples), strict=True))

    step = _step(calls, known(slice(1)))
    for i in range(0, len(examples[0]), step):
        values = _compute(calls, known(slice(i, i + step)))
        for call in calls:
            if isinstance(call.layer, PRUNABLE):
                outputs = np.asarray(values[id(call.outputs[0])])
                if getattr(call.layer, "data_format", None) == "channels_first":
                    outputs = np.moveaxis(outputs, 1, -1)
                yield call.name, outputs.reshape(-1, outputs.shape[-1])


def distances(models, dense, inputs):
    """Return, for each model, the summed squared differences of its outputs from `dense`'s."""
    sums = np.zeros(len(models))
    for tensors in zip(*(model.outputs for model in (dense, *models)), strict=True):
        both = zip((dense, *models), tensors, strict=True)
        run, *runs = (runner(model, model.inputs[0], tensor) for model, tensor in both)
        step = max(1, CHUNK // run(inputs[:1]).size)
        for i in range(0, len(inputs), step):
            x = inputs[i : i + step]
            expected = run(x)
            for j, found in enumerate(runs):
                sums[j] += np.square(np.subtract(found(x), expected, dtype=np.float64)).sum()
    return sums
