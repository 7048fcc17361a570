"""Figures of times show the numbers of the table."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from pruninglib.plotting import curves


@pytest.fixture
def ax():
    fig, ax = plt.subplots()
    yield ax
    plt.close(fig)


def row(stage, sparsity, runtime, median, speed_up, fastest, macs, steady=True):
    ratios = {"speed_up": speed_up, "speed_up_fastest": fastest}
    return {
        "stage": stage,
        "sparsity": sparsity,
        "runtime": runtime,
        "batch_size": 32,
        "median_ms": median,
        "q1_ms": median / 2,
        "q3_ms": median * 2,
        **ratios,
        **{f"{name}_q1": ratio and ratio / 2 for name, ratio in ratios.items()},
        **{f"{name}_q3": ratio and ratio * 2 for name, ratio in ratios.items()},
        "macs": macs,
        "steady": steady,
        "steady_ratios": steady,
    }


TABLE = pd.DataFrame(
    [
        row("dense", 0.0, "compiled", 8.0, 1, 0.5, 100),
        row("dense", 0.0, "LiteRT", 4.0, 1, 1, 100),
        row("sparse", 0.5, "sparse (scipy)", 8.0, None, 0.5, 100),
        row("sparse", 0.9, "sparse (scipy)", 2.0, None, 2, 100, steady=False),
        row("shrunk", 0.5, "LiteRT", 1.0, 4, 4, 25),
        row("shrunk", 0.9, "LiteRT", 0.25, 16, 16, 5),
    ]
)


def lines(ax):
    return {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines()}


def hollow(ax):
    return [
        point
        for line in ax.get_lines()
        if line.get_markerfacecolor() == "white"
        for point in line.get_xydata().tolist()
    ]


def test_break_even_is_against_the_fastest_dense_runtime(ax):
    assert curves.break_even(TABLE, 32, ax) is ax
    assert lines(ax)["sparse (scipy)"] == [[0.5, 0.5], [0.9, 2]]
    assert [y for _, y in lines(ax)["fastest dense runtime"]] == [1, 1]
    assert hollow(ax) == [[0.9, 2]]
    assert ax.get_title() == "batch 32" and ax.get_yscale() == "log"
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert {0.25, 1.0, 4.0} == set(band.round(6))


def test_speed_up_is_against_the_ratio_of_macs(ax):
    assert curves.speed_up(TABLE, 32, ax) is ax
    assert lines(ax)["LiteRT"] == [[4, 4], [20, 16]]
    assert lines(ax)["ideal"] == [[4, 4], [20, 20]]
    assert hollow(ax) == []


def test_other_batch_sizes_are_left_out(ax):
    curves.break_even(TABLE.assign(batch_size=1), 32, ax)
    assert list(lines(ax)) == ["fastest dense runtime"]


def test_accuracy_against_time_has_a_curve_for_each_stage(ax):
    points = TABLE.assign(accuracy=TABLE["sparsity"] / 2)
    assert curves.accuracy_against_time(points, ax) is ax
    found = lines(ax)
    assert found["shrunk"] == [[1.0, 0.25], [0.25, 0.45]]
    assert found["dense"] == [[8.0, 0], [4.0, 0]]
    assert ax.get_legend_handles_labels()[1][:3] == ["dense", "sparse", "shrunk"]
    assert ax.get_xscale() == "log" and hollow(ax) == [[2.0, 0.45]]


def test_hollow_points_are_explained_where_there_are_any(ax):
    points = TABLE.assign(accuracy=TABLE["sparsity"] / 2)
    curves.accuracy_against_time(points.assign(steady=True), ax)
    assert not [name for name in lines(ax) if "hollow" in name]
    curves.accuracy_against_time(points, ax)
    assert [name for name in lines(ax) if "hollow" in name] == ["hollow: times scatter"]


def test_every_runtime_looks_different():
    for key in ("color", "marker"):
        looks = [style[key] for style in curves.RUNTIMES.values()]
        assert len(set(looks)) == len(looks)


def test_tables_are_left_as_they_were(ax):
    before = TABLE.copy()
    curves.speed_up(TABLE, 32, ax)
    pd.testing.assert_frame_equal(TABLE, before)
