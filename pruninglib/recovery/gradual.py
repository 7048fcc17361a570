"""Prune a model gradually while it trains, and let removed weights grow back."""

import math

import numpy as np

from pruninglib.backend import keras
from pruninglib.pruning.criteria import check_sparsity, magnitude
from pruninglib.pruning.masks import layer_scores, mask_levels
from pruninglib.pruning.prune import (
    held_masks,
    masked_weights,
    measure_sparsity,
    put_mask,
    zero_masked,
)
from pruninglib.recovery.retraining import retrain
from pruninglib.structure.copying import check_optimizer
from pruninglib.structure.layers import axes_within_units, constrained, kernel_of
from pruninglib.structure.prunable import prunable_layers


def in_sync(model):
    """Return a model that is being trained, with its variables up to date.

    On JAX Keras keeps what it trains outside of the variables until an epoch ends.
    """
    if hasattr(model, "jax_state_sync"):
        model.jax_state_sync()
    return model


def iterations_of(model):
    """Return how many updates the optimizer of a model has made, also while it is being trained."""
    # not int(), which cannot read the mirrored variable of a distribution strategy
    return int(keras.ops.convert_to_numpy(in_sync(model).optimizer.iterations))


class _InTraining(keras.callbacks.Callback):
    """A callback that changes masks by the iterations of the model's optimizer.

    It checks when training begins that there is such an optimizer and that no other callback
    restores weights later, and after the first batch that the optimizer made an update; then and
    after each batch it calls `act` with the iterations done.
    """

    @property
    def network(self):
        """The model that is pruned: the one that is trained, or a distiller's student."""
        return getattr(self.model, "student", self.model)

    def on_train_begin(self, logs=None):
        check_optimizer(self.model)
        if getattr(self.model, "optimizer", None) is None:
            raise ValueError(self._no_updates("has no optimizer"))
        self._begun = iterations_of(self.model)
        self._at_begin = _counters(self.model.optimizer)

    def on_epoch_begin(self, epoch, logs=None):
        if self._at_begin is not None and iterations_of(self.model) != self._begun:
            raise ValueError(
                f"Another callback restored weights after {type(self).__name__} had looked at "
                f"them. List {type(self).__name__} after it: callbacks=[BackupAndRestore(...), "
                f"{type(self).__name__}(...)]."
            )

    def on_train_batch_end(self, batch, logs=None):
        iteration = iterations_of(self.model)
        if self._at_begin is not None and self._at_begin == _counters(self.model.optimizer):
            raise ValueError(self._no_updates("made no update in the first batch"))
        self._at_begin = None
        self.act(iteration)

    def _no_updates(self, what):
        return (
            f"{type(self).__name__} goes by the iterations of model.optimizer, but that of model "
            f"{self.model.name!r} {what}. If its train_step uses optimizers of its own, pass the "
            "one of the layers to prune to compile(optimizer=...), too, and use it as "
            "self.optimizer; if all its layers are frozen, set trainable to True. Without a "
            "schedule, fit what prune(model, masks) returns."
        )

    def _masks_changed(self):
        zero_masked(self.network)
        if keras.config.backend() == "jax":  # a compiled step holds the masks as constants
            self.model.make_train_function(force=True)


def _counters(optimizer):
    """Return what an optimizer counts; a loss scale changes where an update is skipped."""
    names = ("iteration", "dynamic_scale")
    found = (variable for variable in optimizer.variables if variable.name in names)
    return [float(keras.ops.convert_to_numpy(variable)) for variable in found]


class GradualPruning(_InTraining):
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
        self._masks_changed()

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


class Regrowth(_InTraining):
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
        self._masks_changed()


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
