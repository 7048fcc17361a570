"""Units that can only go together get one mask."""

import keras
import numpy as np
import pytest
from keras import layers
from networks import dense
from numpy.testing import assert_array_equal

from pruninglib import magnitude, make_masks, unit_norm


def norms(model, *names):
    """The sum of the norms of the units of layers, found with NumPy alone."""
    kernels = [np.asarray(model.get_layer(name).kernel) for name in names]
    return sum(np.sqrt(np.square(k.reshape(-1, k.shape[-1])).sum(axis=0)) for k in kernels)


@pytest.fixture
def residual():
    """Two branches that meet in an Add, one layer before and one after, and the logits."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(6, 3, name="alone")(inputs)
    both = [layers.Conv2D(10, 3, name=name)(x) for name in ("left", "right")]
    x = layers.Conv2D(4, 3, name="after")(layers.Add()(both))
    return keras.Model(inputs, dense(3, name="logits")(layers.Flatten()(x)))


def test_the_lowest_sums_of_scores_go(residual):
    masks = make_masks(residual, unit_norm, 0.3, coupled=True)
    assert list(masks) == ["alone", "left", "right", "after"]
    assert_array_equal(masks["left"], masks["right"])
    order = norms(residual, "left", "right").argsort()
    assert_array_equal(np.flatnonzero(masks["left"] == 0), sorted(order[:3]))
    order = norms(residual, "alone").argsort()
    assert_array_equal(np.flatnonzero(masks["alone"] == 0), sorted(order[:2]))


def test_where_nothing_is_coupled_it_changes_nothing(mlp):
    together = make_masks(mlp, unit_norm, 0.5, coupled=True)
    alone = make_masks(mlp, unit_norm, 0.5)
    assert together.keys() == alone.keys()
    for name in alone:
        assert_array_equal(together[name], alone[name])


def test_a_layer_that_is_chosen_takes_along_what_is_coupled_to_it(residual):
    masks = make_masks(residual, unit_norm, 0.5, include=["left"], coupled=True)
    assert list(masks) == ["left", "right"]
    assert_array_equal(masks["left"], masks["right"])


def test_a_layer_that_is_excluded_keeps_what_is_coupled_to_it(residual):
    masks = make_masks(residual, unit_norm, 0.5, exclude=["right"], coupled=True)
    assert list(masks) == ["alone", "after"]


def test_what_shrink_could_never_remove_is_left_alone(residual):
    masks = make_masks(residual, unit_norm, 0.5, include=layers.Layer, coupled=True)
    assert "logits" not in masks
    with pytest.raises(ValueError, match=r"no unit in \['logits'\] that shrink could rem"):
        make_masks(residual, unit_norm, 0.5, include=["logits"], coupled=True)


def test_global_scope_ranks_the_sums_of_all_layers(residual):
    masks = make_masks(residual, unit_norm, 0.25, scope="global", coupled=True)
    fan_in = {
        name: 9 * size for name, size in (("alone", 2), ("left", 6), ("right", 6), ("after", 10))
    }
    each = {name: norms(residual, name) / np.sqrt(fan_in[name]) for name in fan_in}
    sums = np.concatenate([each["alone"], each["left"] + each["right"], each["after"]])
    kept = np.concatenate([masks["alone"], masks["left"], masks["after"]])
    assert_array_equal(kept == 0, sums < np.sort(sums)[5])
    assert_array_equal(masks["left"], masks["right"])


def test_a_dict_of_sparsities_gives_each_joint_set_of_layers_its_own(residual):
    masks = make_masks(residual, unit_norm, {"left": 0.2, "after": 0.5}, coupled=True)
    assert {name: int((mask == 0).sum()) for name, mask in masks.items()} == {
        "left": 2,
        "right": 2,
        "after": 2,
    }
    with pytest.raises(ValueError, match=r"\['left', 'right'\] can only shrink together"):
        make_masks(residual, unit_norm, {"left": 0.2, "right": 0.5}, coupled=True)


def test_scores_may_come_from_elsewhere(residual):
    scores = {"left": np.arange(10), "right": np.zeros(10), "alone": np.arange(6)}
    masks = make_masks(residual, scores, 0.5, include=["alone", "left"], coupled=True)
    assert_array_equal(masks["right"], np.arange(10) >= 5)
    assert_array_equal(masks["alone"], np.arange(6) >= 3)
    with pytest.raises(ValueError, match=r"scores lack the layers \['after'\]"):
        make_masks(residual, scores, 0.5, coupled=True)


def test_channels_that_a_concatenation_brings_to_an_add_go_with_theirs():
    inputs = keras.Input((4,))
    parts = [dense(units, name=name)(inputs) for name, units in (("a", 4), ("b", 6))]
    other = dense(10, name="c")(inputs)
    x = layers.Add()([layers.Concatenate()(parts), other])
    masks = make_masks(keras.Model(inputs, dense(2)(x)), unit_norm, 0.5, coupled=True)
    assert_array_equal(np.concatenate([masks["a"], masks["b"]]), masks["c"])
    assert [int(masks[name].sum()) for name in "abc"] == [2, 3, 5]


@pytest.mark.parametrize("sparsity", [-0.1, 90])
@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_wrong_sparsity_is_refused(residual, sparsity, scope):
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        make_masks(residual, unit_norm, sparsity, scope=scope, coupled=True)


def test_scores_of_weights_are_refused(residual):
    with pytest.raises(ValueError, match="removes units: pass a criterion of units"):
        make_masks(residual, magnitude, 0.5, coupled=True)


def test_a_pattern_is_refused(residual):
    with pytest.raises(ValueError, match=r"coupled=True for units; got '2:4'"):
        make_masks(residual, unit_norm, "2:4", coupled=True)
