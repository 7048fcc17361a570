"""Times are read from a clock that only the networks advance, so they are exact."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from pruninglib import Executable
from pruninglib.experiments import timing

INPUTS = np.arange(10.0)
time_models = partial(timing.time_models, least_seconds=0.002)


@pytest.fixture
def network(monkeypatch):
    """A function that makes networks which take a known time and note their calls in a list."""
    now, calls = [0.0], []
    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timing, "_wait_for_idle_threads", lambda: calls.append(("wait", [])))

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
    assert all(row["repeats"] == 10 and row["calls"] == 1 and row["steady"] for row in rows)


def test_median_and_quartiles_of_single_measurements(network):
    # 6 calls that are counted; then in each turn one that is not measured, and 4, 8, 12, 16, 20 ms
    turns = [seconds for i in range(1, 6) for seconds in (1.0, 0.004 * i)]
    run = network("run", *[0.004] * 6, *turns)
    (row,) = time_models({"run": run}, INPUTS, (1,), repeats=5, limit=5)
    assert [row["q1_ms"], row["median_ms"], row["q3_ms"]] == pytest.approx([8, 12, 16])
    assert row["times_ms"] == pytest.approx([4, 8, 12, 16, 20])
    assert row["repeats"] == 5 and not row["steady"]


def test_fast_networks_are_called_several_times_in_a_measurement(network):
    run = network("run", 0.0003)
    (row,) = time_models({"run": run}, INPUTS, (1,), repeats=2, limit=2, least_seconds=0.001)
    assert row["calls"] == 4
    assert row["median_ms"] == pytest.approx(0.3)
    assert len(network.calls) == 1 + 6 + 2 * (1 + 4 + 4)


def test_networks_take_turns_and_wait_for_each_other(network):
    runs = {"a": network("a", 1.0), "b": network("b", 1.0)}
    list(time_models(runs, INPUTS, (1,), repeats=3, limit=3))
    labels = [label for label, _ in network.calls]
    assert labels[:14] == ["wait", *"aaaaaa", "wait", *"bbbbbb"]
    turns = np.reshape(labels[14:], (3, 6)).tolist()
    orders = [["wait", "a", "a", "wait", "b", "b"], ["wait", "b", "b", "wait", "a", "a"]]
    assert all(turn in orders for turn in turns)


def test_the_order_of_the_networks_changes(network):
    runs = {label: network(label, 1.0) for label in "abcd"}
    list(time_models(runs, INPUTS, (1,), repeats=10, limit=10))
    labels = [label for label, _ in network.calls if label != "wait"][24::2]
    before = {pair for turn in np.reshape(labels, (10, 4)).tolist() for pair in pairwise(turn)}
    assert len(before) > 8


def test_successive_calls_see_different_batches_of_the_right_size(network):
    list(time_models({"run": network("run", 0.0005)}, INPUTS, (3,), repeats=1, limit=2))
    batches = [batch for label, batch in network.calls if label == "run"]
    kinds = [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert batches[:6] == kinds * 2
    in_turns = [kinds.index(batch) for batch in batches[6:]]
    assert len(in_turns) > 10 and (np.diff(in_turns) % 3 == 1).all()


def settling(network, early, late):
    """A network that takes `early` ms in its first ten measurements and `late` ms after these."""
    turns = [seconds for i in range(60) for seconds in (1.0, (early if i < 10 else late) / 1e3)]
    return network("run", *[0.004] * 6, *turns)


@pytest.mark.parametrize(("late", "repeats"), [(10, 20), (10.1, 20), (14, 60)])
def test_measures_on_until_the_quartiles_are_at_rest(network, late, repeats):
    run = settling(network, 10, late)
    (row,) = time_models({"run": run}, INPUTS, (1,), repeats=10, limit=60, tolerance=0.02)
    assert row["repeats"] <= repeats
    assert row["repeats"] > 20 or repeats == 20
    assert row["median_ms"] == pytest.approx(10 if repeats == 20 else 14, rel=0.05)


def test_a_wide_spread_is_called_unsteady(network):
    def steady(*milliseconds):
        turns = [seconds for ms in milliseconds for seconds in (1.0, ms / 1e3)]
        run = network("run", *[0.004] * 6, *turns * 20)
        (row,) = time_models({"run": run}, INPUTS, (1,), repeats=4)
        return row["steady"]

    assert steady(10, 11, 10, 11)
    assert not steady(10, 13, 10, 13)


def test_one_unsteady_network_is_no_stain_on_the_others(network):
    wild = [seconds for i in range(200) for seconds in (1.0, 0.01 * 1.5**i)]
    runs = {"calm": network("calm", 0.01), "wild": network("wild", *[0.004] * 6, *wild)}
    rows = time_models(runs, INPUTS, (1,), repeats=4, limit=12)
    assert {row["label"]: row["steady"] for row in rows} == {"calm": True, "wild": False}


def test_rows_say_how_an_executable_runs(network):
    runs = {"a": Executable("LiteRT", 2, network("a", 1.0), None), "b": network("b", 1.0)}
    rows = list(time_models(runs, INPUTS, (1,), repeats=1))
    assert [(row["runtime"], row["threads"]) for row in rows] == [("LiteRT", 2), (None, None)]


@pytest.mark.parametrize("limit", [20, 25, 51, 60])
def test_a_drift_is_never_steady_wherever_the_limit_is(network, limit):
    turns = [seconds for i in range(60) for seconds in (1.0, 0.01 * 1.005**i)]
    run = network("run", *[0.004] * 6, *turns)
    (row,) = time_models({"run": run}, INPUTS, (1,), repeats=10, limit=limit, tolerance=0.02)
    assert row["repeats"] == limit and not row["steady"]


@pytest.mark.parametrize("how", [{"repeats": 0}, {"repeats": 5, "limit": 4}])
def test_measuring_nothing_is_refused(network, how):
    with pytest.raises(ValueError, match=r"1 <= repeats <= limit, got 1 networks"):
        list(time_models({"run": network("run", 1.0)}, INPUTS, (1,), **how))
    with pytest.raises(ValueError, match="got 0 networks"):
        list(time_models({}, INPUTS, (1,)))


def test_all_batch_sizes_are_looked_at_first(network):
    with pytest.raises(ValueError, match="batch size 11"):
        next(time_models({"run": network("run", 1.0)}, INPUTS, (1, 11)))


@pytest.mark.parametrize("size", [0, 11])
def test_a_batch_that_the_inputs_cannot_fill_is_refused(network, size):
    with pytest.raises(ValueError, match=rf"batch size {size} must lie in \[1, 10\]"):
        list(time_models({"run": network("run", 1.0)}, INPUTS, (size,)))


def test_waits_for_threads_that_are_still_busy(monkeypatch):
    used, waited = iter([0, 0.01, 0.01, 0.018, 0.018, 0.019, 9, 9]), []
    monkeypatch.setattr(timing, "process_time", lambda: next(used))
    monkeypatch.setattr(timing, "sleep", waited.append)
    timing._wait_for_idle_threads()
    assert len(waited) == 3


def test_does_not_wait_for_ever(monkeypatch):
    clock, waited = iter(np.arange(1e4)), []
    monkeypatch.setattr(timing, "process_time", lambda: next(clock))
    monkeypatch.setattr(timing, "sleep", waited.append)
    timing._wait_for_idle_threads()
    assert sum(waited) == pytest.approx(0.3)


def test_the_first_call_is_timed_alone(monkeypatch):
    now, calls = [0.0], []

    def run(inputs):
        calls.append(inputs)
        now[0] += 0.25

    monkeypatch.setattr(timing, "perf_counter", lambda: now[0])
    assert timing.first_call_ms(run, 3) == 250
    assert calls == [3]
