"""What is drawn is what the table says; the axes come back."""

import re

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.markers import MarkerStyle
from numpy.testing import assert_allclose

import pruninglib as pl
from pruninglib.plotting import curves, pictures


@pytest.fixture
def ax():
    figure, ax = plt.subplots()
    yield ax
    figure.canvas.draw()  # nothing is drawn that cannot be
    plt.close(figure)


def lines(ax):
    return {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines()}


SWEEP = pd.DataFrame(
    {
        "method": ["weight"] * 4 + ["unit"] * 2,
        "sparsity": [0.0, 0.0, 0.5, 0.5, 0.0, 0.5],
        "accuracy": [0.9, 0.7, 0.6, 0.4, 0.8, 0.2],
    }
)


def test_curve_is_the_mean_with_a_band_of_one_standard_deviation(ax):
    rows = SWEEP[SWEEP["method"] == "weight"]
    assert curves.curve(rows, "sparsity", "accuracy", ax, label="ours") is ax
    assert_allclose(lines(ax)["ours"], [[0, 0.8], [0.5, 0.5]])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert_allclose([band.min(), band.max()], [0.5 - 0.2**0.5 / 10**0.5, 0.8 + 0.02**0.5])


def test_curve_of_one_seed_has_no_band(ax):
    curves.curve(SWEEP[SWEEP["method"] == "unit"], "sparsity", "accuracy", ax)
    band = ax.collections[0].get_paths()[0].vertices
    assert_allclose(sorted(set(band[:, 1])), [0.2, 0.8])


def test_one_curve_a_method_told_apart_without_colour(ax):
    assert curves.methods(SWEEP, ax) is ax
    assert list(lines(ax)) == ["weights", "units by norm"]
    looks = {(line.get_marker(), line.get_linestyle()) for line in ax.get_lines()}
    assert len(looks) == 2
    assert ax.get_xlabel() == "sparsity" and ax.get_ylabel() == "accuracy"


def test_methods_of_any_name_are_drawn(ax):
    curves.methods(SWEEP.assign(method="my own"), ax)
    assert list(lines(ax)) == ["my own"]


METHODS = ["weight", "unit", "greedy unit", "random weight", "random unit", "from scratch"]
TREATMENTS = ["pruned", "merged", "repaired", "retrained", "retrained, mask free", "distilled"]
TREATMENTS += ["repaired, retrained", "repaired, distilled"]


CRITERIA = ["magnitude", "random", "activation-aware", "Taylor", "norm", "greedy"]
ROUNDS = ["repaired, magnitude", "repaired, activation-aware", "at once, repaired", "rewound"]
STAGES = ["dense", "masked", "sparse", "shrunk"]


@pytest.mark.parametrize("together", [METHODS, TREATMENTS, CRITERIA, ROUNDS, STAGES])
def test_what_stands_in_one_figure_looks_different(together):
    for key in ("color", "marker"):
        assert len({curves.STYLE[name][key] for name in together}) == len(together)


def test_the_same_thing_has_the_same_colour_in_all_figures():
    assert curves.STYLE["pruned"] == curves.STYLE["sparse"] == curves.STYLE["weight"]
    assert curves.STYLE["shrunk"] == curves.STYLE["unit"]


PUBLISHED = pd.DataFrame(
    {
        "source": ["A", "A", "A", "B", "B", "B", "B"],
        "method": ["weight"] * 5 + ["unit"] * 2,
        "stage": "pruned",
        "kind": "printed",
        "sparsity": [0.5, 0.0, 1.0, 0.0, 1.0, 0.0, 0.5],
        "accuracy": [0.4, 0.9, 0.1, 0.8, 0.4, 0.7, 0.2],
    }
)


def test_published_curves_are_a_grey_area_behind_ours_and_a_single_one_a_grey_line(ax):
    curves.curve(SWEEP, "sparsity", "accuracy", ax, label="ours")
    ours, before = ax.get_lines()[0], len(ax.collections)
    curves.published(PUBLISHED[:0], ax)
    assert len(ax.collections) == before
    assert curves.published(PUBLISHED, ax) is ax
    (area,), (line,) = ax.collections[before:], ax.get_lines()[1:]
    corners = {tuple(point) for point in area.get_paths()[0].vertices.round(6)}
    assert corners == {(0, 0.8), (0, 0.9), (0.5, 0.4), (0.5, 0.6), (1, 0.1), (1, 0.4)}
    assert line.get_xydata().tolist() == [[0, 0.7], [0.5, 0.2]]
    assert max(area.get_zorder(), line.get_zorder()) < ours.get_zorder()
    assert ax.get_legend_handles_labels()[1] == [
        "ours",
        "published: weights",
        "published: units by norm",
    ]
    assert line.get_color() == "0.6", "grey"


def test_a_line_says_what_is_one_point_below_dense(ax):
    assert curves.tolerance(0.98, ax) is ax
    assert lines(ax) == {"dense, minus 1 point": [[0, 0.97], [1, 0.97]]}


def test_an_arrow_leads_from_the_sparsity_asked_for_to_the_one_left(ax):
    table = pd.DataFrame({"sparsity": [0.9, 0.9, 0.99], "measured_sparsity": [0.1, 0.3, 0.5]})
    assert curves.regrown(table.assign(accuracy=[0.9, 0.8, 0.7]), ax) is ax
    ends = [(text.xyann, text.xy) for text in ax.texts]
    assert_allclose(ends, [[(0.9, 0.85), (0.2, 0.85)], [(0.99, 0.7), (0.5, 0.7)]])


def test_network_has_a_line_a_weight_and_hollow_dots_for_units_without_inputs(ax):
    kernels = [np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]), np.array([[1.0], [1.0]])]
    assert pictures.network(kernels, ax) is ax
    assert len(ax.get_lines()) == 4
    inputs, units, outputs = ax.collections
    assert [len(dots.get_offsets()) for dots in (inputs, units, outputs)] == [3, 2, 1]
    assert units.get_facecolors()[:, :3].tolist() == [[0, 0, 0], [1, 1, 1]]
    first, second = (line.get_xydata().tolist() for line in ax.get_lines()[:2])
    assert first[1] == second[1] == units.get_offsets()[0].tolist()


def test_histograms_are_of_all_hidden_layers_over_their_means(ax):
    model = pl.make_mlp(30, [20, 10], 3)
    assert pictures.sizes_and_norms(model, ax) is ax
    sizes, norms = (outline.get_xy() for outline in ax.patches)
    for outline in (sizes, norms):
        x, y = outline.T
        assert abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2 == pytest.approx(1)
    # uniform weights lie between 0 and twice their mean, norms all near theirs
    assert sizes[sizes[:, 1] > 0, 0].max() < 2.2 and sizes[sizes[:, 1] > 0, 0].min() == 0
    assert norms[norms[:, 1] > 0, 0].min() > 0.5
    assert ax.get_legend_handles_labels()[1] == ["sizes of weights", "norms of columns"]


def test_trainings_of_other_lengths_are_told_apart_without_colour(ax):
    names = ["pruned", *(f"retrained{mask} {n}" for mask in ("", ", mask free") for n in (1, 2, 3))]
    names = [re.sub(r"(, mask free) (.)", r" \2\1", name) for name in names]
    table = pd.DataFrame({"treatment": names}).assign(sparsity=0.9, accuracy=0.5)
    curves.methods(table, ax, by="treatment")
    assert list(lines(ax)) == names
    colors = [line.get_color() for line in ax.get_lines()]
    assert len(set(colors[1:4])) == 1 == len(set(colors[4:])) and len(set(colors)) == 3
    assert len(looks(ax)) == 7


def test_points_stand_at_the_mean_of_what_is_left(ax):
    table = SWEEP.assign(left=[9, 11, 4, 6, 8, 2])
    curves.methods(table, ax, x="left")
    assert_allclose(lines(ax)["weights"], [[5, 0.5], [10, 0.8]])
    assert ax.get_xlabel() == "left"


def looks(ax):
    """Return how the lines look to one who sees no colours, and no two of which may be alike."""
    return {
        (line.get_marker(), line.get_linestyle(), line.get_fillstyle(), hollow(line))
        for line in ax.get_lines()
    }


def hollow(line):
    return line.get_markerfacecolor() == "white" and MarkerStyle(line.get_marker()).is_filled()


def test_frontier_has_a_point_for_each_sparsity_and_crosses_of_one_kind_for_each_published_method(
    ax,
):
    weights, error = [100, 101, 50, 50], [0.1, 0.2, 0.3, 0.3]
    ours = pd.DataFrame({"sparsity": [0.9, 0.9, 0.95, 0.95], "weights": weights, "error": error})
    columns = ["weights", "test_error", "method", "source"]
    rows = [(70, 0.25, "RigL", "A"), (60, 0.2, "SNIP", "B"), (90, 0.1, "SNIP", "B")]
    theirs = pd.DataFrame(rows, columns=columns)
    assert curves.frontier(ours, theirs, ax) is ax
    assert lines(ax)["measured"] == [[50, 0.3], [100.5, pytest.approx(0.15)]]
    assert lines(ax)["RigL"] == [[70, 0.25]]
    assert lines(ax)["SNIP"] == [[60, 0.2], [90, 0.1]]
    assert len({line.get_marker() for line in ax.get_lines()}) == 3
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["100", "50"]
    assert len(curves.frontier(ours, theirs[:0], ax).get_lines()) == 4


def test_tables_are_left_as_they_were(ax):
    before = SWEEP.copy()
    curves.methods(SWEEP, ax)
    pd.testing.assert_frame_equal(SWEEP, before)
