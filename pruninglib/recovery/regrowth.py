"""Let pruned weights come back where they are needed, while a model trains."""

import numpy as np

from pruninglib.backend import keras
from pruninglib.pruning.held import held_masks
from pruninglib.pruning.prune import zero_masked
from pruninglib.structure.copying import check_optimizer
from pruninglib.structure.layers import kernel_of
from pruninglib.structure.prunable import prunable_layers


class Regrowth(keras.callbacks.Callback):
    """Exchange weights during `fit`, at constant sparsity: the smallest go, others come back.

    Every `frequency` iterations a share of the weights that are left is removed, those with the
    smallest magnitudes, and as many removed ones come back, those with the largest gradients
    (RigL, Evci et al. 2020), at zero. The gradients are the optimizer's running mean of them
    (as Dettmers and Zettlemoyer 2019), which masks do not touch. The share falls from `share` at
    `begin` to 0 at `end` like a half period of a cosine.

    Args:
        share: share in (0, 1) of the weights that are left.
        begin, end: iterations (updates) of the optimizer, counted over all calls of `fit`. With
            those of a `GradualPruning`, and its frequency, both act at the same iterations.
        frequency: iterations from one exchange to the next.
        scope: "layer" keeps the number of weights of each layer, "global" that of all together.
            Beside a `GradualPruning` it should be the same as there: with "global" here and
            "layer" there, more is pruned than asked.

    The model must hold weight masks, from `prune`, or from a `GradualPruning` that stands before
    this callback; and its optimizer keep a mean of the gradients: Adam, or SGD with momentum.
    Weights of an earlier epoch that another callback restores lose what has been exchanged since.
    """

    def __init__(self, share, begin, end, frequency=100, scope="layer"):
        super().__init__()
        if not (0 < share < 1 and 0 <= begin < end and frequency >= 1):
            raise ValueError(
                "Expected share in (0, 1), 0 <= begin < end and frequency >= 1 (in iterations), "
                f"got share={share}, begin={begin}, end={end}, frequency={frequency}."
            )
        if scope not in ("layer", "global"):
            raise ValueError(f'scope must be "layer" or "global", got {scope!r}.')
        self.share, self.begin, self.end = share, begin, end
        self.frequency, self.scope = frequency, scope

    def on_train_begin(self, logs=None):
        check_optimizer(self.model)
        self.network = getattr(self.model, "student", self.model)
        layers = prunable_layers(self.network).values()
        self._kernels = [kernel_of(layer) for layer in layers if _holds_weights(layer)]
        if not self._kernels:
            raise ValueError(
                f"Model {self.network.name!r} holds no weight masks. Prune it first, or name "
                "GradualPruning before this callback."
            )
        self._means = None
        self._done = self._step()

    def on_train_batch_end(self, batch, logs=None):
        if self._means is None:  # not at the beginning: the first step makes the variables
            self._means = [_mean_gradient(self.model.optimizer, kernel) for kernel in self._kernels]
        step = self._step()
        if step > self._done:
            self._done = step
            progress = step * self.frequency / (self.end - self.begin)
            if 0 < progress < 1:
                self._exchange(self.share * (1 + np.cos(np.pi * progress)) / 2)

    def _step(self):
        return (int(self.model.optimizer.iterations) - self.begin) // self.frequency

    def on_train_end(self, logs=None):
        zero_masked(self.network)  # a callback may have put the weights of an earlier epoch back

    def _exchange(self, share):
        masks = [kernel.constraint.mask for kernel in self._kernels]
        layers = [
            [np.asarray(values).ravel() for values in each]
            for each in zip(masks, self._kernels, self._means, strict=True)
        ]
        if self.scope == "global":
            ends = np.cumsum([len(mask) for mask, _, _ in layers])[:-1]
            joined = (np.concatenate(parts) for parts in zip(*layers, strict=True))
            found = np.split(exchange(*joined, share), ends)
        else:
            found = [exchange(*parts, share) for parts in layers]
        for mask, new in zip(masks, found, strict=True):
            mask.assign(new.reshape(mask.shape))
        zero_masked(self.network)


def exchange(mask, weights, gradients, share):
    """Return a mask of as many weights, with a share of the smallest exchanged for removed ones.

    Args:
        mask: bool array (n,); weights, gradients: arrays (n,).
        share: share of the weights that are left to exchange, those of smallest magnitude, for
            the removed ones of largest gradient; fewer if fewer are removed.
    """
    count = min(int(share * mask.sum()), int((~mask).sum()))
    new = mask.copy()
    if count:
        magnitudes = np.where(mask, np.abs(weights), np.inf)
        slopes = np.where(mask, -np.inf, np.abs(gradients))
        new[np.argpartition(magnitudes, count - 1)[:count]] = False
        new[np.argpartition(slopes, -count)[-count:]] = True
    return new


def _holds_weights(layer):
    kernel = kernel_of(layer)
    return any(held.mask.shape == kernel.shape for held in held_masks(layer).values())


def _mean_gradient(optimizer, kernel):
    """Return the optimizer's variable that holds the running mean of a kernel's gradients."""
    name = f"{kernel.path.replace('/', '_')}_momentum"
    for variable in optimizer.variables:
        if variable.name == name:
            return variable
    raise ValueError(
        f"The optimizer {type(optimizer).__name__} keeps no mean of the gradients. Compile the "
        "model with Adam, or with SGD and a momentum; prune_gradually goes without by regrowth=0."
    )
