"""A constraint that holds zeros, and survives saving and loading."""

import base64
import zlib

import keras  # when Keras is imported, so is this: not the other way round
import numpy as np


@keras.saving.register_keras_serializable(package="pruninglib")
class HoldMask(keras.constraints.Constraint):
    """Set the masked weights to zero after every update of the optimizer.

    Keras applies a constraint after each update, whatever the optimizer, its momentum or its
    weight decay, so the zeros are exact. The mask is part of the constraint's config and thus
    of the saved model. It is a variable, so that it can change between two calls of `fit`
    without a new compilation.

    Args:
        mask: 0/1 array that broadcasts against the weights: the kernel's shape, or (units,).
        then: a constraint to apply before the mask (the one that the layer had), or None.
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
