"""What callbacks that change masks have in common: they go by the updates of the optimizer."""

from pruninglib.backend import keras
from pruninglib.pruning.prune import zero_masked
from pruninglib.structure.copying import check_optimizer


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


class InTraining(keras.callbacks.Callback):
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

    def masks_changed(self):
        zero_masked(self.network)
        if keras.config.backend() == "jax":  # a compiled step holds the masks as constants
            self.model.make_train_function(force=True)


def _counters(optimizer):
    """Return what an optimizer counts; a loss scale changes where an update is skipped."""
    names = ("iteration", "dynamic_scale")
    found = (variable for variable in optimizer.variables if variable.name in names)
    return [float(keras.ops.convert_to_numpy(variable)) for variable in found]
