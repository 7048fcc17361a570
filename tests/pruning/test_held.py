"""The constraint sets exact zeros and comes back from its config."""

import json

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_array_equal

from pruninglib.pruning.prune import HoldMask

WEIGHTS = np.array([[1.0, -2.0], [3.0, -4.0]], np.float32)


def apply(constraint, weights):
    return np.asarray(constraint(keras.ops.convert_to_tensor(weights)))


def test_weight_mask_sets_masked_weights_to_zero():
    assert_array_equal(apply(HoldMask([[1, 0], [0, 1]]), WEIGHTS), [[1, 0], [0, -4]])


def test_unit_mask_sets_columns_to_zero():
    assert_array_equal(apply(HoldMask([0, 1]), WEIGHTS), [[0, -2], [0, -4]])


def test_masked_weight_is_zero_even_when_it_became_nan_or_infinite():
    broken = np.array([[np.nan, np.inf], [3.0, -4.0]], np.float32)
    assert_array_equal(apply(HoldMask([[0, 0], [1, 1]]), broken), [[0, 0], [3, -4]])


def test_the_layers_own_constraint_is_applied_first():
    held = HoldMask([[1, 0], [1, 1]], keras.constraints.NonNeg())
    assert_array_equal(apply(held, WEIGHTS), [[1, 0], [3, 0]])


def test_dtype_of_the_weights_stays():
    assert apply(HoldMask([0, 1]), WEIGHTS.astype(np.float16)).dtype == np.float16


def test_the_mask_can_be_exchanged():
    held = HoldMask([0, 1])
    held.mask.assign([True, False])
    assert_array_equal(apply(held, WEIGHTS), [[1, 0], [3, 0]])


@settings(max_examples=30, deadline=None)
@given(arrays(bool, array_shapes(max_dims=4, max_side=5), elements=st.booleans()))
def test_any_mask_survives_serialisation_as_json(mask):
    config = json.loads(json.dumps(keras.constraints.serialize(HoldMask(mask))))
    assert_array_equal(keras.constraints.deserialize(config).mask, mask)


def test_the_layers_own_constraint_survives_serialisation():
    config = json.loads(
        json.dumps(keras.constraints.serialize(HoldMask([1, 0], keras.constraints.MaxNorm(1.5))))
    )
    then = keras.constraints.deserialize(config).then
    assert isinstance(then, keras.constraints.MaxNorm) and then.max_value == 1.5


def test_packed_mask_takes_at_most_a_bit_and_a_half_a_weight():
    mask = np.random.default_rng(0).random((64, 64)) < 0.5
    assert len(json.dumps(HoldMask(mask).get_config())) * 8 < 1.5 * mask.size
