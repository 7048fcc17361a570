"""Put integer labels into the form that a loss expects."""

from types import FunctionType

import numpy as np

from pruninglib.backend import keras


def targets(labels, loss, classes):
    """Return integer labels in the form a loss expects: one-hot, or unchanged if it is sparse.

    Args:
        loss: a Keras loss or its name, or a user's own loss, which gets integers.
        classes: number of the model's outputs; with a single one the labels stay as they are.

    Raises ValueError if a sparse loss would get a label that is not below `classes`.
    """
    loss = keras.losses.get(loss)
    name = getattr(loss, "name", None) or loss.__name__
    kind = loss if isinstance(loss, FunctionType) else type(loss)
    sparse = isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
    sparse = sparse or name.startswith("sparse")
    if sparse and np.max(labels) >= classes:  # TensorFlow would make all weights NaN
        raise ValueError(
            f"A label is {np.max(labels)}, but the model has {classes} outputs and the loss {name} "
            "wants one for each class from 0 on. Pass the model's own loss, or other labels."
        )
    if sparse or classes == 1 or not kind.__module__.startswith("keras."):
        return labels
    return keras.utils.to_categorical(labels, classes)
