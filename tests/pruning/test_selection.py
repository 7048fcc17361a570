"""The order of orthogonal least squares, against refitting every candidate at every step."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from pruninglib.pruning.saliency import forward_selection


def residual(x, targets, chosen):
    """Return the squared error of the best fit to the targets from the chosen inputs."""
    fitted = x[:, chosen] @ np.linalg.lstsq(x[:, chosen], targets)[0]
    return np.square(targets - fitted).sum()


def brute_force(x, weights):
    """Choose the inputs one by one, trying every one that is left with a new fit."""
    left, chosen = list(range(len(weights))), []
    while left:
        best = min(left, key=lambda i: residual(x, x @ weights, [*chosen, i]))
        chosen.append(best)
        left.remove(best)
    return chosen


def draw_inputs(seed, inputs, alike=0.0, rows=30):
    """Return random inputs, more alike the nearer `alike` is to 1, and a generator."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(rows, 1))
    return alike * common + (1 - alike) * rng.normal(size=(rows, inputs)), rng


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seeds, st.integers(1, 7), st.integers(1, 4), st.sampled_from([0, 0.5, 0.9]))
def test_order_equals_brute_force(seed, inputs, units, alike):
    x, rng = draw_inputs(seed, inputs, alike)
    weights = rng.normal(size=(inputs, units))
    assert_array_equal(forward_selection(x.T @ x, weights), brute_force(x, weights))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seeds, st.integers(1, 6), st.integers(1, 5))
def test_dependent_inputs_come_last_in_their_order(seed, independent, dependent):
    x, rng = draw_inputs(seed, independent)
    mixing = rng.integers(-1, 2, (independent, dependent))  # zero, copied, negated, added inputs
    x = np.hstack([x, x @ mixing])[:, rng.permutation(independent + dependent)]
    order = forward_selection(x.T @ x, rng.normal(size=(x.shape[1], 2)))
    assert sorted(order) == list(range(x.shape[1]))
    assert np.linalg.matrix_rank(x[:, order[:independent]]) == independent
    assert_array_equal(order[independent:], sorted(order[independent:]))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seeds, st.integers(1, 8))
def test_orthogonal_inputs_come_by_the_energy_they_explain(seed, inputs):
    x, rng = draw_inputs(seed, inputs)
    x = np.linalg.qr(x)[0] * rng.uniform(0.1, 10, inputs)
    weights = rng.normal(size=(inputs, 3))
    energy = np.square(x).sum(axis=0) * np.square(weights).sum(axis=1)
    assert_array_equal(forward_selection(x.T @ x, weights), np.argsort(-energy))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seeds, st.integers(1, 8))
def test_scaling_inputs_and_unscaling_their_weights_does_not_matter(seed, inputs):
    x, rng = draw_inputs(seed, inputs, 0.5)
    weights, scale = rng.normal(size=(inputs, 3)), 10 ** rng.uniform(-2, 2, inputs)
    scaled = x * scale
    assert_array_equal(
        forward_selection(scaled.T @ scaled, weights / scale[:, None]),
        forward_selection(x.T @ x, weights),
    )


def test_an_input_that_explains_most_alone_may_come_before_those_that_explain_all():
    x = np.array([[1.0, 0, 0.7], [0, 1, 0.7], [0, 0, 0.1]])
    weights = np.array([[1.0], [1.0], [0.0]])
    assert_array_equal(forward_selection(x.T @ x, weights), [2, 0, 1])


@pytest.mark.parametrize("scale", [1e-8, 1, 1e4, 1e8])
def test_inputs_that_nothing_reads_come_once_each(scale):
    x, _ = draw_inputs(0, 6)
    order = forward_selection(x.T @ x, scale * np.eye(6)[:, :2])
    assert sorted(order[:2]) == [0, 1]
    assert sorted(order) == list(range(6))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seeds, st.integers(2, 9), st.sampled_from([1e-3, 1, 1e3]), st.floats(-9, -1))
def test_every_input_comes_once(seed, inputs, scale, noise):
    x, rng = draw_inputs(seed, inputs)
    independent = max(1, inputs // 2)
    x = x[:, :independent] @ rng.normal(size=(independent, inputs)) + 10**noise * x
    order = forward_selection(scale**2 * x.T @ x, rng.normal(size=(inputs, 3)))
    assert sorted(order) == list(range(inputs))


def test_inputs_that_are_all_zero_keep_their_order():
    assert_array_equal(forward_selection(np.zeros((4, 4)), np.ones((4, 2))), range(4))
