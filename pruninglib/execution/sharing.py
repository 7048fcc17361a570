"""Let the weights of a layer share a few values, to be stored once.

Weight sharing of Deep Compression (Han et al. 2016): a codebook for each layer, by k-means.
"""

import numpy as np
from sklearn.cluster import KMeans

from pruninglib.backend import keras
from pruninglib.execution.packed import CODES
from pruninglib.recovery.in_training import in_sync
from pruninglib.structure.copying import fresh_copy
from pruninglib.structure.graph import check_model
from pruninglib.structure.layers import kernel_of
from pruninglib.structure.prunable import matching, prunable_layers

TINY = np.finfo(np.float32).tiny


def share_weights(model, values=16, include=None, exclude=()):
    """Return a copy of a model in which the nonzero weights of each kernel have few values.

    Weight sharing (Han et al. 2016): each weight becomes the nearest of the kernel's values, which
    k-means finds, starting from values equally spaced between the smallest and the largest weight.
    Zeros, biases and kernels that have as few values already stay as they are.

    Args:
        model: a built model; it is left as it is.
        values: number of different values of a kernel besides zero, from 1 to 256, else ValueError.
        include, exclude: names or types of layers; default all Dense and convolution layers.

    To train further with shared values, fit with the callback `HoldShared`.

    >>> shared = share_weights(pl.make_mlp(4, [6, 5], 3), 2)
    >>> np.unique(shared.layers[0].kernel).size
    2
    """
    if not 1 <= values <= CODES:
        raise ValueError(f"values must lie in [1, {CODES}], got {values}.")
    check_model(model)
    shared = fresh_copy(model)
    layers = prunable_layers(shared)
    names = matching(layers, list(layers) if include is None else include)
    for name in set(names) - set(matching(layers, exclude)):
        kernel = np.array(kernel_of(layers[name]))
        nonzero = kernel != 0
        if len(np.unique(kernel[nonzero])) > values:
            found = _nearest(kernel[nonzero], values)
            kernel[nonzero] = np.where(found == 0, TINY, found)  # zero would mean pruned
            kernel_of(layers[name]).assign(kernel)
    return shared


class HoldShared(keras.callbacks.Callback):
    """Keep shared weights equal, in place, during `fit`: after each batch they get their mean.

    This holds for each kernel that has at most 256 values besides zero when training begins, as
    after `share_weights`; its zeros stay zero. Under plain gradient descent this trains tied
    weights (Han et al. 2016), at the learning rate divided by their number. With a
    `keras.distillation.Distiller` it acts on the student. It works with masks that are held or
    remove more, not with `Regrowth`. Raises ValueError if no kernel has so few values, if a
    callback listed before it restores weights that are not equal, or if the model is compiled with
    steps_per_execution above 1.

        shared = share_weights(pruned, 16)
        shared.fit(x, y, callbacks=[HoldShared()])
    """

    def set_model(self, model):
        super().set_model(model)
        self._given = {name: np.count_nonzero(values) for name, _, values, _ in self._found()}

    def _found(self):
        """Yield (layer name, kernel, its different values, the index of each weight's value)."""
        for name, layer in prunable_layers(getattr(self.model, "student", self.model)).items():
            kernel = kernel_of(layer)
            values, codes = np.unique(np.asarray(kernel), return_inverse=True)
            yield name, kernel, values, codes.ravel()

    def on_train_begin(self, logs=None):
        if self.model.steps_per_execution > 1:
            raise ValueError(
                "HoldShared acts after each batch, but the model is compiled with "
                f"steps_per_execution={self.model.steps_per_execution}. Compile it with 1."
            )
        self._codes = {}
        for name, kernel, values, codes in self._found():
            count, given = np.count_nonzero(values), self._given[name]
            if 0 < given <= CODES and count > given:
                raise ValueError(
                    f"A callback restored weights of layer {name!r} that are not shared: it had "
                    f"{given} values besides zero, and has {count}. List HoldShared before that "
                    "callback, such as a BackupAndRestore that saves between two epochs."
                )
            if 0 < count <= CODES:
                self._codes[name] = (kernel, codes, values == 0)
        if not self._codes:
            raise ValueError(
                f"No kernel of {list(self._given)} has at most {CODES} values besides zero. Let "
                "them share some: share_weights(model, 16)."
            )

    def on_train_batch_end(self, batch, logs=None):
        in_sync(self.model)
        for kernel, codes, is_zero in self._codes.values():
            flat = np.asarray(kernel).ravel()
            left = flat != 0  # a mask may remove more by now
            counts = np.bincount(codes, left)
            means = np.bincount(codes, flat) / np.maximum(counts, 1)
            means = np.where(is_zero, 0, means).astype(flat.dtype)
            kernel.assign(np.where(left, means[codes], 0).reshape(kernel.shape))


def _nearest(weights, count):
    """Return for each weight the nearest of `count` values, by k-means."""
    start = np.linspace(weights.min(), weights.max(), count)
    found = KMeans(count, init=start[:, None], n_init=1).fit(weights[:, None])
    return found.cluster_centers_[found.labels_, 0]
