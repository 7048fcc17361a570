"""Let removed weights grow back while a model trains, in exchange for the smallest left."""

import numpy as np

from pruninglib.pruning.prune import held_masks, zero_masked
from pruninglib.recovery.in_training import InTraining
from pruninglib.structure.layers import kernel_of
from pruninglib.structure.prunable import prunable_layers


class Regrowth(InTraining):
    """Regrow removed weights in place during `fit`, in exchange for the smallest that are left.

    Every `frequency` iterations a share of the remaining weights is removed, those of smallest
    magnitude, and as many removed ones come back, at zero: those of largest gradient (RigL, Evci
    et al. 2020). The gradients are the optimizer's running means (Dettmers and Zettlemoyer 2019),
    which masks do not affect. The share falls from `share` at `begin` to 0 at `end`, by a cosine.
    The sparsity stays the same.

    Args:
        share: share in (0, 1) of the remaining weights to exchange at `begin`.
        begin, end: iterations (updates) of the optimizer, counted over all calls of `fit`. With
            those of a `GradualPruning`, and its frequency, both act at the same iterations.
        frequency: iterations from one exchange to the next.
        scope: "layer" keeps the number of weights of each layer, "global" that of all together.
            Beside a `GradualPruning` it should be the same as there: with "global" here and
            "layer" there, more is pruned than asked.

    The model must hold weight masks, from `prune` or from a `GradualPruning` listed before this
    callback, and its optimizer must keep a mean of the gradients (Adam, or SGD with momentum);
    ValueError otherwise. Frozen layers keep their masks; ValueError if all are frozen. If another
    callback restores the weights of an earlier epoch while training, those exchanged since are
    zero. With a BackupAndRestore listed before it, training goes on where it was interrupted.
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
        super().on_train_begin(logs)
        layers = [
            layer for layer in prunable_layers(self.network).values() if _holds_weights(layer)
        ]
        if not layers:
            raise ValueError(
                f"Model {self.network.name!r} holds no weight masks. Prune it first, or name "
                "GradualPruning before this callback."
            )
        trained = {id(variable) for variable in self.model.trainable_variables}
        # a frozen kernel has no gradients: it stays as it is
        self._kernels = [k for k in map(kernel_of, layers) if id(k) in trained]
        if not self._kernels:
            raise ValueError(
                f"All layers of model {self.network.name!r} that hold weight masks are frozen, so "
                "that no weight could regrow. Set their trainable to True and compile again, or "
                "fit without this callback."
            )
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        self._means = [_mean_gradient(optimizer, kernel) for kernel in self._kernels]
        self._change_masks(as_restored)
        self._done = self._step(self._begun)

    def act(self, iteration):
        """Exchange weights if another `frequency` iterations are done."""
        step = self._step(iteration)
        if step > self._done:
            self._done = step
            progress = step * self.frequency / (self.end - self.begin)
            if 0 < progress < 1:
                self._exchange(self.share * (1 + np.cos(np.pi * progress)) / 2)

    def _step(self, iteration):
        return (iteration - self.begin) // self.frequency

    def on_train_end(self, logs=None):
        zero_masked(self.network)  # a callback may have restored the weights of an earlier epoch

    def _exchange(self, share):
        self._change_masks(lambda *parts: exchange(*parts, share))

    def _change_masks(self, change):
        """Set the masks to `change(mask, weights, gradients)`, of each layer or of all together."""
        masks = [kernel.constraint.mask for kernel in self._kernels]
        layers = [
            [np.asarray(values).ravel() for values in each]
            for each in zip(masks, self._kernels, self._means, strict=True)
        ]
        if self.scope == "global":
            ends = np.cumsum([len(mask) for mask, _, _ in layers])[:-1]
            joined = (np.concatenate(parts) for parts in zip(*layers, strict=True))
            found = np.split(change(*joined), ends)
        else:
            found = [change(*parts) for parts in layers]
        for mask, new in zip(masks, found, strict=True):
            mask.assign(new.reshape(mask.shape))
        self.masks_changed()


def exchange(mask, weights, gradients, share):
    """Return a new mask with a share of the smallest weights exchanged for removed ones.

    Args:
        mask: bool array (n,), True for the weights that are left.
        weights, gradients: arrays (n,).
        share: share of the weights left to exchange, those of smallest magnitude for the removed
            ones of largest gradient; at most as many as are removed.
    """
    count = min(int(share * mask.sum()), int((~mask).sum()))
    new = mask.copy()
    if count:
        magnitudes = np.where(mask, np.abs(weights), np.inf)
        slopes = np.where(mask, -np.inf, np.abs(gradients))
        new[np.argpartition(magnitudes, count - 1)[:count]] = False
        new[np.argpartition(slopes, -count)[-count:]] = True
    return new


def as_restored(mask, weights, gradients):
    """Return a mask that leaves as many, for weights that may have been restored without theirs.

    A callback such as BackupAndRestore restores weights, but no masks. If the mask would remove
    weights that are not zero, and it leaves enough for all of these, they are left, and as many
    zeros as before, of largest gradient: some had come back, at zero. Else it stays as it is.
    """
    left = int(mask.sum())
    if not weights[~mask].any() or np.count_nonzero(weights) > left:
        return mask
    new = np.zeros_like(mask)
    new[np.lexsort((-np.abs(gradients), weights == 0))[:left]] = True
    return new


def _holds_weights(layer):
    kernel = kernel_of(layer)
    return any(held.mask.shape == kernel.shape for held in held_masks(layer).values())


def _mean_gradient(optimizer, kernel):
    """Return the optimizer's variable that holds the running mean of a kernel's gradients."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    name = f"{kernel.path.replace('/', '_')}_momentum"
    means = [variable for variable in inner.variables if variable.name == name]
    # two kernels may have the same path; the optimizer keeps their means in the order of these
    kernels = [other for other in inner._trainable_variables if other.path == kernel.path]
    places = [place for place, other in enumerate(kernels) if other is kernel]
    if not places:
        raise ValueError(
            f"The optimizer {type(inner).__name__} was built before {kernel.path!r} was trainable. "
            "Compile the model again."
        )
    # what these two keep by that name is a mean of other things than gradients
    others = ("RMSprop", "ScheduleFreeAdamW")
    if len(means) != len(kernels) or type(inner).__name__ in others:
        raise ValueError(
            f"The optimizer {type(inner).__name__} keeps no mean of the gradients. Compile the "
            "model with Adam, or with SGD and a momentum; prune_gradually goes without by "
            "regrowth=0."
        )
    return means[places[0]]
