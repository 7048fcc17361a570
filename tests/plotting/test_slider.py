"""The slider shows what the table says and what the masks leave."""

import sys

import keras
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from numpy.testing import assert_allclose

import pruninglib as pl
from pruninglib.plotting import pictures, slider
from pruninglib.plotting.pictures import draw, left, views


def chain_of_three():
    parts = [keras.layers.Dense(4, name="a"), keras.layers.Dense(2, name="b")]
    return keras.Sequential([keras.Input((3,)), *parts, keras.layers.Dense(2, name="logits")])


def test_cells_are_means_and_keep_small_masks_as_they_are():
    mask = np.random.default_rng(0).integers(0, 2, (5, 3))
    assert_allclose(pictures.cells(mask), mask)
    large = np.zeros((130, 64))
    large[:65] = 1
    assert_allclose(pictures.cells(large, most=2), [[1, 1], [0, 0]])
    assert pictures.cells(np.ones((784, 1000))).shape == (64, 64)
    uneven = pictures.cells(np.random.default_rng(0).integers(0, 2, (100, 7)), most=64)
    assert uneven.min() >= 0 and uneven.max() <= 1


def test_masks_stand_side_by_side_each_with_its_own_black():
    ax = plt.figure().add_subplot()
    shown = {"a": np.array([[0.0, 0.2], [0.1, 0.0]]), "b": np.zeros((3, 1))}
    pictures.densities(shown, ax)
    for place, (image, means) in enumerate(zip(ax.images, shown.values(), strict=True)):
        left, right, bottom, top = image.get_extent()
        assert place < left < right < place + 1 and bottom < top, "the first inputs are on top"
        assert_allclose(image.get_array(), means)
        assert image.get_clim() == (0, means.max() or 1)
    assert [text.get_text() for text in ax.texts] == ["a", "b"]
    plt.close(ax.figure)


def test_removed_units_take_the_weights_that_read_them():
    masks = {"a": np.array([1, 0, 1, 0]), "b": np.array([1, 1])}
    found = left(pl.prune(chain_of_three(), masks), masks)
    assert found["units"] == [3, 2, 2, 2] and found["sizes"] == [3, 4, 2, 2]
    assert found["shares"] == [0.5, 0.5, 1.0]
    assert list(found["cells"]) == ["a", "b"]
    assert_allclose(found["cells"]["b"], [[1, 1], [0, 0], [1, 1], [0, 0]])


def test_inputs_and_units_without_weights_are_not_left():
    mask = np.zeros((3, 4))
    mask[1, :2] = 1
    found = left(pl.prune(chain_of_three(), {"a": mask}), ["a"])
    assert found["units"] == [1, 2, 2, 2] and found["shares"][0] == pytest.approx(2 / 12)


def test_what_is_seen_is_what_shrinking_leaves():
    model = pl.make_mlp(6, [8, 5], 3)
    criteria = {"unit": pl.unit_norm}
    for sparsity, scope in ((0.5, "layer"), (0.5, "global"), (0.75, "layer")):
        view = views(model, criteria, scope, [sparsity])["unit", sparsity]
        small = pl.shrink(pl.prune(model, pl.make_masks(model, pl.unit_norm, sparsity, scope)))
        assert view["units"][1:] == [layer.units for layer in small.layers]


@pytest.fixture(scope="module")
def table(trained, tiny):
    criteria = {"weight": pl.magnitude, "random weight": pl.random_scores, "unit": pl.unit_norm}
    how = {"starts": ("repaired",), "iterations": (), "scope": "global", "examples": 100}
    return pd.DataFrame(pl.recovery_sweep(trained, tiny, criteria, [0.0, 0.5, 0.75], **how))


class Shown:
    """What `display` was given."""

    def __init__(self, monkeypatch):
        self.data = []
        monkeypatch.setattr("IPython.display.display", lambda data, raw: self.data.append(data))


@pytest.fixture
def controls(trained, table, monkeypatch):
    """(slider, buttons, words, picture) of an explorer."""
    import ipywidgets

    shown, boxes = Shown(monkeypatch), []
    make = ipywidgets.VBox
    monkeypatch.setattr(ipywidgets, "VBox", lambda parts: boxes.append(parts) or make(parts))
    pl.explorer(trained, table, scope="global")
    assert "application/vnd.jupyter.widget-view+json" in shown.data[0]
    assert "slider" in shown.data[0]["text/plain"]
    slider, *buttons, words, picture = boxes[0]
    return slider, buttons, words, picture


def test_moving_the_slider_changes_words_and_picture(controls, table):
    slider, buttons, words, picture = controls
    method, stage = buttons
    assert [label for label, _ in method.options] == ["weights", "units"], "and none at random"
    assert stage.options == ("pruned", "repaired")
    assert slider.value == 0.5 and not slider.continuous_update
    before = (words.value, picture.value)
    slider.value = 0.75
    assert before[0] != words.value and before[1] != picture.value
    method.value, stage.value = "unit", "repaired"
    row = table.query("method == 'unit' & stage == 'repaired' & sparsity == 0.75").iloc[0]
    assert f"75% of the units pruned, repaired: {row['accuracy']:.1%}" in words.value
    assert f"{row['parameters']:,.0f} weights are left" in words.value
    assert words.value.encode() in bytes(picture.value)


def test_a_sparsity_that_only_another_treatment_has_is_shown_without_a_ring(trained, table):
    rows = table[(table["method"] == "weight") & (table["stage"] == "pruned")]
    view = views(trained, {"weight": pl.magnitude}, "global", [0.75])["weight", 0.75]
    with_ring = draw(rows, "stage", rows[rows["sparsity"] == 0.75], view, "words")
    without = draw(rows, "stage", rows[:0], view, "words")
    assert with_ring != without
    said = slider._sentence(rows[:0], "weight", "repaired", 0.75)
    assert said == "75% of the weights pruned, repaired: not measured."


def test_without_ipywidgets_a_sentence_says_what_is_missing(trained, table, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert pl.explorer(trained, table) is None
    assert "ipywidgets is missing: pip install ipywidgets" in capsys.readouterr().out


def test_no_figure_stays_open(trained, table):
    seen = views(trained, slider.CRITERIA, "layer", [0.5])
    draw(table, "stage", table[:1], seen["weight", 0.5], "words")
    assert not plt.get_fignums()


def test_only_chains_of_dense_layers_can_be_seen():
    import keras

    layers = [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="stands before the first Dense layer"):
        views(model, slider.CRITERIA, "layer", [0.5])
