"""Prune little by little while a model trains."""

import keras
import numpy as np

from pruninglib.criteria import check_sparsity
from pruninglib.graph import check_optimizer, prunable_layers
from pruninglib.hold import HELD, HoldMask
from pruninglib.masks import layer_scores, mask_levels
from pruninglib.pruning import measure_sparsity, set_masks


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
        begin, end: iterations (batches) of the optimizer, counted over all calls of `fit`.
        frequency: iterations from one pruning to the next.
        scope: "layer" or "global".
        layers: names of the layers to prune; default all but those that make the logits.

    The model keeps the masks, like one from `prune`; of a `keras.distillation.Distiller` the
    student is pruned. If training ends before `end`, RuntimeError
    is raised; the model can be fitted on.

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
        layers=None,
        power=3,
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
        self.scope, self.layers, self.power = scope, layers, power

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
        scores = layer_scores(self.network, self.criterion, self.scope, self.layers)
        _hold_everything(self.network, {name: found.shape for name, found in scores.items()})
        # a function traced before would not see the masks
        self.model.make_train_function(force=True)
        self._last = 0.0

    def on_train_batch_end(self, batch, logs=None):
        sparsity = self.sparsity(int(self.model.optimizer.iterations))
        if sparsity > self._last:
            self._prune(sparsity)
            self._last = sparsity

    def _prune(self, sparsity):
        layers = prunable_layers(self.network)
        scores = layer_scores(self.network, self.criterion, self.scope, self.layers)
        held = {name: np.asarray(layers[name].kernel_constraint.mask) for name in scores}
        scores = {name: np.where(held[name], found, -np.inf) for name, found in scores.items()}
        masks = next(mask_levels(scores, [sparsity], self.scope))
        set_masks(self.network, {name: held[name] & (mask == 1) for name, mask in masks.items()})

    def on_train_end(self, logs=None):
        iteration = int(self.model.optimizer.iterations)
        if iteration < self.end:
            raise RuntimeError(
                f"Training ended at iteration {iteration}, before end={self.end}: the sparsity is "
                f"{measure_sparsity(self.network, self.layers):.3f} instead of "
                f"{self.final_sparsity}. Call fit again with this callback to go on, or pass an "
                "earlier end."
            )


def _hold_everything(model, shapes):
    """Put masks that remove nothing yet on the layers of a model that hold none."""
    layers = prunable_layers(model)
    for name, shape in shapes.items():
        held = layers[name].kernel_constraint
        if isinstance(held, HoldMask) and held.mask.shape == shape:
            continue
        for weight_name, constraint_name in HELD[: 1 if len(shape) > 1 else 2]:
            weight = getattr(layers[name], weight_name, None)
            if weight is not None:
                constraint = HoldMask(np.ones(shape, bool), getattr(layers[name], constraint_name))
                setattr(layers[name], constraint_name, constraint)
                weight.constraint = constraint
