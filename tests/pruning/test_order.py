"""The k-th smallest number, also where the sample misleads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pruninglib.pruning import criteria
from pruninglib.pruning.criteria import kth_smallest, last_equal


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=200),
    st.floats(0, 1),
    st.sampled_from([1, 4, 30]),
)
def test_equals_the_sorted_one_whatever_the_chunks(values, share, chunk):
    values = np.array(values, np.float32)
    k = 1 + round(share * (len(values) - 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(criteria, "CHUNK", chunk)
        assert kth_smallest(values, k) == np.sort(values)[k - 1]


@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=60), st.data(), st.sampled_from([1, 7, 100])
)
def test_the_last_ones_are_found_whatever_the_chunks(values, data, chunk):
    values = np.array(values)
    count = data.draw(st.integers(1, max(1, values.sum())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(criteria, "CHUNK", chunk)
        found = sorted(last_equal(values, 1, count))
    assert found == np.flatnonzero(values == 1)[-count:].tolist()


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.9, 0.999, 1])
@pytest.mark.parametrize("kind", ["random", "sorted", "equal", "misleading", "infinite"])
def test_many_numbers(kind, share):
    values = np.random.default_rng(0).normal(size=3 * criteria.CHUNK + 7).astype(np.float32)
    if kind == "sorted":
        values.sort()
    elif kind == "equal":
        values[:] = 2
    elif kind == "misleading":  # the sample sees only large ones
        values[:: criteria.step_of(len(values))] += 100
    elif kind == "infinite":
        values[::3] = np.inf
    before = values.copy()
    k = max(1, round(share * len(values)))
    assert kth_smallest(values, k) == np.sort(values)[k - 1]
    np.testing.assert_array_equal(values, before)


def test_few_numbers_are_looked_at_when_the_sample_is_right(monkeypatch):
    values = np.random.default_rng(0).normal(size=2**20).astype(np.float32)
    sizes, partition = [], np.partition
    monkeypatch.setattr(
        np, "partition", lambda part, k: sizes.append(len(part)) or partition(part, k)
    )
    kth_smallest(values, 900_000)
    assert len(sizes) == 1 and sizes[0] < len(values) / 15
    values[: len(values) * 9 // 10] = 0  # most of them equal: nothing is collected
    np.random.default_rng(0).shuffle(values)
    for k in (900_000, 500_000, 300_000):
        assert kth_smallest(values, k) == np.sort(values)[k - 1]
    assert len(sizes) == 1
