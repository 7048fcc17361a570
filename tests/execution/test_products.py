"""Sparse products equal dense ones, whatever is zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from pruninglib.execution.numpy_runtime import LINE, aligned, product


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 30)),
    batch=st.integers(1, 40),
    share=st.sampled_from([0, 0.1, 0.5, 1]),
    relu=st.booleans(),
    seed=st.integers(0, 99),
)
def test_products_are_those_of_numpy(shape, batch, share, relu, seed):
    rng = np.random.default_rng(seed)
    kernel = (rng.normal(size=shape) * (rng.random(shape) < share)).astype(np.float32)
    bias = rng.choice([0, 1]) * rng.normal(size=shape[1]).astype(np.float32)
    x = (rng.normal(size=(shape[0], batch)) * (rng.random((shape[0], batch)) < 0.7)).astype("f")
    expected = kernel.T @ x + bias[:, None]
    expected = np.maximum(expected, 0) if relu else expected
    before = x.copy()
    for library in ("numpy", "scipy", "numba"):
        found = product(kernel, bias.astype(np.float32), relu, library)(x)
        assert found.dtype == np.float32
        assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("columns", [LINE, 3 * LINE])
def test_rows_start_at_cache_lines(columns):
    arrays = [aligned(rows, columns) for rows in range(1, 20)]
    assert all(array.ctypes.data % 64 == 0 and array.flags.c_contiguous for array in arrays)
    assert [array.shape for array in arrays] == [(rows, columns) for rows in range(1, 20)]
