"""Architectures that nobody here wrote: pruned, shrunk, and the outputs stay."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

from pruninglib import count_parameters, make_masks, plan_shrink, prune, shrink, unit_norm

# the side of the images, small to save time, but not smaller than each takes
SIDES = {
    "VGG16": 32,
    "ResNet50": 64,
    "ResNet50V2": 64,
    "DenseNet121": 64,
    "InceptionV3": 75,
    "Xception": 71,
    "MobileNet": 64,
    "MobileNetV2": 64,
    "MobileNetV3Small": 64,
    "EfficientNetB0": 64,
    "EfficientNetV2B0": 64,
    "ConvNeXtTiny": 32,
    "NASNetMobile": 64,
}
# least share of the parameters that goes with 70 % of all units that can only go together
GONE = {"ConvNeXtTiny": 0.6, "NASNetMobile": 0.6}
WHOLE = {"ConvNeXtTiny": "LayerNormalization", "NASNetMobile": "spread unevenly"}
# of three kinds, in make test: sums, branches side by side, and filters of one channel each
FEW = ("ResNet50", "InceptionV3", "MobileNetV2")
pytestmark = pytest.mark.architectures


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[] if name in FEW else pytest.mark.slow) for name in SIDES],
)
def built(request):
    """(name, side of its images, network), in double precision.

    So that a difference is one of the functions, not of the rounding in sixty layers.
    """
    name, side = request.param, SIDES[request.param]
    keras.utils.set_random_seed(0)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    settings = {"weights": None, "classes": 10, "classifier_activation": None}
    yield name, side, getattr(keras.applications, name)(input_shape=(side, side, 3), **settings)
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    keras.backend.clear_session()


def blots(count, side):
    """Images that differ as wholes, in large parts and in each pixel."""
    rng = np.random.default_rng(1)
    parts = rng.normal(size=(count, 4, 4, 3)).repeat(side // 4 + 1, 1).repeat(side // 4 + 1, 2)
    rest = rng.normal(size=(count, 1, 1, 3)) + 0.3 * rng.normal(size=(count, side, side, 3))
    return parts[:, :side, :side] + rest


def enliven(model, images, density):
    """Give weights values such that what comes out depends on what goes in, as if trained.

    Statistics at random would do the contrary in a new model: what comes out is then constant.
    So they are those of the images, changed a little at random; scales and shifts are random.
    """
    rng = np.random.default_rng(0)
    normalizations = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    for layer in normalizations:
        layer.momentum = 0.0
    for weight in model.weights:
        if weight.name == "gamma" or "layer_scale" in weight.path:
            weight.assign(rng.uniform(0.8, 1.2, weight.shape))
        elif weight.name in ("beta", "bias"):
            held = np.asarray(weight.constraint.mask) if weight.constraint else 1
            weight.assign(rng.normal(0, 0.2, weight.shape) * held)
        elif weight.name == "kernel" and not normalizations:
            weight.assign(weight * np.sqrt(2 / density))
    model(images, training=True)
    for layer in normalizations:
        mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
        variance = np.maximum(variance, variance.mean())  # else some channels are blown up
        layer.moving_mean.assign(mean + rng.normal(0, 0.2, mean.shape) * np.sqrt(variance))
        layer.moving_variance.assign(variance * rng.uniform(0.8, 1.2, mean.shape))


@pytest.mark.parametrize(("sparsity", "coupled"), [(0.3, False), (0.7, True)])
def test_outputs_stay(built, sparsity, coupled):
    """Over 10 s for some: a hundred layers and more are built three times, and run."""
    name, side, model = built
    pruned = prune(model, make_masks(model, unit_norm, sparsity, coupled=coupled))
    images = blots(4, side)
    enliven(pruned, images, 1 - sparsity)
    smaller = shrink(pruned)
    expected = np.asarray(pruned(images))
    largest = np.abs(expected).max()
    assert np.ptp(expected, axis=0).min() > 1e-5 * largest
    assert_allclose(smaller(images), expected, rtol=0, atol=1e-11 * largest)
    gone = 1 - count_parameters(smaller) / count_parameters(model)
    assert gone > (GONE.get(name, 0.85) if coupled else 0)
    plan = plan_shrink(pruned)
    assert all(row["why"] for row in plan if row["units_after"] == row["units"])
    if name in WHOLE:
        assert WHOLE[name] in " ".join(row["why"] for row in plan)
