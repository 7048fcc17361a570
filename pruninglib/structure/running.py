"""Compute tensors inside a network from others, for many examples, in little memory."""

import numpy as np

from pruninglib.backend import keras
from pruninglib.structure.graph import nodes_in_order

CHUNK = 2**22  # numbers in a chunk; much larger arrays cost more than they save: page faults


def runner(model, start, end):
    """Return a function that computes the tensor `end` of a model from the values of `start`.

    It takes the values in such chunks that what is computed on the way stays small. Raises
    LookupError if `end` depends on more than `start`.
    """
    wanted, needed = {id(end)}, []
    for node in reversed(nodes_in_order(model)):
        if wanted & {id(tensor) for tensor in node.output_tensors if tensor is not start}:
            if not node.input_tensors:
                raise LookupError(f"{end.name} depends on more than {start.name}.")
            wanted.update(id(tensor) for tensor in node.input_tensors)
            needed.insert(0, node)

    def compute(values):
        known, largest = {id(start): values}, 1
        for node in needed:
            arguments, settings = node.arguments.fill_in(known)
            found = keras.tree.flatten(node.operation(*arguments, **settings))
            known.update(zip(map(id, node.output_tensors), found, strict=True))
            largest = max(largest, *(np.prod(array.shape, dtype=int) for array in found))
        return np.asarray(known[id(end)]), largest

    def run(values):
        if not needed:
            return values
        _, largest = compute(values[:1])
        step = max(1, CHUNK // largest)
        parts = [compute(values[i : i + step])[0] for i in range(0, len(values), step)]
        return np.concatenate(parts)

    return run


def distances(models, dense, inputs):
    """Return, for each model, the sum of the squared differences of its outputs from the dense."""
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
