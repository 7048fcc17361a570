"""Put integer labels into the form that a loss expects."""

from types import FunctionType

import numpy as np

from pruninglib.backend import keras


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
