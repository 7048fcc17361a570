"""The classes that saved models refer to: the constraint that holds zeros, and a schedule's end.

Imported when Keras is, so that `keras.models.load_model` finds them.
"""

import base64
import zlib

import keras  # not from backend, which imports Keras: importing Keras imports this module
import numpy as np


@keras.saving.register_keras_serializable(package="pruninglib")
class HoldMask(keras.constraints.Constraint):
    """Set the masked weights to zero after every update of the optimizer.

    Keras applies a constraint after each update, whatever the optimizer, its momentum or its
    weight decay, so the zeros are exact. The mask is part of the constraint's config and thus
    of the saved model. It is a variable, so that it can change between two calls of `fit`
    without recompiling.

    Args:
        mask: 0/1 array that broadcasts against the weights: the kernel's shape, or (units,).
        then: the constraint that the layer had, applied before the mask, or None.
    """

    def __init__(self, mask, then=None):
        self.mask = keras.Variable(np.asarray(mask, bool), dtype="bool", trainable=False)
        self.then = keras.constraints.get(then)

    def __call__(self, w):
        w = keras.ops.convert_to_tensor(w if self.then is None else self.then(w))
        # `where`, not a product: a masked weight is zero even if the update made it NaN
        return keras.ops.where(self.mask.value, w, keras.ops.zeros((), dtype=w.dtype))

    def get_config(self):
        mask = np.asarray(self.mask)
        bits = zlib.compress(np.packbits(mask).tobytes())
        return {
            "shape": list(mask.shape),
            "bits": base64.b64encode(bits).decode("ascii"),
            "then": keras.constraints.serialize(self.then) if self.then else None,
        }

    @classmethod
    def from_config(cls, config):
        bits = np.frombuffer(zlib.decompress(base64.b64decode(config["bits"])), np.uint8)
        shape = config["shape"]
        mask = np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape)
        return cls(mask, config["then"])


@keras.saving.register_keras_serializable(package="pruninglib")
class EndOf(keras.optimizers.schedules.LearningRateSchedule):
    """The end of a learning-rate schedule, from iteration `offset` on, its rates times `scale`.

    The scale is a variable, so that it can change without recompiling.
    """

    def __init__(self, schedule, offset=0, scale=1.0):
        self.schedule = keras.optimizers.schedules.deserialize(schedule)
        self.offset = offset
        self.scale = keras.Variable(scale, dtype="float32", trainable=False)

    def __call__(self, step):
        return self.scale * self.schedule(step + self.offset)

    def get_config(self):
        schedule = keras.optimizers.schedules.serialize(self.schedule)
        return {"schedule": schedule, "offset": self.offset, "scale": float(self.scale)}


def whole(schedule):
    """Return the full schedule if this one is an `EndOf`, else the schedule itself."""
    return whole(schedule.schedule) if isinstance(schedule, EndOf) else schedule
