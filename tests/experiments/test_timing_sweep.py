"""Times of networks in several runtimes, each divided by that of the dense one."""

import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest

from pruninglib import (
    Executable,
    compiled,
    count_macs,
    eager,
    magnitude,
    make_masks,
    numpy_dense,
    prune,
    shrink,
    sparse,
    timing_sweep,
    unit_norm,
)

timing_sweep_module = sys.modules["pruninglib.experiments.timing"]


@pytest.fixture(scope="module")
def networks(trained):
    masked = prune(trained, make_masks(trained, magnitude, 0.5))
    shrunk = shrink(prune(trained, make_masks(trained, unit_norm, 0.5)))
    return {
        ("dense", 0.0): trained,
        ("masked", 0.5): masked,
        ("sparse", 0.5): masked,
        ("shrunk", 0.5): shrunk,
    }


WAYS = {
    "dense": [compiled, numpy_dense],
    "masked": [compiled],
    "sparse": [sparse],
    "shrunk": [compiled, numpy_dense],
}


@pytest.fixture(scope="module")
def table(networks, tiny):
    rows = timing_sweep(networks, tiny.x_test, WAYS, (1, 8), repeats=2, limit=2)
    return pd.DataFrame(rows)


def test_each_network_runs_in_its_ways_at_each_batch_size(table):
    expected = [
        (stage, "compiled" if way is compiled else "NumPy" if way is numpy_dense else "sparse")
        for stage, ways in WAYS.items()
        for way in ways
    ]
    found = zip(table["stage"], table["runtime"].str.split().str[0], strict=True)
    assert list(found) == 2 * expected
    assert table["batch_size"].tolist() == [1] * 6 + [8] * 6
    assert table["sparsity"].tolist() == ([0, 0] + 4 * [0.5]) * 2
    assert "label" not in table and (table["q1_ms"] <= table["q3_ms"]).all()


def test_costs_are_those_of_the_network(table, networks):
    by_stage = table.groupby("stage")["macs"].first()
    assert by_stage["shrunk"] == count_macs(networks["shrunk", 0.5]) < by_stage["dense"]
    assert by_stage["masked"] == by_stage["sparse"] == by_stage["dense"]
    smallest = table.groupby("stage")["bytes"].min()
    assert smallest["shrunk"] < smallest["dense"]


TIMES = {  # in three turns, of which the second is slow
    ("dense", "compiled"): [2.0, 9.0, 2.0],
    ("dense", "NumPy"): [4.0, 16.0, 4.4],
    ("shrunk", "compiled"): [1.0, 3.0, 1.0],
    ("shrunk", "NumPy"): [0.5, 4.0, 0.5],
    ("sparse", "sparse"): [1.0, 1.0, 1.0],
}


@pytest.fixture
def ratios(networks, tiny, monkeypatch):
    """The rows of networks whose times are known."""

    def rows(runs, inputs, batch_sizes):
        for label in runs:
            times = TIMES[label[0], label[2].split()[0]]
            about = {"runtime": label[2], "threads": label[3], "batch_size": 1}
            yield {**about, "label": label, "median_ms": np.median(times), "times_ms": times}

    monkeypatch.setattr(timing_sweep_module, "time_models", rows)
    chosen = {key: networks[key] for key in networks if key[0] != "masked"}
    found = timing_sweep(chosen, tiny.x_test, WAYS, (1,))
    return {(row["stage"], row["runtime"].split()[0]): row for row in found}


def test_speed_ups_are_medians_of_the_ratios_in_each_turn(ratios):
    numpy = ratios["shrunk", "NumPy"]
    assert [numpy[f"speed_up{end}"] for end in ("_q1", "", "_q3")] == pytest.approx([6, 8, 8.4])
    assert numpy["speed_up_fastest"] == 4  # of 4, 2.25 and 4 over the compiled graph
    compiled_ = ratios["shrunk", "compiled"]
    assert compiled_["speed_up"] == compiled_["speed_up_fastest"] == 2
    assert ratios["sparse", "sparse"]["speed_up"] is None
    assert ratios["sparse", "sparse"]["speed_up_fastest"] == 2
    assert ratios["dense", "compiled"]["speed_up"] == 1
    assert not any("times_ms" in row for row in ratios.values())


def test_a_ratio_is_steady_if_its_quartiles_are_close(ratios):
    steady = {key for key, row in ratios.items() if row["steady_ratios"]}
    # shrunk in NumPy: 6 to 8.4 of 8; sparse: 2 to 5.5 of 2; what is slow in the same turn cancels
    assert steady == {("dense", "compiled"), ("dense", "NumPy"), ("shrunk", "compiled")}


def test_the_difference_shows_a_way_that_computes_something_else(networks, tiny):
    def wrong(model):
        outputs = eager(model)(tiny.x_test)
        shift = np.abs(outputs).max() / 4
        return Executable("wrong", 1, lambda x: eager(model)(x) + shift, lambda: 7)

    ways = {"dense": [compiled, wrong]}
    rows = timing_sweep(
        {("dense", 0.0): networks["dense", 0.0]}, tiny.x_test, ways, (1,), repeats=1, limit=1
    )
    assert rows[0]["difference"] < 1e-6
    assert rows[1]["difference"] == pytest.approx(0.25) and rows[1]["bytes"] == 7


def test_the_difference_shows_a_way_that_fails_for_one_input_alone(networks, tiny):
    def wrong(model):
        return Executable("wrong", 1, lambda x: eager(model)(x) + (len(x) == 1), lambda: 7)

    dense, how = {("dense", 0.0): networks["dense", 0.0]}, {"repeats": 1, "limit": 1}
    (row,) = timing_sweep(dense, tiny.x_test, {"dense": [wrong]}, (8,), **how)
    assert row["difference"] > 0.01


def test_the_dense_network_must_be_there(networks, tiny):
    with pytest.raises(ValueError, match=r'must have \("dense", 0\.0\).*got networks \[\]'):
        timing_sweep({}, tiny.x_test, WAYS)


def test_a_stage_without_a_way_is_refused(networks, tiny):
    with pytest.raises(ValueError, match=r"each stage a way to run in.*ways for \['dense'\]"):
        timing_sweep(networks, tiny.x_test, {"dense": [compiled], "sparse": []})


def test_two_ways_of_one_kind_are_refused_but_threads_make_two(networks, tiny):
    dense = {("dense", 0.0): networks["dense", 0.0]}
    how = {"batch_sizes": (1,), "repeats": 1, "limit": 1}
    both = [partial(sparse, threads=1), partial(sparse, threads=2)]
    rows = timing_sweep(dense, tiny.x_test, {"dense": both}, **how)
    assert [row["threads"] for row in rows] == [1, 2] and rows[1]["speed_up"] == 1
    with pytest.raises(ValueError, match=r"Two ways of stage 'dense' are Executable"):
        timing_sweep(dense, tiny.x_test, {"dense": [compiled, compiled]}, **how)
