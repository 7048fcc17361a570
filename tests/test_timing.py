"""Times are read from a clock that only the networks advance, so they are exact."""

import numpy as np
import pytest

from pruninglib import timing
from pruninglib.timing import time_models

INPUTS = np.arange(10.0)


@pytest.fixture
def network(monkeypatch):
    """A function that makes networks which take a known time and note their calls in a list."""
    now, calls = [0.0], []
    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])

    def make(label, *seconds):
        turns = iter(range(10**6))

        def run(batch):
            calls.append((label, batch.tolist()))
            now[0] += seconds[next(turns) % len(seconds)]

        return run

    make.calls = calls
    return make


def test_each_network_gets_its_own_time(network):
    runs = {"fast": network("fast", 0.004), "slow": network("slow", 0.008)}
    rows = list(time_models(runs, INPUTS, (1, 2), repeats=5))
    found = [(row["label"], row["batch_size"], round(row["median_ms"], 6)) for row in rows]
    assert found == [("fast", 1, 4), ("slow", 1, 8), ("fast", 2, 4), ("slow", 2, 8)]
    assert all(row["repeats"] == 5 and row["calls"] == 1 for row in rows)


def test_median_and_quartiles_of_single_measurements(network):
    # 6 calls to warm up, then 4, 8, 12, 16, 20 ms
    run = network("run", *[0.004] * 6, *(0.004 * i for i in range(1, 6)))
    (row,) = time_models({"run": run}, INPUTS, (1,), repeats=5)
    assert [row["q1_ms"], row["median_ms"], row["q3_ms"]] == pytest.approx([8, 12, 16])


def test_fast_networks_are_called_several_times_in_a_measurement(network):
    run = network("run", 0.0003)
    (row,) = time_models({"run": run}, INPUTS, (1,), repeats=2, least_seconds=0.001)
    assert row["calls"] == 4
    assert row["median_ms"] == pytest.approx(0.3)
    assert len(network.calls) == 6 + 2 * 4


def test_networks_take_turns_after_a_warm_up(network):
    runs = {"a": network("a", 1.0), "b": network("b", 1.0)}
    list(time_models(runs, INPUTS, (1,), repeats=3))
    assert [label for label, _ in network.calls] == [*"aaaaaabbbbbb", *"ababab"]


def test_successive_calls_see_different_batches_of_the_right_size(network):
    list(time_models({"run": network("run", 0.0005)}, INPUTS, (3,), repeats=1))
    batches = [batch for _, batch in network.calls]
    assert batches[:4] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 1, 2]]


@pytest.mark.parametrize("size", [0, 11])
def test_a_batch_that_the_inputs_cannot_fill_is_refused(network, size):
    with pytest.raises(ValueError, match=rf"batch size {size} must lie in \[1, 10\]"):
        list(time_models({"run": network("run", 1.0)}, INPUTS, (size,)))
