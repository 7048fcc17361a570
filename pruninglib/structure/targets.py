"""What a training sees: batches of examples, and labels in the form that its loss wants."""

from types import FunctionType

import numpy as np

from pruninglib.backend import keras


def targets(labels, loss, classes):
    """Return integer labels in the form a loss wants: one-hot, or as they are if it is sparse.

    Args:
        loss: name of a Keras loss, a Keras loss, or a loss of the user's, which gets integers.
        classes: number of the model's outputs; for a single one the labels stay as they are.
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
