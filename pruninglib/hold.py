"""A constraint that holds zeros, and survives saving and loading."""

import base64
import zlib

import keras
import numpy as np

from pruninglib.kernels import constrained, for_units


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


def put_mask(layer, mask):
    """Hold a mask on a layer from its next compilation on, beside what its constraints did.

    Args:
        mask: 0/1 array of the shape of the layer's kernel, or (units,): then on the bias too.
    """
    for name, constraint, part in masked_weights(layer, mask):
        before = getattr(layer, constraint)
        if isinstance(before, HoldMask):
            part, before = np.logical_and(before.mask, part), before.then
        set_constraint(layer, name, constraint, HoldMask(part, before))


def set_constraint(layer, name, constraint, value):
    """Put a constraint on a weight, and in the layer's config."""
    getattr(layer, name).constraint = value
    setattr(layer, constraint, value)


def masked_weights(layer, mask):
    """Yield what a mask acts on: (name of a weight, name of its constraint, mask for it)."""
    (kernel, kernel_constraint), (bias, bias_constraint) = constrained(layer)
    yield kernel, kernel_constraint, mask if mask.ndim > 1 else for_units(layer, mask)
    if mask.ndim == 1 and getattr(layer, bias, None) is not None:
        yield bias, bias_constraint, mask


def held_masks(layer):
    """Return {name of a weight: HoldMask} for the weights of a layer that hold a mask."""
    found = {name: getattr(layer, constraint, None) for name, constraint in constrained(layer)}
    return {name: held for name, held in found.items() if isinstance(held, HoldMask)}
