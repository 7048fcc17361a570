"""Compute the inputs of each layer for many examples, as the rows of a linear problem.

A Dense, Conv1D or Conv2D layer computes rows @ matrix before its activation. The rows are the
inputs of a Dense layer, or the patches that a convolution reads, with a 1 for the bias. Everything
is computed in chunks, to save memory, and as `predict` does it.
"""

from collections import Counter
from functools import cache, partial

import numpy as np

from pruninglib.backend import keras
from pruninglib.structure.graph import check_graph, graph_of, unnested
from pruninglib.structure.layers import PRUNABLE, array_of
from pruninglib.structure.prunable import prunable_layers

IN_MEMORY = 2**28  # numbers that are kept, 1 GB in float32; more are recomputed when needed
CHUNK = 2**22  # numbers in a chunk; much larger arrays lose more by page faults than they save
LINEAR = (keras.layers.Dense, keras.layers.Conv1D, keras.layers.Conv2D)


def layer_rows(model, inputs):
    """Yield (name, layer, function that returns an iterator over its rows, in chunks), in order.

    Only Dense and ungrouped Conv1D and Conv2D layers that are called once are yielded; those of
    nested models are named "model/layer". A layer's rows are computed with the weights that the
    layers before it have by then.

    Args:
        inputs: list of arrays, from `examples`.
    """
    check_graph(model)
    calls, _, _ = unnested(model)
    times, own = Counter(id(call.layer) for call in calls), {id(call.layer): call for call in calls}
    source = start = (graph_of(model).inputs, inputs)
    for name, layer in prunable_layers(model).items():
        if _is_linear(layer) and getattr(layer, "groups", 1) == times[id(layer)] == 1:
            (tensor,) = own[id(layer)].inputs
            source = _advance(model, source, tensor, start)
            yield name, layer, _row_chunks(layer, runner(model, source[0], tensor), source[1])


def _is_linear(layer):
    """Say whether a layer computes what Keras' own does: a class derived from it may not."""
    return any(isinstance(layer, kind) and type(layer).call is kind.call for kind in LINEAR)


def _known(tensors, values):
    return dict(zip(map(id, tensors), values, strict=True))


def _row_chunks(layer, run, values):
    step = max(1, CHUNK // rows(layer, run(first(values))).size)
    return lambda: (
        rows(layer, run([array[i : i + step] for array in values]))
        for i in range(0, len(values[0]), step)
    )


def first(arrays):
    """Return the first example."""
    return [array[:1] for array in arrays]


def _advance(model, source, tensor, start):
    """Return ([tensor], [its values]); if these are too many to keep, what they come from."""
    try:
        run = runner(model, source[0], tensor)
    except LookupError:
        source = start
        run = runner(model, source[0], tensor)
    if len(source[1][0]) * run(first(source[1])).size > IN_MEMORY:
        return source
    return [tensor], [run(source[1])]


def matrix(layer):
    """Return the layer's kernel as (inputs, units), the bias as one more row."""
    kernel = array_of(layer.kernel).reshape(-1, layer.kernel.shape[-1])
    return np.vstack([kernel, array_of(layer.bias)]) if layer.use_bias else kernel


def assign_matrix(layer, values):
    """Set, in place, the layer's kernel and bias from an array such as `matrix` returns."""
    if layer.use_bias:
        layer.bias.assign(values[-1])
        values = values[:-1]
    layer.kernel.assign(values.reshape(layer.kernel.shape))


def rows(layer, values):
    """Return the inputs of a layer as rows, such that rows @ matrix are its pre-activations."""
    if not isinstance(layer, keras.layers.Dense):
        values = _patches(layer, keras.ops.convert_to_tensor(values, "float32"))
    found = keras.ops.convert_to_numpy(values).astype(np.float32, copy=False)
    found = found.reshape(-1, found.shape[-1])
    return np.hstack([found, np.ones((len(found), 1), np.float32)]) if layer.use_bias else found


def _patches(layer, values):
    """Return what a convolution reads at each place, its channels last."""
    if layer.data_format == "channels_first":  # patches of which not all processors support
        values = keras.ops.moveaxis(values, 1, -1)
    settings = [layer.kernel_size, layer.strides, layer.dilation_rate]
    padding = layer.padding
    if isinstance(layer, keras.layers.Conv1D):  # as one of two dimensions, the second of size one
        if padding == "causal":
            before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
            values, padding = keras.ops.pad(values, ((0, 0), (before, 0), (0, 0))), "valid"
        values, settings = keras.ops.expand_dims(values, 2), [(*each, 1) for each in settings]
    return keras.ops.image.extract_patches(values, *settings, padding, "channels_last")


def runner(model, starts, end):
    """Return a function that computes the tensor `end` of a model from the values of others.

    It takes a list of arrays, one for each of the tensors `starts`, in chunks so small that no
    tensor on the way gets large. Raises LookupError if `end` depends on more than these.
    """
    calls, _, nested = unnested(model)
    starts, end = [nested.get(id(t), t) for t in starts], nested.get(id(end), end)
    known = set(map(id, starts))
    wanted, needed = {id(end)} - known, []
    for call in reversed(calls):
        if wanted & set(map(id, call.outputs)):
            wanted -= set(map(id, call.outputs))
            wanted |= set(map(id, call.inputs)) - known
            needed.insert(0, call)
    if wanted:
        raise LookupError(f"{end.name} depends on more than {[start.name for start in starts]}.")

    def run(values):
        if not needed:
            return values[[id(start) for start in starts].index(id(end))]
        step = _step(needed, _known(starts, first(values)))
        parts = ([a[i : i + step] for a in values] for i in range(0, len(values[0]), step))
        found = (_compute(needed, _known(starts, part))[id(end)] for part in parts)
        return np.concatenate([keras.ops.convert_to_numpy(part) for part in found])

    return run


class _Inference(keras.layers.Layer):
    """Call a function as `predict` would: layers that it calls, and theirs, know training=False.

    Told to each layer alone it would not reach a layer within a layer that takes no such argument.
    """

    def call(self, values, follow, training=None):
        return follow(values)


@cache
def _inference():
    return _Inference(autocast=False)


def _compute(calls, known):
    """Run calls of layers in order; return {id of a tensor: its values}, outputs added."""
    follow = partial(_follow, calls, list(known))
    return _inference()(list(known.values()), follow=follow, training=False)


def _follow(calls, names, values):
    known = dict(zip(names, values, strict=True))
    for call in calls:
        inputs = zip(call.node.input_tensors, call.inputs, strict=True)
        values = {id(own): known[id(tensor)] for own, tensor in inputs}
        arguments, settings = call.node.arguments.fill_in(values)
        if "training" in settings:
            settings["training"] = False  # as `predict` does, even where the call says True
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
        inputs: list of arrays, from `examples`.
    """
    calls, _, _ = unnested(model)
    seen = {id(call.layer) for call in calls}
    if hidden := [name for name, layer in prunable_layers(model).items() if id(layer) not in seen]:
        raise ValueError(
            f"The layers {hidden} are in a model that is called more than once, or as in training: "
            "what they put out cannot be told apart."
        )
    tensors = graph_of(model).inputs
    step = _step(calls, _known(tensors, first(inputs)))
    for i in range(0, len(inputs[0]), step):
        values = _compute(calls, _known(tensors, [array[i : i + step] for array in inputs]))
        for call in calls:
            if isinstance(call.layer, PRUNABLE):
                outputs = keras.ops.convert_to_numpy(values[id(call.outputs[0])])
                if getattr(call.layer, "data_format", None) == "channels_first":
                    outputs = np.moveaxis(outputs, 1, -1)
                yield call.name, outputs.reshape(-1, outputs.shape[-1])


def distances(models, dense, inputs):
    """Return, for each model, the summed squared differences of its outputs from `dense`'s."""
    sums = np.zeros(len(models))
    for tensors in zip(*(model.outputs for model in (dense, *models)), strict=True):
        both = zip((dense, *models), tensors, strict=True)
        run, *runs = (runner(model, graph_of(model).inputs, tensor) for model, tensor in both)
        step = max(1, CHUNK // run(first(inputs)).size)
        for i in range(0, len(inputs[0]), step):
            x = [array[i : i + step] for array in inputs]
            expected = run(x)
            for j, found in enumerate(runs):
                sums[j] += np.square(np.subtract(found(x), expected, dtype=np.float64)).sum()
    return sums
