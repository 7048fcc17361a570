"""Turn what users have into examples and labels as a model and its loss take them."""

from collections.abc import Iterable, Mapping
from itertools import count
from types import FunctionType

import numpy as np

from pruninglib.backend import keras
from pruninglib.structure.graph import graph_of, is_graph

MANY = 2**30  # numbers in batches, 4 GB or more, beyond which they are not collected


def examples(model, data, most=None):
    """Return the examples as a list of arrays, one for each of the model's inputs, in its order.

    Args:
        model: a model; of a subclassed one the arrays are taken as they are.
        data: an array (examples, ...); for a model with several inputs a list of arrays or a dict
            {input name: array}; or batches of these: a tf.data.Dataset, a generator, a PyDataset
            or a DataLoader of PyTorch. A batch that is a tuple is (inputs, labels), as in Keras.
        most: how many examples to take from batches; default all. ValueError if they never end.

    Integers and strings stay what they are; floats become float32 (float64 where the model takes
    that). Raises ValueError for other shapes, for values that do not fit the model's type, and
    for NaN and infinite ones.
    """
    if is_batched(data):
        data, _ = collected(data, most)
    if is_graph(model):
        inputs = graph_of(model).inputs
        arrays = [_array(*pair) for pair in zip(inputs, _in_order(model, data), strict=True)]
    else:
        arrays = [_numpy(array) for array in keras.tree.flatten(data)]
    if len(set(map(len, arrays))) > 1:
        raise ValueError(
            f"The inputs come with {[len(array) for array in arrays]} examples; expected the same "
            "number for each."
        )
    return arrays


def labelled(model, x, y=None, most=None):
    """Return (examples as `examples` returns them, labels), for inputs and labels, or batches.

    Args:
        x, y: inputs and an array of labels; or, with y=None, batches that are (inputs, labels).
        most: how many examples to take from batches.
    """
    if is_batched(x) == (y is not None):
        raise ValueError(
            "Expected inputs and labels, such as two arrays, or batches that hold both, such as "
            f"a tf.data.Dataset, and no labels beside them; got {_kind(x)} and {_kind(y)}."
        )
    if y is None:
        x, y = collected(x, most)
        if y is None:
            raise ValueError("The batches hold no labels. Expected tuples (inputs, labels).")
    arrays = examples(model, x)
    labels = keras.tree.map_structure(np.asarray, y)
    for found in keras.tree.flatten(labels):
        if len(found) != len(arrays[0]):
            raise ValueError(f"Got {len(arrays[0])} examples, but {len(found)} labels.")
    return arrays, labels


def structured(model, arrays):
    """Return arrays, one for each input, in the structure with which the model is called."""
    if not is_graph(model):
        return arrays[0] if len(arrays) == 1 else tuple(arrays)
    given = keras.tree.pack_sequence_as(graph_of(model)._inputs_struct, list(arrays))
    return tuple(given) if isinstance(given, list) else given  # tf.data would stack a list


def targets(labels, loss, classes):
    """Return integer labels in the form a loss expects: one-hot, or unchanged if it is sparse.

    Args:
        labels: array; one that has a value for each output already, or none of integers, stays.
        loss: a Keras loss or its name, or a user's own loss, which gets integers.
        classes: number of the model's outputs; with a single one the labels stay as they are.

    Raises ValueError for a label below 0 or not below `classes`.
    """
    loss = keras.losses.get(loss)
    name = getattr(loss, "name", None) or loss.__name__
    kind = loss if isinstance(loss, FunctionType) else type(loss)
    sparse = isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
    sparse = sparse or name.startswith("sparse")
    labels = np.asarray(labels)
    if not sparse:
        whole = labels.dtype.kind in "biu"
        already = labels.ndim > 1 and labels.shape[-1] == classes
        if classes == 1 or not whole or already or not kind.__module__.startswith("keras."):
            return labels
    if np.min(labels) < 0 or np.max(labels) >= classes:  # TensorFlow would make all weights NaN
        bad = np.min(labels) if np.min(labels) < 0 else np.max(labels)
        raise ValueError(
            f"A label is {bad}, but the model has {classes} outputs and the loss {name} "
            "wants one for each class from 0 on. Pass the model's own loss, or other labels."
        )
    if sparse:
        return labels
    return keras.utils.to_categorical(labels, classes)


def is_batched(data):
    """Say whether data come in batches: a dataset, loader or generator, not arrays."""
    if isinstance(data, (keras.utils.PyDataset, str)):
        return not isinstance(data, str)
    if isinstance(data, (list, tuple, Mapping)) or hasattr(data, "shape"):
        return False
    return isinstance(data, Iterable) and not hasattr(data, "__array__")


def collected(data, most=None):
    """Return (inputs, labels or None) of batches, as arrays in the structure that these have."""
    inputs, labels, number, size = [], [], 0, 0
    for batch in _batches(data, most):
        x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
        if weights is not None:
            raise ValueError("The batches hold sample weights, which are not used. Leave them out.")
        inputs.append(keras.tree.map_structure(_numpy, x))
        labels.append(None if y is None else keras.tree.map_structure(_numpy, y))
        arrays = keras.tree.flatten(inputs[-1])
        if not all(array.ndim for array in arrays):
            raise ValueError("Expected batches of examples, got single numbers. Batch them first.")
        number, size = number + len(arrays[0]), size + sum(array.size for array in arrays)
        if most is not None and number >= most:
            break
        if size > MANY:
            raise ValueError(
                f"The batches hold more than {MANY:,} numbers, perhaps without end. Pass fewer, "
                "such as data.take(100) of a tf.data.Dataset."
            )
    if not inputs:
        raise ValueError(f"{_kind(data)} gave no batch. A generator gives its batches only once.")
    return _joined(inputs, most), None if labels[0] is None else _joined(labels, most)


def _joined(batches, most):
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts)[:most], *batches)


def _batches(data, most):
    """Return an iterable over the batches; ValueError if they never end and all are wanted."""
    indexed = isinstance(data, keras.utils.PyDataset)
    if indexed:
        endless = data.num_batches is None
    else:  # a tf.data.Dataset tells, a generator does not
        endless = hasattr(data, "cardinality") and int(data.cardinality()) == -1
    if endless and most is None:
        raise ValueError("The dataset never ends. Pass a part of it, such as data.take(100).")
    if indexed:
        return map(data.__getitem__, count() if endless else range(data.num_batches))
    return data


def _numpy(values):
    """Return a tensor of whatever framework, an array or a list as an array."""
    return keras.ops.convert_to_numpy(values) if keras.ops.is_tensor(values) else np.asarray(values)


def _in_order(model, data):
    """Return what is given for each of a model's inputs, in their order."""
    names = _names(model)
    if isinstance(data, Mapping):
        if set(data) != set(names):
            raise ValueError(f"Expected inputs named {names}, got {list(data)}.")
        return [data[name] for name in names]
    if len(names) > 1:
        if not isinstance(data, (list, tuple)) or len(data) != len(names):
            raise ValueError(
                f"Model {model.name!r} has {len(names)} inputs, expected a list of as many arrays "
                f"in the order {names}, or a dict; got {_kind(data)}."
            )
        return list(data)
    one = isinstance(data, (list, tuple)) and len(data) == 1
    return list(data) if one and np.ndim(data[0]) == len(model.inputs[0].shape) else [data]


def _names(model):
    structure = graph_of(model)._inputs_struct
    if isinstance(structure, Mapping):
        return sorted(structure)  # the order in which Keras flattens a dict
    return [tensor.name for tensor in graph_of(model).inputs]


def _array(tensor, values):
    """Return what is given for an input as an array of its shape and type."""
    found, expected = _numpy(values), tensor.shape[1:]
    if tensor.shape[0] is not None:
        raise ValueError(
            f"The model takes batches of exactly {tensor.shape[0]} examples. Build it with "
            "keras.Input(shape) in place of batch_shape, to run any number of them."
        )
    fits = found.ndim == len(expected) + 1 and all(
        size in (None, other) for size, other in zip(expected, found.shape[1:], strict=True)
    )
    if not fits or not len(found):
        sizes = ", ".join(map(str, expected))
        raise ValueError(
            f"Expected inputs of shape (examples, {sizes}), got {found.shape} for {tensor.name!r}. "
            "Single examples are to be batched first."
        )
    return _converted(tensor, found)


def _converted(tensor, found):
    """Return an array in the type of an input; ValueError if that would change what it says."""
    if tensor.dtype == "string":
        return found
    if found.dtype.kind not in "biufV":  # V: bfloat16 and its like
        raise ValueError(f"Expected numbers for {tensor.name!r}, got {found.dtype}.")
    whole = tensor.dtype == "bool" or "int" in tensor.dtype
    kind = tensor.dtype if whole or tensor.dtype == "float64" else "float32"
    with np.errstate(invalid="ignore", over="ignore"):  # errors below
        values = found.astype(kind, copy=False)
    if (whole or found.dtype.kind in "iu") and not (values == found).all():
        raise ValueError(
            f"Expected inputs of {tensor.dtype} for {tensor.name!r}, got {found.dtype} with values "
            f"that {tensor.dtype} does not hold. Convert them first, or give that input the dtype "
            f'"{found.dtype}".'
        )
    if not whole and (bad := np.count_nonzero(~np.isfinite(values))):
        raise ValueError(
            f"{bad:,} of the {values.size:,} input values are NaN or infinite. Remove those "
            "examples, or fill the gaps."
        )
    return values


def _kind(data):
    return "none" if data is None else f"{type(data).__module__}.{type(data).__name__}"
