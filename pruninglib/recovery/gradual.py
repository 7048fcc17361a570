"""Prune a model gradually while it trains."""

import math

import numpy as np

from pruninglib.pruning.criteria import check_sparsity, magnitude
from pruninglib.pruning.masks import layer_scores, mask_levels
from pruninglib.pruning.prune import (
    held_masks,
    masked_weights,
    measure_sparsity,
    put_mask,
    zero_masked,
)
from pruninglib.recovery.in_training import InTraining, iterations_of
from pruninglib.recovery.regrowth import Regrowth
from pruninglib.recovery.retraining import retrain
from pruninglib.structure.layers import axes_within_units, constrained, kernel_of
from pruninglib.structure.prunable import prunable_layers


class GradualPruning(InTraining):
    """Prune a model in place during `fit`, gradually from iteration `begin` to `end`.

    Every `frequency` iterations the weights (or units) with the lowest scores go, and are held
    at zero from then on. At iteration t of the optimizer the sparsity is

        final_sparsity * (1 - (1 - (t - begin) / (end - begin)) ** power)

    (Zhu and Gupta 2017). It depends on the optimizer's iterations alone: a model saved in the
    middle of the schedule, loaded and fitted with such a callback goes on where it was.

    Args:
        criterion: function kernel -> scores, or {layer name: scores}, as in `make_masks`.
        final_sparsity: share in [0, 1], met exactly at `end`.
        begin, end: iterations (updates) of the optimizer, counted over all calls of `fit`. A
            model that was trained before has done some; compile it again to count from 0.
        frequency: iterations from one pruning step to the next.
        scope: "layer" or "global", as in `make_masks`.
        include, exclude: names or types of the layers to prune, and of those to leave alone, as
            in `make_masks`. Frozen layers are left alone.
        power: exponent of the schedule; 3 is the cubic one of Zhu and Gupta.

    The model keeps the masks, like one from `prune`; with a `keras.distillation.Distiller` the
    student is pruned. Raises RuntimeError if training ends before `end` (another `fit` goes on),
    and ValueError if the optimizer has done so many iterations that much would go at once, or if
    the model has no optimizer that trains it, as a GAN. List this callback after those that
    restore weights, such as EarlyStopping and BackupAndRestore: the zeros of the restored weights
    are held as far as the schedule asks for. On JAX Keras compiles its step anew at each pruning.

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

    def set_model(self, model):
        super().set_model(model)
        optimizer = getattr(model, "optimizer", None)
        self._given = iterations_of(model) if optimizer is not None else 0

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        layers = prunable_layers(self.network)
        trained = {id(variable) for variable in self.model.trainable_variables}
        frozen = [name for name, layer in layers.items() if id(kernel_of(layer)) not in trained]
        exclude = [self.exclude] if isinstance(self.exclude, (str, type)) else self.exclude
        # if all are, the first batch says so
        self._left_alone = [*exclude, *(frozen if len(frozen) < len(layers) else ())]
        scores = self._scores()
        for name, found in scores.items():
            put_mask(layers[name], np.ones(found.shape, bool))
        masks = self._masks_found(scores, self.sparsity(self._begun))
        self._check_begin(masks, self._begun)
        self._remove(masks)
        # a training function traced earlier would not see the masks
        self.model.make_train_function(force=True)
        self._last = 0.0
        self.act(self._begun)

    def _masks_found(self, scores, sparsity):
        """Return what is left, in the shape of the scores: masks held, and zeros up to `sparsity`.

        The zeros, for a callback such as BackupAndRestore restores weights, but no masks.
        """
        layers, ranks = prunable_layers(self.network), {}
        for name, found in scores.items():
            left = _of_scores(layers[name], np.asarray(kernel_of(layers[name])) != 0, found.shape)
            ranks[name] = np.where(_held(layers[name], found.shape), left.astype(int), -1)
        masks = next(mask_levels(ranks, [sparsity], self.scope))
        return {n: (rank > 0) | ((rank == 0) & (masks[n] == 1)) for n, rank in ranks.items()}

    def _check_begin(self, masks, iteration):
        size = sum(mask.size for mask in masks.values())
        pruned = 1 - sum(map(np.count_nonzero, masks.values())) / size
        rounded = 0.5 * len(masks) / size  # at most half a score a layer
        due = iteration
        if iteration != self._given:  # restored: maybe saved before this callback acted on it
            due = max(0, iteration - self.model.steps_per_execution)
        if self.sparsity(due) > pruned + rounded + 0.01:
            raise ValueError(
                f"The optimizer has {iteration} iterations behind it, where the schedule asks for "
                f"a sparsity of {self.sparsity(due):.3f}; the model's is {pruned:.3f}, so that "
                f"much would go at once. Compile the model again, or pass begin={iteration} and "
                f"end={iteration + self.end - self.begin}."
            )

    def _scores(self):
        return layer_scores(
            self.network, self.criterion, self.scope, self.include, self._left_alone
        )

    def act(self, iteration):
        """Prune as far as the schedule asks for."""
        sparsity = self.sparsity(iteration)
        if sparsity > self._last:
            self._prune(sparsity)
            self._last = sparsity

    def _prune(self, sparsity):
        layers = prunable_layers(self.network)
        scores = self._scores()
        for name, found in scores.items():
            scores[name] = np.where(_held(layers[name], found.shape), found, -np.inf)
        self._remove(next(mask_levels(scores, [sparsity], self.scope)))

    def _remove(self, masks):
        layers = prunable_layers(self.network)
        for name, mask in masks.items():
            held = held_masks(layers[name])
            for weight, _, part in masked_weights(layers[name], mask):
                before = held[weight].mask
                before.assign(np.asarray(before) & (part == 1))
        self.masks_changed()

    def on_train_end(self, logs=None):
        zero_masked(self.network)  # a callback may have restored the weights of an earlier epoch
        iteration = iterations_of(self.model)
        if iteration < self.end:
            raise RuntimeError(
                f"Training ended at iteration {iteration}, before end={self.end}: the sparsity is "
                f"{measure_sparsity(self.network, list(self._scores())):.3f} instead of "
                f"{self.final_sparsity}. Call fit again with this callback to go on, or pass an "
                "earlier end."
            )


def _held(layer, shape):
    """Return the layer's mask as bools in the shape of its scores: what is not removed yet."""
    (kernel, _), _ = constrained(layer)
    mask = np.broadcast_to(held_masks(layer)[kernel].mask, kernel_of(layer).shape)
    return _of_scores(layer, mask, shape)


def _of_scores(layer, left, shape):
    """Return bools of the kernel's shape in that of the scores: a unit is left if a weight is."""
    return left.any(axis=tuple(axes_within_units(layer))).ravel() if len(shape) == 1 else left


def prune_gradually(
    network,
    dense,
    x,
    y,
    sparsity,
    iterations,
    *,
    learning_rate=0.002,
    end=0.6,
    regrowth=0.3,
    scope="global",
    frequency=100,
    distillation=0.7,
    batch_size=128,
    seed=0,
    **training,
):
    """Train a network in place while pruning it to `sparsity`; return it.

    Weights of smallest magnitude go (Zhu and Gupta 2017), in all layers, those of the logits too;
    biases stay. Some regrow (`Regrowth`). The learning rate decays to zero over all iterations,
    by a cosine. `dense` is left as it is.

    Args:
        network: a model, usually untrained.
        dense: a trained model to learn from, with the same inputs and classes, of any size.
        x, y: float32 inputs of the model's input shape, and integer labels.
        sparsity: share in [0, 1) of the weights of all kernels together, those of the logits
            included.
        iterations: batches of training, at least 40.
        learning_rate: the rate at the first iteration.
        end: share of the iterations after which pruning ends; it begins after 5 % of them. 0.6
            did better than 0.2 in 10 epochs of MNIST; in 100, 0.2 with regrowth=0.5 did better.
            The other defaults did best in 50 epochs (evidence/choices/gradual.py).
        regrowth: share of the remaining weights that `Regrowth` exchanges at first; it ends after
            90 % of the iterations. 0 for none.
        scope: "global" ranks all layers together; "layer" prunes each to the same sparsity, up to
            rounding.
        frequency: iterations from one pruning step to the next, at most a 40th of all.
        distillation: weight of the outputs of `dense` in the loss, as in `retrain`.
        batch_size, seed: as in `train`.
        training: optimizer, loss and jit_compile, as in `compile_training`. `Regrowth` needs an
            optimizer that keeps a mean of the gradients, such as Adam, the default.

    Raises ValueError if no weight would be left, and if `dense` or `network` outputs
    probabilities instead of the logits that distillation needs.
    """
    layers = prunable_layers(network)
    size = sum(math.prod(kernel_of(layer).shape) for layer in layers.values())
    check_sparsity(sparsity)
    if round(sparsity * size) == size:
        raise ValueError(f"A sparsity of {sparsity} leaves none of the {size:,} weights.")
    if iterations < 40:
        raise ValueError(f"Expected 40 iterations or more, got {iterations}.")
    when = {
        "begin": iterations // 20,
        "frequency": min(frequency, iterations // 40),
        "scope": scope,
    }
    last = int(end * iterations)
    callbacks = [GradualPruning(magnitude, sparsity, end=last, include=list(layers), **when)]
    if regrowth:
        callbacks.append(Regrowth(regrowth, end=iterations * 9 // 10, **when))
    return retrain(
        network,
        dense,
        x,
        y,
        iterations,
        learning_rate=learning_rate,
        schedule="rewound",  # to the start, which gives the whole cosine
        total=iterations,
        distillation=distillation,
        batch_size=batch_size,
        seed=seed,
        callbacks=callbacks,
        steps_per_execution=math.gcd(iterations, 50),
        **training,
    )
