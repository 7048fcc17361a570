"""Small networks of all shapes, examples for them, and what Keras makes of these."""

import keras
import numpy as np
from keras import layers

import pruninglib as pl


def dense(units, activation="relu", bias=True, name=None, **settings):
    """A Dense layer whose bias does not start at zero, so that forgetting it shows."""
    return keras.layers.Dense(
        units, activation, use_bias=bias, bias_initializer="random_normal", name=name, **settings
    )


def unbuilt():
    return keras.Sequential([dense(3), dense(2)], name="unbuilt")


def subclassed():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__(name="subclassed")
            self.dense = dense(2)

        def call(self, inputs):
            return self.dense(inputs)

    model = Subclassed()
    model(np.zeros((1, 3), np.float32))
    return model


def without_kernels():
    return keras.Sequential([keras.Input((4,)), keras.layers.ReLU()], name="without_kernels")


def with_weight(value):
    model = pl.make_mlp(4, (6, 5), 3)
    kernel = model.get_layer("hidden_2").kernel
    kernel.assign(np.full(kernel.shape, value))
    return model


def with_moving_average():
    model = pl.make_mlp(4, (6, 5), 3)
    model.compile(keras.optimizers.SGD(use_ema=True), "mse")
    return model


# What no function of the library accepts: (how to make the model, error, part of its message)
BAD_MODELS = {
    "never built": (unbuilt, ValueError, r"'unbuilt' was never built.*call model\.build"),
    "no kernels": (without_kernels, ValueError, "'without_kernels' has no layer.*found ReLU"),
    "NaN": (lambda: with_weight(np.nan), ValueError, "hidden_2/kernel .*NaN or inf.*Train again"),
    "infinite": (lambda: with_weight(np.inf), ValueError, "hidden_2/kernel .*NaN or infinite"),
    "no model": (lambda: "mlp", TypeError, "Expected a Keras model, got str"),
}


def convolution(filters=3, size=(3, 2), bias=True, **settings):
    settings["bias_initializer"] = "random_normal"
    return layers.Conv2D(filters, size, use_bias=bias, **settings)


def normalisation():
    """BatchNormalization that has seen data, so that inference differs from training."""
    return layers.BatchNormalization(
        moving_mean_initializer="random_normal", beta_initializer="random_normal"
    )


def sequential():
    """Layers that act otherwise in training stand between Dense ones."""
    between = [layers.Dropout(0.5), normalisation(), layers.GaussianNoise(1.0)]
    parts = [dense(6, name="a"), *between, dense(5, "tanh", False, name="b"), dense(3, name="c")]
    return keras.Sequential([keras.Input((4,)), *parts])


def skipping(join):
    """A join of an early layer's outputs with later ones, and of the inputs with those."""
    inputs = keras.Input((4,))
    a = dense(4, name="a")(inputs)
    b = dense(4, name="b")(dense(5, name="wide")(a))
    c = dense(4, name="c")(join()([a, b]))
    return keras.Model(inputs, dense(3, None, name="logits")(join()([c, inputs])))


def branching():
    """Two branches that do not see each other."""
    inputs = keras.Input((4,))
    left = dense(5, name="left_2")(dense(4, name="left_1")(inputs))
    right = dense(5, name="right_2")(dense(3, name="right_1")(inputs))
    return keras.Model(inputs, dense(3, name="logits")(layers.Add()([left, right])))


def convolutional():
    between = [normalisation(), layers.ReLU(), layers.Dropout(0.5)]
    last = convolution(2, 2, activation="relu", padding="same", strides=2, name="last")
    parts = [convolution(name="first"), *between, last, layers.Flatten(), dense(3, name="logits")]
    return keras.Sequential([keras.Input((6, 6, 2)), *parts])


def residual():
    inputs = keras.Input((5, 6, 2))
    a = convolution(4, 3, padding="same", activation="relu", name="a")(inputs)
    b = normalisation()(convolution(4, 3, False, padding="same", name="b")(a))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(layers.Add()([a, b])))
    return keras.Model(inputs, dense(3, None, name="logits")(x))


def sequences():
    """Dense layers that act on each step of a sequence."""
    parts = [dense(5, name="a"), dense(4, name="b"), layers.GlobalAveragePooling1D(), dense(2)]
    return keras.Sequential([keras.Input((5, 3)), *parts])


NETWORKS = {
    "sequential": sequential,
    "added": lambda: skipping(layers.Add),
    "concatenated": lambda: skipping(layers.Concatenate),
    "branches": branching,
    "convolutions": convolutional,
    "residual convolutions": residual,
    "sequences": sequences,
}


def examples(model, count=20):
    size = (count, *model.input_shape[1:])
    return np.random.default_rng(1).normal(size=size).astype(np.float32)


def by_keras(model, layer, inputs):
    """Return the outputs of a layer, one row for each example and position."""
    outputs = np.asarray(keras.Model(model.inputs[0], layer.output)(inputs, training=False))
    return outputs.reshape(-1, outputs.shape[-1])
