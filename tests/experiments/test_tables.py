"""Gains, plateaus and spreads of hand-made tables."""

import doctest

import pandas as pd
from numpy.testing import assert_allclose

from pruninglib import gain_over_dense, percent, plateau, treatments
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

    # the first loses 0.5 points between 50 and 90 %, the others 1 and 5 points up to 50 %
    assert_allclose(ends(0.001), [0.5 + 0.4 * 11 / 15, 0.05, 0.01])
    assert_allclose(ends(0.03), [0.9, 0.5 + 0.4 * 2 / 47, 0.3])
    assert ends(1) == [0.9, 0.9, 0.9]


def test_plateau_includes_what_loses_just_the_tolerance():
    table = plateau(SWEEP[(SWEEP["method"] == "weight") & (SWEEP["seed"] == 0)], tolerance=0.01)
    assert_allclose(table["sparsity"], [0.5], atol=1e-6)  # from 98 to 97 %


def test_plateau_is_the_last_level_if_all_keep_the_accuracy_and_forgives_a_dip():
    table = pd.DataFrame({"sparsity": [0, 0.3, 0.5], "accuracy": [0.9, 0.8, 0.9], "method": "unit"})
    assert plateau(table)["sparsity"].tolist() == [0.5]


def test_treatments_say_what_each_network_went_through():
    rows = [
        ("pruned", None, None, None, None, "pruned"),
        ("repaired", None, None, None, None, "repaired"),
        ("retrained", "pruned", "held", 500, 0.0, "retrained"),
        ("retrained", "pruned", "free", 500, 0.0, "retrained, mask free"),
        ("retrained", "repaired", "held", 500, 0.5, "repaired, distilled"),
    ]
    names = ["stage", "start", "mask", "iterations", "distillation", "expected"]
    table = pd.DataFrame(rows, columns=names, index=[3, 1, 2, 7, 5])
    pd.testing.assert_series_equal(treatments(table), table["expected"], check_names=False)
    more = pd.concat([table, table.assign(iterations=table["iterations"] * 2)])
    assert set(treatments(more)) == {
        *("pruned", "repaired"),
        *(f"retrained {n}{free}" for n in (500, 1000) for free in ("", ", mask free")),
        *(f"repaired, distilled {n}" for n in (500, 1000)),
    }
    assert treatments(table[:2]).tolist() == ["pruned", "repaired"]


def test_treatments_of_a_prune_sweep_are_its_stages():
    table = pd.DataFrame({"stage": ["pruned"], "sparsity": [0.5]})
    assert treatments(table).tolist() == ["pruned"]


def test_the_examples_in_the_docstrings_hold():
    result = doctest.testmod(tables, extraglobs={"pd": pd})
    assert result.attempted >= 1 and result.failed == 0
