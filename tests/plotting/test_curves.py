"""What is drawn is what the table says; the axes come back."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.markers import MarkerStyle
from numpy.testing import assert_allclose

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
    assert list(lines(ax)) == ["weight", "unit"]
    looks = {(line.get_marker(), line.get_linestyle()) for line in ax.get_lines()}
    assert len(looks) == 2
    assert ax.get_xlabel() == "sparsity" and ax.get_ylabel() == "accuracy"


def test_methods_of_any_name_are_drawn(ax):
    curves.methods(SWEEP.assign(method="my own"), ax)
    assert list(lines(ax)) == ["my own"]


def test_styles_are_all_different():
    for key in ("color", "marker", "linestyle"):
        found = [style[key] for style in curves.STYLE.values()]
        assert key == "linestyle" or len(set(found)) == len(found)
    assert curves.STYLE["weight"]["linestyle"] != curves.STYLE["unit"]["linestyle"]


def test_published_curves_are_behind_in_the_colours_of_their_methods(ax):
    table = pd.DataFrame(
        {
            "source": ["A", "A", "B", "B", "B", "B"],
            "method": ["weight"] * 4 + ["unit"] * 2,
            "stage": "pruned",
            "kind": "printed",
            "sparsity": [0.5, 0.0, 0.0, 0.5, 0.0, 0.5],
            "accuracy": [0.4, 0.9, 0.8, 0.3, 0.7, 0.2],
        }
    )
    curves.curve(SWEEP, "sparsity", "accuracy", ax, label="ours")
    assert not curves.published(table[:0], ax).get_title(loc="right")
    assert curves.published(table, ax) is ax
    assert ax.get_title(loc="right") == "thin: published"
    ours, first, second, third = ax.get_lines()
    assert first.get_xydata().tolist() == [[0, 0.9], [0.5, 0.4]]
    assert second.get_xydata().tolist() == [[0, 0.8], [0.5, 0.3]]
    assert third.get_xydata().tolist() == [[0, 0.7], [0.5, 0.2]]
    assert max(line.get_zorder() for line in (first, second, third)) < ours.get_zorder()
    assert [line.get_color() for line in (first, third)] == [
        curves.STYLE[method]["color"] for method in ("weight", "unit")
    ]
    assert ax.get_legend_handles_labels()[1] == ["ours"]


def test_grid_shows_every_number_and_marks_the_pruned_ones(ax):
    values, mask = np.array([[1.25, -2.0], [0.5, 3.0]]), np.array([[1, 0], [1, 1]])
    assert pictures.mask_grid(values, mask, ax, "pruned") is ax
    assert [text.get_text() for text in ax.texts] == ["1.2", "-2.0", "0.5", "3.0"]
    assert [text.get_position() for text in ax.texts] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    colors = [text.get_color() for text in ax.texts]
    assert colors[0] == colors[2] == colors[3] != colors[1]
    assert ax.get_title() == "pruned"


def test_network_has_a_line_a_weight_and_hollow_dots_for_units_without_inputs(ax):
    kernels = [np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]), np.array([[1.0], [1.0]])]
    assert pictures.network(kernels, ax) is ax
    assert len(ax.get_lines()) == 4
    inputs, units, outputs = ax.collections
    assert [len(dots.get_offsets()) for dots in (inputs, units, outputs)] == [3, 2, 1]
    assert units.get_facecolors()[:, :3].tolist() == [[0, 0, 0], [1, 1, 1]]
    first, second = (line.get_xydata().tolist() for line in ax.get_lines()[:2])
    assert first[1] == second[1] == units.get_offsets()[0].tolist()


def test_histogram_has_area_one(ax):
    assert pictures.histogram(np.random.default_rng(0).normal(size=(30, 4)), ax, "hidden_1") is ax
    (outline,) = ax.patches
    x, y = outline.get_xy().T
    assert abs(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])) / 2 == pytest.approx(1)
    assert ax.get_title() == "hidden_1"


def test_recovery_has_a_curve_for_each_training(ax):
    rows = [("pruned", None, None, None, 0.2), ("repaired", None, None, None, 0.4)]
    rows = [(*row, None) for row in rows]
    ways = [("pruned", "held", 0), ("pruned", "free", 0)]
    ways += [("pruned", "held", 0.5), ("repaired", "held", 0.5)]
    rows += [
        ("retrained", start, mask, n, 0.5, share)
        for n in (500, 1000)
        for start, mask, share in ways
    ]
    names = ["stage", "start", "mask", "iterations", "accuracy", "distillation"]
    table = pd.DataFrame(rows, columns=names).assign(method="unit", sparsity=0.9)
    assert curves.recovery(table, ax) is ax
    assert list(lines(ax)) == [
        "pruned",
        "repaired",
        "retrained 500",
        "retrained 500, mask free",
        "distilled 500",
        "repaired, distilled 500",
        "retrained 1000",
        "retrained 1000, mask free",
        "distilled 1000",
        "repaired, distilled 1000",
    ]
    assert lines(ax)["repaired"] == [[0.9, 0.4]]
    assert lines(ax)["pruned"] == [[0.9, 0.2]]
    assert len(looks(ax)) == 10


def looks(ax):
    """Return how the lines look to one who sees no colours, and no two of which may be alike."""
    return {
        (line.get_marker(), line.get_linestyle(), line.get_fillstyle(), hollow(line))
        for line in ax.get_lines()
    }


def hollow(line):
    return line.get_markerfacecolor() == "white" and MarkerStyle(line.get_marker()).is_filled()


def test_a_method_of_the_users_own_is_drawn(ax):
    table = pd.DataFrame({"stage": ["pruned"], "method": ["mine"], "sparsity": [0.9]})
    table = table.assign(accuracy=0.3, start=None, mask=None, iterations=None, distillation=None)
    assert lines(curves.recovery(table, ax))["pruned"] == [[0.9, 0.3]]


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


def test_layers_pruned_alone_are_named_in_a_legend_and_look_different(ax):
    table = pd.DataFrame({"layer": ["a", "a", "b", "b"], "sparsity": [0, 0.5] * 2})
    assert curves.sensitivity(table.assign(accuracy=[0.9, 0.8, 0.9, 0.7]), ax) is ax
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]
    assert len({line.get_marker() for line in ax.get_lines()}) == 2


def test_tables_are_left_as_they_were(ax):
    before = SWEEP.copy()
    curves.methods(SWEEP, ax)
    pd.testing.assert_frame_equal(SWEEP, before)


def test_recovery_draws_the_columns_that_are_asked_for(ax):
    table = pd.DataFrame({"stage": ["pruned"], "method": ["weight"], "sparsity": [0.9]})
    nothing = dict.fromkeys(("start", "mask", "iterations", "distillation"))
    curves.recovery(table.assign(error=0.3, share=0.1, **nothing), ax, "error", "share")
    assert lines(ax)["pruned"] == [[0.1, 0.3]]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("share", "error")


def test_what_the_slider_shows_has_a_curve_for_each_scope_and_stage(ax):
    choices = [(stage, scope) for stage in ("pruned", "repaired") for scope in ("layer", "global")]
    table = pd.DataFrame(choices, columns=["stage", "scope"])
    table = table.assign(method="unit", sparsity=0.9, accuracy=[0.1, 0.2, 0.3, 0.4])
    assert curves.explored(table, ax) is ax
    assert lines(ax)["repaired, global scope"] == [[0.9, 0.4]]
    assert len(looks(ax)) == 4
    assert list(lines(curves.explored(table[:1], ax)))[-1] == "pruned"
