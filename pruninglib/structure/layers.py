"""Which Keras layers can be pruned, where they keep their kernels, and on which axis the units."""

import math

import numpy as np

from pruninglib.backend import keras

TRANSPOSED = tuple(getattr(keras.layers, f"Conv{n}DTranspose") for n in (1, 2, 3))
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
PRUNABLE = (keras.layers.Dense, *CONVOLUTIONS, *TRANSPOSED, *DEPTHWISE, *SEPARABLE)
MIXING = ("softmax", "log_softmax", "sparsemax", "glu", "threshold")
ELEMENTWISE = tuple(
    getattr(keras.activations, name)
    for name in dir(keras.activations)
    if not name.startswith("_") and name not in (*MIXING, "get", "serialize", "deserialize")
)


def kinds(names):
    """Return the Keras layer classes with these names; "2D" stands for 1D, 2D and 3D."""
    every = [name.replace("2D", f"{n}D") for name in names.split() for n in (1, 2, 3)]
    return tuple({getattr(keras.layers, name) for name in every})


ALONE = kinds("""ReLU LeakyReLU ELU PReLU Dropout SpatialDropout2D GaussianNoise GaussianDropout
    AlphaDropout Identity Rescaling""")
UNCHANGED = kinds("""MaxPooling2D AveragePooling2D GlobalMaxPooling2D GlobalAveragePooling2D
    Cropping2D UpSampling2D RepeatVector ActivityRegularization""")
PADDING = kinds("ZeroPadding2D")
SHAPING = kinds("Flatten Reshape")
SCALING = kinds("PReLU LayerNormalization RMSNormalization")  # by weights of any shape
SIZED = kinds("Reshape Rescaling Normalization")  # their configs may depend on the channel count
MERGING = kinds("Add Subtract Multiply Average Maximum Minimum")
OPERATIONS = """Add Subtract Multiply Divide TrueDivide Maximum Minimum Negative Absolute Square
    Relu Relu6 LeakyRelu Elu Selu Gelu Silu Sigmoid HardSigmoid HardSilu Tanh Softplus""".split()  # noqa: SIM905


def kernel_of(layer):
    """Return the variable that masks act on; in a separable convolution the pointwise kernel."""
    return layer.pointwise_kernel if isinstance(layer, SEPARABLE) else layer.kernel


def weight_matrices(layer):
    """Return the weights of two or more axes of a layer and all in it, each once.

    Frozen ones count, and the integers of quantized layers. Biases and scales do not, such as those
    of MultiHeadAttention and PReLU, which have several axes, too.
    """
    found = {}
    for part in layer._flatten_layers():
        if not isinstance(part, SCALING):
            quantized = [w for w in part._non_trainable_variables if "int" in str(w.dtype)]
            weights = (*part._trainable_variables, *quantized)
            matrices = (w for w in weights if len(w.shape) > 1 and w.name != "bias")
            found |= {id(matrix): matrix for matrix in matrices}
    return list(found.values())


def constrained(layer):
    """Return the weights that masks act on, as pairs (weight name, constraint name)."""
    bias = ("bias", "bias_constraint")
    if isinstance(layer, SEPARABLE):
        return [("pointwise_kernel", "pointwise_constraint"), bias]
    if isinstance(layer, DEPTHWISE):
        return [("kernel", "depthwise_constraint"), bias]
    return [("kernel", "kernel_constraint"), bias]


def is_prunable(layer):
    """Say whether masks can act on a layer's kernel: not if it is quantized or has LoRA weights."""
    changed = getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False)
    return isinstance(layer, PRUNABLE) and not changed


def is_depthwise(layer):
    """Say whether each unit of a layer reads only one input channel."""
    groups = getattr(layer, "groups", 1)
    return isinstance(layer, DEPTHWISE) or (groups > 1 and layer.kernel.shape[-2] == 1)


def units_last(layer, kernel):
    """Return an array of the layer's kernel shape as (..., units).

    Keras keeps the units of a transposed convolution on the second-last axis, and those of a
    depthwise one on the last two, as (inputs, multiplier).
    """
    if isinstance(layer, TRANSPOSED):
        return np.swapaxes(kernel, -1, -2)
    if isinstance(layer, DEPTHWISE):
        return np.reshape(kernel, (*kernel.shape[:-2], -1))
    return kernel


def as_kernel(layer, array):
    """Return an array (..., units) in the shape of the layer's kernel: undo `units_last`."""
    if isinstance(layer, TRANSPOSED):
        return np.swapaxes(array, -1, -2)
    return np.reshape(array, kernel_of(layer).shape)


def for_units(layer, values):
    """Return an array (units,) in a shape that broadcasts against the layer's kernel."""
    if isinstance(layer, TRANSPOSED):
        return values[:, None]
    if isinstance(layer, DEPTHWISE):
        return values.reshape(layer.kernel.shape[-2:])
    return values


def axes_within_units(layer):
    """Return the axes of the layer's kernel that run over the weights of one unit."""
    axes = list(range(len(kernel_of(layer).shape)))
    if isinstance(layer, TRANSPOSED):
        return [*axes[:-2], axes[-1]]
    return axes[:-2] if isinstance(layer, DEPTHWISE) else axes[:-1]


def number_of_units(layer):
    """Return the number of units (output channels) of a layer."""
    shape = kernel_of(layer).shape
    return math.prod(
        shape[axis] for axis in range(len(shape)) if axis not in axes_within_units(layer)
    )


def array_of(variable):
    """Return the values of a variable as an array; half precision, which sums badly, as float32."""
    values = keras.ops.convert_to_numpy(variable)
    half = values.dtype.kind in "fV" and values.dtype.itemsize < 4
    return values.astype(np.float32) if half else values


def kernel_values(layer):
    """Return the layer's kernel as an array (..., units)."""
    return units_last(layer, array_of(kernel_of(layer)))


def acts_on_each_unit(activation):
    """Say whether an activation (function, layer or None) is known to be elementwise."""
    if type(activation) is keras.layers.Activation:
        activation = activation.activation
    if type(activation) is keras.layers.PReLU:  # its weights are not listed by the layer it is in
        return False
    return activation in (None, *ELEMENTWISE) or type(activation) in ALONE


def check_shape(name, array, layer):
    """Raise ValueError unless `array` has the shape of a layer's kernel or one value per unit."""
    of_kernel, of_units = tuple(kernel_of(layer).shape), (number_of_units(layer),)
    if array.shape not in (of_kernel, of_units):
        raise ValueError(
            f"Layer {name!r}: expected shape {of_kernel} for weights or {of_units} for units, got "
            f"{array.shape}."
        )
