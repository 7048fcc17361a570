"""Scores on arrays of four numbers, and masks against brute force."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_array_equal

from pruninglib.pruning import criteria
from pruninglib.pruning.criteria import (
    check_sparsity,
    magnitude,
    n_m_mask,
    random_scores,
    random_unit_scores,
    top_k_mask,
    top_k_masks,
    unit_norm,
)

KERNEL = np.array([[3.0, -1.0], [-4.0, 0.0]])
# Few different values, so that most examples have ties
scores_with_ties = arrays(
    np.float32, array_shapes(max_dims=3, max_side=6), elements=st.sampled_from([-1, 0, 0.5, 2])
)
sparsities = st.floats(0, 1)


def brute_force(scores, sparsity):
    """Zero the lowest scores one by one, the first of equals first."""
    mask = np.ones(scores.shape, np.uint8)
    by_score_then_position = sorted(range(scores.size), key=lambda i: (scores.flat[i], i))
    for i in by_score_then_position[: round(sparsity * scores.size)]:
        mask.flat[i] = 0
    return mask


def test_magnitude():
    assert_array_equal(magnitude(KERNEL), [[3, 1], [4, 0]])


def test_unit_norm():
    assert_array_equal(unit_norm(KERNEL), [5, 1])


def test_unit_norm_of_a_convolution_has_one_score_a_filter():
    kernel = np.zeros((3, 3, 2, 4))
    kernel[0, 1, 0, 2], kernel[2, 2, 1, 2] = 3, -4
    assert_array_equal(unit_norm(kernel), [0, 0, 5, 0])


@pytest.mark.parametrize(("score", "shape"), [(random_scores, (2, 2)), (random_unit_scores, (2,))])
def test_random_scores_depend_on_kernel_and_seed_alone(score, shape):
    np.random.seed(1)  # noqa: NPY002  (must not matter)
    first = score(KERNEL, seed=3)
    np.random.seed(2)  # noqa: NPY002
    assert first.shape == shape
    assert_array_equal(score(KERNEL.copy(), seed=3), first)
    assert_array_equal(score(np.asfortranarray(KERNEL), seed=3), first)
    assert (score(KERNEL, seed=4) != first).all()
    assert (score(KERNEL + 1, seed=3) != first).all()


def test_random_scores_leave_numpys_generator_alone():
    np.random.seed(1)  # noqa: NPY002
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(1)  # noqa: NPY002
    random_scores(KERNEL)
    assert np.random.rand() == expected  # noqa: NPY002


def test_top_k_mask_of_four_numbers():
    scores = np.array([[3.0, 1.0], [4.0, 2.0]])
    assert_array_equal(top_k_mask(scores, 0), [[1, 1], [1, 1]])
    assert_array_equal(top_k_mask(scores, 0.25), [[1, 0], [1, 1]])
    assert_array_equal(top_k_mask(scores, 0.5), [[1, 0], [1, 0]])
    assert_array_equal(top_k_mask(scores, 1), [[0, 0], [0, 0]])


def test_among_equals_the_first_go_first():
    assert_array_equal(top_k_mask(np.ones((2, 2)), 0.75), [[0, 0], [0, 1]])


@given(scores_with_ties, sparsities)
def test_top_k_mask_equals_brute_force(scores, sparsity):
    mask = top_k_mask(scores, sparsity)
    assert mask.dtype == np.uint8
    assert_array_equal(mask, brute_force(scores, sparsity))


@given(scores_with_ties, st.lists(sparsities, max_size=5))
def test_one_sort_gives_the_same_masks_as_one_call_each(scores, levels):
    for sparsity, mask in zip(levels, top_k_masks(scores, levels), strict=True):
        assert_array_equal(mask, top_k_mask(scores, sparsity))


@given(scores_with_ties, sparsities, sparsities)
def test_a_higher_sparsity_only_removes_more(scores, one, other):
    low, high = sorted((one, other))
    assert (top_k_mask(scores, high) <= top_k_mask(scores, low)).all()


@given(arrays(np.float64, 12, elements=st.floats(-5, 5)), sparsities)
def test_no_score_kept_is_below_one_dropped(scores, sparsity):
    mask = top_k_mask(scores, sparsity).astype(bool)
    assert scores[mask].min(initial=np.inf) >= scores[~mask].max(initial=-np.inf)


def test_infinite_scores_protect_and_condemn():
    scores = np.array([np.inf, -np.inf, 0.0, -np.inf])
    assert_array_equal(top_k_mask(scores, 0.25), [1, 0, 1, 1])
    assert_array_equal(list(top_k_masks(scores, [0, 0.75])), [[1, 1, 1, 1], [1, 0, 0, 0]])


def test_scores_are_left_as_they_were():
    scores = np.array([3.0, 1.0, 2.0])
    top_k_mask(scores, 0.5)
    list(top_k_masks(scores, [0.5]))
    assert_array_equal(scores, [3, 1, 2])


@pytest.mark.parametrize("sparsity", [-0.1, 1.1, 90, float("nan"), float("inf")])
def test_sparsity_outside_0_to_1_is_refused(sparsity):
    message = rf"must lie in \[0, 1\], got {sparsity}\. Pass 0\.9 for 90 %"
    for call in (
        lambda: check_sparsity(sparsity),
        lambda: top_k_mask(np.ones(4), sparsity),
        lambda: list(top_k_masks(np.ones(4), [0.5, sparsity])),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize(
    ("scores", "message"),
    [([1.0, np.nan], r"1 NaN among 2 values.*Check the criterion"), ([], r"0 values.*\(0,\)")],
)
def test_scores_that_are_no_numbers_are_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        top_k_mask(scores, 0.5)
    with pytest.raises(ValueError, match=message):
        list(top_k_masks(scores, [0.5]))


def test_the_examples_in_the_docstrings_hold():
    result = doctest.testmod(criteria, extraglobs={"np": np})
    assert result.attempted >= 3 and result.failed == 0


def test_n_of_every_m_inputs_stay():
    scores = np.array([[1, 9], [2, 8], [3, 7], [4, 6], [5, 5], [5, 4], [5, 3], [5, 2.0]])
    expected = [[0, 1], [0, 1], [1, 0], [1, 0], [0, 1], [0, 1], [1, 0], [1, 0]]
    assert_array_equal(n_m_mask(scores, 2, 4), expected)  # ties: the last stay


@pytest.mark.parametrize(("n", "m"), [(1, 2), (2, 4), (3, 4), (4, 4), (1, 16)])
def test_every_block_of_a_convolution_keeps_exactly_n(n, m):
    scores = np.random.default_rng(0).random((3, 3, 16, 5))
    mask = n_m_mask(scores, n, m)
    blocks = mask.reshape(3, 3, 16 // m, m, 5)
    assert_array_equal(blocks.sum(axis=3), n)
    shown = np.where(mask, scores, np.nan).reshape(blocks.shape)
    hidden = np.where(mask, -1, scores).reshape(blocks.shape)
    assert (np.nanmin(shown, axis=3) >= hidden.max(axis=3)).all()


@pytest.mark.parametrize(
    ("n", "m", "shape"), [(0, 4, (8, 2)), (5, 4, (8, 2)), (2, 4, (6, 2)), (2, 4, (8,))]
)
def test_patterns_that_do_not_fit_are_refused(n, m, shape):
    with pytest.raises(ValueError, match=rf"{n}:{m} needs .*{m} divides; got scores .*{shape[0]}"):
        n_m_mask(np.ones(shape), n, m)
