"""Each unit's weights solve its own least-squares problem, whatever the rows and the masks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from oracles import one_by_one
from scipy.optimize import minimize

from pruninglib.recovery import least_squares
from pruninglib.recovery.least_squares import fit

INPUTS = 7
SOME = np.array([1, 0, 1, 0, 0, 0, 1], bool)
MASKS = {
    "all kept": [SOME | True],
    "none kept": [SOME & False],
    "few kept": [SOME, SOME[::-1]],
    "few removed": [~SOME, ~SOME[::-1]],
    "half of the units removed": [SOME | True, SOME & False],
    "all kinds": [SOME, ~SOME, SOME & False, SOME | True, SOME[::-1]],
    "units alike": [~SOME, SOME, ~SOME, SOME, ~SOME],
}


def problem(masks, rows=40, seed=0):
    """Return rows that lean on each other, targets, start weights and what is kept."""
    rng, kept = np.random.default_rng(seed), np.array(masks).T
    x = rng.normal(size=(rows, INPUTS)) @ rng.normal(size=(INPUTS, INPUTS))
    return x, rng.normal(size=(rows, len(masks))) - 0.5, rng.normal(size=kept.shape), kept


def chunked(x, targets, size=None):
    """Return the function that `fit` wants, of chunks of `size` rows (default: all in one)."""
    size = size or len(x)
    return lambda: ((x[i : i + size], targets[i : i + size]) for i in range(0, len(x), size))


def error(x, weights, targets):
    return np.square(x @ weights - targets).sum(axis=0)


def relu_error(x, weights, targets):
    return np.square(np.maximum(x @ weights, 0) - np.maximum(targets, 0)).sum(axis=0)


def one_sided_error(x, weights, targets):
    """What the passes minimise: below a negative target's zero any output is right."""
    found = x @ weights
    return np.square(np.where(targets > 0, found - targets, np.maximum(found, 0))).sum(axis=0)


@pytest.mark.parametrize("ridge", [1e-8, 1e-3, 1.0])
@pytest.mark.parametrize("masks", MASKS)
def test_every_unit_has_the_solution_of_its_own_problem(masks, ridge):
    x, targets, start, kept = problem(MASKS[masks])
    found = fit(chunked(x, targets), start, kept, ridge)
    assert_allclose(found, one_by_one(x, targets, start, kept, ridge), rtol=1e-7, atol=1e-9)
    assert not found[~kept].any()


def test_dead_inputs_do_not_count_for_the_ridge():
    x, targets, start, kept = problem(MASKS["all kinds"])
    x[:, :3] = 0
    found = fit(chunked(x, targets), start, kept, 0.1)
    assert_allclose(found, one_by_one(x, targets, start, kept, 0.1), rtol=1e-7, atol=1e-9)
    assert_allclose(found[:3], (start * kept)[:3])


def test_start_weights_that_are_not_kept_do_not_matter():
    x, targets, start, kept = problem(MASKS["all kinds"])
    expected = fit(chunked(x, targets), start, kept, passes=2)
    assert_array_equal(
        fit(chunked(x, targets), np.where(kept, start, 99), kept, passes=2), expected
    )


columns = st.sampled_from(["normal", "dead", "constant", "copy", "sum", "large", "small"])


@st.composite
def problems(draw):
    """Any rows, also dependent, constant and dead inputs; any masks."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kinds, units = draw(st.lists(columns, min_size=1, max_size=8)), draw(st.integers(1, 4))
    x = rng.normal(size=(len(kinds) + draw(st.integers(0, 20)), len(kinds)))
    for i, kind in enumerate(kinds):
        x[:, i] = {
            "normal": x[:, i],
            "dead": 0,
            "constant": 3,
            "copy": x[:, i - 1],
            "sum": x.sum(axis=1),
            "large": 1e3 * x[:, i],
            "small": 1e-5 * x[:, i],
        }[kind]
    kept = draw(arrays(bool, (len(kinds), units)))
    targets = rng.normal(size=(len(x), units)) * draw(st.sampled_from([0, 1e-3, 1, 1e3]))
    return x, targets, rng.normal(size=kept.shape), kept


@settings(max_examples=200, deadline=None, derandomize=True)
@given(problems(), st.sampled_from([1e-6, 1e-3, 1]), st.booleans())
def test_the_error_is_never_above_that_of_the_start(case, ridge, single):
    x, targets, start, kept = (a.astype(np.float32) if single else a for a in case)
    kept = kept.astype(bool)
    found = fit(chunked(x, targets), start, kept, ridge)
    x, targets, before = x.astype(float), targets.astype(float), np.where(kept, start, 0)
    scale = np.square(targets).sum(axis=0) + np.square(np.abs(x) @ np.abs(before)).sum(axis=0)
    allowance = scale * (1e-6 if single else 1e-12)
    assert (error(x, found, targets) <= error(x, before, targets) + allowance).all()
    assert not found[~kept].any()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_dependent_inputs_in_single_precision_do_no_harm_with_a_small_ridge(share):
    rng = np.random.default_rng(0)
    x = (rng.random((500, 8)) @ rng.random((8, 40))).astype(np.float32)
    targets, start = rng.normal(size=(500, 3)).astype(np.float32), rng.normal(size=(40, 3))
    kept = rng.random(start.shape) < share
    found, before = fit(chunked(x, targets), start, kept, ridge=1e-7), start * kept
    assert (error(x, found, targets) <= error(x, before, targets)).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(problems())
def test_the_passes_only_lower_the_one_sided_error(case):
    x, targets, start, kept = case
    start = np.where(kept, start, 0)
    strength = 1e-2 * (np.square(x).sum(axis=0)[x.any(axis=0)].mean() if x.any() else 0)

    def objective(passes):
        weights = fit(chunked(x, targets), start, kept, passes=passes)
        pull = strength * np.square(weights - start).sum(axis=0)
        return one_sided_error(x, weights, targets) + pull

    start_error = one_sided_error(x, start, targets)
    one, two, three = (objective(passes) for passes in (1, 2, 3))
    assert (two <= one * (1 + 1e-9) + 1e-9 * start_error).all()
    assert (three <= two * (1 + 1e-9) + 1e-9 * start_error).all()


@pytest.mark.parametrize("size", [1, 7, 39])
def test_the_size_of_the_chunks_does_not_matter(size):
    x, targets, start, kept = problem(MASKS["all kinds"])
    expected = fit(chunked(x, targets), start, kept, passes=2)
    assert_allclose(fit(chunked(x, targets, size), start, kept, passes=2), expected, rtol=1e-7)


def test_the_chunks_are_asked_for_once_and_again_for_each_pass():
    x, targets, start, kept = problem(MASKS["few kept"])
    calls = []

    def chunks():
        calls.append(1)
        return [(x, targets)]

    fit(chunks, start, kept, passes=3)
    assert len(calls) == 4


def test_factors_that_are_not_kept_are_computed_again(monkeypatch):
    x, targets, start, kept = problem(MASKS["all kinds"])
    expected = fit(chunked(x, targets), start, kept, passes=3)
    monkeypatch.setattr(least_squares, "IN_MEMORY", 0)
    assert_array_equal(fit(chunked(x, targets), start, kept, passes=3), expected)


@pytest.mark.parametrize("masks", ["all kept", "few removed"])
def test_passes_fit_what_a_relu_lets_through(masks):
    x, _, dense, kept = problem(MASKS[masks], rows=200)
    targets = x @ dense - 1  # no weights reach the -1
    none, one, many = (
        relu_error(x, fit(chunked(x, targets), dense, kept, passes=passes), targets)
        for passes in (0, 1, 5)
    )
    assert (one < none).all()
    assert (many < 0.99 * one).all()


@pytest.mark.parametrize("masks", ["all kept", "few kept", "few removed"])
def test_many_passes_reach_the_minimum(masks):
    x, targets, start, kept = problem(MASKS[masks])
    start, ridge = np.where(kept, start, 0), 1e-2
    strength = ridge * np.square(x).sum(axis=0).mean()

    def minimum(mask, target, centre):
        x_kept = x[:, mask]

        def value_and_slope(w):
            away, pull = x_kept @ w - target, w - centre
            away = np.where(target > 0, away, np.maximum(away + target, 0))
            return away @ away + strength * pull @ pull, 2 * (away @ x_kept + strength * pull)

        return minimize(value_and_slope, centre, jac=True, method="BFGS", options={"gtol": 1e-7}).x

    expected = np.zeros_like(start)
    for unit, mask in enumerate(kept.T):
        expected[mask, unit] = minimum(mask, targets[:, unit], start[mask, unit])
    found = fit(chunked(x, targets), start, kept, ridge, passes=300)
    assert_allclose(found, expected, atol=1e-6)


def test_rows_of_zeros_leave_the_start_that_is_kept():
    _, targets, start, kept = problem(MASKS["all kinds"])
    found = fit(chunked(np.zeros((40, INPUTS)), targets), start, kept, passes=2)
    assert_array_equal(found, start * kept)


def test_the_arguments_are_left_as_they_were():
    arguments = problem(MASKS["all kinds"])
    copies = [array.copy() for array in arguments]
    x, targets, start, kept = arguments
    fit(chunked(x, targets), start, kept, passes=2)
    for array, copy in zip(arguments, copies, strict=True):
        assert_array_equal(array, copy)


def test_what_few_rows_do_not_decide_stays_as_it_was():
    x, targets, start, kept = problem(MASKS["all kinds"], rows=2)
    found = fit(chunked(x, targets), start, kept, ridge=1e-4)
    whole = kept.all(axis=0)  # the units that keep all inputs
    assert whole.any()
    assert_allclose(x @ found[:, whole], targets[:, whole], atol=1e-2)
    _, _, axes = np.linalg.svd(x)
    assert_allclose(axes[2:] @ found[:, whole], axes[2:] @ start[:, whole], atol=1e-4)


@pytest.mark.parametrize(("lost", "units", "inverts"), [(2, 200, True), (14, 20, False)])
def test_the_cheaper_factors_are_taken(lost, units, inverts, monkeypatch):
    """Where units lose few weights each, one inverse and small factors; else a factor for each."""
    calls, inverse = [], least_squares.inv
    monkeypatch.setattr(least_squares, "inv", lambda gram: calls.append(1) or inverse(gram))
    random = np.random.default_rng(0)
    x, weights = random.normal(size=(50, 30)), random.normal(size=(30, units))
    kept = np.argsort(random.random(weights.shape), axis=0) >= lost
    fit(chunked(x, x @ weights), weights, kept)
    assert bool(calls) == inverts
