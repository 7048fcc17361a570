"""Prune little by little while a model trains."""

import numpy as np

from pruninglib.backend import keras
from pruninglib.pruning.criteria import check_sparsity
from pruninglib.pruning.held import held_masks, masked_weights, put_mask
from pruninglib.pruning.masks import mask_levels
from pruninglib.pruning.prune import measure_sparsity, zero_masked
from pruninglib.pruning.scores import layer_scores
from pruninglib.structure.copying import check_optimizer
from pruninglib.structure.layers import axes_within_units, constrained, kernel_of
from pruninglib.structure.prunable import prunable_layers


class GradualPruning(keras.callbacks.Callback):
    """Prune a model during `fit`: nothing before iteration `begin`, all of it at `end`.

    Every `frequency` iterations the weights (or units) with the lowest scores go, and are held
    at zero from then on. At iteration t of the optimizer the sparsity is

        final_sparsity * (1 - (1 - (t - begin) / (end - begin)) ** power)

    (cubic: Zhu and Gupta 2017). It depends on the optimizer's iterations alone: a model saved in
    mid-schedule, loaded and fitted with such a callback goes on where it was.

    Args:
        criterion: function kernel -> scores, or {layer name: scores}, as in `make_masks`.
        final_sparsity: share in [0, 1], met exactly at `end`.
        begin, end: iterations (updates) of the optimizer, counted over all calls of `fit`. A
            model that was trained before has some behind it; compile it again to count anew.
        frequency: iterations from one pruning to the next.
        scope: "layer" or "global".
        include, exclude: names or types of the layers to prune, and of those to leave alone, as
            in `make_masks`.

    The model keeps the masks, like one from `prune`; of a `keras.distillation.Distiller` the
    student is pruned. If training ends before `end`, RuntimeError is raised; the model can be
    fitted on. Name this callback after those that restore weights, such as EarlyStopping.

        callback = GradualPruning(magnitude, final_sparsity=0.9, begin=0, end=3000)
        model.fit(x, y, epochs=10, callbacks=[callback])
    """

    def __init__(
        self,
        criterion,
        final_sparsity,
        begin,
        end,
        frequency=100,
        scope="layer",
        include=None,
        power=3,
        exclude=(),
    ):
        super().__init__()
        check_sparsity(final_sparsity)
        if not (0 <= begin < end and frequency >= 1):
            raise ValueError(
                "Expected 0 <= begin < end and frequency >= 1, in iterations, got "
                f"begin={begin}, end={end}, frequency={frequency}."
            )
        self.criterion, self.final_sparsity = criterion, final_sparsity
        self.begin, self.end, self.frequency = begin, end, frequency
        self.scope, self.include, self.exclude, self.power = scope, include, exclude, power

    def sparsity(self, iteration):
        """Return the sparsity that the schedule asks for at an iteration."""
        if iteration >= self.end:
            return self.final_sparsity
        steps = max(0, iteration - self.begin) // self.frequency
        share = steps * self.frequency / (self.end - self.begin)
        return self.final_sparsity * (1 - (1 - share) ** self.power)

    @property
    def network(self):
        """The model that is pruned: the one that is trained, or its student."""
        return getattr(self.model, "student", self.model)

    def on_train_begin(self, logs=None):
        check_optimizer(self.model)
        scores, layers = self._scores(), prunable_layers(self.network)
        for name, found in scores.items():
            put_mask(layers[name], np.ones(found.shape, bool))
        self._check_begin(scores)
        # a function traced before would not see the masks
        self.model.make_train_function(force=True)
        self._last = 0.0

    def _check_begin(self, scores):
        layers = prunable_layers(self.network)
        held = [_held(layers[name], found.shape) for name, found in scores.items()]
        pruned = 1 - sum(map(np.count_nonzero, held)) / sum(mask.size for mask in held)
        done = int(self.model.optimizer.iterations)
        rounded = 0.5 * len(held) / sum(mask.size for mask in held)  # whole units, in each layer
        if self.sparsity(done) > pruned + rounded + 0.01:
            raise ValueError(
                f"The optimizer has {done} iterations behind it, where the schedule asks for a "
                f"sparsity of {self.sparsity(done):.3f}; the model's is {pruned:.3f}, so that "
                f"much would go at once. Compile the model again, or pass begin={done} and end="
                f"{done + self.end - self.begin}; if it has its zeros but no masks, hold(model)."
            )

    def _scores(self):
        arguments = self.criterion, self.scope, self.include, self.exclude
        return layer_scores(self.network, *arguments)

    def on_train_batch_end(self, batch, logs=None):
        sparsity = self.sparsity(int(self.model.optimizer.iterations))
        if sparsity > self._last:
            self._prune(sparsity)
            self._last = sparsity

    def _prune(self, sparsity):
        layers = prunable_layers(self.network)
        scores = self._scores()
        for name, found in scores.items():
            scores[name] = np.where(_held(layers[name], found.shape), found, -np.inf)
        for name, mask in next(mask_levels(scores, [sparsity], self.scope)).items():
            held = held_masks(layers[name])
            for weight, _, part in masked_weights(layers[name], mask):
                before = held[weight].mask
                before.assign(np.asarray(before) & (part == 1))
        zero_masked(self.network)

    def on_train_end(self, logs=None):
        zero_masked(self.network)  # a callback may have put the weights of an earlier epoch back
        iteration = int(self.model.optimizer.iterations)
        if iteration < self.end:
            raise RuntimeError(
                f"Training ended at iteration {iteration}, before end={self.end}: the sparsity is "
                f"{measure_sparsity(self.network, list(self._scores())):.3f} instead of "
                f"{self.final_sparsity}. Call fit again with this callback to go on, or pass an "
                "earlier end."
            )


def _held(layer, shape):
    """Return which scores of this shape belong to what a layer's mask has not removed."""
    (kernel, _), _ = constrained(layer)
    mask = np.broadcast_to(held_masks(layer)[kernel].mask, kernel_of(layer).shape)
    return mask.any(axis=tuple(axes_within_units(layer))).ravel() if len(shape) == 1 else mask
