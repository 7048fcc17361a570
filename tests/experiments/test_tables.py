"""Gains, plateaus and spreads of hand-made tables."""

import doctest

import pandas as pd
from numpy.testing import assert_allclose

from pruninglib import gain_over_dense, percent, plateau
from pruninglib.experiments import tables


def test_percent_is_mean_and_spread_over_seeds():
    assert percent(pd.Series([0.97, 0.98, 0.99])) == "98.0 ± 1.0 %"
    assert percent(pd.Series([0.97, 0.98, 0.98]), digits=2) == "97.67 ± 0.58 %"
    assert percent(pd.Series([0.975])) == percent(0.975) == "97.5 %"


SWEEP = pd.DataFrame(
    {
        "seed": [0, 0, 0, 1, 1, 1, 0, 0, 0],
        "method": ["weight"] * 6 + ["unit"] * 3,
        "sparsity": [0.5, 0.0, 0.9] * 3,
        "accuracy": [0.97, 0.98, 0.5, 0.9, 0.95, 0.6, 0.99, 0.98, 0.975],
    }
)


def test_gain_is_over_the_dense_network_of_the_same_seed_and_method():
    expected = [-0.01, 0, -0.48, -0.05, 0, -0.35, 0.01, 0, -0.005]
    assert_allclose(gain_over_dense(SWEEP), expected, atol=1e-12)
    some = SWEEP[SWEEP["method"] == "unit"]
    assert_allclose(gain_over_dense(some), expected[6:], atol=1e-12)
    assert_allclose(gain_over_dense(some.drop(columns="seed")), expected[6:], atol=1e-12)


def test_plateau_ends_where_more_than_the_tolerance_is_lost():
    def ends(tolerance):
        table = plateau(SWEEP, tolerance).sort_values(["method", "seed"])
        assert list(zip(table["method"], table["seed"], strict=True)) == [
            ("unit", 0),
            ("weight", 0),
            ("weight", 1),
        ]
        return table["sparsity"].tolist()

    assert ends(0.001) == [0.5, 0, 0]
    assert ends(0.02) == [0.9, 0.5, 0]
    assert ends(1) == [0.9, 0.9, 0.9]


def test_plateau_includes_what_loses_just_the_tolerance():
    table = plateau(SWEEP[(SWEEP["method"] == "weight") & (SWEEP["seed"] == 0)], tolerance=0.01)
    assert table["sparsity"].tolist() == [0.5]  # from 98 to 97 %


def test_the_examples_in_the_docstrings_hold():
    result = doctest.testmod(tables, extraglobs={"pd": pd})
    assert result.attempted >= 1 and result.failed == 0
